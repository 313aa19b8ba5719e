#include "directory/backend/ldap_init.h"

#include <inttypes.h>
#include <stdarg.h>
#include <strings.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/scope.h"
#include "directory/backend/ldap_pack.h"
#include "directory/backend/ldap_schema.h"
#include "directory/backend/ldap_session.h"
#include "directory/backend/ldap_text.h"

/* After a counter was lost its next number lies so far behind the greatest that is still to be seen: those of accounts that were
 * deleted since are not to be given again. */
enum { COUNTER_GAP = 100000, INIT_BYTES = 1024 * 1024 };

struct init {
    const struct ldap_init_options *o;
    struct ldap_backend *backend;
    struct ldap_session *s; /* as the service */
    struct ldap_servers laying_servers;
    struct ldap_conn laying; /* as who lays the tree */
    struct arena a;
    int wrong;
};

/* ---- what is told ---- */

static void PRINTF_LIKE(3, 4) tell(struct init *x, const char *what, const char *fmt, ...)
{
    va_list args;
    if (!x->o->out)
        return;
    fprintf(x->o->out, "%-8s ", what);
    va_start(args, fmt);
    vfprintf(x->o->out, fmt, args);
    va_end(args);
    fputc('\n', x->o->out);
}

#define GOOD(x, ...)  tell((x), "ok", __VA_ARGS__)
#define NOTE(x, ...)  tell((x), "note", __VA_ARGS__)
#define WRONG(x, ...) ((x)->wrong++, tell((x), "WRONG", __VA_ARGS__))

/* ---- servers ---- */

static rc nothing(void *arg, const struct ldap_entry *entry, struct err *e)
{
    (void)arg, (void)entry, (void)e;
    return RC_OK;
}

static void check_server(struct init *x, const struct ldap_servers *like, size_t i, const char *what)
{
    static const char *const none[] = { LDAP_NO_ATTRS, NULL };
    const struct ldap_query q = { "", LDAP_SCOPE_BASE, "(objectClass=*)", none, 1 };
    struct err e = ERR_NONE;
    struct ldap_servers one = {
        .n = 1, .conf = like->conf, .bind_dn = like->bind_dn, .bind_password = like->bind_password
    };
    struct ldap_conn c;
    one.list[0].uri = like->list[i].uri;
    one.list[0].tls = like->list[i].tls;
    one.list[0].start_tls = like->list[i].start_tls;
    ldap_conn_init(&c, &one, false, 0);
    if (ldap_conn_search(&c, &q, nothing, NULL, NULL, &e) == RC_OK)
        GOOD(x, "%s %s answers and lets us in as \"%s\"", what, one.list[0].uri, like->bind_dn);
    else
        WRONG(x, "%s: %s", what, e.text);
    ldap_conn_done(&c);
}

static void check_servers(struct init *x)
{
    struct ldap_backend *b = x->backend;
    for (size_t i = 0; i < b->provider.n; i++)
        check_server(x, &b->provider, i, "provider");
    for (size_t i = 0; i < b->replicas.n; i++)
        check_server(x, &b->replicas, i, "replica");
    for (size_t i = 0; b->guest && i < b->people.n; i++)
        check_server(x, &b->people, i, "people's server");
}

/* ---- the tree ---- */

/* For the service, which is who has to find it later. */
static rc exists(struct init *x, const char *dn, bool *out, struct err *e)
{
    static const char *const none[] = { LDAP_NO_ATTRS, NULL };
    const struct ldap_query q = { dn, LDAP_SCOPE_BASE, "(objectClass=*)", none, 1 };
    size_t n = 0;
    rc r = ldap_conn_search(&x->s->provider, &q, nothing, NULL, &n, e);
    *out = r == RC_OK && n == 1;
    return r == RC_NOT_FOUND ? RC_OK : r;
}

/* Makes an entry that is missing. true: it is there now. */
static bool need_entry(struct init *x, const char *dn, struct mods *m)
{
    struct err e = ERR_NONE;
    bool there;
    if (exists(x, dn, &there, &e) != RC_OK) {
        WRONG(x, "%s: %s", dn, e.text);
        return false;
    }
    if (there) {
        GOOD(x, "%s is there", dn);
        return true;
    }
    if (x->o->check_only) {
        WRONG(x, "%s is missing, or we may not read it: run heddle-directory ldap-init", dn);
        return false;
    }
    rc r = ldap_conn_write(
        &x->laying, &(struct ldap_write){ .kind = LDAP_WRITE_ADD, .dn = dn, .mods = m->list }, NULL, &e);
    if (r == RC_CONFLICT)
        WRONG(x, "%s is there, but \"%s\" may not read it", dn, x->backend->conf->bind_dn);
    else if (r != RC_OK)
        WRONG(x, "%s is missing and cannot be made: %s", dn, e.text);
    else
        tell(x, "made", "%s", dn);
    return r == RC_OK;
}

/* The entry at ldap.base, if it is of a kind whose making needs no more than its name. */
static bool need_base(struct init *x)
{
    static const struct {
        const char *attr, *classes[2];
    } kinds[] = {
        { "ou", { "organizationalUnit", NULL } },
        { "o", { "organization", NULL } },
        { "dc", { "organization", "dcObject" } },
    };
    const char *base = x->backend->conf->base;
    struct mods m;
    LDAPDN dn = NULL;
    bool done = false;
    mods_init(&m, &x->a);
    if (ldap_str2dn(base, &dn, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS || !dn || !dn[0] || !dn[0][0]) {
        ldap_dnfree(dn);
        WRONG(x, "ldap.base is \"%s\": no DN", base);
        return false;
    }
    view attr = ldap_view(&dn[0][0]->la_attr), value = arena_copy(&x->a, ldap_view(&dn[0][0]->la_value));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (view_eq_nocase(attr, view_of(kinds[i].attr))) {
            mods_put(&m, LDAP_MOD_ADD, "objectClass", view_of(kinds[i].classes[0]));
            mods_put(&m, LDAP_MOD_ADD, kinds[i].attr, value);
            if (kinds[i].classes[1]) {
                mods_put(&m, LDAP_MOD_ADD, "objectClass", view_of(kinds[i].classes[1]));
                mods_put(&m, LDAP_MOD_ADD, "o", value);
            }
        }
    ldap_dnfree(dn);
    done = need_entry(x, base, &m);
    return done;
}

static void need_branch(struct init *x, const char *name, view dn)
{
    struct mods m;
    mods_init(&m, &x->a);
    mods_put(&m, LDAP_MOD_ADD, "objectClass", VIEW("organizationalUnit"));
    mods_put(&m, LDAP_MOD_ADD, "ou", view_of(name));
    need_entry(x, dn.p, &m);
}

struct greatest {
    int64_t n;
};

static rc see_number(void *arg, const void *name, bool *out_on, struct err *e)
{
    struct greatest *g = arg;
    uint64_t n;
    (void)out_on, (void)e;
    if (view_to_u64(*(const view *)name, INT64_MAX, &n) && (int64_t)n > g->n)
        g->n = (int64_t)n;
    return RC_OK;
}

/* The greatest account number that is in use or still to be erased. */
static rc greatest_uid(struct init *x, int64_t *out, struct err *e)
{
    struct greatest g = { 0 };
    const struct ldap_walk walks[] = {
        { .base = x->backend->users.p,
          .filter = "(objectClass=heddleAccount)",
          .attr = "uidNumber",
          .by_number = true },
        { .base = x->backend->erase.p,
          .filter = "(objectClass=heddleLeftover)",
          .attr = "cn",
          .by_number = true },
    };
    for (size_t i = 0; i < 2; i++)
        TRY(ldap_walk_each(x->s, &walks[i], see_number, &g, e));
    *out = g.n;
    return RC_OK;
}

struct counter {
    int64_t next;
    bool seen;
};

static rc read_counter(void *arg, const struct ldap_entry *entry, struct err *e)
{
    struct counter *c = arg;
    c->seen = true;
    return number_unpack(entry, "heddleNext", &c->next, e);
}

static void need_counter(struct init *x)
{
    static const char *const attrs[] = { "heddleNext", NULL };
    const char *dn = ldap_counter_dn(x->s, &x->a, "uid").p;
    const struct ldap_query q = { dn, LDAP_SCOPE_BASE, "(objectClass=heddleCounter)", attrs, 1 };
    struct counter c = { 0 };
    struct err e = ERR_NONE;
    struct mods m;
    int64_t greatest = 0;
    rc r = ldap_conn_search(&x->s->provider, &q, read_counter, &c, NULL, &e);
    if (r == RC_NOT_FOUND)
        r = RC_OK;
    if (r == RC_OK)
        r = greatest_uid(x, &greatest, &e);
    if (r != RC_OK) {
        WRONG(x, "the counter of account numbers: %s", e.text);
        return;
    }
    if (c.seen && c.next <= greatest)
        WRONG(x,
              "the counter of account numbers stands at %" PRId64 ", but %" PRId64 " is taken already: "
              "set heddleNext of %s to a number far above",
              c.next, greatest, dn);
    mods_init(&m, &x->a);
    mods_put(&m, LDAP_MOD_ADD, "objectClass", VIEW("heddleCounter"));
    mods_put(&m, LDAP_MOD_ADD, "cn", VIEW("uid"));
    mods_put_number(&m, LDAP_MOD_ADD, "heddleNext", greatest ? greatest + COUNTER_GAP : 1);
    need_entry(x, dn, &m);
}

static void need_tree(struct init *x)
{
    const struct ldap_backend *b = x->backend;
    if (!need_base(x))
        return;
    need_branch(x, "users", b->users);
    need_branch(x, "nodes", b->nodes);
    need_branch(x, "erase", b->erase);
    need_branch(x, "counters", b->counters);
    need_branch(x, "invites", b->invites);
    need_branch(x, "marks", b->marks);
    if (x->wrong == 0)
        need_counter(x);
}

/* ---- rights, by doing what the directory will do ---- */

struct trial {
    struct init *x;
    struct backend_session *s;
    view name, node, invite;
};

static rc try_account(const struct trial *t, struct err *e)
{
    struct arena *a = &t->x->a;
    const struct account_new n = { .name = t->name,
                                   .uid = UID_MAX, /* the last number of all: nobody's */
                                   .password = t->x->backend->guest ? VIEW_NONE : VIEW("heddle-check"),
                                   .node = t->node,
                                   .created_ms = 1,
                                   .epoch = 1 };
    struct account acc;
    struct change wrong = change_number(a, ATTR_EPOCH, 7, 8), right = change_number(a, ATTR_EPOCH, 1, 2);
    TRY(account_add(t->s, &n, e));
    TRY(account_get(t->s, ACCOUNT_BY_NAME, t->name, a, &acc, e));
    rc r = account_cas(t->s, t->name, &wrong, 1, e);
    if (r == RC_OK)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the server deletes values that are not there");
    if (r != RC_CONFLICT)
        return r;
    TRY(account_cas(t->s, t->name, &right, 1, e));
    if (t->x->backend->guest)
        return RC_OK;
    r = account_check_password(t->s, t->name, VIEW("heddle-check"), a, &acc, e);
    if (r == RC_DENIED)
        return fail(
            e, RC_BROKEN, RESP_GENERIC,
            "the server cannot check %s passwords (is its module loaded?), or nobody may log in: load the "
            "module, or change ldap.passwords",
            password_scheme_prefix(t->x->backend->scheme));
    return r;
}

static rc try_delete(const struct trial *t, struct err *e)
{
    TRY(account_delete(t->s, t->name, UID_MAX, 1, e));
    return erase_done(t->s, UID_MAX, e);
}

static rc try_node(const struct trial *t, struct err *e)
{
    const struct node_entry n = { .name = t->node,
                                  .url = VIEW("https://check.invalid"),
                                  .address = VIEW("https://check.invalid"),
                                  .state = NODE_CLOSED,
                                  .capacity = 1,
                                  .seats = 1 };
    int64_t got;
    TRY(node_put(t->s, &n, e));
    TRY(seats_take(t->s, t->node, 1, &got, e));
    return node_delete(t->s, t->node, e);
}

static rc try_invite(const struct trial *t, struct err *e)
{
    const struct invite x = {
        .id = t->invite, .hash = VIEW("check"), .uses = 1, .left = 1, .made_ms = 1, .end_ms = 2
    }; /* long over: nobody can use it */
    const struct invite_change take = { .left = 1, .wanted = 0, .taker = VIEW("1 1"), .comes = true };
    TRY(invite_add(t->s, &x, e));
    TRY(invite_cas(t->s, t->invite, &take, e));
    return invite_delete(t->s, t->invite, e);
}

/* Without taking a number: one that is not there is asked for, which who may not write is not even told. */
static rc try_counter(const struct trial *t, struct err *e)
{
    struct mods m;
    struct arena *a = &t->x->a;
    mods_init(&m, a);
    mods_put_number(&m, LDAP_MOD_DELETE, "heddleNext", -1);
    mods_put_number(&m, LDAP_MOD_ADD, "heddleNext", -2);
    const struct ldap_write w = { .kind = LDAP_WRITE_MODIFY,
                                  .dn = ldap_counter_dn(t->x->s, a, "uid").p,
                                  .mods = m.list };
    rc r = ldap_conn_write(&t->x->s->provider, &w, NULL, e);
    return r == RC_CONFLICT ? RC_OK : r;
}

/* What a trial that failed half-way left behind. */
static void clean_up(const struct trial *t)
{
    rc r = account_delete(t->s, t->name, UID_MAX, 1, NULL);
    if (r == RC_OK)
        r = erase_done(t->s, UID_MAX, NULL);
    if (r == RC_OK || r == RC_NOT_FOUND)
        r = node_delete(t->s, t->node, NULL);
    if (r == RC_OK || r == RC_NOT_FOUND)
        r = invite_delete(t->s, t->invite, NULL);
    if (r != RC_OK && r != RC_NOT_FOUND)
        NOTE(t->x, "an entry named %.*s may have been left behind", VIEW_ARG(t->name));
}

static void check_rights(struct init *x)
{
    static const struct {
        rc (*run)(const struct trial *t, struct err *e);
        const char *what;
    } trials[] = {
        { try_account,
          "accounts can be made, read, changed by what is expected, and their passwords checked" },
        { try_delete, "accounts can be deleted, leaving what is to be erased" },
        { try_node, "nodes can be made, seats taken" },
        { try_invite, "invite codes can be made and used" },
        { try_counter, "account numbers can be taken" },
    };
    uint64_t random;
    rand_bytes(&random, sizeof(random));
    struct trial t = { x, &x->s->base, arena_text(&x->a, "heddle-check-%" PRIx64 "@check.invalid", random),
                       arena_text(&x->a, "check-%" PRIx64 ".invalid", random),
                       arena_text(&x->a, "%08" PRIx32, (uint32_t)random) };
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        struct err e = ERR_NONE;
        if (trials[i].run(&t, &e) == RC_OK) {
            GOOD(x, "%s", trials[i].what);
            continue;
        }
        WRONG(x, "not so: %s: %s", trials[i].what, e.text);
        clean_up(&t);
        return;
    }
}

static void check_people(struct init *x)
{
    struct person p;
    struct err e = ERR_NONE;
    rc r = ldap_person_find(x->s, VIEW("heddle-check-nobody"), &x->a, &p, &e);
    if (r == RC_NOT_FOUND)
        GOOD(x, "people can be looked for under %s", x->backend->conf->people_base);
    else
        WRONG(x, "people: %s", r == RC_OK ? "there is a \"heddle-check-nobody\"" : e.text);
}

/* ---- all of it ---- */

static void run(struct init *x)
{
    check_servers(x);
    if (x->wrong)
        return;
    struct ldap_schema_report report = { .tell = x->o->out };
    x->wrong += ldap_schema_check(&x->laying, x->backend->conf->base, &x->a, &report);
    if (x->wrong)
        return;
    need_tree(x);
    if (x->wrong)
        return;
    check_rights(x);
    if (x->backend->guest)
        check_people(x);
}

rc ldap_tree_init(const struct backend_conf *c, const struct ldap_init_options *o, struct err *e)
{
    struct init x = { .o = o };
    TRY(ldap_backend_make(c, &x.backend, e));
    x.s = ldap_session_make(x.backend);
    ldap_servers_init(&x.laying_servers, &c->ldap->provider, c->ldap);
    if (o->as_dn) {
        x.laying_servers.bind_dn = o->as_dn;
        x.laying_servers.bind_password = &o->as_password;
    }
    ldap_conn_init(&x.laying, &x.laying_servers, false, 0);
    arena_init(&x.a, INIT_BYTES);
    run(&x);
    arena_done(&x.a);
    ldap_conn_done(&x.laying);
    ldap_session_free(x.s);
    ldap_backend_free(x.backend);
    if (x.wrong)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%d thing%s wrong, see above", x.wrong,
                    x.wrong == 1 ? " is" : "s are");
    return RC_OK;
}
