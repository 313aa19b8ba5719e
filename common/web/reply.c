#include "common/web/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

#define N_DIALECTS (DIALECT_PLAIN + 1)

/* ---- the table: what a failure is on the wire ---- */

/* Words of the token server's error body where the failing function gave none.
 * Protocol: Token server API 1.0, "Errors". */
static const struct err_words words_input = { 0, "error", "body", "", "Bad Request" };
static const struct err_words words_denied = { 0, "invalid-credentials", "body", "", "Unauthorized" };
static const struct err_words words_forbidden = { 0, "error", "body", "", "Forbidden" };
static const struct err_words words_missing = { 0, "error", "url", "", "Not Found" };
static const struct err_words words_method = { 0, "error", "url", "", "Method Not Allowed" };
static const struct err_words words_accept = { 0, "error", "header", "Accept", "Not Acceptable" };
static const struct err_words words_type = { 0, "error", "header", "Content-Type", "Unsupported Media Type" };
static const struct err_words words_large = { 0, "error", "body", "", "Request Entity Too Large" };
static const struct err_words words_stale = { 0, "error", "header", "", "Precondition Failed" };
static const struct err_words words_server = { 0, "internal-error", "internal", "", "Server error" };

struct translation {
    int status[N_DIALECTS]; /* Sync 1.5, Sync 1.1, User, token, internal, plain */
    enum respcode respcode; /* the body where the failure named none           */
    const struct err_words *words;
    unsigned retry_after_s, spread_s; /* of a 503 */
    const char *plain;
};

/* Protocol: Storage API 1.5, "Response codes"; Storage API 1.1, "Response codes" and "Quota"; internal API, "error".
 * A lost race or lock is 503 for clients: 409 is not understood by them. NOT_HERE is 401: they ask for their node anew. */
static const struct translation translations[] = {
    [RC_OK] = { { 200, 200, 200, 200, 200, 200 }, RESP_GENERIC, NULL, 0, 0, "OK" },
    [RC_NOT_FOUND] = { { 404, 404, 404, 404, 404, 404 }, RESP_GENERIC, &words_missing, 0, 0, "Not found" },
    [RC_NOT_MODIFIED] = { { 304, 304, 304, 304, 304, 304 }, RESP_GENERIC, NULL, 0, 0, "" },
    [RC_BAD_INPUT] = { { 400, 400, 400, 400, 400, 400 }, RESP_GENERIC, &words_input, 0, 0, "Bad request" },
    [RC_TOO_LARGE] = { { 413, 413, 413, 413, 413, 413 }, RESP_TOO_LARGE, &words_large, 0, 0, "Too large" },
    [RC_NOT_ACCEPTABLE] = { { 406, 406, 406, 406, 406, 406 },
                            RESP_GENERIC,
                            &words_accept,
                            0,
                            0,
                            "Not acceptable" },
    [RC_MEDIA_TYPE] = { { 415, 415, 415, 415, 415, 415 },
                        RESP_GENERIC,
                        &words_type,
                        0,
                        0,
                        "Unsupported media type" },
    [RC_DENIED] = { { 401, 401, 401, 401, 401, 401 }, RESP_GENERIC, &words_denied, 0, 0, "Unauthorized" },
    [RC_FORBIDDEN] = { { 403, 403, 403, 403, 403, 403 }, RESP_GENERIC, &words_forbidden, 0, 0, "Forbidden" },
    [RC_OVER_QUOTA] = { { 403, 400, 400, 403, 403, 403 },
                        RESP_OVER_QUOTA,
                        &words_forbidden,
                        0,
                        0,
                        "Over quota" },
    [RC_MODIFIED] = { { 412, 412, 412, 412, 412, 412 },
                      RESP_GENERIC,
                      &words_stale,
                      0,
                      0,
                      "Precondition failed" },
    [RC_CONFLICT] = { { 503, 503, 503, 503, 409, 503 },
                      RESP_GENERIC,
                      &words_server,
                      10,
                      0,
                      "Busy, try again" },
    [RC_NOT_HERE] = { { 401, 401, 401, 503, 421, 401 }, RESP_GENERIC, &words_server, 10, 0, "Unauthorized" },
    [RC_FROZEN] = { { 503, 503, 503, 503, 503, 503 }, RESP_GENERIC, &words_server, 10, 0, "Busy, try again" },
    [RC_BUSY] = { { 503, 503, 503, 503, 503, 503 }, RESP_GENERIC, &words_server, 10, 0, "Busy, try again" },
    [RC_AWAY] = { { 503, 503, 503, 503, 503, 503 }, RESP_GENERIC, &words_server, 30, 30, "Busy, try again" },
    [RC_UNSURE] = { { 503, 503, 503, 503, 504, 503 }, RESP_GENERIC, &words_server, 10, 0, "Busy, try again" },
    [RC_BROKEN] = { { 500, 500, 500, 500, 500, 500 }, RESP_GENERIC, &words_server, 0, 0, "Internal error" },
};

static const struct translation *translate(rc r)
{
    return &translations[(size_t)r < sizeof translations / sizeof translations[0] ? r : RC_BROKEN];
}

int reply_status_of(rc r, enum dialect d)
{
    return translate(r)->status[d];
}

unsigned reply_retry_after_s(rc r)
{
    const struct translation *t = translate(r);

    return t->retry_after_s + (t->spread_s ? rand_below(t->spread_s + 1) : 0);
}

/* A path that no route knows is answered as Sync 1.5 does. */
enum dialect reply_dialect(const struct request *rq)
{
    return rq->route ? rq->route->dialect : DIALECT_SYNC_15;
}

/* ---- life ---- */

void reply_init(struct reply *r)
{
    *r = (struct reply){ .status = 200, .type = "application/json", .spill_fd = -1 };
}

void reply_done(struct reply *r)
{
    buf_done(&r->body);
    buf_done(&r->headers);
    if (r->spill_fd >= 0)
        close(r->spill_fd);
    r->spill_fd = -1;
}

void reply_reset(struct request *rq)
{
    bool close_after = rq->reply->close;

    reply_done(rq->reply);
    reply_init(rq->reply);
    rq->reply->close = close_after;
}

/* ---- building ---- */

void reply_status(struct request *rq, int status)
{
    rq->reply->status = status;
}

void reply_type(struct request *rq, const char *type)
{
    rq->reply->type = type;
}

/* Its value follows, and a zero. */
static struct buf *header_begin(struct request *rq, const char *name)
{
    struct buf *b = &rq->reply->headers;

    buf_add(b, view_of(name));
    buf_addc(b, '\0');
    return b;
}

void reply_header(struct request *rq, const char *name, view value)
{
    struct buf *b = header_begin(rq, name);

    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] >= 0x20 && value.p[i] != 0x7f)
            buf_addc(b, value.p[i]);
    buf_addc(b, '\0');
}

void reply_header_stamp(struct request *rq, const char *name, stamp t)
{
    char text[STAMP_TEXT_MAX];
    size_t n = stamp_print(t, text);

    reply_header(rq, name, (view){ .p = text, .n = n });
}

static void header_number(struct request *rq, const char *name, int64_t number)
{
    struct buf *b = header_begin(rq, name);

    buf_add_i64(b, number);
    buf_addc(b, '\0');
}

void reply_last_modified(struct request *rq, stamp t)
{
    rq->reply->last_modified = t;
    rq->reply->has_last_modified = true;
}

void reply_timestamp(struct request *rq, stamp t)
{
    rq->reply->timestamp = t;
    rq->reply->has_timestamp = true;
}

struct buf *reply_body(struct request *rq)
{
    return &rq->reply->body;
}

uint64_t reply_size(const struct request *rq)
{
    return rq->reply->spilled + rq->reply->body.n;
}

/* ---- large bodies ---- */

static const char *spool_dir(const struct request *rq)
{
    const struct io *io = rq->web->io;
    const char *dir = io ? io->server->conf->spool_dir : NULL;

    if (dir && dir[0] != '\0')
        return dir;
    dir = getenv("TMPDIR");
    return dir && dir[0] == '/' ? dir : "/tmp";
}

/* A file that nobody can find by name; it goes when it is closed. */
static rc spill_open(struct request *rq, struct err *e)
{
    const char *dir = spool_dir(rq);
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        char *name = arena_cstr(rq->arena, arena_text(rq->arena, "%s/heddle-XXXXXX", dir));

        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            unlink(name);
    }
    if (fd < 0)
        return fail(e, RC_AWAY, RESP_GENERIC, "no file for a large answer in %.150s: %s", dir,
                    strerror(errno));
    rq->reply->spill_fd = fd;
    return RC_OK;
}

static rc spill_write(struct request *rq, struct err *e)
{
    struct reply *r = rq->reply;
    size_t done = 0;

    while (done < r->body.n) {
        ssize_t n = write(r->spill_fd, r->body.p + done, r->body.n - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(e, RC_AWAY, RESP_GENERIC, "a large answer was not written to its file: %s",
                        strerror(errno));
        done += (size_t)n;
    }
    r->spilled += done;
    buf_clear(&r->body);
    return RC_OK;
}

rc reply_flush(struct request *rq, struct err *e)
{
    struct reply *r = rq->reply;

    if (r->body.n <= (r->spill_fd >= 0 ? REPLY_WRITE_BYTES : REPLY_SPILL_BYTES))
        return RC_OK;
    if (r->spill_fd < 0) {
        rc got = spill_open(rq, e);
        if (got != RC_OK)
            return got;
    }
    rc got = spill_write(rq, e);
    if (got == RC_OK && r->body.cap > 4 * REPLY_WRITE_BYTES) /* from now on pieces are small */
        buf_done(&r->body);
    return got;
}

rc reply_finish(struct request *rq, struct err *e)
{
    rc got = reply_flush(rq, e);

    if (got == RC_OK && rq->reply->spill_fd >= 0)
        got = spill_write(rq, e);
    return got;
}

/* ---- failures ---- */

static void words_put(struct buf *b, const struct err_words *w)
{
    buf_add(b, VIEW("{\"status\":"));
    json_put_string(b, view_of(w->status));
    buf_add(b, VIEW(",\"errors\":[{\"location\":"));
    json_put_string(b, view_of(w->location));
    buf_add(b, VIEW(",\"name\":"));
    json_put_string(b, view_of(w->name));
    buf_add(b, VIEW(",\"description\":"));
    json_put_string(b, view_of(w->description));
    buf_add(b, VIEW("}]}"));
}

/* The body by dialect; everything said about the failure comes in. */
static void error_body(struct request *rq, rc r, enum respcode code, const struct err_words *words,
                       const char *text, const char *plain)
{
    struct buf *b = &rq->reply->body;

    switch (reply_dialect(rq)) {
    case DIALECT_TOKEN:
        words_put(b, words ? words : &words_server);
        break;
    case DIALECT_INTERNAL:
        buf_add(b, VIEW("{\"rc\":"));
        json_put_string(b, view_of(rc_name(r)));
        buf_add(b, VIEW(",\"text\":"));
        json_put_string(b, view_of(text));
        buf_addc(b, '}');
        break;
    case DIALECT_PLAIN:
        reply_type(rq, "text/plain; charset=utf-8");
        buf_add(b, view_of(plain));
        buf_addc(b, '\n');
        break;
    case DIALECT_SYNC_15:
    case DIALECT_SYNC_11:
    case DIALECT_USER:
        buf_add_i64(b, code);
        break;
    }
}

void reply_fail(struct request *rq, rc r, const struct err *e)
{
    static const struct err none = { .respcode = RESP_GENERIC };
    const struct translation *t = translate(r);
    const struct err *why = e ? e : &none;
    struct reply *reply = rq->reply;
    stamp last = reply->last_modified;
    bool keep = reply->has_last_modified && (r == RC_MODIFIED || r == RC_NOT_MODIFIED);

    reply_reset(rq);
    if (keep)
        reply_last_modified(rq, last);
    reply->status = why->words && why->words->http && reply_dialect(rq) == DIALECT_TOKEN
                        ? why->words->http
                        : reply_status_of(r, reply_dialect(rq));
    reply->retry_after_s = why->retry_after_s;
    if (reply->status == 503 && reply->retry_after_s == 0)
        reply->retry_after_s = t->retry_after_s ? reply_retry_after_s(r) : reply_retry_after_s(RC_BUSY);
    if (reply->status != 304)
        error_body(rq, r, why->respcode != RESP_GENERIC ? why->respcode : t->respcode,
                   why->words ? why->words : t->words, why->text, t->plain);
}

static void header_allow(struct request *rq, unsigned methods)
{
    static const struct {
        unsigned method;
        const char *name;
    } names[] = { { GET, "GET" }, { HEAD, "HEAD" },     { POST, "POST" },
                  { PUT, "PUT" }, { DELETE, "DELETE" }, { OPTIONS, "OPTIONS" } };
    char text[64] = "";
    size_t n = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (methods & names[i].method)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? ", " : "", names[i].name);
    reply_header(rq, "Allow", view_of(text));
}

void reply_refuse(struct request *rq, int status, unsigned allow)
{
    static const struct {
        int status;
        rc r;
        const struct err_words *words;
        const char *text;
    } known[] = {
        { 405, RC_BAD_INPUT, &words_method, "method not allowed" },
        { 408, RC_BAD_INPUT, &words_input, "request timeout" },
        { 400, RC_BAD_INPUT, &words_input, "bad request" },
    };
    size_t i = 0;

    while (known[i].status != status && known[i].status != 400)
        i++;
    reply_reset(rq);
    rq->reply->status = known[i].status;
    if (status == 405)
        header_allow(rq, allow);
    error_body(rq, known[i].r, RESP_GENERIC, known[i].words, known[i].text, known[i].text);
}

/* ---- what every reply of a dialect has ---- */

static void sync_headers(struct request *rq)
{
    const struct reply *r = rq->reply;
    stamp t = r->has_timestamp ? r->timestamp : rq->started;

    if (!r->has_timestamp && r->has_last_modified)
        t = stamp_max(t, r->last_modified);
    reply_header_stamp(rq, "X-Weave-Timestamp", t);
}

void reply_common_headers(struct request *rq)
{
    struct reply *r = rq->reply;
    const char *challenge = NULL;

    if (r->has_last_modified)
        reply_header_stamp(rq, "X-Last-Modified", r->last_modified);
    switch (reply_dialect(rq)) {
    case DIALECT_SYNC_15:
        sync_headers(rq);
        challenge = "Hawk";
        break;
    case DIALECT_SYNC_11:
    case DIALECT_USER:
        sync_headers(rq);
        challenge = "Basic realm=\"Sync\"";
        break;
    case DIALECT_TOKEN:
        header_number(rq, "X-Timestamp", rq->started.cs / 100);
        reply_header(rq, "X-Content-Type-Options", VIEW("nosniff"));
        challenge = "Bearer";
        break;
    case DIALECT_INTERNAL:
        challenge = "Hawk";
        break;
    case DIALECT_PLAIN:
        break;
    }
    if (r->status == 401 && challenge)
        reply_header(rq, "WWW-Authenticate", view_of(challenge));
    if (r->retry_after_s)
        header_number(rq, "Retry-After", r->retry_after_s);
    if (r->close)
        reply_header(rq, "Connection", VIEW("close"));
}
