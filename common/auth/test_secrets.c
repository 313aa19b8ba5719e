#include "common/auth/testing_secrets.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/encode.h"
#include "common/base/json.h"

static struct arena arena;

static view unhex(const char *text)
{
    view out = VIEW_NONE;

    assert_true(hex_decode(view_of(text), &arena, &out));
    return out;
}

static void assert_hex(const uint8_t *bytes, size_t n, const char *expected)
{
    struct buf b = { 0 };

    hex_put(&b, (view){ .p = (const char *)bytes, .n = n });
    assert_string_equal(buf_text(&b), expected);
    buf_done(&b);
}

/* FIPS 180-4 and RFC 4231 */
static void the_published_digests_fit(void **state)
{
    uint8_t out[SHA256_BYTES];
    struct buf b = { 0 };

    (void)state;
    sha256(VIEW("abc"), out);
    assert_hex(out, sizeof out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256(VIEW(""), out);
    assert_hex(out, sizeof out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hmac_sha256(VIEW("Jefe"), VIEW("what do ya want for nothing?"), out);
    assert_hex(out, sizeof out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    for (int i = 0; i < 131; i++) /* a key longer than a block */
        buf_addc(&b, '\xaa');
    hmac_sha256(buf_view(&b), VIEW("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_hex(out, sizeof out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    buf_done(&b);
}

/* RFC 5869 appendix A, cases 1 to 3 */
static const struct {
    const char *ikm, *salt, *info, *okm;
} hkdf[] = {
    { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865" },
    { "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
      "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
      "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f"
      "909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
      "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
      "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
      "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87" },
    { "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8" },
};

static void the_vectors_of_rfc_5869_fit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hkdf / sizeof hkdf[0]; i++) {
        size_t n = strlen(hkdf[i].okm) / 2;
        uint8_t out[128] = { 0 };

        hkdf_sha256(unhex(hkdf[i].ikm), unhex(hkdf[i].salt), unhex(hkdf[i].info), out, n);
        assert_hex(out, n, hkdf[i].okm);
        assert_int_equal(out[n], 0);
    }
}

static void the_longest_output_of_hkdf_is_255_blocks(void **state)
{
    static uint8_t out[255 * SHA256_BYTES];
    uint8_t one[SHA256_BYTES];

    (void)state;
    hkdf_sha256(VIEW("secret"), VIEW("salt"), VIEW("info"), out, sizeof out);
    hkdf_sha256(VIEW("secret"), VIEW("salt"), VIEW("info"), one, sizeof one);
    assert_memory_equal(out, one, sizeof one);
}

static void empty_texts_are_equal_and_different_lengths_are_not(void **state)
{
    (void)state;
    assert_true(secret_eq(VIEW(""), VIEW("")));
    assert_true(secret_eq(VIEW_NONE, VIEW("")));
    assert_true(secret_eq(VIEW("abc"), VIEW("abc")));
    assert_false(secret_eq(VIEW("abc"), VIEW("abd")));
    assert_false(secret_eq(VIEW("abc"), VIEW("abcd")));
    assert_false(secret_eq(VIEW("abc"), VIEW("")));
}

static void an_empty_or_short_secret_is_refused(void **state)
{
    const char *const with_empty[] = { "long enough for all", "" };
    const char *const with_short[] = { "long enough for all", "short" };
    struct conf_list list = { .items = (char **)(uintptr_t)with_empty, .n = 2 };
    struct secrets *s = NULL;
    struct err e;

    (void)state;
    assert_int_equal(secrets_new(&list, 16, &s, &e), RC_BAD_INPUT);
    list.items = (char **)(uintptr_t)with_short;
    assert_int_equal(secrets_new(&list, 16, &s, &e), RC_BAD_INPUT);
    assert_null(s);
    assert_null(strstr(e.text, "short\"")); /* no secret in a message */
    assert_null(strstr(e.text, "enough"));
    assert_int_equal(secrets_new(&list, 5, &s, &e), RC_OK);
    assert_int_equal(s->n, 2);
    assert_true(view_eq(s->items[1], VIEW("short")));
    secrets_free(s);
    secrets_free(NULL);
}

static void node_secrets_are_those_of_the_test_data(void **state)
{
    json_t *data = json_load_file("tests/data/tokens.json", 0, NULL);
    json_t *rows = json_object_get(data, "derived_node_secrets"), *row;
    size_t i;

    (void)state;
    assert_true(json_array_size(rows) >= 6);
    json_array_foreach (rows, i, row) {
        const char *master = json_string_value(json_object_get(row, "master_secret_ascii"));
        struct secrets *masters = list_of(&master, 1), *s = NULL;

        assert_int_equal(secrets_derive(masters, json_text(json_object_get(row, "node")), &s, NULL), RC_OK);
        assert_int_equal(s->n, 1);
        assert_true(view_eq(s->items[0], json_text(json_object_get(row, "node_secret_ascii"))));
        secrets_free(s);
        secrets_free(masters);
    }
    json_decref(data);
}

static void each_node_has_as_many_secrets_as_there_are_masters_and_shares_none(void **state)
{
    const char *const texts[] = { "00112233445566778899aabbccddeeff", "deadbeefdeadbeef", "0123456789" };
    struct secrets *masters = list_of(texts, 3), *a = NULL, *b = NULL;

    (void)state;
    assert_int_equal(secrets_derive(masters, VIEW("https://a.example.net"), &a, NULL), RC_OK);
    assert_int_equal(secrets_derive(masters, VIEW("https://b.example.net"), &b, NULL), RC_OK);
    assert_int_equal(a->n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(a->items[i].n, masters->items[i].n);
        for (size_t k = 0; k < 3; k++)
            assert_false(view_eq(a->items[i], b->items[k]));
    }
    secrets_free(a);
    secrets_free(b);
    secrets_free(masters);
}

static void a_master_of_odd_length_is_refused(void **state)
{
    const char *const texts[] = { "00112233", "0011223" };
    struct secrets *masters = list_of(texts, 2), *s = NULL;
    struct err e;

    (void)state;
    assert_int_equal(secrets_derive(masters, VIEW("https://a"), &s, &e), RC_BAD_INPUT);
    assert_null(s);
    assert_null(strstr(e.text, "001122"));
    secrets_free(masters);
}

/* ---- the file ---- */

static char folder[] = "/tmp/heddle-secret-XXXXXX";
static char path[sizeof folder + 16];

static int folder_make(void **state)
{
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/secret", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails if something was left behind */
}

static void put_file(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_secret_is_made_once_and_kept_private(void **state)
{
    char *first = NULL, *again = NULL;
    struct stat st;

    (void)state;
    assert_int_equal(secret_file(path, 32, &first, NULL), RC_OK);
    assert_int_equal(strlen(first), 64);
    assert_int_equal(strspn(first, "0123456789abcdef"), 64);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(secret_file(path, 32, &again, NULL), RC_OK);
    assert_string_equal(first, again);
    free(first);
    free(again);
}

static void what_the_operator_wrote_is_taken_as_it_is(void **state)
{
    char *text = NULL;

    (void)state;
    put_file("Zq3-some/base64+text=of-my-own-0123456789\n");
    assert_int_equal(secret_file(path, 32, &text, NULL), RC_OK);
    assert_string_equal(text, "Zq3-some/base64+text=of-my-own-0123456789");
    free(text);
}

static void a_file_without_a_good_secret_is_refused_and_left_alone(void **state)
{
    const char *const bad[] = { "", "\n", "short\n", "0123456789abcdef0123456789abcdef\n\n",
                                "0123456789abcdef 0123456789abcdef\n" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *text = NULL;
        struct err e;
        struct stat st;

        put_file(bad[i]);
        assert_int_equal(secret_file(path, 16, &text, &e), RC_BAD_INPUT);
        assert_null(text);
        assert_non_null(strstr(e.text, path));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, strlen(bad[i]));
    }
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    char *text = NULL;
    struct err e;

    (void)state;
    assert_int_equal(secret_file("/nowhere/at/all/secret", 16, &text, &e), RC_BROKEN);
    assert_null(text);
    assert_int_equal(secret_file(folder, 16, &text, &e), RC_BROKEN); /* and so is a folder */
}

static pthread_barrier_t together;

static void *make_one(void *out)
{
    pthread_barrier_wait(&together);
    if (secret_file(path, 32, out, NULL) != RC_OK)
        *(char **)out = NULL;
    return NULL;
}

static void those_who_start_together_end_with_the_same_secret(void **state)
{
    enum { N = 8 };

    (void)state;
    for (int round = 0; round < 20; round++) {
        pthread_t threads[N];
        char *texts[N] = { 0 };

        unlink(path);
        pthread_barrier_init(&together, NULL, N);
        for (int i = 0; i < N; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, make_one, &texts[i]), 0);
        for (int i = 0; i < N; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&together);
        for (int i = 0; i < N; i++) {
            assert_non_null(texts[i]);
            assert_string_equal(texts[i], texts[0]);
        }
        for (int i = 0; i < N; i++)
            free(texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_digests_fit),
        cmocka_unit_test(the_vectors_of_rfc_5869_fit),
        cmocka_unit_test(the_longest_output_of_hkdf_is_255_blocks),
        cmocka_unit_test(empty_texts_are_equal_and_different_lengths_are_not),
        cmocka_unit_test(an_empty_or_short_secret_is_refused),
        cmocka_unit_test(node_secrets_are_those_of_the_test_data),
        cmocka_unit_test(each_node_has_as_many_secrets_as_there_are_masters_and_shares_none),
        cmocka_unit_test(a_master_of_odd_length_is_refused),
        cmocka_unit_test_setup_teardown(a_secret_is_made_once_and_kept_private, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(what_the_operator_wrote_is_taken_as_it_is, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(a_file_without_a_good_secret_is_refused_and_left_alone, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_an_error, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(those_who_start_together_end_with_the_same_secret, folder_make,
                                        folder_remove),
    };
    int failed;

    arena_init(&arena, 1 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_done(&arena);
    return failed;
}
