#include "directory/flat_json.h"

#define DIGITS_MAX 18 /* fit into int64_t */

static void skip(view *rest, size_t n)
{
    *rest = (view){ .p = rest->p + n, .n = rest->n - n };
}

static bool take(view *rest, char c)
{
    if (rest->n == 0 || rest->p[0] != c)
        return false;
    skip(rest, 1);
    return true;
}

/* Behind the opening quote; up to the closing one. No escape, and nothing but ASCII. */
static bool take_text(view *rest, view *out)
{
    size_t n = 0;
    while (n < rest->n && rest->p[n] >= 0x20 && rest->p[n] < 0x7f && rest->p[n] != '"' && rest->p[n] != '\\')
        n++;
    *out = (view){ .p = rest->p, .n = n };
    skip(rest, n);
    return take(rest, '"');
}

static bool take_number(view *rest, int64_t *out)
{
    size_t n = 0;
    int64_t v = 0;
    for (; n < rest->n && rest->p[n] >= '0' && rest->p[n] <= '9' && n < DIGITS_MAX; n++)
        v = v * 10 + (rest->p[n] - '0');
    if (n == 0 || (n > 1 && rest->p[0] == '0'))
        return false;
    skip(rest, n);
    *out = v;
    return true; /* what goes on with a point or a letter fails at the comma */
}

static bool take_member(view *rest, struct flat_member *out)
{
    *out = (struct flat_member){ .text = VIEW_NONE };
    if (!take(rest, '"') || !take_text(rest, &out->name) || !take(rest, ':'))
        return false;
    return take(rest, '"') ? take_text(rest, &out->text) : take_number(rest, &out->number);
}

const struct flat_member *flat_json_get(const struct flat_json *f, view name)
{
    for (size_t i = 0; i < f->n; i++)
        if (view_eq(f->members[i].name, name))
            return &f->members[i];
    return NULL;
}

bool flat_json_read(view text, struct flat_json *out)
{
    struct flat_member m;
    out->n = 0;
    if (!take(&text, '{'))
        return false;
    do {
        if (!take_member(&text, &m) || out->n == FLAT_MEMBERS_MAX || flat_json_get(out, m.name))
            return false;
        out->members[out->n++] = m;
    } while (take(&text, ','));
    return take(&text, '}') && text.n == 0;
}
