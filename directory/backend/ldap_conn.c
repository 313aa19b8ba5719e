#include "directory/backend/ldap_conn.h"

#include <errno.h>
#include <poll.h>
#include <sys/time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/scope.h"
#include "directory/backend/ldap_guard.h"
#include "directory/backend/ldap_wire.h"

enum { SHUN_US = 2 * 1000 * 1000, STAY_US = 30 * 1000 * 1000 };
enum { KEEPALIVE_IDLE_S = 60, KEEPALIVE_PROBES = 3, KEEPALIVE_INTERVAL_S = 10, UNREAD_AFTER_MS = 30 * 1000 };
enum { SCRATCH_BYTES = 4 * LDAP_MESSAGE_MAX };

static int64_t now_us(void)
{
    return clock_mono_us(clock_system());
}

void ldap_servers_init(struct ldap_servers *s, const struct conf_list *uris, const struct ldap_conf *c)
{
    *s = (struct ldap_servers){ .conf = c, .bind_dn = c->bind_dn, .bind_password = &c->bind_password };
    ldap_servers_add(s, uris);
}

void ldap_servers_add(struct ldap_servers *s, const struct conf_list *uris)
{
    for (size_t i = 0; i < uris->n; i++) {
        view uri = view_of(uris->items[i]);
        struct ldap_server *x = &s->list[s->n++];
        x->uri = uri.p;
        x->tls = view_starts(uri, VIEW("ldaps:"));
        x->start_tls = view_starts(uri, VIEW("ldap:")) && s->conf->start_tls;
    }
}

void ldap_conn_init(struct ldap_conn *c, struct ldap_servers *s, bool for_passwords, size_t first)
{
    *c = (struct ldap_conn){ .servers = s, .for_passwords = for_passwords, .at = s->n ? first % s->n : 0 };
    arena_init(&c->scratch, SCRATCH_BYTES);
}

void ldap_conn_drop(struct ldap_conn *c)
{
    if (c->ld)
        ldap_unbind_ext(c->ld, NULL, NULL);
    c->ld = NULL;
}

void ldap_conn_done(struct ldap_conn *c)
{
    if (!c->servers)
        return;
    ldap_conn_drop(c);
    arena_done(&c->scratch);
}

const char *ldap_conn_uri(const struct ldap_conn *c)
{
    return c->servers->n ? c->servers->list[c->at].uri : "";
}

/* ---- connecting ---- */

struct option_row {
    int option;
    const void *value;
    const char *name;
};

static rc set_options(LDAP *ld, const struct option_row *rows, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (ldap_set_option(ld, rows[i].option, rows[i].value) != LDAP_OPT_SUCCESS)
            return fail(e, RC_BROKEN, RESP_GENERIC, "the LDAP library refuses %s", rows[i].name);
    return RC_OK;
}

static rc set_plain_options(LDAP *ld, const struct ldap_conf *c, struct err *e)
{
    const int version = LDAP_VERSION3, deref = LDAP_DEREF_NEVER;
    const int idle = KEEPALIVE_IDLE_S, probes = KEEPALIVE_PROBES, interval = KEEPALIVE_INTERVAL_S;
    const unsigned unread_ms = UNREAD_AFTER_MS;
    const struct timeval connecting = { .tv_sec = c->connect_timeout_s },
                         operation = { .tv_sec = c->timeout_s };
    ber_len_t most = LDAP_MESSAGE_MAX;
    Sockbuf *sb = NULL;
    const struct option_row rows[] = {
        { LDAP_OPT_PROTOCOL_VERSION, &version, "LDAP version 3" },
        { LDAP_OPT_DEREF, &deref, "never following aliases" },
        { LDAP_OPT_REFERRALS, LDAP_OPT_OFF, "never following referrals" },
        { LDAP_OPT_RESTART, LDAP_OPT_ON, "restarting interrupted calls" },
        { LDAP_OPT_NETWORK_TIMEOUT, &connecting, "a timeout for connecting" },
        { LDAP_OPT_TIMEOUT, &operation, "a timeout for operations" },
        { LDAP_OPT_X_KEEPALIVE_IDLE, &idle, "keepalive" },
        { LDAP_OPT_X_KEEPALIVE_PROBES, &probes, "keepalive" },
        { LDAP_OPT_X_KEEPALIVE_INTERVAL, &interval, "keepalive" },
        { LDAP_OPT_TCP_USER_TIMEOUT, &unread_ms, "a timeout for unread data" },
    };
    TRY(set_options(ld, rows, sizeof(rows) / sizeof(rows[0]), e));
    if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) != LDAP_OPT_SUCCESS ||
        ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &most) != 1)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the LDAP library refuses a limit for messages");
    return ldap_guard_install(ld, c->timeout_s, e);
}

static rc set_tls_options(LDAP *ld, const struct ldap_conf *c, struct err *e)
{
    const int check = LDAP_OPT_X_TLS_HARD, least = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, client = 0;
    const struct option_row rows[] = {
        { LDAP_OPT_X_TLS_REQUIRE_CERT, &check, "checking certificates" },
        { LDAP_OPT_X_TLS_PROTOCOL_MIN, &least, "TLS 1.2" },
        { LDAP_OPT_X_TLS_CACERTFILE, c->tls_ca, "ldap.tls_ca" },
        { LDAP_OPT_X_TLS_CERTFILE, c->tls_cert[0] ? c->tls_cert : NULL, "ldap.tls_cert" },
        { LDAP_OPT_X_TLS_KEYFILE, c->tls_key[0] ? c->tls_key : NULL, "ldap.tls_key" },
        { LDAP_OPT_X_TLS_NEWCTX, &client,
          "ldap.tls_ca, ldap.tls_cert or ldap.tls_key (a file that cannot be read?)" },
    };
    return set_options(ld, rows, sizeof(rows) / sizeof(rows[0]), e);
}

static rc start_tls(struct ldap_conn *c, struct err *e)
{
    int id = 0, got = ldap_start_tls(c->ld, NULL, NULL, &id);
    if (got == LDAP_SUCCESS)
        TRY(ldap_wire_result(c, id, LDAP_RES_EXTENDED, &got, NULL, e));
    if (got != LDAP_SUCCESS)
        return fail(e, RC_AWAY, RESP_GENERIC, "%s: StartTLS: %s", ldap_conn_uri(c), ldap_err2string(got));
    got = ldap_install_tls(c->ld);
    return got == LDAP_SUCCESS
               ? RC_OK
               : fail(e, RC_AWAY, RESP_GENERIC, "%s: TLS: %s", ldap_conn_uri(c), ldap_err2string(got));
}

/* Logs in as the service: the newest password first, the one before while it is being changed. */
static rc log_in(struct ldap_conn *c, struct err *e)
{
    const struct ldap_servers *s = c->servers;
    struct berval none = { .bv_len = 0, .bv_val = "" };
    int got = LDAP_OTHER;
    if (s->bind_dn[0] == '\0') {
        TRY(ldap_wire_bind(c, NULL, "EXTERNAL", &none, &got, e));
    } else {
        for (size_t i = s->bind_password->n; i-- > 0;) {
            char *text = s->bind_password->items[i];
            struct berval password = { .bv_len = strlen(text), .bv_val = text };
            TRY(ldap_wire_bind(c, s->bind_dn, LDAP_SASL_SIMPLE, &password, &got, e));
            if (got != LDAP_INVALID_CREDENTIALS)
                break;
        }
    }
    if (got != LDAP_SUCCESS)
        return fail(e, RC_AWAY, RESP_GENERIC, "%s does not let us in as \"%s\": %s", ldap_conn_uri(c),
                    s->bind_dn, ldap_err2string(got));
    return RC_OK;
}

static rc connect_to(struct ldap_conn *c, const struct ldap_server *server, struct err *e)
{
    int got = ldap_initialize(&c->ld, server->uri);
    if (got != LDAP_SUCCESS) {
        c->ld = NULL;
        return fail(e, RC_BROKEN, RESP_GENERIC, "%s: %s", server->uri, ldap_err2string(got));
    }
    TRY(set_plain_options(c->ld, c->servers->conf, e));
    if (server->tls || server->start_tls)
        TRY(set_tls_options(c->ld, c->servers->conf, e));
    if (server->start_tls)
        TRY(start_tls(c, e));
    if (!c->for_passwords) {
        TRY(log_in(c, e));
        ldap_guard_read_ahead(c->ld);
        return RC_OK;
    }
    got = ldap_connect(c->ld); /* now, so that the next server is tried when this one is gone */
    return got == LDAP_SUCCESS ? RC_OK
                               : fail(e, RC_AWAY, RESP_GENERIC, "%s: %s", server->uri, ldap_err2string(got));
}

/* Each server once, beginning with the one that served last. Those that let us wait in vain are left out for a while, so that a dead
 * host costs one request in two seconds its time and not every one. */
static rc connect_any(struct ldap_conn *c, struct err *e)
{
    struct ldap_servers *s = c->servers;
    rc r = fail(e, RC_AWAY, RESP_GENERIC, "no LDAP server answered a moment ago");
    for (size_t tried = 0; tried < s->n; tried++) {
        struct ldap_server *server = &s->list[c->at];
        int64_t begun = now_us();
        if (atomic_load_explicit(&server->shunned_until_us, memory_order_relaxed) <= begun) {
            r = connect_to(c, server, e);
            if (r == RC_OK) {
                c->connected_us = now_us();
                return RC_OK;
            }
            ldap_conn_drop(c);
            if (e && r == RC_AWAY &&
                (server->tls || server->start_tls)) /* the library does not tell which it was */
                err_fill(e, e->respcode, "%.140s (or its certificate is not vouched for by ldap.tls_ca)",
                         e->text);
            if (now_us() - begun > s->conf->connect_timeout_s * 500000) /* half of it: that was no refusal */
                atomic_store_explicit(&server->shunned_until_us, now_us() + SHUN_US, memory_order_relaxed);
        }
        c->at = (c->at + 1) % s->n;
    }
    return r == RC_UNSURE ? RC_AWAY : r;
}

/* Nobody speaks to us unasked: what can be read here is the end of the connection, or a notice of it. */
static bool seems_alive(struct ldap_conn *c)
{
    int fd = -1;
    Sockbuf *sb = NULL;
    if (ldap_get_option(c->ld, LDAP_OPT_DESC, &fd) != LDAP_OPT_SUCCESS || fd < 0 ||
        ldap_get_option(c->ld, LDAP_OPT_SOCKBUF, &sb) != LDAP_OPT_SUCCESS ||
        ber_sockbuf_ctrl(sb, LBER_SB_OPT_DATA_READY, NULL) == 1)
        return false;
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };
    int n;
    do
        n = poll(&p, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 0;
}

rc ldap_conn_ready(struct ldap_conn *c, struct err *e)
{
    if (c->servers->n == 0)
        return fail(e, RC_AWAY, RESP_GENERIC, "no LDAP server is configured for this");
    bool strayed = c->ld && c->prefers_first && c->at != 0 && now_us() - c->connected_us > STAY_US;
    if (strayed || (c->ld && !seems_alive(c)))
        ldap_conn_drop(c);
    if (!c->ld && c->prefers_first)
        c->at = 0;
    return c->ld ? RC_OK : connect_any(c, e);
}

/* ---- checking a password ---- */

static rc bind_once(struct ldap_conn *c, const char *dn, const struct berval *password, struct err *e)
{
    int got = LDAP_OTHER;
    TRY(ldap_conn_ready(c, e));
    TRY(ldap_wire_bind(c, dn, LDAP_SASL_SIMPLE, password, &got, e));
    switch (got) {
    case LDAP_SUCCESS:
        return RC_OK;
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_NO_SUCH_OBJECT:
    case LDAP_INAPPROPRIATE_AUTH:   /* an entry without a password */
    case LDAP_UNWILLING_TO_PERFORM: /* OpenLDAP and AD: may not log in */
    case LDAP_CONSTRAINT_VIOLATION: /* locked after too many wrong ones (ppolicy) */
    case LDAP_INSUFFICIENT_ACCESS:
    case LDAP_INVALID_DN_SYNTAX:
        return fail(e, RC_DENIED, RESP_GENERIC, "%s: %s", ldap_conn_uri(c), ldap_err2string(got));
    case LDAP_CONFIDENTIALITY_REQUIRED:
    case LDAP_STRONG_AUTH_REQUIRED:
        return fail(e, RC_BROKEN, RESP_GENERIC, "%s takes passwords only over TLS: see ldap.start_tls",
                    ldap_conn_uri(c));
    default:
        return fail(e, RC_AWAY, RESP_GENERIC, "%s cannot check a password: %s", ldap_conn_uri(c),
                    ldap_err2string(got));
    }
}

rc ldap_conn_bind(struct ldap_conn *c, const char *dn, view password, struct err *e)
{
    if (password.n == 0 || dn[0] == '\0')
        return fail(e, RC_DENIED, RESP_GENERIC, "an empty password or name is nobody's");
    const struct berval cred = { .bv_len = password.n, .bv_val = (char *)(uintptr_t)password.p };
    bool was_open = c->ld != NULL;
    rc r = bind_once(c, dn, &cred, e);
    if (r == RC_UNSURE ||
        (r == RC_AWAY && was_open && !c->ld)) /* lost under way: asking again changes nothing */
        r = bind_once(c, dn, &cred, e);
    return r == RC_UNSURE ? RC_AWAY : r;
}
