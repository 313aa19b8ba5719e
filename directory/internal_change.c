/* What the admin changes of accounts: the steps of a move by compare-and-set, who may log in, what is done with erasing; and the word to
 * other directory processes that something changed. Protocol: docs/internal-api.md, "Accounts". */
#include <inttypes.h>

#include "common/base/log.h"
#include "directory/choice.h"
#include "directory/internal.h"

enum { TEXT_MOST = 512, NEWS_MOST = 1000, TRIES = 8 };

/* ---- finding ---- */

/* By the number in the path, as it is decided. */
static rc find(const struct request *rq, int64_t uid, struct account *out, struct err *e)
{
    struct directory_worker *w = rq->worker;
    return account_truth(w->session, ACCOUNT_BY_UID, arena_text(rq->arena, "%" PRId64, uid), rq->arena, out,
                         e);
}

static rc answer_with(struct request *rq, view name, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct account acc;
    TRY(account_truth(w->session, ACCOUNT_BY_NAME, name, rq->arena, &acc, e));
    internal_account_put(reply_body(rq), &acc);
    return RC_OK;
}

static void log_change(const struct request *rq, const char *what, int64_t uid)
{
    LOG(LOG_INFO, what, LOG_I("uid", uid), LOG_V("by", internal_caller(rq)->name), LOG_V("id", rq->id));
}

/* ---- compare and set ---- */

static bool is_plain(view v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < 0x20 || v.p[i] == 0x7f)
            return false;
    return v.n > 0 && v.n <= TEXT_MOST;
}

static bool is_placed(view v)
{
    view ms;
    uint64_t n;
    return is_plain(v) && view_cut(&v, ' ', &ms) && v.n > 0 && view_to_u64(ms, INT64_MAX, &n);
}

static bool is_epoch(view v)
{
    uint64_t n;
    return view_to_u64(v, INT64_MAX, &n) && n > 0 && v.p[0] != '0';
}

static bool is_erase(view v)
{
    struct erase x;
    return is_plain(v) && erase_parse(v, &x);
}

/* What an admin may change, and the form of its values. Everything else goes through its own verb, because others have to hear of it,
 * or is the accounts server's and the user's own. */
static const struct {
    enum account_attr attr;
    bool (*ok)(view value);
} changeable[] = {
    { ATTR_NODE, is_plain },   { ATTR_PLACED, is_placed }, { ATTR_EPOCH, is_epoch },
    { ATTR_INTENT, is_plain }, { ATTR_ERASE, is_erase },
};

static rc check_value(enum account_attr attr, view value, struct err *e)
{
    for (size_t i = 0; i < sizeof(changeable) / sizeof(changeable[0]); i++)
        if (changeable[i].attr == attr)
            return !value.p || changeable[i].ok(value)
                       ? RC_OK
                       : fail(e, RC_BAD_INPUT, RESP_GENERIC, "\"%.60s\" is no value of %s",
                              value.n ? value.p : "", account_attr_name(attr));
    return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s is not an admin's to change", account_attr_name(attr));
}

/* [attribute, expected or null, wanted or null] */
static rc read_change(const json_t *row, struct change *out, struct err *e)
{
    const json_t *expected = json_array_get(row, 1), *wanted = json_array_get(row, 2);
    view attr = json_text(json_array_get(row, 0));
    if (json_array_size(row) != 3 || !attr.p || !(json_is_null(expected) || json_is_string(expected)) ||
        !(json_is_null(wanted) || json_is_string(wanted)))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "a change is [attribute, expected or null, new or null], all of them texts");
    if (!account_attr_parse(attr, &out->attr))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "there is no attribute \"%.60s\"", attr.p);
    out->expected = json_text(expected);
    out->wanted = json_text(wanted);
    TRY(check_value(out->attr, out->expected, e));
    return check_value(out->attr, out->wanted, e);
}

/* The changes to single values, by attribute; NULL: none. */
static const struct change *change_of(const struct change *c, size_t n, enum account_attr attr)
{
    for (size_t i = 0; i < n; i++)
        if (c[i].attr == attr)
            return &c[i];
    return NULL;
}

/* What holds for all moves: an epoch only grows; who changes hands gets another, else the node before would not refuse him; and his
 * new node is one that we know, else the next login would take him for homeless. */
static rc check_move(const struct request *rq, const struct change *c, size_t n, struct err *e)
{
    struct directory_worker *w = rq->worker;
    const struct change *node = change_of(c, n, ATTR_NODE), *epoch = change_of(c, n, ATTR_EPOCH);
    uint64_t from = 0, to = 0;
    struct node_entry entry;
    bool hands = node && node->expected.p && !(node->wanted.p && view_eq(node->expected, node->wanted));
    if (epoch && (!epoch->expected.p || !epoch->wanted.p))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "an account always has an epoch");
    if (epoch && (!view_to_u64(epoch->expected, INT64_MAX, &from) ||
                  !view_to_u64(epoch->wanted, INT64_MAX, &to) || to < from || (hands && to == from)))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "an epoch only grows");
    if (hands && !epoch)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "another node needs another epoch");
    if (!node || !node->wanted.p)
        return RC_OK;
    rc r = node_get(w->session, node->wanted, rq->arena, &entry, e);
    if (r == RC_NOT_FOUND)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "there is no node \"%.*s\"", VIEW_ARG(node->wanted));
    return r;
}

static rc read_changes(const struct request *rq, const json_t *body, struct change *out, size_t *out_n,
                       struct err *e)
{
    const json_t *list = json_object_get(body, "changes"), *row;
    size_t i, n = json_array_size(list);
    if (!json_is_array(list) || n == 0 || n >= ACCOUNT_CHANGES) /* one is ours */
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "changes must be a list of 1 to %d", ACCOUNT_CHANGES - 1);
    json_array_foreach (list, i, row) {
        TRY(read_change(row, &out[i], e));
        if (!account_attr_many(out[i].attr) && change_of(out, i, out[i].attr))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s twice", account_attr_name(out[i].attr));
    }
    *out_n = n;
    return check_move(rq, out, n, e);
}

rc internal_account_cas(struct request *rq, struct err *e)
{
    static const char *const members[] = { "changes", NULL };
    struct directory_worker *w = rq->worker;
    SCOPED(json_decref) json_t *body = NULL;
    struct change changes[ACCOUNT_CHANGES] = { 0 };
    struct account acc;
    int64_t uid;
    size_t n = 0;

    TRY(internal_uid(rq, &uid, e));
    TRY(internal_body(rq, members, &body, e));
    TRY(read_changes(rq, body, changes, &n, e));
    TRY(find(rq, uid, &acc, e));
    /* He keeps this number while it happens: a name alone could be another user's by now. */
    changes[n] = change_number(rq->arena, ATTR_UID_NUMBER, uid, uid);
    rc r = account_cas(w->session, acc.name, changes, n + 1, e);
    if (r == RC_OK || r == RC_UNSURE)
        if (change_of(changes, n, ATTR_NODE) || change_of(changes, n, ATTR_EPOCH))
            directory_forget(w->d, acc.name, 0);
    TRY(r);
    log_change(rq, "account changed", uid);
    return answer_with(rq, acc.name, e);
}

/* ---- who may log in ---- */

/* "No" is what we write; whoever wrote something else meant no. */
static rc enable_once(struct request *rq, const struct account *acc, bool on, view before, struct err *e)
{
    struct directory_worker *w = rq->worker;
    int64_t now_ms = on ? 0 : directory_now_ms(w->d);
    const struct change c[] = {
        { ATTR_ENABLED, before, on ? VIEW("Yes") : VIEW("No") },
        change_number(rq->arena, ATTR_DISABLED, acc->disabled_ms, now_ms),
        change_number(rq->arena, ATTR_UID_NUMBER, acc->uid, acc->uid),
    };
    return account_cas(w->session, acc->name, c, sizeof(c) / sizeof(c[0]), e);
}

static rc set_enabled(struct request *rq, bool on, struct account *out, struct err *e)
{
    int64_t uid;
    TRY(internal_uid(rq, &uid, e));
    for (int i = 0; i < TRIES; i++) {
        TRY(find(rq, uid, out, e));
        /* Done already; but one disabled behind our back gets the moment from which nodes hear of it. */
        if (on ? out->enabled : !out->enabled && out->disabled_ms > 0)
            return RC_OK;
        rc r = enable_once(rq, out, on, out->enabled ? VIEW("Yes") : VIEW("No"), e);
        if (r != RC_CONFLICT)
            return r;
    }
    return fail(e, RC_CONFLICT, RESP_GENERIC, "account-enabled of account %" PRId64 " is neither Yes nor No",
                uid);
}

/* Also when it is done already, or perhaps: who asks again wants to be sure that all nodes hear of it. */
rc internal_account_disable(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct account acc = { 0 };
    rc r = set_enabled(rq, false, &acc, e);
    if (r == RC_OK || r == RC_UNSURE)
        directory_forget(w->d, acc.name, acc.uid);
    TRY(r);
    log_change(rq, "account disabled", acc.uid);
    return answer_with(rq, acc.name, e);
}

rc internal_account_enable(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct account acc;
    TRY(set_enabled(rq, true, &acc, e));
    directory_allow(w->d, acc.uid);
    log_change(rq, "account enabled", acc.uid);
    return answer_with(rq, acc.name, e);
}

/* A number is never given twice, so refusing the tokens of one that is gone (by an attempt of which nobody knew how it ended) harms
 * nobody. */
rc internal_account_delete(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct account acc = { 0 };
    int64_t uid;
    TRY(internal_uid(rq, &uid, e));
    rc r = find(rq, uid, &acc, e);
    if (r == RC_OK)
        r = account_delete(w->session, acc.name, uid, directory_now_ms(w->d), e);
    if (r == RC_OK || r == RC_NOT_FOUND)
        directory_forget(w->d, acc.name, uid);
    TRY(r);
    log_change(rq, "account deleted", uid);
    buf_add(reply_body(rq), VIEW("{}"));
    return RC_OK;
}

/* ---- erasing ---- */

rc internal_erase_done(struct request *rq, struct err *e)
{
    struct directory_worker *w = rq->worker;
    int64_t uid;
    TRY(internal_uid(rq, &uid, e));
    TRY(erase_done(w->session, uid, e));
    log_change(rq, "erase done", uid);
    buf_add(reply_body(rq), VIEW("{}"));
    return RC_OK;
}

/* ---- seats ---- */

/* {"take":n} gives {"got":m}, m <= n; {"give":n} gives back. */
rc internal_node_seats(struct request *rq, struct err *e)
{
    static const char *const members[] = { "take", "give", NULL };
    struct directory_worker *w = rq->worker;
    SCOPED(json_decref) json_t *body = NULL;
    int64_t take = 0, give = 0, got = 0;
    TRY(internal_body(rq, members, &body, e));
    TRY(internal_number(body, "take", 1, &take, e));
    TRY(internal_number(body, "give", 1, &give, e));
    if (!take == !give)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "one of take and give is needed");
    rc r = take ? seats_take(w->session, rq->params[0], take, &got, e)
                : seats_give(w->session, rq->params[0], give, e);
    choice_changed(w->d);
    TRY(r);
    LOG(LOG_INFO, take ? "seats taken" : "seats given back", LOG_V("node", rq->params[0]),
        LOG_I("seats", take ? got : give), LOG_V("by", internal_caller(rq)->name), LOG_V("id", rq->id));
    if (take)
        buf_addf(reply_body(rq), "{\"got\":%" PRId64 "}", got);
    else
        buf_add(reply_body(rq), VIEW("{}"));
    return RC_OK;
}

/* ---- news of other directory processes ---- */

static rc hear_name(struct directory_worker *w, view name, struct err *e)
{
    if (name.n == 0 || name.n > ACCOUNT_NAME_MAX || memchr(name.p, '\0', name.n))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "names must be a list of names of accounts");
    account_changed(w->session, name);
    directory_forget(w->d, name, 0);
    return RC_OK;
}

static rc hear_uid(const struct request *rq, const json_t *number, struct err *e)
{
    struct account acc;
    if (!json_is_integer(number) || json_integer_value(number) < 1)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "uids must be a list of account numbers");
    rc r = find(rq, json_integer_value(number), &acc, e);
    if (r == RC_NOT_FOUND) /* deleted: who deletes tells the name, too */
        return RC_OK;
    TRY(r);
    return hear_name(rq->worker, acc.name, e);
}

rc internal_news(struct request *rq, struct err *e)
{
    static const char *const members[] = { "uids", "names", NULL };
    SCOPED(json_decref) json_t *body = NULL;
    size_t i;
    const json_t *x;
    TRY(internal_body(rq, members, &body, e));
    const json_t *uids = json_object_get(body, "uids"), *names = json_object_get(body, "names");
    if ((uids && !json_is_array(uids)) || (names && !json_is_array(names)) || (!uids && !names) ||
        json_array_size(uids) + json_array_size(names) > NEWS_MOST)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "uids or names must be lists, of at most %d", NEWS_MOST);
    json_array_foreach (names, i, x)
        TRY(hear_name(rq->worker, json_text(x), e));
    json_array_foreach (uids, i, x)
        TRY(hear_uid(rq, x, e));
    buf_add(reply_body(rq), VIEW("{}"));
    return RC_OK;
}
