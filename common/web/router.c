/* A path is cut and decoded once, then held against one pattern after the other. The tables are short (some sixty rows) and
 * most rows part at their first segments, so nothing cleverer pays. */
#include "common/web/router.h"

#include <assert.h>

#include "common/base/encode.h"

#define SEGMENTS_MAX 12

struct segments {
    view part[SEGMENTS_MAX]; /* decoded */
    size_t n;                /* slashes at the end excluded */
    size_t slashes;          /* at the end                  */
};

enum method method_parse(view text)
{
    static const struct {
        view name;
        enum method method;
    } known[] = {
        { VIEW("GET"), GET }, { VIEW("HEAD"), HEAD },     { VIEW("POST"), POST },
        { VIEW("PUT"), PUT }, { VIEW("DELETE"), DELETE }, { VIEW("OPTIONS"), OPTIONS },
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (view_eq(text, known[i].name))
            return known[i].method;
    return METHOD_OTHER;
}

/* false: no path at all, too many segments, an empty one in the middle, or a broken escape: nothing can match. */
static bool segments_cut(view path, struct arena *a, struct segments *out)
{
    *out = (struct segments){ .n = 0 };
    if (path.n == 0)
        return true;
    if (path.p[0] != '/')
        return false;
    while (path.n > 0 && path.p[path.n - 1] == '/') {
        path.n--;
        out->slashes++;
    }
    if (path.n == 0) { /* the root's own slash */
        out->slashes--;
        return true;
    }
    view rest = { .p = path.p + 1, .n = path.n - 1 }, part;
    while (view_cut(&rest, '/', &part)) {
        if (part.n == 0 || out->n == SEGMENTS_MAX || !percent_decode(part, a, &out->part[out->n]))
            return false;
        out->n++;
    }
    return true;
}

static const struct param_kind *kind_find(const struct mount *m, view name)
{
    for (size_t i = 0; i < m->n_kinds; i++)
        if (view_eq(name, view_of(m->kinds[i].name)))
            return &m->kinds[i];
    abort(); /* the table names a kind that its mount does not have */
}

/* Whether a piece of a pattern, which ends at a slash or with the pattern, is this segment. */
static bool piece_is(const char *piece, view part)
{
    size_t n = 0;

    while (n < part.n && piece[n] == part.p[n] && piece[n] != '/' && piece[n] != '\0')
        n++;
    return n == part.n && (piece[n] == '/' || piece[n] == '\0');
}

static const char *piece_end(const char *piece)
{
    while (*piece != '/' && *piece != '\0')
        piece++;
    return piece;
}

/* As many segments, and each that the pattern gives by name is there: what tells most rows apart, and costs a few bytes' look. */
static bool shape_fits(const char *pattern, const struct segments *s)
{
    size_t i = 0;

    if (pattern[1] == '\0')
        return s->n == 0;
    for (const char *p = pattern; *p == '/'; p = piece_end(p), i++) {
        p++;
        if (i == s->n || (*p != '{' && !piece_is(p, s->part[i])))
            return false;
    }
    return i == s->n;
}

/* Holds the path against one pattern; params is scratch unless it matches. */
static bool route_matches(const struct mount *m, const struct route *r, const struct segments *s,
                          view params[ROUTE_PARAMS_MAX], size_t *out_n)
{
    const char *p = r->path;
    size_t n = 0;

    if ((s->slashes > 0 && !(r->flags & ROUTE_SLASHES)) || !shape_fits(p, s))
        return false;
    for (size_t i = 0; i < s->n; i++) {
        const char *piece = p + 1;

        p = piece_end(piece);
        if (*piece != '{')
            continue;
        assert(n < ROUTE_PARAMS_MAX);
        if (!kind_find(m, (view){ .p = piece + 1, .n = (size_t)(p - piece) - 2 })->ok(s->part[i]))
            return false;
        params[n++] = s->part[i];
    }
    *out_n = n;
    return true;
}

static enum route_result find(const struct mount *mounts, size_t n_mounts, bool internal, enum method m,
                              const struct segments *s, const struct route **out_route,
                              const struct mount **out_mount, view params[ROUTE_PARAMS_MAX], size_t *out_n,
                              unsigned *out_allow)
{
    enum route_result found = ROUTE_NO_PATH;
    unsigned allow = 0;

    for (size_t i = 0; i < n_mounts; i++) {
        for (size_t j = 0; j < mounts[i].n_routes; j++) {
            const struct route *r = &mounts[i].routes[j];
            view got[ROUTE_PARAMS_MAX];
            size_t n = 0;

            if (((r->flags & ROUTE_INTERNAL) && !internal) || !route_matches(&mounts[i], r, s, got, &n))
                continue;
            if (r->methods & m) {
                *out_route = r;
                *out_mount = &mounts[i];
                for (size_t k = 0; k < n; k++)
                    params[k] = got[k];
                *out_n = n;
                return ROUTE_FOUND;
            }
            if (found == ROUTE_NO_PATH) {
                *out_route = r;
                *out_mount = &mounts[i];
                found = ROUTE_NO_METHOD;
            }
            allow |= r->methods;
        }
    }
    if (found == ROUTE_NO_METHOD)
        *out_allow = allow;
    return found;
}

enum route_result route_find(const struct mount *mounts, size_t n_mounts, bool internal, view base,
                             enum method m, view path, struct arena *a, const struct route **out_route,
                             const struct mount **out_mount, view params[ROUTE_PARAMS_MAX], size_t *out_n,
                             unsigned *out_allow)
{
    struct segments s;
    enum route_result found = ROUTE_NO_PATH;

    if (base.n > 0 && view_starts(path, base) && (path.n == base.n || path.p[base.n] == '/')) {
        view inner = { .p = path.p + base.n, .n = path.n - base.n };

        if (segments_cut(inner, a, &s))
            found = find(mounts, n_mounts, internal, m, &s, out_route, out_mount, params, out_n, out_allow);
        if (found != ROUTE_NO_PATH)
            return found;
    }
    if (path.n == 0 || !segments_cut(path, a, &s))
        return ROUTE_NO_PATH;
    return find(mounts, n_mounts, internal, m, &s, out_route, out_mount, params, out_n, out_allow);
}
