/* What the balancer has to know, read from the directory. */
#include <inttypes.h>
#include <stdlib.h>

#include "admin/ask.h"
#include "admin/lb/lb.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/web/server.h"

enum { MODEL_BYTES = 16 << 20, NODES_MAX = 1024, KIND = 3 /* bytes before a uid or name in a key */ };

void lb_model_done(struct lb_model *m)
{
    lb_users_done(&m->users);
    free(m->nodes);
    if (m->arena.ceiling_bytes)
        arena_done(&m->arena);
    *m = (struct lb_model){ .n = 0 };
}

/* ---- nodes ---- */

/* Names go into configurations: letters, digits, "-._:" and brackets. */
static bool is_plain(view v)
{
    return v.n > 0 && v.n <= 200 && view_only_alnum(v, ".:_-[]");
}

static view id_of(view name, struct arena *a)
{
    view copy = arena_copy(a, name);
    char *p = (char *)(uintptr_t)copy.p;
    for (size_t i = 0; i < copy.n; i++)
        if (p[i] == '[' || p[i] == ']' || p[i] == ':')
            p[i] = '_';
    return copy;
}

/* The value behind "name=" in a list; VIEW_NONE: not there. */
static view value_in(const struct conf_list *list, view name)
{
    for (size_t i = 0; i < list->n; i++) {
        view rest = view_of(list->items[i]), head;
        view_cut(&rest, '=', &head);
        if (rest.p && view_eq(view_trim(head), name))
            return view_trim(rest);
    }
    return VIEW_NONE;
}

/* Where it is reached: as the operator says, else as its own URL says. */
static rc find_reach(const struct admin_conf *c, struct lb_node *n, struct arena *a, struct err *e)
{
    struct url_parts u;
    if (!url_cut(n->url, &u))
        return fail(e, RC_BROKEN, RESP_GENERIC, "the node %.*s has no good URL", VIEW_ARG(n->name));
    n->host = arena_copy(a, u.host);
    n->reach = value_in(&c->lb.reach, n->name);
    if (n->reach.p) {
        if (!is_plain(n->reach))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "lb.reach of %.*s must be HOST:PORT",
                        VIEW_ARG(n->name));
        return RC_OK;
    }
    n->tls = view_eq(u.scheme, VIEW("https"));
    n->reach = arena_text(a, "%.*s:%u", VIEW_ARG(u.host), u.port);
    return RC_OK;
}

static view member(const json_t *o, const char *name, struct arena *a)
{
    view v = json_text(json_object_get(o, name));
    return v.p ? arena_copy(a, v) : VIEW("");
}

static rc node_read(const struct admin_conf *c, const json_t *o, struct arena *a, struct lb_node *out,
                    struct err *e)
{
    *out = (struct lb_node){ .name = member(o, "name", a),
                             .url = member(o, "url", a),
                             .address = member(o, "address", a),
                             .state = member(o, "state", a),
                             .pools = member(o, "pools", a),
                             .capacity = json_integer_value(json_object_get(o, "capacity")) };
    if (!is_plain(out->name) || !is_plain(out->state))
        return fail(e, RC_BROKEN, RESP_GENERIC, "the directory names a node \"%.*s\" in state \"%.*s\"",
                    VIEW_ARG(out->name), VIEW_ARG(out->state));
    out->id = id_of(out->name, a);
    return find_reach(c, out, a, e);
}

static int by_name(const void *x, const void *y)
{
    return view_cmp(((const struct lb_node *)x)->name, ((const struct lb_node *)y)->name);
}

static rc check_ids(const struct lb_model *m, struct err *e)
{
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < i; k++)
            if (view_eq(m->nodes[i].id, m->nodes[k].id))
                return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                            "%.*s and %.*s would have the same name in a balancer",
                            VIEW_ARG(m->nodes[k].name), VIEW_ARG(m->nodes[i].name));
    return RC_OK;
}

static void find_slots(struct lb_model *m)
{
    struct slot_node nodes[NODES_MAX];
    for (size_t i = 0; i < m->n; i++)
        nodes[i] = (struct slot_node){ .name = m->nodes[i].name, .weight = m->nodes[i].capacity };
    for (unsigned s = 0; s < SLOTS; s++)
        m->slots[s] = slot_owner(s, nodes, m->n);
}

struct reading {
    const struct admin_conf *conf;
    struct lb_model *m;
};

static rc take_node(void *arg, json_t *line, struct err *e)
{
    struct reading *r = arg;
    struct lb_model *m = r->m;
    if (m->n == NODES_MAX)
        return fail(e, RC_BROKEN, RESP_GENERIC, "more than %d nodes", NODES_MAX);
    TRY(node_read(r->conf, line, &m->arena, &m->nodes[m->n], e));
    m->n++;
    return RC_OK;
}

rc lb_model_nodes(const struct admin_conf *c, struct ask *ask, struct lb_model *m, struct err *e)
{
    struct reading r = { .conf = c, .m = m };
    lb_model_done(m);
    arena_init(&m->arena, MODEL_BYTES);
    m->nodes = mem_need(calloc(NODES_MAX, sizeof(*m->nodes)));
    TRY(ask_each(ask, VIEW_NONE, "nodes", take_node, &r, e));
    qsort(m->nodes, m->n, sizeof(*m->nodes), by_name);
    find_slots(m);
    return check_ids(m, e);
}

bool lb_model_same_nodes(const struct lb_model *a, const struct lb_model *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++) {
        const struct lb_node *x = &a->nodes[i], *y = &b->nodes[i];
        same = view_eq(x->name, y->name) && view_eq(x->url, y->url) && view_eq(x->address, y->address) &&
               view_eq(x->reach, y->reach) && x->tls == y->tls && x->capacity == y->capacity;
    }
    return same;
}

int lb_model_node(const struct lb_model *m, view name)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = view_cmp(m->nodes[middle].name, name);
        if (order == 0)
            return (int)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* ---- accounts ---- */

unsigned lb_slot(enum lb_proto p, view uid_or_name)
{
    uint64_t uid = 0;
    if (p == LB_11)
        return slot_of_name(uid_or_name);
    (void)view_to_u64(uid_or_name, UINT64_MAX, &uid);
    return slot_of_uid(uid);
}

/* A 1.5 account is named fxa-uid@domain; no 1.1 name has an "@". Protocol: internal API, "One entry for each account". */
rc lb_account_read(const struct lb_model *m, const json_t *o, struct lb_account *out, struct err *e)
{
    view name = json_text(json_object_get(o, "name")), node = json_text(json_object_get(o, "node"));
    const json_t *uid = json_object_get(o, "uid");

    char number[24];
    if (!name.p || !json_is_integer(uid) || json_integer_value(uid) < 0 || name.n > 255)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the directory's account has no name or uid");
    *out = (struct lb_account){ .proto = memchr(name.p, '@', name.n) ? LB_15 : LB_11, .node = -1 };
    snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(uid));
    if (out->proto == LB_15)
        lb_user_key(LB_15, view_of(number), out->key);
    else if (is_plain(name))
        lb_user_key(LB_11, name, out->key);
    if (node.p && out->key[0])
        out->node = lb_model_node(m, node);
    return RC_OK;
}

view lb_account_user(const struct lb_account *a)
{
    return a->key[0] ? view_of(a->key + KIND) : VIEW("");
}

int lb_row_wanted(const struct admin_conf *c, const struct lb_model *m, const struct lb_account *a)
{
    bool slots = strcmp(c->lb.routes, "slots") == 0;
    if (slots && a->node == m->slots[lb_slot(a->proto, lb_account_user(a))])
        return -1;
    return a->node;
}

static rc take_account(void *arg, json_t *line, struct err *e)
{
    struct reading *r = arg;
    struct lb_account a;
    TRY(lb_account_read(r->m, line, &a, e));
    r->m->accounts++;
    int row = lb_row_wanted(r->conf, r->m, &a);
    if (row >= 0)
        lb_users_append(&r->m->users, view_of(a.key), row);
    return RC_OK;
}

rc lb_model_users(const struct admin_conf *c, struct ask *ask, struct lb_model *m, struct err *e)
{
    struct reading r = { .conf = c, .m = m };
    m->accounts = 0;
    lb_users_done(&m->users);
    TRY(ask_each(ask, VIEW_NONE, "accounts", take_account, &r, e));
    lb_users_sort(&m->users);
    return RC_OK;
}

rc lb_account_get(struct ask *ask, const struct lb_model *m, view who, const char *by, struct lb_account *out,
                  struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(json_decref) json_t *o = NULL;
    SCOPED(answer_done) struct answer a = { .status = 0 };
    buf_add(&path, VIEW("accounts/"));
    percent_put(&path, who);
    if (by)
        buf_addf(&path, "?by=%s", by);
    TRY(ask_directory(ask, "GET", buf_text(&path), VIEW_NONE, &a, e));
    TRY(ask_object(&a, &o, e));
    return lb_account_read(m, o, out, e);
}
