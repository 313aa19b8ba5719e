#include "directory/internal.h"

#include "directory/testing_http.h"

#define NODE1 "node1.example.net:8000"
#define NODE2 "node2.example.net:8000"

/* A directory of a cluster behind its internal listener, a unix socket, and somebody who calls it. */
struct cluster {
    struct house *h;
    char *keys[3];
    struct conf_list key_list;
    char socket[128];
    struct server_conf conf;
    struct mount mount;
    struct server *server;
    struct caller *caller;
    struct answer answer;
    struct backend_session *session;
};

static void open_cluster(struct cluster *c)
{
    struct err e = ERR_NONE;
    *c = (struct cluster){ .h = house_new(NULL) };
    c->keys[0] = text_of("node " NODE1 " key-of-node-number-1");
    c->keys[1] = text_of("node " NODE2 " key-of-node-number-2");
    c->keys[2] = text_of("admin admin key-of-the-operator");
    c->key_list = (struct conf_list){ .items = c->keys, .n = 3 };
    c->h->options.sole_node_url = NULL;
    c->h->options.internal_keys = &c->key_list;
    house_open(c->h);
    snprintf(c->socket, sizeof(c->socket), "%s/internal.sock", c->h->folder);
    directory_internal_mount(c->h->d, &c->mount);
    c->conf = (struct server_conf){ .listen = c->socket,
                                    .url = text_of(""),
                                    .io_threads = 1,
                                    .workers = 2,
                                    .queue = 10,
                                    .queue_wait_s = 10,
                                    .connections = 10,
                                    .connection_bytes = 16384,
                                    .idle_s = 30,
                                    .body_bytes = 1 << 20,
                                    .arena_bytes = 1 << 20,
                                    .drain_s = 10,
                                    .tls_cert = text_of(""),
                                    .tls_key = text_of(""),
                                    .spool_dir = text_of("") };
    if (server_open(&c->conf, true, &c->mount, 1, clock_system(), &c->server, &e) != RC_OK)
        fail_msg("%s", e.text);
    assert_int_equal(caller_new(&c->h->clock.clock, &c->caller, &e), RC_OK);
    assert_int_equal(backend_session_open(c->h->d->backend, &c->session, &e), RC_OK);
}

static void close_cluster(struct cluster *c)
{
    answer_done(&c->answer);
    caller_free(c->caller);
    server_close(c->server);
    backend_session_close(c->session);
    house_free(c->h);
}

static view key_of(view who)
{
    return view_eq(who, VIEW("admin")) ? VIEW("key-of-the-operator")
           : view_eq(who, VIEW(NODE1)) ? VIEW("key-of-node-number-1")
                                       : VIEW("key-of-node-number-2");
}

/* The answer's body. */
static const char *tell(struct cluster *c, const char *who, const char *method, const char *path,
                        const char *body, long status)
{
    char url[256];
    struct err e = ERR_NONE;
    snprintf(url, sizeof(url), "http://localhost/internal/v1/%s", path);
    struct call what = { .method = method,
                         .url = url,
                         .unix_socket = c->socket,
                         .content_type = body ? "application/json" : NULL,
                         .body = body ? view_of(body) : VIEW_NONE,
                         .hawk_id = view_of(who),
                         .hawk_key = key_of(view_of(who)),
                         .timeout_ms = 20000,
                         .answer_max = 4 << 20 };
    if (call(c->caller, &what, &c->answer, &e) != RC_OK)
        fail_msg("%s", e.text);
    if (c->answer.status != status)
        fail_msg("%s %s: %ld %s", method, path, c->answer.status, buf_text(&c->answer.body));
    return buf_text(&c->answer.body);
}

static void add_node(struct cluster *c, const char *name, int capacity)
{
    char path[128], body[256];
    snprintf(path, sizeof(path), "nodes/%s", name);
    snprintf(body, sizeof(body),
             "{\"url\":\"http://%s\",\"address\":\"https://%.5s.example.org\",\"capacity\":%d}", name, name,
             capacity);
    tell(c, "admin", "PUT", path, body, 200);
}

static void add_account(struct cluster *c, const char *name, int64_t uid, const char *node, int64_t epoch)
{
    struct err e = ERR_NONE;
    const struct account_new n = { .name = view_of(name),
                                   .uid = uid,
                                   .password = VIEW("correct horse"),
                                   .node = view_of(node),
                                   .placed = node ? VIEW("1 first") : VIEW_NONE,
                                   .created_ms = 1,
                                   .epoch = epoch };
    if (account_add(c->session, &n, &e) != RC_OK)
        fail_msg("%s", e.text);
}

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
    assert_string_equal(
        tell(&c, NODE1, "POST", "owners", "{\"heads\":[[42,3],[43,3],[44,3],[45,1],[99,1]]}", 200),
        "{\"left\":[[43,4],[44,3]]}");
    assert_string_equal(tell(&c, NODE1, "POST", "owners", "{\"heads\":[]}", 200), "{\"left\":[]}");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_is_added_changed_shown_and_removed),
        cmocka_unit_test(an_entry_that_makes_no_sense_is_refused_and_nothing_is_kept),
        cmocka_unit_test(verify_tells_who_it_is_and_where_he_lives_and_refuses_all_others_alike),
        cmocka_unit_test(owners_names_those_who_left),
        cmocka_unit_test(a_node_hears_whom_to_forget),
        cmocka_unit_test(refusals_still_in_force_come_from_the_backend_after_a_restart),
        cmocka_unit_test(a_full_pulse_brings_the_loads_and_takes_the_decided_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
