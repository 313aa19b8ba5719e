#include "directory/backend/ldap_text.h"

static const char hex[] = "0123456789abcdef";

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Both escapes are a backslash and two digits; what each lets stand differs, so the narrower set serves both. An address keeps its
 * looks: '@', '.', '-', '_' and ':' mean nothing in either. */
static size_t escape(char *out, view v)
{
    char *p = out;
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if (is_plain((char)c) || (c != '\0' && strchr("@.-_:", c))) {
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

view filter_equals(struct arena *a, const char *attr, view value)
{
    char *text = arena_alloc(a, strlen(attr) + 3 * value.n + 4), *p = text;
    *p++ = '(';
    p = put(p, view_of(attr));
    *p++ = '=';
    p += escape(p, value);
    *p++ = ')';
    *p = '\0';
    return (view){ .p = text, .n = (size_t)(p - text) };
}

view filter_and(struct arena *a, const view *parts, size_t n)
{
    size_t room = 4;
    for (size_t i = 0; i < n; i++)
        room += parts[i].n;
    char *text = arena_alloc(a, room), *p = text;
    p = put(p, VIEW("(&"));
    for (size_t i = 0; i < n; i++)
        p = put(p, parts[i]);
    *p++ = ')';
    *p = '\0';
    return (view){ .p = text, .n = (size_t)(p - text) };
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

size_t dn_value_length(view value)
{
    size_t n = value.n;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '\0' || strchr(" #\"+,;<=>\\", value.p[i]))
            n += 2;
    return n;
}
