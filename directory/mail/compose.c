/* A mail as RFC 5322 wants it: headers that nobody's text can break out of, and two parts in base64, text first. */
#include <inttypes.h>

#include "common/base/encode.h"
#include "directory/mail/inside.h"

enum { LINE_BYTES = 57, WORD_BYTES = 45, ADDRESS_MAX = 254 }; /* 57 bytes are 76 characters of base64 */

/* ---- addresses ---- */

static bool is_plain(char c)
{
    unsigned char u = (unsigned char)c;
    return u > ' ' && u != 0x7f && !strchr("<>()[]\\,;:\"", c);
}

bool mail_address_ok(view v)
{
    const char *at = v.n > 0 && v.n <= ADDRESS_MAX ? memrchr(v.p, '@', v.n) : NULL;
    size_t local = at ? (size_t)(at - v.p) : 0, i = 0;
    if (local == 0 || local + 1 == v.n || !utf8_valid(v))
        return false;
    if (local > 2 && v.p[0] == '"' && v.p[local - 1] == '"')
        for (i = 1; i + 1 < local; i++) /* within quotes, blanks and most marks are harmless */
            if ((unsigned char)v.p[i] < ' ' || strchr("\"\\<>\x7f", v.p[i]))
                return false;
    for (i = i > 0 ? local : 0; i < v.n; i++)
        if (!is_plain(v.p[i]) || (v.p[i] == '@' && v.p + i != at))
            return false;
    return true;
}

bool mailbox_parse(view text, view *out_name, view *out_address)
{
    view v = view_trim(text), name = VIEW("");
    if (v.n > 2 && v.p[v.n - 1] == '>') {
        const char *open = memrchr(v.p, '<', v.n);
        if (!open)
            return false;
        name = view_trim((view){ .p = v.p, .n = (size_t)(open - v.p) });
        v = (view){ .p = open + 1, .n = (size_t)(v.p + v.n - open) - 2 };
    }
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || strchr("\"\\<>\x7f", name.p[i]))
            return false;
    if (!mail_address_ok(v) || !utf8_valid(name))
        return false;
    *out_name = name;
    *out_address = v;
    return true;
}

/* ---- headers ---- */

/* RFC 2047 4.2: for names, where most letters stay readable. */
static void put_q_word(struct buf *b, view v)
{
    buf_add(b, VIEW("=?utf-8?q?"));
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (c == ' ')
            buf_addc(b, '_');
        else if (ascii_alnum(c))
            buf_addc(b, c);
        else
            buf_addf(b, "=%02X", (unsigned char)c);
    }
    buf_add(b, VIEW("?="));
}

static void put_mailbox(struct buf *b, view name, view address)
{
    if (name.n > 0 && view_is_ascii(name))
        buf_addf(b, "\"%.*s\" ", VIEW_ARG(name));
    else if (name.n > 0) {
        put_q_word(b, name);
        buf_addc(b, ' ');
    }
    buf_addf(b, name.n > 0 ? "<%.*s>" : "%.*s", VIEW_ARG(address));
}

/* Encoded words of at most 75 characters, cut between characters. RFC 2047 2. */
static void put_subject(struct buf *b, view v)
{
    if (view_is_ascii(v)) {
        buf_add(b, v);
        return;
    }
    for (bool first = true; v.n > 0; first = false) {
        size_t n = v.n < WORD_BYTES ? v.n : WORD_BYTES;
        while (n < v.n && ((unsigned char)v.p[n] & 0xc0) == 0x80)
            n--;
        buf_add(b, first ? VIEW("=?utf-8?b?") : VIEW("\r\n =?utf-8?b?"));
        base64_put(b, BASE64_STD, (view){ .p = v.p, .n = n });
        buf_add(b, VIEW("?="));
        v = (view){ .p = v.p + n, .n = v.n - n };
    }
}

static void put_date(struct buf *b, int64_t now_s)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t t = (time_t)now_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    buf_addf(b, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* ---- parts ---- */

static void put_part(struct buf *b, view boundary, const char *type, view text)
{
    buf_addf(b, "--%.*s\r\nContent-Type: %s; charset=\"utf-8\"\r\nContent-Transfer-Encoding: base64\r\n\r\n",
             VIEW_ARG(boundary), type);
    while (text.n > 0) {
        size_t n = text.n < LINE_BYTES ? text.n : LINE_BYTES;
        base64_put(b, BASE64_STD, (view){ .p = text.p, .n = n });
        buf_add(b, VIEW("\r\n"));
        text = (view){ .p = text.p + n, .n = text.n - n };
    }
    buf_add(b, VIEW("\r\n"));
}

static bool is_one_line(view v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < ' ' || v.p[i] == 0x7f)
            return false;
    return v.n <= 250 && utf8_valid(v);
}

rc mail_compose(const struct mail *m, view from, view id, int64_t now_s, struct buf *out, struct err *e)
{
    view name, address;
    if (!mailbox_parse(from, &name, &address))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a sender that is no address");
    if (!mail_address_ok(m->to))
        return fail(e, RC_BAD_INPUT, RESP_NO_EMAIL, "a recipient that is no address");
    if (!is_one_line(m->subject) || !utf8_valid(m->text) || !utf8_valid(m->html))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a subject that is no line, or text that is no UTF-8");
    buf_add(out, VIEW("From: "));
    put_mailbox(out, name, address);
    buf_add(out, VIEW("\r\nTo: "));
    put_mailbox(out, VIEW(""), m->to);
    buf_add(out, VIEW("\r\nSubject: "));
    put_subject(out, m->subject);
    buf_add(out, VIEW("\r\n"));
    put_date(out, now_s);
    const char *at = memrchr(address.p, '@', address.n);
    buf_addf(out, "Message-ID: <%.*s%.*s>\r\n", VIEW_ARG(id), (int)(address.p + address.n - at), at);
    buf_addf(out,
             "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
             "Content-Type: multipart/alternative; boundary=\"%.*s\"\r\n\r\n",
             VIEW_ARG(id));
    put_part(out, id, "text/plain", m->text);
    put_part(out, id, "text/html", m->html);
    buf_addf(out, "--%.*s--\r\n", VIEW_ARG(id));
    return RC_OK;
}
