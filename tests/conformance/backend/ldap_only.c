/* What only the LDAP driver has: other programs that write there, replicas, TLS, servers that die or lie. */
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/scope.h"
#include "directory/backend/ldap_init.h"
#include "fixture_ldap.h"

/* ---- what others write ---- */

static bool stored_as(struct fixture *f, const char *name, const char *prefix)
{
    char dn[256];
    LDAPMessage *m = NULL;
    LDAP *ld = fixture_ldap_root();
    char *attrs[] = { (char[]){ "userPassword" }, NULL };
    snprintf(dn, sizeof(dn), "uid=%s,ou=users,%s", name, f->ldap->base);
    assert_int_equal(
        ldap_search_ext_s(ld, dn, LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 0, NULL, NULL, NULL, 1, &m),
        LDAP_SUCCESS);
    struct berval **v = ldap_get_values_len(ld, ldap_first_entry(ld, m), "userPassword");
    bool good = v && v[0] && view_starts((view){ v[0]->bv_val, v[0]->bv_len }, view_of(prefix));
    ldap_value_free_len(v);
    ldap_msgfree(m);
    ldap_unbind_ext(ld, NULL, NULL);
    return good;
}

static void a_login_with_an_old_hash_makes_a_new_one(void **state)
{
    struct fixture *f = *state;
    static const char *const old[] = {
        "{SSHA256}Lid6DT8LQQY5qGAZK+2DJxMKUMfAAOtfsN6pZWGxwv1hYkNEMTIzNA==",
        "{ARGON2}$argon2id$v=19$m=128,t=1,p=1$c2FsdHNhbHRzYWx0$", /* another cost; not readable */
    };
    struct account_new n = fixture_user("alice", 7);
    fixture_add(f, &n);
    assert_true(stored_as(f, "alice", "{ARGON2}$argon2id$v=19$m=64,t=1,p=1$"));
    fixture_ldap_set(f->ldap, "alice", "userPassword", view_of(old[1]));
    assert_int_equal(login(f, "alice", "caf\xc3\xa9 secret"), RC_DENIED);
    fixture_ldap_set(f->ldap, "alice", "userPassword", view_of(old[0]));
    assert_int_equal(login(f, "alice", "wrong"), RC_DENIED);
    assert_true(stored_as(f, "alice", "{SSHA256}"));
    assert_int_equal(login(f, "alice", "caf\xc3\xa9 secret"), RC_OK);
    assert_true(stored_as(f, "alice", "{ARGON2}$argon2id$v=19$m=64,t=1,p=1$"));
    assert_int_equal(login(f, "alice", "caf\xc3\xa9 secret"), RC_OK);
    assert_int_equal(fixture_get(f, "alice").password_since_ms, START_MS); /* it is still the same password */
}

static void each_scheme_is_one_that_the_server_checks(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *scheme, *prefix;
    } rows[] = { { "argon2", "{ARGON2}$argon2id$" },
                 { "crypt", "{CRYPT}$y$" },
                 { "ssha512", "{SSHA512}" },
                 { "ssha", "{SSHA}" } };
    for (int i = 0; i < 4; i++) {
        char name[16], scheme[16];
        snprintf(name, sizeof(name), "u%d", i);
        snprintf(scheme, sizeof(scheme), "%s", rows[i].scheme);
        f->ldap->passwords = scheme;
        reopen(f);
        struct account_new n = fixture_user(name, 10 + i);
        fixture_add(f, &n);
        assert_true(stored_as(f, name, rows[i].prefix));
        assert_int_equal(login(f, name, "correct horse"), RC_OK);
        assert_int_equal(login(f, name, "correct horsf"), RC_DENIED);
    }
    assert_int_equal(login(f, "u1", "correct horse"), RC_OK);
    assert_true(stored_as(f, "u1", "{SSHA}"));
    f->ldap->passwords = "argon2";
}

static void an_entry_that_was_not_named_by_us_is_nobodys(void **state)
{
    struct fixture *f = *state;
    struct account a;
    char from[256];
    struct account_new n = fixture_user("alice", 7), m = fixture_synced("Alice", 8);
    fixture_add(f, &n);
    fixture_add(f, &m);
    snprintf(from, sizeof(from), "uid=alice,ou=users,%s", f->ldap->base);
    LDAP *ld = fixture_ldap_root();
    assert_int_equal(ldap_rename_s(ld, from, "uid=ALICE", NULL, 1, NULL, NULL), LDAP_SUCCESS);
    ldap_unbind_ext(ld, NULL, NULL);
    assert_int_equal(get(f, "alice", &a), RC_NOT_FOUND);
    assert_int_equal(get(f, "ALICE", &a), RC_NOT_FOUND);
    assert_int_equal(login(f, "alice", "correct horse"), RC_DENIED);
    assert_int_equal(fixture_get(f, "Alice").uid, 8);
}

static void what_ldap_cannot_keep_is_refused(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_synced("x@y", 8), m = fixture_synced("z@y", 10);
    struct change c = fixture_change(ATTR_INTENT, NULL, "\xff\xfe\x01");
    char name[251];
    fixture_add(f, &n);
    assert_int_equal(account_cas(f->s, VIEW("x@y"), &c, 1, NULL), RC_BAD_INPUT);
    memset(name, 'n', 250);
    name[250] = '\0';
    m.name = view_of(name);
    assert_int_equal(account_add(f->s, &m, NULL), RC_BAD_INPUT);
    assert_int_equal(get(f, name, &a), RC_NOT_FOUND);
    assert_int_equal(login(f, name, "x"), RC_DENIED);
    assert_int_equal(get(f, "x@y", &a), RC_OK);
}

static void huge_and_binary_values_are_errors_and_not_more(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    char *huge = malloc(2 << 20);
    assert_non_null(huge);
    memset(huge, 'h', 2 << 20);
    fixture_ldap_set(f->ldap, "x@y", "heddleIntent", (view){ huge, 5000 }); /* longer than ours ever are */
    assert_int_equal(get(f, "x@y", &a), RC_BROKEN);
    /* longer than a message may be */
    fixture_ldap_set(f->ldap, "x@y", "heddleIntent", (view){ huge, 2 << 20 });
    assert_int_not_equal(get(f, "x@y", &a), RC_OK);
    fixture_ldap_set(f->ldap, "x@y", "heddleIntent", VIEW("a\0b\xc3\xa9"));
    assert_int_equal(get(f, "x@y", &a), RC_OK);
    assert_true(view_eq(a.intent, VIEW("a\0b\xc3\xa9")));
    fixture_ldap_set(f->ldap, "x@y", "heddleEpoch", VIEW("-5"));
    assert_int_equal(get(f, "x@y", &a), RC_BROKEN);
    fixture_ldap_set(f->ldap, "x@y", "heddleEpoch", VIEW("99999999999999999999999"));
    assert_int_equal(get(f, "x@y", &a), RC_BROKEN);
    fixture_ldap_set(f->ldap, "x@y", "heddleEpoch", VIEW("3"));
    assert_int_equal(get(f, "x@y", &a), RC_OK);
    free(huge);
}

struct page {
    int n;
    char last[32];
    bool ordered;
};

static bool see_page(void *arg, const struct account *acc)
{
    struct page *p = arg;
    char name[32];
    snprintf(name, sizeof(name), "%.*s", VIEW_ARG(acc->name));
    p->ordered = p->ordered && strcmp(p->last, name) < 0;
    memcpy(p->last, name, sizeof(name));
    return ++p->n < 500;
}

static void more_accounts_than_a_page_come_in_order(void **state)
{
    struct fixture *f = *state;
    enum { N = 1203 };
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof(name), "u%05d@y", (i * 677) % N);
        struct account_new n = fixture_synced(name, 1000 + i);
        fixture_add(f, &n);
    }
    int seen = 0;
    view after = VIEW_NONE;
    char last[32] = "";
    for (;;) { /* as callers do: a page, and on behind its last name */
        struct account_filter filter = { .node = VIEW("node1.example.net"), .after = after };
        struct page p = { 0, "", true };
        memcpy(p.last, last, sizeof(last));
        assert_int_equal(accounts_each(f->s, &filter, see_page, &p, NULL), RC_OK);
        assert_true(p.ordered);
        seen += p.n;
        memcpy(last, p.last, sizeof(last));
        after = view_of(last);
        if (p.n < 500)
            break;
    }
    assert_int_equal(seen, N);
}

/* ---- servers that come and go ---- */

static void without_its_provider_a_directory_still_finds_people(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct node_entry node;
    struct account_new n = fixture_user("alice", 7);
    struct change c = fixture_change(ATTR_EPOCH, "1", "2");
    struct node_entry entry = { .name = VIEW("n1"),
                                .url = VIEW("https://n1"),
                                .address = VIEW("https://n1"),
                                .capacity = 5,
                                .seats = 5 };
    int64_t got;
    assert_int_equal(node_put(f->s, &entry, NULL), RC_OK);
    fixture_add(f, &n);
    reopen(f); /* forgets what was changed: replicas are asked from now on */
    fixture_ldap_await_replica(f->ldap, "alice");
    fixture_ldap_control("kill", "provider");
    assert_int_equal(get(f, "alice", &a), RC_OK);
    assert_int_equal(backend_ping(f->s, NULL), RC_OK);
    assert_int_equal(login(f, "alice", "correct horse"), RC_OK);
    assert_int_equal(login(f, "alice", "correct horsf"), RC_DENIED);
    assert_int_equal(node_get(f->s, VIEW("n1"), &f->arena, &node, NULL), RC_OK);
    assert_int_equal(get(f, "carol", &a), RC_AWAY); /* perhaps she was made since */
    assert_int_equal(account_cas(f->s, VIEW("alice"), &c, 1, NULL), RC_AWAY);
    assert_int_equal(uid_next(f->s, 1, &got, NULL), RC_AWAY);
    fixture_ldap_control("start", "provider");
    assert_int_equal(get(f, "carol", &a), RC_NOT_FOUND);
    assert_int_equal(account_cas(f->s, VIEW("alice"), &c, 1, NULL), RC_OK);
    assert_int_equal(fixture_get(f, "alice").epoch, 2);
}

static void what_was_changed_here_is_not_asked_of_a_stale_replica(void **state)
{
    struct fixture *f = *state;
    struct account_new n = fixture_synced("x@y", 8);
    fixture_ldap_control("pause", "replica");
    fixture_add(f, &n);
    struct change c = fixture_change(ATTR_NODE, "node1.example.net", "node2");
    assert_int_equal(account_cas(f->s, VIEW("x@y"), &c, 1, NULL), RC_OK);
    /* at once: nobody waits for the replica */
    assert_true(view_eq(fixture_get(f, "x@y").node, VIEW("node2")));
    fixture_ldap_control("resume", "replica");
    assert_true(view_eq(fixture_get(f, "x@y").node, VIEW("node2")));
}

/* Two processes of a directory: what one changed, the other asks the provider for once it was told. */
static void what_another_directory_changed_is_asked_of_the_provider(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    fixture_ldap_await_replica(f->ldap, "x@y");
    reopen(f);
    const struct clock *clock = clock_system();
    fixture_ldap_control("pause", "replica");
    account_changed(f->s, VIEW("x@y"));
    int64_t from_us = clock_mono_us(clock);
    assert_int_equal(get(f, "x@y", &a), RC_OK);
    assert_int_equal(account_truth(f->s, ACCOUNT_BY_UID, VIEW("8"), &f->arena, &a, NULL), RC_OK);
    /* nobody waited for the replica */
    assert_true(clock_mono_us(clock) - from_us < f->ldap->timeout_s * 1000000);
    fixture_ldap_control("resume", "replica");
}

static void the_truth_is_never_a_replicas(void **state)
{
    struct fixture *f = *state;
    struct account a;
    struct account_new n = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    reopen(f);
    fixture_ldap_await_replica(f->ldap, "x@y");
    fixture_ldap_control("kill", "provider");
    assert_int_equal(get(f, "x@y", &a), RC_OK);
    assert_int_equal(account_truth(f->s, ACCOUNT_BY_NAME, VIEW("x@y"), &f->arena, &a, NULL), RC_AWAY);
    assert_int_equal(account_truth(f->s, ACCOUNT_BY_UID, VIEW("8"), &f->arena, &a, NULL), RC_AWAY);
    fixture_ldap_control("start", "provider");
    assert_int_equal(account_truth(f->s, ACCOUNT_BY_UID, VIEW("8"), &f->arena, &a, NULL), RC_OK);
}

struct writer {
    struct backend *backend;
    _Atomic bool *stop;
    int wins, unsure, others;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    struct backend_session *s;
    if (backend_session_open(w->backend, &s, NULL) != RC_OK)
        return NULL;
    while (!*w->stop) {
        SCOPED(arena_done) struct arena a;
        struct account acc;
        arena_init(&a, 65536);
        if (account_get(s, ACCOUNT_BY_NAME, VIEW("x@y"), &a, &acc, NULL) != RC_OK)
            continue;
        struct change c = change_number(&a, ATTR_EPOCH, acc.epoch, acc.epoch + 1);
        rc r = account_cas(s, VIEW("x@y"), &c, 1, NULL);
        w->wins += r == RC_OK;
        w->unsure += r == RC_UNSURE;
        w->others += r != RC_OK && r != RC_UNSURE && r != RC_CONFLICT && r != RC_AWAY;
    }
    backend_session_close(s);
    return NULL;
}

static void no_win_is_lost_or_counted_twice_while_the_server_is_restarted(void **state)
{
    struct fixture *f = *state;
    enum { WRITERS = 4, RESTARTS = 8 };
    pthread_t threads[WRITERS];
    struct writer w[WRITERS];
    static _Atomic bool stop;
    int wins = 0, unsure = 0;
    struct account_new n = fixture_synced("x@y", 8);
    fixture_add(f, &n);
    stop = false;
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){ .backend = f->backend, .stop = &stop };
        assert_int_equal(pthread_create(&threads[i], NULL, write_on, &w[i]), 0);
    }
    for (int i = 0; i < RESTARTS; i++) {
        fixture_ldap_control(i % 2 ? "stop" : "kill", "provider");
        fixture_ldap_control("start", "provider");
    }
    stop = true;
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(w[i].others, 0);
        wins += w[i].wins;
        unsure += w[i].unsure;
    }
    int64_t epoch = fixture_get(f, "x@y").epoch;
    assert_true(wins > 0);
    assert_true(epoch >= 1 + wins && epoch <= 1 + wins + unsure);
}

static void encrypted_connections_are_checked(void **state)
{
    struct fixture *f = *state;
    static const char *const uris[] = { "HEDDLE_TEST_LDAP_TCP", "HEDDLE_TEST_LDAP_TLS" };
    char *own = f->ldap->provider.items[0], *no_ca = f->ldap->tls_ca;
    f->ldap->start_tls = true;
    for (size_t i = 0; i < 2; i++) {
        struct account a;
        f->ldap->provider.items[0] = getenv(uris[i]);
        f->ldap->replicas.n = 0;
        f->ldap->tls_ca = getenv("HEDDLE_TEST_LDAP_CA");
        reopen(f);
        assert_int_equal(get(f, "carol", &a), RC_NOT_FOUND);
        assert_int_equal(login(f, "carol", "x"), RC_DENIED);
        f->ldap->tls_ca = (char[]){ "/etc/ssl/certs/ca-certificates.crt" };
        reopen(f); /* a server of which nothing is known yet may be away */
        assert_int_equal(get(f, "carol", &a), RC_AWAY);
        assert_int_equal(login(f, "carol", "x"), RC_AWAY);
    }
    f->ldap->provider.items[0] = own;
    f->ldap->tls_ca = no_ca;
}

static void a_tree_that_is_not_laid_is_told_at_the_start(void **state)
{
    struct fixture *f = *state;
    struct ldap_conf c;
    struct backend *b;
    struct err e = ERR_NONE;
    fixture_ldap_conf_bare(&c);
    const struct backend_conf conf = { .ldap = &c, .cost = { 64, 1, 1 }, .clock = &f->clock.clock };
    assert_int_equal(backend_open(&backend_ldap, &conf, &b, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "ldap-init"));
    assert_int_equal(ldap_tree_init(&conf, &(struct ldap_init_options){ .check_only = true }, &e),
                     RC_BAD_INPUT);
    assert_int_equal(backend_open(&backend_ldap, &conf, &b, &e), RC_BAD_INPUT); /* checking lays nothing */
    assert_int_equal(ldap_tree_init(&conf, &(struct ldap_init_options){ 0 }, &e), RC_OK);
    assert_int_equal(ldap_tree_init(&conf, &(struct ldap_init_options){ 0 }, &e), RC_OK);
    assert_int_equal(ldap_tree_init(&conf, &(struct ldap_init_options){ .check_only = true }, &e), RC_OK);
    assert_int_equal(backend_open(&backend_ldap, &conf, &b, &e), RC_OK);
    backend_close(b);
}

static void a_lost_counter_is_never_laid_below_what_is_taken(void **state)
{
    struct fixture *f = *state;
    char dn[256];
    int64_t first;
    struct account_new n = fixture_synced("x@y", 4711);
    fixture_add(f, &n);
    snprintf(dn, sizeof(dn), "cn=uid,ou=counters,%s", f->ldap->base);
    LDAP *ld = fixture_ldap_root();
    assert_int_equal(ldap_delete_ext_s(ld, dn, NULL, NULL), LDAP_SUCCESS);
    ldap_unbind_ext(ld, NULL, NULL);
    assert_int_equal(uid_next(f->s, 1, &first, NULL), RC_BROKEN);
    assert_int_equal(uid_peek(f->s, &first, NULL), RC_BROKEN);
    const struct backend_conf conf = { .ldap = f->ldap, .cost = { 64, 1, 1 }, .clock = &f->clock.clock };
    assert_int_equal(ldap_tree_init(&conf, &(struct ldap_init_options){ 0 }, NULL), RC_OK);
    assert_int_equal(uid_next(f->s, 1, &first, NULL), RC_OK);
    assert_true(first > 4711);
}

/* ---- a server that lies ---- */

enum lie {
    LIE_HANG_UP,
    LIE_GARBAGE,
    LIE_HUGE,
    LIE_REFERRAL,
    LIE_WRONG_KIND,
    LIE_ENDLESS,
    LIE_NO_COOKIE,
    LIES
};

struct liar {
    char folder[64], path[128], uri[192];
    int fd;
    pthread_t thread;
    _Atomic int lie; /* enum lie */
    _Atomic bool stop;
};

/* Sends one LDAP message: the id of the request's, then `op`. */
static void answer(int fd, unsigned char id, const unsigned char *op, size_t n)
{
    unsigned char out[128] = { 0x30, (unsigned char)(n + 3), 2, 1, id };
    memcpy(out + 5, op, n);
    (void)!send(fd, out, n + 5, MSG_NOSIGNAL);
}

static void lie_to(struct liar *x, int fd, unsigned char id, unsigned char kind)
{
    static const unsigned char bound[] = { 0x61, 7, 10, 1, 0, 4, 0, 4, 0 };
    static const unsigned char referral[] = { 0, 17, 10, 1,   10,  4,   0,   4,   0,  0xa3,
                                              8, 4,  6,  'l', 'd', 'a', 'p', ':', '/' };
    static const unsigned char entry[] = { 0x64, 20,  4,   2,   'a',  '=', 0x30, 14, 0x30, 12,  4,
                                           3,    'u', 'i', 'd', 0x31, 5,   4,    3,  'x',  '@', 'y' };
    static const unsigned char no_cookie[] = "\x65\7\n\1\0\4\0\4\0"
                                             "\xa0\x1a\x30\x18\4\x16" LDAP_CONTROL_PAGEDRESULTS;
    unsigned char own[32], garbage[64];
    if (kind == 0x60) {
        answer(fd, id, bound, sizeof(bound));
        return;
    }
    switch ((enum lie)x->lie) {
    case LIE_GARBAGE:
        memset(garbage, 0xa5, sizeof(garbage));
        garbage[0] = 0x30, garbage[1] = 60;
        (void)!send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
        break;
    case LIE_HUGE:
        (void)!send(fd, "\x30\x84\x7f\xff\xff\xff\x02\x01", 8, MSG_NOSIGNAL);
        break;
    case LIE_REFERRAL: /* as the result of whatever was asked */
        memcpy(own, referral, sizeof(referral));
        own[0] = kind == 0x63 ? 0x65 : (unsigned char)((kind == 0x4a ? 0x6b : kind + 1) | 0x60);
        answer(fd, id, own, sizeof(referral));
        return;
    case LIE_WRONG_KIND:
        answer(fd, id, bound, sizeof(bound));
        return;
    case LIE_ENDLESS:
        for (int i = 0; i < 1000; i++)
            answer(fd, id, entry, sizeof(entry));
        return;
    case LIE_NO_COOKIE:
        answer(fd, id, no_cookie, sizeof(no_cookie) - 1);
        return;
    case LIE_HANG_UP:
    case LIES:
        break;
    }
    shutdown(fd, SHUT_RDWR);
}

/* Requests here are short and come one at a time: 30 len 02 01 id op …, or with a long length. */
static void serve_liar(struct liar *x, int fd)
{
    unsigned char in[4096];
    for (;;) {
        ssize_t n = recv(fd, in, sizeof(in), 0);
        if (n < 8)
            return;
        size_t at = in[1] & 0x80 ? 2 + (in[1] & 0x7f) : 2;
        lie_to(x, fd, in[at + 2], in[at + 3]);
    }
}

static void *liar_run(void *arg)
{
    struct liar *x = arg;
    while (!x->stop) {
        int fd = accept(x->fd, NULL, NULL);
        if (fd < 0)
            break;
        serve_liar(x, fd);
        close(fd);
    }
    return NULL;
}

static void liar_start(struct liar *x)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    *x = (struct liar){ .folder = "/tmp/heddle-liar-XXXXXX" };
    assert_non_null(mkdtemp(x->folder));
    snprintf(x->path, sizeof(x->path), "%s/s", x->folder);
    snprintf(at.sun_path, sizeof(at.sun_path), "%.100s", x->path);
    snprintf(x->uri, sizeof(x->uri), "ldapi://%%2Ftmp%%2F%s%%2Fs", x->folder + 5);
    x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(x->fd >= 0 && bind(x->fd, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
                listen(x->fd, 8) == 0);
    assert_int_equal(pthread_create(&x->thread, NULL, liar_run, x), 0);
}

static void liar_end(struct liar *x)
{
    x->stop = true;
    shutdown(x->fd, SHUT_RDWR);
    pthread_join(x->thread, NULL);
    close(x->fd);
    unlink(x->path);
    rmdir(x->folder);
}

static void a_server_that_lies_is_an_error_and_not_more(void **state)
{
    struct fixture *f = *state;
    struct liar liar;
    struct account a;
    int64_t n;
    char *own = f->ldap->provider.items[0];
    struct change c = fixture_change(ATTR_EPOCH, "1", "2");
    /* searching, changing. A referral is an answer: nothing was done. What else a server sends after a write leaves it open. */
    static const rc expected[LIES][2] = {
        [LIE_HANG_UP] = { RC_AWAY, RC_UNSURE },        [LIE_GARBAGE] = { RC_AWAY, RC_UNSURE },
        [LIE_HUGE] = { RC_AWAY, RC_UNSURE },           [LIE_REFERRAL] = { RC_BROKEN, RC_AWAY },
        [LIE_WRONG_KIND] = { RC_BROKEN, RC_UNSURE },   [LIE_ENDLESS] = { RC_BROKEN, RC_UNSURE },
        [LIE_NO_COOKIE] = { RC_NOT_FOUND, RC_UNSURE },
    };
    liar_start(&liar);
    f->ldap->replicas.n = 0;
    f->ldap->timeout_s = 2;
    reopen(f); /* checks the tree where it is; the lies come after */
    backend_session_close(f->s);
    f->ldap->provider.items[0] = liar.uri;
    backend_close(f->backend);
    liar.lie = LIE_HANG_UP;
    const struct backend_conf conf = { .ldap = f->ldap, .cost = { 64, 1, 1 }, .clock = &f->clock.clock };
    assert_int_equal(backend_open(&backend_ldap, &conf, &f->backend, NULL), RC_OK); /* away: may come back */
    assert_int_equal(backend_session_open(f->backend, &f->s, NULL), RC_OK);
    for (int lie = 0; lie < LIES; lie++) {
        liar.lie = lie;
        rc search = get(f, "x@y", &a), write = account_cas(f->s, VIEW("x@y"), &c, 1, NULL);
        if (search != expected[lie][0] || write != expected[lie][1])
            fail_msg("lie %d: searching %s, writing %s", lie, rc_name(search), rc_name(write));
        assert_int_not_equal(uid_next(f->s, 1, &n, NULL), RC_OK);
        assert_int_not_equal(nodes_each(f->s, NULL, NULL, NULL), RC_OK);
    }
    f->ldap->provider.items[0] = own;
    backend_session_close(f->s);
    f->s = NULL;
    liar_end(&liar);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_login_with_an_old_hash_makes_a_new_one),
        TEST(each_scheme_is_one_that_the_server_checks),
        TEST(an_entry_that_was_not_named_by_us_is_nobodys),
        TEST(what_ldap_cannot_keep_is_refused),
        TEST(huge_and_binary_values_are_errors_and_not_more),
        TEST(more_accounts_than_a_page_come_in_order),
        TEST(without_its_provider_a_directory_still_finds_people),
        TEST(what_was_changed_here_is_not_asked_of_a_stale_replica),
        TEST(what_another_directory_changed_is_asked_of_the_provider),
        TEST(the_truth_is_never_a_replicas),
        TEST(no_win_is_lost_or_counted_twice_while_the_server_is_restarted),
        TEST(encrypted_connections_are_checked),
        TEST(a_tree_that_is_not_laid_is_told_at_the_start),
        TEST(a_lost_counter_is_never_laid_below_what_is_taken),
        TEST(a_server_that_lies_is_an_error_and_not_more),
    };
    fixture_driver = &backend_ldap;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
