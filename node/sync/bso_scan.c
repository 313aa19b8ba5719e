#include "node/sync/bso_scan.h"

#include "node/sync/names.h"

#define DIGITS_MAX 9 /* 999999999 is the largest number that a field takes */

/* Where the reading stands. */
struct scan {
    const char *p, *end;
    const struct bso_ctx *c;
};

static void skip_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool take(struct scan *s, char c)
{
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* ---- strings ---- */

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Is one of eight bytes a quote, a backslash, a control character or beyond ASCII? The high bit of a byte of x - 1 & ~x shows that
 * the byte was 0. */
static bool any_special(uint64_t w)
{
    uint64_t quote = w ^ EACH_BYTE('"'), slash = w ^ EACH_BYTE('\\');

    return ((w | ((w - EACH_BYTE(0x20)) & ~w) | ((quote - EACH_BYTE(1)) & ~quote) |
             ((slash - EACH_BYTE(1)) & ~slash)) &
            EACH_BYTE(0x80)) != 0;
}

static bool is_special(char c)
{
    return c == '"' || c == '\\' || (unsigned char)c < 0x20 || (unsigned char)c >= 0x80;
}

static const char *plain_end(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t w;

        memcpy(&w, p, 8);
        if (any_special(w))
            break;
    }
    while (p < end && !is_special(*p))
        p++;
    return p;
}

/* What a backslash and this letter mean; 0: not one of the short escapes. */
static char escape_means(char letter)
{
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        return letter;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return '\0';
    }
}

/* raw has `escapes` of them, all known to be good. */
static bool unescape(view raw, size_t escapes, struct arena *a, view *out)
{
    const char *p = raw.p, *end = raw.p + raw.n;

    if (raw.n > a->ceiling_bytes / 2 || a->used_bytes > a->ceiling_bytes / 2 - raw.n)
        return false;
    char *text = arena_alloc(a, raw.n - escapes + 1), *to = text;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((slash ? slash : end) - p);

        memcpy(to, p, n);
        to += n;
        if (!slash)
            break;
        *to++ = escape_means(slash[1]);
        p = slash + 2;
    }
    *out = (view){ .p = text, .n = raw.n - escapes };
    return true;
}

/* Behind the opening quote; ends behind the closing one. */
static bool take_text(struct scan *s, view *out)
{
    const char *first = s->p, *p = first;
    size_t escapes = 0;

    for (;;) {
        p = plain_end(p, s->end);
        if (p == s->end)
            return false;
        if (*p == '"')
            break;
        if (*p != '\\' || s->end - p < 2 || !escape_means(p[1]))
            return false;
        escapes++;
        p += 2;
    }
    view raw = { .p = first, .n = (size_t)(p - first) };
    s->p = p + 1;
    if (escapes)
        return unescape(raw, escapes, s->c->arena, out);
    *out = raw;
    return true;
}

/* ---- numbers ---- */

/* A decimal integer as JSON writes it, and as short as a field's largest. */
static bool take_integer(struct scan *s, int64_t *out)
{
    bool negative = take(s, '-');
    const char *first = s->p;
    int64_t n = 0;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9' && s->p - first < DIGITS_MAX)
        n = n * 10 + (*s->p++ - '0');
    if (s->p == first || (*first == '0' && (s->p - first > 1 || negative)))
        return false;
    *out = negative ? -n : n;
    return true;
}

/* A time as clients got it from us; what it says does not count. */
static bool skip_time(struct scan *s)
{
    const char *first = s->p;

    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
        if (s->p - first == 2 * DIGITS_MAX)
            return false;
    if (s->p == first || (*first == '0' && s->p - first > 1))
        return false;
    if (!take(s, '.'))
        return true;
    first = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9' && s->p - first < DIGITS_MAX)
        s->p++;
    return s->p > first;
}

/* ---- members ---- */

/* One bit each, so that none is taken twice. */
enum member {
    M_ID = 1,
    M_PAYLOAD = 2,
    M_SORTINDEX = 4,
    M_TTL = 8,
    M_MODIFIED = 16,
    M_PARENTID = 32,
    M_PREDECESSORID = 64
};

static bool member_named(view name, bool legacy, enum member *out)
{
    static const struct {
        view name;
        enum member member;
        bool legacy;
    } members[] = {
        { { "id", 2 }, M_ID, false },
        { { "payload", 7 }, M_PAYLOAD, false },
        { { "sortindex", 9 }, M_SORTINDEX, false },
        { { "ttl", 3 }, M_TTL, false },
        { { "modified", 8 }, M_MODIFIED, false },
        { { "parentid", 8 }, M_PARENTID, true },
        { { "predecessorid", 13 }, M_PREDECESSORID, true },
    };

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (view_eq(name, members[i].name) && (legacy || !members[i].legacy)) {
            *out = members[i].member;
            return true;
        }
    return false;
}

static bool set_parent(view text, enum patch_op *op, view *out)
{
    *op = PATCH_SET;
    *out = text;
    return text.n <= BSO_PARENT_MAX;
}

static bool take_string_member(struct scan *s, enum member m, struct item_patch *p)
{
    view text;

    if (!take(s, '"') || !take_text(s, &text))
        return false;
    switch (m) {
    case M_ID:
        p->id = text;
        return bso_id_ok(text, s->c);
    case M_PAYLOAD:
        p->payload_op = PATCH_SET;
        p->payload = text;
        return text.n <= (uint64_t)s->c->rules->max_payload_bytes;
    case M_PARENTID:
        return set_parent(text, &p->parentid_op, &p->parentid);
    default:
        return set_parent(text, &p->predecessorid_op, &p->predecessorid);
    }
}

static bool take_number_member(struct scan *s, enum member m, struct item_patch *p)
{
    if (m == M_SORTINDEX) {
        p->sortindex_op = PATCH_SET;
        return take_integer(s, &p->sortindex);
    }
    p->ttl_op = PATCH_SET;
    return take_integer(s, &p->ttl_s) && p->ttl_s >= 0 &&
           (!s->c->rules->legacy || p->ttl_s <= BSO_TTL_LEGACY_MAX);
}

/* "name" : value */
static bool take_member(struct scan *s, unsigned *seen, struct item_patch *p)
{
    enum member m;
    view name;

    if (!take(s, '"') || !take_text(s, &name) || !member_named(name, s->c->rules->legacy, &m) || (*seen & m))
        return false;
    *seen |= m;
    skip_blanks(s);
    if (!take(s, ':'))
        return false;
    skip_blanks(s);
    if (m == M_MODIFIED)
        return skip_time(s);
    return m == M_SORTINDEX || m == M_TTL ? take_number_member(s, m, p) : take_string_member(s, m, p);
}

/* What follows from which members there are: see fill_15 and fill_11 in bso.c. */
static void settle(const struct bso_ctx *c, struct item_patch *p)
{
    p->touches = p->payload_op == PATCH_SET || (!c->rules->legacy && p->sortindex_op == PATCH_SET);
    if (c->rules->legacy && p->payload_op == PATCH_SET && p->ttl_op == PATCH_LEAVE)
        p->ttl_op = PATCH_CLEAR;
}

bool bso_scan(view text, size_t *at, const struct bso_ctx *c, struct item_patch *out)
{
    struct scan s = { .p = text.p + *at, .end = text.p + text.n, .c = c };
    struct item_patch p = { .touches = false };
    unsigned seen = 0;

    skip_blanks(&s);
    if (!take(&s, '{'))
        return false;
    do {
        skip_blanks(&s);
        if (!take_member(&s, &seen, &p))
            return false;
        skip_blanks(&s);
    } while (take(&s, ','));
    if (!take(&s, '}'))
        return false;
    skip_blanks(&s);
    settle(c, &p);
    *at = (size_t)(s.p - text.p);
    *out = p;
    return true;
}
