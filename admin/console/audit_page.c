/* The audit trail, with the filters of `heddle-admin audit`. */
#include "admin/console/inside.h"

enum { SHOWN = 200 };

static void put_filter(struct page *p)
{
    static const struct {
        const char *name, *label, *help;
    } fields[] = { { "user", N_("User"), N_("Name or account number") },
                   { "node", N_("Node"), NULL },
                   { "since", N_("Since"), N_("A day like 2026-05-01, or so long ago: 3d, 2h") },
                   { "until", N_("Until"), NULL } };
    HTML(p->b, "<form class=\"search\" role=\"search\" method=\"get\" action=\"{}\">\n", here(p, "/audit"));
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        form_input(p,
                   &(struct input){ .name = fields[i].name,
                                    .type = "text",
                                    .autocomplete = "off",
                                    .label = words_find(p->words, fields[i].label),
                                    .help = fields[i].help ? words_find(p->words, fields[i].help) : VIEW_NONE,
                                    .value = asked(p, fields[i].name),
                                    .optional = true });
    form_close(p, T("Filter"), false);
}

/* What a record tells, in its own words. */
static view told(struct page *p, const json_t *o)
{
    static const char *const members[] = { "user", "node", "to", "text" };
    SCOPED(buf_done) struct buf b = { 0 };
    const json_t *word;
    size_t i;
    buf_add(&b, member(o, "command"));
    json_array_foreach (json_object_get(o, "words"), i, word) {
        buf_addc(&b, ' ');
        buf_add(&b, json_text(word));
    }
    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (member(o, members[i]).n > 0)
            buf_addf(&b, "%s%s %.*s", b.n ? ", " : "", members[i], VIEW_ARG(member(o, members[i])));
    if (json_object_get(o, "status"))
        buf_addf(&b, "exit status %lld", (long long)member_number(o, "status"));
    return arena_copy(p->a, buf_view(&b));
}

static void put_records(struct page *p, const json_t *lines)
{
    static const char *const columns[] = { N_("Time"),   N_("Who"),  N_("Host"), N_("Act"),
                                           N_("Record"), N_("What"), NULL };
    size_t n = json_array_size(lines);
    table_begin(p, T("Records, newest first; at most two hundred are shown"), columns);
    for (size_t i = 0; i < n && i < SHOWN; i++) {
        const json_t *o = json_array_get(lines, n - 1 - i);
        HTML(p->b, "<tr>");
        cell(p, time_text(p->a, member_number(o, "time")));
        cell(p, member(o, "who"));
        cell(p, member(o, "host"));
        cell(p, member(o, "act"));
        cell(p, member(o, "what"));
        HTML(p->b, "<td class=\"long\">{}</td></tr>\n", told(p, o));
    }
    table_end(p);
}

rc show_audit(struct page *p, struct err *e)
{
    SCOPED(act_done) struct act x = { 0 };
    const char *options[5] = { 0 };
    size_t n = 0;
    static const char *const names[] = { "user", "node", "since", "until" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (asked(p, names[i]).n > 0)
            options[n++] = arena_text(p->a, "--%s=%.*s", names[i], VIEW_ARG(asked(p, names[i]))).p;
    TRY(act_run(p, "audit", options, NULL, &x, e));
    console_head(p, T("Audit trail"));
    if (x.status == EXIT_MISUSED)
        page_problem(p, view_of(x.wrong));
    else
        TRY(act_result(&x, e));
    if (x.status == EXIT_DIFFERENT)
        page_problem(
            p,
            T("The chain of records does not hold: somebody changed a file. \"heddle-admin audit verify\" tells more."));
    put_filter(p);
    put_records(p, x.lines);
    console_foot(p);
    return RC_OK;
}
