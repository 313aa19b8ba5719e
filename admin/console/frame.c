/* Pieces of the console's pages. */
#include <inttypes.h>
#include <time.h>

#include "admin/console/inside.h"
#include "common/base/encode.h"

/* ---- frame ---- */

void console_navigation(struct page *p)
{
    static const struct {
        const char *path, *label;
        enum role least;
        bool box; /* in the one box alone */
    } links[] = {
        { "/", N_("Overview"), ROLE_READER, false },
        { "/nodes", N_("Nodes"), ROLE_READER, false },
        { "/users", N_("Users"), ROLE_READER, false },
        { "/plan", N_("Plan"), ROLE_READER, false },
        { "/runs", N_("Runs"), ROLE_READER, false },
        { "/audit", N_("Audit trail"), ROLE_READER, false },
        { "/invites", N_("Invite codes"), ROLE_READER, false },
        { "/mail", N_("Newest mail"), ROLE_ADMIN, true },
        { "/settings", N_("Settings"), ROLE_READER, false },
    };
    if (!may(p, ROLE_READER))
        return;
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        if (may(p, links[i].least) && !(links[i].box && look(p)->c->alone))
            HTML(p->b, "<a href=\"{}\">{}</a>\n",
                 strcmp(links[i].path, "/") == 0 ? p->site->base : here(p, links[i].path),
                 words_find(p->words, links[i].label));
    HTML(
        p->b,
        "<form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"token\" value=\"{}\"><button>{}</button></form>\n",
        here(p, "/sign-out"), page_form_token(p), T("Sign out"));
}

void console_head(struct page *p, view title)
{
    page_head(p, title);
    tell_done(p);
}

void console_foot(struct page *p)
{
    if (may(p, ROLE_READER))
        HTML(p->b, "<p class=\"who\">{}</p>\n",
             arena_text(p->a, "%.*s (%.*s)", VIEW_ARG(look(p)->name),
                        VIEW_ARG(words_find(p->words, role_name(look(p)->role)))));
    page_foot(p);
}

/* ---- parts that follow events ---- */

void live_begin(struct page *p, const char *path)
{
    HTML(p->b, "<div data-live=\"{}\" data-lost=\"{}\">\n", here(p, path),
         T("Live updates have ended. Load the page again."));
}

void live_end(struct page *p)
{
    HTML(p->b, "</div>\n<p class=\"live-state\" role=\"status\"></p>\n");
    HTML(p->b, "<noscript><p><a href=\"\">{}</a></p></noscript>\n", T("Show the present figures"));
}

/* Protocol: HTML, "Server-sent events": a short answer; the browser comes again by itself after `retry`. */
rc live_reply(struct page *p, page_fn *fragment, int64_t again_ms, struct err *e)
{
    struct buf *out = p->b, part = { 0 };
    p->b = &part;
    rc r = fragment(p, e);
    p->b = out;
    if (r == RC_OK) {
        view rest = buf_view(&part), line;
        reply_type(p->rq, "text/event-stream; charset=utf-8");
        buf_addf(out, "retry: %" PRId64 "\n", again_ms);
        while (rest.n > 0 && view_cut(&rest, '\n', &line)) {
            buf_add(out, VIEW("data: "));
            buf_add(out, line);
            buf_addc(out, '\n');
        }
        buf_addc(out, '\n');
    }
    buf_done(&part);
    return r;
}

/* ---- tables, facts ---- */

void table_begin(struct page *p, view caption, const char *const columns[])
{
    HTML(
        p->b,
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">\n<table>\n<caption>{}</caption>\n<thead><tr>",
        caption, caption);
    for (; *columns; columns++)
        HTML(p->b, "<th scope=\"col\">{}</th>", words_find(p->words, *columns));
    HTML(p->b, "</tr></thead>\n<tbody>\n");
}

void table_end(struct page *p)
{
    HTML(p->b, "</tbody>\n</table>\n</div>\n");
}

void cell(struct page *p, view text)
{
    HTML(p->b, "<td>{}</td>", text.p ? text : VIEW("–"));
}

void cell_number(struct page *p, view text)
{
    HTML(p->b, "<td class=\"number\">{}</td>", text.p ? text : VIEW("–"));
}

void fact(struct page *p, view label, view value)
{
    HTML(p->b, "<dt>{}</dt><dd>{}</dd>\n", label, value.n > 0 ? value : VIEW("–"));
}

void button_form(struct page *p, const char *path, const char *extra, view value, view button, bool dangerous)
{
    HTML(p->b, "<form class=\"inline\" method=\"post\" action=\"{}\">", here(p, path));
    form_hidden(p, "token", page_form_token(p));
    if (extra)
        form_hidden(p, extra, value);
    HTML(p->b, "<button class=\"{}\">{}</button></form>\n", dangerous ? VIEW("dangerous") : VIEW("plain"),
         button);
}

/* ---- after a POST ---- */

static const struct {
    const char *word, *text;
} done_words[] = {
    { "signed-out", N_("You are signed out.") },
    { "changed", N_("It is changed.") },
    { "disabled", N_("The account is disabled: password and tokens are refused everywhere.") },
    { "enabled", N_("The account is enabled again.") },
    { "reset", N_("A link to choose a new password is on its way to the user's mail address.") },
    { "quota", N_("The quota is changed.") },
    { "deleted", N_("The account and all its data are deleted.") },
    { "asked", N_("The run was asked to do so; it finishes what is under way first.") },
    { "started", N_("It is started. It goes on without this page.") },
    { "added", N_("The node is added.") },
    { "revoked", N_("The code is revoked; accounts that were made with it stay.") },
    { "removed", N_("The node is removed.") },
};

rc go_done(struct page *p, const char *path, const char *word)
{
    return page_go(p, arena_text(p->a, "%s%sdone=%s", path, strchr(path, '?') ? "&" : "?", word).p);
}

void tell_done(struct page *p)
{
    const struct query_arg *done = request_arg(p->rq, "done");
    for (size_t i = 0; done && i < sizeof(done_words) / sizeof(done_words[0]); i++)
        if (view_eq(done->value, view_of(done_words[i].word)))
            page_done(p, words_find(p->words, done_words[i].text));
}

/* ---- values ---- */

view asked(const struct page *p, const char *name)
{
    const struct query_arg *a = request_arg(p->rq, name);
    return a && a->value.p && utf8_valid(a->value) && a->value.n <= 255 ? view_trim(a->value) : VIEW("");
}

view time_text(struct arena *a, int64_t ms)
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    char text[40];
    if (ms <= 0 || !gmtime_r(&s, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        return VIEW("–");
    return arena_text(a, "%s", text);
}

view number_text(struct arena *a, int64_t n)
{
    char digits[24], out[64];
    size_t k = 0;
    int len = snprintf(digits, sizeof(digits), "%" PRId64, n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-') { /* a thin space that does not break */
            memcpy(out + k, "\xe2\x80\xaf", 3);
            k += 3;
        }
        out[k++] = digits[i];
    }
    return arena_copy(a, (view){ .p = out, .n = k });
}

view member(const json_t *o, const char *name)
{
    return json_text(json_object_get(o, name));
}

int64_t member_number(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return json_is_integer(v) ? json_integer_value(v) : (int64_t)json_number_value(v);
}

view bytes_of(struct arena *a, const json_t *o, const char *name)
{
    return json_is_number(json_object_get(o, name)) ? size_text(a, member_number(o, name)) : VIEW("–");
}

view member_show(struct arena *a, const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    if (json_is_string(v))
        return json_string_length(v) > 0 ? json_text(v) : VIEW("–");
    if (json_is_integer(v))
        return number_text(a, json_integer_value(v));
    if (json_is_real(v))
        return arena_text(a, "%.2f", json_real_value(v));
    return VIEW("–");
}
