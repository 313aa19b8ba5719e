#include "common/base/testing.h"

#include <ctype.h>
#include <unistd.h>

#include "admin/commands.h"
#include "common/base/buf.h"

/* ---- the table itself ---- */

static void every_command_has_help_an_example_and_a_group(void **state)
{
    (void)state;
    const struct command *c;
    for (size_t i = 0; (c = command_at(i)); i++) {
        bool grouped = false;
        size_t n = strcspn(c->name, " ");
        for (const struct command_group *g = command_groups; g->name; g++)
            grouped = grouped || (strlen(g->name) == n && memcmp(g->name, c->name, n) == 0);
        if (!grouped || !c->run || !c->help || !c->examples[0]) {
            fail_msg("%s: no group, no function, no help or no example", c->name);
            return;
        }
        if (isupper((unsigned char)c->help[0]) || c->help[strlen(c->help) - 1] == '.')
            fail_msg("%s: help is a line without a capital and a full stop", c->name);
        if (c->least > c->most || (c->most > 0) != (c->arguments != NULL))
            fail_msg("%s: the number of arguments", c->name);
    }
    assert_true(command_at(0) != NULL);
}

static void no_two_commands_have_one_name(void **state)
{
    (void)state;
    const struct command *a, *b;
    for (size_t i = 0; (a = command_at(i)); i++)
        for (size_t k = i + 1; (b = command_at(k)); k++)
            assert_string_not_equal(a->name, b->name);
}

static void options_are_whole_and_their_fallbacks_are_good(void **state)
{
    (void)state;
    const struct command *c;
    for (size_t i = 0; (c = command_at(i)); i++) {
        const struct command_option *options[COMMAND_OPTIONS_MAX];
        size_t n = command_options(c, options);
        struct admin a = { .command = c };
        for (size_t k = 0; k < n; k++) {
            const struct command_option *o = options[k];
            if ((o->type == OPTION_FLAG) != (o->value == NULL) ||
                (o->type == OPTION_CHOICE) != (o->choices != NULL))
                fail_msg("%s --%s: value or choices", c->name, o->name);
            if (o->fallback && o->type != OPTION_TEXT && o->type != OPTION_FILE)
                (void)option_number(&a, o->name); /* ends the program where it is wrong */
            for (size_t m = k + 1; m < n; m++)
                assert_string_not_equal(o->name, options[m]->name);
        }
    }
}

/* Cuts a line of an example into words, as far as a shell would hand them to us. */
static int cut(char *line, char **argv, int most)
{
    int n = 0;
    char *rest = line, *word;
    while ((word = strsep(&rest, " ")) && n < most)
        if (word[0] && (strchr("|><#", word[0]) || strcmp(word, "&&") == 0))
            break;
        else if (word[0])
            argv[n++] = word;
    return n;
}

static void every_example_parses(void **state)
{
    (void)state;
    const struct command *c;
    for (size_t i = 0; (c = command_at(i)); i++)
        for (size_t k = 0; k < EXAMPLES_MAX && c->examples[k]; k++) {
            const char *from = strstr(c->examples[k], "heddle-admin ");
            assert_non_null(from);
            char *line = strdup(from), *argv[64];
            int n = cut(line, argv, 63), words = 0;
            const struct command *found = command_find(n - 1, argv + 1, &words);
            struct admin a = { 0 };
            bool help = false;
            if (!found || commands_parse(&a, found, words, n - 1, argv + 1, &help) != EXIT_DONE)
                fail_msg("%s: the example \"%s\" is wrong", c->name, c->examples[k]);
            admin_done(&a);
            free(line);
        }
}

/* ---- parsing ---- */

static int nothing(struct admin *a)
{
    (void)a;
    return EXIT_DONE;
}

static const struct command_option options[] = {
    { .name = "to", .type = OPTION_NODE, .value = "NODE", .help = "x" },
    { .name = "count",
      .type = OPTION_NUMBER,
      .value = "N",
      .help = "x",
      .least = 2,
      .most = 9,
      .fallback = "3" },
    { .name = "rate", .type = OPTION_SIZE, .value = "BYTES", .help = "x" },
    { .name = "for", .type = OPTION_SECONDS, .value = "TIME", .help = "x" },
    { .name = "limit", .type = OPTION_PERCENT, .value = "PCT", .help = "x" },
    { .name = "by",
      .type = OPTION_CHOICE,
      .value = "WHAT",
      .help = "x",
      .choices = "users bytes",
      .fallback = "users" },
    { .name = "since", .type = OPTION_TIME, .value = "TIME", .help = "x" },
    { .name = "also", .type = OPTION_TEXT, .value = "TEXT", .help = "x", .many = true },
    { .name = "fast", .type = OPTION_FLAG, .help = "x" },
    OPTIONS_END,
};
static const struct command command = { .name = "try it",
                                        .arguments = "A [B]",
                                        .least = 1,
                                        .most = 2,
                                        .help = "x",
                                        .options = options,
                                        .danger = "x",
                                        .run = nothing };

struct line {
    struct admin a;
    char *argv[16];
    bool help;
    int status;
};

static void done(struct line *l)
{
    for (int i = 0; l->argv[i]; i++)
        free(l->argv[i]);
    admin_done(&l->a);
}

/* stderr goes nowhere: it is said to a person. */
static void parse(struct line *l, const char *text)
{
    char *copy = strdup(text), *rest = copy, *word;
    int n = 0, keep = dup(2);
    *l = (struct line){ 0 };
    while ((word = strsep(&rest, " ")))
        l->argv[n++] = strdup(word);
    free(copy);
    assert_non_null(freopen("/dev/null", "w", stderr));
    /* getopt permutes pointers: free what is in argv afterwards, whatever its order */
    l->status = commands_parse(&l->a, &command, 2, n, l->argv, &l->help);
    fflush(stderr);
    dup2(keep, 2);
    close(keep);
}

static void options_stand_anywhere_among_the_arguments(void **state)
{
    (void)state;
    struct line l;
    parse(&l,
          "try it one --fast --to node7.example.net:80 two --rate=20m --for 2h --limit 12.5 --json --yes");
    assert_int_equal(l.status, EXIT_DONE);
    assert_int_equal(l.a.argc, 2);
    assert_string_equal(l.a.argv[0], "one");
    assert_string_equal(l.a.argv[1], "two");
    assert_string_equal(option_text(&l.a, "to"), "node7.example.net:80");
    assert_true(option_given(&l.a, "fast") && l.a.json && l.a.yes);
    assert_int_equal(option_number(&l.a, "rate"), 20 << 20);
    assert_int_equal(option_number(&l.a, "for"), 7200);
    assert_int_equal(option_number(&l.a, "limit"), 12500);
    assert_int_equal(option_number(&l.a, "count"), 3);
    assert_string_equal(option_text(&l.a, "by"), "users");
    assert_false(option_given(&l.a, "by"));
    done(&l);
}

static void words_behind_two_dashes_are_arguments(void **state)
{
    (void)state;
    struct line l;
    parse(&l, "try it -- --fast");
    assert_int_equal(l.status, EXIT_DONE);
    assert_int_equal(l.a.argc, 1);
    assert_string_equal(l.a.argv[0], "--fast");
    assert_false(option_given(&l.a, "fast"));
    done(&l);
}

static void an_option_may_be_repeated_only_where_the_table_says_so(void **state)
{
    (void)state;
    struct line l;
    parse(&l, "try it one --also a --also b");
    assert_int_equal(l.status, EXIT_DONE);
    assert_string_equal(option_each(&l.a, "also", 0), "a");
    assert_string_equal(option_each(&l.a, "also", 1), "b");
    assert_null(option_each(&l.a, "also", 2));
    done(&l);
    parse(&l, "try it one --count 4 --count 5");
    assert_int_equal(l.status, EXIT_MISUSED);
    done(&l);
}

static void what_is_wrong_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "try it",
        "try it a b c",
        "try it a --nothing",
        "try it a -x",
        "try it a --to",
        "try it a --to ../x",
        "try it a --to a/b",
        "try it a --count 1",
        "try it a --count 10",
        "try it a --count -3",
        "try it a --count 3x",
        "try it a --count=",
        "try it a --fast=yes",
        "try it a --rate 3q",
        "try it a --rate m",
        "try it a --rate 99999999999999999999",
        "try it a --rate 9999999999999999g",
        "try it a --for 3w",
        "try it a --limit 100.1",
        "try it a --limit 1.2345",
        "try it a --limit .",
        "try it a --by rows",
        "try it a --since yesterday",
        "try it a --since 2026-13-01",
        "try it a --also=",
        "try it a --config x",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct line l;
        parse(&l, lines[i]);
        if (l.status != EXIT_MISUSED)
            fail_msg("\"%s\" was taken", lines[i]);
        done(&l);
    }
}

static void times_are_utc(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = { { "2026-01-01", 1767225600000 },
                  { "2026-01-01T00:01", 1767225660000 },
                  { "2026-01-01T00:00:01Z", 1767225601000 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct line l;
        char text[80];
        snprintf(text, sizeof(text), "try it a --since %s", cases[i].text);
        parse(&l, text);
        assert_int_equal(l.status, EXIT_DONE);
        assert_int_equal(option_number(&l.a, "since"), cases[i].ms);
        done(&l);
    }
}

static void help_is_given_whatever_is_missing(void **state)
{
    (void)state;
    struct line l;
    parse(&l, "try it --help");
    assert_int_equal(l.status, EXIT_DONE);
    assert_true(l.help);
    done(&l);
}

static void the_longest_name_is_found(void **state)
{
    (void)state;
    char *two[] = { (char[]){ "audit" }, (char[]){ "verify" } };
    int words = 0;
    assert_string_equal(command_find(2, two, &words)->name, "audit verify");
    assert_int_equal(words, 2);
    assert_string_equal(command_find(1, two, &words)->name, "audit");
    assert_int_equal(words, 1);
    assert_null(command_find(0, two, &words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_has_help_an_example_and_a_group),
        cmocka_unit_test(no_two_commands_have_one_name),
        cmocka_unit_test(options_are_whole_and_their_fallbacks_are_good),
        cmocka_unit_test(every_example_parses),
        cmocka_unit_test(options_stand_anywhere_among_the_arguments),
        cmocka_unit_test(words_behind_two_dashes_are_arguments),
        cmocka_unit_test(an_option_may_be_repeated_only_where_the_table_says_so),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(times_are_utc),
        cmocka_unit_test(help_is_given_whatever_is_missing),
        cmocka_unit_test(the_longest_name_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
