#include "admin/intent.h"

#include <inttypes.h>

static const char *const names[] = {
    [INTENT_COPY] = "copy", [INTENT_ABORT] = "abort", [INTENT_RETIRE] = "retire"
};

void intent_put(struct buf *out, const struct intent *i)
{
    buf_addf(out, "%s %.*s %.*s ", names[i->kind], VIEW_ARG(i->peer), VIEW_ARG(i->move));
    if (i->kind == INTENT_COPY)
        buf_addf(out, "%" PRId64 " ", i->lease_s);
    buf_addf(out, "%" PRId64 " %" PRId64, i->uid, i->epoch);
}

static bool word(view *rest, view *out)
{
    return view_cut(rest, ' ', out) && out->n > 0;
}

static bool kind_of(view name, enum intent_kind *out)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (view_eq(name, view_of(names[i]))) {
            *out = (enum intent_kind)i;
            return true;
        }
    return false;
}

rc intent_parse(view text, struct intent *out, struct err *e)
{
    struct intent i = { .kind = INTENT_COPY };
    view rest = text, kind;
    bool ok = word(&rest, &kind) && kind_of(kind, &i.kind) && word(&rest, &i.peer) && word(&rest, &i.move) &&
              (i.kind != INTENT_COPY || view_cut_number(&rest, ' ', &i.lease_s)) &&
              view_cut_number(&rest, ' ', &i.uid) && view_cut_number(&rest, ' ', &i.epoch) && !rest.p;
    if (!ok || i.uid <= 0 || i.epoch <= 0 || i.epoch == INT64_MAX)
        return fail(e, RC_BROKEN, RESP_GENERIC, "an intent that is none of ours: \"%.*s\"",
                    text.n > 100 ? 100 : (int)text.n, text.p ? text.p : "");
    *out = i;
    return RC_OK;
}
