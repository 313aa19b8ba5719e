/* The least-work directory: HTTP, one search in LDAP, an answer. It has no routing, no records' rules, no limits and no log.
 *
 *   GET /weave/NAME          the search, and the node's address as text
 *   GET /token  (Bearer)     the access token's RS256 signature and expiry, the search, a signed token with its key, JSON
 *
 * A thread and a connection to LDAP for each client.
 *
 *   lookup_floor URI BIND_DN PASSWORD USERS_DN PORT PUBLIC_KEY_PEM SECRET NODE_URL DOMAIN */
#include "tests/load/ldap_floor.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "common/auth/token.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/encode.h"
#include "common/base/mem.h"

enum { ARENA_BYTES = 65536, LIFE_S = 3600, ANSWER_BYTES = 512 };

static struct {
    struct floor_ldap ldap;
    EVP_PKEY *key;
    struct secrets *secrets; /* the node's own */
    view node, domain;
} app;

/* A thread's own. */
static _Thread_local struct {
    struct arena arena;
    LDAP *ld;
} here;
static pthread_key_t ends;

static void open_here(void)
{
    if (here.ld)
        return;
    here.ld = floor_connect(&app.ldap);
    arena_init(&here.arena, ARENA_BYTES);
    pthread_setspecific(ends, &here);
}

static void close_here(void *unused)
{
    (void)unused;
    ldap_unbind_ext_s(here.ld, NULL, NULL);
    arena_done(&here.arena);
}

/* ---- the access token ---- */

static view bytes_of(const uint8_t *p, size_t n)
{
    return (view){ .p = (const char *)p, .n = n };
}

/* What stands behind `name`, up to one of the characters that end a value. */
static view member(view json, view name)
{
    const char *p = memmem(json.p, json.n, name.p, name.n);
    if (!p)
        return VIEW_NONE;
    p += name.n;
    size_t n = 0;
    while (p + n < json.p + json.n && p[n] != '"' && p[n] != ',' && p[n] != '}')
        n++;
    return (view){ .p = p, .n = n };
}

static bool proven(view signed_part, view signature)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, app.key) == 1 &&
                EVP_DigestVerify(c, (const unsigned char *)signature.p, signature.n,
                                 (const unsigned char *)signed_part.p, signed_part.n) == 1;
    EVP_MD_CTX_free(c);
    return good;
}

/* Whom it names. */
static bool open_access(view token, view *out_sub)
{
    view rest = token, head, body, signature, claims;
    uint64_t expires;
    if (!view_cut(&rest, '.', &head) || !view_cut(&rest, '.', &body) ||
        !base64_decode(BASE64_URL_NOPAD, rest, &here.arena, &signature) ||
        !base64_decode(BASE64_URL_NOPAD, body, &here.arena, &claims) ||
        !proven((view){ .p = token.p, .n = head.n + 1 + body.n }, signature))
        return false;
    view exp = member(claims, VIEW("\"exp\":"));
    *out_sub = member(claims, VIEW("\"sub\":\""));
    return out_sub->n > 0 && view_to_u64(exp, INT64_MAX, &expires) &&
           (int64_t)expires > clock_now_s(clock_system());
}

/* ---- answers ---- */

static view hashed(view text)
{
    struct buf hex = { 0 };
    uint8_t mac[SHA256_BYTES];
    hmac_sha256(app.node, text, mac);
    hex_put(&hex, bytes_of(mac, SHA256_BYTES / 2));
    view v = arena_copy(&here.arena, buf_view(&hex));
    buf_done(&hex);
    return v;
}

static void put_token(struct buf *b, LDAPMessage *found, view sub)
{
    struct arena *a = &here.arena;
    uint64_t uid = 0, epoch = 0;
    char key[TOKEN_KEY_TEXT];
    view id, kid = floor_value(here.ld, found, "heddleClientState", a);
    if (!view_to_u64(floor_value(here.ld, found, "uidNumber", a), INT64_MAX, &uid) ||
        !view_to_u64(floor_value(here.ld, found, "heddleEpoch", a), INT64_MAX, &epoch))
        floor_die("an account", "has no number");
    const struct token t = { .uid = (int64_t)uid,
                             .epoch = (int64_t)epoch,
                             .node = app.node,
                             .expires = (double)(clock_now_s(clock_system()) + LIFE_S),
                             .fxa_uid = sub,
                             .fxa_kid = kid,
                             .hashed_fxa_uid = hashed(sub),
                             .hashed_device_id = hashed(kid) };
    token_mint(app.secrets, &t, a, &id, key);
    buf_reserve(b, id.n + ANSWER_BYTES);
    buf_add(b, VIEW("{\"id\":\""));
    buf_add(b, id);
    buf_addf(b,
             "\",\"key\":\"%.*s\",\"uid\":%" PRIu64 ",\"api_endpoint\":\"%.*s/1.5/%" PRIu64
             "\",\"duration\":%d,\"hashalg\":\"sha256\",\"hashed_fxa_uid\":\"%.*s\",\"node_type\":\"mysql\"}",
             TOKEN_KEY_TEXT, key, uid, VIEW_ARG(app.node), uid, LIFE_S, VIEW_ARG(t.hashed_fxa_uid));
}

static LDAPMessage *search(view name)
{
    return floor_search(here.ld, floor_dn(&app.ldap, &here.arena, name));
}

static unsigned answer(struct MHD_Connection *mhd, const char *url, struct buf *b)
{
    view path = view_of(url), sub;
    if (view_starts(path, VIEW("/weave/"))) {
        LDAPMessage *found = search((view){ .p = url + 7, .n = path.n - 7 });
        buf_addf(b, "http://%.*s/", VIEW_ARG(floor_value(here.ld, found, "syncNode", &here.arena)));
        ldap_msgfree(found);
        return 200;
    }
    const char *bearer = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Authorization");
    if (!bearer || !view_starts(view_of(bearer), VIEW("Bearer ")) || !open_access(view_of(bearer + 7), &sub))
        return 401;
    LDAPMessage *found = search(arena_text(&here.arena, "%.*s@%.*s", VIEW_ARG(sub), VIEW_ARG(app.domain)));
    put_token(b, found, sub);
    ldap_msgfree(found);
    return 200;
}

static enum MHD_Result on_call(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                               const char *version, const char *data, size_t *n, void **ctx)
{
    static char begun;
    struct buf b = { 0 };
    (void)cls;
    (void)method;
    (void)version;
    (void)data;
    if (!*ctx) {
        *ctx = &begun;
        return MHD_YES;
    }
    *n = 0;
    open_here();
    arena_reset(&here.arena);
    unsigned status = answer(mhd, url, &b);
    struct MHD_Response *m =
        MHD_create_response_from_buffer_with_free_callback(b.n, b.p ? b.p : mem_need(malloc(1)), free);
    MHD_add_response_header(m, "Content-Type", url[1] == 'w' ? "text/plain" : "application/json");
    enum MHD_Result r = MHD_queue_response(mhd, status, m);
    MHD_destroy_response(m);
    return r;
}

/* ---- life ---- */

static void prepare(char **argv)
{
    struct err e = ERR_NONE;
    FILE *f = fopen(argv[6], "re");
    struct secrets *master;
    char *secret = argv[7];
    const struct conf_list list = { .items = &secret, .n = 1 };
    app.ldap = (struct floor_ldap){ argv[1], argv[2], argv[3], view_of(argv[4]) };
    app.node = view_of(argv[8]);
    app.domain = view_of(argv[9]);
    app.key = f ? PEM_read_PUBKEY(f, NULL, NULL, NULL) : NULL;
    if (!app.key)
        floor_die(argv[6], "is no public key");
    fclose(f);
    if (secrets_new(&list, 1, &master, &e) != RC_OK ||
        secrets_derive(master, app.node, &app.secrets, &e) != RC_OK)
        floor_die("the secret", e.text);
    secrets_free(master);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    sigset_t signals;
    uint64_t port;
    int got;
    if (argc != 10 || !view_to_u64(view_of(argv[5]), UINT16_MAX, &port)) {
        fputs(
            "Usage: lookup_floor URI BIND_DN PASSWORD USERS_DN PORT PUBLIC_KEY_PEM SECRET NODE_URL DOMAIN\n",
            stderr);
        return 2;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    prepare(argv);
    if (pthread_key_create(&ends, close_here) != 0)
        return 1;
    at.sin_port = htons((uint16_t)port);
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
        on_call, NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at, MHD_OPTION_END);
    if (!d)
        floor_die("HTTP", "does not start");
    sigwait(&signals, &got);
    MHD_stop_daemon(d);
    secrets_free(app.secrets);
    EVP_PKEY_free(app.key);
    return 0;
}
