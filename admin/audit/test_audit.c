#include "common/base/testing.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/audit/audit.h"
#include "common/base/scope.h"

static char folder[64], path[96];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/heddle-audit-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/ops1.log", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void add(const char *text)
{
    struct err e = ERR_NONE;
    json_t *fields = json_pack("{s:s,s:s}", "what", "change", "text", text);
    assert_int_equal(audit_append(path, 1767225600310, "ops1", "anna", fields, &e), RC_OK);
    json_decref(fields);
}

static struct audit_verdict check(const char *wanted)
{
    struct audit_verdict v;
    struct err e = ERR_NONE;
    assert_int_equal(audit_check(path, wanted, NULL, NULL, &v, &e), RC_OK);
    return v;
}

static void read_file(struct buf *b)
{
    char block[4096];
    FILE *f = fopen(path, "re");
    size_t n;
    assert_non_null(f);
    while ((n = fread(block, 1, sizeof(block), f)) > 0)
        buf_add(b, (view){ .p = block, .n = n });
    fclose(f);
}

static void write_file(view text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    fclose(f);
}

/* The i-th line with its line feed. */
static view line_of(view text, size_t i)
{
    const char *p = text.p;
    while (i-- > 0)
        p = strchr(p, '\n') + 1;
    return (view){ .p = p, .n = (size_t)(strchr(p, '\n') + 1 - p) };
}

static void a_chain_of_records_is_whole(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        add(i % 2 ? "one \"quoted\",\"hash\":\"text" : "ä …");
    struct audit_verdict v = check(NULL);
    assert_int_equal(v.records, 20);
    assert_int_equal(v.bad_line, 0);
    assert_int_equal(strlen(v.last), AUDIT_HASH_TEXT);
}

static void every_changed_byte_shows(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf text = { 0 };
    for (int i = 0; i < 3; i++)
        add("a change");
    read_file(&text);
    for (size_t i = 0; i < text.n; i++) {
        char was = text.p[i];
        text.p[i] = (char)(was ^ 1);
        write_file(buf_view(&text));
        struct audit_verdict v = check(NULL);
        text.p[i] = was;
        if (i + 1 == text.n) /* the last line feed: as if the line were torn, or too long */
            continue;
        if (v.bad_line == 0)
            fail_msg("a changed byte at %zu does not show", i);
    }
}

static void removed_exchanged_and_repeated_lines_show(void **state)
{
    (void)state;
    static const int orders[][5] = {
        { 0, 2, 3, -1 }, { 1, 2, 3, -1 }, { 0, 2, 1, 3, -1 }, { 0, 1, 1, 2, -1 }, { 1, 0, 2, 3, -1 }
    };
    SCOPED(buf_done) struct buf text = { 0 };
    for (int i = 0; i < 4; i++)
        add("a change");
    read_file(&text);
    buf_text(&text);
    for (size_t k = 0; k < sizeof(orders) / sizeof(orders[0]); k++) {
        SCOPED(buf_done) struct buf other = { 0 };
        for (int i = 0; i < 5 && orders[k][i] >= 0; i++)
            buf_add(&other, line_of(buf_view(&text), (size_t)orders[k][i]));
        write_file(buf_view(&other));
        assert_int_not_equal(check(NULL).bad_line, 0);
    }
}

static void a_record_forged_with_a_good_hash_shows_in_the_next(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf honest = { 0 };
    SCOPED(buf_done) struct buf other = { 0 };
    SCOPED(buf_done) struct buf forged = { 0 };
    add("first");
    add("what was done");
    add("last");
    read_file(&honest);
    buf_text(&honest);
    unlink(path);
    add("first");
    add("what the forger says");
    read_file(&other);
    buf_text(&other);
    buf_add(&forged, line_of(buf_view(&honest), 0));
    buf_add(&forged, line_of(buf_view(&other), 1));
    buf_add(&forged, line_of(buf_view(&honest), 2));
    write_file(buf_view(&forged));
    assert_int_equal(check(NULL).bad_line, 3);
}

static void a_cut_end_shows_by_a_hash_that_was_kept(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf text = { 0 };
    for (int i = 0; i < 4; i++)
        add("a change");
    struct audit_verdict whole = check(NULL);
    assert_true(check(whole.last).found);
    read_file(&text);
    buf_text(&text);
    write_file((view){ .p = text.p, .n = (size_t)(line_of(buf_view(&text), 3).p - text.p) });
    assert_int_equal(check(NULL).bad_line, 0);
    assert_false(check(whole.last).found);
}

/* Takes so many bytes from the end of what the log held, writes another record, and looks at it: its chain is whole. */
static struct audit_verdict cut_and_go_on(view text, size_t cut)
{
    write_file((view){ .p = text.p, .n = text.n - cut });
    assert_int_equal(check(NULL).bad_line, 0);
    add("after");
    struct audit_verdict v = check(NULL);
    assert_int_equal(v.bad_line, 0);
    assert_int_equal(v.records, 2);
    return v;
}

static void a_torn_line_is_kept_and_named_and_the_log_goes_on(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf text = { 0 };
    add("before");
    add("torn by a crash");
    read_file(&text);
    for (size_t cut = 2; cut < 40; cut += 13)
        assert_int_equal(cut_and_go_on(buf_view(&text), cut).torn, 1);
}

static void a_record_whose_line_feed_is_missing_counts(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf text = { 0 };
    add("before");
    read_file(&text);
    assert_int_equal(cut_and_go_on(buf_view(&text), 1).torn, 0);
}

static void what_a_crash_left_at_the_very_beginning_is_no_hindrance(void **state)
{
    (void)state;
    write_file(VIEW("{\"n\":1,\"ti"));
    add("after");
    struct audit_verdict v = check(NULL);
    assert_int_equal(v.bad_line, 0);
    assert_int_equal(v.records, 1);
}

static void nothing_is_appended_to_what_is_no_log(void **state)
{
    (void)state;
    struct err e = ERR_NONE;
    json_t *fields = json_object();
    write_file(VIEW("something else\n"));
    assert_int_equal(audit_append(path, 1, "ops1", "anna", fields, &e), RC_BROKEN);
    json_decref(fields);
}

static void *many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 25; i++)
        add("of a thread");
    return NULL;
}

static void threads_that_append_at_once_make_one_chain(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct audit_verdict v = check(NULL);
    assert_int_equal(v.bad_line, 0);
    assert_int_equal(v.records, 100);
}

static void digests_do_not_know_the_order_of_members(void **state)
{
    (void)state;
    char a[AUDIT_HASH_TEXT + 1], b[AUDIT_HASH_TEXT + 1], c[AUDIT_HASH_TEXT + 1];
    json_t *x = json_pack("{s:i,s:i}", "a", 1, "b", 2), *y = json_pack("{s:i,s:i}", "b", 2, "a", 1),
           *z = json_pack("{s:i}", "a", 1);
    audit_digest_json(x, a);
    audit_digest_json(y, b);
    audit_digest_json(z, c);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    json_decref(x);
    json_decref(y);
    json_decref(z);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_chain_of_records_is_whole),
        TEST(every_changed_byte_shows),
        TEST(removed_exchanged_and_repeated_lines_show),
        TEST(a_record_forged_with_a_good_hash_shows_in_the_next),
        TEST(a_cut_end_shows_by_a_hash_that_was_kept),
        TEST(a_torn_line_is_kept_and_named_and_the_log_goes_on),
        TEST(a_record_whose_line_feed_is_missing_counts),
        TEST(what_a_crash_left_at_the_very_beginning_is_no_hindrance),
        TEST(nothing_is_appended_to_what_is_no_log),
        TEST(threads_that_append_at_once_make_one_chain),
        cmocka_unit_test(digests_do_not_know_the_order_of_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
