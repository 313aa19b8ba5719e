#include "directory/choice.h"

#include <pthread.h>

#include "common/base/slots.h"
#include "directory/testing_cluster.h"

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no %s in %s", part, text);
}

static rc choose(struct cluster *c, const char *name, const char *mail, struct owner *out)
{
    return lookup_choose(c->h->d, c->session, &c->h->a, view_of(name), view_of(mail), 0, out, NULL);
}

static void chosen(struct cluster *c, const char *name, const char *mail, const char *node)
{
    struct owner o;
    assert_int_equal(choose(c, name, mail, &o), RC_OK);
    if (!view_eq(o.name, view_of(node)))
        fail_msg("%.*s, not %s", VIEW_ARG(o.name), node);
}

static int64_t seats_of(struct cluster *c, const char *node)
{
    struct node_entry n;
    assert_int_equal(node_get(c->session, view_of(node), &c->h->a, &n, NULL), RC_OK);
    return n.seats;
}

static void pulse_of(struct cluster *c, const char *node, const char *loads)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"node\":\"%s\",\"boot\":\"b1\",\"loads\":{\"sync\":{%s}}}", node, loads);
    tell(c, node, "POST", "pulse", body, 200);
}

static void later(struct cluster *c, int64_t ms)
{
    c->h->clock.steady_us += ms * 1000;
    c->h->clock.wall_us += ms * 1000;
}

static void the_last_seat_is_taken_and_no_more(void **state)
{
    (void)state;
    struct cluster c;
    struct owner o;
    open_cluster(&c);
    assert_int_equal(choose(&c, "anna", NULL, &o), RC_BUSY); /* no nodes at all */
    add_node(&c, NODE1, 2);
    chosen(&c, "anna", NULL, NODE1);
    chosen(&c, "bert", NULL, NODE1);
    assert_int_equal(choose(&c, "carl", NULL, &o), RC_BUSY);
    assert_int_equal(seats_of(&c, NODE1), 0);
    lookup_give_back(c.h->d, c.session, VIEW(NODE1));
    chosen(&c, "carl", NULL, NODE1); /* at once: who is told that all is full was looked for again */
    close_cluster(&c);
}

static void what_the_admin_changes_counts_at_once(void **state)
{
    (void)state;
    struct cluster c;
    struct owner o;
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    chosen(&c, "anna", NULL, NODE1);
    tell(&c, "admin", "PUT", "nodes/" NODE1, "{\"state\":\"closed\"}", 200);
    assert_int_equal(choose(&c, "anna", NULL, &o), RC_BUSY);
    add_node(&c, NODE2, 10);
    for (int i = 0; i < 5; i++)
        chosen(&c, "anna", NULL, NODE2);
    tell(&c, "admin", "PUT", "nodes/" NODE1, "{\"state\":\"open\",\"capacity\":1000,\"seats\":1000}", 200);
    int first = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(choose(&c, "anna", NULL, &o), RC_OK);
        first += view_eq(o.name, VIEW(NODE1));
    }
    assert_in_range(first, 98, 100);
    close_cluster(&c);
}

static void a_node_that_is_not_heard_gets_nobody_once_nodes_are_heard(void **state)
{
    (void)state;
    struct cluster c;
    struct owner o;
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    later(&c, 100000);
    chosen(&c, "anna", NULL, NODE1); /* nobody was ever heard here: perhaps nobody will */
    add_node(&c, NODE2, 10);
    pulse_of(&c, NODE2, "");
    later(&c, 59000);
    pulse_of(&c, NODE2, "");
    int first = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(choose(&c, "anna", NULL, &o), RC_OK);
        first += view_eq(o.name, VIEW(NODE1));
    }
    assert_in_range(first, 1, 3);
    later(&c, 2000);
    for (int i = 0; i < 4; i++)
        chosen(&c, "anna", NULL, NODE2);
    add_account(&c, "anna", 42, NODE1, 1);
    has(tell(&c, "admin", "GET", "accounts/anna/explain", NULL, 200), "\"why_not\":\"not heard\"");
    pulse_of(&c, NODE1, "");
    later(&c, 1001);
    first = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(choose(&c, "anna", NULL, &o), RC_OK);
        first += view_eq(o.name, VIEW(NODE1));
    }
    assert_in_range(first, 1, 3);
    later(&c, 61000);
    assert_int_equal(choose(&c, "anna", NULL, &o), RC_BUSY); /* none is heard */
    close_cluster(&c);
}

static void a_node_that_says_it_has_a_queue_gets_fewer(void **state)
{
    (void)state;
    struct cluster c;
    struct owner o;
    open_cluster(&c);
    add_node(&c, NODE1, 1000);
    add_node(&c, NODE2, 1000);
    pulse_of(&c, NODE1, "\"users\":3,\"queue\":100,\"rps\":4.5");
    pulse_of(&c, NODE2, "\"users\":3,\"queue\":0");
    int first = 0;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(choose(&c, "anna", NULL, &o), RC_OK);
        first += view_eq(o.name, VIEW(NODE1));
    }
    assert_in_range(first, 9, 11);
    close_cluster(&c);
}

static void open_with_pools(struct cluster *c, char **rules, size_t n, char **groups, size_t n_groups)
{
    testing_pools = (struct conf_list){ .items = rules, .n = n };
    testing_groups = (struct conf_list){ .items = groups, .n = n_groups };
    open_cluster(c);
    testing_pools = testing_groups = (struct conf_list){ 0 };
}

static void users_go_to_the_nodes_of_their_pool_alone(void **state)
{
    (void)state;
    struct cluster c;
    struct owner o;
    char *rules[] = { text_of("mail example.org staff"), text_of("group testers staff default"),
                      text_of("mail example.net nowhere") };
    char *groups[] = { text_of("testers dora") };
    open_with_pools(&c, rules, 3, groups, 1);
    add_node(&c, NODE1, 1000);
    add_node(&c, NODE2, 2);
    tell(&c, "admin", "PUT", "nodes/" NODE2, "{\"pools\":\"staff\"}", 200);
    for (int i = 0; i < 5; i++)
        chosen(&c, "carl", "carl@example.com", NODE1);
    chosen(&c, "anna", "Anna@Example.org", NODE2);
    chosen(&c, "dora", "dora@example.com", NODE2);
    /* NODE1 has seats, and is not for her */
    assert_int_equal(choose(&c, "anna", "anna@example.org", &o), RC_BUSY);
    chosen(&c, "dora", "dora@example.com", NODE1); /* the next of her pools */
    assert_int_equal(choose(&c, "emil", "emil@example.net", &o), RC_BUSY);
    close_cluster(&c);
}

static void it_is_explained_where_somebody_is_and_where_he_would_go(void **state)
{
    (void)state;
    struct cluster c;
    char *rules[] = { text_of("mail example.net staff default") };
    open_with_pools(&c, rules, 1, NULL, 0);
    add_node(&c, NODE1, 100);
    add_node(&c, NODE2, 300);
    const struct account_new n = { .name = VIEW("anna"),
                                   .uid = 42,
                                   .mail = VIEW("anna@example.net"),
                                   .node = VIEW(NODE1),
                                   .placed = VIEW("1767225600000 first"),
                                   .created_ms = 1,
                                   .epoch = 3 };
    assert_int_equal(account_add(c.session, &n, NULL), RC_OK);
    assert_string_equal(
        tell(&c, "admin", "GET", "accounts/42/explain", NULL, 200),
        "{\"uid\":42,\"name\":\"anna\",\"node\":\"" NODE1
        "\",\"state\":\"open\",\"epoch\":3,\"since\":1767225600000,\"why\":\"first\",\"intent\":null,\"fresh\":{"
        "\"rule\":\"mail example.net staff default\",\"pools\":\"staff default\",\"pool\":\"default\",\"node\":\"" NODE2
        "\",\"nodes\":[{\"node\":\"" NODE1
        "\",\"pools\":\"default\",\"why_not\":\"\",\"part\":0.2500,\"seats\":100,\"capacity\":100,\"users\":-1,"
        "\"ramp\":1.0,\"ease\":1.00},{\"node\":\"" NODE2
        "\",\"pools\":\"default\",\"why_not\":\"\",\"part\":0.7500,\"seats\":300,\"capacity\":300,\"users\":-1,"
        "\"ramp\":1.0,\"ease\":1.00}]}}");
    assert_int_equal(seats_of(&c, NODE2), 300); /* a question takes nothing */
    tell(&c, "admin", "PUT", "nodes/" NODE2, "{\"state\":\"draining\"}", 200);
    tell(&c, "admin", "PUT", "nodes/" NODE1, "{\"seats\":0}", 200);
    const char *t = tell(&c, "admin", "GET", "accounts/anna/explain", NULL, 200);
    has(t, "\"pool\":\"staff\",\"node\":null");
    has(t, "\"why_not\":\"draining\",\"part\":0.0000");
    tell(&c, "admin", "GET", "accounts/43/explain", NULL, 404);
    tell(&c, NODE1, "GET", "accounts/42/explain", NULL, 403);
    close_cluster(&c);
}

static void where_balancers_route_by_slots_the_explanation_names_the_node_of_the_slot(void **state)
{
    (void)state;
    struct cluster c;
    char path[64], node[128];
    open_cluster(&c);
    c.h->conf.assign_slots = true;
    add_node(&c, NODE1, 100);
    add_node(&c, NODE2, 100);
    for (int i = 0; i < 8; i++) {
        char name[16];
        struct owner o;
        snprintf(name, sizeof(name), "user%d", i);
        add_account(&c, name, 50 + i, NULL, 1);
        snprintf(path, sizeof(path), "accounts/%s/explain", name);
        const char *told = tell(&c, "admin", "GET", path, NULL, 200);
        has(told, "\"slot\":");
        assert_int_equal(
            lookup_choose(c.h->d, c.session, &c.h->a, view_of(name), VIEW_NONE, 50 + i, &o, NULL), RC_OK);
        snprintf(node, sizeof(node), ",\"node\":\"%.*s\",\"nodes\":", VIEW_ARG(o.name));
        has(told, node);
    }
    close_cluster(&c);
}

/* ---- slots ---- */

static view slot_node(unsigned slot, int64_t first, int64_t second)
{
    const struct slot_node nodes[] = { { VIEW(NODE1), first }, { VIEW(NODE2), second } };
    return nodes[slot_owner(slot, nodes, 2)].name;
}

static view chosen_for(struct cluster *c, const char *name, int64_t uid)
{
    struct owner o;
    assert_int_equal(lookup_choose(c->h->d, c->session, &c->h->a, view_of(name), VIEW_NONE, uid, &o, NULL),
                     RC_OK);
    return o.name;
}

/* How many of 1.1 names and of 1.5 numbers, `n` each, get a node that is not their slot's. */
static int elsewhere(struct cluster *c, int n, int64_t first, int64_t second)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%c%cx%d", 'a' + i % 26, 'a' + i / 3 % 26, i);
        count += !view_eq(chosen_for(c, name, 7 + i), slot_node(slot_of_name(view_of(name)), first, second));
        snprintf(name, sizeof(name), "%x@example.net", i);
        count += !view_eq(chosen_for(c, name, 7 + i), slot_node(slot_of_uid((uint64_t)i + 7), first, second));
    }
    return count;
}

/* Two nodes, users given to their slots' own. */
static void open_slots(struct cluster *c, int capacity2)
{
    open_cluster(c);
    c->h->conf.assign_slots = true;
    add_node(c, NODE1, 1000);
    add_node(c, NODE2, capacity2);
}

static void a_new_user_gets_the_node_of_his_slot(void **state)
{
    (void)state;
    struct cluster c;
    open_slots(&c, 3000);
    assert_int_equal(elsewhere(&c, 100, 1000, 3000), 0);
    c.h->conf.assign_slots = false;
    assert_in_range(elsewhere(&c, 100, 1000, 3000), 20, 180);
    close_cluster(&c);
}

static void whose_slots_node_takes_nobody_goes_elsewhere_and_no_other_slot_moves(void **state)
{
    (void)state;
    struct cluster c;
    open_slots(&c, 1000);
    tell(&c, "admin", "PUT", "nodes/" NODE1, "{\"state\":\"draining\"}", 200);
    for (int i = 0; i < 40; i++)
        assert_true(view_eq(chosen_for(&c, "x@y", 100 + i), VIEW(NODE2)));
    tell(&c, "admin", "PUT", "nodes/" NODE1, "{\"state\":\"open\"}", 200);
    assert_int_equal(elsewhere(&c, 40, 1000, 1000), 0);
    close_cluster(&c);
}

static void a_slots_node_without_a_seat_gives_its_new_users_to_the_others(void **state)
{
    (void)state;
    struct cluster c;
    int his = 0, others = 0;
    open_slots(&c, 1000);
    tell(&c, "admin", "PUT", "nodes/" NODE1, "{\"seats\":5}", 200);
    for (int i = 0; i < 60; i++) {
        bool wanted = view_eq(slot_node(slot_of_uid((uint64_t)i + 1), 1000, 1000), VIEW(NODE1));
        bool got = view_eq(chosen_for(&c, "x@y", 1 + i), VIEW(NODE1));
        assert_true(wanted || !got);
        his += got;
        others += wanted && !got;
    }
    assert_int_equal(his, 5);
    assert_true(others > 5);
    assert_int_equal(seats_of(&c, NODE1), 0);
    assert_int_equal(seats_of(&c, NODE2), 1000 - 55);
    close_cluster(&c);
}

static void a_slot_leads_nobody_out_of_his_pool(void **state)
{
    (void)state;
    struct cluster c;
    open_slots(&c, 1000);
    tell(&c, "admin", "PUT", "nodes/" NODE2, "{\"pools\":\"staff\"}", 200);
    for (int i = 0; i < 40; i++)
        assert_true(view_eq(chosen_for(&c, "x@y", 1 + i), VIEW(NODE1)));
    close_cluster(&c);
}

static void a_seat_that_nobody_sits_on_is_given_back(void **state)
{
    (void)state;
    struct cluster c;
    struct account acc;
    struct owner o;
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    add_account(&c, "anna", 42, NULL, 1);
    assert_int_equal(account_get(c.session, ACCOUNT_BY_NAME, VIEW("anna"), &c.h->a, &acc, NULL), RC_OK);
    struct account stale = acc;
    assert_int_equal(lookup_place(c.h->d, c.session, &c.h->a, &acc, &o, NULL), RC_OK);
    assert_int_equal(seats_of(&c, NODE1), 9);
    assert_int_equal(lookup_place(c.h->d, c.session, &c.h->a, &stale, &o, NULL), RC_OK); /* lost the race */
    assert_int_equal(seats_of(&c, NODE1), 9);
    close_cluster(&c);
}

/* ---- many at once, over two directory processes with one backend ---- */

enum { THREADS = 4, EACH = 150 };

struct chooser {
    struct directory *d;
    struct backend_session *s;
    struct arena a;
    int got[2], refused;
};

static void *choose_many(void *arg)
{
    struct chooser *x = arg;
    for (int i = 0; i < EACH; i++) {
        struct owner o;
        rc r = lookup_choose(x->d, x->s, &x->a, VIEW("anna"), VIEW_NONE, 0, &o, NULL);
        if (r == RC_OK)
            x->got[view_eq(o.name, VIEW(NODE2))]++;
        else
            x->refused++;
    }
    return NULL;
}

static void parallel_sign_ups_over_two_directories_fill_every_seat_and_none_twice(void **state)
{
    (void)state;
    struct cluster c;
    struct directory *other;
    struct err e = ERR_NONE;
    struct chooser x[2 * THREADS];
    pthread_t threads[2 * THREADS];
    int got[2] = { 0, 0 };
    open_cluster(&c);
    add_node(&c, NODE1, THREADS * EACH / 2);
    add_node(&c, NODE2, THREADS * EACH * 3 / 2);
    assert_int_equal(directory_open(&c.h->options, &other, &e), RC_OK);
    for (int i = 0; i < 2 * THREADS; i++) {
        x[i] = (struct chooser){ .d = i % 2 ? other : c.h->d };
        arena_init(&x[i].a, 8 << 20);
        assert_int_equal(backend_session_open(x[i].d->backend, &x[i].s, &e), RC_OK);
    }
    for (int i = 0; i < 2 * THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, choose_many, &x[i]), 0);
    for (int i = 0; i < 2 * THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(x[i].refused, 0);
        for (int k = 0; k < 2; k++)
            got[k] += x[i].got[k];
        backend_session_close(x[i].s);
        arena_done(&x[i].a);
    }
    assert_int_equal(got[0], THREADS * EACH / 2);
    assert_int_equal(got[1], THREADS * EACH * 3 / 2);
    directory_close(other);
    close_cluster(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_seat_is_taken_and_no_more),
        cmocka_unit_test(what_the_admin_changes_counts_at_once),
        cmocka_unit_test(a_node_that_is_not_heard_gets_nobody_once_nodes_are_heard),
        cmocka_unit_test(a_node_that_says_it_has_a_queue_gets_fewer),
        cmocka_unit_test(users_go_to_the_nodes_of_their_pool_alone),
        cmocka_unit_test(it_is_explained_where_somebody_is_and_where_he_would_go),
        cmocka_unit_test(where_balancers_route_by_slots_the_explanation_names_the_node_of_the_slot),
        cmocka_unit_test(a_new_user_gets_the_node_of_his_slot),
        cmocka_unit_test(whose_slots_node_takes_nobody_goes_elsewhere_and_no_other_slot_moves),
        cmocka_unit_test(a_slots_node_without_a_seat_gives_its_new_users_to_the_others),
        cmocka_unit_test(a_slot_leads_nobody_out_of_his_pool),
        cmocka_unit_test(a_seat_that_nobody_sits_on_is_given_back),
        cmocka_unit_test(parallel_sign_ups_over_two_directories_fill_every_seat_and_none_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
