/* Names and passwords: checking them against the backend, within limits for each address, and the rule for new ones. */
#include "common/auth/basic.h"
#include "common/base/encode.h"
#include "directory/inside.h"

enum { PASSWORD_LEAST = 8, PASSWORD_MOST = 1024 };

rc identity_password(struct directory *d, struct backend_session *s, view peer, view name, view password,
                     struct arena *a, struct account *out, struct err *e)
{
    int64_t now_s = clock_mono_us(d->clock) / 1000000;
    unsigned wait_s = limits_wait(d->wrong_passwords, peer, now_s);
    if (wait_s > 0) {
        rc r = fail(e, RC_BUSY, RESP_GENERIC, "too many wrong passwords from there");
        e->retry_after_s = wait_s;
        return r;
    }
    /* A longer one is nobody's, and hashing takes time by its length. */
    rc r = RC_DENIED;
    if (password.n > PASSWORD_MOST)
        err_fill(e, RESP_GENERIC, "a password of %zu bytes", password.n);
    else
        r = account_check_password(s, name, password, a, out, e);
    if (r == RC_DENIED)
        limits_count(d->wrong_passwords, peer, now_s);
    return r;
}

rc identity_basic(struct request *rq, view name, struct account *out, struct err *e)
{
    struct directory_worker *w = rq->worker;
    struct basic basic;
    bool twice = false;
    view header = request_authorization(rq, &twice);
    if (!header.p || !basic_parse(header, rq->arena, &basic))
        return fail(e, RC_DENIED, RESP_GENERIC,
                    twice ? "two Authorization headers" : "no usable Basic credentials");
    if (!view_eq(basic.name, name))
        return fail(e, RC_DENIED, RESP_GENERIC, "credentials of another user");
    return identity_password(w->d, w->session, rq->peer, name, basic.password, rq->arena, out, e);
}

/* Names are ASCII: only a password of ASCII can be the name in other letters. */
static bool is_name(view name, view password)
{
    while (password.n > 0 && strchr(" \t\r\n\v\f", password.p[0])) {
        password.p++;
        password.n--;
    }
    while (password.n > 0 && strchr(" \t\r\n\v\f", password.p[password.n - 1]))
        password.n--;
    return view_eq_nocase(name, password);
}

rc password_rule(view name, view password, struct err *e)
{
    if (password.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_PASSWORD_MISSING, "an empty password");
    if (password.n < PASSWORD_LEAST || password.n > PASSWORD_MOST || memchr(password.p, '\0', password.n) ||
        !utf8_valid(password) || is_name(name, password) || password_is_common(password))
        return fail(e, RC_BAD_INPUT, RESP_PASSWORD_WEAK, "a password outside the rule");
    return RC_OK;
}
