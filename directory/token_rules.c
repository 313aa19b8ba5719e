#include "directory/token_rules.h"

static bool holds(const view *list, size_t n, view v)
{
    for (size_t i = 0; i < n; i++)
        if (view_eq(list[i], v))
            return true;
    return false;
}

/* Rows a to g of table 5.3, in their order. u is what is stored; g, k, c is what was asked. */
static enum token_verdict check(const struct token_facts *u, const view *old, size_t n_old,
                                const struct token_facts *asked)
{
    const int64_t g = asked->generation, k = asked->keys_changed;
    const view c = asked->client_state;
    const bool other = !view_eq(c, u->client_state);

    if (k > u->keys_changed && g && g < k)
        return TOKEN_KEYS_CHANGED_AT;
    if (c.n == 0 && u->client_state.n > 0)
        return TOKEN_STATE_EMPTY;
    if (other && holds(old, n_old, c))
        return TOKEN_STATE_STALE;
    if (other && g && g <= u->generation)
        return TOKEN_STATE_GENERATION;
    if (other && u->keys_changed > 0 && k && k <= u->keys_changed)
        return TOKEN_STATE_KEYS;
    /* A retired record refuses everybody but the generation itself: today's tokens name none, and 5.2 row 5 means them too. */
    if ((g || u->generation == INT64_MAX) && g < u->generation)
        return TOKEN_GENERATION;
    if (u->keys_changed > 0 && k < u->keys_changed)
        return TOKEN_KEYS_CHANGED_AT;
    return TOKEN_PASS;
}

struct token_outcome token_rules(const struct token_facts *stored, const view *old, size_t n_old,
                                 const struct token_facts *asked)
{
    struct token_outcome out = { .verdict = check(stored, old, n_old, asked), .next = *stored };
    const int64_t g = asked->generation, k = asked->keys_changed;
    if (out.verdict != TOKEN_PASS)
        return out;
    if (g)
        out.next.generation = g;
    else if (k > stored->keys_changed && k > stored->generation)
        out.next.generation = k;
    if (k)
        out.next.keys_changed = k;
    out.next.client_state = asked->client_state;
    out.new_record = !view_eq(asked->client_state, stored->client_state);
    out.write = out.new_record || out.next.generation != stored->generation ||
                out.next.keys_changed != stored->keys_changed;
    return out;
}
