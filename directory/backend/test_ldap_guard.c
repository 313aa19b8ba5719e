#include "directory/backend/ldap_guard.h"

#include "common/base/testing.h"

#define MESSAGE(bytes)                                                                                       \
    {                                                                                                        \
        .p = (bytes), .n = sizeof(bytes) - 1                                                                 \
    }

static const view good[] = {
    /* a search's entry, with one attribute of two values and one of none */
    MESSAGE("\x30\x22\x02\x01\x02\x64\x1d\x04\x05"
            "uid=a\x30\x14\x30\x0b\x04\x02"
            "cn\x31\x05\x04\x01x\x04\x00\x30\x05\x04\x01s\x31\x00"),
    MESSAGE("\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00"), /* done */
    MESSAGE("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"), /* bound */
    MESSAGE("\x30\x0c\x02\x01\x03\x67\x07\x0a\x01\x10\x04\x00\x04\x00"), /* modify: no such attribute */
    MESSAGE("\x30\x13\x02\x01\x02\x65\x0e\x0a\x01\x0a\x04\x00\x04\x00\xa3\x05\x04\x03l:/"), /* a referral */
    MESSAGE("\x30\x0f\x02\x01\x05\x78\x0a\x0a\x01\x00\x04\x00\x04\x00\x8a\x01x"), /* an extended answer */
    MESSAGE("\x30\x0a\x02\x01\x02\x73\x05\x04\x03l:/"),                           /* a reference */
    MESSAGE(
        "\x30\x81\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00"), /* a length in more bytes than needed */
    MESSAGE(
        "\x30\x15\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00\xa0\x07\x30\x05\x04\x01p\x04\x00"), /* with a control */
};

static const view bad[] = {
    MESSAGE(
        "\x30\x0f\x02\x01\x00\x78\x0a\x0a\x01\x34\x04\x00\x04\x00\x8a\x01x"), /* a notice of disconnection */
    MESSAGE(""),
    MESSAGE("\x30"),
    MESSAGE("\x30\x00"),
    MESSAGE("\x31\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00"),     /* no sequence */
    MESSAGE("\x30\x80\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00\0\0"), /* no length */
    MESSAGE("\x30\x0c\x02\x01\xff\x65\x07\x0a\x01\x00\x04\x00\x04\x00"),     /* a negative id */
    MESSAGE("\x30\x0b\x02\x00\x65\x07\x0a\x01\x00\x04\x00\x04\x00"),         /* an id of nothing */
    MESSAGE("\x30\x03\x02\x01\x02"),                                         /* no operation */
    MESSAGE("\x30\x0c\x02\x01\x02\x60\x07\x0a\x01\x00\x04\x00\x04\x00"),     /* a request */
    MESSAGE(
        "\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x01\x04\x00"), /* a text that takes the next one's head */
    MESSAGE("\x30\x0a\x02\x01\x02\x65\x05\x0a\x01\x00\x04\x00"),     /* a text is missing */
    MESSAGE("\x30\x0c\x02\x01\x02\x65\x07\x02\x01\x00\x04\x00\x04\x00"), /* the code is no enumeration */
    MESSAGE("\x30\x0e\x02\x01\x02\x65\x09\x0a\x01\x0a\x04\x00\x04\x00\xa3\x00"), /* a referral to nowhere */
    MESSAGE("\x30\x05\x02\x01\x02\x73\x00"),                                     /* a reference to nowhere */
    MESSAGE("\x30\x0d\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00\x05"),     /* something behind it */
    MESSAGE("\x30\x0a\x02\x01\x02\x64\x05\x04\x00\x31\x01x"), /* attributes that are none */
    MESSAGE(
        "\x30\x11\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00\xa0\x03\x30\x01\x04"), /* a control without a name */
};

static void what_the_protocol_allows_is_let_through(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(ldap_message_ok(good[i]));
        assert_int_equal(ldap_message_size(good[i]), good[i].n);
    }
}

static void what_it_does_not_allow_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(ldap_message_ok(bad[i]));
}

static void half_a_message_is_none_and_one_and_a_half_are_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char longer[128] = { 0 };
        memcpy(longer, good[i].p, good[i].n);
        assert_false(ldap_message_ok((view){ .p = longer, .n = good[i].n + 1 }));
        for (size_t n = 0; n < good[i].n; n++)
            assert_false(ldap_message_ok((view){ .p = good[i].p, .n = n }));
    }
}

static void a_size_is_told_from_the_first_bytes_and_bounded(void **state)
{
    (void)state;
    assert_int_equal(ldap_message_size(VIEW("")), 0);
    assert_int_equal(ldap_message_size(VIEW("\x30")), 0);
    assert_int_equal(ldap_message_size(VIEW("\x30\x05")), 7);
    assert_int_equal(ldap_message_size(VIEW("\x30\x82\x01")), 0);
    assert_int_equal(ldap_message_size(VIEW("\x30\x82\x01\x10")), 4 + 0x110);
    assert_int_equal(ldap_message_size(VIEW("\x30\x84\xff\xff\xff\xff")), -1);
    assert_int_equal(ldap_message_size(VIEW("\x30\x83\x10\x00\x00")), -1);
    assert_int_equal(ldap_message_size(VIEW("\x30\x88")), -1);
    assert_int_equal(ldap_message_size(VIEW("\x30\x80")), -1);
    assert_int_equal(ldap_message_size(VIEW("\x16\x03")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_protocol_allows_is_let_through),
        cmocka_unit_test(what_it_does_not_allow_is_refused),
        cmocka_unit_test(half_a_message_is_none_and_one_and_a_half_are_none),
        cmocka_unit_test(a_size_is_told_from_the_first_bytes_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
