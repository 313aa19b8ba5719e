#include "directory/backend/ldap_text.h"

static const char hex[] = "0123456789abcdef";

/* Both escapes are a backslash and two digits; what each lets stand differs, so the narrower set serves both. An address keeps its
 * looks: '@', '.', '-', '_' and ':' mean nothing in either. */
static size_t escape(char *out, view v)
{
    char *p = out;
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if (ascii_alnum((char)c) || (c != '\0' && strchr("@.-_:", c))) {
            *p++ = (char)c;
            continue;
        }
        *p++ = '\\';
        *p++ = hex[c >> 4];
        *p++ = hex[c & 15];
    }
    return (size_t)(p - out);
}

static char *put(char *p, view v)
{
    if (v.n)
        memcpy(p, v.p, v.n);
    return p + v.n;
}

static view filter_of(struct arena *a, const char *attr, view value, view end)
{
    char *text = arena_alloc(a, strlen(attr) + 3 * value.n + end.n + 3), *p = text;
    *p++ = '(';
    p = put(p, view_of(attr));
    *p++ = '=';
    p += escape(p, value);
    p = put(p, end);
    *p = '\0';
    return (view){ .p = text, .n = (size_t)(p - text) };
}

view filter_equals(struct arena *a, const char *attr, view value)
{
    return filter_of(a, attr, value, VIEW(")"));
}

view filter_begins(struct arena *a, const char *attr, view value)
{
    return filter_of(a, attr, value, VIEW("*)"));
}

static view filter_join(struct arena *a, char how, const view *parts, size_t n)
{
    size_t room = 4;
    for (size_t i = 0; i < n; i++)
        room += parts[i].n;
    char *text = arena_alloc(a, room), *p = text;
    *p++ = '(';
    *p++ = how;
    for (size_t i = 0; i < n; i++)
        p = put(p, parts[i]);
    *p++ = ')';
    *p = '\0';
    return (view){ .p = text, .n = (size_t)(p - text) };
}

view filter_and(struct arena *a, const view *parts, size_t n)
{
    return filter_join(a, '&', parts, n);
}

view filter_or(struct arena *a, const view *parts, size_t n)
{
    return filter_join(a, '|', parts, n);
}

view dn_below(struct arena *a, const char *attr, view value, view parent)
{
    char *text = arena_alloc(a, strlen(attr) + 3 * value.n + parent.n + 3), *p = text;
    p = put(p, view_of(attr));
    *p++ = '=';
    p += escape(p, value);
    *p++ = ',';
    p = put(p, parent);
    *p = '\0';
    return (view){ .p = text, .n = (size_t)(p - text) };
}

static bool is_name_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("._-@:", c));
}

view name_encode(struct arena *a, view name)
{
    char *text = arena_alloc(a, 3 * name.n + 1), *p = text;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (is_name_byte(c)) {
            *p++ = (char)c;
            continue;
        }
        *p++ = '%';
        *p++ = hex[c >> 4];
        *p++ = hex[c & 15];
    }
    *p = '\0';
    return (view){ .p = text, .n = (size_t)(p - text) };
}

bool name_decode(struct arena *a, view text, view *out)
{
    char *name = arena_alloc(a, text.n + 1), *p = name;
    for (size_t i = 0; i < text.n; i++) {
        const char *high, *low;
        if (text.p[i] != '%') {
            *p++ = text.p[i];
            continue;
        }
        if (i + 2 >= text.n || !(high = memchr(hex, text.p[i + 1], 16)) ||
            !(low = memchr(hex, text.p[i + 2], 16)))
            return false;
        *p++ = (char)((high - hex) << 4 | (low - hex));
        i += 2;
    }
    *p = '\0';
    view got = { .p = name, .n = (size_t)(p - name) };
    *out = got;
    return view_eq(name_encode(a, got), text); /* one way of writing each */
}
