/* Manual pages (mdoc) from the table: heddle-admin(1), and one for each group. */
#include <ctype.h>
#include <errno.h>
#include <sys/stat.h>

#include "admin/commands.h"
#include "admin/verbs.h"
#include "common/web/ops.h"

#ifndef HEDDLE_DATE
#define HEDDLE_DATE "November 1, 2026"
#endif

/* ---- roff ---- */

static bool ends_sentence(view word)
{
    return word.n > 1 && strchr(".?!", word.p[word.n - 1]) != NULL;
}

/* Text that stands as it is: backslashes, and dots or quotes that begin a line. A sentence begins a line and a line has at most 76
 * characters, as mdoc's linter wants it. */
static void text(FILE *out, view v)
{
    size_t at = 0;
    view word;
    while (view_cut(&v, ' ', &word)) {
        if (at > 0 && at + 1 + word.n > 76) {
            fputc('\n', out);
            at = 0;
        }
        if (at > 0)
            fputc(' ', out);
        else if (word.n > 0 && (word.p[0] == '.' || word.p[0] == '\''))
            fputs("\\&", out);
        for (size_t i = 0; i < word.n; i++)
            fputs(word.p[i] == '\\' ? "\\e" : (char[]){ word.p[i], '\0' }, out);
        at += word.n + 1;
        if (ends_sentence(word) && v.n > 0 && isupper((unsigned char)v.p[0])) {
            fputc('\n', out);
            at = 0;
        }
    }
    fputc('\n', out);
}

static void sentence(FILE *out, const char *s)
{
    SCOPED(buf_done) struct buf b = { 0 };
    buf_addc(&b, (char)toupper((unsigned char)s[0]));
    buf_add(&b, view_of(s + 1));
    if (s[strlen(s) - 1] != '.')
        buf_addc(&b, '.');
    text(out, buf_view(&b));
}

static void paragraphs(FILE *out, const char *about)
{
    view rest = view_of(about), line;
    bool gap = true;
    while (view_cut(&rest, '\n', &line)) {
        if (line.n == 0)
            gap = true;
        else {
            if (gap)
                fputs(".Pp\n", out);
            gap = false;
            text(out, line);
        }
    }
}

/* An argument of a macro: in quotes, with those inside doubled. */
static void quoted(FILE *out, view v)
{
    fputs(" \"", out);
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '"')
            fputc('"', out);
        if (v.p[i] == '\\')
            fputs("\\e", out);
        else
            fputc(v.p[i], out);
    }
    fputc('"', out);
}

/* ---- parts of a page ---- */

static void begin(FILE *out, const char *title, const char *name, const char *what)
{
    fprintf(out, ".Dd " HEDDLE_DATE "\n.Dt %s 1\n.Os Heddle %s\n.Sh NAME\n.Nm %s\n.Nd %s\n", title,
            heddle_version, name, what);
}

static void option_item(FILE *out, const struct command_option *o)
{
    fprintf(out, ".It Fl Fl %s", o->name);
    if (o->value) {
        fputs(" Ar", out);
        quoted(out, view_of(o->value));
    }
    fputc('\n', out);
    sentence(out, o->help);
    if (o->choices) {
        fputs("One of: ", out);
        text(out, view_of(o->choices));
    }
    if (o->fallback) {
        fputs("Without it: ", out);
        text(out, view_of(o->fallback));
    }
    if (o->many)
        fputs("May be repeated.\n", out);
}

static void example_lines(FILE *out, const struct command *c)
{
    if (!c->examples[0])
        return;
    fputs(".Pp\nExamples:\n.Bd -literal -offset indent\n", out);
    for (size_t i = 0; i < EXAMPLES_MAX && c->examples[i]; i++) {
        view line = view_of(c->examples[i]), what;
        view_cut(&line, '\n', &what);
        if (line.p)
            fprintf(out, "# %.*s\n", VIEW_ARG(what));
        fprintf(out, "%.*s\n", VIEW_ARG(line.p ? line : what));
    }
    fputs(".Ed\n", out);
}

static void one_command(FILE *out, const struct command *c)
{
    const struct command_option *options[COMMAND_OPTIONS_MAX];
    size_t n = command_options(c, options);
    fprintf(out, ".Ss %s\n.Nm heddle-admin Cm %s\n.Op Ar option ...\n", c->name, c->name);
    if (c->arguments) {
        fputs(".Ar", out);
        quoted(out, view_of(c->arguments));
        fputc('\n', out);
    }
    fputs(".Pp\n", out);
    sentence(out, c->help);
    if (c->about)
        paragraphs(out, c->about);
    if (c->danger) {
        fputs(".Pp\nDangerous: ", out);
        text(out, view_of(c->danger));
    }
    fputs(".Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < n; i++)
        option_item(out, options[i]);
    fputs(".El\n", out);
    example_lines(out, c);
}

static void exit_statuses(FILE *out)
{
    fputs(".Sh EXIT STATUS\n.Bl -tag -width Ds\n", out);
    for (const struct exit_meaning *m = exit_meanings; m->name; m++) {
        fprintf(out, ".It %d\n", m->status);
        text(out, view_of(m->meaning));
    }
    fputs(".El\n", out);
}

static void settings(FILE *out)
{
    fputs(
        ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
        ".It Ev HEDDLE_ADMIN_CONFIG\nA file of settings, read where there is no\n.Fl Fl config .\n"
        ".It Ev NO_COLOR\nNo colours, if it is not empty.\n.El\n"
        ".Sh FILES\nSettings are read from the files of\n.Fl Fl config\nand from\n.Fl Fl set Ar KEY=VALUE ,\n"
        "both before the command; without\n.Fl Fl config\nfrom\n.Pa /etc/heddle/admin.ini .\nKeys:\n"
        ".Bl -tag -width Ds\n",
        out);
    for (size_t i = 0; i < admin_conf_keys_n; i++) {
        fprintf(out, ".It Cm %s\n", admin_conf_keys[i].name);
        text(out, view_of(admin_conf_keys[i].help));
    }
    fputs(".El\n", out);
}

/* ---- pages ---- */

static void main_page(FILE *out)
{
    const struct command *c;
    begin(out, "HEDDLE-ADMIN", "heddle-admin", "the operator's command for a Heddle server");
    fputs(
        ".Sh SYNOPSIS\n.Nm\n.Op Fl Fl config Ar FILE\n.Op Fl Fl set Ar KEY=VALUE\n.Ar command\n.Op Ar option ...\n"
        ".Op Ar argument ...\n"
        ".Sh DESCRIPTION\nEvery command has\n.Fl Fl help ,\nwhich ends with examples, and\n.Fl Fl json ,\nwhich answers one JSON "
        "object a line.\nDangerous commands ask at the terminal, or need\n.Fl Fl yes .\n",
        out);
    for (const struct command_group *g = command_groups; g->name; g++) {
        fprintf(out, ".Ss %s\n", g->name);
        sentence(out, g->help);
        fprintf(out, "See\n.Xr heddle-admin-%s 1 .\n.Bl -tag -width Ds\n", g->name);
        for (size_t i = 0; (c = command_at(i)); i++)
            if (command_in_group(c, g->name)) {
                fprintf(out, ".It Cm %s\n", c->name);
                sentence(out, c->help);
            }
        fputs(".El\n", out);
    }
    settings(out);
    exit_statuses(out);
}

static bool group_page(FILE *out, const char *group)
{
    const struct command_group *g = command_groups;
    const struct command *c;
    char title[64];
    while (g->name && strcmp(g->name, group) != 0)
        g++;
    if (!g->name)
        return false;
    int n = snprintf(title, sizeof(title), "heddle-admin-%s", g->name);
    SCOPED(buf_done) struct buf upper = { 0 };
    for (int i = 0; i < n; i++)
        buf_addc(&upper, (char)toupper((unsigned char)title[i]));
    begin(out, buf_text(&upper), title, g->help);
    fprintf(
        out,
        ".Sh SYNOPSIS\n.Nm heddle-admin\n.Op Fl Fl config Ar FILE\n.Op Fl Fl set Ar KEY=VALUE\n.Cm %s\n.Op Ar verb\n"
        ".Op Ar option ...\n.Op Ar argument ...\n.Sh DESCRIPTION\n",
        g->name);
    sentence(out, g->help);
    for (size_t i = 0; (c = command_at(i)); i++)
        if (command_in_group(c, group))
            one_command(out, c);
    exit_statuses(out);
    fputs(".Sh SEE ALSO\n.Xr heddle-admin 1\n", out);
    return true;
}

/* ---- the verb ---- */

static int write_page(const char *folder, const char *group)
{
    SCOPED(buf_done) struct buf path = { 0 };
    buf_addf(&path, "%s/heddle-admin%s%s.1", folder, group ? "-" : "", group ? group : "");
    FILE *f = fopen(buf_text(&path), "we");
    if (!f) {
        admin_wrong("man: cannot write %s: %s", buf_text(&path), strerror(errno));
        return EXIT_FAILED;
    }
    if (group)
        group_page(f, group);
    else
        main_page(f);
    bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad) {
        admin_wrong("man: cannot write %s", buf_text(&path));
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

static int write_all(const char *folder)
{
    if (mkdir(folder, 0755) != 0 && errno != EEXIST) {
        admin_wrong("man: cannot make %s: %s", folder, strerror(errno));
        return EXIT_FAILED;
    }
    int status = write_page(folder, NULL);
    for (const struct command_group *g = command_groups; status == EXIT_DONE && g->name; g++)
        status = write_page(folder, g->name);
    return status;
}

static int man(struct admin *a)
{
    if (option_given(a, "into"))
        return write_all(option_text(a, "into"));
    if (a->json)
        return admin_wrong("man: a manual page is no JSON; \"heddle-admin help --json\" gives the table");
    if (a->argc == 0)
        main_page(a->out);
    else if (!group_page(a->out, a->argv[0]))
        return admin_wrong("man: there is no group \"%.40s\"", a->argv[0]);
    return EXIT_DONE;
}

static const struct command_option man_options[] = {
    { .name = "into", .type = OPTION_FILE, .value = "FOLDER", .help = "write all pages into this folder" },
    OPTIONS_END,
};
const struct command man_commands[] = {
    { .name = "man",
      .arguments = "[GROUP]",
      .most = 1,
      .help = "print a manual page (mdoc)",
      .options = man_options,
      .examples = { "heddle-admin man node | man -l -", "heddle-admin man --into /usr/local/share/man/man1" },
      .run = man },
    COMMANDS_END,
};
