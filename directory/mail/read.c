/* The newest finished mail of the driver `spool`, for people to look at: the way back from mail_compose. A file that is written otherwise is
 * none of ours. */
#include <stdlib.h>

#include "common/base/encode.h"
#include "common/base/scope.h"
#include "directory/mail/inside.h"

enum { TEXT_MOST = 16 * 1024, PART_MOST = 64 * 1024 };

/* ---- headers ---- */

static view without_cr(view line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static bool is_name(view line, const char *name)
{
    size_t n = strlen(name);
    return line.n > n + 1 && line.p[n] == ':' && line.p[n + 1] == ' ' && view_starts(line, view_of(name));
}

/* What stands behind "name: ", the lines that belong to it joined; "": not there. */
static view header(view head, const char *name, struct arena *a)
{
    size_t skip = strlen(name) + 2;
    view line, value = VIEW("");
    bool in_it = false;
    while (head.n > 0 && view_cut(&head, '\n', &line)) {
        line = without_cr(line);
        bool more = line.n > 0 && line.p[0] == ' ';
        if (in_it && !more)
            break;
        if (in_it)
            value = arena_text(a, "%.*s%.*s", VIEW_ARG(value), VIEW_ARG(line));
        else if (!more && is_name(line, name)) {
            value = (view){ .p = line.p + skip, .n = line.n - skip };
            in_it = true;
        }
    }
    return value;
}

/* "=41" and "_" of RFC 2047 4.2. */
static bool q_decode(view v, struct buf *out, struct arena *a)
{
    for (size_t i = 0; i < v.n; i++) {
        view byte;
        if (v.p[i] == '_')
            buf_addc(out, ' ');
        else if (v.p[i] != '=')
            buf_addc(out, v.p[i]);
        else if (i + 2 < v.n && hex_decode((view){ .p = v.p + i + 1, .n = 2 }, a, &byte)) {
            buf_add(out, byte);
            i += 2;
        } else
            return false;
    }
    return true;
}

/* One encoded word at the beginning of *v, which goes on behind it. */
static bool word_decode(view *v, struct buf *out, struct arena *a)
{
    view rest = *v, charset, kind, text, bytes;
    if (!view_starts(rest, VIEW("=?")))
        return false;
    rest = (view){ .p = rest.p + 2, .n = rest.n - 2 };
    if (!view_cut(&rest, '?', &charset) || !view_cut(&rest, '?', &kind) || !view_cut(&rest, '?', &text) ||
        rest.n == 0 || rest.p[0] != '=' || !view_eq_nocase(charset, VIEW("utf-8")))
        return false;
    if (view_eq_nocase(kind, VIEW("q"))) {
        if (!q_decode(text, out, a))
            return false;
    } else if (view_eq_nocase(kind, VIEW("b")) && base64_decode(BASE64_STD, text, a, &bytes))
        buf_add(out, bytes);
    else
        return false;
    *v = (view){ .p = rest.p + 1, .n = rest.n - 1 };
    return true;
}

/* Blanks between two encoded words are none. */
static view words_decode(view v, struct arena *a)
{
    SCOPED(buf_done) struct buf out = { 0 };
    while (v.n > 0) {
        if (word_decode(&v, &out, a)) {
            view next = view_trim(v);
            v = view_starts(next, VIEW("=?")) ? next : v;
            continue;
        }
        buf_addc(&out, v.p[0]);
        v = (view){ .p = v.p + 1, .n = v.n - 1 };
    }
    return arena_copy(a, buf_view(&out));
}

/* ---- the text ---- */

/* Cuts at the first empty line. */
static bool cut_head(view *v, view *out_head)
{
    const char *at = v->n > 0 ? memmem(v->p, v->n, "\r\n\r\n", 4) : NULL;
    if (!at)
        return false;
    *out_head = (view){ .p = v->p, .n = (size_t)(at - v->p) };
    *v = (view){ .p = at + 4, .n = (size_t)(v->p + v->n - at) - 4 };
    return true;
}

/* The first part of a mail of ours: text, in lines of base64 up to an empty one. */
static bool first_part(view body, struct arena *a, view *out)
{
    view head, lines, line;
    SCOPED(buf_done) struct buf joined = { 0 };
    if (!view_starts(body, VIEW("--")) || !cut_head(&body, &head) || head.n > 1024 ||
        !cut_head(&body, &lines) || lines.n > PART_MOST ||
        !memmem(head.p, head.n, "Content-Type: text/plain; charset=\"utf-8\"", 40))
        return false;
    while (lines.n > 0 && view_cut(&lines, '\n', &line))
        buf_add(&joined, without_cr(line));
    return base64_decode(BASE64_STD, buf_view(&joined), a, out) && utf8_valid(*out);
}

/* Not in the middle of a character. */
static view shortened(view text, size_t most)
{
    if (text.n <= most)
        return text;
    while (most > 0 && ((unsigned char)text.p[most] & 0xc0) == 0x80)
        most--;
    text.n = most;
    return text;
}

rc mail_read(view file, struct arena *a, struct mail_seen *out, struct err *e)
{
    struct mail_seen m = { .made_ms = 0 };
    view head, body = file;
    if (!cut_head(&body, &head) || !first_part(body, a, &m.text))
        return fail(e, RC_BROKEN, RESP_GENERIC, "a file that is no mail of ours");
    m.cut = m.text.n > TEXT_MOST;
    m.text = shortened(m.text, TEXT_MOST);
    m.from = words_decode(header(head, "From", a), a);
    m.to = words_decode(header(head, "To", a), a);
    m.date = arena_copy(a, header(head, "Date", a));
    m.subject = words_decode(header(head, "Subject", a), a);
    if (!utf8_valid(m.from) || !utf8_valid(m.to) || !utf8_valid(m.subject) || !utf8_valid(m.date))
        return fail(e, RC_BROKEN, RESP_GENERIC, "a mail with headers that are no UTF-8");
    *out = m;
    return RC_OK;
}

/* ---- the newest ---- */

static bool is_finished(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".eml") == 0;
}

rc spool_newest(const char *dir, struct arena *a, struct mail_seen *out, struct err *e)
{
    char(*names)[SPOOL_NAME] = NULL;
    size_t n = 0;
    SCOPED(buf_done) struct buf file = { 0 };
    TRY(spool_list(dir, &names, &n, e));
    while (n > 0 && !is_finished(names[n - 1]))
        n--;
    if (n == 0) {
        free(names);
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "there is no mail yet");
    }
    rc r = spool_read(dir, names[n - 1], &file, e);
    int64_t made_ms = spool_name_ms(names[n - 1]);
    free(names);
    TRY(r);
    TRY(mail_read(arena_copy(a, buf_view(&file)), a, out, e));
    out->made_ms = made_ms;
    return RC_OK;
}
