#include "node/sync/negotiate.h"

#define Q_ONE 1000

/* What a header says of one media type; q in thousandths. */
struct wish {
    bool named;
    unsigned q;
};

struct wishes {
    struct wish json, newlines, whoisi, any;
    bool readable; /* at least one element was */
};

/* "0", "1", "0.875", "1.000": RFC 9110, 12.4.2. */
static bool q_read(view text, unsigned *out)
{
    unsigned q, step = 100;

    if (text.n == 0 || text.n > 5 || (text.p[0] != '0' && text.p[0] != '1') ||
        (text.n > 1 && text.p[1] != '.'))
        return false;
    q = text.p[0] == '1' ? Q_ONE : 0;
    for (size_t i = 2; i < text.n; i++, step /= 10) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        q += (unsigned)(text.p[i] - '0') * step;
    }
    if (q > Q_ONE)
        return false;
    *out = q;
    return true;
}

/* The q among the parameters of one element; 1 without one. */
static bool parameters_read(view rest, unsigned *out_q)
{
    view part;

    *out_q = Q_ONE;
    while (view_cut(&rest, ';', &part)) {
        part = view_trim(part);
        if (part.n >= 2 && (part.p[0] == 'q' || part.p[0] == 'Q') && part.p[1] == '=')
            return q_read((view){ .p = part.p + 2, .n = part.n - 2 }, out_q);
    }
    return true;
}

static bool is_type(view text)
{
    const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;

    if (!slash || slash == text.p || slash == text.p + text.n - 1)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] == ':' || text.p[i] == '"')
            return false;
    return true;
}

static void wish_for(struct wish *w, unsigned q)
{
    if (!w->named || q > w->q)
        w->q = q;
    w->named = true;
}

static struct wishes accept_read(view header)
{
    struct wishes all = { .readable = false };
    view element, type, rest = header;
    unsigned q;

    while (view_cut(&rest, ',', &element)) {
        if (!view_cut(&element, ';', &type) || !is_type(type = view_trim(type)) ||
            !parameters_read(element, &q))
            continue;
        all.readable = true;
        if (view_eq_nocase(type, VIEW("application/json")))
            wish_for(&all.json, q);
        else if (view_eq_nocase(type, VIEW("application/newlines")))
            wish_for(&all.newlines, q);
        else if (view_eq_nocase(type, VIEW("application/whoisi")))
            wish_for(&all.whoisi, q);
        else if (view_eq(type, VIEW("*/*")) || view_eq_nocase(type, VIEW("application/*")))
            wish_for(&all.any, q);
    }
    return all;
}

static unsigned q_of(const struct wish *w, const struct wish *any)
{
    return w->named ? w->q : any->q;
}

enum format accept_best(view header)
{
    struct wishes w = accept_read(header);
    unsigned json = q_of(&w.json, &w.any), newlines = w.newlines.q;

    if (!w.readable)
        return FORMAT_JSON;
    if (json == 0) /* a wildcard means json, unless that is ruled out by name */
        newlines = q_of(&w.newlines, &w.any);
    if (json == 0 && newlines == 0)
        return FORMAT_NONE;
    return newlines > json ? FORMAT_NEWLINES : FORMAT_JSON;
}

enum format accept_best_legacy(view header)
{
    struct wishes w = accept_read(header);
    unsigned json = q_of(&w.json, &w.any), newlines = w.newlines.q, whoisi = w.whoisi.q;

    if (newlines > json && newlines >= whoisi)
        return FORMAT_NEWLINES;
    if (whoisi > json)
        return FORMAT_WHOISI;
    return FORMAT_JSON;
}

rc body_format(view type, bool one_object, enum format *out, struct err *e)
{
    if (type.n == 0 || view_eq(type, VIEW("application/json")) || view_eq(type, VIEW("text/plain")))
        *out = FORMAT_JSON;
    else if (view_eq(type, VIEW("application/newlines")) && !one_object)
        *out = FORMAT_NEWLINES;
    else
        return fail(e, RC_MEDIA_TYPE, RESP_GENERIC, "body of type %.*s", VIEW_ARG(type));
    return RC_OK;
}
