#include "common/page/session.h"

#include <inttypes.h>
#include <pthread.h>

#include "common/base/encode.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/page/seal.h"
#include "common/web/reply.h"

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

/* "__Host-heddle-form". Over http browsers drop cookies with the prefix, except on loopback. */
static const char *cookie_name(const struct site *s, struct arena *a, const char *end)
{
    return arena_text(a, "%s%s%s", s->https ? "__Host-" : "", s->cookie, end).p;
}

static void cookie_set(const struct site *s, struct request *rq, const char *end, view value, bool gone)
{
    reply_header(rq, "Set-Cookie",
                 arena_text(rq->arena, "%s=%.*s; Path=/; HttpOnly; SameSite=Lax%s%s",
                            cookie_name(s, rq->arena, end), VIEW_ARG(value), s->https ? "; Secure" : "",
                            gone ? "; Max-Age=0" : ""));
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

bool sitting_read(const struct site *s, const struct request *rq, struct sitting *out)
{
    struct sitting it;
    view rest, cookie = cookie_get(rq, cookie_name(s, rq->arena, ""));
    int64_t now_s = clock_now_s(rq->clock);
    if (!cookie.p || !seal_open(s->seal, SEAL_SESSION, cookie, rq->arena, &rest) ||
        !view_cut_number(&rest, ' ', &it.begun_s) || !view_cut_number(&rest, ' ', &it.seen_s) ||
        !view_cut(&rest, ' ', &it.id) || !is_id(it.id) || rest.n == 0)
        return false;
    it.whose = rest;
    if (now_s - it.seen_s > s->idle_s || now_s - it.begun_s > s->life_s || now_s + TOUCH_S < it.begun_s ||
        is_ended(s->ended, it.id))
        return false;
    *out = it;
    return true;
}

static void put(const struct site *s, struct request *rq, const struct sitting *it)
{
    view text = arena_text(rq->arena, "%" PRId64 " %" PRId64 " %.*s %.*s", it->begun_s, it->seen_s,
                           VIEW_ARG(it->id), VIEW_ARG(it->whose));
    cookie_set(s, rq, "", seal_text(s->seal, SEAL_SESSION, text, rq->arena), false);
}

void sitting_start(const struct site *s, struct request *rq, view whose)
{
    int64_t now_s = clock_now_s(rq->clock);
    put(s, rq,
        &(struct sitting){ .whose = whose, .id = random_id(rq->arena), .begun_s = now_s, .seen_s = now_s });
}

void sitting_touch(const struct site *s, struct request *rq, const struct sitting *old)
{
    struct sitting fresh = *old;
    fresh.seen_s = clock_now_s(rq->clock);
    if (fresh.seen_s - old->seen_s >= TOUCH_S)
        put(s, rq, &fresh);
}

void sitting_end(const struct site *s, struct request *rq, view id)
{
    struct ended *e = s->ended;
    pthread_mutex_lock(&e->lock);
    memcpy(e->ids[e->next], id.p, SESSION_ID);
    e->next = (e->next + 1) % ENDED_MOST;
    pthread_mutex_unlock(&e->lock);
    cookie_set(s, rq, "", VIEW(""), true);
}

/* ---- forms ---- */

static view token_of(const struct site *s, const struct request *rq, size_t key, view id, bool signed_in)
{
    uint8_t mac[SHA256_BYTES];
    view text = arena_text(rq->arena, "%s %.*s", signed_in ? "session" : "visitor", VIEW_ARG(id));
    seal_mac(s->seal, SEAL_FORM, key, text, mac);
    return base64_text(rq->arena, BASE64_URL_NOPAD, (view){ .p = (const char *)mac, .n = TOKEN_BYTES });
}

view form_token(const struct site *s, struct request *rq, view session_id)
{
    view id = session_id.p ? session_id : cookie_get(rq, cookie_name(s, rq->arena, "-form"));
    if (!is_id(id)) {
        id = random_id(rq->arena);
        cookie_set(s, rq, "-form", id, false);
    }
    return token_of(s, rq, seal_keys(s->seal) - 1, id, session_id.p != NULL);
}

bool form_token_good(const struct site *s, const struct request *rq, view session_id, view token)
{
    view id = session_id.p ? session_id : cookie_get(rq, cookie_name(s, rq->arena, "-form"));
    bool good = false;
    for (size_t i = 0; is_id(id) && i < seal_keys(s->seal); i++)
        good |= secret_eq(token, token_of(s, rq, i, id, session_id.p != NULL));
    return good;
}
