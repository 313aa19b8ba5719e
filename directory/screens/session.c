#include "directory/screens/session.h"

#include <inttypes.h>

#include "common/base/encode.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "directory/seal.h"

enum { ENDED_MOST = 8192, TOUCH_S = 60, TOKEN_BYTES = 16 };

/* ---- ended by hand ---- */

struct ended {
    pthread_mutex_t lock;
    size_t next;
    char ids[ENDED_MOST][SESSION_ID];
};

struct ended *ended_new(void)
{
    struct ended *e = mem_need(calloc(1, sizeof(*e)));
    pthread_mutex_init(&e->lock, NULL);
    return e;
}

void ended_free(struct ended *e)
{
    if (!e)
        return;
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static bool is_ended(struct ended *e, view id)
{
    bool found = false;
    pthread_mutex_lock(&e->lock);
    for (size_t i = 0; i < ENDED_MOST && !found; i++)
        found = memcmp(e->ids[i], id.p, SESSION_ID) == 0;
    pthread_mutex_unlock(&e->lock);
    return found;
}

/* ---- cookies ---- */

view cookie_get(const struct request *rq, const char *name)
{
    view rest = request_header(rq, "Cookie"), one, key;
    while (view_cut(&rest, ';', &one)) {
        one = view_trim(one);
        if (view_cut(&one, '=', &key) && one.p && view_eq(key, view_of(name)))
            return one;
    }
    return VIEW_NONE;
}

static const struct screens *screens_of(const struct request *rq)
{
    return ((const struct directory *)rq->app)->screens;
}

/* Over http browsers drop cookies with the prefix, except on loopback. */
static const char *session_cookie(const struct request *rq)
{
    return screens_of(rq)->https ? "__Host-heddle" : "heddle";
}

static const char *form_cookie(const struct request *rq)
{
    return screens_of(rq)->https ? "__Host-heddle-form" : "heddle-form";
}

/* life_s 0: until the browser is closed; below: at once. */
static void cookie_set(struct request *rq, const char *name, view value, bool gone)
{
    reply_header(rq, "Set-Cookie",
                 arena_text(rq->arena, "%s=%.*s; Path=/; HttpOnly; SameSite=Lax%s%s", name, VIEW_ARG(value),
                            screens_of(rq)->https ? "; Secure" : "", gone ? "; Max-Age=0" : ""));
}

static view random_id(struct arena *a)
{
    uint8_t bytes[SESSION_ID / 2];
    SCOPED(buf_done) struct buf hex = { 0 };
    rand_bytes(bytes, sizeof(bytes));
    hex_put(&hex, (view){ .p = (const char *)bytes, .n = sizeof(bytes) });
    return arena_copy(a, buf_view(&hex));
}

static bool is_id(view v)
{
    for (size_t i = 0; i < v.n; i++)
        if (!((v.p[i] >= '0' && v.p[i] <= '9') || (v.p[i] >= 'a' && v.p[i] <= 'f')))
            return false;
    return v.n == SESSION_ID;
}

/* ---- sessions ---- */

static bool number(view *rest, int64_t *out)
{
    view one;
    uint64_t n;
    if (!view_cut(rest, ' ', &one) || !view_to_u64(one, INT64_MAX, &n))
        return false;
    *out = (int64_t)n;
    return true;
}

bool session_read(const struct request *rq, struct session *out)
{
    const struct directory *d = rq->app;
    const struct screens_conf *c = d->screens->conf;
    struct session s;
    view rest, cookie = cookie_get(rq, session_cookie(rq));
    int64_t now_s = clock_now_s(d->clock);
    if (!cookie.p || !seal_open(d->seal, SEAL_SESSION, cookie, rq->arena, &rest) || !number(&rest, &s.uid) ||
        !number(&rest, &s.password_since_ms) || !number(&rest, &s.begun_s) || !number(&rest, &s.seen_s) ||
        !view_cut(&rest, ' ', &s.id) || !is_id(s.id) || rest.n == 0)
        return false;
    s.name = rest;
    if (now_s - s.seen_s > c->idle_s || now_s - s.begun_s > c->life_s || now_s + TOUCH_S < s.begun_s ||
        is_ended(d->screens->ended, s.id))
        return false;
    *out = s;
    return true;
}

bool session_is_of(const struct session *s, const struct account *acc)
{
    return acc->enabled && acc->uid == s->uid && acc->password_since_ms == s->password_since_ms &&
           view_eq(acc->name, s->name);
}

static void put(struct request *rq, const struct session *s)
{
    const struct directory *d = rq->app;
    view text = arena_text(rq->arena, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %.*s %.*s", s->uid,
                           s->password_since_ms, s->begun_s, s->seen_s, VIEW_ARG(s->id), VIEW_ARG(s->name));
    cookie_set(rq, session_cookie(rq), seal_text(d->seal, SEAL_SESSION, text, rq->arena), false);
}

void session_start(struct request *rq, const struct account *acc)
{
    int64_t now_s = clock_now_s(rq->clock);
    put(rq, &(struct session){ .name = acc->name,
                               .id = random_id(rq->arena),
                               .uid = acc->uid,
                               .password_since_ms = acc->password_since_ms,
                               .begun_s = now_s,
                               .seen_s = now_s });
}

void session_touch(struct request *rq, const struct session *s)
{
    struct session fresh = *s;
    fresh.seen_s = clock_now_s(rq->clock);
    if (fresh.seen_s - s->seen_s >= TOUCH_S)
        put(rq, &fresh);
}

void session_end(struct request *rq, const struct session *s)
{
    struct ended *e = screens_of(rq)->ended;
    pthread_mutex_lock(&e->lock);
    memcpy(e->ids[e->next], s->id.p, SESSION_ID);
    e->next = (e->next + 1) % ENDED_MOST;
    pthread_mutex_unlock(&e->lock);
    cookie_set(rq, session_cookie(rq), VIEW(""), true);
}

/* ---- forms ---- */

static view token_of(const struct request *rq, size_t key, view id, bool signed_in)
{
    const struct directory *d = rq->app;
    uint8_t mac[SHA256_BYTES];
    view text = arena_text(rq->arena, "%s %.*s", signed_in ? "session" : "visitor", VIEW_ARG(id));
    seal_mac(d->seal, SEAL_FORM, key, text, mac);
    return base64_text(rq->arena, BASE64_URL_NOPAD, (view){ .p = (const char *)mac, .n = TOKEN_BYTES });
}

view form_token(struct request *rq, const struct session *s)
{
    const struct directory *d = rq->app;
    view id = s ? s->id : cookie_get(rq, form_cookie(rq));
    if (!is_id(id)) {
        id = random_id(rq->arena);
        cookie_set(rq, form_cookie(rq), id, false);
    }
    return token_of(rq, seal_keys(d->seal) - 1, id, s != NULL);
}

bool form_token_good(const struct request *rq, const struct session *s, view token)
{
    const struct directory *d = rq->app;
    view id = s ? s->id : cookie_get(rq, form_cookie(rq));
    bool good = false;
    for (size_t i = 0; is_id(id) && i < seal_keys(d->seal); i++)
        good |= secret_eq(token, token_of(rq, i, id, s != NULL));
    return good;
}
