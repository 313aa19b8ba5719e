#include "directory/screens/captcha.h"

#include <inttypes.h>

#include "common/base/encode.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/page/seal.h"

enum { SPENT_MOST = 16384, RANDOM_BYTES = 12, RESPONSE_MAX = 32, MARK_BYTES = 24 };

struct spent {
    uint64_t what; /* beginning of the challenge's hash */
    int64_t end_s;
};

struct captcha {
    const struct captcha_driver *driver;
    pthread_mutex_t lock;
    struct spent spent[SPENT_MOST];
};

/* ---- work ---- */

/* "<end> <bits> <random>", sealed. */
static view work_challenge(const struct directory *d, struct arena *a)
{
    uint8_t bytes[RANDOM_BYTES];
    SCOPED(buf_done) struct buf hex = { 0 };
    rand_bytes(bytes, sizeof(bytes));
    hex_put(&hex, (view){ .p = (const char *)bytes, .n = sizeof(bytes) });
    view text = arena_text(a, "%" PRId64 " %" PRId64 " %.*s", clock_now_s(d->clock) + CAPTCHA_LIFE_S,
                           d->screens->conf->captcha_bits, VIEW_ARG(buf_view(&hex)));
    return seal_text(d->seal, SEAL_CAPTCHA, text, a);
}

static bool leading_zeros(const uint8_t hash[SHA256_BYTES], uint64_t bits)
{
    for (size_t i = 0; bits > 0; i++, bits -= bits < 8 ? bits : 8)
        if (hash[i] >> (bits < 8 ? 8 - bits : 0))
            return false;
    return true;
}

static bool work_right(const struct directory *d, struct arena *a, view challenge, view response)
{
    view text, end, bits;
    uint64_t end_s, n_bits;
    uint8_t hash[SHA256_BYTES];
    if (response.n == 0 || response.n > RESPONSE_MAX ||
        !seal_open(d->seal, SEAL_CAPTCHA, challenge, a, &text) || !view_cut(&text, ' ', &end) ||
        !view_cut(&text, ' ', &bits) || !view_to_u64(end, INT64_MAX, &end_s) ||
        !view_to_u64(bits, 64, &n_bits) || (int64_t)end_s < clock_now_s(d->clock))
        return false;
    sha256(arena_text(a, "%.*s:%.*s", VIEW_ARG(challenge), VIEW_ARG(response)), hash);
    return leading_zeros(hash, n_bits);
}

static const struct captcha_driver drivers[] = {
    { "work", work_challenge, work_right },
};

/* ---- passes ---- */

/* "<end> <random> <address>" */
view captcha_pass(const struct directory *d, struct arena *a, view mail)
{
    uint8_t bytes[RANDOM_BYTES];
    SCOPED(buf_done) struct buf hex = { 0 };
    rand_bytes(bytes, sizeof(bytes));
    hex_put(&hex, (view){ .p = (const char *)bytes, .n = sizeof(bytes) });
    view text = arena_text(a, "%" PRId64 " %.*s %.*s", clock_now_s(d->clock) + PASS_LIFE_S,
                           VIEW_ARG(buf_view(&hex)), VIEW_ARG(mail));
    return seal_text(d->seal, SEAL_PASS, text, a);
}

static bool pass_right(const struct directory *d, struct arena *a, view pass)
{
    view text, end;
    uint64_t end_s;
    return seal_open(d->seal, SEAL_PASS, pass, a, &text) && view_cut(&text, ' ', &end) &&
           view_to_u64(end, INT64_MAX, &end_s) && (int64_t)end_s >= clock_now_s(d->clock);
}

/* ---- each once ---- */

/* What this process knows already need not be asked of the backend. */
static int64_t oldest_allowed(const struct directory *d)
{
    return clock_now_s(d->clock);
}

static bool spend_here(const struct directory *d, const uint8_t hash[SHA256_BYTES])
{
    struct captcha *c = d->screens->captcha;
    uint64_t what;
    struct spent *place = &c->spent[0];
    bool fresh = true;
    memcpy(&what, hash, sizeof(what));
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < SPENT_MOST && fresh; i++) {
        fresh = c->spent[i].what != what || c->spent[i].end_s < oldest_allowed(d);
        if (c->spent[i].end_s < place->end_s)
            place = &c->spent[i];
    }
    if (fresh)
        *place = (struct spent){ .what = what, .end_s = clock_now_s(d->clock) + PASS_LIFE_S };
    pthread_mutex_unlock(&c->lock);
    return fresh;
}

/* RC_CONFLICT: it was spent before. Of several processes one is the first to mark it. */
static rc spend(struct directory_worker *w, struct arena *a, view challenge, struct err *e)
{
    uint8_t hash[SHA256_BYTES];
    SCOPED(buf_done) struct buf name = { 0 };
    sha256(challenge, hash);
    if (!spend_here(w->d, hash))
        return fail(e, RC_CONFLICT, RESP_GENERIC, "spent before");
    buf_add(&name, VIEW("puzzle-"));
    hex_put(&name, (view){ .p = (const char *)hash, .n = MARK_BYTES });
    return mark_put(w->session, arena_copy(a, buf_view(&name)),
                    (clock_now_s(w->d->clock) + PASS_LIFE_S + 1) * 1000, e);
}

rc captcha_solved(struct directory_worker *w, struct arena *a, view challenge, view response, bool *out,
                  struct err *e)
{
    struct directory *d = w->d;
    *out = !captcha_on(d);
    if (*out || !challenge.p || !response.p)
        return RC_OK;
    bool right = view_eq(response, VIEW(PASS_RESPONSE))
                     ? pass_right(d, a, challenge)
                     : d->screens->captcha->driver->right(d, a, challenge, response);
    if (!right)
        return RC_OK;
    rc r = spend(w, a, challenge, e);
    *out = r == RC_OK;
    return r == RC_CONFLICT ? RC_OK : r;
}

bool captcha_on(const struct directory *d)
{
    return d->screens->captcha != NULL;
}

/* ---- life ---- */

rc captcha_open(const struct screens_conf *conf, struct captcha **out, struct err *e)
{
    if (strcmp(conf->captcha, "off") == 0) {
        *out = NULL;
        return RC_OK;
    }
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        if (strcmp(conf->captcha, drivers[i].name) == 0) {
            struct captcha *c = mem_need(calloc(1, sizeof(*c)));
            c->driver = &drivers[i];
            pthread_mutex_init(&c->lock, NULL);
            *out = c;
            return RC_OK;
        }
    return fail(e, RC_BAD_INPUT, RESP_GENERIC, "captcha.driver is \"%s\"", conf->captcha);
}

void captcha_close(struct captcha *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- pages ---- */

void captcha_fields(struct page *p, view pass, const char *instead)
{
    if (!captcha_on(visit(p)->d))
        return;
    if (pass.p) {
        form_hidden(p, "recaptcha_challenge_field", pass);
        form_hidden(p, "recaptcha_response_field", VIEW(PASS_RESPONSE));
        return;
    }
    HTML(
        p->b,
        "<div class=\"captcha\" data-bits=\"{}\" data-busy=\"{}\" data-ready=\"{}\">\n"
        "<input type=\"hidden\" id=\"recaptcha_challenge_field\" name=\"recaptcha_challenge_field\" value=\"{}\">\n"
        "<input type=\"hidden\" id=\"recaptcha_response_field\" name=\"recaptcha_response_field\" value=\"\">\n"
        "<p class=\"captcha-state\" role=\"status\"></p>\n",
        arena_text(p->a, "%" PRId64, visit(p)->d->screens->conf->captcha_bits),
        T("Your browser is solving a small puzzle, against programs that send forms by the thousand."),
        T("The puzzle is solved."), visit(p)->d->screens->captcha->driver->challenge(visit(p)->d, p->a));
    if (instead)
        HTML(p->b, "<noscript><p>{} <a href=\"{}\">{}</a></p></noscript>\n", T("Without scripts:"),
             here(p, instead), T("have a link mailed to you instead"));
    HTML(p->b, "</div>\n<script src=\"{}\" defer></script>\n", here(p, "/media/captcha.js"));
}

/* Protocol: User API 1.0, "captcha_html": 404 makes old Firefox hide its frame and send none. */
static rc show_captcha(struct page *p, struct err *e)
{
    (void)e;
    page_head(p, T("Puzzle"));
    HTML(p->b, "<form>\n");
    captcha_fields(p, VIEW_NONE, NULL);
    HTML(p->b, "</form>\n");
    page_foot(p);
    return RC_OK;
}

rc screen_captcha(struct request *rq, struct err *e)
{
    if (!captcha_on(rq->app))
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "the captcha is off");
    rq->method = GET; /* what is posted here means nothing */
    return page_run(rq, show_captcha, 0, e);
}

/* ---- the link for browsers without scripts ---- */

static rc show_pass(struct page *p, struct err *e)
{
    struct directory *d = visit(p)->d;
    view mail = form_field(&p->form, "email");
    if (!captcha_on(d))
        return page_go(p, "/account/register");
    if (p->rq->method == POST) {
        int64_t now_s = clock_mono_us(d->clock) / 1000000;
        unsigned wait_s = limits_wait(d->screens->asks, p->rq->peer, now_s);
        if (wait_s > 0) {
            e->retry_after_s = wait_s;
            return fail(e, RC_BUSY, RESP_GENERIC, "too many mails asked for from there");
        }
        if (mail_valid(mail)) {
            limits_count(d->screens->asks, p->rq->peer, now_s);
            view link = arena_text(p->a, "%s/account/register?pass=%.*s", d->public_url,
                                   VIEW_ARG(captcha_pass(d, p->a, mail)));
            TRY(notice_send(d, p->a, NOTICE_PASS, mail,
                            &(struct notice_facts){ .link = link, .life_s = PASS_LIFE_S }, p->words, e));
            return page_say(p, T("Look into your mail"), T("A link is on its way to you. Open it to go on."),
                            "/", T("To the first page"));
        }
    }
    page_head(p, T("A link by mail"));
    if (p->rq->method == POST)
        page_problem(p, T("This is no mail address that can be used."));
    HTML(p->b, "<p>{}</p>\n", T("Where scripts are off, a mailed link takes the place of the puzzle."));
    form_open(p, "/account/pass", true);
    form_input(p, &(struct input){ .name = "email",
                                   .type = "email",
                                   .autocomplete = "email",
                                   .label = T("Mail address"),
                                   .value = mail });
    form_close(p, T("Send the link"), false);
    page_foot(p);
    return RC_OK;
}

rc screen_pass(struct request *rq, struct err *e)
{
    return page_run(rq, show_pass, PAGE_TOKEN, e);
}
