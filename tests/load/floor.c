#include "tests/load/floor.h"

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "common/auth/hawk.h"
#include "common/auth/token.h"
#include "common/base/encode.h"
#include "common/base/mem.h"

#define ARENA_BYTES  65536
#define POOL_BYTES   ((size_t)16384)
#define CONNECTIONS  20000u
#define REDIS_KEY    "f:%lld"
#define REDIS_TTL    "3600"
#define SIGNING_INFO "services.mozilla.com/tokenlib/v1/signing"
#define DERIVE_INFO  VIEW("services.mozilla.com/tokenlib/v1/derive/")

static struct {
    const struct floor_backend *backend;
    const char *redis; /* socket */
    view secret, host;
    unsigned port;
    uint8_t signing[SHA256_BYTES];
} app;

/* A thread's own. */
static _Thread_local struct {
    struct arena arena;
    void *session;
    redisContext *redis;
    bool open;
} here;

_Noreturn void floor_die(const char *what, const char *why)
{
    fprintf(stderr, "floor: %s: %s\n", what, why);
    _exit(1);
}

/* ---- Hawk ---- */

static view bytes_view(const uint8_t *p)
{
    return (view){ .p = (const char *)p, .n = SHA256_BYTES };
}

/* What stands behind `name` in the token, up to its end. */
static view member(view payload, view name, char end)
{
    const char *p = memmem(payload.p, payload.n, name.p, name.n);
    view rest, head = VIEW_NONE;

    if (!p)
        return VIEW_NONE;
    p += name.n;
    rest = (view){ .p = p, .n = (size_t)(payload.p + payload.n - p) };
    return view_cut(&rest, end, &head) ? head : VIEW_NONE;
}

/* The token's signature, its user, and the key. */
static bool open_token(view id, view *out_uid, char key[TOKEN_KEY_TEXT])
{
    uint8_t mac[SHA256_BYTES], prk[SHA256_BYTES], okm[SHA256_BYTES];
    struct buf info = { 0 };
    view bytes;

    if (!base64_decode(BASE64_URL, id, &here.arena, &bytes) || bytes.n <= SHA256_BYTES)
        return false;
    view payload = { .p = bytes.p, .n = bytes.n - SHA256_BYTES };
    hmac_sha256(bytes_view(app.signing), payload, mac);
    if (!secret_eq(bytes_view(mac), (view){ .p = payload.p + payload.n, .n = SHA256_BYTES }))
        return false;
    *out_uid = member(payload, VIEW("\"uid\":"), ',');
    view salt = member(payload, VIEW("\"salt\":\""), '"');
    hmac_sha256(salt, app.secret, prk);
    buf_add(&info, DERIVE_INFO);
    buf_add(&info, id);
    buf_addc(&info, 1);
    hmac_sha256(bytes_view(prk), buf_view(&info), okm);
    buf_done(&info);
    base64_write(BASE64_URL, bytes_view(okm), key);
    return true;
}

static bool admitted(struct MHD_Connection *mhd, view method, view target, view url_uid)
{
    const char *header = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, "Authorization");
    struct hawk_header h;
    const char *why;
    char key[TOKEN_KEY_TEXT];
    view uid;

    arena_reset(&here.arena);
    if (!header || !hawk_parse(view_of(header), &here.arena, &h, &why) || !open_token(h.id, &uid, key))
        return false;
    const struct hawk_request r = { .method = method, .target = target, .host = app.host, .port = app.port };
    return hawk_check((view){ .p = key, .n = TOKEN_KEY_TEXT }, &h, &r) && view_eq(uid, url_uid);
}

/* ---- what is asked ---- */

static const char *const coll_names[] = { "bookmarks", "history", "passwords", "forms", "prefs",
                                          "addons",    "tabs",    "clients",   "meta",  "crypto" };
#define N_COLLS (sizeof coll_names / sizeof coll_names[0])

static bool coll_number(view name, unsigned *out)
{
    for (unsigned i = 0; i < N_COLLS; i++)
        if (view_eq(name, view_of(coll_names[i]))) {
            *out = i;
            return true;
        }
    return false;
}

static void read_query(view query, struct floor_job *job)
{
    view one, name;

    while (view_cut(&query, '&', &one)) {
        view value = one;
        uint64_t seconds;

        (void)view_cut(&value, '=', &name);
        if (view_eq(name, VIEW("batch")))
            job->batch = true;
        else if (view_eq(name, VIEW("newer")) && view_cut(&value, '.', &name) &&
                 view_to_u64(name, 1u << 31, &seconds))
            job->newer_ms = (int64_t)seconds * 1000 +
                            (value.n == 2 ? (value.p[0] - '0') * 100 + (value.p[1] - '0') * 10 : 0);
    }
}

static enum floor_kind kind_of(view method, bool coll, bool id)
{
    if (view_eq(method, VIEW("GET")))
        return id ? FLOOR_GET : coll ? FLOOR_FIND : FLOOR_NOTHING;
    if (view_eq(method, VIEW("POST")))
        return coll && !id ? FLOOR_POST : FLOOR_NOTHING;
    if (view_eq(method, VIEW("PUT")))
        return id ? FLOOR_PUT : FLOOR_NOTHING;
    if (view_eq(method, VIEW("DELETE")))
        return id ? FLOOR_NOTHING : coll ? FLOOR_DROP_COLL : FLOOR_DROP_ALL;
    return FLOOR_NOTHING;
}

/* /1.5/UID/info/collections, /1.5/UID/storage[/COLL[/ID]]; *out_uid: the text of it. */
static void read_target(view method, view target, struct floor_job *job, view *out_uid)
{
    view path, empty, version, what, coll;
    uint64_t uid = 0;

    job->kind = FLOOR_NOTHING;
    if (view_cut(&target, '?', &path))
        read_query(target, job);
    if (!view_cut(&path, '/', &empty) || !view_cut(&path, '/', &version) || !view_cut(&path, '/', out_uid) ||
        !view_to_u64(*out_uid, INT64_MAX, &uid) || !view_cut(&path, '/', &what))
        return;
    job->uid = (int64_t)uid;
    if (view_eq(what, VIEW("info"))) {
        job->kind = view_eq(path, VIEW("collections")) ? FLOOR_INFO : FLOOR_NOTHING;
        return;
    }
    bool has_coll = view_cut(&path, '/', &coll);
    if (has_coll && !coll_number(coll, &job->coll))
        return;
    job->id = path;
    job->kind = kind_of(method, has_coll, path.p != NULL);
}

/* ---- bodies ---- */

static view cut_text(view *rest, view before)
{
    const char *p = rest->n ? memmem(rest->p, rest->n, before.p, before.n) : NULL;

    if (!p)
        return VIEW_NONE;
    p += before.n;
    const char *all_end = rest->p + rest->n, *end = p;
    while (end < all_end && *end != '"')
        end += *end == '\\' ? 2 : 1;
    *rest = (view){ .p = end, .n = end < all_end ? (size_t)(all_end - end) : 0 };
    return (view){ .p = p, .n = (size_t)(end - p) };
}

bool floor_record_next(view *rest, struct floor_record *out)
{
    static const char sorted[] = "\",\"sortindex\":";

    out->id = cut_text(rest, VIEW("{\"id\":\""));
    if (!out->id.p)
        return false;
    out->sorted = view_starts(*rest, (view){ .p = sorted, .n = sizeof sorted - 1 });
    out->sortindex = out->sorted ? strtoll(rest->p + sizeof sorted - 1, NULL, 10) : 0;
    out->payload = cut_text(rest, VIEW("\"payload\":\""));
    return out->payload.p != NULL;
}

void floor_put_record(struct buf *out, view id, int64_t modified_ms, view sortindex, view payload,
                      bool *first)
{
    if (!*first)
        buf_addc(out, ',');
    *first = false;
    buf_add(out, VIEW("{\"id\":\""));
    buf_add(out, id);
    buf_add(out, VIEW("\",\"modified\":"));
    stamp_put(out, stamp_from_ms(modified_ms));
    if (sortindex.p) {
        buf_add(out, VIEW(",\"sortindex\":"));
        buf_add(out, sortindex);
    }
    buf_add(out, VIEW(",\"payload\":\""));
    buf_add(out, payload);
    buf_add(out, VIEW("\"}"));
}

void floor_put_stamp(struct buf *out, unsigned coll, int64_t modified_ms, bool *first)
{
    buf_addc(out, *first ? '{' : ',');
    *first = false;
    buf_addc(out, '"');
    buf_add(out, view_of(coll_names[coll % N_COLLS]));
    buf_add(out, VIEW("\":"));
    stamp_put(out, stamp_from_ms(modified_ms));
}

static void put_written(const struct floor_job *job, struct buf *out)
{
    view rest = job->body;
    struct floor_record r;

    buf_add(out, job->batch ? VIEW("{\"batch\":\"1\",\"modified\":") : VIEW("{\"modified\":"));
    stamp_put(out, stamp_from_ms(job->now_ms));
    buf_add(out, VIEW(",\"success\":["));
    for (bool first = true; floor_record_next(&rest, &r); first = false) {
        buf_add(out, first ? VIEW("\"") : VIEW(",\""));
        buf_add(out, r.id);
        buf_addc(out, '"');
    }
    buf_add(out, VIEW("],\"failed\":{}}"));
}

/* ---- Redis ---- */

static void redis_check(redisReply *r)
{
    if (!r || r->type == REDIS_REPLY_ERROR)
        floor_die("Redis", r ? r->str : here.redis->errstr);
}

/* The value begins with its time in milliseconds and a blank. */
static bool info_cached(int64_t uid, struct buf *body, int64_t *last_ms)
{
    redisReply *r = redisCommand(here.redis, "GET " REDIS_KEY, (long long)uid);

    redis_check(r);
    bool found = r->type == REDIS_REPLY_STRING;
    if (found) {
        view all = { .p = r->str, .n = r->len }, time;
        (void)view_cut(&all, ' ', &time);
        *last_ms = strtoll(time.p, NULL, 10);
        buf_add(body, all);
    }
    freeReplyObject(r);
    return found;
}

static void cache_info(int64_t uid, const struct buf *body, int64_t last_ms)
{
    struct buf value = { 0 };

    buf_add_i64(&value, last_ms);
    buf_addc(&value, ' ');
    buf_add(&value, buf_view(body));
    redisReply *r =
        redisCommand(here.redis, "SET " REDIS_KEY " %b EX " REDIS_TTL, (long long)uid, value.p, value.n);
    buf_done(&value);
    redis_check(r);
    freeReplyObject(r);
}

static void drop_info(int64_t uid)
{
    redisReply *r = redisCommand(here.redis, "DEL " REDIS_KEY, (long long)uid);

    redis_check(r);
    freeReplyObject(r);
}

/* ---- a request ---- */

static void open_here(void)
{
    if (here.open)
        return;
    here.open = true;
    arena_init(&here.arena, ARENA_BYTES);
    here.session = app.backend->session();
    here.redis = redisConnectUnix(app.redis);
    if (!here.redis || here.redis->err)
        floor_die("Redis", here.redis ? here.redis->errstr : "no memory");
}

static bool work(const struct floor_job *job, struct buf *body, int64_t *last_ms)
{
    bool found;

    if (job->kind == FLOOR_INFO && info_cached(job->uid, body, last_ms))
        return true;
    found = app.backend->run(here.session, job, body, last_ms);
    switch (job->kind) {
    case FLOOR_INFO:
        cache_info(job->uid, body, *last_ms);
        break;
    case FLOOR_POST:
        put_written(job, body);
        drop_info(job->uid);
        break;
    case FLOOR_PUT:
        stamp_put(body, stamp_from_ms(job->now_ms));
        drop_info(job->uid);
        break;
    case FLOOR_DROP_COLL:
    case FLOOR_DROP_ALL:
        buf_add(body, VIEW("{}"));
        drop_info(job->uid);
        break;
    case FLOOR_FIND:
    case FLOOR_GET:
    case FLOOR_NOTHING:
        break;
    }
    return found;
}

static enum MHD_Result answer(struct MHD_Connection *mhd, unsigned status, struct buf *body, int64_t last_ms,
                              int64_t now_ms)
{
    struct MHD_Response *m = MHD_create_response_from_buffer_with_free_callback(
        body->n, mem_need(body->p ? body->p : malloc(1)), free);
    char text[STAMP_TEXT_MAX];

    MHD_add_response_header(m, "Content-Type", "application/json");
    stamp_print(stamp_from_ms(now_ms), text);
    MHD_add_response_header(m, "X-Weave-Timestamp", text);
    if (last_ms) {
        stamp_print(stamp_from_ms(last_ms), text);
        MHD_add_response_header(m, "X-Last-Modified", text);
    }
    enum MHD_Result r = MHD_queue_response(mhd, status, m);
    MHD_destroy_response(m);
    return r;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return ((int64_t)t.tv_sec * 100 + t.tv_nsec / 10000000) * 10;
}

/* The raw target and the body, as they come. */
struct asked {
    struct buf target, body;
    bool headers;
};

static enum MHD_Result serve(struct MHD_Connection *mhd, const char *method, const struct asked *a)
{
    struct floor_job job = { .body = buf_view(&a->body), .now_ms = now_ms() };
    struct buf body = { 0 };
    int64_t last_ms = 0;
    view url_uid = VIEW_NONE;

    open_here();
    read_target(view_of(method), buf_view(&a->target), &job, &url_uid);
    if (job.kind == FLOOR_NOTHING)
        return answer(mhd, 405, &body, 0, job.now_ms);
    if (!admitted(mhd, view_of(method), buf_view(&a->target), url_uid))
        return answer(mhd, 401, &body, 0, job.now_ms);
    bool found = work(&job, &body, &last_ms);
    return answer(mhd, found ? 200 : 404, &body, last_ms, job.now_ms);
}

/* ---- what libmicrohttpd calls ---- */

static void *on_target(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct asked *a = mem_need(calloc(1, sizeof *a));

    (void)cls;
    (void)mhd;
    buf_add(&a->target, view_of(uri));
    return a;
}

static enum MHD_Result on_call(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                               const char *version, const char *data, size_t *n, void **ctx)
{
    struct asked *a = *ctx;

    (void)cls;
    (void)url;
    (void)version;
    if (!a->headers) {
        a->headers = true;
        return MHD_YES;
    }
    if (*n) {
        buf_add(&a->body, (view){ .p = data, .n = *n });
        *n = 0;
        return MHD_YES;
    }
    return serve(mhd, method, a);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **ctx,
                         enum MHD_RequestTerminationCode why)
{
    struct asked *a = *ctx;

    (void)cls;
    (void)mhd;
    (void)why;
    if (!a)
        return;
    buf_done(&a->target);
    buf_done(&a->body);
    free(a);
    *ctx = NULL;
}

/* ---- life ---- */

static void prepare(char **argv)
{
    static const struct {
        const char *name;
        const struct floor_backend *backend;
    } backends[] = { { "mysql", &floor_mysql }, { "sqlite", &floor_sqlite } };

    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        if (strcmp(argv[1], backends[i].name) == 0)
            app.backend = backends[i].backend;
    if (!app.backend)
        floor_die(argv[1], "is neither mysql nor sqlite");
    app.redis = argv[3];
    app.host = VIEW("127.0.0.1");
    app.port = (unsigned)strtoul(argv[4], NULL, 10);
    app.secret = view_of(argv[5]);
    hkdf_sha256(app.secret, VIEW_NONE, VIEW(SIGNING_INFO), app.signing, sizeof app.signing);
    app.backend->start(argv[2]);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    sigset_t ends;
    int got;

    if (argc != 7) {
        fprintf(stderr,
                "Usage: floor mysql SOCKET:DATABASE | sqlite FOLDER  REDIS_SOCKET PORT SECRET THREADS\n");
        return 2;
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    prepare(argv);
    at.sin_port = htons((uint16_t)app.port);
    struct MHD_Daemon *d =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_call, NULL, MHD_OPTION_SOCK_ADDR,
                         (struct sockaddr *)&at, MHD_OPTION_THREAD_POOL_SIZE,
                         (unsigned)strtoul(argv[6], NULL, 10), MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_BYTES,
                         MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_URI_LOG_CALLBACK, on_target,
                         NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (!d)
        floor_die("HTTP", "does not start");
    sigwait(&ends, &got);
    MHD_stop_daemon(d);
    return 0;
}
