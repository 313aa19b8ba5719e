#include "admin/lb/lb.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/lb/lb_conf.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/testing.h"

/* ---- tables ---- */

static void a_table_finds_what_was_set_and_nothing_else(void **state)
{
    (void)state;
    struct lb_table t = { .n = 0 };
    assert_true(lb_table_set(&t, VIEW("42"), 1));
    assert_true(lb_table_set(&t, VIEW("4"), 2));
    assert_true(lb_table_set(&t, VIEW("421"), 3));
    assert_false(lb_table_set(&t, VIEW("42"), 1));
    assert_true(lb_table_set(&t, VIEW("42"), 5));
    assert_int_equal(lb_table_find(&t, VIEW("4")), 2);
    assert_int_equal(lb_table_find(&t, VIEW("42")), 5);
    assert_int_equal(lb_table_find(&t, VIEW("421")), 3);
    assert_int_equal(lb_table_find(&t, VIEW("")), -1);
    assert_int_equal(lb_table_find(&t, VIEW("43")), -1);
    assert_false(lb_table_set(&t, VIEW("43"), -1));
    assert_true(lb_table_set(&t, VIEW("42"), -1));
    assert_int_equal(lb_table_find(&t, VIEW("42")), -1);
    assert_int_equal(t.n, 2);
    lb_table_done(&t);
}

static void rows_in_any_order_are_sorted_and_found(void **state)
{
    (void)state;
    struct lb_table t = { .n = 0 };
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i * 7919 % 1000);
        lb_table_append(&t, view_of(key), i * 7919 % 1000);
    }
    lb_table_append(&t, VIEW("5"), 5);
    lb_table_sort(&t);
    assert_int_equal(t.n, 1000);
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i);
        assert_int_equal(lb_table_find(&t, view_of(key)), i);
    }
    lb_table_done(&t);
}

/* ---- users ---- */

static void a_hash_is_the_one_that_balancers_compute(void **state)
{
    (void)state;
    assert_int_equal(lb_crc32(VIEW("123456789")), 0xcbf43926);
    assert_int_equal(lb_crc32(VIEW("")), 0);
}

static void users_are_spread_over_the_shards_and_found(void **state)
{
    (void)state;
    enum { N = 64000 };
    struct lb_users u = { .shards = { { .n = 0 } } };
    char key[LB_KEY], number[16];
    for (int i = 0; i < N; i++) {
        snprintf(number, sizeof(number), "%d", 1000 + i);
        lb_user_key(i % 2 ? LB_15 : LB_11, view_of(number), key);
        lb_users_append(&u, view_of(key), i % 7);
    }
    lb_users_sort(&u);
    for (unsigned s = 0; s < LB_SHARDS; s++)
        assert_in_range(u.shards[s].n, N / LB_SHARDS * 8 / 10, N / LB_SHARDS * 12 / 10);
    assert_int_equal(lb_users_find(&u, VIEW("15:1001")), 1);
    assert_int_equal(lb_users_find(&u, VIEW("11:1001")), -1);
    assert_int_equal(lb_users_find(&u, VIEW("11:1006")), 6);
    assert_true(lb_users_set(&u, VIEW("11:1006"), -1));
    assert_true(lb_users_set(&u, VIEW("11:anna"), 3));
    assert_false(lb_users_set(&u, VIEW("11:anna"), 3));
    assert_int_equal(lb_users_find(&u, VIEW("11:1006")), -1);
    assert_int_equal(lb_users_count(&u, LB_11), N / 2);
    assert_int_equal(lb_users_count(&u, LB_15), N / 2);
    lb_users_done(&u);
}

/* ---- files ---- */

static void a_batch_writes_what_differs_and_leaves_the_rest(void **state)
{
    SCOPED(buf_done) struct buf text = { 0 };
    struct lb_batch b = { .n = 0 };
    struct err e = ERR_NONE;
    char folder[] = "/tmp/heddle-batch-XXXXXX", path[64], fresh[80];
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 6; i++) { /* few and many */
        snprintf(path, sizeof(path), "%s/%d", folder, i);
        assert_int_equal(lb_batch_put(&b, path, VIEW("one"), &e), RC_OK);
        assert_int_equal(lb_read_file(path, 10, &text, &e), RC_NOT_FOUND);
    }
    assert_int_equal(lb_batch_commit(&b, &e), RC_OK);
    lb_batch_done(&b);
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof(path), "%s/%d", folder, i);
        assert_int_equal(lb_batch_put(&b, path, i == 3 ? VIEW("two") : VIEW("one"), &e), RC_OK);
    }
    assert_int_equal(b.n, 1);
    assert_int_equal(lb_batch_commit(&b, &e), RC_OK);
    lb_batch_done(&b);
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof(path), "%s/%d", folder, i);
        snprintf(fresh, sizeof(fresh), "%s.new", path);
        buf_clear(&text);
        assert_int_equal(lb_read_file(path, 3, &text, &e), RC_OK);
        assert_string_equal(buf_text(&text), i == 3 ? "two" : "one");
        buf_clear(&text);
        assert_int_equal(lb_read_file(path, 2, &text, &e), RC_BROKEN);
        assert_int_not_equal(access(fresh, F_OK), 0);
        unlink(path);
    }
    rmdir(folder);
}

/* lb.folder of a test, with what it may have in it. */
static void remove_folder(const char *folder)
{
    static const char *const names[] = { "lock", "turn", "maps/held.map", "maps" };
    char path[64];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        remove(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void whoever_waits_too_long_for_another_writer_is_told_so(void **state)
{
    char folder[] = "/tmp/heddle-lock-XXXXXX";
    struct lb_conf c = { .folder = folder };
    struct err e = ERR_NONE;
    int first = -1, second = -1;
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(lb_lock(&c, &first, &e), RC_OK);
    assert_int_equal(lb_lock_file(&c, "lock", 20, &second, &e), RC_BUSY);
    assert_non_null(strstr(e.text, "somebody else has been writing into /tmp/heddle-lock-"));
    assert_non_null(strstr(e.text, "for 0.02 seconds"));
    assert_int_equal(second, -1);
    close(first); /* which gives it back */
    assert_int_equal(lb_lock_file(&c, "lock", 20, &second, &e), RC_OK);
    close(second);
    remove_folder(folder);
}

static void put_held(const char *folder, const char *rows)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/maps", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/maps/held.map", folder);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(rows, f);
    fclose(f);
}

static void who_is_held_stays_in_the_files_until_his_second_comes(void **state)
{
    char folder[] = "/tmp/heddle-held-XXXXXX", path[64];
    struct lb_conf c = { .folder = folder };
    struct lb_batch b = { .n = 0 };
    SCOPED(buf_done) struct buf text = { 0 };
    struct err e = ERR_NONE;
    (void)state;
    assert_non_null(mkdtemp(folder));
    put_held(folder, "15:1 1000\n15:2 99999999999\n11:anna\n11:berta x\n\n11:carla 99999999998\n");
    assert_int_equal(lb_held_put(&c, &b, &e), RC_OK);
    assert_int_equal(lb_batch_commit(&b, &e), RC_OK);
    lb_batch_done(&b);
    snprintf(path, sizeof(path), "%s/maps/held.map", folder);
    assert_int_equal(lb_read_file(path, 1000, &text, &e), RC_OK);
    assert_string_equal(buf_text(&text), "15:2 99999999999\n11:carla 99999999998\n");
    remove_folder(folder);
}

static void who_would_reload_waits_for_the_held_and_not_for_ever(void **state)
{
    char folder[] = "/tmp/heddle-calm-XXXXXX";
    struct lb_conf c = { .folder = folder, .hold_s = 1 };
    struct err e = ERR_NONE;
    int lock = -1, other = -1;
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(lb_lock_calm(&c, &lock, &e), RC_OK); /* no file: nobody */
    assert_int_equal(lb_lock_file(&c, "lock", 20, &other, &e), RC_BUSY);
    assert_int_equal(lb_lock_file(&c, "turn", 20, &other, &e), RC_OK);
    close(other);
    close(lock);
    put_held(folder, "15:2 99999999999\n");
    int64_t begun_us = clock_mono_us(clock_system());
    assert_int_equal(lb_lock_calm(&c, &lock, &e), RC_OK);
    assert_true(clock_mono_us(clock_system()) - begun_us >= 1000000);
    close(lock);
    remove_folder(folder);
}

static void a_pid_file_counts_only_while_its_process_has_that_name(void **state)
{
    char folder[] = "/tmp/heddle-pid-XXXXXX", path[64], own[32] = "";
    struct lb_conf c = { .folder = folder };
    struct err e = ERR_NONE;
    pid_t pid = 0;
    (void)state;
    FILE *f = fopen("/proc/self/comm", "re");
    assert_true(f && fgets(own, sizeof(own), f));
    fclose(f);
    own[strcspn(own, "\n")] = '\0';
    assert_non_null(mkdtemp(folder));
    assert_int_equal(lb_pid(&c, own, &pid, &e), RC_AWAY); /* no file */
    snprintf(path, sizeof(path), "%s/%s.pid", folder, own);
    assert_non_null(f = fopen(path, "we"));
    fprintf(f, "%ld\n", (long)getpid());
    fclose(f);
    assert_int_equal(lb_pid(&c, own, &pid, &e), RC_OK);
    assert_int_equal(pid, getpid());
    unlink(path);
    snprintf(path, sizeof(path), "%s/nginx.pid", folder); /* left behind; the number is ours by now */
    assert_non_null(f = fopen(path, "we"));
    fprintf(f, "%ld\n", (long)getpid());
    fclose(f);
    assert_int_equal(lb_pid(&c, "nginx", &pid, &e), RC_AWAY);
    assert_non_null(strstr(e.text, "is no nginx"));
    unlink(path);
    rmdir(folder);
}

static void a_program_that_does_not_end_is_ended(void **state)
{
    char log[] = "/tmp/heddle-run-XXXXXX";
    const char *const quick[] = { "true", NULL }, *const wrong[] = { "false", NULL },
                      *const slow[] = { "sleep", "600", NULL };
    struct err e = ERR_NONE;
    (void)state;
    int fd = mkstemp(log);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(lb_run(quick, log, LB_CHECK_MS, &e), RC_OK);
    assert_int_equal(lb_run(wrong, log, LB_CHECK_MS, &e), RC_BAD_INPUT);
    assert_int_equal(lb_run(slow, log, 20, &e), RC_UNSURE);
    assert_non_null(strstr(e.text, "sleep"));
    unlink(log);
}

static void what_a_configuration_is_known_by_stands_in_its_global_section(void **state)
{
    (void)state;
    assert_true(view_eq(lb_description(VIEW("# x\nglobal\n    log a\n\tdescription \t ab12 \ndefaults\n")),
                        VIEW("ab12")));
    assert_true(
        view_eq(lb_description(VIEW("frontend f\n description x\nglobal\n description y")), VIEW("y")));
    assert_null(lb_description(VIEW("global\n log a\nfrontend f\n description x\n")).p);
    assert_null(lb_description(VIEW("")).p);
}

/* ---- templates ---- */

static void expect_text(const char *template, const char *values, const char *wanted)
{
    SCOPED(buf_done) struct buf out = { 0 };
    SCOPED(json_decref) json_t *v = NULL;
    struct err e = ERR_NONE;
    assert_int_equal(json_read(view_of(values), 8, JSON_READ_PLAIN, &v, &e), RC_OK);
    rc r = lb_template(view_of(template), v, &out, &e);
    if (!wanted) {
        assert_int_equal(r, RC_BAD_INPUT);
        return;
    }
    if (r != RC_OK)
        fail_msg("%s: %s", template, e.text);
    assert_string_equal(buf_text(&out), wanted);
}

static void a_template_substitutes_and_repeats(void **state)
{
    (void)state;
    expect_text("", "{}", "");
    expect_text("a {{b}} c", "{\"b\":\"x\"}", "a x c");
    expect_text("{{n}}{{n}}", "{\"n\":12}", "1212");
    expect_text("{{{n}}}", "{\"n\":3}", "{3}");
    expect_text("x{n}", "{}", "x{n}");
    expect_text("{{#l}}<{{b}}>{{/l}}", "{\"l\":[{\"b\":\"1\"},{\"b\":\"2\"}]}", "<1><2>");
    expect_text("{{#l}}{{b}}{{c}} {{/l}}", "{\"c\":\"o\",\"l\":[{\"b\":\"1\"},{\"b\":\"2\",\"c\":\"i\"}]}",
                "1o 2i ");
    expect_text("{{#l}}\n{{b}}\n{{/l}}\nend", "{\"l\":[{\"b\":\"1\"},{\"b\":\"2\"}]}", "1\n2\nend");
    expect_text("{{#l}}{{#m}}{{nowhere}}{{/m}}{{/l}}.", "{\"l\":[]}", ".");
}

static void a_template_with_a_mistake_is_refused(void **state)
{
    (void)state;
    expect_text("{{b}}", "{}", NULL);
    expect_text("{{b}}", "{\"b\":\"\"}", NULL);
    expect_text("{{#l}}", "{\"l\":[]}", NULL);
    expect_text("{{/l}}", "{\"l\":[]}", NULL);
    expect_text("{{#l}}{{#m}}{{/l}}{{/m}}", "{\"l\":[{}],\"m\":[{}]}", NULL);
    expect_text("{{#l}}{{/l}}", "{\"l\":\"text\"}", NULL);
}

static void a_value_that_could_leave_its_place_is_refused(void **state)
{
    static const char *const bad[] = { "a\\nb",  "a;b", "a{b", "a}b", "a#b", "a'b",      "a\\\"b",
                                       "a\\\\b", "a$b", "a%b", " a",  "a ",  "a\\u0000b" };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char values[64];
        snprintf(values, sizeof(values), "{\"b\":\"%s\"}", bad[i]);
        expect_text("{{b}}", values, NULL);
    }
}

static void a_setting_that_is_no_utf_8_is_refused(void **state)
{
    char url[] = "https://sync.example.net", folder[] = "/run/\xe4", none[] = "";
    const struct admin_conf c = { .lb = { .url = url,
                                          .folder = folder,
                                          .log = none,
                                          .user = none,
                                          .console = none,
                                          .tls_cert = none,
                                          .ca_file = none } };
    const struct lb_model m = { .n = 0 };
    SCOPED(json_decref) json_t *values = lb_values(&c, &m);
    SCOPED(buf_done) struct buf out = { 0 };
    struct err e = ERR_NONE;
    (void)state;
    assert_int_equal(lb_template(VIEW("{{folder}}"), values, &out, &e), RC_BAD_INPUT);
}

/* ---- classes ---- */

static void every_url_has_its_class_and_its_user(void **state)
{
    static const struct {
        const char *target, *class, *key;
    } cases[] = {
        { "/1.5/42/info/collections", "15", "42" },
        { "/1.5/0042/storage/x?ids=1", "15", "42" },
        { "/1.5/%34%32/info", "15", "42" },
        { "/1.5/42", "15", "42" },
        { "/1.5/", "15", NULL },
        { "/1.5/anna/info", "15", NULL },
        { "/1.5/12345678901/info", "15", NULL },
        { "/1.1/Anna/info/collections", "11", "anna" },
        { "/1/anna/storage", "11", "anna" },
        { "/1.0/anna/storage/x", "11", "anna" },
        { "/1.0/anna/info/quota", "11", "anna" },
        { "/1.0/sync/1.5", "token", NULL },
        { "/1.0/webhooks/fxa/events", "token", NULL },
        { "/1.1/an%2fna/info", "11", NULL },
        { "/1.1/an%zzna/info", "11", NULL },
        { "/%31.5/7/info", "15", "7" },
        { "/token/1.0/sync/1.5", "token", NULL },
        { "/user/1.0/anna/node/weave", "user", NULL },
        { "/misc/1.0/captcha_html", "user", NULL },
        { "/weave-password-reset", "screen", NULL },
        { "/internal/v1/nodes", "refused", NULL },
        { "/%69nternal/v1/nodes", "refused", NULL },
        { "/metrics", "refused", NULL },
        { "/admin", "console", NULL },
        { "/%61dmin/users?q=1", "console", NULL },
        { "/administrator", "other", NULL },
        { "/__heartbeat__", "ops", NULL },
        { "/", "other", NULL },
        { "//1.5/42/info", "other", NULL },
        { "/sync/1.5/42/info", "15", "42" },
        { "/syncx/1.5/42/info", "other", NULL },
        { "*", "other", NULL },
        { "", "other", NULL },
    };
    SCOPED(arena_done) struct arena a;
    (void)state;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lb_class c = lb_classify(view_of(cases[i].target), VIEW("/sync"), &a);
        if (strcmp(c.name, cases[i].class) != 0 || !view_eq(c.key, view_of(cases[i].key)))
            fail_msg("%s: %s %.*s", cases[i].target, c.name, VIEW_ARG(c.key));
    }
}

static void digests_do_not_depend_on_the_order(void **state)
{
    struct lb_digest x = { .rows = 0 }, y = { .rows = 0 }, z = { .rows = 0 };
    (void)state;
    lb_digest_add(&x, VIEW("1"), VIEW("a"));
    lb_digest_add(&x, VIEW("2"), VIEW("b"));
    lb_digest_add(&y, VIEW("2"), VIEW("b"));
    lb_digest_add(&y, VIEW("1"), VIEW("a"));
    lb_digest_add(&z, VIEW("1"), VIEW("b"));
    lb_digest_add(&z, VIEW("2"), VIEW("a"));
    assert_memory_equal(&x, &y, sizeof(x));
    assert_memory_not_equal(&x, &z, sizeof(x));
}

static void nothing(int signal)
{
    (void)signal;
}

static bool takes(int signal)
{
    struct err e = ERR_NONE;
    bool out = false;
    assert_int_equal(lb_takes_signal(getpid(), signal, &out, &e), RC_OK);
    return out;
}

static void a_process_takes_a_signal_that_it_handles_and_does_not_block(void **state)
{
    struct sigaction handled = { .sa_handler = nothing }, ignored = { .sa_handler = SIG_IGN }, before;
    struct err e = ERR_NONE;
    sigset_t set;
    bool out;
    (void)state;
    assert_int_equal(sigaction(SIGUSR2, &ignored, &before), 0);
    assert_false(takes(SIGUSR2));
    assert_int_equal(sigaction(SIGUSR2, &handled, NULL), 0);
    assert_true(takes(SIGUSR2));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    assert_false(takes(SIGUSR2));
    assert_int_equal(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
    assert_true(takes(SIGUSR2));
    assert_int_equal(sigaction(SIGUSR2, &before, NULL), 0);
    assert_int_equal(lb_takes_signal(INT32_MAX, SIGUSR2, &out, &e), RC_AWAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_finds_what_was_set_and_nothing_else),
        cmocka_unit_test(rows_in_any_order_are_sorted_and_found),
        cmocka_unit_test(a_hash_is_the_one_that_balancers_compute),
        cmocka_unit_test(users_are_spread_over_the_shards_and_found),
        cmocka_unit_test(a_batch_writes_what_differs_and_leaves_the_rest),
        cmocka_unit_test(whoever_waits_too_long_for_another_writer_is_told_so),
        cmocka_unit_test(who_is_held_stays_in_the_files_until_his_second_comes),
        cmocka_unit_test(who_would_reload_waits_for_the_held_and_not_for_ever),
        cmocka_unit_test(a_pid_file_counts_only_while_its_process_has_that_name),
        cmocka_unit_test(a_process_takes_a_signal_that_it_handles_and_does_not_block),
        cmocka_unit_test(a_program_that_does_not_end_is_ended),
        cmocka_unit_test(what_a_configuration_is_known_by_stands_in_its_global_section),
        cmocka_unit_test(a_template_substitutes_and_repeats),
        cmocka_unit_test(a_template_with_a_mistake_is_refused),
        cmocka_unit_test(a_value_that_could_leave_its_place_is_refused),
        cmocka_unit_test(a_setting_that_is_no_utf_8_is_refused),
        cmocka_unit_test(every_url_has_its_class_and_its_user),
        cmocka_unit_test(digests_do_not_depend_on_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
