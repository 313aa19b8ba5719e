/* The pulse and the calls to directories, against a directory that answers what the test says. */
#include "node/pulse.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/log.h"
#include "common/web/internal.h"
#include "common/web/testing.h"

#define KEY "0123456789abcdef-node"

static char *text_of(const char *t)
{
    return (char *)(uintptr_t)t;
}

/* ---- a directory ---- */

struct dir {
    struct server_conf conf;
    struct mount mount;
    struct callers *callers;
    struct server *server;
    char socket[128];

    pthread_mutex_t lock;
    int pulses, full, verifies;   /* full: with loads */
    char last[1024];              /* body of the last pulse */
    const char *answer, *verdict; /* NULL: 503 */
    int cursor;                   /* of next */
    /* next is said until a pulse has heard in it, by which a node tells that it heard; "": answer */
    char next[512], heard[96];
};

static rc answer_pulse(struct request *rq, struct err *e)
{
    struct dir *d = rq->app;
    pthread_mutex_lock(&d->lock);
    d->pulses++;
    snprintf(d->last, sizeof(d->last), "%.*s", VIEW_ARG(rq->body));
    d->full += strstr(d->last, ",\"loads\":{\"sync\":{\"users\":3}}}") != NULL;
    if (d->next[0] && strstr(d->last, d->heard))
        d->next[0] = '\0';
    const char *told = d->next[0] ? d->next : d->answer;
    if (told)
        buf_add(reply_body(rq), view_of(told));
    pthread_mutex_unlock(&d->lock);
    return told ? RC_OK : fail(e, RC_AWAY, RESP_GENERIC, "as told");
}

static rc answer_verify(struct request *rq, struct err *e)
{
    struct dir *d = rq->app;
    pthread_mutex_lock(&d->lock);
    d->verifies++;
    const char *told = d->verdict;
    pthread_mutex_unlock(&d->lock);
    if (!told)
        return fail(e, RC_AWAY, RESP_GENERIC, "the backend is away");
    buf_add(reply_body(rq), view_of(told));
    return RC_OK;
}

#define ROUTE(path_, handler_)                                                                               \
    {                                                                                                        \
        .methods = POST, .path = "/internal/v1/" path_, .handler = handler_, .auth = AUTH_INTERNAL,          \
        .body_max = 4096, .dialect = DIALECT_INTERNAL, .callers = "node"                                     \
    }
static const struct route routes[] = { ROUTE("pulse", answer_pulse), ROUTE("verify", answer_verify) };

static rc admit(struct request *rq, bool *out_late, struct err *e)
{
    struct dir *d = rq->app;
    (void)out_late;
    return internal_admit(d->callers, rq, e);
}

static void dir_serve(struct dir *d)
{
    struct err e = ERR_NONE;
    if (server_open(&d->conf, true, &d->mount, 1, clock_system(), &d->server, &e) != RC_OK)
        fail_msg("%s", e.text);
}

/* To be said from now on; members: what else is in it. */
static void dir_say(struct dir *d, const char *boot, const char *members)
{
    pthread_mutex_lock(&d->lock);
    d->cursor++;
    snprintf(d->heard, sizeof(d->heard), "\"heard\":\"%s\",\"cursor\":%d,", boot, d->cursor);
    snprintf(d->next, sizeof(d->next), "{\"boot\":\"%s\",\"cursor\":%d,%s}", boot, d->cursor, members);
    pthread_mutex_unlock(&d->lock);
}

static void dir_open(struct dir *d, const char *socket, const char *key_line)
{
    char *items[] = { text_of(key_line) };
    const struct conf_list list = { .items = items, .n = 1 };
    *d = (struct dir){ .conf = test_conf(),
                       .answer = "{\"boot\":\"d1\",\"cursor\":5,\"news\":[]}",
                       .cursor = 100 };
    snprintf(d->socket, sizeof(d->socket), "%s", socket);
    d->conf.listen = d->socket;
    pthread_mutex_init(&d->lock, NULL);
    assert_int_equal(callers_new(&list, clock_system(), &d->callers, NULL), RC_OK);
    d->mount = (struct mount){ .name = "internal",
                               .service = "directory",
                               .routes = routes,
                               .n_routes = 2,
                               .app = d,
                               .admit = admit,
                               .admit_body = internal_admit_body };
    dir_say(d, "d1", "\"all\":true,\"news\":[]");
    dir_serve(d);
}

static void dir_silence(struct dir *d)
{
    server_close(d->server);
    d->server = NULL;
}

static void dir_close(struct dir *d)
{
    if (d->server)
        server_close(d->server);
    unlink(d->socket);
    callers_free(d->callers);
    pthread_mutex_destroy(&d->lock);
}

static int dir_pulses(struct dir *d)
{
    pthread_mutex_lock(&d->lock);
    int n = d->pulses;
    pthread_mutex_unlock(&d->lock);
    return n;
}

static bool dir_was_heard(struct dir *d)
{
    pthread_mutex_lock(&d->lock);
    bool heard = d->next[0] == '\0';
    pthread_mutex_unlock(&d->lock);
    return heard;
}

/* Two more pulses have begun: whatever was told before has been acted on. */
static void dir_await(struct dir *d)
{
    int until = dir_pulses(d) + 2;
    WAIT_UNTIL(dir_pulses(d) >= until);
}

/* Says it until the node tells that it has acted on it: an answer may come too late for who asked. */
static void dir_tell(struct dir *d, const char *boot, const char *members)
{
    dir_say(d, boot, members);
    WAIT_UNTIL(dir_was_heard(d));
}

/* Two pulses are answered so, and acted on. NULL: 503. */
static void dir_answers(struct dir *d, const char *text)
{
    pthread_mutex_lock(&d->lock);
    d->answer = text;
    pthread_mutex_unlock(&d->lock);
    dir_await(d);
    dir_await(d);
}

static void dir_verdict(struct dir *d, const char *text)
{
    pthread_mutex_lock(&d->lock);
    d->verdict = text;
    pthread_mutex_unlock(&d->lock);
}

/* ---- a node ---- */

struct world {
    char folder[64], sockets[2][128];
    struct dir dirs[2];
    size_t n;
    struct clock_stepped clock;
    struct conf_list directories, key;
    char *addresses[2], *keys[1];
    struct remote *remote;
    struct authority *a;
    struct pulse *pulse;
    atomic_bool down; /* what was decided */
    atomic_int decisions;
};

static void loads(void *arg, struct buf *out)
{
    (void)arg;
    buf_add(out, VIEW("{\"sync\":{\"users\":3}}"));
}

static void open_world(struct world *w, size_t n)
{
    *w = (struct world){ .folder = "/tmp/heddle-pulse-XXXXXX", .n = n, .clock = CLOCK_STEPPED };
    log_setup(STDERR_FILENO, LOG_PLAIN, LOG_ERROR);
    assert_non_null(mkdtemp(w->folder));
    for (size_t i = 0; i < n; i++) {
        snprintf(w->sockets[i], sizeof(w->sockets[i]), "%s/%zu", w->folder, i);
        dir_open(&w->dirs[i], w->sockets[i], "node node7 " KEY);
        w->addresses[i] = w->sockets[i];
    }
    w->keys[0] = text_of(KEY);
    w->directories = (struct conf_list){ .items = w->addresses, .n = n };
    w->key = (struct conf_list){ .items = w->keys, .n = 1 };
    const struct remote_conf conf = { .directories = &w->directories, .key = &w->key, .name = VIEW("node7") };
    assert_int_equal(remote_new(&conf, &w->clock.clock, &w->remote, NULL), RC_OK);
    struct authority_driver d = remote_authority(w->remote);
    assert_int_equal(authority_new(&d, &w->clock.clock, 60, 100, &w->a, NULL), RC_OK);
    authority_outage_grace(w->a, 600);
}

static void decided(void *arg, bool down)
{
    struct world *w = arg;
    atomic_store(&w->down, down);
    atomic_fetch_add(&w->decisions, 1);
}

static void open_pulse(struct world *w)
{
    const struct pulse_options o = { .remote = w->remote,
                                     .authority = w->a,
                                     .clock = &w->clock.clock,
                                     .name = VIEW("node7"),
                                     .every_ms = 10,
                                     .loads = loads,
                                     .decided = decided,
                                     .arg = w };
    struct err e = ERR_NONE;
    if (pulse_start(&o, &w->pulse, &e) != RC_OK)
        fail_msg("%s", e.text);
}

static void close_world(struct world *w)
{
    pulse_stop(w->pulse);
    authority_free(w->a);
    remote_free(w->remote);
    for (size_t i = 0; i < w->n; i++)
        dir_close(&w->dirs[i]);
    assert_int_equal(rmdir(w->folder), 0);
}

static rc verify(struct world *w, const char *password, struct verdict *v)
{
    return authority_verify(w->a, VIEW("anna"), view_of(password), v, NULL);
}

static bool known(struct world *w)
{
    struct verdict v;
    return authority_known(w->a, VIEW("anna"), VIEW("secret"), &v);
}

#define ANNA "{\"uid\":42,\"epoch\":3,\"node\":\"http://node7\"}"

/* ---- who is this? ---- */

static void a_directory_is_asked_and_its_word_is_taken(void **state)
{
    (void)state;
    struct world w;
    struct verdict v;
    open_world(&w, 1);
    dir_verdict(&w.dirs[0], ANNA);
    assert_int_equal(verify(&w, "secret", &v), RC_OK);
    assert_int_equal(v.uid, 42);
    assert_int_equal(v.epoch, 3);
    assert_string_equal(v.node, "http://node7");
    dir_verdict(&w.dirs[0], "{\"refused\":true}");
    assert_int_equal(verify(&w, "wrong", &v), RC_DENIED);
    assert_int_equal(verify(&w, "\xff\xfe", &v), RC_DENIED);
    assert_int_equal(w.dirs[0].verifies, 2);
    close_world(&w);
}

static void an_answer_that_makes_no_sense_admits_nobody(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "[]",
                                       "{}",
                                       "{\"uid\":42,\"epoch\":3}",
                                       "{\"uid\":0,\"epoch\":3,\"node\":\"x\"}",
                                       "{\"uid\":\"42\",\"epoch\":3,\"node\":\"x\"}",
                                       "{\"uid\":42,\"epoch\":-1,\"node\":\"x\"}",
                                       "{\"uid\":42,\"epoch\":3,\"node\":\"\"}",
                                       "{\"refused\":false}" };
    struct world w;
    struct verdict v;
    open_world(&w, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        dir_verdict(&w.dirs[0], bad[i]);
        assert_int_equal(verify(&w, "secret", &v), RC_AWAY);
    }
    close_world(&w);
}

static void the_next_directory_is_asked_when_one_does_not_know(void **state)
{
    (void)state;
    struct world w;
    struct verdict v;
    open_world(&w, 2);
    dir_verdict(&w.dirs[1], ANNA);
    assert_int_equal(verify(&w, "secret", &v), RC_OK); /* the first says 503 */
    assert_int_equal(w.dirs[0].verifies, 1);
    authority_forget_all(w.a);
    assert_int_equal(verify(&w, "secret", &v), RC_OK); /* who answered last is asked first */
    assert_int_equal(w.dirs[0].verifies, 1);
    dir_verdict(&w.dirs[0], ANNA);
    dir_silence(&w.dirs[1]);
    authority_forget_all(w.a);
    assert_int_equal(verify(&w, "secret", &v), RC_OK); /* the second is gone */
    assert_int_equal(w.dirs[0].verifies, 2);
    dir_silence(&w.dirs[0]);
    authority_forget_all(w.a);
    assert_int_equal(verify(&w, "secret", &v), RC_AWAY);
    close_world(&w);
}

static void who_was_silent_is_left_alone_for_a_moment(void **state)
{
    (void)state;
    struct world w;
    struct verdict v;
    open_world(&w, 1);
    dir_silence(&w.dirs[0]);
    assert_int_equal(verify(&w, "secret", &v), RC_AWAY);
    dir_verdict(&w.dirs[0], ANNA);
    dir_serve(&w.dirs[0]);
    assert_int_equal(verify(&w, "secret", &v), RC_AWAY);
    assert_int_equal(w.dirs[0].verifies, 0);
    w.clock.steady_us += REMOTE_SILENT_US;
    assert_int_equal(verify(&w, "secret", &v), RC_OK);
    close_world(&w);
}

static void settings_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *address, *key;
        rc expected;
    } cases[] = {
        { "http://10.0.0.1:8001", KEY, RC_OK },
        { "https://directory.example.net", KEY, RC_OK },
        { "/run/heddle/internal.sock", KEY, RC_OK },
        { "http://10.0.0.1:8001/", KEY, RC_BAD_INPUT },
        { "http://10.0.0.1:8001/path", KEY, RC_BAD_INPUT },
        { "10.0.0.1:8001", KEY, RC_BAD_INPUT },
        { "http://10.0.0.1:8001", "short", RC_BAD_INPUT },
        { "http://10.0.0.1:8001", "two words of a long key", RC_BAD_INPUT },
        { "http://10.0.0.1:8001", NULL, RC_BAD_INPUT },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *address = text_of(cases[i].address), *key = text_of(cases[i].key);
        const struct conf_list directories = { .items = &address, .n = 1 },
                               keys = { .items = &key, .n = key ? 1 : 0 };
        assert_int_equal(remote_check(&directories, &keys, NULL), cases[i].expected);
    }
}

/* ---- the pulse ---- */

/* One directory, which is heard and has told who anna is. */
static void open_world_with_anna(struct world *w)
{
    struct verdict v;
    open_world(w, 1);
    dir_verdict(&w->dirs[0], ANNA);
    open_pulse(w);
    WAIT_UNTIL(pulse_heard(w->pulse) == 1 && dir_was_heard(&w->dirs[0]));
    assert_int_equal(verify(w, "secret", &v), RC_OK);
}

static void news_are_acted_on(void **state)
{
    (void)state;
    struct world w;
    open_world_with_anna(&w);
    dir_await(&w.dirs[0]);
    assert_true(known(&w));
    dir_tell(&w.dirs[0], "d1", "\"news\":[{\"n\":6,\"what\":\"forget\",\"name\":\"bert\"}]");
    assert_true(known(&w));
    dir_tell(&w.dirs[0], "d1", "\"news\":[{\"n\":7,\"what\":\"forget\",\"name\":\"anna\"}]");
    assert_false(known(&w));
    dir_tell(&w.dirs[0], "d1", "\"news\":[{\"n\":8,\"what\":\"refuse\",\"uid\":57,\"until\":99999999999}]");
    assert_true(authority_refused(w.a, 57));
    dir_tell(&w.dirs[0], "d1", "\"news\":[{\"n\":9,\"what\":\"allow\",\"uid\":57}]");
    assert_false(authority_refused(w.a, 57));
    close_world(&w);
}

static void all_forgets_every_verdict_and_brings_the_refusals(void **state)
{
    (void)state;
    struct world w;
    open_world_with_anna(&w);
    dir_tell(&w.dirs[0], "d2",
             "\"all\":true,\"news\":[{\"what\":\"refuse\",\"uid\":58,\"until\":99999999999}]");
    assert_false(known(&w));
    assert_true(authority_refused(w.a, 58));
    close_world(&w);
}

static void refusals_are_in_force_before_anybody_is_served(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    dir_say(&w.dirs[0], "d1",
            "\"all\":true,\"news\":[{\"what\":\"refuse\",\"uid\":58,\"until\":99999999999}]");
    int64_t began_us = clock_mono_us(clock_system());
    open_pulse(&w);
    if (clock_mono_us(clock_system()) - began_us < 3000000) /* so long it waits */
        assert_true(authority_refused(w.a, 58));
    close_world(&w);
}

static void who_hears_no_directory_trusts_older_verdicts_and_returns_to_the_rule(void **state)
{
    (void)state;
    struct world w;
    open_world_with_anna(&w);
    w.clock.steady_us += 300000000;
    assert_false(known(&w));
    dir_answers(&w.dirs[0], NULL);
    WAIT_UNTIL(pulse_heard(w.pulse) == 0);
    assert_true(known(&w));
    dir_answers(&w.dirs[0], "{\"boot\":\"d1\",\"cursor\":5,\"news\":[]}");
    WAIT_UNTIL(pulse_heard(w.pulse) == 1);
    assert_false(known(&w));
    close_world(&w);
}

static void the_first_pulse_brings_the_loads_and_then_one_now_and_then(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1);
    open_pulse(&w);
    dir_await(&w.dirs[0]);
    pthread_mutex_lock(&w.dirs[0].lock);
    assert_non_null(strstr(w.dirs[0].last, "{\"node\":\"node7\",\"boot\":\""));
    assert_null(strstr(w.dirs[0].last, "loads"));
    assert_int_equal(w.dirs[0].full, 1);
    w.clock.steady_us += PULSE_LOADS_US;
    pthread_mutex_unlock(&w.dirs[0].lock);
    dir_await(&w.dirs[0]);
    dir_await(&w.dirs[0]);
    pthread_mutex_lock(&w.dirs[0].lock);
    assert_int_equal(w.dirs[0].full, 2);
    w.dirs[0].answer = "{\"boot\":\"d2\",\"cursor\":0,\"news\":[]}";
    pthread_mutex_unlock(&w.dirs[0].lock);
    /* Another life of the directory: it has forgotten all of it. */
    dir_tell(&w.dirs[0], "d2", "\"all\":true,\"news\":[]");
    dir_await(&w.dirs[0]);
    pulse_stop(w.pulse);
    w.pulse = NULL;
    assert_int_equal(w.dirs[0].full, 3);
    close_world(&w);
}

static void state_told(struct dir *d, const char *state)
{
    char text[64];
    snprintf(text, sizeof(text), "\"state\":\"%s\",\"news\":[]", state);
    dir_tell(d, "d1", text);
}

static void a_node_is_down_where_all_directories_that_are_heard_say_so(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 2);
    open_pulse(&w);
    dir_await(&w.dirs[0]);
    dir_await(&w.dirs[1]);
    state_told(&w.dirs[0], "draining");
    state_told(&w.dirs[1], "open");
    assert_int_equal(w.decisions, 0);
    state_told(&w.dirs[0], "down");
    assert_false(w.down); /* the other one may read from a copy that is behind, or this one */
    state_told(&w.dirs[1], "down");
    assert_true(w.down);
    dir_silence(&w.dirs[0]);
    dir_silence(&w.dirs[1]);
    WAIT_UNTIL(pulse_heard(w.pulse) == 0);
    assert_true(w.down); /* nobody has said otherwise */
    dir_serve(&w.dirs[1]);
    WAIT_UNTIL(pulse_heard(w.pulse) > 0);
    state_told(&w.dirs[1], "open"); /* the other one is not heard */
    assert_false(w.down);
    assert_int_equal(w.decisions, 2);
    close_world(&w);
}

static void an_answer_to_the_pulse_is_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        rc expected;
        bool forgotten;
    } cases[] = {
        { "{\"boot\":\"d1\",\"cursor\":9,\"news\":[]}", RC_OK, false },
        { "{\"boot\":\"d2\",\"cursor\":9,\"all\":true,\"news\":[]}", RC_OK, true },
        { "{\"boot\":\"d2\",\"cursor\":9,\"news\":[]}", RC_BROKEN, false },
        { "{\"boot\":\"d1\",\"cursor\":-1,\"news\":[]}", RC_BROKEN, false },
        { "{\"boot\":\"d1\",\"cursor\":\"9\",\"news\":[]}", RC_BROKEN, false },
        { "{\"boot\":\"d1\",\"cursor\":9}", RC_BROKEN, false },
        { "{\"cursor\":9,\"news\":[]}", RC_BROKEN, false },
        /* What we do not understand may have been a word about anybody. */
        { "{\"boot\":\"d1\",\"cursor\":9,\"news\":[{\"what\":\"moved\",\"uid\":7}]}", RC_OK, true },
        { "{\"boot\":\"d1\",\"cursor\":9,\"news\":[{\"what\":\"refuse\",\"uid\":\"7\",\"until\":1}]}", RC_OK,
          true },
        { "{\"boot\":\"d1\",\"cursor\":9,\"news\":[7]}", RC_OK, true },
    };
    struct world w;
    open_world(&w, 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct verdict v;
        char boot[65] = "d1";
        int64_t cursor = 5;
        bool more;
        json_t *answer = NULL;
        struct err e = ERR_NONE;
        dir_verdict(&w.dirs[0], ANNA);
        assert_int_equal(verify(&w, "secret", &v), RC_OK);
        assert_int_equal(json_read(view_of(cases[i].text), 8, JSON_READ_PLAIN, &answer, NULL), RC_OK);
        if (pulse_act(answer, w.a, boot, &cursor, &more, &e) != cases[i].expected ||
            known(&w) == cases[i].forgotten)
            fail_msg("%s", cases[i].text);
        assert_int_equal(cursor, cases[i].expected == RC_OK ? 9 : 5);
        json_decref(answer);
    }
    close_world(&w);
}

static void who_does_not_know_our_key_is_not_heard(void **state)
{
    (void)state;
    struct world w;
    struct verdict v;
    open_world(&w, 1);
    dir_silence(&w.dirs[0]);
    dir_close(&w.dirs[0]);
    dir_open(&w.dirs[0], w.sockets[0], "node node7 another-key-altogether");
    open_pulse(&w);
    assert_int_equal(pulse_heard(w.pulse), 0);
    assert_int_equal(w.dirs[0].pulses, 0);
    assert_int_equal(verify(&w, "secret", &v), RC_AWAY);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_is_asked_and_its_word_is_taken),
        cmocka_unit_test(an_answer_that_makes_no_sense_admits_nobody),
        cmocka_unit_test(the_next_directory_is_asked_when_one_does_not_know),
        cmocka_unit_test(who_was_silent_is_left_alone_for_a_moment),
        cmocka_unit_test(settings_that_make_no_sense_are_refused),
        cmocka_unit_test(news_are_acted_on),
        cmocka_unit_test(all_forgets_every_verdict_and_brings_the_refusals),
        cmocka_unit_test(refusals_are_in_force_before_anybody_is_served),
        cmocka_unit_test(who_hears_no_directory_trusts_older_verdicts_and_returns_to_the_rule),
        cmocka_unit_test(the_first_pulse_brings_the_loads_and_then_one_now_and_then),
        cmocka_unit_test(a_node_is_down_where_all_directories_that_are_heard_say_so),
        cmocka_unit_test(an_answer_to_the_pulse_is_read_strictly),
        cmocka_unit_test(who_does_not_know_our_key_is_not_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
