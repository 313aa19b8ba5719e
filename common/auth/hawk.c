#include "common/auth/hawk.h"

#include <assert.h>

#include "common/auth/digest.h"
#include "common/base/encode.h"
#include "common/base/scope.h"

#define PREFIX         VIEW("Hawk ")
#define ATTRIBUTES_MAX 16
#define ID_MAX         4096
#define NONCE_MAX      64
#define EXT_MAX        1024
#define TS_DIGITS_MAX  15
#define PORT_TEXT_MAX  10

struct attribute {
    view name, value;
};

/* ---- the header ---- */

static bool is_name_char(char c)
{
    return ascii_alnum(c) || c == '_' || c == '-';
}

/* Looks at all, so that compilers take many bytes at once: tokens have hundreds. */
static bool is_printable(view v)
{
    unsigned char strange = 0;

    for (size_t i = 0; i < v.n; i++)
        strange |= (unsigned char)((v.p[i] < ' ') | (v.p[i] > '~'));
    return !strange;
}

static char *skip_blanks(char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

/* Name characters from *p on, as many as there are. */
static view run_of_name(char **p, const char *end)
{
    char *first = *p;

    while (*p < end && is_name_char(**p))
        ++*p;
    return (view){ .p = first, .n = (size_t)(*p - first) };
}

/* Behind the opening quote: takes escapes out where they stand. *p ends behind the closing quote. */
static bool quoted_read(char **p, const char *end, view *out)
{
    char *first = *p, *to = *p, *quote = memchr(first, '"', (size_t)(end - first));

    if (quote && !memchr(first, '\\', (size_t)(quote - first))) { /* no escapes, as in all but odd headers */
        *out = (view){ .p = first, .n = (size_t)(quote - first) };
        *p = quote + 1;
        return true;
    }
    for (char *from = *p; from < end; from++) {
        if (*from == '"') {
            *out = (view){ .p = first, .n = (size_t)(to - first) };
            *p = from + 1;
            return true;
        }
        if (*from == '\\' && ++from == end)
            return false;
        *to++ = *from;
    }
    return false;
}

/* name=value or name="value" */
static bool attribute_read(char **p, const char *end, struct attribute *out)
{
    out->name = run_of_name(p, end);
    if (out->name.n == 0 || *p == end || **p != '=')
        return false;
    ++*p;
    if (*p < end && **p == '"') {
        ++*p;
        return quoted_read(p, end, &out->value) && is_printable(out->value);
    }
    out->value = run_of_name(p, end);
    return out->value.n > 0;
}

static bool seen_before(const struct attribute *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (view_eq(list[i].name, list[n].name))
            return true;
    return false;
}

/* Attributes parted by one comma each, blanks around; no name twice. text is changed where it has escapes. */
static bool attributes_read(char *text, size_t length, struct attribute *out, size_t *out_n)
{
    char *p = text, *end = text + length;
    size_t n = 0;

    for (;;) {
        p = skip_blanks(p, end);
        if (n == ATTRIBUTES_MAX || !attribute_read(&p, end, &out[n]) || seen_before(out, n))
            return false;
        n++;
        p = skip_blanks(p, end);
        if (p == end)
            break;
        if (*p++ != ',')
            return false;
    }
    *out_n = n;
    return true;
}

static view attribute(const struct attribute *list, size_t n, view name)
{
    for (size_t i = 0; i < n; i++)
        if (view_eq(list[i].name, name))
            return list[i].value;
    return VIEW_NONE;
}

static bool is_base64(view v, size_t n_bytes, struct arena *a)
{
    view bytes;

    return base64_decode(BASE64_STD, v, a, &bytes) && bytes.n == n_bytes;
}

static bool values_good(const struct hawk_header *h, struct arena *a)
{
    return h->ts_text.p && h->nonce.n >= 1 && h->nonce.n <= NONCE_MAX && h->id.n <= ID_MAX &&
           h->ext.n <= EXT_MAX && h->mac.n == HAWK_MAC_TEXT && is_base64(h->mac, SHA256_BYTES, a) &&
           (!h->hash.p || is_base64(h->hash, SHA256_BYTES, a));
}

static bool refuse(const char *why, const char **out_why)
{
    *out_why = why;
    return false;
}

bool hawk_parse(view header, struct arena *a, struct hawk_header *out, const char **out_why)
{
    struct attribute list[ATTRIBUTES_MAX];
    struct hawk_header h;
    uint64_t ts;
    char *text;
    size_t n;

    if (!view_starts(header, PREFIX))
        return refuse("missing_prefix", out_why);
    if (header.n > HAWK_HEADER_MAX)
        return refuse("parse_error", out_why);
    header.p += PREFIX.n;
    header.n -= PREFIX.n;
    text = arena_cstr(a, header);
    if (!attributes_read(text, header.n, list, &n))
        return refuse("parse_error", out_why);
    /* Full Hawk signs these two as well; we cannot leave them out of what we check and call it the same. */
    if (attribute(list, n, VIEW("app")).p || attribute(list, n, VIEW("dlg")).p)
        return refuse("parse_error", out_why);
    h = (struct hawk_header){
        .id = attribute(list, n, VIEW("id")),
        .ts_text = attribute(list, n, VIEW("ts")),
        .nonce = attribute(list, n, VIEW("nonce")),
        .mac = attribute(list, n, VIEW("mac")),
        .hash = attribute(list, n, VIEW("hash")),
        .ext = attribute(list, n, VIEW("ext")),
    };
    if (h.id.n == 0)
        return refuse("missing_id", out_why);
    if (!values_good(&h, a) || h.ts_text.n > TS_DIGITS_MAX || !view_to_u64(h.ts_text, INT64_MAX, &ts))
        return refuse("parse_error", out_why);
    h.ts = (int64_t)ts;
    *out = h;
    return true;
}

/* ---- the signature ---- */

static view port_text(unsigned port, char room[PORT_TEXT_MAX])
{
    size_t at = PORT_TEXT_MAX;

    do {
        room[--at] = (char)('0' + port % 10);
        port /= 10;
    } while (port);
    return (view){ .p = room + at, .n = PORT_TEXT_MAX - at };
}

static void add_line(view text)
{
    digest_add(text);
    digest_add(VIEW("\n"));
}

void hawk_mac(view key, const struct hawk_header *h, const struct hawk_request *r, char out[HAWK_MAC_TEXT])
{
    uint8_t mac[SHA256_BYTES];
    char room[PORT_TEXT_MAX];
    struct hmac m;

    hmac_begin(&m, key);
    add_line(VIEW("hawk.1.header"));
    add_line(h->ts_text);
    add_line(h->nonce);
    digest_add_upper(r->method);
    digest_add(VIEW("\n"));
    add_line(r->target);
    digest_add_lower(r->host);
    digest_add(VIEW("\n"));
    add_line(port_text(r->port, room));
    add_line(h->hash);
    add_line(h->ext);
    hmac_end(&m, mac);
    base64_write(BASE64_STD, (view){ .p = (const char *)mac, .n = sizeof mac }, out);
}

static bool mac_fits(view key, const struct hawk_header *h, const struct hawk_request *r)
{
    char mac[HAWK_MAC_TEXT];

    hawk_mac(key, h, r, mac);
    return secret_eq((view){ .p = mac, .n = sizeof mac }, h->mac);
}

/* A "?" at the end with no other before it: a query with nothing in it. */
static bool ends_in_bare_query(view target)
{
    return target.n > 0 && memchr(target.p, '?', target.n) == target.p + target.n - 1;
}

bool hawk_check(view key, const struct hawk_header *h, const struct hawk_request *r)
{
    struct hawk_request bare = *r;

    if (mac_fits(key, h, r))
        return true;
    if (!ends_in_bare_query(r->target))
        return false;
    bare.target.n--;
    return mac_fits(key, h, &bare);
}

/* ---- the body ---- */

void hawk_payload_hash(view content_type, view body, char out[HAWK_MAC_TEXT])
{
    uint8_t hash[SHA256_BYTES];
    view type = VIEW_NONE;

    (void)view_cut(&content_type, ';', &type); /* false: there is none, and the line stays empty */
    digest_begin();
    add_line(VIEW("hawk.1.payload"));
    digest_add_lower(view_trim(type));
    digest_add(VIEW("\n"));
    add_line(body);
    digest_end(hash);
    base64_write(BASE64_STD, (view){ .p = (const char *)hash, .n = sizeof hash }, out);
}

bool hawk_payload_ok(const struct hawk_header *h, view content_type, view body)
{
    char hash[HAWK_MAC_TEXT];

    if (!h->hash.p)
        return true;
    hawk_payload_hash(content_type, body, hash);
    return secret_eq((view){ .p = hash, .n = sizeof hash }, h->hash);
}

/* ---- outgoing calls ---- */

static void put_quoted(struct buf *out, const char *before, view value)
{
    buf_add(out, view_of(before));
    buf_addc(out, '"');
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            buf_addc(out, '\\');
        buf_addc(out, value.p[i]);
    }
    buf_addc(out, '"');
}

void hawk_sign(view id, view key, const struct hawk_request *r, int64_t ts, view nonce, view hash,
               struct buf *out)
{
    SCOPED(buf_done) struct buf ts_text = { 0 };
    struct hawk_header h = { .id = id, .nonce = nonce, .hash = hash, .ts = ts };
    char mac[HAWK_MAC_TEXT];

    assert(is_printable(id) && is_printable(nonce) && ts >= 0);
    buf_add_i64(&ts_text, ts);
    h.ts_text = buf_view(&ts_text);
    hawk_mac(key, &h, r, mac);
    buf_add(out, PREFIX);
    put_quoted(out, "id=", id);
    put_quoted(out, ", ts=", h.ts_text);
    put_quoted(out, ", nonce=", nonce);
    if (hash.p)
        put_quoted(out, ", hash=", hash);
    put_quoted(out, ", mac=", (view){ .p = mac, .n = sizeof mac });
}
