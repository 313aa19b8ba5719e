#include "directory/assign.h"

/* Credit is counted in parts of a user. */
#define USER (INT64_C(1) << 20)

const char *assign_no_text(enum assign_no no)
{
    static const char *const texts[] = {
        [ASSIGN_TAKES] = "",    [ASSIGN_CLOSED] = "closed",    [ASSIGN_DRAINING] = "draining",
        [ASSIGN_DOWN] = "down", [ASSIGN_SILENT] = "not heard", [ASSIGN_POOL] = "of another pool",
        [ASSIGN_FULL] = "full",
    };
    return texts[no];
}

int assign_ramp(int64_t age_ms, int64_t ramp_ms)
{
    if (ramp_ms <= 0 || age_ms >= ramp_ms)
        return 1000;
    int64_t step = age_ms > 0 ? age_ms * ASSIGN_STEPS / ramp_ms : 0;
    return (int)(1000 / ASSIGN_STEPS * (step + 1));
}

int assign_ease(int64_t queue)
{
    static const struct {
        int64_t most;
        int part;
    } rows[] = { { 16, 1000 }, { 64, 500 }, { 256, 200 } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (queue <= rows[i].most)
            return rows[i].part;
    return 50;
}

static enum assign_no why_not(const struct assign_node *n)
{
    static const enum assign_no states[] = { [NODE_OPEN] = ASSIGN_TAKES,
                                             [NODE_CLOSED] = ASSIGN_CLOSED,
                                             [NODE_DRAINING] = ASSIGN_DRAINING,
                                             [NODE_DOWN] = ASSIGN_DOWN };
    if (n->state != NODE_OPEN)
        return states[n->state];
    return n->silent       ? ASSIGN_SILENT
           : n->other_pool ? ASSIGN_POOL
           : n->seats <= 0 ? ASSIGN_FULL
                           : ASSIGN_TAKES;
}

/* A node may count users whom the directory does not know, or has given up: that lowers its weight, and never shuts it. */
static int64_t free_seats(const struct assign_node *n)
{
    int64_t least = n->seats / 10 + (n->seats % 10 != 0), room = n->capacity - n->users;
    if (n->users < 0 || room >= n->seats)
        return n->seats;
    return room > least ? room : least;
}

double assign_weight(const struct assign_node *n, int64_t ramp_ms, enum assign_no *out_why)
{
    enum assign_no why = why_not(n);
    if (out_why)
        *out_why = why;
    if (why != ASSIGN_TAKES)
        return 0;
    return (double)free_seats(n) * assign_ramp(n->age_ms, ramp_ms) / 1000 * assign_ease(n->queue) / 1000;
}

/* What all get together is what the chosen one pays: no credit is made of nothing, and who joins later with 0 stands in the middle. */
int assign_choose(struct assign_node *nodes, size_t n, int64_t ramp_ms)
{
    double total = 0;
    int64_t given = 0;
    int best = -1;
    for (size_t i = 0; i < n; i++)
        total += assign_weight(&nodes[i], ramp_ms, NULL);
    for (size_t i = 0; i < n; i++) {
        double weight = assign_weight(&nodes[i], ramp_ms, NULL);
        if (weight <= 0)
            continue;
        int64_t part = (int64_t)(weight / total * (double)USER);
        nodes[i].credit += part;
        given += part;
        if (best < 0 || nodes[i].credit > nodes[best].credit ||
            (nodes[i].credit == nodes[best].credit && view_cmp(nodes[i].name, nodes[best].name) < 0))
            best = (int)i;
    }
    if (best >= 0)
        nodes[best].credit -= given;
    return best;
}

void assign_refund(struct assign_node *node)
{
    node->credit += USER;
}
