#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/conf.h"
#include "common/base/log.h"
#include "common/base/scope.h"
#include "common/base/testing.h"

struct target {
    char *text, *password;
    int64_t number, size, seconds;
    bool yes;
    struct conf_list list, secrets;
};

#define AT(field) offsetof(struct target, field)

static const struct conf_key keys[] = {
    { "public.listen", CONF_TEXT, AT(text), "127.0.0.1:8000", 0, 0, 0, "", "Where to | listen." },
    { "public.workers", CONF_INT, AT(number), "16", 1, 64, CONF_RELOAD, "", "Threads." },
    { "store.password", CONF_TEXT, AT(password), "", 0, 0, CONF_SECRET, "", "Password of the database." },
    { "limits.body", CONF_SIZE, AT(size), "2m", 1024, 1 << 30, CONF_RELOAD, "bytes", "Largest body." },
    { "limits.wait", CONF_SECONDS, AT(seconds), "30", 0, 0, 0, "s", "Longest wait." },
    { "public.quick", CONF_BOOL, AT(yes), "no", 0, 0, 0, "", "Hurry." },
    { "node.urls", CONF_LIST, AT(list), "http://a, http://b", 0, 0, CONF_RELOAD, "", "Addresses." },
    { "tokens.secrets", CONF_LIST, AT(secrets), "", 0, 0, CONF_SECRET, "", "Secrets." },
};
#define KEYS (sizeof keys / sizeof keys[0])

/* A file that exists as long as the test program and has a path. */
struct temp {
    int fd;
    char path[32];
};

static struct temp temp_new(view text)
{
    struct temp t = { .fd = memfd_create("conf", MFD_CLOEXEC) };

    assert_true(t.fd >= 0);
    assert_int_equal(write(t.fd, text.p, text.n), (ssize_t)text.n);
    snprintf(t.path, sizeof t.path, "/proc/self/fd/%d", t.fd);
    return t;
}

static void temp_rewrite(const struct temp *t, const char *text)
{
    assert_int_equal(ftruncate(t->fd, 0), 0);
    assert_int_equal(pwrite(t->fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

#define ARGS(...)  ((char *[]){ (char *)(uintptr_t) "prog", __VA_ARGS__ })
#define COUNT(...) ((int)(sizeof ARGS(__VA_ARGS__) / sizeof(char *)))
#define W(literal) ((char *)(uintptr_t)(literal))

static struct target target;
static enum conf_wish wish;
static int first;
static struct err e;

static rc load_args(int argc, char **argv, struct conf **out)
{
    const struct conf_group group = { .keys = keys, .n = KEYS, .target = &target };

    target = (struct target){ 0 };
    e = ERR_NONE;
    first = -1;
    *out = NULL;
    return conf_load(argc, argv, &group, 1, out, &wish, &first, &e);
}

#define LOAD(out, ...) load_args(COUNT(__VA_ARGS__), ARGS(__VA_ARGS__), (out))

static rc load_text(view text, struct conf **out)
{
    struct temp t = temp_new(text);
    rc r = LOAD(out, W("--config"), t.path);

    close(t.fd);
    return r;
}

static void assert_list(struct conf_list l, const char *joined)
{
    SCOPED(buf_done) struct buf b = { 0 };

    for (size_t i = 0; i < l.n; i++)
        buf_addf(&b, "%s%s", i ? "|" : "", l.items[i]);
    assert_string_equal(buf_text(&b), joined);
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in: %s", part, text);
}

/* Not inlined: GCC 12 then takes what open_memstream filled for a pointer into this frame. */
__attribute__((noinline)) static char *shown(const struct conf *c) /* free it */
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    conf_show(c, f);
    fclose(f);
    return text;
}

/* --- */

static void without_options_the_defaults_are_in_force(void **state)
{
    struct conf *c;

    (void)state;
    assert_int_equal(load_args(1, ARGS(NULL), &c), RC_OK);
    assert_int_equal(wish, CONF_RUN);
    assert_int_equal(first, 1);
    assert_string_equal(target.text, "127.0.0.1:8000");
    assert_string_equal(target.password, "");
    assert_int_equal(target.number, 16);
    assert_int_equal(target.size, 2 << 20);
    assert_int_equal(target.seconds, 30);
    assert_false(target.yes);
    assert_list(target.list, "http://a|http://b");
    assert_int_equal(target.secrets.n, 0);
    conf_free(c);
}

static void files_are_read_as_people_write_them(void **state)
{
    static const char text[] =
        "\xef\xbb\xbf# a comment that is long enough to be cut by the library and whose rest would be a line "
        "of its own, [limits], or a key = value, if nobody took care of it; it goes on and on and on "
        "and on\n"
        "; another ; one\n"
        "\n"
        "[public]\r\n"
        "listen = 0.0.0.0:80\r\n"
        "  workers=3\n"
        "\tquick : On\n"
        " [limits]\n"
        "body = 64 KiB\n"
        "wait = 2h\n"
        "[store]\n"
        "password = a;b=c:d\n"
        "[node]\n"
        "urls = x, y,,\n"
        "urls = z";
    struct conf *c;

    (void)state;
    if (load_text(view_of(text), &c) != RC_OK)
        fail_msg("%s", e.text);
    assert_string_equal(target.text, "0.0.0.0:80");
    assert_int_equal(target.number, 3);
    assert_true(target.yes);
    assert_int_equal(target.size, 65536);
    assert_int_equal(target.seconds, 7200);
    assert_string_equal(target.password, "a;b=c:d");
    assert_list(target.list, "x|y|z");
    conf_free(c);
}

#define TEN         "0123456789"
#define HUNDRED     TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define LONG_188    HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN "01234567"
#define LINE_OF_199 "listen = " LONG_188 "89"

static void a_line_of_199_bytes_is_taken_whole_and_a_longer_one_refused(void **state)
{
    struct conf *c;

    (void)state;
    assert_int_equal(strlen(LINE_OF_199), 199);
    assert_int_equal(load_text(VIEW("[public]\n" LINE_OF_199 "\nworkers = 5\n"), &c), RC_OK);
    assert_int_equal(strlen(target.text), 190);
    assert_int_equal(target.number, 5);
    conf_free(c);
    assert_int_equal(load_text(VIEW("[public]\n" LINE_OF_199 "x\n"), &c), RC_BAD_INPUT);
    assert_holds(e.text, "line 2: the line is longer than 199 bytes");
}

static const struct {
    view text;
    const char *sentence;
} wrong_files[] = {
    { VIEW("[public]\nlisten = a ; b\n"), "line 2: a blank and a semicolon begin a comment" },
    { VIEW("[public]\nlisten = a\t;b\n"), "line 2: a blank and a semicolon begin a comment" },
    { VIEW("[public] ; the door\n"), "line 1: a blank and a semicolon begin a comment" },
    { VIEW("[public]\n\n# x\nlisen = a\n"),
      "line 4: there is no key \"public.lisen\"; did you mean \"public.listen\"?" },
    { VIEW("[store]\nlisten = a\n"),
      "line 2: there is no key \"store.listen\"; did you mean \"public.listen\"?" },
    { VIEW("[public]\nLISTEN = a\n"), "did you mean \"public.listen\"?" },
    { VIEW("[public]\nxyzzy = a\n"), "there is no key \"public.xyzzy\"; --help lists them all." },
    { VIEW("listen = a\n"), "line 1: the key \"listen\" stands before the first [section]." },
    { VIEW("[public\nlisten = a\n"), "line 1: the section's name has no \"]\" behind it." },
    { VIEW("[public] x\n"), "line 1: only the section's name in brackets may stand here." },
    { VIEW("[public]\nlisten\n"), "line 2: \"listen\" is neither a [section] nor a key = value." },
    { VIEW("[public]\n= a\n"), "line 2: the name of a key is missing before \"=\"." },
    { VIEW("[public]\nlisten = a\0b\n"), "line 2: there is a control byte" },
    { VIEW("[public]\nlisten = a\vb\n"), "line 2: there is a control byte" },
    { VIEW("[public]\nlisten = a\rb\r\n"), "line 2: there is a control byte" },
    { VIEW("[public]\nworkers = many\n"), "line 2: public.workers must be a whole number, not \"many\"." },
    { VIEW("[public]\nworkers =\n"), "public.workers must be a whole number, not \"\"." },
    { VIEW("[public]\nworkers = 3x\n"), "public.workers must be a whole number" },
    { VIEW("[public]\nworkers = 99999999999999999999\n"), "public.workers must be a whole number" },
    { VIEW("[public]\nworkers = 0\n"), "public.workers must lie between 1 and 64, not be \"0\"." },
    { VIEW("[public]\nworkers = 65\n"), "public.workers must lie between 1 and 64, not be \"65\"." },
    { VIEW("[public]\nworkers = 65\nworkers = 5\n"), "line 2: public.workers must lie between" },
    { VIEW("[public]\nquick = maybe\n"), "public.quick must be yes or no, not \"maybe\"." },
    { VIEW("[limits]\nbody = 1000\n"),
      "limits.body must lie between 1024 and 1073741824 bytes, not be \"1000\"." },
    { VIEW("[limits]\nbody = 2 mm\n"), "limits.body must be a size such as 512, 16k or 2m" },
    { VIEW("[limits]\nbody = -2k\n"), "limits.body must be a size" },
    { VIEW("[limits]\nbody = 9223372036854775807k\n"), "limits.body must be a size" },
    { VIEW("[limits]\nwait = 100ms\n"), "limits.wait must be a time in seconds" },
    { VIEW("[node]\nurls = @/does/not/exist\n"), "line 2: cannot open \"/does/not/exist\": No such file" },
    { VIEW("[node]\nurls = @\n"), "line 2: node.urls: the name of a file is missing" },
    { VIEW("[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\nurls = a\n"),
      "no section with so long a name" },
    { VIEW(
          "[public]\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = a\n"),
      "no key with so long a name" },
};

static void what_is_wrong_with_a_file_is_told_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong_files / sizeof wrong_files[0]; i++) {
        struct conf *c;

        if (load_text(wrong_files[i].text, &c) != RC_BAD_INPUT)
            fail_msg("taken: %s", wrong_files[i].text.p);
        assert_null(c);
        assert_int_equal(first, -1);
        assert_holds(e.text, wrong_files[i].sentence);
        assert_holds(e.text, "/proc/self/fd/");
    }
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    struct conf *c;

    (void)state;
    assert_int_equal(LOAD(&c, W("--config"), W("/does/not/exist.ini")), RC_BAD_INPUT);
    assert_string_equal(e.text, "--config: cannot open \"/does/not/exist.ini\": No such file or directory.");
    assert_int_equal(LOAD(&c, W("--config=/")), RC_BAD_INPUT);
    assert_holds(e.text, "cannot read \"/\"");
    assert_int_equal(LOAD(&c, W("--config=/dev/zero")), RC_BAD_INPUT);
    assert_holds(e.text, "is larger than 1048576 bytes");
}

static void numbers_come_with_units(void **state)
{
    static const struct {
        const char *arg;
        int64_t value;
    } cases[] = {
        { "limits.body=2048", 2048 },   { "limits.body=16k", 16384 },
        { "limits.body=16KiB", 16384 }, { "limits.body= 16 kib ", 16384 },
        { "limits.body=2M", 2 << 20 },  { "limits.body=1g", 1 << 30 },
        { "limits.wait=0", 0 },         { "limits.wait=30s", 30 },
        { "limits.wait=5m", 300 },      { "limits.wait=1d", 86400 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct conf *c;

        assert_int_equal(LOAD(&c, W("--set"), W(cases[i].arg)), RC_OK);
        assert_int_equal(cases[i].arg[7] == 'b' ? target.size : target.seconds, cases[i].value);
        conf_free(c);
    }
}

static void booleans_have_four_pairs_of_words(void **state)
{
    static const char *const words[] = { "no", "yes", "false", "TRUE", "off", "on", "0", "1" };

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        char arg[32];
        struct conf *c;

        snprintf(arg, sizeof arg, "public.quick=%s", words[i]);
        assert_int_equal(LOAD(&c, W("--set"), arg), RC_OK);
        assert_int_equal(target.yes, i % 2);
        conf_free(c);
    }
}

static void later_sources_win_and_lists_begin_anew_in_each(void **state)
{
    struct temp a = temp_new(
        VIEW("[public]\nworkers=2\nlisten=a\nquick=yes\n[node]\nurls=1,2\nurls=3\n[limits]\nwait=1\n"));
    struct temp b = temp_new(VIEW("[public]\nworkers=3\nlisten=b\n[node]\nurls=4\n"));
    struct conf *c;

    (void)state;
    assert_int_equal(
        LOAD(&c, W("--set"), W("public.workers=4"), W("--config"), a.path, W("--config"), b.path), RC_OK);
    assert_int_equal(target.number, 4);
    assert_string_equal(target.text, "b");
    assert_true(target.yes);
    assert_int_equal(target.seconds, 1);
    assert_list(target.list, "4");
    conf_free(c);
    assert_int_equal(LOAD(&c, W("--config"), a.path, W("--set=node.urls=5"), W("--set=node.urls = 6,7")),
                     RC_OK);
    assert_list(target.list, "5|6|7");
    conf_free(c);
    assert_int_equal(LOAD(&c, W("--config"), a.path, W("--set=node.urls=")), RC_OK);
    assert_list(target.list, "");
    conf_free(c);
    close(a.fd);
    close(b.fd);
}

static void a_list_can_stand_in_a_file_of_its_own(void **state)
{
    struct temp t = temp_new(VIEW("one,with comma\r\n\n  two  \n#three\n"));
    char arg[64];
    struct conf *c;

    (void)state;
    snprintf(arg, sizeof arg, "tokens.secrets=zero,@%s,four", t.path);
    assert_int_equal(LOAD(&c, W("--set"), arg), RC_OK);
    assert_list(target.secrets, "zero|one,with comma|two|#three|four");
    conf_free(c);
    close(t.fd);
}

static void the_command_line_is_read_up_to_the_first_plain_word(void **state)
{
    struct conf *c;

    (void)state;
    assert_int_equal(
        LOAD(&c, W("--check-config"), W("--set"), W("public.workers=7"), W("move"), W("--set"), W("x")),
        RC_OK);
    assert_int_equal(wish, CONF_CHECK);
    assert_int_equal(first, 4);
    assert_int_equal(target.number, 7);
    conf_free(c);
    assert_int_equal(LOAD(&c, W("--show-config"), W("--"), W("--odd")), RC_OK);
    assert_int_equal(wish, CONF_SHOW);
    assert_int_equal(first, 3);
    conf_free(c);
}

static void help_and_version_need_no_file(void **state)
{
    struct conf *c;

    (void)state;
    assert_int_equal(LOAD(&c, W("--config"), W("/does/not/exist"), W("--help"), W("--nonsense")), RC_OK);
    assert_int_equal(wish, CONF_HELP);
    assert_int_equal(target.number, 16);
    conf_free(c);
    assert_int_equal(LOAD(&c, W("--version")), RC_OK);
    assert_int_equal(wish, CONF_VERSION);
    conf_free(c);
}

static void a_wrong_command_line_is_told(void **state)
{
    struct conf *c;

    (void)state;
    assert_int_equal(LOAD(&c, W("--confg"), W("x")), RC_BAD_INPUT);
    assert_string_equal(e.text, "There is no option \"--confg\"; --help lists them all.");
    assert_int_equal(LOAD(&c, W("--config")), RC_BAD_INPUT);
    assert_string_equal(e.text, "--config: there is nothing behind it.");
    assert_int_equal(LOAD(&c, W("--set"), W("public.workers")), RC_BAD_INPUT);
    assert_string_equal(e.text, "--set: \"public.workers\" is not SECTION.KEY=VALUE.");
    assert_int_equal(LOAD(&c, W("--set"), W("public.worker=3")), RC_BAD_INPUT);
    assert_string_equal(
        e.text, "--set public.worker: there is no key \"public.worker\"; did you mean \"public.workers\"?");
    assert_int_equal(LOAD(&c, W("--set"), W("public.workers=300")), RC_BAD_INPUT);
    assert_string_equal(e.text,
                        "--set public.workers: public.workers must lie between 1 and 64, not be \"300\".");
}

static void a_default_out_of_bounds_is_found_at_once(void **state)
{
    static const struct conf_key bad[] = { { "a.b", CONF_INT, 0, "5", 10, 20, 0, "", "B." } };
    int64_t number = 0;
    const struct conf_group group = { .keys = bad, .n = 1, .target = &number };
    struct conf *c = NULL;

    (void)state;
    e = ERR_NONE;
    assert_int_equal(conf_load(1, ARGS(NULL), &group, 1, &c, &wish, &first, &e), RC_BAD_INPUT);
    assert_holds(e.text, "the built-in default: a.b must lie between 10 and 20");
}

static void a_key_of_two_groups_is_set_in_both_and_shown_once(void **state)
{
    struct target two = { 0 };
    const struct conf_group groups[] = { { .keys = keys, .n = 2, .target = &target },
                                         { .keys = keys, .n = KEYS, .target = &two } };
    struct conf *c = NULL;
    char *text;

    (void)state;
    e = ERR_NONE;
    assert_int_equal(conf_load(2, ARGS(W("--set=public.workers=9")), groups, 2, &c, &wish, &first, &e),
                     RC_OK);
    assert_int_equal(target.number, 9);
    assert_int_equal(two.number, 9);
    text = shown(c);
    assert_holds(text, "workers = 9\n");
    assert_null(strstr(strstr(text, "workers = 9") + 1, "workers = 9"));
    free(text);
    conf_free(c);
}

static void what_is_shown_can_be_loaded_again_and_holds_no_secret(void **state)
{
    struct conf *c;
    char *text, *again;
    struct temp t;

    (void)state;
    assert_int_equal(LOAD(&c, W("--set=store.password=hush"), W("--set=tokens.secrets=hush,hush2"),
                          W("--set=limits.body=3m"), W("--set=node.urls=p,q"), W("--set=public.listen=")),
                     RC_OK);
    text = shown(c);
    conf_free(c);
    assert_null(strstr(text, "hush"));
    assert_holds(text, "\n[public]\n# Where to | listen.\nlisten =\n");
    assert_holds(text, "quick = no\n\n[store]\n"); /* sections in one piece, though the table is not */
    assert_holds(text, "# password = (set)\n");
    assert_holds(text, "# secrets = (set)\n");
    assert_holds(text, "body = 3m\n");
    assert_holds(text, "urls = p\nurls = q\n");
    t = temp_new(view_of(text));
    assert_int_equal(LOAD(&c, W("--config"), t.path), RC_OK);
    assert_string_equal(target.text, "");
    assert_string_equal(target.password, "");
    assert_int_equal(target.size, 3 << 20);
    assert_list(target.list, "p|q");
    again = shown(c);
    assert_holds(again, "# password = (not set)\n");
    assert_holds(again, "# secrets = (not set)\n");
    free(again);
    free(text);
    conf_free(c);
    close(t.fd);
}

static void a_value_that_no_file_can_hold_is_shown_as_a_comment(void **state)
{
    struct conf *c;
    char *text;

    (void)state;
    assert_int_equal(LOAD(&c, W("--set=public.listen=a ; b")), RC_OK);
    assert_string_equal(target.text, "a ; b");
    text = shown(c);
    assert_holds(text, "give it by --set:\n# listen=a ; b\n");
    free(text);
    conf_free(c);
}

static void what_just_fits_a_line_is_shown_so_that_it_fits_again(void **state)
{
    static const char *const lines[] = { "public.listen=;a", "public.listen=" LONG_188 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct conf *c;
        struct temp t;
        char *text;

        assert_int_equal(LOAD(&c, W("--set"), W(lines[i])), RC_OK);
        text = shown(c);
        conf_free(c);
        t = temp_new(view_of(text));
        assert_int_equal(LOAD(&c, W("--config"), t.path), RC_OK);
        assert_string_equal(target.text, lines[i] + 14);
        free(text);
        conf_free(c);
        close(t.fd);
    }
}

static void a_secret_that_does_not_parse_is_not_repeated(void **state)
{
    static const struct conf_key bad[] = { { "a.b", CONF_INT, 0, "5", 0, 0, CONF_SECRET, "", "B." } };
    int64_t number = 0;
    const struct conf_group group = { .keys = bad, .n = 1, .target = &number };
    struct conf *c = NULL;

    (void)state;
    e = ERR_NONE;
    assert_int_equal(conf_load(2, ARGS(W("--set=a.b=hush")), &group, 1, &c, &wish, &first, &e), RC_BAD_INPUT);
    assert_null(strstr(e.text, "hush"));
}

/* The caller's, free(). */
static char *manual_of(const struct conf_key *those)
{
    const struct conf_group group = { .keys = those, .n = KEYS, .target = NULL };
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    conf_manual(&group, 1, f);
    fclose(f);
    return text;
}

static void the_manual_is_a_table(void **state)
{
    char *text = manual_of(keys);

    (void)state;
    assert_holds(text, "| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    assert_holds(text, "| `public.listen` | text | `127.0.0.1:8000` | Where to \\| listen. |\n");
    assert_holds(text, "| `public.workers` | number, 1 … 64, followed on SIGHUP | `16` | Threads. |\n");
    assert_holds(
        text,
        "| `limits.body` | size, bytes, 1024 … 1073741824, followed on SIGHUP | `2m` | Largest body. |\n");
    assert_holds(text, "| `store.password` | text, secret | | Password of the database. |\n");
    free(text);
}

static void a_program_may_have_defaults_of_its_own(void **state)
{
    static const struct conf_default own[] = { { "public.workers", "3" }, { "of.others", "x" } };
    struct conf_key *mine = conf_keys_with(keys, KEYS, own, 2);
    char *text = manual_of(mine);

    (void)state;
    assert_holds(text, "| `public.workers` | number, 1 … 64, followed on SIGHUP | `3` | Threads. |\n");
    assert_holds(text, "| `public.listen` | text | `127.0.0.1:8000` | Where to \\| listen. |\n");
    free(text);
    free(mine);
}

static void a_reload_changes_marked_keys_and_names_the_others_in_the_log(void **state)
{
    struct temp t = temp_new(VIEW("[public]\nworkers=2\nlisten=a\n[node]\nurls=1,2\n[limits]\nwait=5\n"));
    struct target fresh = { 0 };
    const struct conf_group group = { .keys = keys, .n = KEYS, .target = &fresh };
    char said[4096] = "", *text;
    int log[2];
    struct conf *c;
    char **list_before;

    (void)state;
    assert_int_equal(pipe(log), 0);
    log_setup(log[1], LOG_JSON, LOG_INFO);
    assert_int_equal(LOAD(&c, W("--config"), t.path, W("--set=limits.body=4k")), RC_OK);
    list_before = target.list.items;

    temp_rewrite(&t, "[public]\nworkers=3\nlisten=b\n[node]\nurls=1\nurls=2\n[limits]\nwait=5\n");
    assert_int_equal(conf_reload(c, &group, 1, &e), RC_OK);
    assert_int_equal(fresh.number, 3);
    assert_string_equal(fresh.text, "a");
    assert_int_equal(fresh.seconds, 5);
    assert_int_equal(fresh.size, 4096); /* --set still wins */
    assert_ptr_equal(fresh.list.items, list_before);
    assert_int_equal(target.number, 2);
    LOG(LOG_INFO, "end", LOG_I("n", 0));
    assert_true(read(log[0], said, sizeof said - 1) > 0);
    assert_holds(said, "\"key\":\"public.listen\"");
    assert_null(strstr(said, "public.workers"));
    assert_null(strstr(said, "limits.wait"));
    text = shown(c);
    assert_holds(text, "workers = 3\n");
    assert_holds(text, "listen = a\n");
    free(text);

    temp_rewrite(&t, "[public]\nworkers=300\n");
    assert_int_equal(conf_reload(c, &group, 1, &e), RC_BAD_INPUT);
    assert_holds(e.text, "line 2: public.workers must lie between");
    text = shown(c);
    assert_holds(text, "workers = 3\n");
    free(text);
    conf_free(c);
    close(t.fd);
    close(log[0]);
    close(log[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_the_defaults_are_in_force),
        cmocka_unit_test(files_are_read_as_people_write_them),
        cmocka_unit_test(a_line_of_199_bytes_is_taken_whole_and_a_longer_one_refused),
        cmocka_unit_test(what_is_wrong_with_a_file_is_told_with_its_line),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(numbers_come_with_units),
        cmocka_unit_test(booleans_have_four_pairs_of_words),
        cmocka_unit_test(later_sources_win_and_lists_begin_anew_in_each),
        cmocka_unit_test(a_list_can_stand_in_a_file_of_its_own),
        cmocka_unit_test(the_command_line_is_read_up_to_the_first_plain_word),
        cmocka_unit_test(help_and_version_need_no_file),
        cmocka_unit_test(a_wrong_command_line_is_told),
        cmocka_unit_test(a_default_out_of_bounds_is_found_at_once),
        cmocka_unit_test(a_key_of_two_groups_is_set_in_both_and_shown_once),
        cmocka_unit_test(what_is_shown_can_be_loaded_again_and_holds_no_secret),
        cmocka_unit_test(a_value_that_no_file_can_hold_is_shown_as_a_comment),
        cmocka_unit_test(what_just_fits_a_line_is_shown_so_that_it_fits_again),
        cmocka_unit_test(a_secret_that_does_not_parse_is_not_repeated),
        cmocka_unit_test(the_manual_is_a_table),
        cmocka_unit_test(a_program_may_have_defaults_of_its_own),
        cmocka_unit_test(a_reload_changes_marked_keys_and_names_the_others_in_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
