#include "admin/run/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

#define POOL_DEFAULT VIEW("default")

static const char *const by_names[] = {
    [PLAN_BY_USERS] = "users", [PLAN_BY_BYTES] = "bytes", [PLAN_BY_REQUESTS] = "requests"
};

const char *plan_by_name(enum plan_by by)
{
    return by_names[by];
}

bool plan_by_parse(view text, enum plan_by *out)
{
    for (size_t i = 0; i < sizeof(by_names) / sizeof(by_names[0]); i++)
        if (view_eq(text, view_of(by_names[i]))) {
            *out = (enum plan_by)i;
            return true;
        }
    return false;
}

/* ---- pools ---- */

static bool next_word(view *list, view *out)
{
    size_t i = 0, n;
    while (i < list->n && (list->p[i] == ' ' || list->p[i] == ','))
        i++;
    for (n = i; n < list->n && list->p[n] != ' ' && list->p[n] != ',';)
        n++;
    *out = (view){ .p = list->p + i, .n = n - i };
    *list = (view){ .p = list->p + n, .n = list->n - n };
    return out->n > 0;
}

static bool has_pool(view list, view pool)
{
    view word;
    bool any = false;
    while (list.n > 0 && next_word(&list, &word)) {
        any = true;
        if (view_eq(word, pool))
            return true;
    }
    return !any && view_eq(pool, POOL_DEFAULT);
}

bool plan_pools_meet(view a, view b)
{
    view word;
    bool any = false;
    while (a.n > 0 && next_word(&a, &word)) {
        any = true;
        if (has_pool(b, word))
            return true;
    }
    return !any && has_pool(b, POOL_DEFAULT);
}

/* ---- what planners share ---- */

double plan_ratio(double load, double target)
{
    if (target > 0)
        return load / target;
    return load > 0 ? INFINITY : 1;
}

static double load_of(const struct plan_user *u, enum plan_by by)
{
    return by == PLAN_BY_USERS ? 1 : by == PLAN_BY_BYTES ? (double)u->bytes : u->requests;
}

/* The users of one node, light ones first; of equal ones the one with the most bytes first, so that the last of them, who is taken, is the
 * cheapest to move. */
struct stock {
    size_t *users;
    size_t n;
    /* of each place: the next one at or below it whose user is still there, plus one; 0: none */
    size_t *left;
    bool spent; /* nobody there can better anything */
};

struct planner {
    const struct plan_input *in;
    enum plan_by by;
    struct stock *stocks;
    struct plan *out;
};

struct by_load {
    const struct plan_user *users;
    enum plan_by by;
};

static int cmp_double(double a, double b)
{
    return a < b ? -1 : a > b;
}

static int by_load(const void *x, const void *y, void *arg)
{
    const struct by_load *c = arg;
    const struct plan_user *a = &c->users[*(const size_t *)x], *b = &c->users[*(const size_t *)y];
    int by = cmp_double(load_of(a, c->by), load_of(b, c->by));
    if (by != 0)
        return by;
    if (a->bytes != b->bytes)
        return a->bytes > b->bytes ? -1 : 1;
    return a->uid < b->uid ? 1 : a->uid > b->uid ? -1 : 0;
}

static void stock_fill(struct planner *p, size_t node)
{
    struct stock *s = &p->stocks[node];
    struct by_load order = { p->in->users, p->by };
    s->users = mem_need(calloc(p->in->n_users + 1, sizeof(*s->users)));
    for (size_t i = 0; i < p->in->n_users; i++)
        if (p->in->users[i].node == node && !p->in->users[i].on_his_way)
            s->users[s->n++] = i;
    qsort_r(s->users, s->n, sizeof(*s->users), by_load, &order);
    s->left = mem_need(calloc(s->n + 1, sizeof(*s->left)));
    for (size_t i = 0; i < s->n; i++)
        s->left[i] = i + 1;
}

/* Place plus one of the nearest user at or below place i who is still there. */
static size_t stock_find(struct stock *s, size_t i)
{
    size_t root = i, next;
    while (s->left[root] != root + 1 && s->left[root] != 0)
        root = s->left[root] - 1;
    size_t found = s->left[root] == 0 ? 0 : root + 1;
    for (; i != root; i = next) { /* the way becomes shorter */
        next = s->left[i] - 1;
        s->left[i] = found;
    }
    return found;
}

static void stock_take(struct stock *s, size_t place)
{
    s->left[place] = place; /* place 0: 0, none; else: as the one below */
}

/* The heaviest who is not heavier than most; plus one, 0: nobody. */
static size_t stock_pick(const struct planner *p, struct stock *s, double most)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (load_of(&p->in->users[s->users[mid]], p->by) <= most)
            low = mid + 1;
        else
            high = mid;
    }
    return low == 0 ? 0 : stock_find(s, low - 1);
}

static void planner_init(struct planner *p, const struct plan_input *in, const struct plan_rules *rules,
                         struct plan *out)
{
    *p = (struct planner){ .in = in, .by = rules->by, .out = out };
    p->stocks = mem_need(calloc(in->n_nodes + 1, sizeof(*p->stocks)));
    for (size_t i = 0; i < in->n_nodes; i++) {
        struct plan_node *n = &in->nodes[i];
        n->users_before = n->bytes_before = 0;
        n->load_before = n->target = 0;
    }
    for (size_t i = 0; i < in->n_users; i++) {
        const struct plan_user *u = &in->users[i];
        if (u->node == PLAN_NOWHERE)
            continue;
        in->nodes[u->node].users_before++;
        in->nodes[u->node].bytes_before += u->bytes;
        in->nodes[u->node].load_before += load_of(u, rules->by);
    }
    for (size_t i = 0; i < in->n_nodes; i++) {
        struct plan_node *n = &in->nodes[i];
        n->users_after = n->users_before;
        n->bytes_after = n->bytes_before;
        n->load_after = n->load_before;
    }
}

static void planner_done(struct planner *p)
{
    for (size_t i = 0; i < p->in->n_nodes; i++) {
        free(p->stocks[i].users);
        free(p->stocks[i].left);
    }
    free(p->stocks);
}

/* What a user's moving changes. */
static void shift(const struct planner *p, size_t user, size_t from, size_t to)
{
    const struct plan_user *u = &p->in->users[user];
    struct plan_node *a = &p->in->nodes[from], *b = &p->in->nodes[to];
    a->users_after--;
    b->users_after++;
    a->bytes_after -= u->bytes;
    b->bytes_after += u->bytes;
    a->load_after -= load_of(u, p->by);
    b->load_after += load_of(u, p->by);
}

static struct plan_move *add_move(struct planner *p, size_t user, size_t to)
{
    struct plan *out = p->out;
    if ((out->n_moves & (out->n_moves + 1)) == 0) /* grows at 0, 1, 3, 7 … */
        out->moves = mem_need(reallocarray(out->moves, 2 * out->n_moves + 2, sizeof(*out->moves)));
    struct plan_move *m = &out->moves[out->n_moves++];
    *m = (struct plan_move){ .user = user, .from = p->in->users[user].node, .to = to };
    return m;
}

static void add_left(struct planner *p, size_t user, const char *why)
{
    struct plan *out = p->out;
    if ((out->n_left & (out->n_left + 1)) == 0)
        out->left = mem_need(reallocarray(out->left, 2 * out->n_left + 2, sizeof(*out->left)));
    out->left[out->n_left++] = (struct plan_left){ .user = user, .why = why };
}

void plan_done(struct plan *p)
{
    free(p->moves);
    free(p->left);
    *p = (struct plan){ 0 };
}

static bool is_full(const struct plan_node *n)
{
    return n->users_after >= n->weight;
}

static int short_name(const struct plan_node *n)
{
    return n->name.n > 80 ? 80 : (int)n->name.n;
}

/* ---- shares ---- */

/* Users can live on both. */
static bool are_joined(const struct plan_node *a, const struct plan_node *b)
{
    return a->open && b->open && plan_pools_meet(a->pools, b->pools);
}

static void rename_group(size_t *group, size_t n, size_t from, size_t to)
{
    for (size_t i = 0; i < n; i++)
        if (group[i] == from)
            group[i] = to;
}

/* Nodes that are joined, be it through others, have the same number; each that is not open one of its own. */
static void group_nodes(const struct plan_input *in, size_t *group)
{
    for (size_t i = 0; i < in->n_nodes; i++)
        group[i] = i;
    for (size_t i = 0; i < in->n_nodes; i++)
        for (size_t k = i + 1; k < in->n_nodes; k++)
            if (group[i] != group[k] && are_joined(&in->nodes[i], &in->nodes[k]))
                rename_group(group, in->n_nodes, group[k], group[i]);
}

/* An open node's part of what lives in its group. */
static double target_of(const struct plan_input *in, const size_t *group, size_t node)
{
    double load = 0, weight = 0;
    for (size_t i = 0; i < in->n_nodes; i++)
        if (in->nodes[i].open && group[i] == group[node]) {
            load += in->nodes[i].load_after;
            weight += (double)in->nodes[i].weight;
        }
    return weight > 0 ? load * (double)in->nodes[node].weight / weight : 0;
}

static void set_targets(const struct planner *p)
{
    const struct plan_input *in = p->in;
    size_t *group = mem_need(calloc(in->n_nodes + 1, sizeof(*group)));
    group_nodes(in, group);
    for (size_t i = 0; i < in->n_nodes; i++)
        if (in->nodes[i].open)
            in->nodes[i].target = target_of(in, group, i);
    free(group);
}

/* ---- rebalancing ---- */

static double ratio_of(const struct plan_node *n)
{
    return plan_ratio(n->load_after, n->target);
}

/* The fullest node that still has somebody to give. */
static size_t find_giver(const struct planner *p)
{
    size_t best = PLAN_NOWHERE;
    for (size_t i = 0; i < p->in->n_nodes; i++) {
        const struct plan_node *n = &p->in->nodes[i];
        if (!n->open || n->fixed || p->stocks[i].spent)
            continue;
        if (best == PLAN_NOWHERE || ratio_of(n) > ratio_of(&p->in->nodes[best]))
            best = i;
    }
    return best;
}

static size_t find_taker(const struct planner *p, size_t giver)
{
    size_t best = PLAN_NOWHERE;
    for (size_t i = 0; i < p->in->n_nodes; i++) {
        const struct plan_node *n = &p->in->nodes[i];
        if (i == giver || !n->open || n->weight <= 0 || is_full(n) ||
            !plan_pools_meet(p->in->nodes[giver].pools, n->pools))
            continue;
        if (best == PLAN_NOWHERE || ratio_of(n) < ratio_of(&p->in->nodes[best]))
            best = i;
    }
    return best;
}

/* Somebody whose moving betters the worse of the two: at best as heavy as what one has too much or the other lacks, else the lightest of
 * those who are heavier than that. Place plus one; 0: nobody. */
static size_t find_user(struct planner *p, size_t giver, size_t taker)
{
    const struct plan_node *a = &p->in->nodes[giver], *b = &p->in->nodes[taker];
    struct stock *s = &p->stocks[giver];
    double excess = a->load_after - a->target, lack = b->target - b->load_after;
    size_t place = stock_pick(p, s, fmin(excess, lack));
    if (place > 0 && load_of(&p->in->users[s->users[place - 1]], p->by) > 0)
        return place;
    for (size_t i = 0; i < s->n; i++) {
        double x = load_of(&p->in->users[s->users[i]], p->by);
        if (stock_find(s, i) != i + 1 || x <= 0)
            continue;
        return fmax(plan_ratio(b->load_after + x, b->target), plan_ratio(a->load_after - x, a->target)) <
                       ratio_of(a)
                   ? i + 1
                   : 0;
    }
    return 0;
}

static void explain(const struct planner *p, struct plan_move *m)
{
    const struct plan_node *a = &p->in->nodes[m->from], *b = &p->in->nodes[m->to];
    double from = ratio_of(a) * 100, to = ratio_of(b) * 100;
    if (isinf(from))
        snprintf(m->reason, sizeof(m->reason), "%.*s shall hold nobody", short_name(a), a->name.p);
    else
        snprintf(m->reason, sizeof(m->reason), "has %.1f %% of its share, the target %.1f %%", from, to);
}

/* Until all are within the threshold, or nobody can better anything. Gives how many moves that took; they are added only with `write`. */
static size_t balance(struct planner *p, double threshold, bool write)
{
    size_t n = 0;
    for (size_t giver; (giver = find_giver(p)) != PLAN_NOWHERE;) {
        size_t taker = find_taker(p, giver);
        struct plan_node *a = &p->in->nodes[giver];
        size_t place = 0;
        bool even = taker == PLAN_NOWHERE ||
                    (ratio_of(a) <= 1 + threshold && ratio_of(&p->in->nodes[taker]) >= 1 - threshold);
        if (!even && ratio_of(a) > 1)
            place = find_user(p, giver, taker);
        if (place == 0) {
            p->stocks[giver].spent = true;
            continue;
        }
        size_t user = p->stocks[giver].users[place - 1];
        stock_take(&p->stocks[giver], place - 1);
        if (write)
            explain(p, add_move(p, user, taker));
        shift(p, user, giver, taker);
        n++;
    }
    return n;
}

void plan_rebalance(const struct plan_input *in, const struct plan_rules *rules, struct plan *out)
{
    struct planner p;
    planner_init(&p, in, rules, out);
    set_targets(&p);
    for (size_t i = 0; i < in->n_nodes; i++)
        if (in->nodes[i].open && !in->nodes[i].fixed)
            stock_fill(&p, i);
    balance(&p, rules->threshold, true);

    /* what would come, were it not for the threshold: on figures that are put back afterwards */
    struct plan_node *kept = mem_need(calloc(in->n_nodes + 1, sizeof(*kept)));
    memcpy(kept, in->nodes, in->n_nodes * sizeof(*kept));
    for (size_t i = 0; i < in->n_nodes; i++)
        p.stocks[i].spent = false;
    out->skipped = balance(&p, 0, false);
    memcpy(in->nodes, kept, in->n_nodes * sizeof(*kept));
    free(kept);
    planner_done(&p);
}

/* ---- draining ---- */

/* Where a user of this weight tips the scales least. */
static size_t find_place(const struct planner *p, size_t from, double x)
{
    size_t best = PLAN_NOWHERE;
    double least = INFINITY, fewest = INFINITY;
    for (size_t i = 0; i < p->in->n_nodes; i++) {
        const struct plan_node *n = &p->in->nodes[i];
        if (i == from || !n->open || n->weight <= 0 || is_full(n) ||
            !plan_pools_meet(p->in->nodes[from].pools, n->pools))
            continue;
        double after = (n->load_after + x) / (double)n->weight,
               users = (double)n->users_after / (double)n->weight;
        if (after < least ||
            (after <= least && users < fewest)) { /* idle users weigh nothing, and are spread as well */
            least = after;
            fewest = users;
            best = i;
        }
    }
    return best;
}

void plan_drain(const struct plan_input *in, const struct plan_rules *rules, size_t node, struct plan *out)
{
    struct planner p;
    planner_init(&p, in, rules, out);
    stock_fill(&p, node);
    const struct stock *s = &p.stocks[node];
    for (size_t i = s->n; i > 0; i--) { /* heavy ones first: the light ones then even out */
        size_t user = s->users[i - 1], to = find_place(&p, node, load_of(&in->users[user], rules->by));
        if (to == PLAN_NOWHERE) {
            add_left(&p, user, "no open node of his pools has room");
            continue;
        }
        snprintf(add_move(&p, user, to)->reason, sizeof(out->moves->reason), "%.*s is emptied",
                 short_name(&in->nodes[node]), in->nodes[node].name.p);
        shift(&p, user, node, to);
    }
    for (size_t i = 0; i < in->n_users; i++)
        if (in->users[i].node == node && in->users[i].on_his_way)
            add_left(&p, i, "he is on his way already");
    in->nodes[node].open = false;
    set_targets(&p);
    planner_done(&p);
}

/* ---- named users ---- */

void plan_move(const struct plan_input *in, const struct plan_rules *rules, const size_t *users, size_t n,
               size_t to, struct plan *out)
{
    struct planner p;
    planner_init(&p, in, rules, out);
    set_targets(&p);
    for (size_t i = 0; i < n; i++) {
        const struct plan_user *u = &in->users[users[i]];
        const char *why = u->node == PLAN_NOWHERE   ? "he lives nowhere yet"
                          : u->node == to           ? "he lives there already"
                          : u->on_his_way           ? "he is on his way already"
                          : !in->nodes[to].open     ? "the node takes nobody"
                          : is_full(&in->nodes[to]) ? "the node is full"
                          : !plan_pools_meet(in->nodes[u->node].pools, in->nodes[to].pools)
                              ? "the node is of another pool"
                              : NULL;
        if (why) {
            add_left(&p, users[i], why);
            continue;
        }
        snprintf(add_move(&p, users[i], to)->reason, sizeof(out->moves->reason), "asked for");
        shift(&p, users[i], u->node, to);
    }
    planner_done(&p);
}
