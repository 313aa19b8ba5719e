/* heddle-admin lb explain: what the balancer does with a URL, and why. */
#include <stdlib.h>

#include "admin/ask.h"
#include "admin/lb/lb.h"
#include "admin/lb/lb_verbs.h"
#include "admin/show.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/web/server.h"

/* Path and query of what the operator typed, which may be a whole URL. */
static view target_of(const char *text)
{
    const char *at = strstr(text, "://");
    if (!at)
        return view_of(text);
    at = strchr(at + 3, '/');
    return at ? view_of(at) : VIEW("/");
}

static void put_limit(json_t *o, const char *name, int64_t limit)
{
    if (limit > 0)
        json_add(o, name, json_integer(limit));
}

/* In ten seconds. */
static void put_limits(const struct lb_conf *c, const struct lb_class *k, json_t *o)
{
    put_limit(o, "limit_address", c->limit_address);
    if (k->key.p)
        put_limit(o, "limit_user", c->limit_user);
    if (strcmp(k->name, "token") == 0)
        put_limit(o, "limit_token", c->limit_token);
    if (strcmp(k->name, "user") == 0 || strcmp(k->name, "screen") == 0)
        put_limit(o, "limit_account", c->limit_account);
    if (strcmp(k->name, "console") == 0)
        put_limit(o, "limit_console", c->limit_console);
}

struct found {
    int node;
    const char *why;
};

static struct found route_of(const struct admin_conf *c, const struct lb_model *m, const struct lb_class *k)
{
    char key[LB_KEY];
    lb_user_key(k->proto, k->key, key);
    int row = lb_users_find(&m->users, view_of(key));
    if (row >= 0)
        return (struct found){ row, "a row of his own" };
    if (strcmp(c->lb.routes, "users") == 0)
        return (struct found){ -1, "no row" };
    return (struct found){ m->slots[lb_slot(k->proto, k->key)], "his slot's" };
}

static const char *what_a_user_gets(const struct lb_model *m, struct found r)
{
    if (r.node < 0)
        return "401: the client asks the directory for its node";
    view state = m->nodes[r.node].state;
    if (view_eq(state, VIEW("down")) || view_eq(state, VIEW("maintenance")))
        return "503 with Retry-After, until the node's state is another";
    return "the node's answer; 503 with Retry-After while it does not answer; 401 if he lives elsewhere";
}

static void put_user(const struct admin_conf *c, const struct lb_model *m, const struct lb_class *k,
                     json_t *o)
{
    struct found r = route_of(c, m, k);
    json_add(o, "user", json_of_text(k->key));
    json_add(o, "slot", json_integer(lb_slot(k->proto, k->key)));
    json_add(o, "route", json_of_text(view_of(r.why)));
    if (r.node >= 0) {
        json_add(o, "node", json_of_text(m->nodes[r.node].name));
        json_add(o, "reach", json_of_text(m->nodes[r.node].reach));
        json_add(o, "state", json_of_text(m->nodes[r.node].state));
    }
    json_add(o, "gets", json_of_text(view_of(what_a_user_gets(m, r))));
}

static const char *what_others_get(const struct lb_class *k)
{
    if (strcmp(k->name, "refused") == 0)
        return "404 from the balancer: never served from outside";
    if (strcmp(k->name, "console") == 0)
        return "the console's answer";
    return "a directory's answer";
}

static rc explain(struct admin *a, struct lb_model *m, struct arena *arena, json_t *o, struct err *e)
{
    SCOPED(ask_free) struct ask *ask = NULL;
    const struct lb_conf *c = &a->conf->lb;
    struct url_parts u;
    TRY(lb_conf_check(c, e));
    if (!url_cut(view_of(c->url), &u))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "lb.url is no URL");
    struct lb_class k = lb_classify(target_of(a->argv[0]), u.base, arena);
    if (strcmp(k.name, "console") == 0 && !c->console[0])
        k.name = "refused";
    json_add(o, "class", json_of_text(view_of(k.name)));
    put_limits(c, &k, o);
    if (!k.key.p) {
        json_add(o, "gets", json_of_text(view_of(what_others_get(&k))));
        return RC_OK;
    }
    TRY(ask_new(a->conf, &ask, e));
    TRY(lb_model_nodes(a->conf, ask, m, e));
    TRY(lb_model_users(a->conf, ask, m, e));
    put_user(a->conf, m, &k, o);
    return RC_OK;
}

int lb_explain(struct admin *a)
{
    SCOPED(arena_done) struct arena arena;
    SCOPED(json_decref) json_t *o = mem_need(json_object());
    struct lb_model m = { .n = 0 };
    struct err e = ERR_NONE;
    arena_init(&arena, 1 << 20);
    rc r = explain(a, &m, &arena, o, &e);
    if (r == RC_OK)
        show_object(a, o, NULL);
    lb_model_done(&m);
    return admin_status(r, &e);
}
