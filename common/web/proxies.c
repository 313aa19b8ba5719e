/* Who is the client? The peer of the socket, unless that is a proxy of ours: then the address that the proxy saw, which it
 * appended to X-Forwarded-For. Whatever stands left of the first address that is not ours was written by a stranger. */
#include "common/web/inside.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "common/base/mem.h"

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_v4(const uint8_t bytes[16])
{
    return memcmp(bytes, v4_prefix, sizeof v4_prefix) == 0;
}

void address_of(const struct sockaddr *sa, struct address *out)
{
    *out = (struct address){ .local = false };
    if (sa && sa->sa_family == AF_INET) {
        memcpy(out->bytes, v4_prefix, sizeof v4_prefix);
        memcpy(out->bytes + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    } else if (sa && sa->sa_family == AF_INET6) {
        memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    } else {
        out->local = true;
    }
}

/* A bare address of either family. */
static bool bytes_parse(view text, uint8_t out[16], bool *out_v4)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, '\0', text.n))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *out_v4 = inet_pton(AF_INET, copy, out + 12) == 1;
    if (*out_v4) {
        memcpy(out, v4_prefix, sizeof v4_prefix);
        return true;
    }
    return inet_pton(AF_INET6, copy, out) == 1;
}

static bool port_ok(view text)
{
    uint64_t port;

    return view_to_u64(text, 65535, &port);
}

bool address_parse(view text, struct address *out)
{
    struct address a = { .local = false };
    bool v4;

    text = view_trim(text);
    if (text.n > 1 && text.p[0] == '[') { /* [v6] or [v6]:port */
        const char *end = memchr(text.p, ']', text.n);
        size_t n = end ? (size_t)(end - text.p) : 0;

        if (!end || (n + 1 < text.n &&
                     (text.p[n + 1] != ':' || !port_ok((view){ .p = text.p + n + 2, .n = text.n - n - 2 }))))
            return false;
        text = (view){ .p = text.p + 1, .n = n - 1 };
    } else { /* one colon: v4:port */
        const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
        size_t n = colon ? (size_t)(colon - text.p) : 0;

        if (colon && !memchr(colon + 1, ':', text.n - n - 1)) {
            if (!port_ok((view){ .p = colon + 1, .n = text.n - n - 1 }))
                return false;
            text.n = n;
        }
    }
    if (!bytes_parse(text, a.bytes, &v4))
        return false;
    *out = a;
    return true;
}

void address_print(const struct address *a, char out[64])
{
    if (a->local)
        snprintf(out, 64, "local");
    else if (is_v4(a->bytes))
        inet_ntop(AF_INET, a->bytes + 12, out, 64);
    else
        inet_ntop(AF_INET6, a->bytes, out, 64);
}

/* "10.0.0.0/8", "fd00::/8", "192.0.2.7". */
static bool net_parse(view text, struct net *out)
{
    struct net net = { .bits = 128 };
    view rest = view_trim(text), host;
    uint64_t bits;
    bool v4;

    if (!view_cut(&rest, '/', &host) || !bytes_parse(host, net.bytes, &v4))
        return false;
    if (rest.p) {
        if (!view_to_u64(rest, v4 ? 32 : 128, &bits))
            return false;
        net.bits = (unsigned)bits + (v4 ? 96 : 0);
    }
    *out = net;
    return true;
}

rc proxies_parse(const struct conf_list *list, struct proxies *out, struct err *e)
{
    struct proxies p = { .nets = mem_need(calloc(list->n + 1, sizeof *p.nets)) };

    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->items[i], "unix") == 0) {
            p.local = true;
        } else if (net_parse(view_of(list->items[i]), &p.nets[p.n])) {
            p.n++;
        } else {
            free(p.nets);
            return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                        "trusted_proxies: \"%.100s\" is neither an address, a network nor \"unix\"",
                        list->items[i]);
        }
    }
    *out = p;
    return RC_OK;
}

void proxies_done(struct proxies *p)
{
    free(p->nets);
    *p = (struct proxies){ .n = 0 };
}

static bool net_has(const struct net *net, const uint8_t bytes[16])
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;

    return memcmp(net->bytes, bytes, whole) == 0 &&
           (rest == 0 || ((net->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0);
}

bool proxies_trust(const struct proxies *p, const struct address *a)
{
    if (a->local)
        return p->local;
    for (size_t i = 0; i < p->n; i++)
        if (net_has(&p->nets[i], a->bytes))
            return true;
    return false;
}

void proxies_client(const struct proxies *p, const struct address *peer, const struct request *rq,
                    struct address *out)
{
    *out = *peer;
    for (size_t i = rq->web->n_headers; i-- > 0 && proxies_trust(p, out);) {
        const struct web_header *h = &rq->web->headers[i];

        if (!view_eq_nocase(h->name, VIEW("X-Forwarded-For")))
            continue;
        view list = h->value;
        while (list.n > 0 && proxies_trust(p, out)) {
            size_t start = list.n;
            struct address hop;

            while (start > 0 && list.p[start - 1] != ',')
                start--;
            if (!address_parse((view){ .p = list.p + start, .n = list.n - start }, &hop))
                return; /* a proxy of ours writes addresses; this was there before it */
            *out = hop;
            list.n = start > 0 ? start - 1 : 0;
        }
    }
}
