#include "common/auth/remembered.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/mem.h"

#define WAYS    4 /* places that one token may take */
#define SETS    (REMEMBERED_MAX / WAYS)
#define STRIPES 64

/* One allocation: the token's text and the texts of its fields lie behind it. */
struct entry {
    struct token token;
    view text;
    char key[TOKEN_KEY_TEXT];
    size_t bytes;
};

struct remembered {
    struct stripe {
        pthread_mutex_t lock; /* of every STRIPES-th set */
    } stripes[STRIPES];
    struct entry *sets[SETS][WAYS]; /* the one used last stands first */
};

struct remembered *remembered_new(void)
{
    struct remembered *m = mem_need(calloc(1, sizeof *m)); /* pages that nobody touches cost nothing */

    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&m->stripes[i].lock, NULL);
    return m;
}

static void entry_free(struct entry *e)
{
    if (!e)
        return;
    secret_wipe(e, e->bytes);
    free(e);
}

void remembered_free(struct remembered *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < SETS; i++)
        for (size_t way = 0; way < WAYS; way++)
            entry_free(m->sets[i][way]);
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&m->stripes[i].lock);
    free(m);
}

/* A text ends in its signature, which is as good as a hash: nobody chooses it. */
static size_t set_of(view text)
{
    uint32_t h = 2166136261u;
    size_t n = text.n < 24 ? text.n : 24;

    for (size_t i = text.n - n; i < text.n; i++)
        h = (h ^ (unsigned char)text.p[i]) * 16777619u;
    return (h ^ h >> 15) % SETS;
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

static struct entry *entry_new(view text, const struct token *t, const char key[TOKEN_KEY_TEXT])
{
    struct token from = *t;
    view *fields[N_FIELDS];
    size_t bytes = sizeof(struct entry) + text.n;

    fields_of(&from, fields);
    for (size_t i = 0; i < N_FIELDS; i++)
        bytes += fields[i]->n;
    struct entry *e = mem_need(malloc(bytes));
    char *at = (char *)(e + 1);

    e->bytes = bytes;
    memcpy(e->key, key, TOKEN_KEY_TEXT);
    e->text = put(&at, text);
    e->token = *t;
    fields_of(&e->token, fields);
    for (size_t i = 0; i < N_FIELDS; i++)
        *fields[i] = put(&at, *fields[i]);
    return e;
}

static void to_front(struct entry **set, size_t way)
{
    struct entry *e = set[way];

    for (; way > 0; way--)
        set[way] = set[way - 1];
    set[0] = e;
}

/* WAYS: not there. */
static size_t way_of(struct entry *const *set, view text)
{
    size_t way = 0;

    while (way < WAYS && !(set[way] && secret_eq(set[way]->text, text)))
        way++;
    return way;
}

/* ---- the two questions ---- */

bool remembered_find(struct remembered *m, view text, struct arena *a, struct token *out,
                     char out_key[TOKEN_KEY_TEXT])
{
    size_t number = set_of(text);
    struct stripe *stripe = &m->stripes[number % STRIPES];
    struct entry **set = m->sets[number];
    view *fields[N_FIELDS];
    struct token t;

    pthread_mutex_lock(&stripe->lock);
    size_t way = way_of(set, text);
    bool found = way < WAYS;
    if (found) {
        to_front(set, way);
        t = set[0]->token;
        fields_of(&t, fields);
        for (size_t i = 0; i < N_FIELDS; i++)
            *fields[i] = fields[i]->p ? arena_copy(a, *fields[i]) : VIEW_NONE;
        memcpy(out_key, set[0]->key, TOKEN_KEY_TEXT);
    }
    pthread_mutex_unlock(&stripe->lock);
    if (found)
        *out = t;
    return found;
}

void remembered_add(struct remembered *m, view text, const struct token *t, const char key[TOKEN_KEY_TEXT])
{
    size_t number = set_of(text);
    struct stripe *stripe = &m->stripes[number % STRIPES];
    struct entry **set = m->sets[number], *fresh = entry_new(text, t, key), *old;

    pthread_mutex_lock(&stripe->lock);
    if (way_of(set, text) < WAYS) { /* another thread was first */
        old = fresh;
    } else {
        old = set[WAYS - 1];
        set[WAYS - 1] = fresh;
        to_front(set, WAYS - 1);
    }
    pthread_mutex_unlock(&stripe->lock);
    entry_free(old);
}
