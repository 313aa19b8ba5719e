/* The ring behind single items: what is found is what was put, however often it was overwritten. */
#include "node/cache/items.h"

#include <pthread.h>

#include "common/base/scope.h"
#include "common/base/testing.h"

#define CEILING (64 << 10) /* a shard of 4 KiB: some fifteen of the values below */
#define THREADS 4
#define PUT     4000 /* 250 for each shard */

static struct item_tag tag(int64_t uid, view id, int64_t as_of)
{
    return (struct item_tag){ .uid = uid, .coll = 7, .id = id, .as_of = as_of };
}

/* A value that tells whose it is, all through. */
static view value_of(const struct item_tag *k, char out[200])
{
    memset(out, 'a' + (int)(k->uid % 26), 200);
    int n = snprintf(out, 200, "%lld %u %.*s %lld", (long long)k->uid, k->coll, VIEW_ARG(k->id),
                     (long long)k->as_of);
    out[n] = '.';
    return (view){ .p = out, .n = (size_t)(100 + k->uid % 100) };
}

static void put(struct items *s, const struct item_tag *k)
{
    char text[200];
    items_put(s, k, value_of(k, text));
}

/* Whether it is there; if it is, it is right. */
static bool there(struct items *s, const struct item_tag *k)
{
    SCOPED(arena_done) struct arena a;
    char text[200];
    view found;
    arena_init(&a, 1 << 20);
    if (!items_get(s, k, &a, &found))
        return false;
    assert_true(view_eq(found, value_of(k, text)));
    return true;
}

static void what_was_put_is_found_as_of_its_time_alone(void **state)
{
    (void)state;
    struct items *s = items_new(CEILING);
    struct item_tag first = tag(1, VIEW("meta"), 100), later = tag(1, VIEW("meta"), 101),
                    other = tag(1, VIEW("keys"), 100), another = tag(2, VIEW("meta"), 100), coll = first;
    coll.coll = 8;

    put(s, &first);
    assert_true(there(s, &first));
    assert_false(there(s, &later));
    assert_false(there(s, &other));
    assert_false(there(s, &another));
    assert_false(there(s, &coll));
    put(s, &later);
    assert_true(there(s, &later));
    assert_false(there(s, &first));
    items_free(s);
}

static void what_is_kept_longest_is_overwritten_first(void **state)
{
    (void)state;
    struct items *s = items_new(CEILING);
    int kept = 0;
    static char id[PUT][16];

    for (int i = 0; i < PUT; i++) {
        snprintf(id[i], sizeof(id[i]), "r%d", i);
        struct item_tag k = tag(i, view_of(id[i]), i);
        put(s, &k);
        assert_true(there(s, &k)); /* the newest always is */
    }
    for (int i = 0; i < PUT; i++) {
        struct item_tag k = tag(i, view_of(id[i]), i);
        bool is = there(s, &k);
        kept += is;
        assert_true(!is || i > PUT / 2);
    }
    assert_in_range(kept, 100, CEILING / 144); /* 100 bytes and more, a header, an id */
    items_free(s);
}

/* What the ring has room for the index finds. */
static void nearly_all_that_fits_is_found(void **state)
{
    (void)state;
    enum { FITS = 9000 }; /* of some 400 bytes each, as a small record of a browser's is */
    struct items *s = items_new((size_t)4 << 20);
    static const char value[350];
    int found = 0;

    for (int i = 0; i < FITS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "r%d", i);
        struct item_tag k = tag(i, view_of(id), i);
        items_put(s, &k, (view){ .p = value, .n = sizeof(value) });
    }
    for (int i = 0; i < FITS; i++) {
        SCOPED(arena_done) struct arena a;
        char id[16];
        view got;
        arena_init(&a, 1 << 20);
        snprintf(id, sizeof(id), "r%d", i);
        struct item_tag k = tag(i, view_of(id), i);
        found += items_get(s, &k, &a, &got);
    }
    assert_in_range(found, FITS * 97 / 100, FITS);
    items_free(s);
}

static void what_is_too_long_is_not_kept(void **state)
{
    (void)state;
    static char longest[(16 << 10) + 1];
    struct item_tag k = tag(1, VIEW("x"), 1);
    SCOPED(arena_done) struct arena a;
    view found;
    arena_init(&a, 1 << 20);

    memset(longest, 'x', sizeof(longest));
    struct items *s = items_new(4 << 20);
    items_put(s, &k, (view){ .p = longest, .n = sizeof(longest) });
    assert_false(items_get(s, &k, &a, &found));
    items_put(s, &k, (view){ .p = longest, .n = sizeof(longest) - 1 });
    assert_true(items_get(s, &k, &a, &found));
    assert_int_equal(found.n, sizeof(longest) - 1);
    items_free(s);

    s = items_new(0); /* as small as can be */
    items_put(s, &k, (view){ .p = longest, .n = 1024 });
    assert_false(items_get(s, &k, &a, &found));
    items_put(s, &k, VIEW("")); /* an empty value is one */
    assert_true(items_get(s, &k, &a, &found));
    assert_int_equal(found.n, 0);
    items_free(s);
}

/* Whose item was overwritten is told nothing that others wrote there, not even what looks like an entry of his. */
static void what_others_wrote_over_it_is_no_entry(void **state)
{
    (void)state;
    struct {
        int64_t uid, as_of;
        uint32_t coll, id_n, value_n;
        char bytes[12];
    } forged = { .uid = 1, .as_of = 5, .coll = 7, .id_n = 1, .value_n = 6, .bytes = "xforged" };
    char value[17 * sizeof(forged)] = { 0 };
    struct item_tag victim = tag(1, VIEW("x"), 5);
    SCOPED(arena_done) struct arena a;
    view found;
    arena_init(&a, 1 << 20);

    for (size_t shift = 0; shift < sizeof(forged); shift++) {
        struct items *s = items_new(CEILING);
        for (size_t i = 0; i < 16; i++)
            memcpy(value + shift + i * sizeof(forged), &forged, sizeof(forged));
        for (int i = 0; i < 200; i++) {
            char id[16];
            snprintf(id, sizeof(id), "f%d", i);
            struct item_tag k = tag(2, view_of(id), i);
            if (i == 20)
                items_put(s, &victim, VIEW("true"));
            items_put(s, &k, (view){ .p = value, .n = shift + 16 * sizeof(forged) });
            if (items_get(s, &victim, &a, &found))
                assert_true(view_eq(found, VIEW("true")));
        }
        items_free(s);
        memset(value, 0, sizeof(value));
    }
}

static void *storm(void *arg)
{
    struct items *s = arg;
    for (int i = 0; i < 20000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "r%d", i % 97);
        struct item_tag k = tag(i % 53, view_of(id), i / 1000);
        if (!there(s, &k))
            put(s, &k);
    }
    return NULL;
}

static void many_threads_find_nothing_that_is_not_theirs(void **state)
{
    (void)state;
    struct items *s = items_new(CEILING);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, storm, s), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    items_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found_as_of_its_time_alone),
        cmocka_unit_test(what_is_kept_longest_is_overwritten_first),
        cmocka_unit_test(nearly_all_that_fits_is_found),
        cmocka_unit_test(what_is_too_long_is_not_kept),
        cmocka_unit_test(what_others_wrote_over_it_is_no_entry),
        cmocka_unit_test(many_threads_find_nothing_that_is_not_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
