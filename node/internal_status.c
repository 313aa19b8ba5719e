/* How this node is: what an operator, and whoever plans a move, want to know of it. */
#include <inttypes.h>

#include "node/confirm.h"
#include "node/internal.h"

static void put_confirmed(const struct node *n, struct buf *b)
{
    struct confirm_progress p;
    confirm_progress(n->confirm, &p);
    buf_addf(
        b, ",\"confirmed\":{\"done\":%s,\"asked\":%" PRIu64 ",\"left\":%" PRIu64 ",\"doubtful\":%" PRIu64 "}",
        p.done ? "true" : "false", p.asked, p.left, p.doubtful);
}

static rc status_get(struct request *rq, struct err *e)
{
    const struct node *n = rq->app;
    struct buf *b = reply_body(rq);

    (void)e;
    buf_add(b, VIEW("{\"node\":"));
    json_put_string(b, n->own_name);
    buf_add(b, VIEW(",\"url\":"));
    json_put_string(b, n->own_urls[0]);
    buf_addf(b, ",\"clock\":%" PRId64 ",\"schema\":%d,\"store\":\"%s\",\"cache\":\"%s\"",
             clock_now_us(n->clock) / 1000, store_schema_version(n->store), store_driver_name(n->store),
             cache_driver_name(n->cache));
    uint64_t free_bytes;
    if (node_disk_free(n, &free_bytes))
        buf_addf(b, ",\"disk_free\":%" PRIu64, free_bytes);
    buf_addf(b, ",\"quota_bytes\":%" PRId64, n->sync.limits->quota_bytes);
    put_confirmed(n, b);
    buf_addc(b, '}');
    return RC_OK;
}

static const struct route routes[] = {
    { .methods = GET, .path = "/internal/v1/status", .handler = status_get, INTERNAL_FOR("admin") },
};
const struct route_table status_routes = { .routes = routes, .n = sizeof(routes) / sizeof(routes[0]) };
