/* The steps of a move, and the list of heads. Carrying the data: manifest.c, import.c. */
#include "node/store/move.h"

#include <assert.h>

#include "node/store/internal.h"

/* leaving:  ACTIVE --freeze--> FROZEN --retire--> GONE        (thaw leads back to ACTIVE)
 * coming:   none or GONE of a lower epoch --import_begin--> IMPORTING --seal--> READY --activate--> ACTIVE;  drop leads to GONE
 * revived:  ACTIVE or FROZEN --leave--> GONE                  (the directory says that he left long ago)
 *
 * Undoing and settling may come to a node that the move never reached, or before a step that is still on its way: `drop`, `thaw` and
 * `retire` leave the move's id behind there, and the late step finds it and is refused. */

/* What the head's epoch must be, seen from the epoch in the call. */
enum epoch_rule { ANY_EPOCH, SAME, LOWER, NOT_HIGHER, HIGHER, NOT_LOWER, ONE_LOWER, ONE_HIGHER };

enum whose { ANYONES, OURS, NOT_OURS };

enum effect { CHANGES, DONE_BEFORE };

static const struct rule {
    enum head_step step;
    enum head_state from, to;
    enum epoch_rule epoch;
    enum whose whose;
    enum effect effect;
} rules[] = {
    { STEP_FREEZE, HEAD_NONE, HEAD_FROZEN, ANY_EPOCH, ANYONES, CHANGES },
    { STEP_FREEZE, HEAD_ACTIVE, HEAD_FROZEN, SAME, NOT_OURS, CHANGES }, /* ours: this move was undone */
    { STEP_FREEZE, HEAD_FROZEN, HEAD_FROZEN, SAME, OURS, DONE_BEFORE },

    { STEP_THAW, HEAD_NONE, HEAD_ACTIVE, ANY_EPOCH, ANYONES, CHANGES },
    { STEP_THAW, HEAD_FROZEN, HEAD_ACTIVE, SAME, OURS, CHANGES },
    { STEP_THAW, HEAD_ACTIVE, HEAD_ACTIVE, SAME, OURS, DONE_BEFORE },
    { STEP_THAW, HEAD_ACTIVE, HEAD_ACTIVE, SAME, NOT_OURS, CHANGES },

    { STEP_IMPORT_BEGIN, HEAD_NONE, HEAD_IMPORTING, ANY_EPOCH, ANYONES, CHANGES },
    { STEP_IMPORT_BEGIN, HEAD_GONE, HEAD_IMPORTING, LOWER, NOT_OURS, CHANGES }, /* ours: it was dropped */
    { STEP_IMPORT_BEGIN, HEAD_IMPORTING, HEAD_IMPORTING, SAME, OURS, DONE_BEFORE },

    { STEP_SEAL, HEAD_IMPORTING, HEAD_READY, SAME, OURS, CHANGES },
    { STEP_SEAL, HEAD_READY, HEAD_READY, SAME, OURS, DONE_BEFORE },

    { STEP_ACTIVATE, HEAD_READY, HEAD_ACTIVE, SAME, OURS, CHANGES },
    { STEP_ACTIVATE, HEAD_ACTIVE, HEAD_ACTIVE, SAME, ANYONES,
      DONE_BEFORE }, /* by a client's credential, too */

    { STEP_RETIRE, HEAD_NONE, HEAD_GONE, ANY_EPOCH, ANYONES, CHANGES },
    { STEP_RETIRE, HEAD_FROZEN, HEAD_GONE, ONE_LOWER, OURS, CHANGES },
    { STEP_RETIRE, HEAD_GONE, HEAD_GONE, NOT_LOWER, ANYONES, DONE_BEFORE },

    { STEP_DROP, HEAD_NONE, HEAD_GONE, ANY_EPOCH, ANYONES, CHANGES },
    { STEP_DROP, HEAD_IMPORTING, HEAD_GONE, ONE_HIGHER, OURS, CHANGES },
    { STEP_DROP, HEAD_READY, HEAD_GONE, ONE_HIGHER, OURS, CHANGES },
    { STEP_DROP, HEAD_GONE, HEAD_GONE, NOT_HIGHER, ANYONES, CHANGES },
    { STEP_DROP, HEAD_GONE, HEAD_GONE, HIGHER, ANYONES, DONE_BEFORE },

    { STEP_ERASE, HEAD_NONE, HEAD_GONE, ANY_EPOCH, ANYONES, CHANGES },
    { STEP_ERASE, HEAD_ACTIVE, HEAD_GONE, SAME, ANYONES, CHANGES },
    { STEP_ERASE, HEAD_GONE, HEAD_GONE, NOT_HIGHER, ANYONES, CHANGES },

    /* A lower epoch than ours is what a directory says that is behind: not acted on. */
    { STEP_LEAVE, HEAD_ACTIVE, HEAD_GONE, NOT_HIGHER, ANYONES, CHANGES },
    { STEP_LEAVE, HEAD_FROZEN, HEAD_GONE, LOWER, ANYONES, CHANGES },
    { STEP_LEAVE, HEAD_GONE, HEAD_GONE, ANY_EPOCH, ANYONES, DONE_BEFORE },
};
#define RULES_N (sizeof rules / sizeof rules[0])

static bool epoch_fits(enum epoch_rule rule, int64_t head, int64_t call)
{
    switch (rule) {
    case ANY_EPOCH:
        return true;
    case SAME:
        return head == call;
    case LOWER:
        return head < call;
    case NOT_HIGHER:
        return head <= call;
    case HIGHER:
        return head > call;
    case NOT_LOWER:
        return head >= call;
    case ONE_LOWER:
        return head == call - 1;
    case ONE_HIGHER:
        return head - 1 == call;
    }
    return false;
}

/* NULL: not legal. */
static const struct rule *rule_for(const struct head *h, view head_move, const struct move *m,
                                   enum head_step step)
{
    bool ours = h->state != HEAD_NONE && view_eq(head_move, m->id);
    for (size_t i = 0; i < RULES_N; i++) {
        const struct rule *r = &rules[i];
        if (r->step == step && r->from == h->state && epoch_fits(r->epoch, h->epoch, m->epoch) &&
            (r->whose == ANYONES || (r->whose == OURS) == ours))
            return r;
    }
    return NULL;
}

bool head_may(enum head_state from, enum head_step step)
{
    for (size_t i = 0; i < RULES_N; i++) {
        if (rules[i].from == from && rules[i].step == step)
            return true;
    }
    return false;
}

/* ---- names ---- */

static const char *const state_names[] = {
    [HEAD_NONE] = "none",           [HEAD_ACTIVE] = "active", [HEAD_FROZEN] = "frozen",
    [HEAD_IMPORTING] = "importing", [HEAD_READY] = "ready",   [HEAD_GONE] = "gone",
};

static const char *const step_names[] = {
    [STEP_FREEZE] = "freeze", [STEP_THAW] = "thaw",         [STEP_IMPORT_BEGIN] = "import_begin",
    [STEP_SEAL] = "seal",     [STEP_ACTIVATE] = "activate", [STEP_RETIRE] = "retire",
    [STEP_DROP] = "drop",     [STEP_ERASE] = "erase",       [STEP_LEAVE] = "leave",
};
#define STEPS_N (sizeof step_names / sizeof step_names[0])

const char *head_state_name(enum head_state state)
{
    size_t i = (size_t)state; /* what a row says need not be one of ours */
    return i < sizeof state_names / sizeof state_names[0] ? state_names[i] : "unknown";
}

const char *head_step_name(enum head_step step)
{
    return step_names[step];
}

bool head_step_parse(view name, enum head_step *out)
{
    for (size_t i = 0; i < STEPS_N; i++) {
        if (view_eq(name, view_of(step_names[i]))) {
            *out = (enum head_step)i;
            return true;
        }
    }
    return false;
}

/* ---- heads ---- */

static rc check_move(const struct move *m, struct err *e)
{
    if (m->uid < 0 || m->epoch <= 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "uid %lld and epoch %lld of a move", (long long)m->uid,
                    (long long)m->epoch);
    if (m->id.n == 0 || m->id.n > MOVE_ID_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a move's id has 1 to %d bytes", MOVE_ID_MAX);
    return RC_OK;
}

static rc read_move(struct store_txn *tx, view *out, struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    bool row = false;
    TRY(tx_stmt(tx, SQL_HEAD_MOVE, &st, e));
    bind_int(st, 1, tx->head->uid);
    TRY(stmt_step(st, &row, e));
    view id = row ? col_bytes(st, 0) : VIEW_NONE;
    *out = id.p ? arena_copy(tx->arena, id) : VIEW_NONE;
    return RC_OK;
}

/* tx_open, the head's move with it. */
static rc open_move(struct store_session *ss, int64_t uid, enum store_mode mode, struct arena *a,
                    struct store_txn **out, view *out_move, struct err *e)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    bool found = false;
    *out_move = VIEW_NONE;
    TRY(tx_open(ss, uid, mode, a, &tx, &found, e));
    if (found)
        TRY(read_move(tx, out_move, e));
    *out = tx;
    tx = NULL;
    return RC_OK;
}

rc store_head_get(struct store_session *ss, int64_t uid, struct arena *a, struct head_info *out,
                  struct err *e)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    view move;
    TRY(open_move(ss, uid, STORE_READ, a, &tx, &move, e));
    *out = (struct head_info){ .head = *tx->head, .move = move };
    return RC_OK;
}

/* ---- steps ---- */

static rc refuse(const struct head *h, view head_move, const struct move *m, enum head_step step,
                 struct err *e)
{
    return fail(e, RC_CONFLICT, RESP_GENERIC,
                "%s of uid %lld in move %.*s to epoch %lld: the head is %s, of epoch %lld and move %.*s",
                head_step_name(step), (long long)h->uid, VIEW_ARG(m->id), (long long)m->epoch,
                head_state_name(h->state), (long long)h->epoch, VIEW_ARG(head_move));
}

static rc compare_sums(struct store_txn *tx, const struct manifest_sum *theirs, struct err *e)
{
    struct manifest_sum own;
    store_manifest_base(tx, theirs->base);
    TRY(store_manifest_sum(tx, &own, e));
    if (own.clock.cs < theirs->clock.cs)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "uid %lld: the clock here is behind the one he comes from",
                    (long long)tx->head->uid);
    if (memcmp(own.hash, theirs->hash, sizeof own.hash) != 0)
        return fail(e, RC_CONFLICT, RESP_GENERIC, "uid %lld: what was imported is not what was sent",
                    (long long)tx->head->uid);
    return RC_OK;
}

/* What a step does beside changing the head. */
static rc work(struct store_txn *tx, enum head_step step, const struct manifest_sum *sum, struct err *e)
{
    switch (step) {
    case STEP_FREEZE:
        return tx_drop_batches(tx, e);
    case STEP_SEAL:
        return compare_sums(tx, sum, e);
    case STEP_DROP: /* of GONE it is the erase that takes what an earlier stay left */
        return tx->head->state == HEAD_GONE ? RC_OK : tx_drop_data(tx, e);
    case STEP_ERASE:
        return tx_drop_data(tx, e);
    case STEP_THAW:
    case STEP_IMPORT_BEGIN:
    case STEP_ACTIVATE:
    case STEP_RETIRE:
    case STEP_LEAVE:
        return RC_OK;
    }
    return RC_OK;
}

static rc change_head(struct store_txn *tx, const struct move *m, enum head_state to, struct err *e)
{
    struct head *h = tx->head;
    struct stmt *st = NULL;
    h->epoch = m->epoch;
    if (h->state != to)
        h->since_ms = clock_now_us(tx->session->store->clock) / 1000;
    h->state = to;
    TRY(tx_stmt(tx, SQL_HEAD_STEP, &st, e));
    bind_int(st, 1, h->uid);
    bind_int(st, 2, h->epoch);
    bind_int(st, 3, h->state);
    bind_int(st, 4, h->since_ms);
    bind_bytes(st, 5, m->id);
    return stmt_run(st, NULL, e);
}

/* One attempt. *out_missing: there was no row, and the step makes one that begins in that state. */
static rc try_step(struct store_session *ss, const struct move *m, enum head_step step,
                   const struct manifest_sum *sum, struct arena *a, struct head_info *out,
                   enum head_state *out_missing, struct err *e)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    view move;
    *out_missing = HEAD_NONE;
    TRY(open_move(ss, m->uid, STORE_WRITE, a, &tx, &move, e));
    const struct rule *rule = rule_for(tx->head, move, m, step);
    if (!rule)
        return refuse(tx->head, move, m, step, e);
    if (rule->from == HEAD_NONE) {
        *out_missing = rule->to;
        return RC_OK;
    }
    if (rule->effect == CHANGES) {
        TRY(work(tx, step, sum, e));
        TRY(change_head(tx, m, rule->to, e));
        move = arena_copy(a, m->id);
    }
    struct head_info info = { .head = *tx->head, .move = move };
    rc r = store_commit(&tx, e);
    if (r == RC_OK && out)
        *out = info;
    return r == RC_UNSURE ? RC_AWAY : r;
}

rc store_head_step(struct store_session *ss, const struct move *m, enum head_step step,
                   const struct manifest_sum *sum, struct arena *a, struct head_info *out, struct err *e)
{
    TRY(check_move(m, e));
    if (step == STEP_SEAL && !sum)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "seal without a sum");
    for (int attempt = 0; attempt < 3; attempt++) {
        enum head_state missing = HEAD_NONE;
        TRY(try_step(ss, m, step, sum, a, out, &missing, e));
        if (missing == HEAD_NONE)
            return RC_OK;
        struct new_head made = { .uid = m->uid, .epoch = m->epoch, .state = missing, .move = m->id };
        TRY(head_insert(ss, &made, e));
    }
    return fail(e, RC_BROKEN, RESP_GENERIC, "the head of uid %lld does not stay", (long long)m->uid);
}

/* ---- the two ends of a pass ---- */

static bool may_export(const struct head *h, view head_move, const struct move *m)
{
    bool same = h->epoch == m->epoch, ours = view_eq(head_move, m->id);
    switch (h->state) {
    case HEAD_NONE:
        return true;
    case HEAD_ACTIVE:
        return same;
    case HEAD_FROZEN:
    case HEAD_IMPORTING:
    case HEAD_READY:
        return same && ours;
    case HEAD_GONE:
        return false;
    }
    return false;
}

static rc wrong_state(const struct head *h, const struct move *m, const char *what, struct err *e)
{
    return fail(e, RC_CONFLICT, RESP_GENERIC,
                "%s of uid %lld in move %.*s, epoch %lld: the head is %s of epoch %lld", what,
                (long long)h->uid, VIEW_ARG(m->id), (long long)m->epoch, head_state_name(h->state),
                (long long)h->epoch);
}

rc store_export_begin(struct store_session *ss, const struct move *m, struct arena *a, struct store_txn **out,
                      struct err *e)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    view move;
    TRY(check_move(m, e));
    TRY(open_move(ss, m->uid, STORE_READ, a, &tx, &move, e));
    if (!may_export(tx->head, move, m))
        return wrong_state(tx->head, m, "export", e);
    *out = tx;
    tx = NULL;
    return RC_OK;
}

rc store_inspect_begin(struct store_session *ss, int64_t uid, struct arena *a, struct store_txn **out,
                       view *out_move, struct err *e)
{
    return open_move(ss, uid, STORE_READ, a, out, out_move, e);
}

rc store_import_begin(struct store_session *ss, const struct move *m, struct arena *a, struct store_txn **out,
                      struct err *e)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    view move;
    TRY(check_move(m, e));
    TRY(open_move(ss, m->uid, STORE_WRITE, a, &tx, &move, e));
    if (tx->head->state != HEAD_IMPORTING || tx->head->epoch != m->epoch || !view_eq(move, m->id))
        return wrong_state(tx->head, m, "import", e);
    *out = tx;
    tx = NULL;
    return RC_OK;
}

/* ---- the list ---- */

struct listing {
    struct head_info *heads; /* the lowest ones so far, by uid */
    size_t n, most;
};

static void list_row(struct stmt *st, struct arena *a, struct head_info *out)
{
    view move = col_bytes(st, 8);
    *out = (struct head_info){
        .head = { .uid = col_int(st, 0),
                  .epoch = col_int(st, 1),
                  .state = (enum head_state)col_int(st, 2),
                  .since_ms = col_int(st, 3),
                  .clock = stamp_from_ms(col_int(st, 4)),
                  .modified = stamp_from_ms(col_int(st, 5)),
                  .used_bytes = col_int(st, 6),
                  .quota_bytes = col_int(st, 7) },
        .move = move.p ? arena_copy(a, move) : VIEW_NONE,
    };
}

/* The shard's heads that may belong to the page, behind those that are there. */
static rc list_shard(struct conn *c, int64_t after, struct listing *l, struct arena *a, size_t *out_n,
                     struct err *e)
{
    SCOPED(stmt_done) struct stmt *st = NULL;
    TRY(conn_stmt(c, SQL_HEADS_LIST, &st, e));
    bind_int(st, 1, after);
    bind_int(st, 2, l->n == l->most ? l->heads[l->n - 1].head.uid : INT64_MAX);
    bind_int(st, 3, (int64_t)l->most);
    for (size_t n = 0;; n++) {
        bool row = false;
        TRY(stmt_step(st, &row, e));
        if (!row) {
            *out_n = n;
            return RC_OK;
        }
        assert(n < l->most);
        list_row(st, a, &l->heads[l->n + n]);
    }
}

/* Two sorted runs, `more` heads behind the first ones, become one; what does not fit falls off. */
static void merge(struct listing *l, size_t more, struct head_info *scratch)
{
    size_t i = 0, j = l->n, end = l->n + more, n = 0;
    while (n < l->most && (i < l->n || j < end)) {
        bool first = j == end || (i < l->n && l->heads[i].head.uid < l->heads[j].head.uid);
        scratch[n++] = first ? l->heads[i++] : l->heads[j++];
    }
    for (size_t k = 0; k < n; k++)
        l->heads[k] = scratch[k];
    l->n = n;
}

rc store_heads_list(struct store_session *ss, int64_t after, unsigned limit, struct arena *a,
                    const struct head_info **out, size_t *out_n, struct err *e)
{
    assert(!ss->in_txn && limit >= 1 && limit <= HEADS_PAGE_MAX);
    struct listing l = { .heads = arena_alloc(a, 2 * limit * sizeof *l.heads), .most = limit };
    struct head_info *scratch = arena_alloc(a, limit * sizeof *scratch);
    for (unsigned shard = 0; shard < ss->store->engine->shards; shard++) {
        struct conn *c = NULL;
        size_t more = 0;
        TRY(session_begin(ss, shard, STORE_READ, &c, e));
        rc r = list_shard(c, after, &l, a, &more, e);
        c->driver->rollback(c);
        TRY(r);
        merge(&l, more, scratch);
    }
    *out = l.heads;
    *out_n = l.n;
    return RC_OK;
}
