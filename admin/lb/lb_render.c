/* Writing what a balancer reads: its configuration through the templates, and its maps. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "admin/lb/lb.h"
#include "common/auth/secrets.h"
#include "common/base/buf.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/web/server.h"

enum {
    TEMPLATE_MAX = 1 << 20,
    BODY_OTHER = 128 << 10 /* of what goes to a directory, bytes */
};

#define HAPROXY_CFG "haproxy/haproxy.cfg.tmpl"
#define HOLD_LUA    "haproxy/hold.lua.tmpl"
#define NGINX_CONF  "nginx/nginx.conf.tmpl"

const struct lb_driver *lb_driver_of(const struct lb_conf *c)
{
    return strcmp(c->kind, "nginx") == 0 ? &lb_nginx : &lb_haproxy;
}

/* ---- values of the templates ---- */

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

static json_t *values_of(const struct admin_conf *a, const struct lb_model *m)
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

/* ---- rendering ---- */

static rc template_of(const struct lb_conf *c, const char *name, struct buf *out, struct err *e)
{
    if (c->templates[0]) {
        SCOPED(buf_done) struct buf path = { 0 };
        buf_addf(&path, "%s/%s", c->templates, name);
        return lb_read_file(buf_text(&path), TEMPLATE_MAX, out, e);
    }
    view text = lb_template_text(name);
    if (!text.p)
        return fail(e, RC_BROKEN, RESP_GENERIC, "no template %s is built in", name);
    buf_add(out, text);
    return RC_OK;
}

static rc render_text(const struct admin_conf *c, const json_t *values, const char *template, struct buf *out,
                      struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    struct err why = ERR_NONE;
    TRY(template_of(&c->lb, template, &text, e));
    if (lb_template(buf_view(&text), values, out, &why) != RC_OK)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s, %.180s", template, why.text);
    return RC_OK;
}

static rc put_file(const struct admin_conf *c, const char *file, view text, struct lb_batch *batch,
                   struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    buf_addf(&path, "%s/%s", c->lb.folder, file);
    return lb_batch_put(batch, buf_text(&path), text, e);
}

struct writing {
    struct buf out;
    bool nginx;
};

/* nginx takes some words for orders of its own. */
static bool is_special(view key)
{
    static const char *const words[] = { "default", "include", "hostnames", "volatile" };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (view_eq(key, view_of(words[i])))
            return true;
    return false;
}

static void put_row(void *arg, view key, view value)
{
    struct writing *w = arg;
    if (!w->nginx) {
        buf_addf(&w->out, "%.*s %.*s\n", VIEW_ARG(key), VIEW_ARG(value));
        return;
    }
    if (is_special(key))
        buf_addc(&w->out, '\\');
    buf_addf(&w->out, "%.*s '%.*s';\n", VIEW_ARG(key), VIEW_ARG(value));
}

static rc write_map(const struct admin_conf *c, const struct lb_model *m, enum lb_map map, unsigned file,
                    struct lb_batch *batch, struct err *e)
{
    struct writing w = { .nginx = lb_driver_of(&c->lb) == &lb_nginx };
    SCOPED(buf_done) struct buf path = { 0 };
    lb_map_path(&c->lb, map, file, &path);
    lb_map_rows(c, m, map, file, put_row, &w);
    rc r = lb_batch_put(batch, buf_text(&path), buf_view(&w.out), e);
    buf_done(&w.out);
    return r;
}

static rc write_maps(const struct admin_conf *c, const struct lb_model *m, int from, int end,
                     struct lb_batch *batch, struct err *e)
{
    for (int map = from; map < end; map++)
        for (unsigned file = 0; file < lb_map_files(&c->lb, (enum lb_map)map); file++)
            TRY(write_map(c, m, (enum lb_map)map, file, batch, e));
    return RC_OK;
}

/* ---- what nginx says of itself ---- */

static void add_to_digest(void *arg, view key, view value)
{
    lb_digest_add(arg, key, value);
}

static void put_location(struct buf *b, const char *name, const char *value)
{
    buf_addf(b, "location = /%s { return 200 '%s'; }\n", name, value);
}

/* The digests of the maps as they are now, and a new generation. */
static rc write_digests(const struct admin_conf *c, const struct lb_model *m, struct lb_batch *batch,
                        struct err *e)
{
    SCOPED(buf_done) struct buf out = { 0 };
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf generation = { 0 };
    uint8_t bytes[8];
    for (int map = 0; map <= LB_HOSTS; map++) {
        struct lb_digest d = { .rows = 0 };
        char sum[65], text[100];
        lb_map_rows(c, m, (enum lb_map)map, 0, add_to_digest, &d);
        lb_digest_text(&d, sum);
        snprintf(text, sizeof(text), "%llu %s", (unsigned long long)d.rows, sum);
        put_location(&out, lb_map_name((enum lb_map)map), text);
    }
    rand_bytes(bytes, sizeof(bytes));
    hex_put(&generation, (view){ .p = (const char *)bytes, .n = sizeof(bytes) });
    put_location(&out, "generation", buf_text(&generation));
    buf_addf(&path, "%s/maps/digests.conf", c->lb.folder);
    TRY(lb_batch_put(batch, buf_text(&path), buf_view(&out), e));
    buf_clear(&path);
    buf_addf(&path, "%s/maps/generation", c->lb.folder);
    return lb_batch_put(batch, buf_text(&path), buf_view(&generation), e);
}

rc lb_generation(const struct lb_conf *c, struct buf *out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    buf_addf(&path, "%s/maps/generation", c->folder);
    return lb_read_file(buf_text(&path), 100, out, e);
}

/* Maps that change at run time. */
static rc put_maps(const struct admin_conf *c, const struct lb_model *m, struct lb_batch *batch,
                   struct err *e)
{
    TRY(write_maps(c, m, 0, LB_HOSTS + 1, batch, e));
    return lb_driver_of(&c->lb) == &lb_nginx ? write_digests(c, m, batch, e) : RC_OK;
}

rc lb_render_maps(const struct admin_conf *c, const struct lb_model *m, struct err *e)
{
    struct lb_batch batch = { .n = 0 };
    rc r = put_maps(c, m, &batch, e);
    if (r == RC_OK)
        r = lb_batch_commit(&batch, e);
    lb_batch_done(&batch);
    return r;
}

rc lb_render_file(const struct admin_conf *c, const struct lb_model *m, enum lb_map map, unsigned file,
                  struct err *e)
{
    struct lb_batch batch = { .n = 0 };
    rc r = write_map(c, m, map, file, &batch, e);
    if (r == RC_OK)
        r = lb_batch_commit(&batch, e);
    lb_batch_done(&batch);
    return r;
}

/* The same files always have the same generation: a hash of them, but for the generation itself. */
static rc put_generation(const struct admin_conf *c, json_t *values, struct err *e)
{
    SCOPED(buf_done) struct buf all = { 0 };
    SCOPED(buf_done) struct buf hex = { 0 };
    uint8_t hash[SHA256_BYTES];
    json_add(values, "generation", json_of_text(VIEW("none")));
    TRY(render_text(c, values, HAPROXY_CFG, &all, e));
    TRY(render_text(c, values, HOLD_LUA, &all, e));
    sha256(buf_view(&all), hash);
    hex_put(&hex, (view){ .p = (const char *)hash, .n = 16 });
    json_add(values, "generation", json_of_text(buf_view(&hex)));
    return RC_OK;
}

/* HAProxy's sections, by the word that begins them; "global" alone says what a process is known by. */
static bool begins_other_section(view word)
{
    static const char *const words[] = { "defaults", "frontend",  "backend",     "listen",
                                         "peers",    "resolvers", "http-errors", "mailers",
                                         "userlist", "program",   "ring",        "cache" };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (view_eq(word, view_of(words[i])))
            return true;
    return false;
}

view lb_description(view config)
{
    bool global = false;
    view line, word;
    while (view_cut(&config, '\n', &line)) {
        line = view_trim(line);
        word = (view){ .p = line.p, .n = 0 };
        while (word.n < line.n && line.p[word.n] != ' ' && line.p[word.n] != '\t')
            word.n++;
        if (view_eq(word, VIEW("global")))
            global = true;
        else if (begins_other_section(word))
            global = false;
        else if (global && view_eq(word, VIEW("description")))
            return view_trim((view){ .p = line.p + word.n, .n = line.n - word.n });
    }
    return VIEW_NONE;
}

/* Without these lines nobody could see that a reload is done; a template of somebody's own may lack them. */
static rc check_haproxy(view text, const json_t *values, struct err *e)
{
    if (view_eq(lb_description(text), json_text(json_object_get(values, "generation"))))
        return RC_OK;
    return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                HAPROXY_CFG
                " needs the line \"description {{generation}}\" in its section \"global\": by it \"lb "
                "push\" sees that a reload is done");
}

static rc check_nginx(const struct lb_conf *c, view text, struct err *e)
{
    SCOPED(buf_done) struct buf socket = { 0 };
    SCOPED(buf_done) struct buf digests = { 0 };
    buf_addf(&socket, "listen unix:%s/nginx.sock;", c->folder);
    buf_addf(&digests, "include %s/maps/digests.conf;", c->folder);
    if (memmem(text.p, text.n, socket.p, socket.n) && memmem(text.p, text.n, digests.p, digests.n))
        return RC_OK;
    return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                NGINX_CONF " needs the server that has \"listen unix:{{folder}}/nginx.sock;\" and \"include "
                           "{{folder}}/maps/digests.conf;\": by it \"lb push\" sees that a reload is done");
}

static rc put_configuration(const struct admin_conf *c, const struct lb_model *m, struct lb_batch *batch,
                            struct err *e)
{
    SCOPED(json_decref) json_t *values = values_of(c, m);
    SCOPED(buf_done) struct buf text = { 0 };
    if (lb_driver_of(&c->lb) == &lb_nginx) {
        TRY(render_text(c, values, NGINX_CONF, &text, e));
        TRY(check_nginx(&c->lb, buf_view(&text), e));
        return put_file(c, "nginx.conf", buf_view(&text), batch, e);
    }
    TRY(put_generation(c, values, e));
    TRY(render_text(c, values, HAPROXY_CFG, &text, e));
    TRY(check_haproxy(buf_view(&text), values, e));
    TRY(put_file(c, "haproxy.cfg", buf_view(&text), batch, e));
    buf_clear(&text);
    TRY(render_text(c, values, HOLD_LUA, &text, e));
    return put_file(c, "hold.lua", buf_view(&text), batch, e);
}

/* The configuration comes last: whoever starts in between finds every map that it names. */
static rc put_all(const struct admin_conf *c, const struct lb_model *m, struct lb_batch *batch,
                  bool *out_changed, struct err *e)
{
    TRY(put_maps(c, m, batch, e));
    TRY(lb_held_put(&c->lb, batch, e));
    size_t live = batch->n;
    TRY(write_maps(c, m, LB_HOSTS + 1, LB_HELD, batch, e));
    TRY(put_configuration(c, m, batch, e));
    *out_changed = batch->n > live;
    return RC_OK;
}

rc lb_render(const struct admin_conf *c, const struct lb_model *m, bool *out_changed, struct err *e)
{
    SCOPED(buf_done) struct buf maps = { 0 };
    struct lb_batch batch = { .n = 0 };
    bool changed = false;
    TRY(lb_conf_check(&c->lb, e));
    buf_addf(&maps, "%s/maps", c->lb.folder);
    TRY(lb_make_folder(c->lb.folder, e));
    TRY(lb_make_folder(buf_text(&maps), e));
    rc r = put_all(c, m, &batch, &changed, e);
    if (r == RC_OK)
        r = lb_batch_commit(&batch, e);
    lb_batch_done(&batch);
    TRY(r);
    *out_changed = changed;
    return RC_OK;
}
