#include "common/auth/remembered.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/mem.h"

#define WAYS    4 /* places that one token may take */
#define SETS    (REMEMBERED_MAX / WAYS)
#define STRIPES 64

/* So many characters of base64 hold the last 32 bytes, wherever among three they begin, and padding. */
#define SIGNATURE_TEXT 48

/* One allocation: the token's text and the texts of its fields lie behind it. */
struct entry {
    struct token token;
    view text;
    char key[TOKEN_KEY_TEXT];
};

/* What can be said of an entry without touching it. */
struct place {
    struct entry *entry; /* NULL: free */
    uint32_t tag, bytes;
};

struct remembered {
    struct stripe {
        _Alignas(64) pthread_mutex_t lock; /* of every STRIPES-th set */
    } stripes[STRIPES];
    struct set {
        struct place ways[WAYS]; /* the one used last stands first */
    } * sets;                    /* SETS of them, each in one line of the processor's caches */
    void *room;                  /* where they lie */
};

struct remembered *remembered_new(void)
{
    struct remembered *m = mem_need(aligned_alloc(_Alignof(struct remembered), sizeof *m));

    m->room = mem_need(calloc(SETS + 1, sizeof *m->sets)); /* pages that nobody touches cost nothing */
    m->sets = (struct set *)(((uintptr_t)m->room + sizeof *m->sets - 1) / sizeof *m->sets * sizeof *m->sets);
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&m->stripes[i].lock, NULL);
    return m;
}

static void place_clear(struct place *p)
{
    if (!p->entry)
        return;
    secret_wipe(p->entry, p->bytes);
    free(p->entry);
}

void remembered_free(struct remembered *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < SETS; i++)
        for (size_t way = 0; way < WAYS; way++)
            place_clear(&m->sets[i].ways[way]);
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&m->stripes[i].lock);
    free(m->room);
    free(m);
}

/* A text ends in its signature, which is as good as a hash: nobody chooses it. */
static uint64_t hash_of(view text)
{
    uint64_t h = UINT64_C(14695981039346656037);
    size_t n = text.n < 24 ? text.n : 24;

    for (size_t i = text.n - n; i < text.n; i++)
        h = (h ^ (unsigned char)text.p[i]) * UINT64_C(1099511628211);
    return h ^ h >> 29;
}

/* Where its bits are not those that chose the set. */
static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

/* Nobody but who was given it knows a token's end, which holds its signature; who has that right knows the rest. */
static bool text_is(view known, view text)
{
    size_t end_n = known.n < SIGNATURE_TEXT ? known.n : SIGNATURE_TEXT, rest_n = known.n - end_n;

    return known.n == text.n &&
           secret_eq((view){ .p = known.p + rest_n, .n = end_n },
                     (view){ .p = text.p + rest_n, .n = end_n }) &&
           memcmp(known.p, text.p, rest_n) == 0;
}

/* ---- entries ---- */

#define N_FIELDS 7

static void fields_of(struct token *t, view *out[N_FIELDS])
{
    view *all[N_FIELDS] = { &t->node, &t->fxa_uid, &t->fxa_kid, &t->hashed_fxa_uid, &t->hashed_device_id,
                            &t->svc,  &t->salt };

    memcpy(out, all, sizeof all);
}

static view put(char **at, view v)
{
    view copy = { .p = *at, .n = v.n };

    if (!v.p)
        return VIEW_NONE;
    memcpy(*at, v.p, v.n);
    *at += v.n;
    return copy;
}

static struct place place_new(view text, const struct token *t, const char key[TOKEN_KEY_TEXT])
{
    struct token from = *t;
    view *fields[N_FIELDS];
    size_t bytes = sizeof(struct entry) + text.n;

    fields_of(&from, fields);
    for (size_t i = 0; i < N_FIELDS; i++)
        bytes += fields[i]->n;
    struct entry *e = mem_need(malloc(bytes));
    char *at = (char *)(e + 1);

    memcpy(e->key, key, TOKEN_KEY_TEXT);
    e->text = put(&at, text);
    e->token = *t;
    fields_of(&e->token, fields);
    for (size_t i = 0; i < N_FIELDS; i++)
        *fields[i] = put(&at, *fields[i]);
    return (struct place){ .entry = e, .tag = tag_of(hash_of(text)), .bytes = (uint32_t)bytes };
}

static void to_front(struct place *ways, size_t way)
{
    struct place p = ways[way];

    for (; way > 0; way--)
        ways[way] = ways[way - 1];
    ways[0] = p;
}

static bool holds(const struct place *p, uint32_t tag, view text)
{
    if (!p->entry || p->tag != tag)
        return false;
    mem_soon(p->entry, p->bytes);
    return text_is(p->entry->text, text);
}

/* WAYS: not there. */
static size_t way_of(const struct place *ways, uint32_t tag, view text)
{
    size_t way = 0;

    while (way < WAYS && !holds(&ways[way], tag, text))
        way++;
    return way;
}

static struct stripe *set_lock(struct remembered *m, uint64_t hash, struct place **out_ways)
{
    size_t number = hash % SETS;
    struct stripe *stripe = &m->stripes[number % STRIPES];

    *out_ways = m->sets[number].ways;
    pthread_mutex_lock(&stripe->lock);
    return stripe;
}

/* ---- the two questions ---- */

bool remembered_find(struct remembered *m, view text, struct arena *a, struct token *out,
                     char out_key[TOKEN_KEY_TEXT])
{
    uint64_t hash = hash_of(text);
    struct place *ways;
    view *fields[N_FIELDS];
    struct token t;

    struct stripe *stripe = set_lock(m, hash, &ways);
    size_t way = way_of(ways, tag_of(hash), text);
    bool found = way < WAYS;
    if (found) {
        const struct entry *e = ways[way].entry;
        to_front(ways, way);
        t = e->token;
        fields_of(&t, fields);
        for (size_t i = 0; i < N_FIELDS; i++)
            *fields[i] = fields[i]->p ? arena_copy(a, *fields[i]) : VIEW_NONE;
        memcpy(out_key, e->key, TOKEN_KEY_TEXT);
    }
    pthread_mutex_unlock(&stripe->lock);
    if (found)
        *out = t;
    return found;
}

void remembered_add(struct remembered *m, view text, const struct token *t, const char key[TOKEN_KEY_TEXT])
{
    struct place fresh = place_new(text, t, key), old = fresh, *ways;

    struct stripe *stripe = set_lock(m, hash_of(text), &ways);
    if (way_of(ways, fresh.tag, text) == WAYS) { /* else another thread was first */
        old = ways[WAYS - 1];
        ways[WAYS - 1] = fresh;
        to_front(ways, WAYS - 1);
    }
    pthread_mutex_unlock(&stripe->lock);
    place_clear(&old);
}
