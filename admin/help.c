/* Usage and --help, from the table. */
#include <ctype.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/show.h"

#define WIDTH 100

/* Words up to the width, behind a margin of blanks; the first line begins where the caller stands. */
static void wrap(FILE *out, view text, size_t margin)
{
    size_t at = margin;
    view word;
    while (view_cut(&text, ' ', &word)) {
        if (at > margin && at + 1 + word.n > WIDTH) {
            fprintf(out, "\n%*s", (int)margin, "");
            at = margin;
        } else if (at > margin) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", VIEW_ARG(word));
        at += word.n;
    }
    fputc('\n', out);
}

static void paragraphs(FILE *out, const char *text)
{
    view rest = view_of(text), line;
    while (view_cut(&rest, '\n', &line))
        wrap(out, line, 0);
}

void help_usage(FILE *out, const struct command *c)
{
    fprintf(out, "Usage: heddle-admin %s [OPTION …]%s%s\n", c->name, c->arguments ? " " : "",
            c->arguments ? c->arguments : "");
}

static void option_line(FILE *out, const struct command_option *o)
{
    char left[64];
    int n =
        snprintf(left, sizeof(left), "  --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    fprintf(out, "%s%*s", left, n < 24 ? 24 - n : 2, "");
    SCOPED(buf_done) struct buf help = { 0 };
    buf_add(&help, view_of(o->help));
    if (o->choices)
        buf_addf(&help, ": %s", o->choices);
    if (o->fallback)
        buf_addf(&help, " (%s)", o->fallback);
    if (o->many)
        buf_add(&help, VIEW("; may be repeated"));
    wrap(out, buf_view(&help), 24);
}

static void examples(FILE *out, const struct command *c)
{
    if (!c->examples[0])
        return;
    fputs("\nExamples:\n", out);
    for (size_t i = 0; i < EXAMPLES_MAX && c->examples[i]; i++) {
        view line = view_of(c->examples[i]), what;
        view_cut(&line, '\n', &what);
        if (line.p)
            fprintf(out, "  # %.*s\n  %.*s\n", VIEW_ARG(what), VIEW_ARG(line));
        else
            fprintf(out, "  %.*s\n", VIEW_ARG(what));
    }
}

void help_command(FILE *out, const struct command *c)
{
    const struct command_option *options[COMMAND_OPTIONS_MAX];
    size_t n = command_options(c, options);
    help_usage(out, c);
    fprintf(out, "\n%c%s.\n", toupper((unsigned char)c->help[0]), c->help + 1);
    if (c->about) {
        fputc('\n', out);
        paragraphs(out, c->about);
    }
    if (c->danger) {
        fputs("\nDangerous: ", out);
        wrap(out, view_of(c->danger), 0);
    }
    fputs("\nOptions:\n", out);
    for (size_t i = 0; i < n; i++)
        option_line(out, options[i]);
    examples(out, c);
}

static void command_line(FILE *out, const struct command *c)
{
    fprintf(out, "  %-20s ", c->name);
    wrap(out, view_of(c->help), 23);
}

bool help_group(FILE *out, const char *group)
{
    const struct command_group *g = command_groups;
    const struct command *c;
    while (g->name && strcmp(g->name, group) != 0)
        g++;
    if (!g->name)
        return false;
    fprintf(out, "heddle-admin %s: %s\n\n", g->name, g->help);
    for (size_t i = 0; (c = command_at(i)); i++)
        if (command_in_group(c, group))
            command_line(out, c);
    fprintf(out, "\n\"heddle-admin %s VERB --help\" tells about one of them, with examples.\n", g->name);
    return true;
}

void help_overview(FILE *out)
{
    const struct command *c;
    fputs("Usage: heddle-admin [--config FILE] [--set KEY=VALUE …] COMMAND [OPTION …] [ARGUMENT …]\n", out);
    for (const struct command_group *g = command_groups; g->name; g++) {
        fprintf(out, "\n%s: %s\n", g->name, g->help);
        for (size_t i = 0; (c = command_at(i)); i++)
            if (command_in_group(c, g->name))
                command_line(out, c);
    }
    fputs(
        "\n\"heddle-admin COMMAND --help\" tells about one of them, with examples; every command has --json.\n\n"
        "Exit status:\n",
        out);
    for (const struct exit_meaning *m = exit_meanings; m->name; m++) {
        fprintf(out, "  %d  %-12s ", m->status, m->name);
        wrap(out, view_of(m->meaning), 18);
    }
}

/* ---- the verb ---- */

static json_t *command_json(const struct command *c)
{
    const struct command_option *options[COMMAND_OPTIONS_MAX];
    size_t n = command_options(c, options);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s,s:s*,s:s}", "name", options[i]->name, "value",
                                              options[i]->value, "help", options[i]->help));
    return json_pack("{s:s,s:s*,s:s,s:b,s:o}", "name", c->name, "arguments", c->arguments, "help", c->help,
                     "dangerous", c->danger != NULL, "options", list);
}

/* Usage and what it is for; with --json the table itself, for other programs. */
static int help(struct admin *a)
{
    int words = 0;
    const struct command *c = a->argc > 0 ? command_find(a->argc, a->argv, &words) : NULL;
    if (a->argc > 0 && (!c || words != a->argc) && !help_group(a->out, a->argv[0]))
        return admin_wrong("help: there is no command \"%.40s\"", a->argv[0]);
    if (a->argc > 0 && (!c || words != a->argc))
        return EXIT_DONE;
    if (!a->json) {
        if (c)
            help_command(a->out, c);
        else
            help_overview(a->out);
        return EXIT_DONE;
    }
    for (size_t i = 0; c ? i == 0 : command_at(i) != NULL; i++) {
        json_t *o = command_json(c ? c : command_at(i));
        show_object(a, o, NULL);
        json_decref(o);
    }
    return EXIT_DONE;
}

const struct command help_commands[] = {
    { .name = "help",
      .arguments = "[COMMAND]",
      .most = 2,
      .help = "tell about a command, a group of them, or all",
      .examples = { "heddle-admin help", "heddle-admin help node add" },
      .run = help },
    COMMANDS_END,
};
