#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/testing.h"

/* A pipe in the place of stderr. Reading never waits: what is not there yet was not written. */
struct drain {
    int in, out;
    char text[65536 + 1];
    size_t n;
};

static struct drain drain;

static int open_drain(void **state)
{
    int fds[2];

    (void)state;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    drain.out = fds[0];
    drain.in = fds[1];
    return 0;
}

static int close_drain(void **state)
{
    (void)state;
    close(drain.in);
    close(drain.out);
    return 0;
}

static const char *logged(void)
{
    ssize_t n;

    drain.n = 0;
    while ((n = read(drain.out, drain.text + drain.n, sizeof drain.text - 1 - drain.n)) > 0)
        drain.n += (size_t)n;
    drain.text[drain.n] = '\0';
    return drain.text;
}

static json_t *logged_json(void)
{
    struct err e = ERR_NONE;
    json_t *line = NULL;
    const char *text = logged();

    if (json_read(view_of(text), 2, JSON_READ_NO_DUPLICATES, &line, &e) != RC_OK)
        fail_msg("%s: %s", e.text, text);
    assert_int_equal(text[drain.n - 1], '\n');
    return line;
}

static const char *member(const json_t *line, const char *name)
{
    return json_string_value(json_object_get(line, name));
}

static void assert_iso_time(const char *text)
{
    static const char shape[] = "20dd-dd-ddTdd:dd:dd.dddZ";

    assert_int_equal(strlen(text), sizeof shape - 1);
    for (size_t i = 0; shape[i]; i++)
        assert_true(shape[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == shape[i]);
}

static void a_line_is_one_object_with_time_level_event_and_fields(void **state)
{
    json_t *line;

    (void)state;
    log_setup(drain.in, LOG_JSON, LOG_INFO);
    LOG(LOG_WARN, "cache lost", LOG_S("driver", "redis"), LOG_I("retry_s", -5), LOG_V("nothing", VIEW_NONE));
    line = logged_json();
    assert_iso_time(member(line, "time"));
    assert_string_equal(member(line, "level"), "warn");
    assert_string_equal(member(line, "event"), "cache lost");
    assert_string_equal(member(line, "driver"), "redis");
    assert_int_equal(json_integer_value(json_object_get(line, "retry_s")), -5);
    assert_true(json_is_null(json_object_get(line, "nothing")));
    json_decref(line);
}

static void values_cannot_break_out_of_their_line(void **state)
{
    static const struct {
        view in;
        const char *out;
    } cases[] = {
        { VIEW("a\"b\\c"), "a\"b\\c" },
        { VIEW("x\n{\"level\":\"error\"}\r"), "x\n{\"level\":\"error\"}\r" },
        { VIEW("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
        { VIEW("\xff"), "\\xff" },
        { VIEW("a\xc3"), "a\\xc3" },
        { VIEW("\xc0\x80\xed\xa0\x80"), "\\xc0\\x80\\xed\\xa0\\x80" },
        { VIEW("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80" },
        { VIEW("\x1b[31m\x7f\xc2\x9b"), "\x1b[31m\x7f\xc2\x9b" },
    };

    (void)state;
    log_setup(drain.in, LOG_JSON, LOG_INFO);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *line;

        LOG(LOG_INFO, "test", LOG_V("v", cases[i].in));
        line = logged_json();
        assert_string_equal(member(line, "v"), cases[i].out);
        for (size_t k = 0; k + 1 < drain.n; k++) /* as written: no control bytes but the last newline */
            assert_true((unsigned char)drain.text[k] >= 0x20 && drain.text[k] != 0x7f);
        assert_null(strstr(drain.text, "\xc2\x9b"));
        json_decref(line);
    }
}

static void a_terminal_gets_plain_text_without_control_bytes(void **state)
{
    const char *text;

    (void)state;
    log_setup(drain.in, LOG_PLAIN, LOG_INFO);
    LOG(LOG_ERROR, "cannot start", LOG_S("why", "no \x1b[31m disk"), LOG_S("file", "/a/b"),
        LOG_S("empty", ""), LOG_I("n", 7), LOG_V("none", VIEW_NONE));
    text = logged();
    assert_non_null(
        strstr(text, "Z error cannot start why=\"no \\u001b[31m disk\" file=/a/b empty=\"\" n=7 none=-\n"));
}

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    log_setup(drain.in, LOG_JSON, LOG_WARN);
    LOG(LOG_INFO, "no", LOG_I("n", 1));
    assert_string_equal(logged(), "");
    assert_false(log_wants(LOG_INFO));
    assert_true(log_wants(LOG_WARN));
    LOG(LOG_WARN, "yes", LOG_I("n", 1));
    assert_non_null(strstr(logged(), "\"yes\""));
}

static void a_pipe_is_no_terminal(void **state)
{
    (void)state;
    log_setup(drain.in, LOG_AUTO, LOG_INFO);
    LOG(LOG_INFO, "x", LOG_I("n", 1));
    assert_int_equal(logged()[0], '{');
}

static void long_values_are_cut_and_the_line_still_fits_a_pipe(void **state)
{
    char *big = malloc(100000);
    json_t *line;

    (void)state;
    assert_non_null(big);
    memset(big, '\x01', 100000); /* six bytes each when written */
    log_setup(drain.in, LOG_JSON, LOG_INFO);
    LOG(LOG_INFO, "long", LOG_V("a", ((view){ .p = big, .n = 100000 })),
        LOG_V("b", ((view){ .p = big, .n = 100000 })), LOG_V("c", ((view){ .p = big, .n = 100000 })),
        LOG_V("d", ((view){ .p = big, .n = 100000 })), LOG_I("last", 1));
    line = logged_json();
    assert_true(drain.n <= PIPE_BUF);
    assert_non_null(member(line, "c"));
    assert_null(member(line, "d"));
    assert_true(json_is_true(json_object_get(line, "cut")));
    json_decref(line);
    LOG(LOG_INFO, "long", LOG_V("a", ((view){ .p = big, .n = 100000 })), LOG_I("last", 1));
    line = logged_json();
    assert_non_null(json_object_get(line, "last"));
    assert_null(json_object_get(line, "cut"));
    json_decref(line);
    free(big);
}

static void a_line_that_cannot_be_written_is_counted(void **state)
{
    SCOPED(buf_done) struct buf page = { 0 };

    (void)state;
    log_setup(-1, LOG_JSON, LOG_INFO);
    LOG(LOG_INFO, "lost", LOG_I("n", 1));
    metrics_put(&page);
    assert_non_null(strstr(buf_text(&page), "\nheddle_log_lines_lost 1\n"));
}

static void levels_are_known_by_name(void **state)
{
    enum log_level level = LOG_INFO;

    (void)state;
    assert_true(log_level_parse(VIEW("debug"), &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_level_parse(VIEW("ERROR"), &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_level_parse(VIEW("loud"), &level));
    assert_false(log_level_parse(VIEW(""), &level));
    assert_int_equal(level, LOG_ERROR);
}

static void *write_some(void *arg)
{
    for (int i = 0; i < 50; i++)
        LOG(LOG_INFO, "together", LOG_S("who", arg), LOG_I("i", i));
    return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    pthread_t threads[4];
    const char *names[4] = { "aaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbb", "ccccccccccccccccccccc",
                             "ddddddddddddddddddddd" };
    view rest, line;
    int lines = 0;

    (void)state;
    log_setup(drain.in, LOG_JSON, LOG_INFO);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_some, (void *)(uintptr_t)names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    rest = view_of(logged());
    while (view_cut(&rest, '\n', &line) && line.n > 0) {
        struct err e = ERR_NONE;
        json_t *value = NULL;

        assert_int_equal(json_read(line, 2, JSON_READ_NO_DUPLICATES, &value, &e), RC_OK);
        json_decref(value);
        lines++;
    }
    assert_int_equal(lines, 200);
}

static void lines_that_may_wait_leave_before_the_next_that_may_not(void **state)
{
    const struct log_field f = LOG_I("n", 1);
    char want[4096] = "";
    const char *at;

    (void)state;
    log_setup(drain.in, LOG_PLAIN, LOG_INFO);
    log_event_soon(LOG_INFO, "first", &f, 1);
    log_event_soon(LOG_DEBUG, "unwanted", &f, 1);
    log_event_soon(LOG_INFO, "second", &f, 1);
    assert_string_equal(logged(), "");
    log_event(LOG_WARN, "third", &f, 1);
    snprintf(want, sizeof want, "%s", logged());
    at = want;
    for (size_t i = 0; i < 3; i++) {
        at = strstr(at, (const char *[]){ "first n=1\n", "second n=1\n", "third n=1\n" }[i]);
        assert_non_null(at);
    }
    log_event_soon(LOG_INFO, "fourth", &f, 1);
    assert_string_equal(logged(), "");
    log_flush();
    assert_non_null(strstr(logged(), "fourth"));
    log_flush();
    assert_string_equal(logged(), "");
}

/* More than is held; each piece is whole lines, and those that find no room in the pipe are counted. */
static void many_lines_that_wait_leave_whole_and_in_order(void **state)
{
    enum { LINES = 2000 };
    int next = 0;

    (void)state;
    log_setup(drain.in, LOG_PLAIN, LOG_INFO);
    for (int i = 0; i < LINES; i++) {
        const struct log_field f = LOG_I("n", i);
        log_event_soon(LOG_INFO, "e", &f, 1);
        if (i % 500 != 499)
            continue;
        log_flush();
        for (const char *p = logged(); *p; next++) {
            char want[32];
            const char *end = strchr(p, '\n');
            size_t n = (size_t)snprintf(want, sizeof want, " e n=%d", next);
            assert_non_null(end);
            assert_true((size_t)(end - p) > n && strncmp(end - n, want, n) == 0);
            p = end + 1;
        }
    }
    assert_int_equal(next, LINES);
}

static void numbers_of_any_size_are_written_out(void **state)
{
    (void)state;
    log_setup(drain.in, LOG_PLAIN, LOG_INFO);
    LOG(LOG_INFO, "e", LOG_I("a", INT64_MIN), LOG_I("b", INT64_MAX), LOG_I("c", 0), LOG_I("d", -10));
    assert_non_null(strstr(logged(), " a=-9223372036854775808 b=9223372036854775807 c=0 d=-10\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_object_with_time_level_event_and_fields),
        cmocka_unit_test(values_cannot_break_out_of_their_line),
        cmocka_unit_test(a_terminal_gets_plain_text_without_control_bytes),
        cmocka_unit_test(lines_below_the_level_are_dropped),
        cmocka_unit_test(a_pipe_is_no_terminal),
        cmocka_unit_test(long_values_are_cut_and_the_line_still_fits_a_pipe),
        cmocka_unit_test(a_line_that_cannot_be_written_is_counted),
        cmocka_unit_test(levels_are_known_by_name),
        cmocka_unit_test(lines_of_several_threads_do_not_mix),
        cmocka_unit_test(lines_that_may_wait_leave_before_the_next_that_may_not),
        cmocka_unit_test(many_lines_that_wait_leave_whole_and_in_order),
        cmocka_unit_test(numbers_of_any_size_are_written_out),
    };

    return cmocka_run_group_tests(tests, open_drain, close_drain);
}
