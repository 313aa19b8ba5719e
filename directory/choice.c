#include "directory/choice.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/slots.h"
#include "directory/assign.h"
#include "directory/internal.h"
#include "directory/pools.h"

enum { NODES_MAX = 1024, TABLE_MS = 1000, TABLE_BYTES = 4 * 1024 * 1024 };

/* Never changed once it stands in a choice, but for seats and credits. */
struct table {
    struct arena a;
    int64_t read_us; /* steady clock */
    size_t n;
    struct node_entry entries[NODES_MAX];
    struct assign_node nodes[NODES_MAX]; /* of the same index */
    bool too_many;
};

struct choice {
    pthread_mutex_t lock; /* of all below; held for choosing, never while the backend is asked */
    struct table *table;  /* NULL: not read yet, or void */
    bool reading;         /* somebody reads a new one */
    uint64_t changes;     /* entries changed so often: a table read meanwhile is not kept */
};

struct choice *choice_new(void)
{
    struct choice *c = mem_need(calloc(1, sizeof(*c)));
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void table_free(struct table *t)
{
    if (!t)
        return;
    arena_done(&t->a);
    free(t);
}

void choice_free(struct choice *c)
{
    if (!c)
        return;
    table_free(c->table);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- the table ---- */

static bool table_add(void *arg, const struct node_entry *x)
{
    struct table *t = arg;
    if (t->n == NODES_MAX) {
        t->too_many = true;
        return false;
    }
    t->entries[t->n++] = (struct node_entry){ .name = arena_copy(&t->a, x->name),
                                              .url = arena_copy(&t->a, x->url),
                                              .address = arena_copy(&t->a, x->address),
                                              .node_type = arena_copy(&t->a, x->node_type),
                                              .pools = arena_copy(&t->a, x->pools),
                                              .state = x->state,
                                              .capacity = x->capacity,
                                              .seats = x->seats,
                                              .opened_ms = x->opened_ms };
    return true;
}

static void table_judge(const struct directory *d, struct table *t)
{
    int64_t now_ms = directory_now_ms(d);
    for (size_t i = 0; i < t->n; i++) {
        const struct node_entry *x = &t->entries[i];
        struct load_heard heard = { .users = -1, .queue = -1 };
        if (d->internal)
            loads_heard(d->internal->loads, x->name, t->read_us, &heard);
        t->nodes[i] = (struct assign_node){ .name = x->name,
                                            .state = x->state,
                                            .capacity = x->capacity,
                                            .seats = x->seats,
                                            .age_ms = now_ms - x->opened_ms,
                                            .silent = heard.silent_ms > ASSIGN_SILENCE_MS,
                                            .users = heard.users,
                                            .queue = heard.queue };
    }
}

static rc table_read(struct directory *d, struct backend_session *s, struct table **out, struct err *e)
{
    struct table *t = mem_need(calloc(1, sizeof(*t)));
    arena_init(&t->a, TABLE_BYTES);
    t->read_us = clock_mono_us(d->clock);
    rc r = nodes_each(s, table_add, t, e);
    if (r == RC_OK && (t->too_many || t->a.spent))
        r = fail(e, RC_BROKEN, RESP_GENERIC, "more than %d nodes", NODES_MAX);
    if (r != RC_OK) {
        table_free(t);
        return r;
    }
    table_judge(d, t);
    *out = t;
    return RC_OK;
}

static struct assign_node *node_in(struct table *t, view name)
{
    for (size_t i = 0; t && i < t->n; i++)
        if (view_eq(t->nodes[i].name, name))
            return &t->nodes[i];
    return NULL;
}

/* What was paid to whom goes on. */
static void carry_credits(const struct table *from, struct table *to)
{
    for (size_t i = 0; from && i < from->n; i++) {
        struct assign_node *x = node_in(to, from->nodes[i].name);
        if (x)
            x->credit = from->nodes[i].credit;
    }
}

/* With the lock held: is the table good enough, or does somebody else read a new one? */
static bool table_serves(const struct choice *c, int64_t now_us, bool anew)
{
    if (!c->table || anew)
        return false;
    return c->reading || now_us - c->table->read_us <= TABLE_MS * INT64_C(1000);
}

/* A table not older than TABLE_MS, or one of this moment. */
static rc table_ready(struct directory *d, struct backend_session *s, bool anew, struct err *e)
{
    struct choice *c = d->choice;
    struct table *t;
    pthread_mutex_lock(&c->lock);
    bool serves = table_serves(c, clock_mono_us(d->clock), anew);
    uint64_t changes = c->changes;
    c->reading = c->reading || !serves;
    pthread_mutex_unlock(&c->lock);
    if (serves)
        return RC_OK;
    rc r = table_read(d, s, &t, e);
    pthread_mutex_lock(&c->lock);
    c->reading = false;
    if (r == RC_OK) {
        struct table *old = c->table;
        carry_credits(old, t);
        if (c->changes != changes)
            t->read_us -=
                2 * TABLE_MS * INT64_C(1000); /* good for this choice, which began before the change */
        c->table = t;
        table_free(old);
    }
    pthread_mutex_unlock(&c->lock);
    return r;
}

void choice_changed(struct directory *d)
{
    struct choice *c = d->choice;
    pthread_mutex_lock(&c->lock);
    c->changes++;
    if (c->table)
        c->table->read_us -= 2 * TABLE_MS * INT64_C(1000);
    c->reading = false;
    pthread_mutex_unlock(&c->lock);
}

/* ---- pools ---- */

struct pools {
    view list; /* in the order in which they are tried */
    view rule; /* VIEW_NONE: no rule takes him */
};

static rc pools_of(struct directory *d, struct backend_session *s, struct arena *a, view name, view mail,
                   struct pools *out, struct err *e)
{
    for (size_t i = 0; i < d->n_pool_rules; i++) {
        const struct pool_rule *r = &d->pool_rules[i];
        bool takes = pool_rule_takes_mail(r, name, mail);
        if (r->by_group)
            TRY(directory_in_group(d, s, a, name, r->key, &takes, e));
        if (takes) {
            *out = (struct pools){ .list = r->pools, .rule = r->text };
            return RC_OK;
        }
    }
    *out = (struct pools){ .list = VIEW(POOL_DEFAULT) };
    return RC_OK;
}

static void mark_pool(struct assign_node *nodes, const struct node_entry *entries, size_t n, view pool)
{
    for (size_t i = 0; i < n; i++)
        nodes[i].other_pool = !pool_has(entries[i].pools, pool);
}

/* ---- choosing ---- */

static struct owner owner_copy(const struct directory *d, struct arena *a, const struct node_entry *n)
{
    return (struct owner){ .name = arena_copy(a, n->name),
                           .url = arena_copy(a, n->url),
                           .address = arena_copy(a, n->address),
                           .node_type =
                               n->node_type.n ? arena_copy(a, n->node_type) : view_of(d->conf->node_type) };
}

/* Whose slot it is among all nodes, whatever their state, as balancers see it; -1 if that one takes nobody now. */
static int slot_node_in(const struct directory *d, const struct table *t, unsigned slot)
{
    struct slot_node nodes[NODES_MAX];
    for (size_t i = 0; i < t->n; i++)
        nodes[i] = (struct slot_node){ .name = t->entries[i].name, .weight = t->entries[i].capacity };
    int at = slot_owner(slot, nodes, t->n);
    return at >= 0 && assign_weight(&t->nodes[at], d->conf->assign_ramp_s * 1000, NULL) > 0 ? at : -1;
}

/* slot: -1 for none. *out_paid: by credit, which a seat that is not to be had gives back. */
static bool choose_in(struct directory *d, struct arena *a, view pool, int slot, struct owner *out,
                      bool *out_paid)
{
    struct choice *c = d->choice;
    pthread_mutex_lock(&c->lock);
    struct table *t = c->table;
    mark_pool(t->nodes, t->entries, t->n, pool);
    int at = slot >= 0 ? slot_node_in(d, t, (unsigned)slot) : -1;
    *out_paid = at < 0;
    if (at < 0)
        at = assign_choose(t->nodes, t->n, d->conf->assign_ramp_s * 1000);
    if (at >= 0) {
        t->nodes[at].seats--; /* the next one sees it taken; what really is, is decided in the backend */
        *out = owner_copy(d, a, &t->entries[at]);
    }
    pthread_mutex_unlock(&c->lock);
    return at >= 0;
}

/* It had no seat any more. */
static void was_full(struct directory *d, view name, bool paid)
{
    struct choice *c = d->choice;
    pthread_mutex_lock(&c->lock);
    struct assign_node *x = node_in(c->table, name);
    if (x) {
        if (paid)
            assign_refund(x);
        x->seats = 0;
    }
    pthread_mutex_unlock(&c->lock);
}

/* RC_BUSY: no node of the pool has a seat, as far as the table knows. */
static rc take_seat(struct directory *d, struct backend_session *s, struct arena *a, view pool, int slot,
                    struct owner *out, struct err *e)
{
    bool paid = false;
    for (int tries = 0; tries < 2 * NODES_MAX && choose_in(d, a, pool, slot, out, &paid); tries++) {
        int64_t got = 0;
        rc r = seats_take(s, out->name, 1, &got, e);
        if (r != RC_OK && r != RC_NOT_FOUND)
            return r;
        if (got == 1)
            return RC_OK;
        was_full(d, out->name, paid);
    }
    return fail(e, RC_BUSY, RESP_GENERIC, "no node of pool %.*s takes another user", VIEW_ARG(pool));
}

/* A 1.5 account is routed by its number, a 1.1 account by its name. */
static int slot_of(const struct directory *d, view name, int64_t uid)
{
    if (!d->conf->assign_slots)
        return -1;
    if (!memchr(name.p, '@', name.n))
        return (int)slot_of_name(name);
    return uid > 0 ? (int)slot_of_uid((uint64_t)uid) : -1;
}

rc lookup_choose(struct directory *d, struct backend_session *s, struct arena *a, view name, view mail,
                 int64_t uid, struct owner *out, struct err *e)
{
    struct pools pools;
    if (d->has_sole) {
        *out = d->sole;
        return RC_OK;
    }
    TRY(pools_of(d, s, a, name, mail, &pools, e));
    rc r = RC_BUSY;
    for (int anew = 0; anew < 2 && r == RC_BUSY; anew++) {
        view list = pools.list, pool;
        TRY(table_ready(d, s, anew == 1, e));
        while (r == RC_BUSY && pool_next(&list, &pool))
            r = take_seat(d, s, a, pool, slot_of(d, name, uid), out, e);
    }
    return r;
}

void lookup_give_back(struct directory *d, struct backend_session *s, view node)
{
    struct err why = ERR_NONE;
    if (d->has_sole)
        return;
    if (seats_give(s, node, 1, &why) != RC_OK)
        LOG(LOG_WARN, "a seat is lost until the next settle", LOG_V("node", node), LOG_S("why", why.text));
}

/* ---- explaining ---- */

static void put_node(struct buf *b, const struct assign_node *x, const struct node_entry *entry,
                     int64_t ramp_ms, double total)
{
    enum assign_no why;
    double weight = assign_weight(x, ramp_ms, &why);
    buf_add(b, VIEW("{\"node\":"));
    json_put_string(b, x->name);
    buf_add(b, VIEW(",\"pools\":"));
    json_put_string(b, entry->pools.n ? entry->pools : VIEW(POOL_DEFAULT));
    buf_addf(b,
             ",\"why_not\":\"%s\",\"part\":%.4f,\"seats\":%" PRId64 ",\"capacity\":%" PRId64
             ",\"users\":%" PRId64,
             assign_no_text(why), total > 0 ? weight / total : 0.0, x->seats, x->capacity, x->users);
    buf_addf(b, ",\"ramp\":%.1f,\"ease\":%.2f}", assign_ramp(x->age_ms, ramp_ms) / 1000.0,
             assign_ease(x->queue) / 1000.0);
}

/* The nodes as the pool of his choice sees them: the first that has a seat, else the first. */
static int judge(const struct directory *d, const struct table *t, struct assign_node *nodes, view list,
                 int slot, int64_t ramp_ms, view *out_pool)
{
    view pool, rest = list;
    while (pool_next(&rest, &pool)) {
        mark_pool(nodes, t->entries, t->n, pool);
        int at = slot >= 0 ? slot_node_in(d, t, (unsigned)slot) : -1;
        if (at < 0)
            at = assign_choose(nodes, t->n, ramp_ms);
        if (at >= 0) {
            *out_pool = pool;
            return at;
        }
    }
    if (pool_next(&list, out_pool))
        mark_pool(nodes, t->entries, t->n, *out_pool);
    return -1;
}

static void put_choice(const struct directory *d, struct table *t, const struct pools *pools, int slot,
                       struct buf *b)
{
    struct assign_node *nodes = t->nodes;
    int64_t ramp_ms = d->conf->assign_ramp_s * 1000;
    view pool = VIEW(POOL_DEFAULT);
    double total = 0;
    int at = judge(d, t, nodes, pools->list, slot, ramp_ms, &pool);
    for (size_t i = 0; i < t->n; i++)
        total += assign_weight(&nodes[i], ramp_ms, NULL);
    buf_add(b, VIEW("{\"rule\":"));
    if (pools->rule.p)
        json_put_string(b, pools->rule);
    else
        buf_add(b, VIEW("null"));
    buf_add(b, VIEW(",\"pools\":"));
    json_put_string(b, pools->list);
    buf_add(b, VIEW(",\"pool\":"));
    json_put_string(b, pool);
    if (slot >= 0)
        buf_addf(b, ",\"slot\":%d", slot);
    buf_add(b, VIEW(",\"node\":"));
    if (at >= 0)
        json_put_string(b, nodes[at].name);
    else
        buf_add(b, VIEW("null"));
    buf_add(b, VIEW(",\"nodes\":["));
    for (size_t i = 0; i < t->n; i++) {
        if (i > 0)
            buf_addc(b, ',');
        put_node(b, &nodes[i], &t->entries[i], ramp_ms, total);
    }
    buf_add(b, VIEW("]}"));
}

/* On a table of its own: a question changes nothing. */
rc choice_explain(struct directory *d, struct backend_session *s, struct arena *a, const struct account *acc,
                  struct buf *out, struct err *e)
{
    struct pools pools;
    struct table *t;
    if (d->has_sole) {
        buf_add(out, VIEW("{\"rule\":null,\"pools\":\"" POOL_DEFAULT "\",\"pool\":\"" POOL_DEFAULT
                          "\",\"node\":"));
        json_put_string(out, d->sole.name);
        buf_add(out, VIEW(",\"nodes\":[]}"));
        return RC_OK;
    }
    TRY(pools_of(d, s, a, acc->name, acc->mail, &pools, e));
    TRY(table_read(d, s, &t, e));
    pthread_mutex_lock(&d->choice->lock);
    carry_credits(d->choice->table, t);
    pthread_mutex_unlock(&d->choice->lock);
    put_choice(d, t, &pools, slot_of(d, acc->name, acc->uid), out);
    table_free(t);
    return RC_OK;
}
