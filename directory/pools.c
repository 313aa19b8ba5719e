#include "directory/pools.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool pool_next(view *list, view *out)
{
    size_t from = 0, to;
    while (from < list->n && is_blank(list->p[from]))
        from++;
    for (to = from; to < list->n && !is_blank(list->p[to]);)
        to++;
    if (to == from)
        return false;
    *out = (view){ .p = list->p + from, .n = to - from };
    *list = (view){ .p = list->p + to, .n = list->n - to };
    return true;
}

rc pool_rule_read(const char *text, struct pool_rule *out, struct err *e)
{
    struct pool_rule r = { .text = view_trim(view_of(text)) };
    view rest = r.text, kind = VIEW(""), pools, pool;
    bool whole = pool_next(&rest, &kind) && pool_next(&rest, &r.key);
    pools = rest;
    r.pools = view_trim(rest);
    r.by_group = view_eq(kind, VIEW("group"));
    if (!whole || !pool_next(&pools, &pool) || !(r.by_group || view_eq(kind, VIEW("mail"))))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "assign.pools: \"%.80s\" must be like: mail example.org POOL, or: group staff POOL",
                    text);
    *out = r;
    return RC_OK;
}

bool pool_rule_takes_mail(const struct pool_rule *r, view name, view mail)
{
    view v = mail.n ? mail : name;
    const char *at = v.n ? memrchr(v.p, '@', v.n) : NULL;
    if (r->by_group || !at)
        return false;
    size_t before = (size_t)(at - v.p) + 1;
    return view_eq_nocase((view){ .p = at + 1, .n = v.n - before }, r->key);
}

bool pool_has(view list, view pool)
{
    view word;
    bool any = false;
    while (pool_next(&list, &word)) {
        any = true;
        if (view_eq(word, pool))
            return true;
    }
    return !any && view_eq(pool, VIEW(POOL_DEFAULT));
}
