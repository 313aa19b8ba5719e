#include "common/base/slots.h"

#include <math.h>

enum { LAST_DIGITS = 10000, NAME_CHARS = 3, CHAR_BITS = 4, CHAR_MASK = 15 };

unsigned slot_of_uid(uint64_t uid)
{
    return (unsigned)(uid % LAST_DIGITS % SLOTS);
}

unsigned slot_of_name(view name)
{
    unsigned slot = 0;

    for (size_t i = 0; i < name.n && i < NAME_CHARS; i++)
        slot = slot << CHAR_BITS | ((unsigned char)name.p[i] & CHAR_MASK);
    return slot;
}

/* ---- whose slot ---- */

/* FNV-1a of the name and the slot, stirred by the finish of MurmurHash3: both public domain and the same everywhere. */
static uint64_t hash(view name, unsigned slot)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 0x100000001b3u;
    h ^= (uint64_t)slot * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

/* Highest random weight: -w / ln(u) with u evenly in (0, 1) lets each node win in proportion to its weight. */
static double score(const struct slot_node *node, unsigned slot)
{
    double u = ((double)(hash(node->name, slot) >> 11) + 0.5) / 9007199254740992.0; /* 53 bits */

    return (double)node->weight / -log(u);
}

int slot_owner(unsigned slot, const struct slot_node *nodes, size_t n)
{
    double best_score = 0;
    int best = -1;

    for (size_t i = 0; i < n; i++) {
        if (nodes[i].weight <= 0)
            continue;
        double s = score(&nodes[i], slot);
        if (best < 0 || s > best_score ||
            (s == best_score && view_cmp(nodes[i].name, nodes[best].name) < 0)) {
            best = (int)i;
            best_score = s;
        }
    }
    return best;
}
