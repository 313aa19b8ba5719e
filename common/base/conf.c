#include "common/base/conf.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/conf_inside.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/scope.h"

DEFINE_SCOPED(struct conf *, conf_free);

/* --- sentences --- */

rc conf_complain(const struct conf_where *at, struct err *e, const char *fmt, ...)
{
    char what[200];
    const char *stop;
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    stop = what[0] && what[strlen(what) - 1] == '?' ? "" : ".";
    if (at->file) { /* of a long path the end tells more */
        size_t n = strlen(at->file);
        bool cut = n > 80;

        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s%s, line %u: %s%s", cut ? "…" : "",
                    at->file + (cut ? n - 80 : 0), at->line, what, stop);
    }
    return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s: %s%s", at->option, what, stop);
}

/* --- looking for a key --- */

#define SPAN 64 /* texts longer than this are near to nothing */

static size_t least_of(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* How many letters must be added, removed or exchanged to make a into b (Levenshtein), upper case being lower. */
static size_t distance(const char *a, const char *b)
{
    size_t row[SPAN + 1], n = strlen(b);

    if (n > SPAN || strlen(a) > SPAN)
        return SPAN;
    for (size_t k = 0; k <= n; k++)
        row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t k = 0; k < n; k++) {
            size_t above = row[k + 1];
            bool same = tolower((unsigned char)a[i]) == tolower((unsigned char)b[k]);

            row[k + 1] = least_of(row[k] + 1, above + 1, diagonal + !same);
            diagonal = above;
        }
    }
    return row[n];
}

/* The right key in the wrong section is near, too. */
static size_t key_distance(const char *wrong, const char *known)
{
    const char *a = strchr(wrong, '.'), *b = strchr(known, '.');
    size_t d = distance(wrong, known);

    return a && b && strcmp(a, b) == 0 && d > 2 ? 2 : d;
}

static const char *nearest(const struct conf *c, const char *wrong)
{
    const char *best = NULL;
    size_t best_distance = strlen(wrong) / 3 + 1;

    for (size_t g = 0; g < c->n; g++)
        for (size_t k = 0; k < c->groups[g].n; k++) {
            size_t d = key_distance(wrong, c->groups[g].keys[k].name);

            if (d < best_distance) {
                best = c->groups[g].keys[k].name;
                best_distance = d;
            }
        }
    return best;
}

/* --- from sources to values --- */

struct fill {
    struct conf *c;
    struct conf_value *values;
    unsigned source;
};

/* Sets the key in every group that knows it: in the one box both sides may. */
static rc set(void *arg, const char *name, view value, const struct conf_where *at, struct err *e)
{
    const struct fill *f = arg;
    struct conf_value *v = f->values;
    bool known = false;

    for (size_t g = 0; g < f->c->n; g++)
        for (size_t k = 0; k < f->c->groups[g].n; k++, v++)
            if (strcmp(f->c->groups[g].keys[k].name, name) == 0) {
                known = true;
                TRY(conf_value_set(v, &f->c->groups[g].keys[k], value, f->source, &f->c->pool, at, e));
            }
    if (!known) {
        const char *near = nearest(f->c, name);

        return conf_complain(at, e, "there is no key \"%s\"%s%s%s", name, near ? "; did you mean \"" : "",
                             near ? near : "", near ? "\"?" : "; --help lists them all");
    }
    return RC_OK;
}

/* The default is a source of its own for each key, so that a list in the file replaces that of the default. */
static rc set_defaults(struct fill *f, struct err *e)
{
    struct conf_value *v = f->values;

    for (size_t g = 0; g < f->c->n; g++)
        for (size_t k = 0; k < f->c->groups[g].n; k++, v++) {
            const struct conf_key *key = &f->c->groups[g].keys[k];
            const struct conf_where at = { .option = "the built-in default" };

            TRY(conf_value_set(v, key, view_of(key->fallback ? key->fallback : ""), 0, &f->c->pool, &at, e));
        }
    return RC_OK;
}

/* One "section.key=value" of the command line. The place that a sentence names holds no value: it may be a secret. */
static rc set_option(struct fill *f, const char *text, struct err *e)
{
    const char *equals = strchr(text, '=');
    char name[CONF_NAME_MAX], place[CONF_NAME_MAX + 8];
    struct conf_where at = { .option = place };
    view key;

    snprintf(place, sizeof place, "--set");
    if (!equals)
        return conf_complain(&at, e, "\"%.40s\" is not SECTION.KEY=VALUE", text);
    key = view_trim((view){ .p = text, .n = (size_t)(equals - text) });
    if (key.n >= sizeof name)
        return conf_complain(&at, e, "there is no key with so long a name");
    memcpy(name, key.p, key.n);
    name[key.n] = '\0';
    snprintf(place, sizeof place, "--set %s", name);
    return set(f, name, view_of(equals + 1), &at, e);
}

/* Files in their order, then all --set together: a later source wins, and inside one a later line. */
static rc fill_values(struct conf *c, struct conf_value *values, struct err *e)
{
    struct fill f = { .c = c, .values = values };

    TRY(set_defaults(&f, e));
    for (size_t i = 0; i < c->files.n; i++) {
        f.source++;
        TRY(conf_file_each(c->files.items[i], set, &f, e));
    }
    f.source++;
    for (size_t i = 0; i < c->sets.n; i++)
        TRY(set_option(&f, c->sets.items[i], e));
    return RC_OK;
}

static void store(const struct conf *c, const struct conf_value *v, const struct conf_group *groups)
{
    for (size_t g = 0; g < c->n; g++)
        for (size_t k = 0; k < c->groups[g].n; k++, v++)
            conf_value_store(v, &c->groups[g].keys[k], groups[g].target);
}

/* --- the command line --- */

static const struct {
    const char *name;
    enum conf_wish wish;
} wishes[] = {
    { "--show-config", CONF_SHOW },
    { "--check-config", CONF_CHECK },
    { "--help", CONF_HELP },
    { "--version", CONF_VERSION },
};

struct options {
    struct conf *c;
    int argc;
    char **argv;
    int at;
    enum conf_wish wish;
};

static void remember(struct conf *c, struct conf_list *list, const char *text)
{
    char **items = mem_need(malloc((list->n + 1) * sizeof *items));

    for (size_t i = 0; i < list->n; i++)
        items[i] = list->items[i];
    items[list->n] = pool_text(&c->pool, view_of(text));
    *list = pool_list(&c->pool, items, list->n + 1);
    free(items);
}

/* "--name VALUE" or "--name=VALUE". *out_taken: it was this option. */
static rc take_value(struct options *o, const char *name, struct conf_list *list, bool *out_taken,
                     struct err *e)
{
    const char *arg = o->argv[o->at];
    size_t n = strlen(name);

    if (strncmp(arg, name, n) != 0 || (arg[n] != '\0' && arg[n] != '='))
        return RC_OK;
    if (arg[n] == '\0' && o->at + 1 >= o->argc)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s: there is nothing behind it.", name);
    remember(o->c, list, arg[n] == '=' ? arg + n + 1 : o->argv[++o->at]);
    o->at++;
    *out_taken = true;
    return RC_OK;
}

static bool take_wish(struct options *o)
{
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++)
        if (strcmp(o->argv[o->at], wishes[i].name) == 0) {
            o->wish = wishes[i].wish;
            o->at++;
            return true;
        }
    return false;
}

/* Help and version are given whatever else is asked, and whatever is wrong with the files. */
static bool answers_alone(enum conf_wish w)
{
    return w == CONF_HELP || w == CONF_VERSION;
}

static rc read_options(struct options *o, struct err *e)
{
    for (o->at = o->argc > 0; o->at < o->argc && !answers_alone(o->wish);) {
        bool taken = false;

        if (strcmp(o->argv[o->at], "--") == 0) {
            o->at++;
            break;
        }
        if (strncmp(o->argv[o->at], "-", 1) != 0)
            break;
        TRY(take_value(o, "--config", &o->c->files, &taken, e));
        if (!taken)
            TRY(take_value(o, "--set", &o->c->sets, &taken, e));
        if (!taken && !take_wish(o))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "There is no option \"%.80s\"; --help lists them all.",
                        o->argv[o->at]);
    }
    return RC_OK;
}

/* --- public --- */

static struct conf *conf_new(const struct conf_group *groups, size_t n)
{
    struct conf *c = mem_need(calloc(1, sizeof *c));

    c->groups = mem_need(calloc(n + 1, sizeof *c->groups));
    for (size_t i = 0; i < n; i++) {
        c->groups[i] = groups[i];
        c->n_values += groups[i].n;
    }
    c->n = n;
    c->values = mem_need(calloc(c->n_values + 1, sizeof *c->values));
    return c;
}

rc conf_load(int argc, char **argv, const struct conf_group *groups, size_t n, struct conf **out,
             enum conf_wish *out_wish, int *out_first, struct err *e)
{
    SCOPED(conf_free) struct conf *c = conf_new(groups, n);
    struct options o = { .c = c, .argc = argc, .argv = argv, .wish = CONF_RUN };

    TRY(read_options(&o, e));
    if (answers_alone(o.wish)) {
        struct fill defaults = { .c = c, .values = c->values };

        TRY(set_defaults(&defaults, e));
    } else {
        TRY(fill_values(c, c->values, e));
    }
    store(c, c->values, groups);
    *out = c;
    *out_wish = o.wish;
    *out_first = o.at;
    c = NULL;
    return RC_OK;
}

/* Puts back what may not change while the program runs, and says so. */
static void keep_fixed(const struct conf *c, struct conf_value *fresh)
{
    size_t i = 0;

    for (size_t g = 0; g < c->n; g++)
        for (size_t k = 0; k < c->groups[g].n; k++, i++) {
            const struct conf_key *key = &c->groups[g].keys[k];

            if (key->flags & CONF_RELOAD)
                continue;
            if (!conf_value_same(&fresh[i], &c->values[i], key->type))
                LOG(LOG_WARN, "setting changed, but is only read at the start", LOG_S("key", key->name));
            fresh[i] = c->values[i];
        }
}

rc conf_reload(struct conf *c, const struct conf_group *fresh, size_t n, struct err *e)
{
    struct conf_value *values;
    rc r;

    assert(n == c->n);
    for (size_t g = 0; g < n; g++)
        assert(fresh[g].keys == c->groups[g].keys && fresh[g].n == c->groups[g].n);
    values = mem_need(calloc(c->n_values + 1, sizeof *values));
    r = fill_values(c, values, e);
    if (r != RC_OK) {
        free(values);
        return r;
    }
    keep_fixed(c, values);
    store(c, values, fresh);
    free(c->values);
    c->values = values;
    return RC_OK;
}

void conf_free(struct conf *c)
{
    if (!c)
        return;
    free(c->groups);
    free(c->values);
    pool_done(&c->pool);
    free(c);
}

struct conf_key *conf_keys_with(const struct conf_key *keys, size_t n, const struct conf_default *own,
                                size_t n_own)
{
    struct conf_key *mine = mem_need(malloc(n * sizeof(*mine)));
    memcpy(mine, keys, n * sizeof(*mine));
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < n_own; d++)
            if (strcmp(mine[i].name, own[d].key) == 0)
                mine[i].fallback = own[d].fallback;
    return mine;
}
