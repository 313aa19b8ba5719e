#include "node/authority.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/auth/secrets.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "node/ahead.h"

/* What is remembered of one name: at most one password is right at a time, so one row is enough. */
struct row {
    struct row *next;                               /* in its bucket */
    struct row *newer, *older;                      /* in the order of asking: all live equally long */
    uint8_t name[SHA256_BYTES], both[SHA256_BYTES]; /* HMAC of the name; of name and password */
    int64_t asked_us;                               /* steady clock: it was true then or later */
    bool asked_ahead;                               /* the next question is under way */
    struct verdict verdict;
};

/* Tokens of uid are void until then. */
struct refusal {
    int64_t uid, until_s;
};

struct authority {
    struct authority_driver driver;
    const struct clock *clock;
    int64_t keep_us, outage_us; /* verdicts live; … while nobody can be asked */
    uint8_t key[SHA256_BYTES];  /* of this process: what is in memory tells nothing elsewhere */
    struct ahead *ahead;        /* NULL: nobody is asked about before his time */

    pthread_mutex_t lock; /* of all below; never held while the driver is asked */
    struct row **buckets;
    size_t n_buckets, n_rows, capacity;
    struct row *newest, *oldest;
    uint64_t generation; /* counts what was forgotten */
    enum authority_hears hears;
    int64_t hears_since_us; /* when hears became what it is */

    pthread_mutex_t refusals_lock;
    struct refusal *refusals; /* sorted by uid */
    size_t n_refusals, room_refusals;
    _Atomic size_t any_refusals; /* n_refusals, read without the lock */
};

/* ---- digests ---- */

static void digest_name(const struct authority *a, view name, uint8_t out[SHA256_BYTES])
{
    hmac_sha256((view){ .p = (const char *)a->key, .n = sizeof(a->key) }, name, out);
}

/* The HMAC of the name has a fixed length, so no other pair of name and password gives the same bytes. */
static void digest_both(const struct authority *a, const uint8_t name[SHA256_BYTES], view password,
                        uint8_t out[SHA256_BYTES])
{
    struct buf b = { 0 };
    buf_add(&b, (view){ .p = (const char *)name, .n = SHA256_BYTES });
    buf_add(&b, password);
    hmac_sha256((view){ .p = (const char *)a->key, .n = sizeof(a->key) }, buf_view(&b), out);
    secret_wipe(b.p, b.n);
    buf_done(&b);
}

/* ---- rows; the lock is held ---- */

static struct row **slot_of(struct authority *a, const uint8_t name[SHA256_BYTES])
{
    size_t h;
    memcpy(&h, name, sizeof(h)); /* an HMAC: as good as random, and nobody outside can aim at a bucket */
    return &a->buckets[h & (a->n_buckets - 1)];
}

/* The pointer that points at the row of that name, or at NULL. */
static struct row **row_find(struct authority *a, const uint8_t name[SHA256_BYTES])
{
    struct row **p = slot_of(a, name);
    while (*p && memcmp((*p)->name, name, SHA256_BYTES) != 0)
        p = &(*p)->next;
    return p;
}

static void row_remove(struct authority *a, struct row **p)
{
    struct row *gone = *p;
    *p = gone->next;
    *(gone->newer ? &gone->newer->older : &a->newest) = gone->older;
    *(gone->older ? &gone->older->newer : &a->oldest) = gone->newer;
    a->n_rows--;
    secret_wipe(gone, sizeof(*gone));
    free(gone);
}

/* Answers come in another order than questions were asked: the next older one is a few rows away at most, as many as there are workers. */
static void row_line_up(struct authority *a, struct row *r)
{
    for (r->older = a->newest; r->older && r->older->asked_us > r->asked_us; r->older = r->older->older)
        r->newer = r->older;
    *(r->newer ? &r->newer->older : &a->newest) = r;
    *(r->older ? &r->older->newer : &a->oldest) = r;
}

static void row_add(struct authority *a, const uint8_t name[SHA256_BYTES], const uint8_t both[SHA256_BYTES],
                    const struct verdict *v, int64_t asked_us)
{
    struct row **p = row_find(a, name);
    if (*p)
        row_remove(a, p);
    while (a->n_rows >= a->capacity)
        row_remove(a, row_find(a, a->oldest->name));
    struct row *r = mem_need(malloc(sizeof(*r)));
    struct row **slot = slot_of(a, name);
    *r = (struct row){ .next = *slot, .asked_us = asked_us, .verdict = *v };
    memcpy(r->name, name, SHA256_BYTES);
    memcpy(r->both, both, SHA256_BYTES);
    *slot = r;
    row_line_up(a, r);
    a->n_rows++;
}

/* ---- life ---- */

rc authority_new(const struct authority_driver *d, const struct clock *clock, int64_t keep_s, size_t capacity,
                 struct authority **out, struct err *e)
{
    if (capacity == 0 || keep_s < 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a memory of verdicts needs room and a life time");
    struct authority *a = mem_need(calloc(1, sizeof(*a)));
    a->driver = *d;
    a->clock = clock;
    a->keep_us = keep_s * 1000000;
    a->capacity = capacity;
    for (a->n_buckets = 16; a->n_buckets < capacity; a->n_buckets *= 2)
        ;
    a->buckets = mem_need(calloc(a->n_buckets, sizeof(*a->buckets)));
    rand_bytes(a->key, sizeof(a->key));
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->refusals_lock, NULL);
    *out = a;
    return RC_OK;
}

void authority_free(struct authority *a)
{
    if (!a)
        return;
    ahead_stop(a->ahead);
    authority_forget_all(a);
    pthread_mutex_destroy(&a->lock);
    pthread_mutex_destroy(&a->refusals_lock);
    free(a->buckets);
    free(a->refusals);
    secret_wipe(a->key, sizeof(a->key));
    free(a);
}

/* ---- how long; the lock is held ---- */

#define UNSURE_US    (AUTHORITY_UNSURE_S * INT64_C(1000000))
#define RECHECKED_US (86400 * INT64_C(1000000)) /* a password unused for so long is verified anew */

static int64_t longest_us(const struct authority *a)
{
    return a->keep_us > a->outage_us ? a->keep_us : a->outage_us;
}

static int64_t unsure_us(const struct authority *a)
{
    return a->keep_us < UNSURE_US ? a->keep_us : UNSURE_US;
}

/* out_of_reach: whoever wants to know has just asked, and nobody answered. */
static int64_t life_us(const struct authority *a, bool out_of_reach)
{
    if (a->hears == AUTHORITY_HEARS_SOME)
        return unsure_us(a);
    return a->hears == AUTHORITY_HEARS_NONE || out_of_reach ? longest_us(a) : a->keep_us;
}

/* Some directories have been silent while others went on, and not only for the moment in which all of them go: what is void may
 * have been missed for good. */
static bool in_doubt(const struct authority *a, int64_t now_us)
{
    return a->hears == AUTHORITY_HEARS_SOME && now_us - a->hears_since_us >= UNSURE_US;
}

/* Older ones are of no use any more, whatever happens. */
static int64_t kept_us(const struct authority *a, int64_t now_us)
{
    int64_t longest = longest_us(a);
    if (a->driver.recheck && a->keep_us > 0 && longest < RECHECKED_US)
        longest = RECHECKED_US;
    return in_doubt(a, now_us) ? unsure_us(a) : longest;
}

static void forget_older(struct authority *a, int64_t now_us, int64_t age_us)
{
    while (a->oldest && now_us - a->oldest->asked_us >= age_us)
        row_remove(a, row_find(a, a->oldest->name));
}

void authority_hears(struct authority *a, enum authority_hears what)
{
    int64_t now = clock_mono_us(a->clock);
    pthread_mutex_lock(&a->lock);
    if (what != a->hears) {
        if (in_doubt(a, now))
            forget_older(a, now, unsure_us(a));
        a->hears_since_us = now;
        a->hears = what;
    }
    pthread_mutex_unlock(&a->lock);
}

void authority_outage_grace(struct authority *a, int64_t grace_s)
{
    a->outage_us = grace_s * 1000000;
}

/* ---- verdicts ---- */

static bool row_is(const struct row *r, const uint8_t both[SHA256_BYTES])
{
    view mine = { .p = (const char *)r->both, .n = SHA256_BYTES };
    return secret_eq(mine, (view){ .p = (const char *)both, .n = SHA256_BYTES });
}

/* Whether to ask about it already: in the last quarter of its life, once. */
static bool ask_now(const struct authority *a, struct row *r, int64_t age_us)
{
    int64_t life = life_us(a, false);
    if (!a->ahead || r->asked_ahead || a->hears == AUTHORITY_HEARS_NONE || age_us < life - life / 4)
        return false;
    r->asked_ahead = true;
    return true;
}

/* out_ask: NULL where nobody is to be asked ahead. */
static bool known(struct authority *a, const uint8_t name[SHA256_BYTES], const uint8_t both[SHA256_BYTES],
                  bool out_of_reach, struct verdict *out, bool *out_ask)
{
    bool yes = false;
    int64_t now = clock_mono_us(a->clock);

    pthread_mutex_lock(&a->lock);
    struct row **p = row_find(a, name);
    int64_t age = *p ? now - (*p)->asked_us : 0;
    if (*p && age >= kept_us(a, now)) {
        row_remove(a, p);
    } else if (*p && age < life_us(a, out_of_reach)) {
        yes = row_is(*p, both);
        if (yes)
            *out = (*p)->verdict;
        if (yes && out_ask)
            *out_ask = ask_now(a, *p, age);
    }
    pthread_mutex_unlock(&a->lock);
    return yes;
}

/* The directory says no to what it once said yes to. */
static void forget_denied(struct authority *a, const uint8_t name[SHA256_BYTES],
                          const uint8_t both[SHA256_BYTES])
{
    pthread_mutex_lock(&a->lock);
    struct row **p = row_find(a, name);
    if (*p && row_is(*p, both))
        row_remove(a, p);
    pthread_mutex_unlock(&a->lock);
}

/* One whose life is over, but that may still hold. */
static bool remembered(struct authority *a, const uint8_t name[SHA256_BYTES],
                       const uint8_t both[SHA256_BYTES], struct verdict *out)
{
    int64_t now = clock_mono_us(a->clock);

    pthread_mutex_lock(&a->lock);
    struct row **p = row_find(a, name);
    bool yes = *p && now - (*p)->asked_us < kept_us(a, now) && row_is(*p, both) && (*p)->verdict.marked;
    if (yes)
        *out = (*p)->verdict;
    pthread_mutex_unlock(&a->lock);
    return yes;
}

/* What held when somebody began to ask. */
struct before {
    uint64_t generation;
    int64_t asked_us;
};

static struct before before_asking(struct authority *a)
{
    pthread_mutex_lock(&a->lock);
    const struct before b = { a->generation, clock_mono_us(a->clock) };
    pthread_mutex_unlock(&a->lock);
    return b;
}

static void remember(struct authority *a, const uint8_t name[SHA256_BYTES], const uint8_t both[SHA256_BYTES],
                     const struct verdict *v, const struct before *b)
{
    pthread_mutex_lock(&a->lock);
    if (a->generation == b->generation && a->keep_us > 0)
        row_add(a, name, both, v, b->asked_us);
    pthread_mutex_unlock(&a->lock);
}

static bool rechecked(struct authority *a, view name, const uint8_t name_digest[SHA256_BYTES],
                      const uint8_t both[SHA256_BYTES], struct verdict *out)
{
    struct verdict was, now = { .uid = 0 };

    if (!a->driver.recheck)
        return false;
    const struct before b = before_asking(a);
    if (!remembered(a, name_digest, both, &was) ||
        a->driver.recheck(a->driver.arg, name, &was, &now, NULL) != RC_OK)
        return false;
    remember(a, name_digest, both, &now, &b);
    *out = now;
    return true;
}

bool authority_known(struct authority *a, view name, view password, struct verdict *out)
{
    uint8_t name_digest[SHA256_BYTES], both[SHA256_BYTES];
    bool ask = false;
    digest_name(a, name, name_digest);
    digest_both(a, name_digest, password, both);
    bool yes = known(a, name_digest, both, false, out, &ask);
    if (ask)
        ahead_add(a->ahead, name, password);
    return yes;
}

static rc ask_driver(struct authority *a, view name, view password, const uint8_t name_digest[SHA256_BYTES],
                     const uint8_t both[SHA256_BYTES], struct verdict *out, struct err *e)
{
    const struct before b = before_asking(a);
    struct verdict v = { .uid = 0 };
    rc r = a->driver.verify(a->driver.arg, name, password, &v, e);
    if (r == RC_DENIED)
        forget_denied(a, name_digest, both);
    if (r != RC_OK)
        return r;
    remember(a, name_digest, both, &v, &b);
    *out = v;
    return RC_OK;
}

rc authority_verify(struct authority *a, view name, view password, struct verdict *out, struct err *e)
{
    uint8_t name_digest[SHA256_BYTES], both[SHA256_BYTES];
    digest_name(a, name, name_digest);
    digest_both(a, name_digest, password, both);
    if (known(a, name_digest, both, false, out, NULL)) /* another worker asked while this request waited */
        return RC_OK;
    if (rechecked(a, name, name_digest, both, out))
        return RC_OK;
    rc r = ask_driver(a, name, password, name_digest, both, out, e);
    return r == RC_AWAY && known(a, name_digest, both, true, out, NULL) ? RC_OK : r;
}

/* What fails now is asked again by who comes after the verdict's life, and told to him. */
static void ask_ahead(void *arg, view name, view password)
{
    struct authority *a = arg;
    struct verdict unused;
    struct err why = ERR_NONE;
    uint8_t name_digest[SHA256_BYTES], both[SHA256_BYTES];
    digest_name(a, name, name_digest);
    digest_both(a, name_digest, password, both);
    rc r = ask_driver(a, name, password, name_digest, both, &unused, &why);
    (void)r;
}

rc authority_ask_ahead(struct authority *a, struct err *e)
{
    return ahead_start(ask_ahead, a, &a->ahead, e);
}

void authority_forget(struct authority *a, view name)
{
    uint8_t digest[SHA256_BYTES];
    digest_name(a, name, digest);
    pthread_mutex_lock(&a->lock);
    a->generation++;
    struct row **p = row_find(a, digest);
    if (*p)
        row_remove(a, p);
    pthread_mutex_unlock(&a->lock);
}

void authority_forget_before(struct authority *a, view name, int64_t epoch)
{
    uint8_t digest[SHA256_BYTES];
    digest_name(a, name, digest);
    pthread_mutex_lock(&a->lock);
    struct row **p = row_find(a, digest);
    if (!*p || (*p)->verdict.epoch < epoch) {
        a->generation++;
        if (*p)
            row_remove(a, p);
    }
    pthread_mutex_unlock(&a->lock);
}

void authority_forget_all(struct authority *a)
{
    pthread_mutex_lock(&a->lock);
    a->generation++;
    while (a->oldest)
        row_remove(a, row_find(a, a->oldest->name));
    pthread_mutex_unlock(&a->lock);
}

/* ---- refusals: few, and asked at each request ---- */

/* Where uid stands, or would. */
static size_t refusal_at(const struct authority *a, int64_t uid)
{
    size_t low = 0, high = a->n_refusals;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (a->refusals[mid].uid < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool refusal_is(const struct authority *a, size_t i, int64_t uid)
{
    return i < a->n_refusals && a->refusals[i].uid == uid;
}

static void refusals_resize(struct authority *a, size_t n)
{
    a->n_refusals = n;
    atomic_store(&a->any_refusals, n);
}

static void refusals_remove(struct authority *a, size_t i)
{
    memmove(&a->refusals[i], &a->refusals[i + 1], (a->n_refusals - i - 1) * sizeof(a->refusals[0]));
    refusals_resize(a, a->n_refusals - 1);
}

/* Drops those whose time is over; if all are still in force, the one that ends first. */
static void refusals_make_room(struct authority *a, int64_t now_s)
{
    size_t kept = 0, first = 0;
    for (size_t i = 0; i < a->n_refusals; i++) {
        if (a->refusals[i].until_s < now_s)
            continue;
        a->refusals[kept] = a->refusals[i];
        if (a->refusals[kept].until_s < a->refusals[first].until_s)
            first = kept;
        kept++;
    }
    refusals_resize(a, kept);
    if (kept >= a->capacity)
        refusals_remove(a, first);
}

void authority_refuse(struct authority *a, int64_t uid, int64_t until_s)
{
    pthread_mutex_lock(&a->refusals_lock);
    size_t i = refusal_at(a, uid);
    if (refusal_is(a, i, uid)) {
        if (a->refusals[i].until_s < until_s)
            a->refusals[i].until_s = until_s;
    } else {
        if (a->n_refusals == a->room_refusals) {
            refusals_make_room(a, clock_now_s(a->clock));
            i = refusal_at(a, uid);
        }
        if (a->n_refusals == a->room_refusals) {
            a->room_refusals = a->room_refusals ? a->room_refusals * 2 : 16;
            a->refusals = mem_need(realloc(a->refusals, a->room_refusals * sizeof(a->refusals[0])));
        }
        memmove(&a->refusals[i + 1], &a->refusals[i], (a->n_refusals - i) * sizeof(a->refusals[0]));
        a->refusals[i] = (struct refusal){ .uid = uid, .until_s = until_s };
        refusals_resize(a, a->n_refusals + 1);
    }
    pthread_mutex_unlock(&a->refusals_lock);
}

void authority_allow(struct authority *a, int64_t uid)
{
    pthread_mutex_lock(&a->refusals_lock);
    size_t i = refusal_at(a, uid);
    if (refusal_is(a, i, uid))
        refusals_remove(a, i);
    pthread_mutex_unlock(&a->refusals_lock);
}

bool authority_refused(struct authority *a, int64_t uid)
{
    if (atomic_load(&a->any_refusals) == 0)
        return false;
    pthread_mutex_lock(&a->refusals_lock);
    size_t i = refusal_at(a, uid);
    bool yes = refusal_is(a, i, uid) && a->refusals[i].until_s >= clock_now_s(a->clock);
    pthread_mutex_unlock(&a->refusals_lock);
    return yes;
}
