/* What the templates say of this balancer: their names and values, from configuration and model. */
#include "admin/lb/lb.h"
#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/web/server.h"

enum { BODY_OTHER = 128 << 10 /* of what goes to a directory, bytes */ };

/* A section that is there or not: a list of one object or of none. */
static json_t *section(bool there, json_t *object)
{
    json_t *list = mem_need(json_array());
    if (there)
        json_array_append_new(list, object);
    else
        json_decref(object);
    return list;
}

static view listed(const struct conf_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++) {
        view rest = view_of(list->items[i]), head;
        view_cut(&rest, '=', &head);
        if (rest.p && view_eq(view_trim(head), view_of(name)))
            return view_trim(rest);
    }
    return VIEW_NONE;
}

static json_t *with_reach(view reach)
{
    json_t *o = mem_need(json_object());
    json_add(o, "reach", json_of_text(reach));
    return o;
}

static json_t *listeners(const struct lb_conf *c)
{
    json_t *list = mem_need(json_array());
    for (size_t i = 0; i < c->listen.n; i++) {
        json_t *tls = mem_need(json_object()), *o = mem_need(json_object());
        json_add(tls, "cert", json_of_text(view_of(c->tls_cert)));
        json_add(o, "address", json_of_text(view_of(c->listen.items[i])));
        json_add(o, "tls", section(c->tls_cert[0], tls));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *directories(const struct lb_conf *c)
{
    json_t *list = mem_need(json_array());
    for (size_t i = 0; i < c->directories.n; i++) {
        json_t *o = with_reach(view_of(c->directories.items[i]));
        json_add(o, "number", json_integer((json_int_t)i + 1));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *tls_of(const struct lb_conf *c, const struct lb_node *n)
{
    json_t *o = mem_need(json_object());
    json_add(o, "ca", json_of_text(view_of(c->ca_file)));
    json_add(o, "host", json_of_text(n->host));
    return section(n->tls, o);
}

static json_t *nodes(const struct lb_conf *c, const struct lb_model *m)
{
    json_t *list = mem_need(json_array());
    for (size_t i = 0; i < m->n; i++) {
        const struct lb_node *n = &m->nodes[i];
        json_t *o = with_reach(n->reach);
        char name[256];
        snprintf(name, sizeof(name), "%.*s", VIEW_ARG(n->name));
        view canary = listed(&c->canary, name);
        json_add(o, "id", json_of_text(n->id));
        json_add(o, "scheme", json_of_text(n->tls ? VIEW("https") : VIEW("http")));
        json_add(o, "tls", tls_of(c, n));
        json_add(o, "canary", section(canary.p, with_reach(canary)));
        json_array_append_new(list, o);
    }
    return list;
}

/* What clients of both protocols, the User API and its screens send, and what frames a message. */
static const char *const request_headers[] = {
    "accept",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "host",
    "if-modified-since",
    "if-none-match",
    "origin",
    "pragma",
    "referer",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "transfer-encoding",
    "user-agent",
    "x-client-state",
    "x-confirm-delete",
    "x-if-modified-since",
    "x-if-unmodified-since",
    "x-keyid",
    "x-weave-bytes",
    "x-weave-password-reset",
    "x-weave-records",
    "x-weave-secret",
    "x-weave-total-bytes",
    "x-weave-total-records",
};
#define N_HEADERS (sizeof(request_headers) / sizeof(request_headers[0]))

static bool frames(const char *name)
{
    static const char *const framing[] = { "connection", "content-length", "expect", "host",
                                           "transfer-encoding" };
    for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++)
        if (strcmp(framing[i], name) == 0)
            return true;
    return false;
}

static void add_header(json_t *list, struct buf *pattern, const char *name)
{
    char variable[80];
    size_t n = strlen(name);
    buf_addf(pattern, "%s%s", pattern->n ? "|" : "", name);
    if (frames(name) || n >= sizeof(variable))
        return;
    for (size_t i = 0; i <= n; i++)
        variable[i] = name[i] == '-' ? '_' : name[i];
    json_t *o = mem_need(json_object());
    json_add(o, "header", json_of_text(view_of(name)));
    json_add(o, "variable", json_of_text(view_of(variable)));
    json_array_append_new(list, o);
}

static void put_headers(const struct lb_conf *c, json_t *o)
{
    SCOPED(buf_done) struct buf pattern = { 0 };
    json_t *list = mem_need(json_array());
    for (size_t i = 0; i < N_HEADERS; i++)
        add_header(list, &pattern, request_headers[i]);
    for (size_t i = 0; i < c->headers.n; i++)
        add_header(list, &pattern, c->headers.items[i]);
    json_add(o, "headers", json_of_text(buf_view(&pattern)));
    json_add(o, "header_list", list);
}

static void put_networks(const struct lb_conf *c, json_t *o)
{
    SCOPED(buf_done) struct buf all = { 0 };
    json_t *list = mem_need(json_array());
    for (size_t i = 0; i < c->free.n; i++) {
        json_t *net = mem_need(json_object());
        buf_addf(&all, "%s%s", all.n ? " " : "", c->free.items[i]);
        json_add(net, "net", json_of_text(view_of(c->free.items[i])));
        json_array_append_new(list, net);
    }
    json_add(o, "free", json_of_text(all.n ? buf_view(&all) : VIEW("255.255.255.255")));
    json_add(o, "free_list", list);
}

/* Numbers; a limit of 0 is one that nobody reaches. */
static void put_numbers(const struct lb_conf *c, json_t *o)
{
    const struct {
        const char *name;
        int64_t value;
        bool limit;
    } all[] = {
        { "connections", c->connections, false },
        { "queue_wait", c->queue_wait_s, false },
        { "hold", c->hold_s, false },
        { "slowstart", c->slowstart_s, false },
        { "node_requests", c->node_requests, false },
        { "retry_least", c->retry_after_s, false },
        { "retry_spread", c->retry_after_s + 1, false },
        { "url_bytes", c->url_bytes, false },
        { "body_15", c->body_15, false },
        { "body_11", c->body_11, false },
        { "body_other", BODY_OTHER, false },
        { "canary_percent", c->canary_percent, false },
        { "limit_address", c->limit_address, true },
        { "limit_user", c->limit_user, true },
        { "limit_token", c->limit_token, true },
        { "limit_account", c->limit_account, true },
        { "limit_console", c->limit_console, true },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        json_add(o, all[i].name, json_integer(all[i].limit && all[i].value == 0 ? INT32_MAX : all[i].value));
}

/* nginx has no numbers to compare: a pattern of all whole numbers from `least` on does it. */
static void put_at_least(struct buf *b, uint64_t least)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)least);
    buf_addf(b, "%s|[1-9]", digits);
    for (int i = 0; i < n; i++)
        buf_add(b, VIEW("[0-9]"));
    buf_add(b, VIEW("[0-9]*"));
    for (int i = 0; i < n; i++) {
        if (digits[i] == '9')
            continue;
        buf_addf(b, "|%.*s[%c-9]", i, digits, digits[i] + 1);
        for (int k = i + 1; k < n; k++)
            buf_add(b, VIEW("[0-9]"));
    }
}

static void put_pattern(json_t *o, const char *name, uint64_t least)
{
    SCOPED(buf_done) struct buf pattern = { 0 };
    put_at_least(&pattern, least);
    json_add(o, name, json_of_text(buf_view(&pattern)));
}

/* For each back-off that is asked for: the pattern of a node's own that is as large or larger. */
static json_t *patterns(const struct lb_conf *c)
{
    json_t *list = mem_need(json_array());
    for (size_t i = 0; i < c->backoff.n; i++) {
        view seconds = view_of(c->backoff.items[i]), name;
        uint64_t least;
        view_cut(&seconds, '=', &name);
        if (!seconds.p || !view_to_u64(view_trim(seconds), 604800, &least))
            continue;
        json_t *o = mem_need(json_object());
        json_add(o, "seconds", json_integer((json_int_t)least));
        put_pattern(o, "pattern", least);
        json_array_append_new(list, o);
    }
    return list;
}

/* limit_req counts by a rate and a burst: a burst as large as what is allowed in ten seconds, refilled at that rate. */
static json_t *limits(const struct lb_conf *c)
{
    const struct {
        const char *zone, *key;
        int64_t most;
    } all[] = {
        { "address", "count_address", c->limit_address },
        { "token", "count_token", c->limit_token },
        { "account", "count_account", c->limit_account },
        { "console", "count_console", c->limit_console },
        { "user", "key", c->limit_user },
    };
    json_t *list = mem_need(json_array());
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].most == 0)
            continue;
        json_t *o = mem_need(json_object());
        json_add(o, "zone", json_of_text(view_of(all[i].zone)));
        json_add(o, "limit_key", json_of_text(view_of(all[i].key)));
        json_add(o, "rate", json_integer(6 * all[i].most));
        json_add(o, "burst", json_integer(all[i].most));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *chars(void)
{
    json_t *list = mem_need(json_array());
    for (int i = 1; i <= 3; i++) {
        json_t *o = mem_need(json_object());
        json_add(o, "number", json_integer(i));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *shards(void)
{
    json_t *list = mem_need(json_array());
    for (int i = 0; i < LB_SHARDS; i++) {
        char name[16];
        json_t *o = mem_need(json_object());
        snprintf(name, sizeof(name), "%02d", i);
        json_add(o, "number", json_integer(i));
        json_add(o, "shard", json_of_text(view_of(name)));
        json_array_append_new(list, o);
    }
    return list;
}

/* What nginx needs besides. */
static void put_for_nginx(const struct lb_conf *c, const struct lb_model *m, json_t *o)
{
    SCOPED(buf_done) struct buf log = { 0 };
    size_t rows = 3 * 10000 + 2 * (lb_users_count(&m->users, LB_15) + lb_users_count(&m->users, LB_11));
    if (strcmp(c->log, "stdout") == 0)
        buf_addf(&log, "%s/access.log", c->folder);
    else
        buf_add(&log, view_of(c->log));
    json_add(o, "access_log", json_of_text(buf_view(&log)));
    json_add(o, "ca_file", json_of_text(view_of(c->ca_file)));
    json_add(o, "map_hash", json_integer((json_int_t)rows));
    json_add(o, "patterns", patterns(c));
    json_add(o, "limits", limits(c));
    json_add(o, "chars", chars());
    put_pattern(o, "above_body_15", (uint64_t)c->body_15 + 1);
    put_pattern(o, "above_body_other", BODY_OTHER + 1);
}

static json_t *spread(const struct lb_conf *c)
{
    static const char digits[] = "0123456789abcdef";
    json_t *list = mem_need(json_array());
    for (int i = 0; i < 16; i++) {
        json_t *o = mem_need(json_object());
        json_add(o, "digit", json_of_text((view){ .p = digits + i, .n = 1 }));
        json_add(o, "seconds", json_integer(c->retry_after_s + c->retry_after_s * i / 15));
        json_array_append_new(list, o);
    }
    return list;
}

json_t *lb_values(const struct admin_conf *a, const struct lb_model *m)
{
    const struct lb_conf *c = &a->lb;
    json_t *o = mem_need(json_object()), *base = mem_need(json_object()), *user = mem_need(json_object());
    struct url_parts u = { .base = VIEW("") };
    view canary = listed(&c->canary, "directory");

    (void)url_cut(view_of(c->url), &u); /* checked before */
    json_add(base, "base", json_of_text(u.base));
    json_add(base, "base_bytes", json_integer((json_int_t)u.base.n));
    json_add(o, "base", section(u.base.n > 0, base));
    json_add(o, "folder", json_of_text(view_of(c->folder)));
    json_add(o, "log", json_of_text(view_of(c->log)));
    json_add(o, "listen", listeners(c));
    json_add(o, "directories", directories(c));
    json_add(o, "directory_canary", section(canary.p, with_reach(canary)));
    json_add(user, "user", json_of_text(view_of(c->user)));
    json_add(o, "as_user", section(c->user[0], user));
    json_add(o, "console", section(c->console[0], with_reach(view_of(c->console))));
    json_add(o, "nodes", nodes(c, m));
    json_add(o, "spread", spread(c));
    json_add(o, "shard_count", json_integer(LB_SHARDS));
    json_add(o, "shards", shards());
    put_for_nginx(c, m, o);
    put_headers(c, o);
    put_networks(c, o);
    put_numbers(c, o);
    return o;
}
