#include "directory/registration.h"

#include <idn2.h>
#include <limits.h>
#include <locale.h>
#include <wchar.h>
#include <wctype.h>

#include "common/auth/basic.h"
#include "common/base/encode.h"
#include "common/base/scope.h"
#include "common/web/server.h"

enum { MAIL_MAX = 254 };

/* ---- the switch ---- */

static bool is_loopback(view host)
{
    return view_eq_nocase(host, VIEW("localhost")) || view_eq(host, VIEW("[::1]")) ||
           view_starts(host, VIEW("127."));
}

rc registration_read(const char *mode, struct conf_list allow, const char *secret, view public_url,
                     struct registration *out, struct err *e)
{
    struct registration r = { .allow = allow, .secret = secret };
    struct url_parts u;
    if (strcmp(mode, "open") == 0)
        r.mode = REGISTRATION_OPEN;
    else if (strcmp(mode, "closed") == 0)
        r.mode = REGISTRATION_CLOSED;
    else if (strcmp(mode, "list") == 0)
        r.mode = REGISTRATION_LIST;
    else if (strcmp(mode, "invite") == 0)
        r.mode = REGISTRATION_INVITE;
    else if (mode[0] == '\0')
        r.mode = url_cut(public_url, &u) && is_loopback(u.host) ? REGISTRATION_OPEN : REGISTRATION_CLOSED;
    else
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "registration.mode is \"%s\": must be open, closed, list or invite", mode);
    *out = r;
    return RC_OK;
}

static bool entry_takes(view entry, view mail)
{
    if (view_starts(entry, VIEW("*@")))
        entry = (view){ .p = entry.p + 1, .n = entry.n - 1 };
    if (!view_starts(entry, VIEW("@")))
        return view_eq_nocase(entry, mail);
    return entry.n > 1 && mail.n > entry.n &&
           view_eq_nocase(entry, (view){ .p = mail.p + mail.n - entry.n, .n = entry.n });
}

bool registration_takes_mail(const struct registration *r, view mail)
{
    if (r->mode != REGISTRATION_LIST)
        return r->mode == REGISTRATION_OPEN;
    for (size_t i = 0; i < r->allow.n; i++)
        if (entry_takes(view_trim(view_of(r->allow.items[i])), mail))
            return true;
    return false;
}

bool registration_takes_sub(const struct registration *r, view sub)
{
    if (r->mode != REGISTRATION_LIST && r->mode != REGISTRATION_INVITE)
        return r->mode == REGISTRATION_OPEN;
    for (size_t i = 0; i < r->allow.n; i++)
        if (view_eq(view_trim(view_of(r->allow.items[i])), sub))
            return true;
    return false;
}

/* ---- mail addresses ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Dot-separated runs without specials, or one quoted string. */
static bool local_ok(view v)
{
    if (v.n >= 3 && v.p[0] == '"' && v.p[v.n - 1] == '"') {
        for (size_t i = 1; i + 1 < v.n;
             i++) /* what would end the quotes, or the address in a mail's header */
            if (strchr("\"\\<>", v.p[i]))
                return false;
        return true;
    }
    char before = '.';
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (strchr("<>()[]\\,;: @\"", c) || (c == '.' && before == '.'))
            return false;
        before = c;
    }
    return v.n > 0 && before != '.';
}

static bool is_ipv4(view v)
{
    view part;
    int groups = 0;
    while (view_cut(&v, '.', &part)) {
        uint64_t n;
        if (part.n < 1 || part.n > 3 || !view_to_u64(part, 999, &n))
            return false;
        groups++;
    }
    return groups == 4;
}

static bool domain_ok(view v)
{
    view part;
    int labels = 0;
    bool letters = false;
    if (is_ipv4(v))
        return true;
    while (view_cut(&v, '.', &part)) {
        letters = part.n >= 2;
        if (part.n == 0)
            return false;
        for (size_t i = 0; i < part.n; i++) {
            if (!is_letter(part.p[i]) && !is_digit(part.p[i]) && part.p[i] != '-')
                return false;
            letters = letters && is_letter(part.p[i]);
        }
        labels++;
    }
    return labels >= 2 && letters; /* the last label */
}

bool mail_valid(view mail)
{
    if (mail.n == 0 || mail.n > MAIL_MAX || !utf8_valid(mail))
        return false;
    for (size_t i = 0; i < mail.n; i++)
        if ((unsigned char)mail.p[i] < 0x20 || mail.p[i] == 0x7f)
            return false;
    const char *at = memrchr(mail.p, '@', mail.n);
    if (!at)
        return false;
    size_t n = (size_t)(at - mail.p);
    return local_ok((view){ .p = mail.p, .n = n }) && domain_ok((view){ .p = at + 1, .n = mail.n - n - 1 });
}

/* ---- names ---- */

/* Unicode's lower case, as Firefox has it. */
static bool lower_utf8(view v, struct arena *a, view *out)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    if (!utf8)
        return false;
    locale_t before = uselocale(utf8);
    char *to = arena_alloc(a, 4 * v.n + MB_LEN_MAX);
    size_t from = 0, n = 0;
    mbstate_t in = { 0 }, made = { 0 };
    while (from < v.n) {
        wchar_t c;
        size_t took = mbrtowc(&c, v.p + from, v.n - from, &in);
        size_t put = took > 0 && took <= v.n - from ? wcrtomb(to + n, (wchar_t)towlower((wint_t)c), &made)
                                                    : (size_t)-1;
        if (put == (size_t)-1)
            break;
        from += took;
        n += put;
    }
    uselocale(before);
    freelocale(utf8);
    *out = (view){ .p = to, .n = n };
    return from == v.n;
}

static bool idna(view part, struct buf *out)
{
    char *ascii = NULL;
    SCOPED(buf_done) struct buf text = { 0 };
    buf_add(&text, part);
    if (idn2_to_ascii_8z(buf_text(&text), &ascii, IDN2_NFC_INPUT | IDN2_TRANSITIONAL) != IDN2_OK)
        return false;
    buf_add(out, view_of(ascii));
    idn2_free(ascii);
    return true;
}

static bool name_is(view account, view name, struct arena *a)
{
    view derived;
    return account_name_derive(account, a, &derived) && view_eq(derived, name);
}

bool mail_makes_name(view mail, view name, struct arena *a)
{
    view decoded, local, low;
    if (name_is(mail, name, a))
        return true;
    if (!percent_decode(mail, a, &decoded) || !utf8_valid(decoded) || view_is_ascii(decoded) ||
        memchr(decoded.p, '\0', decoded.n))
        return false;
    if (!view_is_ascii(mail) && lower_utf8(mail, a, &low) && name_is(low, name, a))
        return true;
    SCOPED(buf_done) struct buf ascii = { 0 };
    view domain = decoded;
    if (!view_cut(&domain, '@', &local) || !domain.p || !idna(local, &ascii))
        return false;
    buf_addc(&ascii, '@');
    return idna(domain, &ascii) && name_is(buf_view(&ascii), name, a);
}
