#include "node/remote.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/auth/secrets.h"
#include "common/base/encode.h"
#include "common/base/mem.h"
#include "common/web/call.h"
#include "common/web/internal.h"
#include "common/web/server.h"

enum {
    ANSWER_MAX = 16 << 20,
    VERIFY_TIMEOUT_MS = 5000,
    ANSWER_DEPTH = 8,
    CALLERS_KEPT = 64,
    DIRECTORIES_MAX = 32
};

struct endpoint {
    char *address;      /* as configured */
    const char *base;   /* of the URL, without a slash at its end */
    const char *socket; /* or NULL */
    _Atomic int64_t silent_until_us;
};

struct remote {
    const struct clock *clock;
    char *name, *key;
    struct endpoint *items;
    size_t n;
    _Atomic size_t first; /* answered last */

    pthread_mutex_t lock; /* of the idle callers; each keeps its connections */
    struct caller *idle[CALLERS_KEPT];
    size_t n_idle;
};

/* ---- settings ---- */

static bool is_socket(const char *address)
{
    return address[0] == '/';
}

rc remote_check(const struct conf_list *directories, const struct conf_list *key, struct err *e)
{
    struct url_parts u;
    if (directories->n == 0)
        return RC_OK;
    if (directories->n > DIRECTORIES_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "node.directories: more than %d", DIRECTORIES_MAX);
    for (size_t i = 0; i < directories->n; i++) {
        const char *item = directories->items[i];
        if (!is_socket(item) &&
            (!url_cut(view_of(item), &u) || u.base.n > 0 || item[strlen(item) - 1] == '/'))
            return fail(
                e, RC_BAD_INPUT, RESP_GENERIC,
                "node.directories has \"%.100s\": must be like http://10.0.0.1:8001, or the path of a unix socket",
                item);
    }
    if (key->n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "node.directories needs node.key: the directories know us by it");
    for (size_t i = 0; i < key->n; i++)
        if (strlen(key->items[i]) < INTERNAL_KEY_LEAST || strpbrk(key->items[i], " \t"))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                        "node.key must be at least %d characters without blanks", INTERNAL_KEY_LEAST);
    return RC_OK;
}

rc remote_new(const struct remote_conf *c, const struct clock *clock, struct remote **out, struct err *e)
{
    TRY(remote_check(c->directories, c->key, e));
    if (c->directories->n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "node.directories is empty");
    struct remote *r = mem_need(calloc(1, sizeof(*r)));
    r->clock = clock;
    r->name = mem_need(strndup(c->name.p, c->name.n));
    r->key = mem_need(strdup(c->key->items[c->key->n - 1]));
    r->items = mem_need(calloc(c->directories->n, sizeof(*r->items)));
    r->n = c->directories->n;
    for (size_t i = 0; i < r->n; i++) {
        struct endpoint *d = &r->items[i];
        d->address = mem_need(strdup(c->directories->items[i]));
        d->socket = is_socket(d->address) ? d->address : NULL;
        d->base = d->socket ? "http://localhost" : d->address;
        atomic_init(&d->silent_until_us, INT64_MIN);
    }
    pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return RC_OK;
}

void remote_free(struct remote *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_idle; i++)
        caller_free(r->idle[i]);
    for (size_t i = 0; i < r->n; i++)
        free(r->items[i].address);
    free(r->items);
    secret_wipe(r->key, strlen(r->key));
    free(r->key);
    free(r->name);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

size_t remote_count(const struct remote *r)
{
    return r->n;
}

const char *remote_address(const struct remote *r, size_t i)
{
    return r->items[i].address;
}

/* ---- calls ---- */

static rc caller_take(struct remote *r, struct caller **out, struct err *e)
{
    struct caller *c = NULL;
    pthread_mutex_lock(&r->lock);
    if (r->n_idle > 0)
        c = r->idle[--r->n_idle];
    pthread_mutex_unlock(&r->lock);
    if (!c)
        return caller_new(r->clock, out, e);
    *out = c;
    return RC_OK;
}

static void caller_give(struct remote *r, struct caller *c)
{
    pthread_mutex_lock(&r->lock);
    if (r->n_idle < CALLERS_KEPT) {
        r->idle[r->n_idle++] = c;
        c = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    caller_free(c);
}

/* What the directory says went wrong, cleaned for the log. */
static void reason(const struct answer *a, char out[100])
{
    json_t *body = NULL;
    snprintf(out, 100, "no reason given");
    if (json_read(buf_view(&a->body), ANSWER_DEPTH, JSON_READ_PLAIN, &body, NULL) == RC_OK) {
        view text = json_text(json_object_get(body, "text"));
        if (text.n > 0)
            snprintf(out, 100, "%.*s", VIEW_ARG(text));
    }
    json_decref(body);
}

static rc read_answer(const struct endpoint *d, const char *path, const struct answer *a, json_t **out,
                      struct err *e)
{
    char why[100];
    if (a->status == 200) {
        if (json_read(buf_view(&a->body), ANSWER_DEPTH, JSON_READ_PLAIN, out, NULL) == RC_OK &&
            json_is_object(*out))
            return RC_OK;
        json_decref(*out);
        *out = NULL;
        return fail(e, RC_BROKEN, RESP_GENERIC, "%s: the answer to %s is no object", d->address, path);
    }
    reason(a, why);
    return fail(e,
                a->status >= 500                       ? RC_AWAY
                : a->status == 401 || a->status == 403 ? RC_FORBIDDEN
                                                       : RC_BROKEN,
                RESP_GENERIC, "%s answers %ld to %s: %s", d->address, a->status, path, why);
}

rc remote_call(struct remote *r, size_t i, const char *path, view body, long timeout_ms, json_t **out,
               struct err *e)
{
    struct endpoint *d = &r->items[i];
    struct answer answer = { .status = 0 };
    struct caller *c = NULL;
    char url[512];

    int n = snprintf(url, sizeof(url), "%s/internal/v1/%s", d->base, path);
    if (n < 0 || (size_t)n >= sizeof(url))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a URL of more than %zu bytes", sizeof(url));
    TRY(caller_take(r, &c, e));
    const struct call what = { .method = "POST",
                               .url = url,
                               .unix_socket = d->socket,
                               .content_type = "application/json",
                               .body = body,
                               .hawk_id = view_of(r->name),
                               .hawk_key = view_of(r->key),
                               .timeout_ms = timeout_ms,
                               .answer_max = ANSWER_MAX };
    rc got = call(c, &what, &answer, e);
    caller_give(r, c);
    atomic_store(&d->silent_until_us, got == RC_OK ? INT64_MIN : clock_mono_us(r->clock) + REMOTE_SILENT_US);
    if (got == RC_OK)
        got = read_answer(d, path, &answer, out, e);
    answer_done(&answer);
    return got;
}

static rc ask_one(struct remote *r, size_t i, const char *path, view body, long timeout_ms,
                  remote_reader *read, void *out, struct err *e)
{
    SCOPED(json_decref) json_t *answer = NULL;
    TRY(remote_call(r, i, path, body, timeout_ms, &answer, e));
    return read(answer, out, e);
}

/* A directory that fails in whatever way is one that does not know; the next may. */
rc remote_ask(struct remote *r, const char *path, view body, long timeout_ms, remote_reader *read, void *out,
              struct err *e)
{
    size_t first = atomic_load(&r->first);
    bool asked = false;
    for (size_t k = 0; k < r->n; k++) {
        size_t i = (first + k) % r->n;
        if (atomic_load(&r->items[i].silent_until_us) > clock_mono_us(r->clock))
            continue;
        asked = true;
        rc got = ask_one(r, i, path, body, timeout_ms, read, out, e);
        if (got == RC_OK || got == RC_DENIED) {
            atomic_store(&r->first, i);
            return got;
        }
    }
    /* Of several failures the last one is told; e holds its text. */
    return asked ? RC_AWAY : fail(e, RC_AWAY, RESP_GENERIC, "no directory answers");
}

/* ---- who is this? ---- */

static rc read_verdict(const json_t *o, void *arg, struct err *e)
{
    struct verdict *out = arg;
    const json_t *uid = json_object_get(o, "uid"), *epoch = json_object_get(o, "epoch");
    view node = json_text(json_object_get(o, "node"));

    if (json_is_true(json_object_get(o, "refused")))
        return fail(e, RC_DENIED, RESP_GENERIC, "refused");
    if (!json_is_integer(uid) || json_integer_value(uid) <= 0 || !json_is_integer(epoch) ||
        json_integer_value(epoch) < 0 || node.n == 0 || node.n >= sizeof(out->node) ||
        memchr(node.p, '\0', node.n))
        return fail(e, RC_BROKEN, RESP_GENERIC, "a verdict that makes no sense");
    *out = (struct verdict){ .uid = json_integer_value(uid), .epoch = json_integer_value(epoch) };
    memcpy(out->node, node.p, node.n);
    return RC_OK;
}

static rc verify(void *arg, view name, view password, struct verdict *out, struct err *e)
{
    struct buf body = { 0 };
    if (!utf8_valid(name) ||
        !utf8_valid(password)) /* no account has such a password, and JSON cannot tell it */
        return fail(e, RC_DENIED, RESP_GENERIC, "credentials that are no UTF-8");
    buf_reserve(&body, 64 + 6 * (name.n + password.n)); /* so that growing leaves no copy of it behind */
    buf_add(&body, VIEW("{\"name\":"));
    json_put_string(&body, name);
    buf_add(&body, VIEW(",\"password\":"));
    json_put_string(&body, password);
    buf_addc(&body, '}');
    rc r = remote_ask(arg, "verify", buf_view(&body), VERIFY_TIMEOUT_MS, read_verdict, out, e);
    secret_wipe(body.p, body.n);
    buf_done(&body);
    return r;
}

struct authority_driver remote_authority(struct remote *r)
{
    return (struct authority_driver){ .verify = verify, .arg = r };
}
