/* Every head against the directory. Both lists may be long, so what is kept of each is a few numbers, sorted by uid. */
#include <inttypes.h>
#include <stdlib.h>

#include "admin/verbs/doctor.h"
#include "common/base/mem.h"

enum state { NONE, ACTIVE, FROZEN, IMPORTING, READY, GONE, UNKNOWN };

struct seen {
    int64_t uid, epoch;
    uint32_t node; /* index into the list of nodes; UINT32_MAX: none, or none of these */
    uint8_t state; /* of a head */
    bool intent;   /* of an account */
};

struct list {
    struct seen *items;
    size_t n, cap;
};

struct heads {
    struct doctor *d;
    const json_t *nodes;
    uint32_t node; /* whose heads are being read */
    struct list heads, accounts;
    rc result;
    struct err *e;
};

static void add(struct list *l, const struct seen *s)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 1024;
        l->items = mem_need(reallocarray(l->items, l->cap, sizeof *l->items));
    }
    l->items[l->n++] = *s;
}

static int by_uid(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static enum state state_of(const char *name)
{
    static const char *const names[] = { "none", "active", "frozen", "importing", "ready", "gone" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum state)i;
    return UNKNOWN;
}

static uint32_t node_index(const json_t *nodes, view name)
{
    for (size_t i = 0; i < json_array_size(nodes); i++)
        if (view_eq(json_text(json_array_get(nodes, i)), name))
            return (uint32_t)i;
    return UINT32_MAX;
}

static bool take_head(void *arg, json_t *line)
{
    struct heads *h = arg;
    struct head_seen seen;
    h->result = head_read(line, &seen, h->e);
    if (h->result != RC_OK)
        return false;
    h->d->counts->heads++;
    const struct seen s = {
        .uid = seen.uid, .epoch = seen.epoch, .node = h->node, .state = (uint8_t)state_of(seen.state)
    };
    if (s.state != NONE)
        add(&h->heads, &s);
    return true;
}

static bool take_account(void *arg, const struct subject *x)
{
    struct heads *h = arg;
    const struct seen s = { .uid = x->uid,
                            .epoch = x->epoch,
                            .node = x->node.p ? node_index(h->nodes, x->node) : UINT32_MAX,
                            .intent = x->intent.p != NULL };
    h->d->counts->accounts++;
    add(&h->accounts, &s);
    return true;
}

/* ---- comparing ---- */

enum verdict { FINE, AHEAD, STALE, HALFWAY, LOST, NOBODY };

/* acc NULL: no account has this number. */
static enum verdict judge(const struct seen *head, const struct seen *acc)
{
    if (!acc)
        return head->state == GONE || head->state == NONE ? FINE : NOBODY;
    bool here = head->node == acc->node;
    if (head->state == NONE || (head->state == GONE && !here))
        return FINE; /* he left, and may come back */
    if (head->epoch > acc->epoch + (acc->intent ? 1 : 0))
        return AHEAD;
    if (acc->intent)
        return FINE; /* on his way: settle ends it */
    if (head->state == FROZEN || head->state == IMPORTING || head->state == READY)
        return HALFWAY;
    if (here)
        return head->epoch < acc->epoch || head->state == GONE ? LOST : FINE;
    return STALE;
}

static view name_of(const struct heads *h, uint32_t node)
{
    view v = json_text(json_array_get(h->nodes, node));
    return v.p ? v : VIEW("(no node)");
}

static const char *const state_words[] = {
    "none", "active", "frozen", "importing", "ready", "gone", "in an unknown state"
};

static const struct remark {
    enum doctor_level level;
    const char *what, *cure;
} remarks[] = {
    [AHEAD] = { DOCTOR_ERROR, "the directory is behind him, as after an old backup",
                "restore a newer backup of the directory, or let it follow the higher epoch: heddle-admin doctor --mend" },
    [STALE] = { DOCTOR_ERROR,
                "he lives elsewhere, and this node would serve him: it runs on an old copy of its database",
                "restart the node, which confirms its heads then; or heddle-admin doctor --mend" },
    [HALFWAY] = { DOCTOR_ERROR, "a move was left half done, and his account knows of none",
                  "undo it: heddle-admin doctor --mend" },
    [LOST] = { DOCTOR_ERROR, "his node was set back to a time before he came",
               "restore a newer backup of the node; what it lost, heddle-admin node recover tells" },
    [NOBODY] = { DOCTOR_WARNING, "no account has this number",
                 "nothing, if a settle is still to erase it; else the directory may have been restored from an old backup" },
};

static void remark(const struct heads *h, enum verdict v, const struct seen *head, const struct seen *acc,
                   const char *mended)
{
    const struct remark *m = &remarks[v];
    char where[400] = "";
    if (acc)
        snprintf(where, sizeof where, "; the directory: %.*s with epoch %" PRId64,
                 VIEW_ARG(name_of(h, acc->node)), acc->epoch);
    doctor_tell(h->d, m->level, name_of(h, head->node), head->uid, mended ? mended : m->cure,
                "%s (the head: %s of epoch %" PRId64 "%s)", m->what, state_words[head->state], head->epoch,
                where);
}

/* ---- mending ---- */

static rc follow(const struct heads *h, const struct seen *head, const struct subject *s, struct err *e)
{
    char before[24], after[24];
    snprintf(before, sizeof before, "%" PRId64, s->epoch);
    snprintf(after, sizeof after, "%" PRId64, head->epoch);
    const struct swap swaps[] = { { "syncNode", s->node, name_of(h, head->node) },
                                  { "heddleEpoch", view_of(before), view_of(after) } };
    if (head->state != ACTIVE)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "only an active head is followed");
    return subject_cas(h->d->r, s->uid, swaps, 2, e);
}

static rc mend(const struct heads *h, enum verdict v, const struct seen *head, const struct head_seen *now,
               const struct subject *s, struct err *e)
{
    view node = name_of(h, head->node), move = now->move[0] ? view_of(now->move) : VIEW("doctor");
    switch (v) {
    case AHEAD:
        return follow(h, head, s, e);
    case STALE:
        return head_step_ask(h->d->r, node, "leave", head->uid, VIEW("doctor"), s->epoch, NULL, NULL, e);
    case HALFWAY:
        if (head->state == FROZEN && view_eq(node, s->node) && head->epoch == s->epoch)
            return head_step_ask(h->d->r, node, "thaw", head->uid, move, head->epoch, NULL, NULL, e);
        if (head->state == FROZEN)
            return head_step_ask(h->d->r, node, "leave", head->uid, VIEW("doctor"), s->epoch, NULL, NULL, e);
        if (head->state == READY && view_eq(node, s->node) && head->epoch == s->epoch)
            return head_step_ask(h->d->r, node, "activate", head->uid, move, head->epoch, NULL, NULL, e);
        return head_step_ask(h->d->r, node, "drop", head->uid, move, head->epoch - 1, NULL, NULL, e);
    case FINE:
    case LOST:
    case NOBODY:
        break;
    }
    return fail(e, RC_CONFLICT, RESP_GENERIC, "this has no cure here");
}

/* The lists were read one after the other, and people move: what looks wrong is asked about once more, at both ends, before it is told. */
static void look_again(const struct heads *h, const struct seen *suspect)
{
    SCOPED(subject_done) struct subject s = { .uid = 0 };
    struct err why = ERR_NONE;
    struct head_seen now;
    struct seen acc, head = *suspect;
    rc found = subject_get_uid(h->d->r, suspect->uid, &s, &why);
    if ((found != RC_OK && found != RC_NOT_FOUND) ||
        head_ask(h->d->r, name_of(h, suspect->node), suspect->uid, &now, &why) != RC_OK) {
        doctor_tell(h->d, DOCTOR_WARNING, name_of(h, suspect->node), suspect->uid, "run doctor again",
                    "something was wrong with him, and now nobody tells more: %s", why.text);
        return;
    }
    head.epoch = now.epoch;
    head.state = (uint8_t)state_of(now.state);
    acc = (struct seen){ .uid = s.uid,
                         .epoch = s.epoch,
                         .node = s.node.p ? node_index(h->nodes, s.node) : UINT32_MAX,
                         .intent = s.intent.p != NULL };
    enum verdict v = judge(&head, found == RC_OK ? &acc : NULL);
    if (v == FINE)
        return;
    const char *mended = NULL;
    if (h->d->rules->mend && v != LOST && v != NOBODY)
        mended = mend(h, v, &head, &now, &s, &why) == RC_OK ? "mended" : why.text;
    remark(h, v, &head, found == RC_OK ? &acc : NULL, mended);
}

static void compare_all(struct heads *h)
{
    size_t k = 0;
    if (h->heads.n > 1) /* qsort takes no NULL */
        qsort(h->heads.items, h->heads.n, sizeof *h->heads.items, by_uid);
    if (h->accounts.n > 1)
        qsort(h->accounts.items, h->accounts.n, sizeof *h->accounts.items, by_uid);
    for (size_t i = 0; i < h->heads.n; i++) {
        const struct seen *head = &h->heads.items[i], *acc = NULL;
        while (k < h->accounts.n && h->accounts.items[k].uid < head->uid)
            k++;
        if (k < h->accounts.n && h->accounts.items[k].uid == head->uid)
            acc = &h->accounts.items[k];
        if (judge(head, acc) != FINE)
            look_again(h, head);
    }
}

/* ---- seats ---- */

#define SEATS_SLACK 10 /* sign-ups that came while we counted */

static rc seats_of(struct reach *r, view node, int64_t *out_capacity, int64_t *out_seats, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(json_decref) json_t *o = NULL;
    buf_addf(&path, "nodes/%.*s", VIEW_ARG(node));
    const struct reach_call c = { .method = "GET", .path = buf_text(&path), .body = VIEW_NONE };
    TRY(reach_directory_object(r, &c, &o, e));
    *out_capacity = json_integer_value(json_object_get(o, "capacity"));
    *out_seats = json_integer_value(json_object_get(o, "seats"));
    return RC_OK;
}

static rc change_seats(struct reach *r, view node, int64_t more, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer a = { .status = 0 };
    char body[48];
    buf_addf(&path, "nodes/%.*s/seats", VIEW_ARG(node));
    snprintf(body, sizeof body, "{\"%s\":%" PRId64 "}", more > 0 ? "give" : "take", more > 0 ? more : -more);
    const struct reach_call c = { .method = "POST", .path = buf_text(&path), .body = view_of(body) };
    return reach_directory(r, &c, &a, e);
}

/* Seats and users are counted apart, and whoever dies between the two loses or wins one. */
static void check_seats(const struct heads *h, uint32_t node)
{
    int64_t capacity = 0, seats = 0, users = 0;
    struct err why = ERR_NONE;
    for (size_t i = 0; i < h->accounts.n; i++)
        users += h->accounts.items[i].node == node;
    if (seats_of(h->d->r, name_of(h, node), &capacity, &seats, &why) != RC_OK || capacity == 0)
        return; /* the node of a one box has none */
    int64_t right = capacity > users ? capacity - users : 0, off = right - seats;
    if (off >= -SEATS_SLACK && off <= SEATS_SLACK)
        return;
    const char *cure = "heddle-admin doctor --mend counts anew; leave it if the seats were set on purpose";
    if (h->d->rules->mend)
        cure = change_seats(h->d->r, name_of(h, node), off, &why) == RC_OK ? "mended" : why.text;
    doctor_tell(h->d, DOCTOR_NOTE, name_of(h, node), 0, cure,
                "%" PRId64 " users live on it and its capacity is %" PRId64 ", but it has %" PRId64
                " free seats",
                users, capacity, seats);
}

rc doctor_heads(struct doctor *d, const json_t *nodes, struct err *e)
{
    struct heads h = { .d = d, .nodes = nodes, .result = RC_OK, .e = e };
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        struct err why = ERR_NONE;
        h.node = (uint32_t)i;
        rc one = lines_each(d->r, name_of(&h, h.node), "heads", take_head, &h, &why);
        if (one != RC_OK || h.result != RC_OK)
            doctor_tell(d, DOCTOR_ERROR, name_of(&h, h.node), 0,
                        "start the node; if it is dead, heddle-admin node recover",
                        "its heads cannot be read: %s", one != RC_OK ? why.text : e->text);
        h.result = RC_OK;
    }
    rc result = subjects_each(d->r, "accounts", take_account, &h, e);
    if (result == RC_OK)
        compare_all(&h);
    for (uint32_t i = 0; result == RC_OK && i < json_array_size(nodes); i++)
        check_seats(&h, i);
    free(h.heads.items);
    free(h.accounts.items);
    return result;
}
