/* A command's options, read by getopt_long and checked by the table. */
#include <getopt.h>
#include <inttypes.h>
#include <time.h>

#include "admin/ask.h"
#include "admin/commands.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define OPTIONS_MAX  COMMAND_OPTIONS_MAX
#define OPTION_FIRST 256 /* what getopt_long gives for the first: above all characters */

struct option_given {
    const struct command_option *option;
    const char *text; /* of argv; NULL for a flag */
    int64_t number;
};

/* ---- which options a command has ---- */

static const struct command_option common_options[] = {
    { .name = "yes", .type = OPTION_FLAG, .help = "do it without asking" },
    { .name = "json", .type = OPTION_FLAG, .help = "answer in JSON, one object a line" },
    { .name = "help", .type = OPTION_FLAG, .help = "tell about this command and end" },
};

size_t command_options(const struct command *c, const struct command_option *out[COMMAND_OPTIONS_MAX])
{
    size_t n = 0;
    for (const struct command_option *o = c->options; o && o->name; o++) {
        if (n >= OPTIONS_MAX - 3)
            abort();
        out[n++] = o;
    }
    for (size_t i = c->danger ? 0 : 1; i < 3; i++)
        out[n++] = &common_options[i];
    return n;
}

/* ---- values ---- */

/* Digits and one letter that stands for a factor. */
static bool read_scaled(view v, const char *letters, const int64_t *factors, int64_t *out)
{
    int64_t factor = 1;
    uint64_t whole;
    const char *at = v.n > 0 ? strchr(letters, v.p[v.n - 1]) : NULL;
    if (at && *at) {
        factor = factors[at - letters];
        v.n--;
    }
    if (!view_to_u64(v, (uint64_t)(INT64_MAX / factor), &whole))
        return false;
    *out = (int64_t)whole * factor;
    return true;
}

bool option_read_size(view v, int64_t *out)
{
    static const int64_t factors[] = { 1 << 10, 1 << 10, 1 << 20,   1 << 20,
                                       1 << 30, 1 << 30, 1LL << 40, 1LL << 40 };
    if (v.n > 3 && memcmp(v.p + v.n - 2, "iB", 2) == 0)
        v.n -= 2;
    return read_scaled(v, "kKmMgGtT", factors, out);
}

static bool read_seconds(view v, int64_t *out)
{
    static const int64_t factors[] = { 1, 60, 3600, 86400 };
    return read_scaled(v, "smhd", factors, out);
}

/* "12.5" as 12500. */
static bool read_percent(view v, int64_t *out)
{
    view whole, rest = v;
    uint64_t a, b = 0;
    if (v.n > 0 && v.p[v.n - 1] == '%')
        rest.n--;
    view_cut(&rest, '.', &whole);
    if (!view_to_u64(whole, 100, &a) || (rest.p && (rest.n > 3 || !view_to_u64(rest, 999, &b))))
        return false;
    for (size_t i = rest.p ? rest.n : 3; i < 3; i++)
        b *= 10;
    *out = (int64_t)(a * 1000 + b);
    return *out <= 100000;
}

/* A day, a minute or a second in UTC; or how long ago. */
static bool read_time(const char *text, int64_t *out)
{
    static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S",
                                         "%Y-%m-%d %H:%M:%S" };
    int64_t ago_s;
    if (read_seconds(view_of(text), &ago_s)) {
        *out = clock_now_us(clock_system()) / 1000 - ago_s * 1000;
        return ago_s < 1000000000;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = { 0 };
        const char *end = strptime(text, forms[i], &tm);
        if (end && (*end == '\0' || strcmp(end, "Z") == 0)) {
            *out = (int64_t)timegm(&tm) * 1000;
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *choices, view v)
{
    view rest = view_of(choices), word;
    while (view_cut(&rest, ' ', &word))
        if (view_eq(word, v))
            return true;
    return false;
}

static bool read_number(const struct command_option *o, view v, int64_t *out)
{
    uint64_t n;
    int64_t most = o->least || o->most ? o->most : INT64_MAX;
    if (!view_to_u64(v, (uint64_t)most, &n) || (int64_t)n < o->least)
        return false;
    *out = (int64_t)n;
    return true;
}

static bool read_value(const struct command_option *o, const char *text, int64_t *out)
{
    view v = view_of(text);
    switch (o->type) {
    case OPTION_FLAG:
        return true;
    case OPTION_NUMBER:
        return read_number(o, v, out);
    case OPTION_PERCENT:
        return read_percent(v, out);
    case OPTION_SIZE:
        return option_read_size(v, out);
    case OPTION_SECONDS:
        return read_seconds(v, out);
    case OPTION_TIME:
        return read_time(text, out);
    case OPTION_CHOICE:
        return is_choice(o->choices, v);
    case OPTION_NODE:
        return ask_is_node_name(v);
    case OPTION_TEXT:
    case OPTION_FILE:
        return v.n > 0;
    }
    return false;
}

static int wrong_value(const struct command *c, const struct command_option *o, const char *text)
{
    static const char *const wanted[] = {
        [OPTION_FLAG] = "nothing",
        [OPTION_TEXT] = "a text",
        [OPTION_NUMBER] = "a number",
        [OPTION_PERCENT] = "a per cent from 0 to 100, like 5 or 2.5",
        [OPTION_SIZE] = "a number of bytes, like 512, 16k, 20m or 1g",
        [OPTION_SECONDS] = "a time like 30, 30s, 5m, 2h or 1d",
        [OPTION_TIME] = "a time (UTC) like 2026-05-01 or 2026-05-01T12:30, or how long ago, like 3d",
        [OPTION_CHOICE] = "one of",
        [OPTION_FILE] = "a file",
        [OPTION_NODE] = "the name of a node, like node7.example.net",
    };
    char bounds[64] = "";
    if (o->type == OPTION_NUMBER && (o->least || o->most))
        snprintf(bounds, sizeof(bounds), " from %" PRId64 " to %" PRId64, o->least, o->most);
    return admin_wrong("%s: --%s is \"%.60s\": must be %s%s%s%s", c->name, o->name, text, wanted[o->type],
                       bounds, o->choices ? " " : "", o->choices ? o->choices : "");
}

/* ---- the command line ---- */

static const struct option_given *given(const struct admin *a, const char *name, size_t i)
{
    for (size_t k = 0; k < a->n_given; k++)
        if (strcmp(a->given[k].option->name, name) == 0 && i-- == 0)
            return &a->given[k];
    return NULL;
}

static int take(struct admin *a, const struct command_option *o, const char *text)
{
    struct option_given g = { .option = o, .text = text };
    if (!o->many && given(a, o->name, 0))
        return admin_wrong("%s: --%s stands there twice", a->command->name, o->name);
    if (!read_value(o, text, &g.number))
        return wrong_value(a->command, o, text);
    a->given[a->n_given++] = g;
    return EXIT_DONE;
}

static int unknown(const struct command *c, const char *word, int why)
{
    if (why == ':')
        return admin_wrong("%s: there is nothing behind %.60s", c->name, word);
    if (strncmp(word, "--config", 8) == 0 || strncmp(word, "--set", 5) == 0)
        return admin_wrong("%.60s stands before the command: heddle-admin %.60s … %s", word, word, c->name);
    return admin_wrong(
        "%s: there is no option %.60s, or it takes no value; \"heddle-admin %s --help\" lists them", c->name,
        word, c->name);
}

/* argv[0] is the last word of the command: getopt wants something there, and moves the arguments behind the options. */
static int read_options(struct admin *a, int argc, char **argv)
{
    const struct command_option *options[OPTIONS_MAX];
    size_t n = command_options(a->command, options);
    struct option known[OPTIONS_MAX + 1] = { 0 };
    for (size_t i = 0; i < n; i++)
        known[i] = (struct option){ options[i]->name,
                                    options[i]->type == OPTION_FLAG ? no_argument : required_argument, NULL,
                                    (int)i + OPTION_FIRST };
    optind = 0; /* glibc: begin anew */
    for (;;) {
        int at = optind > 0 ? optind : 1;
        int got = getopt_long(argc, argv, ":", known, NULL);
        if (got < 0)
            break;
        if (got < OPTION_FIRST) /* '?' or ':' */
            return unknown(a->command, optind > at && optind <= argc ? argv[optind - 1] : argv[at], got);
        int status = take(a, options[got - OPTION_FIRST], optarg);
        if (status != EXIT_DONE)
            return status;
    }
    a->argc = argc - optind;
    a->argv = argv + optind;
    return EXIT_DONE;
}

int commands_parse(struct admin *a, const struct command *c, int words, int argc, char **argv, bool *out_help)
{
    a->command = c;
    a->given = mem_need(calloc((size_t)argc + 1, sizeof(*a->given)));
    int status = read_options(a, argc - words + 1, argv + words - 1);
    if (status != EXIT_DONE)
        return status;
    a->yes = option_given(a, "yes");
    a->json = option_given(a, "json");
    *out_help = option_given(a, "help");
    if (*out_help || (a->argc >= c->least && a->argc <= c->most))
        return EXIT_DONE;
    help_usage(stderr, c);
    return a->argc < c->least ? admin_wrong("%s: an argument is missing (--help tells more)", c->name)
                              : admin_wrong("%s: \"%.60s\" is one argument too many (--help tells more)",
                                            c->name, a->argv[c->most]);
}

void admin_done(struct admin *a)
{
    free(a->given);
    ask_free(a->ask);
    *a = (struct admin){ 0 };
}

/* ---- for verbs ---- */

static const struct command_option *option_of(const struct admin *a, const char *name)
{
    const struct command_option *options[OPTIONS_MAX];
    size_t n = command_options(a->command, options);
    for (size_t i = 0; i < n; i++)
        if (strcmp(options[i]->name, name) == 0)
            return options[i];
    abort(); /* the verb asks for an option that its row does not have */
}

bool option_given(const struct admin *a, const char *name)
{
    return given(a, name, 0) != NULL;
}

const char *option_text(const struct admin *a, const char *name)
{
    const struct option_given *g = given(a, name, 0);
    return g ? g->text : option_of(a, name)->fallback;
}

int64_t option_number(const struct admin *a, const char *name)
{
    const struct option_given *g = given(a, name, 0);
    const struct command_option *o = option_of(a, name);
    int64_t number = 0;
    if (g)
        return g->number;
    if (o->fallback && !read_value(o, o->fallback, &number))
        abort(); /* the table's own mistake; a unit test reads them all */
    return number;
}

const char *option_each(const struct admin *a, const char *name, size_t i)
{
    const struct option_given *g = given(a, name, i);
    return g ? g->text : NULL;
}
