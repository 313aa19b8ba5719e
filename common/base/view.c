#include "common/base/view.h"

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + ('a' - 'A')) : u;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool view_eq_nocase(view a, view b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool view_starts(view v, view prefix)
{
    return v.n >= prefix.n && (prefix.n == 0 || memcmp(v.p, prefix.p, prefix.n) == 0);
}

int view_cmp(view a, view b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int diff = n ? memcmp(a.p, b.p, n) : 0;

    if (diff != 0)
        return diff;
    return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

int view_order(const void *a, const void *b)
{
    return view_cmp(*(const view *)a, *(const view *)b);
}

size_t view_count(view v, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++)
        n += v.p[i] == c;
    return n;
}

bool view_cut(view *v, char sep, view *out_head)
{
    const char *at;

    if (!v->p)
        return false;
    at = v->n ? memchr(v->p, sep, v->n) : NULL;
    if (!at) {
        *out_head = *v;
        *v = VIEW_NONE;
        return true;
    }
    size_t head = (size_t)(at - v->p);

    *out_head = (view){ .p = v->p, .n = head };
    *v = (view){ .p = at + 1, .n = v->n - head - 1 };
    return true;
}

view view_trim(view v)
{
    while (v.n > 0 && is_blank(v.p[0])) {
        v.p++;
        v.n--;
    }
    while (v.n > 0 && is_blank(v.p[v.n - 1]))
        v.n--;
    return v;
}

bool view_only_alnum(view v, const char *more)
{
    for (size_t i = 0; i < v.n; i++)
        if (!ascii_alnum(v.p[i]) && (v.p[i] == '\0' || !strchr(more, v.p[i])))
            return false;
    return true;
}

bool view_is_ascii(view v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] >= 0x80)
            return false;
    return true;
}

bool view_to_u64(view v, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (v.n == 0 || v.n > 19) /* 19 digits cannot overflow 64 bits */
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(v.p[i] - '0');
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

bool view_cut_number(view *v, char sep, int64_t *out)
{
    view head;
    uint64_t n;

    if (!view_cut(v, sep, &head) || !view_to_u64(head, INT64_MAX, &n))
        return false;
    *out = (int64_t)n;
    return true;
}
