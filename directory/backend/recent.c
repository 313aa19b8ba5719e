#include "directory/backend/recent.h"

#include "common/base/buf.h"
#include "common/base/mem.h"

enum { ACCOUNTS_MOST = 16384, NODES_MOST = 4096, FIELDS_MAX = 8 };

struct recent {
    const struct clock *clock;
    struct recall *accounts, *nodes; /* accounts: NULL, they are not kept */
    int64_t accounts_us;
};

struct recent *recent_new(const struct clock *clock, int64_t accounts_s)
{
    struct recent *r = mem_need(calloc(1, sizeof(*r)));
    r->clock = clock;
    r->nodes = recall_new(NODES_MOST);
    r->accounts = accounts_s > 0 ? recall_new(ACCOUNTS_MOST) : NULL;
    r->accounts_us = accounts_s * 1000000;
    return r;
}

void recent_free(struct recent *r)
{
    if (!r)
        return;
    recall_free(r->accounts);
    recall_free(r->nodes);
    free(r);
}

static int64_t now_us(const struct recent *r)
{
    return clock_mono_us(r->clock);
}

/* ---- as bytes: the struct, its lists, then the texts; in views stand offsets instead of pointers ---- */

static void lay_view(struct buf *b, view *v)
{
    size_t at = b->n;
    if (!v->p)
        return;
    buf_add(b, *v);
    v->p = (const char *)(uintptr_t)at;
}

static void lift_view(view *v, const char *base)
{
    if (v->p)
        v->p = base + (uintptr_t)v->p;
}

static size_t account_fields(struct account *acc, view *out[FIELDS_MAX])
{
    view *all[] = { &acc->name,   &acc->mail,         &acc->node, &acc->placed,
                    &acc->intent, &acc->client_state, &acc->reset };
    memcpy(out, all, sizeof(all));
    return sizeof(all) / sizeof(all[0]);
}

static size_t node_fields(struct node_entry *n, view *out[FIELDS_MAX])
{
    view *all[] = { &n->name, &n->url, &n->address, &n->node_type, &n->pools };
    memcpy(out, all, sizeof(all));
    return sizeof(all) / sizeof(all[0]);
}

/* Room for it, filled at the end: its views change while the texts are laid behind it. */
static void lay_fields(struct buf *b, view *const fields[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        lay_view(b, fields[i]);
}

static void lift_fields(view *const fields[], size_t n, const char *base)
{
    for (size_t i = 0; i < n; i++)
        lift_view(fields[i], base);
}

static void account_lay(struct buf *b, const struct account *from)
{
    struct account acc = *from;
    view *fields[FIELDS_MAX], lists[2 * ACCOUNT_OLD_STATES], *out;
    size_t n = from->n_old_states + from->n_erases, texts = sizeof(acc) + n * sizeof(view);
    if (n > sizeof(lists) / sizeof(lists[0]))
        return; /* too many to be worth it: nothing is kept */
    buf_reserve(b, texts);
    memset(b->p, 0, texts);
    b->n = texts;
    for (size_t i = 0; i < n; i++) {
        lists[i] = i < from->n_old_states ? from->old_states[i] : from->erases[i - from->n_old_states];
        lay_view(b, &lists[i]);
    }
    lay_fields(b, fields, account_fields(&acc, fields));
    memcpy(b->p, &acc, sizeof(acc));
    out = (view *)(void *)(b->p + sizeof(acc));
    memcpy(out, lists, n * sizeof(view));
}

static void account_lift(view bytes, struct account *out)
{
    view *fields[FIELDS_MAX], *lists = (view *)(void *)((char *)(uintptr_t)bytes.p + sizeof(*out));
    memcpy(out, bytes.p, sizeof(*out));
    lift_fields(fields, account_fields(out, fields), bytes.p);
    for (size_t i = 0; i < out->n_old_states + out->n_erases; i++)
        lift_view(&lists[i], bytes.p);
    out->old_states = lists;
    out->erases = lists + out->n_old_states;
}

/* ---- accounts ---- */

struct recall_mark recent_account_mark(struct recent *r, view name)
{
    return r && r->accounts ? recall_mark(r->accounts, name) : (struct recall_mark){ 0 };
}

void recent_account_keep(struct recent *r, view name, struct recall_mark since, const struct account *acc)
{
    SCOPED(buf_done) struct buf b = { 0 };
    if (!r || !r->accounts)
        return;
    account_lay(&b, acc);
    if (b.n > 0)
        recall_keep(r->accounts, name, since, buf_view(&b), now_us(r) + r->accounts_us);
}

bool recent_account(struct recent *r, view name, struct arena *a, struct account *out)
{
    view bytes;
    if (!r || !r->accounts || !recall_find(r->accounts, name, now_us(r), a, &bytes) || a->spent)
        return false;
    account_lift(bytes, out);
    return true;
}

void recent_account_drop(struct recent *r, view name)
{
    if (r && r->accounts)
        recall_drop(r->accounts, name);
}

/* ---- nodes ---- */

struct recall_mark recent_node_mark(struct recent *r, view name)
{
    return r ? recall_mark(r->nodes, name) : (struct recall_mark){ 0 };
}

void recent_node_keep(struct recent *r, view name, struct recall_mark since, const struct node_entry *from)
{
    SCOPED(buf_done) struct buf b = { 0 };
    struct node_entry n = *from;
    view *fields[FIELDS_MAX];
    if (!r)
        return;
    buf_reserve(&b, sizeof(n));
    b.n = sizeof(n);
    lay_fields(&b, fields, node_fields(&n, fields));
    memcpy(b.p, &n, sizeof(n));
    recall_keep(r->nodes, name, since, buf_view(&b), now_us(r) + NODE_LATELY_US);
}

bool recent_node(struct recent *r, view name, struct arena *a, struct node_entry *out)
{
    view *fields[FIELDS_MAX], bytes;
    if (!r || !recall_find(r->nodes, name, now_us(r), a, &bytes) || a->spent)
        return false;
    memcpy(out, bytes.p, sizeof(*out));
    lift_fields(fields, node_fields(out, fields), bytes.p);
    return true;
}

void recent_node_drop(struct recent *r, view name)
{
    if (r)
        recall_drop(r->nodes, name);
}
