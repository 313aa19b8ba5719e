#include "directory/derived.h"

#include <pthread.h>

#include "common/base/mem.h"
#include "common/base/scope.h"

enum { PLACES = 2 * DERIVED_MOST };

struct place {
    char *url; /* NULL: free */
    struct secrets *secrets;
};

struct derived {
    pthread_mutex_t lock; /* of all below; places that are filled stay as they are */
    size_t n;
    struct place places[PLACES];
};

struct derived *derived_new(void)
{
    struct derived *d = mem_need(calloc(1, sizeof(*d)));
    pthread_mutex_init(&d->lock, NULL);
    return d;
}

void derived_free(struct derived *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < PLACES; i++) {
        free(d->places[i].url);
        secrets_free(d->places[i].secrets);
    }
    pthread_mutex_destroy(&d->lock);
    free(d);
}

/* Where it is, or would be. There is always a free one. */
static struct place *place_of(struct derived *d, view url)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < url.n; i++)
        h = (h ^ (unsigned char)url.p[i]) * UINT64_C(1099511628211);
    size_t at = (size_t)(h ^ h >> 32) % PLACES;
    while (d->places[at].url && !view_eq(view_of(d->places[at].url), url))
        at = (at + 1) % PLACES;
    return &d->places[at];
}

static rc fill(struct derived *d, const struct secrets *masters, view url, struct place *at, struct err *e)
{
    if (d->n == DERIVED_MOST)
        return fail(e, RC_BUSY, RESP_GENERIC, "more than %d nodes", DERIVED_MOST);
    TRY(secrets_derive(masters, url, &at->secrets, e));
    at->url = mem_need(strndup(url.p, url.n));
    d->n++;
    return RC_OK;
}

rc derived_get(struct derived *d, const struct secrets *masters, view url, const struct secrets **out,
               struct err *e)
{
    pthread_mutex_lock(&d->lock);
    struct place *at = place_of(d, url);
    rc r = at->url ? RC_OK : fill(d, masters, url, at, e);
    if (r == RC_OK)
        *out = at->secrets;
    pthread_mutex_unlock(&d->lock);
    return r;
}
