/* Opening and closing what the pages share. */
#include "directory/screens/screens.h"

#include "common/base/mem.h"
#include "common/page/media.h"
#include "common/web/server.h"
#include "directory/screens/captcha.h"
#include "directory/screens/embedded.h"
#include "directory/screens/qr.h"
#include "directory/screens/session.h"

enum { HOUR_S = 3600 };

static const struct screens_conf defaults = {
    .name = (char *)(uintptr_t) "Heddle",
    .folder = (char *)(uintptr_t) "",
    .idle_s = 1800,
    .life_s = 43200,
    .reset_life_s = 21600,
    .resets_per_hour = 5,
    .resets_per_address = 20,
    .captcha = (char *)(uintptr_t) "off",
    .captcha_bits = 16,
};

static rc put_codes(struct screens *s, const char *public_url, struct err *e)
{
    SCOPED(buf_done) struct buf url = { 0 };
    buf_addf(&url, "%s/1.0/sync/1.5", public_url);
    TRY(qr_put(&s->qr_new, buf_text(&url), e));
    buf_clear(&url);
    buf_addf(&url, "%s/", public_url);
    return qr_put(&s->qr_old, buf_text(&url), e);
}

static rc open_all(struct screens *s, const struct directory *d, struct err *e)
{
    struct url_parts u;
    TRY(screens_check(s->conf, e));
    if (!url_cut(view_of(d->public_url), &u))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "public.url is \"%s\"", d->public_url);
    s->site.base = u.base;
    s->site.https = view_eq(u.scheme, VIEW("https"));
    TRY(languages_open(s->conf->folder, embedded_directory_words, &s->site.languages, e));
    TRY(media_open(s->conf->folder, embedded_directory_media, &s->site.media, e));
    TRY(captcha_open(s->conf, &s->captcha, e));
    return put_codes(s, d->public_url, e);
}

rc screens_open(const struct directory *d, const struct screens_conf *conf, struct screens **out,
                struct err *e)
{
    struct screens *s = mem_need(calloc(1, sizeof(*s)));
    s->conf = conf ? conf : &defaults;
    s->site = (struct site){ .name = s->conf->name,
                             .cookie = "heddle",
                             .idle_s = s->conf->idle_s,
                             .life_s = s->conf->life_s,
                             .seal = d->seal,
                             .ended = ended_new(),
                             .navigation = screens_navigation };
    s->asks = limits_new(s->conf->resets_per_address, HOUR_S);
    rc r = open_all(s, d, e);
    if (r != RC_OK) {
        screens_close(s);
        return r;
    }
    *out = s;
    return RC_OK;
}

void screens_close(struct screens *s)
{
    if (!s)
        return;
    languages_close(&s->site.languages);
    media_close(s->site.media);
    captcha_close(s->captcha);
    ended_free(s->site.ended);
    limits_free(s->asks);
    buf_done(&s->qr_new);
    buf_done(&s->qr_old);
    free(s);
}

rc screen_media(struct request *rq, struct err *e)
{
    const struct directory *d = rq->app;
    return media_reply(&d->screens->site, rq, rq->params[0], e);
}
