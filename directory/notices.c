#include "directory/notices.h"

#include <inttypes.h>

#include "common/base/log.h"
#include "common/page/html.h"
#include "directory/mail/mail.h"
#include "directory/screens/screens.h"

enum { TEMPLATE_MAX = 64 * 1024 };

#define N_(text) text /* for xgettext */

/* Paragraphs; "{link}" alone is the link on a line of its own, which must stay the third: programs look for it there. */
static const struct {
    const char *name, *subject, *parts[6];
} kinds[] = {
    [NOTICE_RESET] = { "reset",
                       N_("Resetting your Services password"),
                       { N_("Somebody, hopefully you, asked to reset the password of your sync account. To choose a new one, "
                            "open this address within the next {life}:"),
                         "{link}", N_("If it was not you, do nothing: your password stays as it is."),
                         N_("A new password does not bring back data that were encrypted with a sync key which is lost: "
                            "devices that still have the key upload their data again, and without any such device you "
                            "begin anew with an empty account."),
                         N_("Account: {name}, server: {server}") } },
    [NOTICE_CHANGED] = { "changed",
                         N_("Your sync password was changed"),
                         { N_("The password of your sync account was changed just now."),
                           N_("If it was you, there is nothing to do but to enter the new password on your devices."),
                           N_("If it was not you, reset it at once: open {server} and choose \"Forgot your password?\"."),
                           N_("Account: {name}, server: {server}") } },
    [NOTICE_EMAIL] = { "email",
                       N_("The mail address of your sync account was changed"),
                       { N_("Your sync account has another mail address from now on; this one gets no more mails."),
                         N_("If it was not you, please tell the people who run {server}."),
                         N_("Account: {name}, server: {server}") } },
    [NOTICE_DELETED] = { "deleted",
                         N_("Your sync account was deleted"),
                         { N_("Your sync account and the data on the server were deleted. What is on your devices stays there."),
                           N_("Account: {name}, server: {server}") } },
    [NOTICE_PASS] = { "pass",
                      N_("Your link to go on"),
                      { N_("You wanted to go on without the puzzle of the form. Open this address within the next {life}:"),
                        "{link}", N_("If it was not you, do nothing."), N_("Server: {server}") } },
};

struct fill {
    view link, name, server, life;
};

static view value_of(const struct fill *f, view key)
{
    return view_eq(key, VIEW("link"))     ? f->link
           : view_eq(key, VIEW("name"))   ? f->name
           : view_eq(key, VIEW("server")) ? f->server
           : view_eq(key, VIEW("life"))   ? f->life
                                          : VIEW_NONE;
}

/* {key} is replaced; braces around anything else stay. `html`: the values are escaped (templates are the operator's own). */
static void put_filled(struct buf *b, view text, const struct fill *f, bool html)
{
    for (size_t i = 0; i < text.n; i++) {
        const char *end = text.p[i] == '{' ? memchr(text.p + i, '}', text.n - i) : NULL;
        view key = end ? (view){ .p = text.p + i + 1, .n = (size_t)(end - text.p) - i - 1 } : VIEW_NONE;
        view value = end ? value_of(f, key) : VIEW_NONE;
        if (!value.p) {
            buf_addc(b, text.p[i]);
            continue;
        }
        if (html)
            html_escape(b, value);
        else
            buf_add(b, value);
        i += key.n + 1;
    }
}

static void put_text(struct buf *b, enum notice kind, const struct fill *f, const struct words *words)
{
    for (size_t i = 0; i < 6 && kinds[kind].parts[i]; i++) {
        const char *part = kinds[kind].parts[i];
        buf_add(b, i == 0 ? VIEW("") : VIEW("\n"));
        if (strcmp(part, "{link}") == 0) {
            buf_add(b, VIEW("    "));
            buf_add(b, f->link);
        } else {
            put_filled(b, words_find(words, part), f, false);
        }
        buf_addc(b, '\n');
    }
}

static void put_html(struct buf *b, enum notice kind, const struct fill *f, const struct words *words)
{
    buf_addf(b, "<!DOCTYPE html>\n<html lang=\"%s\"><body style=\"font:1rem/1.5 sans-serif\">\n",
             words ? words->tag : "en");
    for (size_t i = 0; i < 6 && kinds[kind].parts[i]; i++) {
        SCOPED(buf_done) struct buf plain = { 0 };
        const char *part = kinds[kind].parts[i];
        if (strcmp(part, "{link}") == 0) {
            html_put(b, "<p><a href=\"{}\">{}</a></p>\n", (const view[]){ f->link, f->link }, 2);
            continue;
        }
        put_filled(&plain, words_find(words, part), f, false);
        view text = buf_view(&plain);
        html_put(b, "<p>{}</p>\n", &text, 1);
    }
    buf_add(b, VIEW("</body></html>\n"));
}

/* <folder>/mails/<kind>.<lang>.<form>, else without the language. false: neither is there, or it is too large. */
static bool read_template(const char *folder, const char *kind, const char *tag, const char *form,
                          struct buf *out)
{
    for (int with_language = 1; with_language >= 0; with_language--) {
        SCOPED(buf_done) struct buf path = { 0 };
        buf_addf(&path, "%s/mails/%s", folder, kind);
        if (with_language)
            buf_addf(&path, ".%s", tag);
        buf_addf(&path, ".%s", form);
        FILE *f = fopen(buf_text(&path), "re");
        if (!f)
            continue;
        buf_clear(out);
        buf_reserve(out, TEMPLATE_MAX);
        out->n = fread(out->p, 1, TEMPLATE_MAX, f);
        fclose(f);
        if (out->n < TEMPLATE_MAX)
            return true;
        LOG(LOG_ERROR, "a mail template is too large; ours is used", LOG_S("file", buf_text(&path)));
    }
    return false;
}

view notice_life(struct arena *a, int64_t life_s, const struct words *words)
{
    bool hours = life_s >= 7200; /* rounded down, but for the seconds that it took to get here */
    SCOPED(buf_done) struct buf number = { 0 };
    SCOPED(buf_done) struct buf out = { 0 };
    buf_add_i64(&number, hours ? (life_s + 60) / 3600 : (life_s + 59) / 60);
    view form = words_find(words, hours ? N_("{} hours") : N_("{} minutes"));
    const char *hole = memmem(form.p, form.n, "{}", 2);
    if (!hole)
        return arena_copy(a, form);
    buf_add(&out, (view){ .p = form.p, .n = (size_t)(hole - form.p) });
    buf_add(&out, buf_view(&number));
    buf_add(&out, (view){ .p = hole + 2, .n = (size_t)(form.p + form.n - hole) - 2 });
    return arena_copy(a, buf_view(&out));
}

rc notice_send(struct directory *d, struct arena *a, enum notice kind, view to,
               const struct notice_facts *facts, const struct words *words, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    SCOPED(buf_done) struct buf html = { 0 };
    SCOPED(buf_done) struct buf own = { 0 };
    if (!d->mailer)
        return fail(e, RC_AWAY, RESP_GENERIC, "this directory sends no mails");
    const char *folder = d->screens->conf->folder, *tag = words ? words->tag : "en";
    const struct fill f = { .link = facts->link.p ? facts->link : VIEW(""),
                            .name = facts->name.p ? facts->name : VIEW(""),
                            .server = view_of(d->public_url),
                            .life = notice_life(a, facts->life_s, words) };
    view subject = words_find(words, kinds[kind].subject), body;
    if (folder[0] && read_template(folder, kinds[kind].name, tag, "txt", &own)) {
        view rest = buf_view(&own), first;
        view_cut(&rest, '\n', &first);
        SCOPED(buf_done) struct buf filled = { 0 };
        put_filled(&filled, first, &f, false);
        subject = arena_copy(a, buf_view(&filled));
        put_filled(&text, rest, &f, false);
    } else {
        put_text(&text, kind, &f, words);
    }
    if (folder[0] && read_template(folder, kinds[kind].name, tag, "html", &own))
        put_filled(&html, buf_view(&own), &f, true);
    else
        put_html(&html, kind, &f, words);
    body = buf_view(&text);
    return mailer_send(
        d->mailer, &(struct mail){ .to = to, .subject = subject, .text = body, .html = buf_view(&html) }, e);
}

void notice_tell(struct directory *d, struct arena *a, enum notice kind, view to,
                 const struct notice_facts *facts, const struct words *words)
{
    struct err e = ERR_NONE;
    if (d->mailer && to.n > 0 && notice_send(d, a, kind, to, facts, words, &e) != RC_OK)
        LOG(LOG_WARN, "a notice was not mailed", LOG_S("kind", kinds[kind].name), LOG_S("why", e.text));
}

const struct words *request_words(const struct request *rq)
{
    const struct directory *d = rq->app;
    return d->screens ? languages_best(&d->screens->site.languages, request_header(rq, "Accept-Language"))
                      : NULL;
}
