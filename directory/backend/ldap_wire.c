/* Searching and writing over one LDAP connection, message by message. */
#include "directory/backend/ldap_wire.h"

#include <strings.h>
#include <sys/time.h>

#include "common/base/clock.h"
#include "common/base/scope.h"

enum { PAGE_ENTRIES = 500, PAGES_EMPTY_MAX = 3, REFERENCES_MAX = 1000, ATTRS_MAX = 64, VALUES_MAX = 10000 };

static int64_t now_us(void)
{
    return clock_mono_us(clock_system());
}

static int64_t deadline_us(const struct ldap_conn *c)
{
    return now_us() + c->servers->conf->timeout_s * 1000000;
}

/* What the server said in words; goes into logs alone. */
static rc refuse(struct ldap_conn *c, rc r, int code, LDAPMessage *m, struct err *e)
{
    char *why = NULL;
    int again = code;
    if (m)
        ldap_parse_result(c->ld, m, &again, NULL, &why, NULL, NULL, 0);
    err_fill(e, RESP_GENERIC, "%s: %s (%d)%s%.100s", ldap_conn_uri(c), ldap_err2string(code), code,
             why && why[0] ? ": " : "", why ? why : "");
    ldap_memfree(why);
    return r;
}

/* The library's own errors are negative. Then the connection is of no more use: libldap would open another one behind our back, as
 * nobody. */
static rc lost(struct ldap_conn *c, rc r, int code, const char *doing, struct err *e)
{
    err_fill(e, RESP_GENERIC, "%s: %s: %s", ldap_conn_uri(c), doing, ldap_err2string(code));
    ldap_conn_drop(c);
    return r;
}

/* The code of a call that did not get as far as the server. */
static rc not_sent(struct ldap_conn *c, int code, const char *doing, struct err *e)
{
    bool ours = code == LDAP_ENCODING_ERROR || code == LDAP_FILTER_ERROR || code == LDAP_PARAM_ERROR ||
                code == LDAP_NOT_SUPPORTED;
    return lost(c, ours ? RC_BROKEN : RC_AWAY, code, doing, e);
}

/* The next message for `id`; *out_msg is to be freed. RC_UNSURE: lost or too late. Whatever comes is asked for, not only `id`, which is all
 * that is under way: an answer to something else ends the connection. */
static rc next_message(struct ldap_conn *c, int id, int all, int64_t until_us, int *out_type,
                       LDAPMessage **out_msg, struct err *e)
{
    LDAPMessage *m = NULL;
    int64_t left = until_us - now_us();
    if (left < 0)
        left = 0;
    struct timeval wait = { .tv_sec = left / 1000000, .tv_usec = left % 1000000 };
    int type = ldap_result(c->ld, LDAP_RES_ANY, all, &wait, &m);
    if (type > 0 && ldap_msgid(m) == id) {
        *out_type = type;
        *out_msg = m;
        return RC_OK;
    }
    ldap_msgfree(m);
    if (type > 0)
        return lost(c, RC_UNSURE, LDAP_UNAVAILABLE, "the server ends the connection", e);
    if (type == 0)
        return lost(c, RC_UNSURE, LDAP_TIMEOUT, "no answer in time", e);
    int code = LDAP_SERVER_DOWN;
    ldap_get_option(c->ld, LDAP_OPT_RESULT_CODE, &code);
    return lost(c, RC_UNSURE, code, "no answer", e);
}

rc ldap_wire_result(struct ldap_conn *c, int id, int kind, int *out_code, LDAPMessage **out_msg,
                    struct err *e)
{
    int64_t until = deadline_us(c);
    LDAPMessage *m;
    int type, code = LDAP_OTHER;
    do {
        TRY(next_message(c, id, LDAP_MSG_ALL, until, &type, &m, e));
        if (type != LDAP_RES_INTERMEDIATE)
            break;
        ldap_msgfree(m);
    } while (true);
    int got = ldap_parse_result(c->ld, m, &code, NULL, NULL, NULL, NULL, 0);
    if (got != LDAP_SUCCESS || type != kind) {
        ldap_msgfree(m);
        return lost(c, RC_UNSURE, LDAP_DECODING_ERROR, "an answer that cannot be read", e);
    }
    *out_code = code;
    if (out_msg)
        *out_msg = m;
    else
        ldap_msgfree(m);
    return RC_OK;
}

rc ldap_wire_bind(struct ldap_conn *c, const char *dn, const char *mechanism, const struct berval *cred,
                  int *out_code, struct err *e)
{
    int id = 0, got = ldap_sasl_bind(c->ld, dn, mechanism, (struct berval *)(uintptr_t)cred, NULL, NULL, &id);
    if (got != LDAP_SUCCESS)
        return not_sent(c, got, "logging in", e);
    return ldap_wire_result(c, id, LDAP_RES_BIND, out_code, NULL, e);
}

/* ---- entries ---- */

const struct ldap_value_list *ldap_entry_values(const struct ldap_entry *x, const char *attr)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->attrs[i].n > 0 && view_eq_nocase(x->attrs[i].attr, view_of(attr)))
            return &x->attrs[i];
    return NULL;
}

static rc unreadable(struct ldap_conn *c, struct err *e)
{
    return lost(c, RC_BROKEN, LDAP_DECODING_ERROR, "an entry that cannot be read", e);
}

static bool take_values(struct arena *a, BerVarray vals, struct ldap_value_list *out)
{
    size_t n = 0;
    while (vals && vals[n].bv_val)
        n++;
    if (n > VALUES_MAX)
        return false;
    view *items = arena_alloc(a, (n ? n : 1) * sizeof(view));
    for (size_t i = 0; i < n; i++)
        items[i] = ldap_view(&vals[i]);
    out->items = items;
    out->n = n;
    return true;
}

/* Values are lent by the message. */
static rc read_entry(struct ldap_conn *c, LDAPMessage *m, struct ldap_entry *out, struct err *e)
{
    BerElement *ber = NULL;
    struct berval dn = { 0 };
    arena_reset(&c->scratch);
    struct ldap_value_list *lists = arena_zero(&c->scratch, ATTRS_MAX * sizeof(*lists));
    size_t n = 0;
    if (ldap_get_dn_ber(c->ld, m, &ber, &dn) != LDAP_SUCCESS)
        return unreadable(c, e);
    for (;;) {
        struct berval attr = { 0 };
        BerVarray vals = NULL;
        bool good = n < ATTRS_MAX && ldap_get_attribute_ber(c->ld, m, ber, &attr, &vals) == LDAP_SUCCESS;
        if (good && attr.bv_val) {
            good = take_values(&c->scratch, vals, &lists[n]);
            lists[n++].attr = ldap_view(&attr);
        }
        ber_memfree(vals);
        if (good && attr.bv_val)
            continue;
        ber_free(ber, 0);
        if (!good || c->scratch.spent)
            return unreadable(c, e);
        *out = (struct ldap_entry){ .dn = ldap_view(&dn), .attrs = lists, .n = n };
        return RC_OK;
    }
}

/* ---- searching ---- */

/* What the code of a finished search means. */
static rc search_result(struct ldap_conn *c, const struct ldap_query *q, int code, LDAPMessage *m,
                        struct err *e)
{
    switch (code) {
    case LDAP_SUCCESS:
        return RC_OK;
    case LDAP_SIZELIMIT_EXCEEDED:
        return q->limit ? RC_OK : refuse(c, RC_BROKEN, code, m, e);
    case LDAP_NO_SUCH_OBJECT:
    case LDAP_INVALID_DN_SYNTAX: /* a name that no entry can have */
        return refuse(c, RC_NOT_FOUND, code, m, e);
    case LDAP_BUSY:
    case LDAP_UNAVAILABLE:
    case LDAP_TIMELIMIT_EXCEEDED:
    case LDAP_ADMINLIMIT_EXCEEDED:
    case LDAP_OTHER:
        return refuse(c, RC_AWAY, code, m, e);
    default: /* referrals too: this server does not hold what we are told it holds */
        return refuse(c, RC_BROKEN, code, m, e);
    }
}

struct page {
    struct berval cookie; /* ours to free; empty: the first page, or none left */
    size_t entries, references;
};

static rc send_page(struct ldap_conn *c, const struct ldap_query *q, struct page *p, int *out_id,
                    struct err *e)
{
    LDAPControl *control = NULL, *controls[2] = { NULL, NULL };
    if (q->limit == 0) {
        int made = ldap_create_page_control(c->ld, PAGE_ENTRIES, &p->cookie, 1, &control);
        if (made != LDAP_SUCCESS)
            return not_sent(c, made, "paging", e);
        controls[0] = control;
    }
    struct timeval limit = { .tv_sec = c->servers->conf->timeout_s };
    int got = ldap_search_ext(c->ld, q->base, q->scope, q->filter, (char **)(uintptr_t)q->attrs, 0, controls,
                              NULL, &limit, q->limit ? q->limit + 1 : 0, out_id);
    ldap_control_free(control);
    return got == LDAP_SUCCESS ? RC_OK : not_sent(c, got, "searching", e);
}

/* The cookie of the page behind this one. */
static rc take_cookie(struct ldap_conn *c, LDAPMessage *m, struct page *p, struct err *e)
{
    LDAPControl **controls = NULL;
    int code;
    ber_int_t estimate;
    ber_memfree(p->cookie.bv_val);
    p->cookie = (struct berval){ 0 };
    if (ldap_parse_result(c->ld, m, &code, NULL, NULL, NULL, &controls, 0) != LDAP_SUCCESS)
        return unreadable(c, e);
    LDAPControl *found = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
    /* Of a control without a value the library makes a failing assertion (ber_init: "buf != NULL"), not an error. */
    bool good =
        !found || (found->ldctl_value.bv_val &&
                   ldap_parse_pageresponse_control(c->ld, found, &estimate, &p->cookie) == LDAP_SUCCESS);
    ldap_controls_free(controls);
    return good ? RC_OK : unreadable(c, e);
}

/* One entry to the visitor. Stops at a visitor's word, and at a server that sends more than it was asked for. */
static rc take_entry(struct ldap_conn *c, const struct ldap_query *q, struct page *p, LDAPMessage *m,
                     ldap_entry_visitor *visit, void *arg, struct err *e)
{
    struct ldap_entry x;
    if (++p->entries > (q->limit ? (size_t)q->limit + 1 : PAGE_ENTRIES))
        return lost(c, RC_BROKEN, LDAP_RESULTS_TOO_LARGE, "more entries than were asked for", e);
    if (q->limit && p->entries > (size_t)q->limit)
        return RC_OK;
    TRY(read_entry(c, m, &x, e));
    rc r = visit(arg, &x, e);
    if (r != RC_OK)
        ldap_conn_drop(c); /* the rest of the answer is on its way still */
    return r;
}

/* One page, or all of it. RC_UNSURE: lost under way. */
static rc search_page(struct ldap_conn *c, const struct ldap_query *q, struct page *p,
                      ldap_entry_visitor *visit, void *arg, struct err *e)
{
    int id = 0, type = 0;
    int64_t until = deadline_us(c);
    p->entries = p->references = 0;
    TRY(send_page(c, q, p, &id, e));
    for (;;) {
        LDAPMessage *m = NULL;
        rc r = RC_OK;
        TRY(next_message(c, id, LDAP_MSG_ONE, until, &type, &m, e));
        if (type == LDAP_RES_SEARCH_ENTRY) {
            r = take_entry(c, q, p, m, visit, arg, e);
        } else if (type == LDAP_RES_SEARCH_RESULT) {
            int code = LDAP_OTHER;
            if (ldap_parse_result(c->ld, m, &code, NULL, NULL, NULL, NULL, 0) != LDAP_SUCCESS)
                r = unreadable(c, e);
            else
                r = search_result(c, q, code, m, e);
            if (r == RC_OK && q->limit == 0)
                r = take_cookie(c, m, p, e);
            ldap_msgfree(m);
            return r;
        } else if (type == LDAP_RES_SEARCH_REFERENCE && ++p->references > REFERENCES_MAX) {
            r = lost(c, RC_BROKEN, LDAP_RESULTS_TOO_LARGE, "too many references", e);
        } else if (type != LDAP_RES_SEARCH_REFERENCE && type != LDAP_RES_INTERMEDIATE) {
            r = unreadable(c, e);
        }
        ldap_msgfree(m);
        TRY(r);
    }
}

static rc search_once(struct ldap_conn *c, const struct ldap_query *q, ldap_entry_visitor *visit, void *arg,
                      size_t *seen, struct err *e)
{
    struct page p = { 0 };
    int empty = 0;
    rc r;
    TRY(ldap_conn_ready(c, e));
    do {
        r = search_page(c, q, &p, visit, arg, e);
        *seen += p.entries;
        empty = p.entries ? 0 : empty + 1;
        if (r == RC_OK && empty > PAGES_EMPTY_MAX && p.cookie.bv_len)
            r = lost(c, RC_BROKEN, LDAP_CLIENT_LOOP, "empty pages without end", e);
    } while (r == RC_OK && p.cookie.bv_len);
    ber_memfree(p.cookie.bv_val);
    return r;
}

rc ldap_conn_search(struct ldap_conn *c, const struct ldap_query *q, ldap_entry_visitor *visit, void *arg,
                    size_t *out_n, struct err *e)
{
    size_t seen = 0;
    int64_t begun = now_us();
    rc r = search_once(c, q, visit, arg, &seen, e);
    /* Lost at once, before anything came: a server that was restarted. What was slow is not asked twice. */
    if ((r == RC_UNSURE || r == RC_AWAY) && !c->ld && seen == 0 && now_us() - begun < 1000000)
        r = search_once(c, q, visit, arg, &seen, e);
    if (out_n)
        *out_n = seen;
    return r == RC_UNSURE ? RC_AWAY : r;
}

/* ---- writing ---- */

static rc write_result(struct ldap_conn *c, enum ldap_write_kind kind, int code, LDAPMessage *m,
                       bool *out_refused, struct err *e)
{
    if (out_refused)
        *out_refused = code == LDAP_ASSERTION_FAILED;
    switch (code) {
    case LDAP_SUCCESS:
        return RC_OK;
    case LDAP_NO_SUCH_OBJECT:
        /* Of an add it is the place above that is missing. */
        return refuse(c, kind == LDAP_WRITE_ADD ? RC_BROKEN : RC_NOT_FOUND, code, m, e);
    case LDAP_ALREADY_EXISTS:
    case LDAP_ASSERTION_FAILED:
        return refuse(c, RC_CONFLICT, code, m, e);
    case LDAP_NO_SUCH_ATTRIBUTE:
    case LDAP_CONSTRAINT_VIOLATION: /* a second value beside one that was not expected */
    case LDAP_TYPE_OR_VALUE_EXISTS:
        return refuse(c, kind == LDAP_WRITE_MODIFY ? RC_CONFLICT : RC_BROKEN, code, m, e);
    case LDAP_INVALID_SYNTAX:
    case LDAP_INVALID_DN_SYNTAX:
        return refuse(c, RC_BAD_INPUT, code, m, e);
    case LDAP_BUSY:
    case LDAP_UNAVAILABLE:
    case LDAP_UNWILLING_TO_PERFORM: /* among others: read-only for a while */
    case LDAP_TIMELIMIT_EXCEEDED:
    case LDAP_ADMINLIMIT_EXCEEDED:
    case LDAP_OTHER:
        return refuse(c, RC_AWAY, code, m, e);
    case LDAP_REFERRAL: /* not the one that takes writes, or not now; we go by our own list */
        refuse(c, RC_AWAY, code, m, e);
        ldap_conn_drop(c);
        c->at = (c->at + 1) % c->servers->n;
        return RC_AWAY;
    default:
        return refuse(c, RC_BROKEN, code, m, e);
    }
}

static int send_write(struct ldap_conn *c, const struct ldap_write *w, int *out_id)
{
    LDAPControl *control = NULL, *controls[2] = { NULL, NULL };
    if (w->only_if) {
        int made = ldap_create_assertion_control(c->ld, (char *)(uintptr_t)w->only_if, 1, &control);
        if (made != LDAP_SUCCESS)
            return made;
        controls[0] = control;
    }
    int got = w->kind == LDAP_WRITE_ADD      ? ldap_add_ext(c->ld, w->dn, w->mods, controls, NULL, out_id)
              : w->kind == LDAP_WRITE_MODIFY ? ldap_modify_ext(c->ld, w->dn, w->mods, controls, NULL, out_id)
                                             : ldap_delete_ext(c->ld, w->dn, controls, NULL, out_id);
    ldap_control_free(control);
    return got;
}

rc ldap_conn_write(struct ldap_conn *c, const struct ldap_write *w, bool *out_refused, struct err *e)
{
    static const int answers[] = { [LDAP_WRITE_ADD] = LDAP_RES_ADD,
                                   [LDAP_WRITE_MODIFY] = LDAP_RES_MODIFY,
                                   [LDAP_WRITE_DELETE] = LDAP_RES_DELETE };
    LDAPMessage *m = NULL;
    int id = 0, code = LDAP_OTHER, got = LDAP_SERVER_DOWN;
    for (int attempt = 0; attempt < 2 && got == LDAP_SERVER_DOWN; attempt++) {
        TRY(ldap_conn_ready(c, e));
        got = send_write(c, w, &id);
        if (got != LDAP_SUCCESS) {
            rc r = not_sent(c, got, "writing", e);
            if (r != RC_AWAY || attempt)
                return r;
        }
    }
    TRY(ldap_wire_result(c, id, answers[w->kind], &code, &m, e)); /* from here on it may have happened */
    rc r = write_result(c, w->kind, code, m, out_refused, e);
    ldap_msgfree(m);
    return r;
}
