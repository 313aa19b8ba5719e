#include "directory/news.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

#define NAME_MAX_BYTES 255

enum what { FORGET, REFUSE, ALLOW, PLACED };

struct item {
    enum what what;
    int64_t uid, until_s;
    char name[NAME_MAX_BYTES + 1];
};

struct news {
    char boot[NEWS_BOOT + 1];
    pthread_mutex_t lock; /* of all below */
    int64_t last;         /* number of the newest; they begin at 1 */
    struct item items[NEWS_KEPT];
};

struct news *news_new(void)
{
    struct news *n = mem_need(calloc(1, sizeof(*n)));
    uint8_t bytes[NEWS_BOOT / 2];
    rand_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(n->boot + 2 * i, 3, "%02x", bytes[i]);
    pthread_mutex_init(&n->lock, NULL);
    return n;
}

void news_free(struct news *n)
{
    if (!n)
        return;
    pthread_mutex_destroy(&n->lock);
    free(n);
}

static void add(struct news *n, const struct item *x)
{
    pthread_mutex_lock(&n->lock);
    n->items[n->last++ % NEWS_KEPT] = *x;
    pthread_mutex_unlock(&n->lock);
}

static void add_name(struct news *n, enum what what, view name)
{
    struct item x = { .what = what };
    assert(name.n <= NAME_MAX_BYTES);
    memcpy(x.name, name.p, name.n);
    add(n, &x);
}

void news_forget(struct news *n, view name)
{
    add_name(n, FORGET, name);
}

void news_placed(struct news *n, view name)
{
    add_name(n, PLACED, name);
}

void news_refuse(struct news *n, int64_t uid, int64_t until_s)
{
    add(n, &(struct item){ .what = REFUSE, .uid = uid, .until_s = until_s });
}

void news_allow(struct news *n, int64_t uid)
{
    add(n, &(struct item){ .what = ALLOW, .uid = uid });
}

const char *news_boot(const struct news *n)
{
    return n->boot;
}

void news_put_refusal(struct buf *out, int64_t n, int64_t uid, int64_t until_s)
{
    buf_addc(out, '{');
    if (n > 0)
        buf_addf(out, "\"n\":%" PRId64 ",", n);
    buf_addf(out, "\"what\":\"refuse\",\"uid\":%" PRId64 ",\"until\":%" PRId64 "}", uid, until_s);
}

static void put(struct buf *out, int64_t n, const struct item *x)
{
    switch (x->what) {
    case FORGET:
    case PLACED:
        buf_addf(out, "{\"n\":%" PRId64 ",\"what\":\"%s\",\"name\":", n,
                 x->what == FORGET ? "forget" : "placed");
        json_put_string(out, view_of(x->name));
        buf_addc(out, '}');
        break;
    case REFUSE:
        news_put_refusal(out, n, x->uid, x->until_s);
        break;
    case ALLOW:
        buf_addf(out, "{\"n\":%" PRId64 ",\"what\":\"allow\",\"uid\":%" PRId64 "}", n, x->uid);
        break;
    }
}

bool news_since(struct news *n, enum news_for who, view boot, int64_t cursor, struct buf *out,
                int64_t *out_cursor, bool *out_more)
{
    pthread_mutex_lock(&n->lock);
    int64_t last = n->last, gone = last > NEWS_KEPT ? last - NEWS_KEPT : 0;
    size_t before = out->n;
    bool known = view_eq(boot, view_of(n->boot)) && cursor >= gone && cursor <= last;
    if (known && last - cursor > NEWS_AT_ONCE)
        last = cursor + NEWS_AT_ONCE;
    for (int64_t i = cursor; known && i < last; i++) { /* number i + 1 stands in place i */
        const struct item *x = &n->items[i % NEWS_KEPT];
        if (x->what == PLACED && who == NEWS_FOR_NODES)
            continue;
        if (out->n > before)
            buf_addc(out, ',');
        put(out, i + 1, x);
    }
    *out_more = known && last < n->last;
    *out_cursor = last;
    pthread_mutex_unlock(&n->lock);
    return known;
}
