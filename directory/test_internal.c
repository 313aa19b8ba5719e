#include "directory/internal.h"

#include "common/auth/token.h"

#include "directory/testing_cluster.h"

/* ---- nodes ---- */

static void a_node_is_added_changed_shown_and_removed(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    tell(&c, "admin", "GET", "nodes/" NODE1, NULL, 404);
    assert_string_equal(
        tell(&c, "admin", "PUT", "nodes/" NODE1, "{\"url\":\"http://" NODE1 "\",\"capacity\":100}", 200),
        "{\"name\":\"" NODE1 "\",\"url\":\"http://" NODE1 "\",\"address\":\"http://" NODE1
        "\",\"node_type\":\"\",\"pools\":\"\",\"state\":\"open\",\"capacity\":100,\"seats\":100,\"opened\":1767225600000}");
    c.h->clock.wall_us += 1000000;
    assert_string_equal(
        tell(&c, "admin", "PUT", "nodes/" NODE1,
             "{\"state\":\"closed\",\"seats\":7,\"address\":\"https://s.example.net\"}", 200),
        "{\"name\":\"" NODE1 "\",\"url\":\"http://" NODE1
        "\",\"address\":\"https://s.example.net\",\"node_type\":\"\","
        "\"pools\":\"\",\"state\":\"closed\",\"capacity\":100,\"seats\":7,\"opened\":1767225600000}");
    add_node(&c, NODE2, 5);
    const char *list = tell(&c, "admin", "GET", "nodes", NULL, 200);
    assert_non_null(strstr(list, "\"seats\":7,\"opened\":1767225600000}\n{\"name\":\"" NODE2));
    add_account(&c, "anna", 42, NODE2, 1);
    tell(&c, "admin", "DELETE", "nodes/" NODE2, NULL, 409);
    tell(&c, "admin", "DELETE", "nodes/" NODE1, NULL, 200);
    tell(&c, "admin", "DELETE", "nodes/" NODE1, NULL, 404);
    close_cluster(&c);
}

static void an_entry_that_makes_no_sense_is_refused_and_nothing_is_kept(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"capacity\":1}",
        "{\"url\":\"http://" NODE1 "/\"}",
        "{\"url\":\"http://" NODE2 "\"}",
        "{\"url\":\"ftp://" NODE1 "\"}",
        "{\"url\":7}",
        "{\"url\":\"http://" NODE1 "\",\"capacity\":-1}",
        "{\"url\":\"http://" NODE1 "\",\"capacity\":1.5}",
        "{\"url\":\"http://" NODE1 "\",\"capacity\":\"5\"}",
        "{\"url\":\"http://" NODE1 "\",\"capacity\":5,\"seats\":6}",
        "{\"url\":\"http://" NODE1 "\",\"state\":\"ajar\"}",
        "{\"url\":\"http://" NODE1 "\",\"address\":\"nowhere\"}",
        "{\"url\":\"http://" NODE1 "\",\"capacty\":5}",
        "{\"url\":\"http://" NODE1 "\",\"url\":\"http://" NODE1 "\"}",
    };
    struct cluster c;
    open_cluster(&c);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tell(&c, "admin", "PUT", "nodes/" NODE1, bad[i], 400);
        tell(&c, "admin", "GET", "nodes/" NODE1, NULL, 404);
    }
    tell(&c, NODE1, "PUT", "nodes/" NODE1, "{\"url\":\"http://" NODE1 "\"}", 403);
    close_cluster(&c);
}

/* ---- verify, owners ---- */

static void verify_tells_who_it_is_and_where_he_lives_and_refuses_all_others_alike(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    add_account(&c, "anna", 42, NODE1, 3);
    add_account(&c, "bert", 43, NULL, 1);
    assert_string_equal(
        tell(&c, NODE2, "POST", "verify", "{\"name\":\"anna\",\"password\":\"correct horse\"}", 200),
        "{\"uid\":42,\"epoch\":3,\"node\":\"http://" NODE1 "\"}");
    /* Who has no node yet gets one. */
    assert_string_equal(
        tell(&c, NODE2, "POST", "verify", "{\"name\":\"bert\",\"password\":\"correct horse\"}", 200),
        "{\"uid\":43,\"epoch\":1,\"node\":\"http://" NODE1 "\"}");
    assert_string_equal(tell(&c, NODE1, "POST", "verify", "{\"name\":\"anna\",\"password\":\"wrong\"}", 200),
                        "{\"refused\":true}");
    assert_string_equal(
        tell(&c, NODE1, "POST", "verify", "{\"name\":\"nobody\",\"password\":\"correct horse\"}", 200),
        "{\"refused\":true}");
    tell(&c, NODE1, "POST", "verify", "{\"name\":\"anna\"}", 400);
    tell(&c, NODE1, "POST", "verify", "{\"name\":\"anna\",\"password\":5}", 400);
    tell(&c, NODE1, "POST", "verify", "nonsense", 400);
    close_cluster(&c);
}

static void verify_tells_members_of_a_group_and_places_nobody(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    char *groups[] = { text_of("admins anna"), text_of("staff bert") };
    c.h->conf.groups = (struct conf_list){ .items = groups, .n = 2 };
    add_node(&c, NODE1, 10);
    add_account(&c, "anna", 42, NODE1, 3);
    add_account(&c, "bert", 43, NULL, 1);
    assert_string_equal(tell(&c, "admin", "POST", "verify",
                             "{\"name\":\"anna\",\"password\":\"correct horse\",\"group\":\"admins\"}", 200),
                        "{\"uid\":42,\"epoch\":3,\"node\":\"" NODE1 "\",\"member\":true}");
    assert_string_equal(tell(&c, "admin", "POST", "verify",
                             "{\"name\":\"bert\",\"password\":\"correct horse\",\"group\":\"admins\"}", 200),
                        "{\"uid\":43,\"epoch\":1,\"node\":null,\"member\":false}");
    assert_string_equal(tell(&c, "admin", "POST", "verify",
                             "{\"name\":\"anna\",\"password\":\"wrong\",\"group\":\"admins\"}", 200),
                        "{\"refused\":true}");
    tell(&c, "admin", "POST", "verify", "{\"name\":\"anna\",\"password\":\"x\",\"group\":5}", 400);
    assert_non_null(strstr(tell(&c, "admin", "GET", "nodes/" NODE1, NULL, 200), "\"seats\":10"));
    close_cluster(&c);
}

static void owners_names_those_who_left(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    add_node(&c, NODE2, 10);
    add_account(&c, "stays", 42, NODE1, 3);
    add_account(&c, "newer", 43, NODE1, 4);
    add_account(&c, "moved", 44, NODE2, 3);
    add_account(&c, "nowhere", 45, NULL, 1);
    add_account(&c, "homeless", 46, NULL, 3);
    assert_string_equal(
        tell(&c, NODE1, "POST", "owners", "{\"heads\":[[42,3],[43,3],[44,3],[45,1],[46,2],[99,1]]}", 200),
        "{\"left\":[[43,4],[44,3],[46,3]]}");
    assert_string_equal(tell(&c, NODE1, "POST", "owners", "{\"heads\":[]}", 200), "{\"left\":[]}");
    close_cluster(&c);
}

static void owners_names_those_whom_no_account_has_any_more(void **state)
{
    (void)state;
    struct cluster c;
    int64_t first;
    char expected[128];
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    add_account(&c, "stays", 42, NODE1, 3);
    assert_int_equal(uid_next(c.session, 100, &first, NULL), RC_OK);
    snprintf(expected, sizeof(expected), "{\"left\":[],\"nobody\":[41,%lld],\"until\":%lld}",
             (long long)first + 99, (long long)NOW_S + 3601);
    char heads[128];
    snprintf(heads, sizeof(heads), "{\"heads\":[[41,9],[42,3],[%lld,1],[%lld,1]]}", (long long)first + 99,
             (long long)first + 100); /* the last of them was never given out */
    assert_string_equal(tell(&c, NODE1, "POST", "owners", heads, 200), expected);
    close_cluster(&c);
}

static void owners_takes_heads_alone(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    tell(&c, NODE1, "POST", "owners", "{\"heads\":[[42]]}", 400);
    tell(&c, NODE1, "POST", "owners", "{\"heads\":[[0,1]]}", 400);
    tell(&c, NODE1, "POST", "owners", "{\"heads\":{}}", 400);
    tell(&c, "admin", "POST", "owners", "{\"heads\":[]}", 403);
    close_cluster(&c);
}

/* ---- pulse ---- */

static const char *pulse(struct cluster *c, const char *heard, int64_t cursor)
{
    char body[256];
    snprintf(body, sizeof(body),
             "{\"node\":\"" NODE1 "\",\"boot\":\"b1\",\"heard\":\"%s\",\"cursor\":%lld,\"clock\":1}", heard,
             (long long)cursor);
    return tell(c, NODE1, "POST", "pulse", body, 200);
}

static void a_node_hears_whom_to_forget(void **state)
{
    (void)state;
    struct cluster c;
    char boot[NEWS_BOOT + 1], expected[512];
    open_cluster(&c);
    snprintf(boot, sizeof(boot), "%s", news_boot(c.h->d->internal->news));
    snprintf(expected, sizeof(expected), "{\"boot\":\"%s\",\"cursor\":0,\"all\":true,\"news\":[]}", boot);
    assert_string_equal(pulse(&c, "", 0), expected);
    directory_forget(c.h->d, VIEW("anna"), 42);
    snprintf(expected, sizeof(expected),
             "{\"boot\":\"%s\",\"cursor\":2,\"news\":[{\"n\":1,\"what\":\"forget\",\"name\":\"anna\"},"
             "{\"n\":2,\"what\":\"refuse\",\"uid\":42,\"until\":%lld}]}",
             boot, (long long)NOW_S + 3600);
    assert_string_equal(pulse(&c, boot, 0), expected);
    snprintf(expected, sizeof(expected), "{\"boot\":\"%s\",\"cursor\":2,\"news\":[]}", boot);
    assert_string_equal(pulse(&c, boot, 2), expected);
    assert_int_equal(c.h->forgotten.calls, 1);
    close_cluster(&c);
}

static void refusals_still_in_force_come_from_the_backend_after_a_restart(void **state)
{
    (void)state;
    struct cluster c;
    struct err e = ERR_NONE;
    open_cluster(&c);
    add_account(&c, "old", 41, NODE1, 1);
    add_account(&c, "gone", 42, NODE1, 1);
    assert_int_equal(account_delete(c.session, VIEW("old"), 41, NOW_US / 1000 - 3601000, &e), RC_OK);
    assert_int_equal(account_delete(c.session, VIEW("gone"), 42, NOW_US / 1000 - 600000, &e), RC_OK);
    const char *told = pulse(&c, "of another life", 7);
    assert_non_null(
        strstr(told, "\"all\":true,\"news\":[{\"what\":\"refuse\",\"uid\":42,\"until\":1767228601}]}"));
    close_cluster(&c);
}

static void a_full_pulse_brings_the_loads_and_takes_the_decided_state(void **state)
{
    (void)state;
    struct cluster c;
    const char *full =
        "{\"node\":\"" NODE1 "\",\"boot\":\"b1\",\"clock\":5,\"loads\":{\"sync\":{\"users\":3}}}";
    open_cluster(&c);
    assert_non_null(strstr(tell(&c, NODE1, "POST", "pulse", full, 200), "\"state\":\"unknown\""));
    add_node(&c, NODE1, 10);
    tell(&c, "admin", "PUT", "nodes/" NODE1, "{\"state\":\"draining\"}", 200);
    assert_non_null(strstr(tell(&c, NODE1, "POST", "pulse", full, 200), "\"state\":\"draining\""));
    c.h->clock.steady_us += 1500000;
    assert_string_equal(
        tell(&c, "admin", "GET", "loads", NULL, 200),
        "{\"node\":\"" NODE1
        "\",\"boot\":\"b1\",\"age_ms\":1500,\"clock\":5,\"loads\":{\"sync\":{\"users\":3}}}\n");
    pulse(&c, "", 0); /* a short one keeps them */
    assert_non_null(strstr(tell(&c, "admin", "GET", "loads", NULL, 200), "\"users\":3"));
    tell(&c, NODE2, "POST", "pulse", full, 403);
    tell(&c, "admin", "POST", "pulse", full, 403);
    tell(&c, NODE1, "POST", "pulse", "{\"node\":\"" NODE1 "\"}", 400);
    tell(&c, NODE1, "POST", "pulse", "{\"node\":\"" NODE1 "\",\"boot\":\"b\",\"cursor\":-1}", 400);
    close_cluster(&c);
}

static size_t lines_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void the_processes_of_a_node_are_told_apart_and_a_restart_leaves_nothing_behind(void **state)
{
    (void)state;
    static const char *const pulses[] = {
        "{\"node\":\"" NODE1 "\",\"boot\":\"b1\",\"clock\":5,\"loads\":{\"sync\":{\"rps\":1.5}}}",
        "{\"node\":\"" NODE1 "\",\"boot\":\"b2\",\"clock\":5,\"loads\":{\"sync\":{\"rps\":2.5}}}",
        "{\"node\":\"" NODE1 "\",\"boot\":\"b3\",\"clock\":5,\"loads\":{\"sync\":{\"rps\":3.5}}}",
    };
    struct cluster c;
    open_cluster(&c);
    tell(&c, NODE1, "POST", "pulse", pulses[0], 200);
    tell(&c, NODE1, "POST", "pulse", pulses[1], 200);
    const char *both = tell(&c, "admin", "GET", "loads", NULL, 200);
    assert_int_equal(lines_of(both), 2);
    assert_non_null(strstr(both, "1.5"));
    assert_non_null(strstr(both, "2.5"));
    c.h->clock.steady_us += 3000000;
    tell(&c, NODE1, "POST", "pulse", pulses[1], 200);
    c.h->clock.steady_us += 3000000; /* the first one is over now */
    tell(&c, NODE1, "POST", "pulse", pulses[2], 200);
    both = tell(&c, "admin", "GET", "loads", NULL, 200);
    assert_int_equal(lines_of(both), 2);
    assert_null(strstr(both, "\"b1\""));
    close_cluster(&c);
}

/* ---- a token of the owner before ---- */

/* The body that asks about such a token. key: what belongs to it. */
static view token_body(struct cluster *c, struct arena *a, const char *url, int64_t uid, int64_t epoch,
                       int64_t life_s, char key[TOKEN_KEY_TEXT])
{
    const struct token t = { .uid = uid,
                             .epoch = epoch,
                             .node = view_of(url),
                             .expires = (double)(clock_now_s(&c->h->clock.clock) + life_s) };
    struct secrets *own = NULL;
    struct err e = ERR_NONE;
    view id;
    assert_int_equal(secrets_derive(c->h->d->secrets, t.node, &own, &e), RC_OK);
    token_mint(c->h->d->conf->token_derived ? own : c->h->d->secrets, &t, a, &id, key);
    secrets_free(own);
    return arena_text(a, "{\"id\":\"%.*s\"}", VIEW_ARG(id));
}

static void expect_token(struct cluster *c, const char *asker, const char *url, int64_t uid, int64_t epoch,
                         int64_t life_s, bool good)
{
    char key[TOKEN_KEY_TEXT];
    SCOPED(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    view body = token_body(c, &a, url, uid, epoch, life_s, key);
    const char *answer = tell(c, asker, "POST", "token", body.p, 200);
    if (!good) {
        assert_string_equal(answer, "{\"refused\":true}");
        return;
    }
    view expected =
        arena_text(&a, "{\"uid\":42,\"epoch\":2,\"key\":\"%.*s\",\"expires\":%lld}", TOKEN_KEY_TEXT, key,
                   (long long)clock_now_s(&c->h->clock.clock) + (long long)life_s);
    assert_string_equal(answer, expected.p);
}

static void set_address(struct cluster *c, const char *name, const char *address)
{
    char path[128], body[128];
    snprintf(path, sizeof(path), "nodes/%s", name);
    snprintf(body, sizeof(body), "{\"address\":\"%s\"}", address);
    tell(c, "admin", "PUT", path, body, 200);
}

static void a_token_of_the_owner_before_is_opened_for_the_owner_of_now_behind_one_address(void **state)
{
    (void)state;
    struct cluster c;
    open_cluster(&c);
    add_node(&c, NODE1, 10);
    add_node(&c, NODE2, 10);
    set_address(&c, NODE1, "https://sync.example.net");
    set_address(&c, NODE2, "https://sync.example.net");
    add_account(&c, "anna", 42, NODE2, 2); /* came from node 1 */
    expect_token(&c, NODE2, "http://" NODE1, 42, 1, 300, true);
    expect_token(&c, NODE1, "http://" NODE1, 42, 1, 300, false); /* not its user, and its own token */
    expect_token(&c, NODE2, "http://" NODE2, 42, 1, 300, false); /* opens it itself */
    expect_token(&c, NODE2, "http://" NODE1, 42, 2, 300, false); /* of an epoch that node 1 never had */
    expect_token(&c, NODE2, "http://" NODE1, 42, 0, 300, false); /* of another token server */
    expect_token(&c, NODE2, "http://" NODE1, 42, 1, 0, false);   /* expired */
    expect_token(&c, NODE2, "http://" NODE1, 43, 1, 300, false); /* nobody */
    expect_token(&c, NODE2, "http://node9.example.net", 42, 1, 300, false); /* no node of ours */
    expect_token(&c, NODE2, "nonsense", 42, 1, 300, false);
    assert_string_equal(tell(&c, NODE2, "POST", "token", "{\"id\":\"bm9uZQ==\"}", 200), "{\"refused\":true}");
    tell(&c, NODE2, "POST", "token", "{}", 400);
    tell(&c, "admin", "POST", "token", "{\"id\":\"x\"}", 403);
    set_address(&c, NODE2, "https://node2.example.net"); /* direct: the client asks for a new token */
    expect_token(&c, NODE2, "http://" NODE1, 42, 1, 300, false);
    close_cluster(&c);
}

static void a_token_that_another_secret_signed_is_refused(void **state)
{
    (void)state;
    struct cluster c;
    char key[TOKEN_KEY_TEXT];
    SCOPED(arena_done) struct arena a;
    open_cluster(&c);
    arena_init(&a, 1 << 20);
    add_node(&c, NODE1, 10);
    add_node(&c, NODE2, 10);
    set_address(&c, NODE1, "https://sync.example.net");
    set_address(&c, NODE2, "https://sync.example.net");
    add_account(&c, "anna", 42, NODE2, 2);
    view body = token_body(&c, &a, "http://" NODE1, 42, 1, 300, key);
    char *forged = arena_cstr(&a, body);
    forged[body.n - 10] = forged[body.n - 10] == 'A' ? 'B' : 'A'; /* in the signature */
    assert_string_equal(tell(&c, NODE2, "POST", "token", forged, 200), "{\"refused\":true}");
    close_cluster(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_is_added_changed_shown_and_removed),
        cmocka_unit_test(an_entry_that_makes_no_sense_is_refused_and_nothing_is_kept),
        cmocka_unit_test(verify_tells_who_it_is_and_where_he_lives_and_refuses_all_others_alike),
        cmocka_unit_test(verify_tells_members_of_a_group_and_places_nobody),
        cmocka_unit_test(owners_names_those_who_left),
        cmocka_unit_test(owners_names_those_whom_no_account_has_any_more),
        cmocka_unit_test(owners_takes_heads_alone),
        cmocka_unit_test(a_node_hears_whom_to_forget),
        cmocka_unit_test(refusals_still_in_force_come_from_the_backend_after_a_restart),
        cmocka_unit_test(a_full_pulse_brings_the_loads_and_takes_the_decided_state),
        cmocka_unit_test(the_processes_of_a_node_are_told_apart_and_a_restart_leaves_nothing_behind),
        cmocka_unit_test(a_token_of_the_owner_before_is_opened_for_the_owner_of_now_behind_one_address),
        cmocka_unit_test(a_token_that_another_secret_signed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
