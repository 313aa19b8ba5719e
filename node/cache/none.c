/* No cache: nothing is ever there, so nothing can be left behind. */
#include "node/cache/cache.h"

static rc none_open(const struct cache_conf *c, const struct clock *clock, uint64_t page, void **out,
                    struct err *e)
{
    (void)c, (void)clock, (void)page, (void)e;
    *out = NULL;
    return RC_OK;
}

static void none_close(void *shared)
{
    (void)shared;
}

static rc none_handle_open(void *shared, void **out, struct err *e)
{
    (void)shared, (void)e;
    *out = NULL;
    return RC_OK;
}

static const char *none_run(void *h, uint64_t page, bool *out_fresh)
{
    (void)h, (void)page;
    *out_fresh = false;
    return "";
}

static bool none_get(void *h, view key, struct buf *out)
{
    (void)h, (void)key, (void)out;
    return false;
}

static bool none_put(void *h, view key, view value, unsigned ttl_s)
{
    (void)h, (void)key, (void)value, (void)ttl_s;
    return true;
}

static bool none_add(void *h, view key, view value, unsigned ttl_s)
{
    (void)h, (void)key, (void)value, (void)ttl_s;
    return false;
}

static bool none_swap(void *h, view key, view mine, view value, unsigned ttl_s)
{
    (void)h, (void)key, (void)mine, (void)value, (void)ttl_s;
    return false;
}

static bool none_drop(void *h, view key)
{
    (void)h, (void)key;
    return true;
}

const struct cache_driver cache_none = {
    .name = "none",
    .open = none_open,
    .close = none_close,
    .handle_open = none_handle_open,
    .handle_close = none_close,
    .run = none_run,
    .hang_up = none_close,
    .get = none_get,
    .put = none_put,
    .add = none_add,
    .swap = none_swap,
    .drop = none_drop,
};
