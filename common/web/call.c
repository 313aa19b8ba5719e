#include "common/web/call.h"

#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>

#include "common/auth/hawk.h"
#include "common/base/encode.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/scope.h"

#define NONCE_BYTES 8

struct caller {
    const struct clock *clock;
    CURL *curl;
    char why[CURL_ERROR_SIZE]; /* libcurl's words for the last failure */
};

/* One call under way. */
struct flight {
    const struct call *what;
    struct curl_slist *headers;
    CURLU *url;               /* what is signed                         */
    struct buf target;        /* path and query as they go over the wire */
    struct buf signed_target; /* … and as they are signed                */
    struct answer answer;
    bool too_long;      /* the body passed answer_max      */
    bool next_too_long; /* X-Heddle-Next does not fit      */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_started;

static void start_curl(void)
{
    curl_started = curl_global_init(CURL_GLOBAL_DEFAULT);
}

rc caller_new(const struct clock *clock, struct caller **out, struct err *e)
{
    struct caller *c;

    pthread_once(&curl_once, start_curl);
    if (curl_started != CURLE_OK)
        return fail(e, RC_BROKEN, RESP_GENERIC, "libcurl does not start: %s",
                    curl_easy_strerror(curl_started));
    c = mem_need(calloc(1, sizeof *c));
    c->clock = clock;
    c->curl = mem_need(curl_easy_init());
    *out = c;
    return RC_OK;
}

void caller_free(struct caller *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    free(c);
}

void answer_done(struct answer *a)
{
    buf_done(&a->body);
    *a = (struct answer){ 0 };
}

static void flight_done_scoped(struct flight *f)
{
    curl_slist_free_all(f->headers);
    curl_url_cleanup(f->url);
    buf_done(&f->target);
    buf_done(&f->signed_target);
    answer_done(&f->answer);
}

/* --- what comes in --- */

static size_t take_body(char *p, size_t size, size_t n, void *arg)
{
    struct flight *f = arg;

    n *= size;
    if (n > f->what->answer_max - f->answer.body.n) {
        f->too_long = true;
        return CURL_WRITEFUNC_ERROR;
    }
    buf_add(&f->answer.body, (view){ .p = p, .n = n });
    return n;
}

static size_t take_header(char *p, size_t size, size_t n, void *arg)
{
    struct flight *f = arg;
    view value = { .p = p, .n = n * size }, name;

    while (value.n > 0 && (value.p[value.n - 1] == '\n' || value.p[value.n - 1] == '\r'))
        value.n--;
    if (view_starts(value, VIEW("HTTP/"))) /* an interim answer came before */
        f->answer.next[0] = '\0';
    const char *wanted = f->what->next_header ? f->what->next_header : "X-Heddle-Next";
    if (!view_cut(&value, ':', &name) || !view_eq_nocase(name, view_of(wanted)))
        return n * size;
    value = view_trim(value);
    if (value.n >= sizeof f->answer.next) {
        f->next_too_long = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (value.n > 0)
        memcpy(f->answer.next, value.p, value.n);
    f->answer.next[value.n] = '\0';
    return n * size;
}

/* --- what goes out --- */

/* Bytes that end a header or a request line have no business in a URL or a header. */
static bool is_line(view v, unsigned char least)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < least || v.p[i] == 0x7f)
            return false;
    return true;
}

static rc add_header(struct flight *f, const char *name, view value, struct err *e)
{
    SCOPED(buf_done) struct buf line = { 0 };

    if (!is_line(value, ' '))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a control byte in what would be sent as %s", name);
    if (value.n > 0)
        buf_addf(&line, "%s: ", name);
    else
        buf_addf(&line, "%s:", name); /* libcurl leaves out the header that it would have sent */
    buf_add(&line, value);
    f->headers = mem_need(curl_slist_append(f->headers, buf_text(&line)));
    return RC_OK;
}

/* The target byte for byte as the URL has it: it is what Hawk signs, so libcurl must not tidy it up. */
static void find_target(struct buf *out, const char *url)
{
    const char *after = strstr(url, "://");
    size_t n;

    after = after ? after + 3 : url;
    after += strcspn(after, "/?#");
    n = strcspn(after, "#");
    if (after[0] != '/')
        buf_addc(out, '/');
    buf_add(out, (view){ .p = after, .n = n });
}

static rc read_url(struct flight *f, struct err *e)
{
    const char *url = f->what->sign_url ? f->what->sign_url : f->what->url;
    char *scheme = NULL;
    CURLUcode code;
    bool web;

    f->url = mem_need(curl_url());
    code = is_line(view_of(url), '!') ? curl_url_set(f->url, CURLUPART_URL, url, CURLU_PATH_AS_IS)
                                      : CURLUE_MALFORMED_INPUT;
    if (code == CURLUE_OK)
        code = curl_url_get(f->url, CURLUPART_SCHEME, &scheme, 0);
    web = code == CURLUE_OK && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    if (!web)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "\"%.100s\" is no http or https URL", url);
    find_target(&f->signed_target, url);
    find_target(&f->target, f->what->url);
    return RC_OK;
}

/* What Hawk puts under its MAC besides the call itself. host and port: curl_free. */
static void host_and_port(const struct flight *f, char **out_host, char **out_port)
{
    if (curl_url_get(f->url, CURLUPART_HOST, out_host, 0) != CURLUE_OK ||
        curl_url_get(f->url, CURLUPART_PORT, out_port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        abort(); /* the URL was parsed and is http or https: only memory can be missing */
}

static rc sign(struct flight *f, const struct clock *clock, struct err *e)
{
    SCOPED(buf_done) struct buf header = { 0 };
    SCOPED(buf_done) struct buf nonce = { 0 };
    const struct call *what = f->what;
    char *host = NULL, *port = NULL, hash[HAWK_MAC_TEXT];
    uint8_t bytes[NONCE_BYTES];
    uint64_t number = 0;
    struct hawk_request rq;

    host_and_port(f, &host, &port);
    rand_bytes(bytes, sizeof bytes);
    hex_put(&nonce, (view){ .p = (const char *)bytes, .n = sizeof bytes });
    hawk_payload_hash(view_of(what->content_type), what->body, hash);
    (void)view_to_u64(view_of(port), 65535, &number); /* libcurl has checked it */
    rq = (struct hawk_request){ .method = view_of(what->method),
                                .target = buf_view(&f->signed_target),
                                .host = view_of(host),
                                .port = (unsigned)number };
    hawk_sign(what->hawk_id, what->hawk_key, &rq, clock_now_s(clock), buf_view(&nonce),
              (view){ .p = hash, .n = sizeof hash }, &header);
    curl_free(host);
    curl_free(port);
    return add_header(f, "Authorization", buf_view(&header), e);
}

static rc add_bearer(struct flight *f, struct err *e)
{
    SCOPED(buf_done) struct buf value = { 0 };
    rc r;

    buf_add(&value, VIEW("Bearer "));
    buf_add(&value, f->what->bearer);
    r = add_header(f, "Authorization", buf_view(&value), e);
    secret_wipe(value.p, value.n);
    return r;
}

static rc add_headers(struct flight *f, const struct clock *clock, struct err *e)
{
    const struct call *what = f->what;

    TRY(add_header(f, "Expect", VIEW_NONE, e)); /* no round trip before a body */
    TRY(add_header(f, "Content-Type", view_of(what->content_type), e));
    if (what->request_id.n > 0)
        TRY(add_header(f, "X-Request-Id", what->request_id, e));
    if (what->hawk_id.p)
        return sign(f, clock, e);
    if (what->bearer.p)
        return add_bearer(f, e);
    return RC_OK;
}

static void set_method(CURL *h, const struct call *what)
{
    if (strcmp(what->method, "HEAD") == 0) {
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
        return;
    }
    if (what->body.n > 0 || strcmp(what->method, "POST") == 0 || strcmp(what->method, "PUT") == 0) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, what->body.p ? what->body.p : "");
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)what->body.n);
    }
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, what->method);
}

/* Everything is set anew for each call; a reset keeps the open connections. */
static void set_options(struct caller *c, struct flight *f)
{
    const struct call *what = f->what;
    CURL *h = c->curl;

    curl_easy_reset(h);
    c->why[0] = '\0';
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->why);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "heddle");
    curl_easy_setopt(h, CURLOPT_URL, what->url);
    curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(h, CURLOPT_REQUEST_TARGET, buf_text(&f->target));
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, what->timeout_ms);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, f->headers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, f);
    if (what->unix_socket)
        curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, what->unix_socket);
    if (what->hawk_id.p) /* between our own programs stands no proxy, whatever the environment says */
        curl_easy_setopt(h, CURLOPT_PROXY, "");
    set_method(h, what);
}

/* --- the call --- */

/* Without the query, which may hold something private. */
static rc explain(const struct caller *c, const struct flight *f, CURLcode code, struct err *e)
{
    const struct call *what = f->what;
    size_t length = strcspn(what->url, "?#");
    int shown = (int)(length > 120 ? 120 : length);
    rc r = code == CURLE_URL_MALFORMAT ? RC_BAD_INPUT : RC_AWAY;

    if (code == CURLE_OUT_OF_MEMORY)
        abort();
    if (f->too_long)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%s %.*s: an answer of more than %zu bytes", what->method,
                    shown, what->url, what->answer_max);
    if (f->next_too_long)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%s %.*s: %s is longer than %zu bytes", what->method, shown,
                    what->url, what->next_header ? what->next_header : "X-Heddle-Next",
                    sizeof f->answer.next - 1);
    return fail(e, r, RESP_GENERIC, "%s %.*s: %s", what->method, shown, what->url,
                c->why[0] ? c->why : curl_easy_strerror(code));
}

rc call(struct caller *c, const struct call *what, struct answer *out, struct err *e)
{
    SCOPED(flight_done) struct flight f = { .what = what };
    CURLcode code;

    assert(what->timeout_ms > 0 && what->answer_max > 0);
    TRY(read_url(&f, e));
    TRY(add_headers(&f, c->clock, e));
    set_options(c, &f);
    code = curl_easy_perform(c->curl);
    if (code != CURLE_OK)
        return explain(c, &f, code, e);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &f.answer.status);
    answer_done(out);
    *out = f.answer;
    f.answer = (struct answer){ 0 };
    return RC_OK;
}
