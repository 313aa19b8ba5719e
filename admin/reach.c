#include "admin/reach.h"

#include "common/base/scope.h"

enum { FIRST_PAUSE_MS = 50, PAUSE_MOST_MS = 1000 };

void reach_target(struct buf *out, const char *path)
{
    buf_addf(out, "/internal/v1/%s", path);
}

/* Whether to try once more; sleeps, longer each time. */
static bool again(const struct reach *r, rc result, int64_t begun_us, int64_t *pause_ms)
{
    if ((result != RC_AWAY && result != RC_BUSY) ||
        clock_mono_us(r->clock) - begun_us + *pause_ms * 1000 > r->patience_ms * 1000)
        return false;
    clock_sleep_ms(*pause_ms);
    *pause_ms = *pause_ms < PAUSE_MOST_MS ? *pause_ms * 2 : PAUSE_MOST_MS;
    return true;
}

rc reach_directory(struct reach *r, const struct reach_call *c, struct answer *out, struct err *e)
{
    int64_t begun_us = clock_mono_us(r->clock), pause_ms = FIRST_PAUSE_MS;
    rc result;
    do {
        result = ask_directory(r->ask, c->method, c->path, c->body, out, e);
        if (result == RC_UNSURE)
            result = RC_AWAY;
    } while (again(r, result, begun_us, &pause_ms));
    return result;
}

rc reach_node(struct reach *r, view node, const struct reach_call *c, struct answer *out, struct err *e)
{
    int64_t begun_us = clock_mono_us(r->clock), pause_ms = FIRST_PAUSE_MS;
    rc result;
    do
        result = ask_node(r->ask, node, c->method, c->path, c->body, out, e);
    while (again(r, result, begun_us, &pause_ms));
    return result;
}

rc reach_directory_object(struct reach *r, const struct reach_call *c, json_t **out, struct err *e)
{
    SCOPED(answer_done) struct answer a = { .status = 0 };
    TRY(reach_directory(r, c, &a, e));
    return ask_object(&a, out, e);
}

rc reach_node_object(struct reach *r, view node, const struct reach_call *c, json_t **out, struct err *e)
{
    SCOPED(answer_done) struct answer a = { .status = 0 };
    TRY(reach_node(r, node, c, &a, e));
    return ask_object(&a, out, e);
}
