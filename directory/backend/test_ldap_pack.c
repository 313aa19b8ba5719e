#include "directory/backend/ldap_pack.h"

#include "common/base/testing_arena.h"

/* An entry as the server would send it: what was packed, with the names in another case of letters. */
static struct ldap_entry entry_of(const struct mods *m)
{
    struct ldap_value_list *lists = arena_zero(&arena, m->n * sizeof(*lists));
    for (size_t i = 0; i < m->n; i++) {
        view *v = arena_alloc(&arena, sizeof(*v));
        char *name = arena_cstr(&arena, view_of(m->list[i]->mod_type));
        name[0] = name[0] >= 'a' ? (char)(name[0] - 32) : name[0];
        *v = ldap_view(m->list[i]->mod_bvalues[0]);
        lists[i] = (struct ldap_value_list){ .attr = view_of(name), .items = v, .n = 1 };
    }
    return (struct ldap_entry){ .dn = VIEW("uid=x"), .attrs = lists, .n = m->n };
}

static void an_account_is_read_as_it_was_packed(void **state)
{
    (void)state;
    struct mods m;
    struct account a;
    const struct account_new n = { .name = VIEW("x@y"),
                                   .uid = UID_MAX,
                                   .mail = VIEW(""),
                                   .node = VIEW("node1"),
                                   .placed = VIEW("5 first"),
                                   .created_ms = 7,
                                   .epoch = 2,
                                   .client_state = VIEW("aa"),
                                   .generation = GENERATION_RETIRED };
    mods_init(&m, &arena);
    account_pack(&m, &n, VIEW("{X}y"));
    struct ldap_entry x = entry_of(&m);
    assert_int_equal(account_unpack(&x, VIEW("x@y"), &arena, &a, NULL), RC_OK);
    assert_true(a.uid == UID_MAX && a.epoch == 2 && a.created_ms == 7 && a.generation == GENERATION_RETIRED);
    assert_true(a.enabled && a.has_password && a.password_since_ms == 7 && a.keys_changed == 0);
    assert_true(view_eq(a.node, VIEW("node1")) && view_eq(a.placed, VIEW("5 first")));
    assert_true(view_eq(a.client_state, VIEW("aa")));
    assert_null(a.mail.p); /* empty is absent */
    assert_null(a.intent.p);
    assert_int_equal(account_unpack(&x, VIEW("X@y"), &arena, &a, NULL), RC_NOT_FOUND);
    assert_int_equal(account_unpack(&x, VIEW_NONE, &arena, &a, NULL), RC_OK);
    assert_true(view_eq(a.name, VIEW("x@y")));
}

static void a_node_and_an_erase_are_read_as_they_were_packed(void **state)
{
    (void)state;
    struct mods m;
    struct node_entry got, n = { .name = VIEW("n1"),
                                 .url = VIEW("https://n1"),
                                 .address = VIEW("https://s"),
                                 .state = NODE_DOWN,
                                 .capacity = 9,
                                 .seats = 0,
                                 .opened_ms = 0 };
    struct erase seen, e = { .node = VIEW("n1"), .uid = 5, .epoch = 6, .since_ms = 7 };
    mods_init(&m, &arena);
    node_pack(&m, &n, LDAP_MOD_ADD);
    struct ldap_entry x = entry_of(&m);
    assert_int_equal(node_unpack(&x, VIEW("n1"), &arena, &got, NULL), RC_OK);
    assert_true(got.state == NODE_DOWN && got.capacity == 9 && got.seats == 0 && got.opened_ms == 0);
    assert_true(got.pools.p && got.pools.n == 0 && got.node_type.p);
    mods_init(&m, &arena);
    erase_pack(&m, &e, LDAP_MOD_ADD);
    x = entry_of(&m);
    assert_int_equal(erase_unpack(&x, &arena, &seen, NULL), RC_OK);
    assert_true(seen.uid == 5 && seen.epoch == 6 && seen.since_ms == 7 && !seen.account.p);
}

static void an_entry_that_is_not_ours_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *attr, *value; /* replaced; NULL: left out */
    } rows[] = {
        { "uid", NULL },
        { "uidNumber", NULL },
        { "uidNumber", "x" },
        { "uidNumber", "-1" },
        { "uidNumber", "9223372036854775808" },
        { "heddleEpoch", NULL },
        { "heddleEpoch", "" },
        { "heddleCreated", "1.5" },
        { "heddleMail", "x\xff@y.z" },
    };
    const struct account_new n = {
        .name = VIEW("x@y"), .uid = 5, .mail = VIEW("x@y.z"), .created_ms = 7, .epoch = 2
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mods m;
        struct account a;
        mods_init(&m, &arena);
        account_pack(&m, &n, VIEW_NONE);
        struct ldap_entry x = entry_of(&m);
        for (size_t k = 0; k < x.n; k++)
            if (view_eq_nocase(x.attrs[k].attr, view_of(rows[i].attr))) {
                struct ldap_value_list *l = (struct ldap_value_list *)(uintptr_t)&x.attrs[k];
                view *v = arena_alloc(&arena, sizeof(*v));
                *v = view_of(rows[i].value);
                l->items = v;
                l->n = rows[i].value != NULL;
            }
        if (account_unpack(&x, VIEW("x@y"), &arena, &a, NULL) != RC_BROKEN)
            fail_msg("row %zu", i);
    }
}

static void a_change_deletes_what_it_expects_and_adds_what_it_wants(void **state)
{
    (void)state;
    struct mods m;
    const char *only_if;
    const struct change changes[] = {
        { ATTR_NODE, VIEW("a"), VIEW("b") },         { ATTR_INTENT, VIEW_NONE, VIEW("copy") },
        { ATTR_RESET, VIEW("r"), VIEW_NONE },        { ATTR_MAIL, VIEW_NONE, VIEW("a@b.c") },
        { ATTR_CLIENT_STATE, VIEW_NONE, VIEW_NONE }, { ATTR_OLD_STATE, VIEW_NONE, VIEW("1 x") },
    };
    static const struct {
        int op;
        const char *attr, *value;
    } expected[] = {
        { LDAP_MOD_DELETE, "syncNode", "a" },     { LDAP_MOD_ADD, "syncNode", "b" },
        { LDAP_MOD_ADD, "heddleIntent", "copy" }, { LDAP_MOD_DELETE, "heddleReset", "r" },
        { LDAP_MOD_ADD, "heddleMail", "a@b.c" },  { LDAP_MOD_ADD, "heddleOldState", "1 x" },
    };
    mods_init(&m, &arena);
    cas_pack(&m, changes, sizeof(changes) / sizeof(changes[0]), &only_if);
    assert_int_equal(m.n, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < m.n; i++) {
        assert_int_equal(m.list[i]->mod_op, expected[i].op | LDAP_MOD_BVALUES);
        assert_string_equal(m.list[i]->mod_type, expected[i].attr);
        assert_true(view_eq(ldap_view(m.list[i]->mod_bvalues[0]), view_of(expected[i].value)));
        assert_null(m.list[i]->mod_bvalues[1]);
    }
    assert_null(m.list[m.n]);
    assert_string_equal(only_if, "(&(!(heddleClientState=*)))");
    mods_init(&m, &arena);
    cas_pack(&m, changes, 4, &only_if);
    assert_null(only_if);
}

static void an_invite_code_is_read_as_it_was_packed(void **state)
{
    (void)state;
    struct mods m;
    struct invite i;
    const struct invite n = { .id = VIEW("k7qp"),
                              .hash = VIEW("h"),
                              .note = VIEW(""),
                              .by = VIEW("anna"),
                              .uses = 3,
                              .left = 2,
                              .made_ms = 7,
                              .end_ms = 9 };
    mods_init(&m, &arena);
    invite_pack(&m, &n);
    struct ldap_entry x = entry_of(&m);
    assert_int_equal(invite_unpack(&x, &arena, &i, NULL), RC_OK);
    assert_true(view_eq(i.id, n.id) && view_eq(i.hash, n.hash) && view_eq(i.by, n.by) && !i.note.p);
    assert_true(i.uses == 3 && i.left == 2 && i.made_ms == 7 && i.end_ms == 9 && i.n_takers == 0);
    m.n = 3; /* without its hash it is none */
    x = entry_of(&m);
    assert_int_equal(invite_unpack(&x, &arena, &i, NULL), RC_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_is_read_as_it_was_packed),
        cmocka_unit_test(a_node_and_an_erase_are_read_as_they_were_packed),
        cmocka_unit_test(an_invite_code_is_read_as_it_was_packed),
        cmocka_unit_test(an_entry_that_is_not_ours_is_refused),
        cmocka_unit_test(a_change_deletes_what_it_expects_and_adds_what_it_wants),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
