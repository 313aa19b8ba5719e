#include <assert.h>
#include <inttypes.h>

#include "common/base/conf_inside.h"
#include "common/base/mem.h"
#include "common/base/scope.h"

/* --- numbers --- */

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit sizes[] = {
    { "", 1 },
    { "k", INT64_C(1) << 10 },
    { "KiB", INT64_C(1) << 10 },
    { "m", INT64_C(1) << 20 },
    { "MiB", INT64_C(1) << 20 },
    { "g", INT64_C(1) << 30 },
    { "GiB", INT64_C(1) << 30 },
    { "t", INT64_C(1) << 40 },
    { "TiB", INT64_C(1) << 40 },
};
static const struct unit times[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };

static bool read_digits(view *v, int64_t *out)
{
    size_t n = 0;
    uint64_t number;

    while (n < v->n && v->p[n] >= '0' && v->p[n] <= '9')
        n++;
    if (n == 0 || !view_to_u64((view){ .p = v->p, .n = n }, INT64_MAX, &number))
        return false;
    *out = (int64_t)number;
    *v = (view){ .p = v->p + n, .n = v->n - n };
    return true;
}

static bool read_with_unit(view v, const struct unit *units, size_t n, int64_t *out)
{
    int64_t number;

    if (!read_digits(&v, &number))
        return false;
    v = view_trim(v);
    for (size_t i = 0; i < n; i++)
        if (view_eq_nocase(v, view_of(units[i].name)))
            return !__builtin_mul_overflow(number, units[i].factor, out);
    return false;
}

static bool read_int(view v, int64_t *out)
{
    bool negative = v.n > 0 && v.p[0] == '-';
    int64_t number;

    if (negative)
        v = (view){ .p = v.p + 1, .n = v.n - 1 };
    if (!read_digits(&v, &number) || v.n > 0)
        return false;
    *out = negative ? -number : number;
    return true;
}

static bool read_bool(view v, int64_t *out)
{
    static const char *const words[][2] = {
        { "no", "yes" }, { "false", "true" }, { "off", "on" }, { "0", "1" }
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        for (int64_t b = 0; b < 2; b++)
            if (view_eq_nocase(v, view_of(words[i][b]))) {
                *out = b;
                return true;
            }
    return false;
}

static bool read_number(enum conf_type type, view v, int64_t *out)
{
    switch (type) {
    case CONF_INT:
        return read_int(v, out);
    case CONF_BOOL:
        return read_bool(v, out);
    case CONF_SIZE:
        return read_with_unit(v, sizes, sizeof sizes / sizeof sizes[0], out);
    case CONF_SECONDS:
        return read_with_unit(v, times, sizeof times / sizeof times[0], out);
    case CONF_TEXT:
    case CONF_LIST:
        break;
    }
    return false;
}

static const char *wanted(enum conf_type type)
{
    switch (type) {
    case CONF_INT:
        return "a whole number";
    case CONF_BOOL:
        return "yes or no";
    case CONF_SIZE:
        return "a size such as 512, 16k or 2m";
    case CONF_SECONDS:
        return "a time in seconds, or such as 30s, 5m, 2h or 1d";
    case CONF_TEXT:
    case CONF_LIST:
        break;
    }
    return "a text";
}

/* A secret is not repeated in a sentence. */
static view shown(const struct conf_key *k, view text)
{
    if (k->flags & CONF_SECRET)
        return VIEW("(hidden)");
    return text.n > 40 ? (view){ .p = text.p, .n = 40 } : text;
}

static const char *plural_unit(const struct conf_key *k)
{
    if (k->unit && k->unit[0])
        return k->unit;
    return k->type == CONF_SIZE ? "bytes" : k->type == CONF_SECONDS ? "s" : "";
}

static rc set_number(struct conf_value *v, const struct conf_key *k, view text, const struct conf_where *at,
                     struct err *e)
{
    const char *unit = plural_unit(k);
    int64_t number;

    if (!read_number(k->type, text, &number))
        return conf_complain(at, e, "%s must be %s, not \"%.*s\"", k->name, wanted(k->type),
                             VIEW_ARG(shown(k, text)));
    if ((k->least != 0 || k->most != 0) && (number < k->least || number > k->most))
        return conf_complain(at, e, "%s must lie between %" PRId64 " and %" PRId64 "%s%s, not be \"%.*s\"",
                             k->name, k->least, k->most, unit[0] ? " " : "", unit, VIEW_ARG(shown(k, text)));
    v->number = number;
    return RC_OK;
}

/* --- lists --- */

struct grown {
    char **items;
    size_t n;
};

static void grown_done_scoped(struct grown *g)
{
    free(g->items);
}

static void grow(struct grown *g, char *item)
{
    g->items = mem_need(realloc(g->items, (g->n + 1) * sizeof *g->items));
    g->items[g->n++] = item;
}

static struct grown grown_from(const struct conf_list *l)
{
    struct grown g = { 0 };

    for (size_t i = 0; i < l->n; i++)
        grow(&g, l->items[i]);
    return g;
}

/* "@FILE": one item a line; blank lines do not count. */
static rc add_from_file(struct grown *items, const struct conf_key *k, const char *path,
                        struct conf_pool *pool, const struct conf_where *at, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    view rest, line;
    rc r;

    if (path[0] == '\0')
        return conf_complain(at, e, "%s: the name of a file is missing behind \"@\"", k->name);
    r = conf_read_file(path, at, &text, e);
    for (rest = buf_view(&text); r == RC_OK && view_cut(&rest, '\n', &line);) {
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        line = view_trim(line);
        if (memchr(line.p, '\0', line.n))
            r = conf_complain(at, e, "%s: there is a NUL byte in \"%s\"", k->name, path);
        else if (line.n > 0)
            grow(items, pool_text(pool, line));
    }
    if (text.n > 0)
        explicit_bzero(text.p, text.n); /* lists of secrets are read in this way */
    return r;
}

static rc set_list(struct conf_value *v, const struct conf_key *k, view text, bool more,
                   struct conf_pool *pool, const struct conf_where *at, struct err *e)
{
    SCOPED(grown_done) struct grown raw = more ? grown_from(&v->raw) : (struct grown){ 0 };
    SCOPED(grown_done) struct grown items = more ? grown_from(&v->items) : (struct grown){ 0 };
    view entry;

    while (view_cut(&text, ',', &entry)) {
        entry = view_trim(entry);
        if (entry.n == 0)
            continue;
        grow(&raw, pool_text(pool, entry));
        if (entry.p[0] == '@')
            TRY(add_from_file(&items, k, raw.items[raw.n - 1] + 1, pool, at, e));
        else
            grow(&items, raw.items[raw.n - 1]);
    }
    v->raw = pool_list(pool, raw.items, raw.n);
    v->items = pool_list(pool, items.items, items.n);
    return RC_OK;
}

/* --- all types --- */

rc conf_value_set(struct conf_value *v, const struct conf_key *k, view text, unsigned source,
                  struct conf_pool *pool, const struct conf_where *at, struct err *e)
{
    bool more = v->source == source;

    text = view_trim(text);
    if (k->type == CONF_LIST) {
        TRY(set_list(v, k, text, more, pool, at, e));
    } else {
        if (k->type != CONF_TEXT)
            TRY(set_number(v, k, text, at, e));
        v->text = pool_text(pool, text);
        v->raw = pool_list(pool, &v->text, 1);
    }
    v->source = source;
    return RC_OK;
}

bool conf_value_same(const struct conf_value *a, const struct conf_value *b, enum conf_type type)
{
    if (type == CONF_LIST)
        return a->items.items == b->items.items; /* the pool has each list once */
    return type == CONF_TEXT ? a->text == b->text : a->number == b->number;
}

void conf_value_store(const struct conf_value *v, const struct conf_key *k, void *target)
{
    void *field = (char *)target + k->offset;

    switch (k->type) {
    case CONF_TEXT:
        *(char **)field = v->text;
        break;
    case CONF_BOOL:
        *(bool *)field = v->number != 0;
        break;
    case CONF_INT:
    case CONF_SIZE:
    case CONF_SECONDS:
        *(int64_t *)field = v->number;
        break;
    case CONF_LIST:
        *(struct conf_list *)field = v->items;
        break;
    }
}

/* --- the pool --- */

struct conf_pool_text {
    struct conf_pool_text *next;
    size_t n;
    char text[];
};

struct conf_pool_list {
    struct conf_pool_list *next;
    size_t n;
    char *items[];
};

char *pool_text(struct conf_pool *p, view v)
{
    struct conf_pool_text *t;

    for (t = p->texts; t; t = t->next)
        if (view_eq((view){ .p = t->text, .n = t->n }, v))
            return t->text;
    t = mem_need(malloc(sizeof *t + v.n + 1));
    t->next = p->texts;
    t->n = v.n;
    if (v.n > 0)
        memcpy(t->text, v.p, v.n);
    t->text[v.n] = '\0';
    p->texts = t;
    return t->text;
}

struct conf_list pool_list(struct conf_pool *p, char *const *items, size_t n)
{
    struct conf_pool_list *l;

    for (l = p->lists; l; l = l->next)
        if (l->n == n && (n == 0 || memcmp(l->items, items, n * sizeof *items) == 0))
            return (struct conf_list){ .items = l->items, .n = n };
    l = mem_need(malloc(sizeof *l + n * sizeof *items));
    l->next = p->lists;
    l->n = n;
    if (n > 0)
        memcpy(l->items, items, n * sizeof *items);
    p->lists = l;
    return (struct conf_list){ .items = l->items, .n = n };
}

void pool_done(struct conf_pool *p)
{
    struct conf_pool_text *t;
    struct conf_pool_list *l;

    while ((t = p->texts)) {
        p->texts = t->next;
        explicit_bzero(t->text, t->n);
        free(t);
    }
    while ((l = p->lists)) {
        p->lists = l->next;
        free(l);
    }
}
