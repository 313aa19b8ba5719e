/* Writing what a balancer reads: its configuration through the templates, and its maps. */
#include "admin/lb/lb.h"
#include "common/auth/secrets.h"
#include "common/base/buf.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/rand.h"

enum { TEMPLATE_MAX = 1 << 20 };

#define HAPROXY_CFG "haproxy/haproxy.cfg.tmpl"
#define HOLD_LUA    "haproxy/hold.lua.tmpl"
#define NGINX_CONF  "nginx/nginx.conf.tmpl"

const struct lb_driver *lb_driver_of(const struct lb_conf *c)
{
    return strcmp(c->kind, "nginx") == 0 ? &lb_nginx : &lb_haproxy;
}

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
    SCOPED(json_decref) json_t *values = lb_values(c, m);
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
