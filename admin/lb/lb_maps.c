/* The rows of the maps, the same for both balancers but for their form. */
#include <inttypes.h>

#include "admin/lb/lb.h"
#include "common/auth/secrets.h"
#include "common/base/buf.h"
#include "common/web/server.h"

const char *lb_map_name(enum lb_map map)
{
    static const char *const names[LB_MAPS] = { "slots15", "slots11", "users",       "states", "backoff",
                                                "hosts",   "classes", "unavailable", "down",   "held" };
    return names[map];
}

unsigned lb_map_files(const struct lb_conf *c, enum lb_map map)
{
    return map == LB_USERS && lb_driver_of(c) == &lb_haproxy ? LB_SHARDS : 1;
}

void lb_map_path(const struct lb_conf *c, enum lb_map map, unsigned file, struct buf *out)
{
    buf_addf(out, "%s/maps/%s", c->folder, lb_map_name(map));
    if (lb_map_files(c, map) > 1)
        buf_addf(out, "-%02u", file);
    buf_add(out, VIEW(".map"));
}

/* ---- slots ---- */

/* HAProxy knows the slot of a name as three bytes of which the low four bits count. */
static unsigned spread(unsigned slot)
{
    return (slot >> 8 & 15) << 16 | (slot >> 4 & 15) << 8 | (slot & 15);
}

static void slot_rows(const struct lb_model *m, bool names, lb_visit *visit, void *arg)
{
    for (unsigned s = 0; s < SLOTS; s++) {
        char key[16];
        int n = snprintf(key, sizeof(key), "%u", names ? spread(s) : s);
        if (m->slots[s] >= 0)
            visit(arg, (view){ .p = key, .n = (size_t)n }, m->nodes[m->slots[s]].id);
    }
}

/* nginx looks up the last four digits of a uid (of a shorter one all), and up to three hex digits of a name. */
static void digit_rows(const struct lb_model *m, lb_visit *visit, void *arg)
{
    static const unsigned ends[] = { 10, 100, 1000, 10000 };
    for (int digits = 1; digits <= 4; digits++)
        for (unsigned i = 0; i < ends[digits - 1]; i++) {
            char key[16];
            int owner = m->slots[slot_of_uid(i)];
            int n = snprintf(key, sizeof(key), "%0*u", digits, i);
            if (owner >= 0)
                visit(arg, (view){ .p = key, .n = (size_t)n }, m->nodes[owner].id);
        }
}

static void hex_rows(const struct lb_model *m, lb_visit *visit, void *arg)
{
    static const unsigned ends[] = { 16, 256, 4096 };
    for (int digits = 1; digits <= 3; digits++)
        for (unsigned i = 0; i < ends[digits - 1]; i++) {
            char key[16];
            int n = snprintf(key, sizeof(key), "%0*x", digits, i);
            if (m->slots[i] >= 0)
                visit(arg, (view){ .p = key, .n = (size_t)n }, m->nodes[m->slots[i]].id);
        }
}

/* ---- the others ---- */

static void shard_rows(const struct lb_model *m, unsigned shard, lb_visit *visit, void *arg)
{
    const struct lb_table *t = &m->users.shards[shard];
    for (size_t i = 0; i < t->n; i++)
        visit(arg, view_of(t->rows[i].key), m->nodes[t->rows[i].node].id);
}

static void user_rows(const struct lb_conf *c, const struct lb_model *m, unsigned file, lb_visit *visit,
                      void *arg)
{
    if (lb_map_files(c, LB_USERS) == LB_SHARDS) {
        shard_rows(m, file, visit, arg);
        return;
    }
    for (unsigned s = 0; s < LB_SHARDS; s++)
        shard_rows(m, s, visit, arg);
}

static void state_rows(const struct lb_model *m, lb_visit *visit, void *arg)
{
    for (size_t i = 0; i < m->n; i++)
        visit(arg, m->nodes[i].id, m->nodes[i].state);
}

static bool is_number(view v)
{
    uint64_t seconds;
    return view_to_u64(v, 604800, &seconds);
}

/* all=60 is a row for every node that has none of its own, and for "all": who goes to the directory. */
static void backoff_rows(const struct lb_conf *c, const struct lb_model *m, lb_visit *visit, void *arg)
{
    view everywhere = VIEW_NONE;
    for (size_t i = 0; i < c->backoff.n; i++) {
        view seconds = view_of(c->backoff.items[i]), name;
        view_cut(&seconds, '=', &name);
        if (is_number(seconds) && view_eq(name, VIEW("all")))
            everywhere = seconds;
    }
    if (everywhere.p)
        visit(arg, VIEW("all"), everywhere);
    for (size_t k = 0; k < m->n; k++) {
        view value = everywhere;
        for (size_t i = 0; i < c->backoff.n; i++) {
            view seconds = view_of(c->backoff.items[i]), name;
            view_cut(&seconds, '=', &name);
            if (is_number(seconds) && view_eq(name, m->nodes[k].name))
                value = seconds;
        }
        if (value.p)
            visit(arg, m->nodes[k].id, value);
    }
}

/* Host and port as clients send them: the port is left out where it is the scheme's. */
static view host_header(view url, char *out, size_t room)
{
    struct url_parts u;
    if (!url_cut(url, &u))
        return VIEW_NONE;
    bool usual = u.port == (view_eq(u.scheme, VIEW("https")) ? 443u : 80u);
    int n = usual ? snprintf(out, room, "%.*s", VIEW_ARG(u.host))
                  : snprintf(out, room, "%.*s:%u", VIEW_ARG(u.host), u.port);
    for (int i = 0; i < n; i++)
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] - 'A' + 'a');
    return (view){ .p = out, .n = (size_t)n };
}

/* Direct mode: nodes that have a name of their own for clients. */
static void host_rows(const struct lb_conf *c, const struct lb_model *m, lb_visit *visit, void *arg)
{
    char ours[300], theirs[300];
    view public = host_header(view_of(c->url), ours, sizeof(ours));
    for (size_t i = 0; i < m->n; i++) {
        view host = host_header(m->nodes[i].address, theirs, sizeof(theirs));
        if (host.p && !view_eq(host, public))
            visit(arg, host, m->nodes[i].id);
    }
}

static void word_rows(const struct lb_word *words, lb_visit *visit, void *arg)
{
    for (; words->key; words++)
        visit(arg, view_of(words->key), view_of(words->value));
}

/* Without an address of its own the console is not served. */
static void class_rows(const struct lb_conf *c, lb_visit *visit, void *arg)
{
    for (const struct lb_word *w = lb_classes; w->key; w++)
        visit(arg, view_of(w->key),
              strcmp(w->value, "console") == 0 && !c->console[0] ? VIEW("refused") : view_of(w->value));
}

void lb_map_rows(const struct admin_conf *c, const struct lb_model *m, enum lb_map map, unsigned file,
                 lb_visit *visit, void *arg)
{
    bool haproxy = lb_driver_of(&c->lb) == &lb_haproxy;
    switch (map) {
    case LB_SLOTS15:
        if (haproxy)
            slot_rows(m, false, visit, arg);
        else
            digit_rows(m, visit, arg);
        break;
    case LB_SLOTS11:
        if (haproxy)
            slot_rows(m, true, visit, arg);
        else
            hex_rows(m, visit, arg);
        break;
    case LB_USERS:
        user_rows(&c->lb, m, file, visit, arg);
        break;
    case LB_STATES:
        state_rows(m, visit, arg);
        break;
    case LB_BACKOFF:
        backoff_rows(&c->lb, m, visit, arg);
        break;
    case LB_HOSTS:
        host_rows(&c->lb, m, visit, arg);
        break;
    case LB_CLASSES:
        class_rows(&c->lb, visit, arg);
        break;
    case LB_UNAVAILABLE:
        word_rows(lb_unavailable, visit, arg);
        break;
    case LB_DOWN:
        word_rows(lb_down, visit, arg);
        break;
    case LB_HELD: /* not of the model: lb_hold.c */
    case LB_MAPS:
        break;
    }
}

/* ---- digests ---- */

void lb_digest_add(struct lb_digest *d, view key, view value)
{
    SCOPED(buf_done) struct buf row = { 0 };
    uint8_t hash[SHA256_BYTES];
    buf_add(&row, key);
    buf_addc(&row, ' ');
    buf_add(&row, value);
    sha256(buf_view(&row), hash);
    for (int i = 0; i < 4; i++) {
        uint64_t part;
        memcpy(&part, hash + 8 * i, sizeof(part));
        d->sum[i] += part;
    }
    d->rows++;
}

void lb_digest_text(const struct lb_digest *d, char out[65])
{
    for (int i = 0; i < 4; i++)
        snprintf(out + 16 * i, 17, "%016" PRIx64, d->sum[i]);
}
