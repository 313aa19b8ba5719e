#include "common/page/form.h"

#include "common/base/encode.h"

rc form_read(const struct request *rq, struct form *out, struct err *e)
{
    view rest = rq->body, piece;
    out->n = 0;
    if (!view_eq(rq->content_type, VIEW("application/x-www-form-urlencoded")))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "not a form");
    while (rest.n > 0 && view_cut(&rest, '&', &piece)) {
        view name;
        struct query_arg *f = &out->fields[out->n];
        if (piece.n == 0)
            continue;
        if (out->n == FORM_FIELDS)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a form of more than %d fields", FORM_FIELDS);
        view_cut(&piece, '=', &name);
        if (!form_decode(name, rq->arena, &f->name) ||
            !form_decode(piece.p ? piece : VIEW(""), rq->arena, &f->value) || !utf8_valid(f->name) ||
            !utf8_valid(f->value))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a form that does not decode");
        out->n++;
    }
    return RC_OK;
}

view form_field(const struct form *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (view_eq(f->fields[i].name, view_of(name)))
            return f->fields[i].value;
    return VIEW_NONE;
}
