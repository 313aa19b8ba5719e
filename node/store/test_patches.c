#include "node/store/patches.h"

#include <stdlib.h>

#include "common/base/testing.h"
#include "node/store/dialect.h"

enum { MANY = 2500 };

static const struct item_patch samples[] = {
    { .id = { "a", 1 } },
    { .id = { "b", 1 }, .payload_op = PATCH_SET, .payload = { "", 0 } },
    { .id = { "c", 1 }, .payload_op = PATCH_SET, .payload = { "with\0a zero", 11 }, .touches = true },
    { .id = { "d", 1 }, .sortindex_op = PATCH_SET, .sortindex = -999999999 },
    { .id = { "e", 1 }, .sortindex_op = PATCH_CLEAR, .ttl_op = PATCH_SET, .ttl_s = 0 },
    { .id = { "f", 1 }, .ttl_op = PATCH_CLEAR, .parentid_op = PATCH_SET, .parentid = { "parent", 6 } },
    { .id = { "g", 1 },
      .parentid_op = PATCH_CLEAR,
      .predecessorid_op = PATCH_SET,
      .predecessorid = { "", 0 } },
    { .id = { "0123456789012345678901234567890123456789012345678901234567890123", 64 },
      .payload_op = PATCH_SET,
      .payload = { "p", 1 },
      .sortindex_op = PATCH_SET,
      .sortindex = 999999999,
      .ttl_op = PATCH_SET,
      .ttl_s = 999999999,
      .parentid_op = PATCH_SET,
      .parentid = { "q", 1 },
      .predecessorid_op = PATCH_CLEAR },
};
enum { SAMPLES = sizeof samples / sizeof samples[0] };

static void assert_text(enum patch_op op, view got, view wanted)
{
    if (op == PATCH_SET) {
        assert_non_null(got.p); /* set to nothing is not cleared */
        assert_true(view_eq(got, wanted));
    } else {
        assert_null(got.p);
    }
}

static void assert_same(const struct item_patch *got, const struct item_patch *wanted)
{
    assert_true(view_eq(got->id, wanted->id));
    assert_int_equal(patch_fields(got), patch_fields(wanted) | FIELD_TOUCHES);
    assert_int_equal(got->payload_op, wanted->payload_op);
    assert_int_equal(got->sortindex_op, wanted->sortindex_op);
    assert_int_equal(got->ttl_op, wanted->ttl_op);
    assert_int_equal(got->parentid_op, wanted->parentid_op);
    assert_int_equal(got->predecessorid_op, wanted->predecessorid_op);
    assert_int_equal(got->sortindex, wanted->sortindex);
    assert_int_equal(got->ttl_s, wanted->ttl_s);
    assert_text(wanted->payload_op, got->payload, wanted->payload);
    assert_text(wanted->parentid_op, got->parentid, wanted->parentid);
    assert_text(wanted->predecessorid_op, got->predecessorid, wanted->predecessorid);
}

static void a_run_gives_back_what_it_was_made_of(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf run = { 0 };
    struct item_patch got[SAMPLES];
    size_t n = 0;
    assert_int_equal(run_pack(samples, SAMPLES, &run), SAMPLES);
    assert_true(run_unpack(buf_view(&run), SAMPLES, got, &n));
    assert_int_equal(n, SAMPLES);
    for (size_t i = 0; i < SAMPLES; i++)
        assert_same(&got[i], &samples[i]);
    assert_int_equal(patches_bytes(got, n), patches_bytes(samples, SAMPLES));
}

static void a_run_ends_with_its_records_or_its_bytes(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf run = { 0 };
    struct item_patch *many = calloc(MANY, sizeof *many);
    char *long_text = calloc(1, RUN_BYTES);
    assert_true(many && long_text);
    for (size_t i = 0; i < MANY; i++)
        many[i] = samples[i % SAMPLES];
    assert_int_equal(run_pack(many, MANY, &run), RUN_RECORDS);
    buf_clear(&run);
    assert_int_equal(run_pack(many + 2 * RUN_RECORDS, MANY - 2 * RUN_RECORDS, &run), MANY - 2 * RUN_RECORDS);
    for (size_t i = 0; i < MANY; i++) {
        many[i].payload_op = PATCH_SET;
        many[i].payload = (view){ .p = long_text, .n = RUN_BYTES / 2 };
    }
    buf_clear(&run);
    assert_int_equal(run_pack(many, MANY, &run), 2);
    many[0].payload.n = RUN_BYTES;
    buf_clear(&run);
    assert_int_equal(run_pack(many, MANY, &run), 1); /* one goes in, however long it is */
    free(many);
    free(long_text);
}

static bool unpacks(view bytes, size_t cap)
{
    struct item_patch got[SAMPLES];
    size_t n = 12345;
    char *exact = malloc(bytes.n ? bytes.n : 1); /* a block of its own: what reads past it is found by asan */
    assert_non_null(exact);
    if (bytes.n > 0)
        memcpy(exact, bytes.p, bytes.n);
    bool good = run_unpack((view){ .p = exact, .n = bytes.n }, cap, got, &n);
    if (good)
        assert_true(n >= 1 && n <= cap);
    else
        assert_int_equal(n, 12345);
    free(exact);
    return good;
}

static void what_is_not_a_run_is_refused(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf run = { 0 };
    size_t ends[SAMPLES + 1] = { 1 }, at = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        buf_clear(&run);
        (void)run_pack(samples, i + 1, &run);
        ends[i + 1] = run.n;
    }
    assert_true(unpacks(buf_view(&run), SAMPLES));
    assert_false(unpacks(buf_view(&run), SAMPLES - 1)); /* more than were counted */
    for (size_t n = 0; n < run.n; n++) {                /* torn anywhere but between two records */
        at += at <= SAMPLES && n > ends[at];
        assert_int_equal(unpacks((view){ .p = run.p, .n = n }, SAMPLES), n > 1 && n == ends[at]);
    }
    static const view bad[] = {
        { "\0\0\0\1a", 5 },                                      /* another version */
        { "\1", 1 },                                             /* of nothing */
        { "\1\40\0\1a", 5 },                                     /* no such field */
        { "\1\0\1\1a\0", 6 },                                    /* set and not named */
        { "\1\0\0\0", 4 },                                       /* no id */
        { "\1\0\0\200\200\200\200\200\200\200\200\200\1a", 14 }, /* a length without end */
        { "\1\2\2\1a\377\377\377\377\377\377\377\377\177", 14 }, /* a number too large */
        { "\1\1\1\1a\177x", 7 },                                 /* longer than there is */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(unpacks(bad[i], SAMPLES));
}

static void a_changed_byte_never_harms(void **state)
{
    (void)state;
    SCOPED(buf_done) struct buf run = { 0 };
    (void)run_pack(samples, SAMPLES, &run);
    for (size_t at = 0; at < run.n; at++) {
        char kept = run.p[at];
        for (int bit = 0; bit < 8; bit++) {
            run.p[at] = (char)(kept ^ (1 << bit));
            (void)unpacks(buf_view(&run), SAMPLES);
        }
        run.p[at] = kept;
    }
    assert_true(unpacks(buf_view(&run), SAMPLES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_gives_back_what_it_was_made_of),
        cmocka_unit_test(a_run_ends_with_its_records_or_its_bytes),
        cmocka_unit_test(what_is_not_a_run_is_refused),
        cmocka_unit_test(a_changed_byte_never_harms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
