/* Counts and sizes are exact and know unexpired items alone; the head's sum is an upper bound. */
#include "tests/conformance/store/fixture.h"

static const struct coll_usage *usage_of(const struct coll_usage *list, size_t n, const char *coll)
{
    for (size_t i = 0; i < n; i++) {
        if (view_eq(list[i].name, view_of(coll)))
            return &list[i];
    }
    fail_msg("%s is not counted", coll);
    return NULL;
}

static void usage_counts_items_and_bytes_of_each_collection(void **state)
{
    (void)state;
    const struct coll_usage *list = NULL;
    size_t n = 0;
    struct item_patch nul = patch("c", "");
    nul.payload = (view){ .p = "a\0b\xc3\xa4", .n = 5 };
    put("forms", "a", "XyX");
    put("forms", "b", "1234567");
    put_patches("own", &nul, 1);
    put("empty", "x", "x");
    put_with_ttl("tabs", "old", "12345", 1);
    put_with_ttl("forms", "old", "12345", 1);
    struct item_query q = { .coll = VIEW("empty") };
    delete_found(&q);
    wait_ms(1100);
    struct store_txn *tx = begin(STORE_READ);
    OK(store_usage(tx, &list, &n, &err));
    commit(tx);
    assert_int_equal(n, 2);
    assert_int_equal(usage_of(list, n, "forms")->items, 2);
    assert_int_equal(usage_of(list, n, "forms")->bytes, 10);
    assert_int_equal(usage_of(list, n, "own")->bytes, 5);
}

static void a_new_user_uses_nothing(void **state)
{
    (void)state;
    const struct coll_usage *list = NULL;
    size_t n = 7;
    int64_t bytes = 7;
    struct store_txn *tx = begin(STORE_READ);
    OK(store_usage(tx, &list, &n, &err));
    OK(store_used_exact(tx, &bytes, &err));
    assert_int_equal(store_head(tx)->n_colls, 0);
    commit(tx);
    assert_int_equal(n, 0);
    assert_int_equal(bytes, 0);
}

static int64_t used_exact(enum store_mode mode)
{
    int64_t bytes = -1;
    struct store_txn *tx = begin(mode);
    OK(store_used_exact(tx, &bytes, &err));
    commit(tx);
    return bytes;
}

static void used_bytes_never_fall_below_the_truth_and_become_exact(void **state)
{
    (void)state;
    put("forms", "a", "12345");
    put("forms", "a", "123");
    put_with_ttl("forms", "b", "1234", 1);
    assert_int_equal(head_now()->used_bytes, 12);
    assert_int_equal(used_exact(STORE_READ), 7);
    assert_int_equal(head_now()->used_bytes, 12);
    struct head before = *head_now();
    wait_ms(1100);
    assert_int_equal(used_exact(STORE_WRITE), 3);
    assert_int_equal(head_now()->used_bytes, 3);
    assert_int_equal(head_now()->clock.cs, before.clock.cs); /* counting is no write that clients see */
    assert_int_equal(head_now()->modified.cs, before.modified.cs);
}

static void pending_batches_are_summed(void **state)
{
    (void)state;
    int64_t bytes = -1;
    struct item_patch p[] = { patch("a", "12345"), patch("b", "123") };
    const char *one = batch_open("forms");
    batch_append(one, p, 2);
    batch_append(one, p, 1);
    const char *two = batch_open("own");
    batch_append(two, p, 1);
    assert_int_equal(head_now()->used_bytes, 0);
    struct store_txn *tx = begin(STORE_WRITE);
    OK(store_batch_pending(tx, LIFE_S, &bytes, &err));
    commit(tx);
    assert_int_equal(bytes, 18);
    batch_commit("forms", one);
    assert_int_equal(head_now()->used_bytes, 13);
    tx = begin(STORE_WRITE);
    OK(store_batch_pending(tx, LIFE_S, &bytes, &err));
    commit(tx);
    assert_int_equal(bytes, 5);
    wait_ms(LIFE_S * 1000);
    tx = begin(STORE_WRITE);
    OK(store_batch_pending(tx, LIFE_S, &bytes, &err));
    commit(tx);
    assert_int_equal(bytes, 0);
}

static const struct CMUnitTest counting_tests[] = {
    TEST(usage_counts_items_and_bytes_of_each_collection),
    TEST(a_new_user_uses_nothing),
    TEST(used_bytes_never_fall_below_the_truth_and_become_exact),
    TEST(pending_batches_are_summed),
};
const struct test_group counting_group = TEST_GROUP(counting);
