#include "common/page/page.h"

#include <inttypes.h>

#include "common/base/log.h"
#include "common/base/scope.h"
#include "common/page/session.h"
#include "common/web/reply.h"

/* ---- texts ---- */

view text_with(const struct page *p, const char *text, view value)
{
    view form = words_find(p->words, text);
    const char *hole = memmem(form.p, form.n, "{}", 2);
    SCOPED(buf_done) struct buf out = { 0 };
    if (!hole)
        return form;
    buf_add(&out, (view){ .p = form.p, .n = (size_t)(hole - form.p) });
    buf_add(&out, value);
    buf_add(&out, (view){ .p = hole + 2, .n = (size_t)(form.p + form.n - hole) - 2 });
    return arena_copy(p->a, buf_view(&out));
}

view here(const struct page *p, const char *path)
{
    return arena_text(p->a, "%.*s%s", VIEW_ARG(p->site->base), path);
}

view size_text(struct arena *a, int64_t bytes)
{
    if (bytes < 1024)
        return arena_text(a, "%" PRId64 " B", bytes);
    if (bytes < 1024 * 1024)
        return arena_text(a, "%.1f KB", (double)bytes / 1024);
    if (bytes < (int64_t)1024 * 1024 * 1024)
        return arena_text(a, "%.1f MB", (double)bytes / 1024 / 1024);
    return arena_text(a, "%.1f GB", (double)bytes / 1024 / 1024 / 1024);
}

/* ---- headers ---- */

static void put_headers(struct page *p, bool public)
{
    struct request *rq = p->rq;
    reply_type(rq, "text/html; charset=utf-8");
    reply_header(
        rq, "Content-Security-Policy",
        arena_text(
            p->a,
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; %s"
            "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            p->site->calls ? "connect-src 'self'; " : ""));
    if (rq->route->dialect != DIALECT_TOKEN) /* which brings it */
        reply_header(rq, "X-Content-Type-Options", VIEW("nosniff"));
    reply_header(rq, "X-Frame-Options", VIEW("DENY"));
    reply_header(rq, "Referrer-Policy", VIEW("no-referrer"));
    reply_header(rq, "Cross-Origin-Opener-Policy", VIEW("same-origin"));
    reply_header(rq, "Cache-Control", public ? VIEW("no-cache") : VIEW("no-store"));
    reply_header(rq, "Vary", VIEW("Accept, Accept-Language, Cookie"));
    if (p->site->https)
        reply_header(rq, "Strict-Transport-Security", VIEW("max-age=31536000"));
}

/* ---- language ---- */

static const struct words *language(const struct site *s, struct request *rq)
{
    const struct languages *l = &s->languages;
    const struct query_arg *asked = request_arg(rq, "lang");
    const struct words *w = asked ? languages_find(l, asked->value) : NULL;
    if (w)
        reply_header(rq, "Set-Cookie",
                     arena_text(rq->arena, "heddle-lang=%s; Path=/; Max-Age=31536000; SameSite=Lax%s", w->tag,
                                s->https ? "; Secure" : ""));
    else
        w = languages_find(l, cookie_get(rq, "heddle-lang"));
    return w ? w : languages_best(l, request_header(rq, "Accept-Language"));
}

/* ---- life of a page ---- */

struct page *page_new(struct request *rq, const struct site *site, bool public)
{
    struct page *p = arena_zero(rq->arena, sizeof(*p));
    p->rq = rq;
    p->a = rq->arena;
    p->site = site;
    p->words = language(site, rq);
    p->b = reply_body(rq);
    put_headers(p, public);
    return p;
}

bool page_token_good(const struct page *p)
{
    return form_token_good(p->site, p->rq, p->session_id, form_field(&p->form, "token"));
}

void page_failed(struct page *p, rc r, const struct err *e)
{
    int status = reply_status_of(r, DIALECT_PLAIN);
    unsigned wait_s = e->retry_after_s;
    view text = r == RC_FORBIDDEN
                    ? T("This page is too old, or its cookie is missing. Open it again and send it anew.")
                : r == RC_BUSY      ? T("Too many requests. Please wait a while and try again.")
                : r == RC_NOT_FOUND ? T("There is no such page.")
                : status == 400     ? T("This request cannot be understood.")
                                    : T("The server cannot do this right now. Please try again later.");
    p->rq->log_reason = rc_name(r);
    LOG(r == RC_BROKEN ? LOG_ERROR : LOG_INFO, "a page was not served", LOG_S("why", e->text),
        LOG_V("id", p->rq->id));
    reply_reset(p->rq);
    put_headers(p, false);
    reply_status(p->rq, status);
    if (status == 503)
        reply_header(p->rq, "Retry-After", arena_text(p->a, "%u", wait_s ? wait_s : 10));
    p->b = reply_body(p->rq);
    page_head(p, T("This did not work"));
    page_problem(p, text);
    if (p->site->candid && e->text[0])
        HTML(p->b, "<p lang=\"en\"><code>{}</code></p>\n", view_of(e->text));
    HTML(p->b, "<p><a href=\"{}\">{}</a></p>\n", here(p, "/"), T("To the first page"));
    page_foot(p);
}

rc page_go(struct page *p, const char *path)
{
    reply_status(p->rq, 303);
    reply_header(p->rq, "Location", here(p, path));
    HTML(
        p->b,
        "<!DOCTYPE html>\n<html lang=\"{}\"><head><title>{}</title></head><body><p><a href=\"{}\">{}</a></p></body></html>\n",
        view_of(p->words->tag), view_of(p->site->name), here(p, path), T("Go on"));
    return RC_OK;
}

rc page_say(struct page *p, view title, view text, const char *next, view next_text)
{
    page_head(p, title);
    page_done(p, text);
    HTML(p->b, "<p><a class=\"button\" href=\"{}\">{}</a></p>\n", here(p, next), next_text);
    page_foot(p);
    return RC_OK;
}

/* ---- frame ---- */

view page_form_token(struct page *p)
{
    if (!p->token.p)
        p->token = form_token(p->site, p->rq, p->session_id);
    return p->token;
}

/* The page's own query behind the choice of a language, so that a reset link keeps its key. */
static view other_query(const struct page *p)
{
    view rest = p->rq->query, one;
    SCOPED(buf_done) struct buf out = { 0 };
    while (view_cut(&rest, '&', &one))
        if (one.n > 0 && !view_starts(one, VIEW("lang="))) {
            buf_addc(&out, '&');
            buf_add(&out, one);
        }
    return arena_copy(p->a, buf_view(&out));
}

static void put_more_looks(struct page *p)
{
    if (p->site->style)
        HTML(p->b, "<link rel=\"stylesheet\" href=\"{}\">\n",
             here(p, arena_text(p->a, "/media/%s", p->site->style).p));
    if (p->site->script)
        HTML(p->b, "<script src=\"{}\" defer></script>\n",
             here(p, arena_text(p->a, "/media/%s", p->site->script).p));
}

void page_head(struct page *p, view title)
{
    view name = view_of(p->site->name);
    HTML(p->b,
         "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<title>{} – {}</title>\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n"
         "<link rel=\"icon\" href=\"{}\">\n<link rel=\"stylesheet\" href=\"{}\">\n",
         view_of(p->words->tag), title, name, here(p, "/media/logo"), here(p, "/media/heddle.css"));
    put_more_looks(p);
    HTML(p->b, "<link rel=\"stylesheet\" href=\"{}\">\n<script src=\"{}\" defer></script>\n</head>\n<body>\n",
         here(p, "/media/own.css"), here(p, "/media/heddle.js"));
    HTML(
        p->b,
        "<a class=\"skip\" href=\"#main\">{}</a>\n<header>\n<a class=\"brand\" href=\"{}\"><img src=\"{}\" alt=\"\" width=\"32\" height=\"32\"> {}</a>\n",
        T("To the content"), here(p, "/"), here(p, "/media/logo"), name);
    HTML(p->b, "<nav aria-label=\"{}\">\n", T("Pages"));
    p->site->navigation(p);
    HTML(p->b, "</nav>\n");
    HTML(p->b, "</header>\n<main id=\"main\" tabindex=\"-1\">\n<h1>{}</h1>\n", title);
}

void page_foot(struct page *p)
{
    const struct languages *l = &p->site->languages;
    view query = other_query(p);
    HTML(p->b, "</main>\n<footer>\n<nav aria-label=\"{}\">\n", T("Language"));
    for (size_t i = 0; i < l->n; i++) {
        view tag = view_of(l->list[i].tag);
        if (&l->list[i] == p->words)
            HTML(p->b, "<span lang=\"{}\" aria-current=\"true\">{}</span>\n", tag, view_of(l->list[i].label));
        else if (p->rq->method == POST)
            HTML(p->b, "<a lang=\"{}\" hreflang=\"{}\" href=\"{}?lang={}\">{}</a>\n", tag, tag, here(p, "/"),
                 tag, view_of(l->list[i].label));
        else
            HTML(p->b, "<a lang=\"{}\" hreflang=\"{}\" href=\"?lang={}{}\">{}</a>\n", tag, tag, tag, query,
                 view_of(l->list[i].label));
    }
    HTML(p->b, "</nav>\n</footer>\n</body>\n</html>\n");
}

void page_problem(struct page *p, view text)
{
    if (text.p)
        HTML(p->b, "<p class=\"problem\" role=\"alert\" id=\"problem\">{}</p>\n", text);
}

void page_done(struct page *p, view text)
{
    if (text.p)
        HTML(p->b, "<p class=\"done\" role=\"status\">{}</p>\n", text);
}

/* ---- forms ---- */

void form_open(struct page *p, const char *path, bool token)
{
    HTML(p->b, "<form method=\"post\" action=\"{}\">\n", here(p, path));
    if (token)
        form_hidden(p, "token", page_form_token(p));
}

void form_hidden(struct page *p, const char *name, view value)
{
    HTML(p->b, "<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", view_of(name), value);
}

void form_input(struct page *p, const struct input *i)
{
    view name = view_of(i->name);
    HTML(p->b, "<p><label for=\"{}\">{}</label>\n", name, i->label);
    if (i->help.p)
        HTML(p->b, "<small id=\"{}-help\">{}</small>\n", name, i->help);
    HTML(p->b, "<input id=\"{}\" name=\"{}\" type=\"{}\" autocomplete=\"{}\" value=\"{}\" maxlength=\"1024\"",
         name, name, view_of(i->type), view_of(i->autocomplete), i->value.p ? i->value : VIEW(""));
    if (strcmp(i->type, "password") != 0)
        HTML(p->b, " autocapitalize=\"none\" spellcheck=\"false\"");
    if (i->help.p)
        HTML(p->b, " aria-describedby=\"{}-help\"", name);
    if (!i->optional)
        HTML(p->b, " required");
    HTML(p->b, "></p>\n");
}

void form_close(struct page *p, view button, bool dangerous)
{
    HTML(p->b, "<p><button class=\"{}\">{}</button></p>\n</form>\n",
         dangerous ? VIEW("dangerous") : VIEW("main"), button);
}
