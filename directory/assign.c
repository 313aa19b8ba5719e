#include "directory/assign.h"

static bool takes_users(const struct assign_node *n)
{
    return n->state == NODE_OPEN && n->seats > 0 && n->load < n->capacity;
}

/* Fractions are compared crosswise, without rounding. */
static bool is_better(const struct assign_node *a, const struct assign_node *b)
{
    __int128 left = (__int128)a->load * b->capacity, right = (__int128)b->load * a->capacity;
    if (left != right)
        return left < right;
    if (a->load != b->load)
        return a->load < b->load;
    return view_cmp(a->name, b->name) < 0;
}

int assign_choose(const struct assign_node *nodes, size_t n)
{
    int best = -1;
    for (size_t i = 0; i < n; i++)
        if (takes_users(&nodes[i]) && (best < 0 || is_better(&nodes[i], &nodes[best])))
            best = (int)i;
    return best;
}
