/* Whose tokens are void although they have not expired: of deleted accounts, replaced client states, disabled accounts. All of it stands in
 * the backend with its moment, so that a restart of any side loses none. */
#include "directory/inside.h"

struct walk {
    refusal_visitor *visit;
    void *arg;
    int64_t life_ms, now_ms;
};

/* The last token that was given before this moment ends then. */
static void tell(struct walk *w, int64_t uid, int64_t since_ms)
{
    if (since_ms + w->life_ms >= w->now_ms)
        w->visit(w->arg, uid, (since_ms + w->life_ms) / 1000 + 1);
}

static bool see_erase(void *arg, const struct erase *x)
{
    tell(arg, x->uid, x->since_ms);
    return true;
}

static bool see_disabled(void *arg, const struct account *acc)
{
    tell(arg, acc->uid, acc->disabled_ms);
    return true;
}

rc directory_refusals(struct directory *d, struct backend_session *s, refusal_visitor *visit, void *arg,
                      struct err *e)
{
    struct walk w = { .visit = visit,
                      .arg = arg,
                      .life_ms = directory_tokens_last_s(d) * 1000,
                      .now_ms = directory_now_ms(d) };
    const struct account_filter disabled = { .disabled_since_ms =
                                                 w.now_ms > w.life_ms ? w.now_ms - w.life_ms : 1 };
    TRY(erases_each(s, see_erase, &w, e));
    return accounts_each(s, &disabled, see_disabled, &w, e);
}

static void tell_node(void *arg, int64_t uid, int64_t until_s)
{
    const struct directory *d = arg;
    d->on_forget(d->on_forget_arg, VIEW_NONE, uid, until_s);
}

rc directory_tell_refused(struct directory *d, struct err *e)
{
    struct backend_session *s;
    if (!d->on_forget)
        return RC_OK;
    TRY(backend_session_open(d->backend, &s, e));
    rc r = directory_refusals(d, s, tell_node, d, e);
    backend_session_close(s);
    return r;
}
