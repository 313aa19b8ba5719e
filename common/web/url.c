#include "common/web/server.h"

#include "common/base/view.h"

/* Letters, digits, '-', '.', '_' and what else a registered name may hold without escapes. */
static bool host_char(char c)
{
    return ascii_alnum(c) || c == '-' || c == '.' || c == '_';
}

static bool v6_char(char c)
{
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' || c == '.';
}

static bool all(view v, bool (*ok)(char))
{
    for (size_t i = 0; i < v.n; i++)
        if (!ok(v.p[i]))
            return false;
    return v.n > 0;
}

static bool path_char(char c)
{
    return c > 0x20 && c < 0x7f && c != '?' && c != '#' && c != '"' && c != '<' && c != '>' && c != '\\';
}

/* Splits "[::1]:80", "host:80", "host" off rest (which keeps what follows the host). */
static bool host_cut(view *rest, view *out_host)
{
    size_t n;

    if (rest->n > 0 && rest->p[0] == '[') {
        const char *end = memchr(rest->p, ']', rest->n);

        if (!end || !all((view){ .p = rest->p + 1, .n = (size_t)(end - rest->p) - 1 }, v6_char))
            return false;
        n = (size_t)(end - rest->p) + 1;
    } else {
        for (n = 0; n < rest->n && host_char(rest->p[n]);)
            n++;
        if (n == 0)
            return false;
    }
    *out_host = (view){ .p = rest->p, .n = n };
    *rest = (view){ .p = rest->p + n, .n = rest->n - n };
    return true;
}

bool url_cut(view url, struct url_parts *out)
{
    struct url_parts u;
    view rest;

    if (view_starts(url, VIEW("http://")))
        u = (struct url_parts){ .scheme = { .p = url.p, .n = 4 }, .port = 80 };
    else if (view_starts(url, VIEW("https://")))
        u = (struct url_parts){ .scheme = { .p = url.p, .n = 5 }, .port = 443 };
    else
        return false;
    rest = (view){ .p = url.p + u.scheme.n + 3, .n = url.n - u.scheme.n - 3 };
    if (!host_cut(&rest, &u.host))
        return false;
    if (rest.n > 0 && rest.p[0] == ':') {
        const char *slash = memchr(rest.p, '/', rest.n);
        size_t n = slash ? (size_t)(slash - rest.p) : rest.n;
        uint64_t port;

        if (!view_to_u64((view){ .p = rest.p + 1, .n = n - 1 }, 65535, &port) || port == 0)
            return false;
        u.port = (unsigned)port;
        rest = (view){ .p = rest.p + n, .n = rest.n - n };
    }
    u.host_port = (view){ .p = u.host.p, .n = (size_t)(rest.p - u.host.p) };
    while (rest.n > 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    if (rest.n > 0 && (rest.p[0] != '/' || !all(rest, path_char)))
        return false;
    u.base = rest.n > 0 ? rest : VIEW("");
    *out = u;
    return true;
}
