/* How this node is: what an operator, and whoever plans a move, want to know of it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/web/settings.h"
#include "node/confirm.h"
#include "node/internal.h"
#include "node/load.h"
#include "node/maintenance.h"
#include "node/store/move.h"

static void put_confirmed(const struct node *n, struct buf *b)
{
    struct confirm_progress p;
    confirm_progress(n->confirm, &p);
    buf_addf(
        b, ",\"confirmed\":{\"done\":%s,\"asked\":%" PRIu64 ",\"left\":%" PRIu64 ",\"doubtful\":%" PRIu64 "}",
        p.done ? "true" : "false", p.asked, p.left, p.doubtful);
}

static void put_load(const struct node *n, struct buf *b)
{
    struct load_now now;

    load_read(n->load, &now);
    buf_addf(b, ",\"queue\":%u,\"rps\":%.1f,\"latency_ms\":%.2f", now.queue, now.requests_s,
             (double)now.latency_us / 1e3);
    if (!now.counted)
        return;
    buf_add(b, VIEW(",\"heads\":{"));
    for (enum head_state state = HEAD_ACTIVE; state <= HEAD_GONE; state++)
        buf_addf(b, "%s\"%s\":%" PRIu64, state == HEAD_ACTIVE ? "" : ",", head_state_name(state),
                 now.facts.heads[state]);
    buf_addf(b, "},\"bytes\":%" PRIu64, now.facts.bytes);
}

/* The kernel's name for this start of it (man 4 random): nodes that tell the same one share its processors, in whatever containers they are.
 * Left out where it cannot be read. */
static void put_machine(struct buf *b)
{
    char id[64] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    buf_addf(b, ",\"cores\":%ld", sysconf(_SC_NPROCESSORS_ONLN));
    if (!f)
        return;
    if (fgets(id, sizeof(id), f)) {
        id[strcspn(id, "\n")] = '\0';
        buf_add(b, VIEW(",\"machine\":"));
        json_put_string(b, view_of(id));
    }
    fclose(f);
}

/* A store that does not say how it is set leaves it out. */
static void put_durability(const struct node_worker *w, struct buf *b)
{
    struct store_durability d;
    struct err e = ERR_NONE;

    if (store_durability(w->sync.store, &d, &e) != RC_OK) {
        LOG(LOG_WARN, "the store does not say how durable it is", LOG_S("why", e.text));
        return;
    }
    buf_addf(b, ",\"durable\":%s,\"durability\":", d.durable ? "true" : "false");
    json_put_string(b, view_of(d.text));
}

static rc status_get(struct request *rq, struct err *e)
{
    const struct node *n = rq->app;
    const struct node_worker *w = rq->worker;
    struct buf *b = reply_body(rq);
    struct maintenance_words words;
    uint64_t free_bytes;

    bool brief = request_arg(rq, "brief") != NULL; /* for who asks often: nothing is counted */

    if (!brief)
        TRY(load_count(n->load, w->sync.store, e));
    buf_add(b, VIEW("{\"node\":"));
    json_put_string(b, n->own_name);
    buf_add(b, VIEW(",\"url\":"));
    json_put_string(b, n->own_urls[0]);
    buf_addf(b, ",\"clock\":%" PRId64 ",\"schema\":%d,\"store\":\"%s\",\"cache\":\"%s\"",
             clock_now_us(n->clock) / 1000, store_schema_version(n->store), store_driver_name(n->store),
             cache_driver_name(n->cache));
    if (node_disk_free(n, &free_bytes))
        buf_addf(b, ",\"disk_free\":%" PRIu64, free_bytes);
    buf_addf(b, ",\"quota_bytes\":%" PRId64, n->sync.limits->quota_bytes);
    buf_addf(b, ",\"maintenance\":%s", maintenance_now(n->maintenance, rq->arena, &words) ? "true" : "false");
    put_machine(b);
    put_load(n, b);
    if (!brief)
        put_durability(w, b);
    put_confirmed(n, b);
    buf_addc(b, '}');
    return RC_OK;
}

static const struct route routes[] = {
    { .methods = GET, .path = "/internal/v1/status", .handler = status_get, INTERNAL_FOR("admin") },
    { .methods = GET, .path = "/internal/v1/settings", .handler = settings_reply, INTERNAL_FOR("admin") },
};
const struct route_table status_routes = { .routes = routes, .n = sizeof(routes) / sizeof(routes[0]) };
