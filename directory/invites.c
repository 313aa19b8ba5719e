#include "directory/invites.h"

#include <inttypes.h>

#include "common/base/encode.h"
#include "common/base/log.h"
#include "common/base/rand.h"
#include "common/page/seal.h"

enum {
    ID_DIGITS = 4,
    SECRET_DIGITS = 16,
    CODE_DIGITS = ID_DIGITS + SECRET_DIGITS,
    CAS_TRIES = 100, /* of those who race one wins each time */
    ID_TRIES = 20,
    TAKERS_MOST = 200,
    SWEEP_AT_ONCE = 500,
    SWEEP_BYTES = 4 * 1024 * 1024,
    WORK_BYTES = 256 * 1024
};
#define MINUTE_MS      INT64_C(60000)
#define DAY_MS         INT64_C(86400000)
#define TAKER_GRACE_MS (10 * MINUTE_MS)
#define ENDED_KEPT_MS  (7 * DAY_MS)
#define USED_KEPT_MS   (30 * DAY_MS)

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

/* ---- codes ---- */

static bool digit_read(char c, char *out)
{
    if (c >= 'A' && c <= 'Z')
        c = (char)(c + ('a' - 'A'));
    if (c == 'o')
        c = '0';
    if (c == 'i' || c == 'l')
        c = '1';
    *out = c;
    return c != '\0' && strchr(digits, c) != NULL;
}

bool invite_code_read(view typed, char out[INVITE_CODE_ROOM])
{
    size_t n = 0;
    for (size_t i = 0; i < typed.n; i++) {
        if (typed.p[i] == ' ' || typed.p[i] == '-' || typed.p[i] == '\t')
            continue;
        if (n == CODE_DIGITS || !digit_read(typed.p[i], &out[n]))
            return false;
        n++;
    }
    out[n] = '\0';
    return n == CODE_DIGITS;
}

static void code_new(char out[INVITE_CODE_ROOM])
{
    uint8_t bytes[CODE_DIGITS];
    rand_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < CODE_DIGITS; i++)
        out[i] = digits[bytes[i] & 31];
    out[CODE_DIGITS] = '\0';
    secret_wipe(bytes, sizeof(bytes));
}

/* As people read it. */
static view code_text(struct arena *a, const char *code)
{
    char *out = arena_alloc(a, INVITE_CODE_TEXT + 1);
    size_t n = 0;
    for (size_t i = 0; i < CODE_DIGITS; i++) {
        if (i > 0 && i % ID_DIGITS == 0)
            out[n++] = '-';
        out[n++] = code[i] >= 'a' && code[i] <= 'z' ? (char)(code[i] - ('a' - 'A')) : code[i];
    }
    out[n] = '\0';
    return (view){ .p = out, .n = n };
}

static view code_hash(const struct directory *d, struct arena *a, size_t key, const char *code)
{
    uint8_t mac[SHA256_BYTES];
    seal_mac(d->seal, SEAL_INVITE, key, view_of(code), mac);
    return base64_text(a, BASE64_URL_NOPAD, (view){ .p = (const char *)mac, .n = sizeof(mac) });
}

static bool code_fits(const struct directory *d, struct arena *a, const struct invite *x, const char *code)
{
    bool fits = false;
    for (size_t i = 0; i < seal_keys(d->seal); i++)
        fits |= secret_eq(x->hash, code_hash(d, a, i, code));
    return fits;
}

const char *invite_state(const struct invite *x, int64_t now_ms)
{
    return now_ms >= x->end_ms ? "expired" : x->left == 0 ? "used up" : "good";
}

/* ---- making ---- */

static bool count_one(void *arg, const struct invite *x)
{
    size_t *n = arg;
    (void)x;
    return ++*n < INVITES_MOST;
}

static bool is_plain(view v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < 0x20 || v.p[i] == 0x7f)
            return false;
    return v.n <= INVITE_NOTE_MAX && utf8_valid(v);
}

static rc check_order(const struct invite_order *o, struct err *e)
{
    if (o->uses < 1 || o->uses > INVITE_USES_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "an invite code is good for 1 to %d registrations",
                    INVITE_USES_MAX);
    if (o->life_s < 60 || o->life_s > INVITE_LIFE_MOST_S)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "an invite code ends after a minute to 366 days");
    if (!is_plain(o->note) || !is_plain(o->by))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a note has at most %d bytes, and no control characters",
                    INVITE_NOTE_MAX);
    return RC_OK;
}

/* Two who make one at the same time may pass the limit by one: it keeps the list short, and nobody out. */
static rc check_room(struct directory_worker *w, struct err *e)
{
    size_t n = 0;
    TRY(invites_each(w->session, count_one, &n, e));
    if (n >= INVITES_MOST)
        return fail(e, RC_BUSY, RESP_GENERIC, "there are %d invite codes: revoke some", INVITES_MOST);
    return RC_OK;
}

static rc add_new(struct directory_worker *w, struct arena *a, const struct invite_order *o, char *code,
                  struct invite *out, struct err *e)
{
    int64_t now_ms = directory_now_ms(w->d);
    code_new(code);
    *out = (struct invite){ .id = arena_copy(a, (view){ .p = code, .n = ID_DIGITS }),
                            .hash = code_hash(w->d, a, seal_keys(w->d->seal) - 1, code),
                            .note = o->note,
                            .by = o->by,
                            .uses = o->uses,
                            .left = o->uses,
                            .made_ms = now_ms,
                            .end_ms = now_ms + o->life_s * 1000 };
    return invite_add(w->session, out, e);
}

rc invite_make(struct directory_worker *w, struct arena *a, const struct invite_order *order, view *out_code,
               struct invite *out, struct err *e)
{
    char code[INVITE_CODE_ROOM];
    rc r = RC_CONFLICT;
    TRY(check_order(order, e));
    TRY(check_room(w, e));
    for (int i = 0; i < ID_TRIES && r == RC_CONFLICT;
         i++) /* ten thousand of a million names are taken at most */
        r = add_new(w, a, order, code, out, e);
    if (r == RC_OK)
        *out_code = code_text(a, code);
    secret_wipe(code, sizeof(code));
    return r;
}

/* ---- taking ---- */

static rc take_once(struct directory_worker *w, struct arena *a, const char *code, view taker, view *out_id,
                    struct err *e)
{
    struct invite x;
    rc r = invite_get(w->session, (view){ .p = code, .n = ID_DIGITS }, a, &x, e);
    if (r == RC_NOT_FOUND || (r == RC_OK && !code_fits(w->d, a, &x, code)))
        return fail(e, RC_DENIED, RESP_GENERIC, "there is no such invite code");
    TRY(r);
    if (x.left == 0 || directory_now_ms(w->d) >= x.end_ms)
        return fail(e, RC_DENIED, RESP_GENERIC, "the invite code %.*s is %s", VIEW_ARG(x.id),
                    invite_state(&x, directory_now_ms(w->d)));
    if (x.n_takers >= TAKERS_MOST)
        return fail(e, RC_BUSY, RESP_GENERIC, "%zu registrations with the invite code %.*s are under way",
                    x.n_takers, VIEW_ARG(x.id));
    const struct invite_change take = { .left = x.left, .wanted = x.left - 1, .taker = taker, .comes = true };
    r = invite_cas(w->session, x.id, &take, e);
    if (r == RC_NOT_FOUND)
        return fail(e, RC_DENIED, RESP_GENERIC, "the invite code %.*s was revoked", VIEW_ARG(x.id));
    *out_id = x.id;
    return r;
}

rc invite_take(struct directory_worker *w, struct arena *a, view typed, int64_t uid, struct invite_hold *out,
               struct err *e)
{
    char code[INVITE_CODE_ROOM];
    view id = VIEW_NONE, taker = arena_text(a, "%" PRId64 " %" PRId64, uid, directory_now_ms(w->d));
    rc r = RC_CONFLICT;
    if (!invite_code_read(typed, code))
        return fail(e, RC_DENIED, RESP_GENERIC, "not the form of an invite code");
    for (int i = 0; i < CAS_TRIES && r == RC_CONFLICT; i++)
        r = take_once(w, a, code, taker, &id, e);
    secret_wipe(code, sizeof(code));
    if (r == RC_CONFLICT)
        return fail(e, RC_BUSY, RESP_GENERIC, "everybody takes this invite code");
    TRY(r);
    *out = (struct invite_hold){ .id = id, .taker = taker };
    return RC_OK;
}

/* The taker goes, and with `back` the use comes back. RC_OK also when the code or the taker is gone already. */
static rc release(struct directory_worker *w, struct arena *a, view id, view taker, bool back, struct err *e)
{
    for (int i = 0; i < CAS_TRIES; i++) {
        struct invite x;
        bool there = false;
        rc r = invite_get(w->session, id, a, &x, e);
        if (r == RC_NOT_FOUND)
            return RC_OK;
        TRY(r);
        for (size_t k = 0; k < x.n_takers; k++)
            there = there || view_eq(x.takers[k], taker);
        if (!there)
            return RC_OK;
        const struct invite_change c = { .left = x.left, .wanted = x.left + back, .taker = taker };
        r = invite_cas(w->session, id, &c, e);
        if (r != RC_CONFLICT)
            return r == RC_NOT_FOUND ? RC_OK : r;
    }
    return fail(e, RC_BUSY, RESP_GENERIC, "everybody takes this invite code");
}

void invite_settle(struct directory_worker *w, struct arena *a, const struct invite_hold *hold, rc made)
{
    struct err why = ERR_NONE;
    if (made == RC_UNSURE)
        return;
    if (release(w, a, hold->id, hold->taker, made != RC_OK, &why) != RC_OK)
        LOG(LOG_WARN, "a use of an invite code is settled later, by heddle-admin settle",
            LOG_V("invite", hold->id), LOG_S("why", why.text));
}

/* ---- sweeping ---- */

struct found {
    struct arena a;
    int64_t now_ms;
    size_t n;
    struct work {
        view id, taker; /* no taker: the code is to be deleted */
        int64_t uid;
    } list[SWEEP_AT_ONCE];
};

static void found_done_scoped(struct found *f)
{
    arena_done(&f->a);
}

static void found_add(struct found *f, view id, view taker, int64_t uid)
{
    if (f->n < SWEEP_AT_ONCE) /* the rest is for the next round */
        f->list[f->n++] =
            (struct work){ arena_copy(&f->a, id), taker.p ? arena_copy(&f->a, taker) : taker, uid };
}

/* "<uid> <ms>" of a registration that must be over by now. */
static bool taker_is_old(view taker, int64_t now_ms, int64_t *out_uid)
{
    view uid;
    uint64_t n, ms;
    if (!view_cut(&taker, ' ', &uid) || !view_to_u64(uid, (uint64_t)UID_MAX, &n) ||
        !view_to_u64(taker, INT64_MAX, &ms))
        return false;
    *out_uid = (int64_t)n;
    return now_ms - (int64_t)ms > TAKER_GRACE_MS;
}

static bool see(void *arg, const struct invite *x)
{
    struct found *f = arg;
    int64_t uid;
    for (size_t i = 0; i < x->n_takers; i++)
        if (taker_is_old(x->takers[i], f->now_ms, &uid))
            found_add(f, x->id, x->takers[i], uid);
    if (x->n_takers == 0 &&
        (f->now_ms - x->end_ms > ENDED_KEPT_MS || (x->left == 0 && f->now_ms - x->made_ms > USED_KEPT_MS)))
        found_add(f, x->id, VIEW_NONE, 0);
    return f->n < SWEEP_AT_ONCE && !f->a.spent;
}

static rc mend(struct directory_worker *w, const struct work *x, struct err *e)
{
    SCOPED(arena_done) struct arena a;
    struct account acc;
    arena_init(&a, WORK_BYTES);
    rc r = account_truth(w->session, ACCOUNT_BY_UID, arena_text(&a, "%" PRId64, x->uid), &a, &acc, e);
    if (r != RC_OK && r != RC_NOT_FOUND)
        return r;
    LOG(LOG_WARN,
        r == RC_OK ? "an invite code was used by a registration that ended early"
                   : "a use of an invite code comes back: the registration ended early",
        LOG_V("invite", x->id), LOG_I("uid", x->uid));
    return release(w, &a, x->id, x->taker, r == RC_NOT_FOUND, e);
}

rc invites_sweep(struct directory_worker *w, struct invites_swept *out, struct err *e)
{
    SCOPED(found_done) struct found f = { .now_ms = directory_now_ms(w->d) };
    struct invites_swept swept = { 0 };
    arena_init(&f.a, SWEEP_BYTES);
    TRY(invites_each(w->session, see, &f, e));
    for (size_t i = 0; i < f.n; i++) {
        const struct work *x = &f.list[i];
        rc r = x->taker.p ? mend(w, x, e) : invite_delete(w->session, x->id, e);
        if (r != RC_NOT_FOUND)
            TRY(r);
        swept.mended += x->taker.p != NULL;
        swept.deleted += !x->taker.p;
    }
    *out = swept;
    return RC_OK;
}
