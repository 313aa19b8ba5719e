#include "directory/reset.h"

#include <inttypes.h>

#include "common/base/encode.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/page/seal.h"
#include "directory/mail/mail.h"
#include "directory/notices.h"
#include "directory/screens/screens.h"

enum { SEED_BYTES = 16, GROUPS_LEAST = 4, HOUR_S = 3600, CAS_TRIES = 10 };

/* ---- states and codes: pure ---- */

struct reset_state reset_state_read(view text)
{
    struct reset_state s = { .seed = VIEW_NONE };
    view seed;
    uint64_t n[4];
    if (!text.p || !view_cut(&text, ' ', &seed))
        return s;
    for (size_t i = 0; i < 4; i++) {
        view one;
        if (!view_cut(&text, ' ', &one) || !view_to_u64(one, INT64_MAX, &n[i]))
            return s;
    }
    s = (struct reset_state){
        .end_s = (int64_t)n[0], .tries = (int64_t)n[1], .mails = (int64_t)n[2], .hour_s = (int64_t)n[3]
    };
    if (seed.n == (size_t)2 * SEED_BYTES)
        s.seed = seed;
    return s;
}

view reset_state_text(struct arena *a, const struct reset_state *s)
{
    return arena_text(a, "%.*s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64,
                      VIEW_ARG(s->seed.p ? s->seed : VIEW("-")), s->end_s, s->tries, s->mails, s->hour_s);
}

bool reset_code_form(view v)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (i % 5 == 4 ? c != '-' : !((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
            return false;
    }
    return v.n % 5 == 4 && v.n / 5 + 1 >= GROUPS_LEAST && v.n / 5 + 1 <= RESET_GROUPS;
}

/* The hash as a number in base 36: 28 digits of its 256 bits are as good as even. */
static view code_of(const struct directory *d, struct arena *a, size_t key, const struct account *acc,
                    view seed)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    uint8_t mac[SHA256_BYTES];
    char *out = arena_alloc(a, RESET_CODE_TEXT + 1);
    view text = arena_text(a, "%" PRId64 " %" PRId64 " %.*s %.*s", acc->uid, acc->password_since_ms,
                           VIEW_ARG(seed), VIEW_ARG(acc->mail));
    seal_mac(d->seal, SEAL_RESET, key, text, mac);
    for (size_t i = 0; i < RESET_CODE_TEXT; i++) {
        unsigned left = 0;
        if (i % 5 == 4) {
            out[i] = '-';
            continue;
        }
        for (size_t k = 0; k < sizeof(mac); k++) {
            left = left << 8 | mac[k];
            mac[k] = (uint8_t)(left / 36);
            left %= 36;
        }
        out[i] = digits[left];
    }
    out[RESET_CODE_TEXT] = '\0';
    return (view){ .p = out, .n = RESET_CODE_TEXT };
}

static bool is_open(const struct reset_state *s, int64_t now_s)
{
    return s->seed.p && now_s < s->end_s && s->tries < RESET_TRIES;
}

static bool code_fits(const struct directory *d, struct arena *a, const struct account *acc,
                      const struct reset_state *s, view code)
{
    bool fits = false;
    for (size_t i = 0; i < seal_keys(d->seal); i++)
        fits |= secret_eq(code, code_of(d, a, i, acc, s->seed));
    return fits;
}

bool reset_possible(const struct account *acc)
{
    return acc->enabled && acc->has_password && !acc->password_elsewhere;
}

/* ---- steps ---- */

static rc find(struct directory_worker *w, struct arena *a, view name, struct account *acc, struct err *e)
{
    rc r = account_truth(w->session, ACCOUNT_BY_NAME, name, a, acc, e);
    if (r == RC_NOT_FOUND || (r == RC_OK && !reset_possible(acc)))
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no account whose password could be reset");
    return r;
}

static rc step(struct directory_worker *w, struct arena *a, view name, const struct account *acc,
               const struct reset_state *next, struct err *e)
{
    return account_cas(w->session, name,
                       &(struct change){ ATTR_RESET, acc->reset, reset_state_text(a, next) }, 1, e);
}

static rc count_mail(const struct directory *d, struct reset_state *s, int64_t now_s, bool by_admin,
                     struct err *e)
{
    if (s->mails == 0 || now_s >= s->hour_s + HOUR_S || now_s < s->hour_s) {
        s->hour_s = now_s;
        s->mails = 0;
    }
    if (s->mails >= d->screens->conf->resets_per_hour && !by_admin) {
        rc r = fail(e, RC_BUSY, RESP_GENERIC, "%" PRId64 " reset mails in this hour", s->mails);
        e->retry_after_s = (unsigned)(s->hour_s + HOUR_S - now_s);
        return r;
    }
    s->mails++;
    return RC_OK;
}

static view new_seed(struct arena *a)
{
    uint8_t bytes[SEED_BYTES];
    SCOPED(buf_done) struct buf hex = { 0 };
    rand_bytes(bytes, sizeof(bytes));
    hex_put(&hex, (view){ .p = (const char *)bytes, .n = sizeof(bytes) });
    return arena_copy(a, buf_view(&hex));
}

/* Brings the account to "open" and counts the mail. */
static rc open_reset(struct directory_worker *w, struct arena *a, view name, bool by_admin,
                     struct account *acc, struct reset_state *s, struct err *e)
{
    const struct directory *d = w->d;
    int64_t now_s = clock_now_s(d->clock);
    TRY(find(w, a, name, acc, e));
    if (acc->mail.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_NO_EMAIL, "no mail address on file");
    *s = reset_state_read(acc->reset);
    if (!is_open(s, now_s)) {
        s->seed = new_seed(a);
        s->end_s = now_s + d->screens->conf->reset_life_s;
        s->tries = 0;
    }
    TRY(count_mail(d, s, now_s, by_admin, e));
    return step(w, a, name, acc, s, e);
}

rc reset_ask(struct directory_worker *w, struct arena *a, view name, const struct words *words, bool by_admin,
             struct err *e)
{
    struct directory *d = w->d;
    struct account acc;
    struct reset_state s = { .seed = VIEW_NONE };
    rc r = RC_CONFLICT;
    if (!d->mailer)
        return fail(e, RC_AWAY, RESP_GENERIC, "this directory sends no mails");
    for (int i = 0; i < CAS_TRIES && r == RC_CONFLICT; i++)
        r = open_reset(w, a, name, by_admin, &acc, &s, e);
    TRY(r);
    view code = code_of(d, a, seal_keys(d->seal) - 1, &acc, s.seed);
    view link = arena_text(a, "%s/weave-password-reset?username=%.*s&key=%.*s", d->public_url, VIEW_ARG(name),
                           VIEW_ARG(code));
    r = notice_send(
        d, a, NOTICE_RESET, acc.mail,
        &(struct notice_facts){ .link = link, .name = name, .life_s = s.end_s - clock_now_s(d->clock) },
        words, e);
    if (r != RC_OK && r != RC_BUSY)
        return fail(e, RC_AWAY, RESP_GENERIC, "the mail cannot be sent: %.160s", e->text);
    TRY(r);
    LOG(LOG_INFO, "password reset mailed", LOG_I("uid", acc.uid));
    return RC_OK;
}

static rc cancel_once(struct directory_worker *w, struct arena *a, view name, struct err *e)
{
    struct account acc;
    TRY(find(w, a, name, &acc, e));
    struct reset_state s = reset_state_read(acc.reset);
    if (!s.seed.p)
        return RC_OK;
    s.seed = VIEW_NONE;
    return step(w, a, name, &acc, &s, e);
}

rc reset_cancel(struct directory_worker *w, struct arena *a, view name, struct err *e)
{
    rc r = RC_CONFLICT;
    for (int i = 0; i < CAS_TRIES && r == RC_CONFLICT; i++)
        r = cancel_once(w, a, name, e);
    return r;
}

/* Counts a wrong try, or spends the code; *acc is the account as it was before. */
static rc try_code(struct directory_worker *w, struct arena *a, view name, view code, struct account *acc,
                   struct err *e)
{
    TRY(find(w, a, name, acc, e));
    if (!w->d->mailer)
        return fail(e, RC_AWAY, RESP_GENERIC, "this directory sends no mails, so there are no codes");
    struct reset_state s = reset_state_read(acc->reset);
    bool good = is_open(&s, clock_now_s(w->d->clock));
    if (good && code_fits(w->d, a, acc, &s, code)) {
        s.seed = VIEW_NONE;
        return step(w, a, name, acc, &s, e);
    }
    if (good) {
        s.tries++;
        TRY(step(w, a, name, acc, &s, e));
        LOG(LOG_WARN, "wrong password-reset code", LOG_I("uid", acc->uid), LOG_I("tries", s.tries));
    }
    return fail(e, RC_BAD_INPUT, RESP_RESET_CODE, "a wrong, used or late reset code");
}

/* The new password could not be stored: the link in the mail shall go on working. */
static void give_back(struct directory_worker *w, struct arena *a, view name, const struct account *before)
{
    struct err e = ERR_NONE;
    struct reset_state spent = reset_state_read(before->reset);
    spent.seed = VIEW_NONE;
    const struct change back = { ATTR_RESET, reset_state_text(a, &spent), before->reset };
    if (account_cas(w->session, name, &back, 1, &e) != RC_OK)
        LOG(LOG_WARN, "a reset code is spent although the password was not changed", LOG_S("why", e.text));
}

rc reset_finish(struct directory_worker *w, struct arena *a, view name, view code, view password,
                const struct words *words, struct err *e)
{
    struct account acc;
    rc r = RC_CONFLICT;
    for (int i = 0; i < CAS_TRIES && r == RC_CONFLICT; i++)
        r = try_code(w, a, name, code, &acc, e);
    TRY(r);
    r = account_set_password(w->session, name, password, e);
    directory_forget(w->d, name, 0); /* also when it may have been changed */
    if (r != RC_OK && r != RC_UNSURE)
        give_back(w, a, name, &acc);
    TRY(r);
    LOG(LOG_INFO, "password reset", LOG_I("uid", acc.uid));
    notice_tell(w->d, a, NOTICE_CHANGED, acc.mail, &(struct notice_facts){ .name = name }, words);
    return RC_OK;
}
