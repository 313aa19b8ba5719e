#include "node/internal.h"

#include "common/base/mem.h"

#define UID_DIGITS_MAX 19

static const struct route_table *const tables[] = { &status_routes, &upkeep_routes, &move_routes };
#define TABLES (sizeof(tables) / sizeof(tables[0]))

struct node_internal {
    struct callers *callers;
    struct route *routes; /* all tables, one after the other */
    struct route_table all;
};

/* ---- parameters ---- */

static bool uid_segment_ok(view segment)
{
    uint64_t n;
    return segment.n <= UID_DIGITS_MAX && view_to_u64(segment, INT64_MAX, &n);
}

static bool word_segment_ok(view segment)
{
    for (size_t i = 0; i < segment.n; i++)
        if (segment.p[i] != '_' && (segment.p[i] < 'a' || segment.p[i] > 'z'))
            return false;
    return segment.n > 0;
}

const struct param_kind node_internal_kinds[] = {
    { .name = "uid", .ok = uid_segment_ok },
    { .name = "word", .ok = word_segment_ok },
};
const size_t node_internal_kinds_n = sizeof(node_internal_kinds) / sizeof(node_internal_kinds[0]);

int64_t node_internal_uid(const struct request *rq)
{
    uint64_t n = 0;
    if (rq->n_params == 0 || !view_to_u64(rq->params[0], INT64_MAX, &n))
        abort(); /* the router let nothing else through */
    return (int64_t)n;
}

/* ---- life ---- */

rc node_internal_open(const struct conf_list *keys, const struct clock *clock, struct node_internal **out,
                      struct err *e)
{
    static const struct conf_list nobody = { .n = 0 };
    struct node_internal *x = mem_need(calloc(1, sizeof(*x)));
    size_t n = 0;

    rc r = callers_new(keys ? keys : &nobody, clock, &x->callers, e);
    if (r != RC_OK) {
        free(x);
        return r;
    }
    for (size_t i = 0; i < TABLES; i++)
        n += tables[i]->n;
    x->routes = mem_need(calloc(n, sizeof(*x->routes)));
    for (size_t i = 0; i < TABLES; i++)
        for (size_t j = 0; j < tables[i]->n; j++)
            x->routes[x->all.n++] = tables[i]->routes[j];
    x->all.routes = x->routes;
    *out = x;
    return RC_OK;
}

void node_internal_close(struct node_internal *x)
{
    if (!x)
        return;
    callers_free(x->callers);
    free(x->routes);
    free(x);
}

rc node_internal_admit(const struct node_internal *x, struct request *rq, struct err *e)
{
    return internal_admit(x->callers, rq, e);
}

const struct route_table *node_internal_all_routes(const struct node_internal *x)
{
    return &x->all;
}
