/* What is asked of a run from outside: by another terminal, or the console. */
#include "admin/run/run.h"

bool run_is_over(enum run_state s)
{
    return s == RUN_DONE || s == RUN_CANCELLED;
}

static rc not_under_way(const struct journal *j, struct err *e)
{
    return fail(e, RC_CONFLICT, RESP_GENERIC, "run %s is not under way: it is %s", j->id,
                run_state_name(j->state));
}

static rc is_over(const struct journal *j, struct err *e)
{
    return fail(e, RC_CONFLICT, RESP_GENERIC, "run %s is over: %s", j->id, run_state_name(j->state));
}

static void put_id(const struct journal *j, char out[RUN_ID_MAX])
{
    if (out)
        snprintf(out, RUN_ID_MAX, "%s", j->id);
}

rc run_ask(const struct admin_conf *c, const char *id, enum run_word word, char out_id[RUN_ID_MAX],
           struct err *e)
{
    SCOPED(journal_close) struct journal *j = NULL;
    TRY(journal_open(c, id, false, &j, e));
    put_id(j, out_id);
    if (run_is_over(j->state) || j->state == RUN_STOPPED || j->state == RUN_PARTLY)
        return not_under_way(j, e);
    return journal_ask(j, word, e);
}

rc run_take(const struct admin_conf *c, const char *id, struct journal **out, struct run_options *out_options,
            struct err *e)
{
    SCOPED(journal_close) struct journal *j = NULL;
    TRY(journal_open(c, id, true, &j, e));
    if (run_is_over(j->state))
        return is_over(j, e);
    (void)journal_hear(j); /* words from before */
    run_options_read(json_object_get(j->head, "options"), out_options);
    *out = j;
    j = NULL;
    return RC_OK;
}

rc run_cancel(const struct admin_conf *c, const char *id, bool *out_asked, char out_id[RUN_ID_MAX],
              struct err *e)
{
    SCOPED(journal_close) struct journal *j = NULL;
    rc r = journal_open(c, id, true, &j, e);
    *out_asked = r == RC_CONFLICT;
    if (*out_asked)
        return run_ask(c, id, RUN_CANCEL, out_id, e);
    TRY(r);
    put_id(j, out_id);
    if (run_is_over(j->state))
        return is_over(j, e);
    return journal_add_state(j, RUN_CANCELLED, "asked for", e);
}
