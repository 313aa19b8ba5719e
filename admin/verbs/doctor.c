#include "admin/verbs/doctor.h"

#include <inttypes.h>
#include <stdarg.h>

#include "admin/intent.h"
#include "common/base/json.h"
#include "common/base/mem.h"

const char *doctor_level_name(enum doctor_level level)
{
    static const char *const names[] = {
        [DOCTOR_NOTE] = "note", [DOCTOR_WARNING] = "warning", [DOCTOR_ERROR] = "error"
    };
    return names[level];
}

void doctor_tell(struct doctor *d, enum doctor_level level, view node, int64_t uid, const char *cure,
                 const char *fmt, ...)
{
    char line[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    size_t *count = level == DOCTOR_NOTE      ? &d->counts->notes
                    : level == DOCTOR_WARNING ? &d->counts->warnings
                                              : &d->counts->errors;
    ++*count;
    const struct doctor_finding f = { .level = level, .node = node, .uid = uid, .text = line, .cure = cure };
    if (d->rules->report)
        d->rules->report(d->rules->arg, &f);
}

/* ---- directories ---- */

/* Has anybody settled? Any directory may know; one that was just started knows nothing yet. */
static void check_settle(struct doctor *d)
{
    int64_t best_ms = INT64_MAX, up_ms = 0;
    bool asked = false;
    for (size_t i = 0; i < ask_directories(d->r->ask); i++) {
        SCOPED(json_decref) json_t *o = NULL;
        SCOPED(answer_done) struct answer a = { .status = 0 };
        struct err why = ERR_NONE;
        rc r = ask_directory_at(d->r->ask, i, "GET", "settled", VIEW_NONE, &a, &why);
        if (r == RC_OK)
            r = ask_object(&a, &o, &why);
        if (r != RC_OK) {
            doctor_tell(d, DOCTOR_ERROR, VIEW(""), 0,
                        "start it, or take it out of admin.directory and of node.directories",
                        "the directory at %s: %s", ask_directory_name(d->r->ask, i), why.text);
            continue;
        }
        asked = true;
        up_ms = json_member_int(o, "up_ms") > up_ms ? json_member_int(o, "up_ms") : up_ms;
        if (json_object_get(o, "age_ms") && json_member_int(o, "age_ms") < best_ms)
            best_ms = json_member_int(o, "age_ms");
    }
    if (asked && best_ms == INT64_MAX)
        doctor_tell(d, DOCTOR_WARNING, VIEW(""), 0, "run heddle-admin settle --every 30s as a service",
                    "no settle has run since the directory started %" PRId64 " s ago", up_ms / 1000);
    else if (asked && best_ms > d->rules->settle_s * 1000)
        doctor_tell(d, DOCTOR_WARNING, VIEW(""), 0, "run heddle-admin settle --every 30s as a service",
                    "the last settle ran %" PRId64 " s ago", best_ms / 1000);
}

/* A lease that is long over: whoever settles cannot. */
static bool check_intent(void *arg, const struct subject *s)
{
    struct doctor *d = arg;
    struct intent i;
    struct err why = ERR_NONE;
    int64_t late_s;
    if (intent_parse(s->intent, &i, &why) != RC_OK) {
        doctor_tell(d, DOCTOR_ERROR, s->node, s->uid, "look what wrote it; take it away with an LDAP tool",
                    "%s", why.text);
        return true;
    }
    late_s = clock_now_s(d->r->clock) - i.lease_s;
    if (i.kind == INTENT_COPY && late_s <= d->rules->settle_s)
        return true;
    doctor_tell(d, i.kind == INTENT_COPY ? DOCTOR_WARNING : DOCTOR_NOTE, i.peer, s->uid,
                "heddle-admin settle; it says what is in its way", "a move waits to be settled: %.*s",
                VIEW_ARG(s->intent));
    return true;
}

/* ---- nodes ---- */

struct node_check {
    struct doctor *d;
    json_t *names;
    int64_t schema;
    bool known;
};

static void check_status(struct node_check *c, view node, const json_t *o, int64_t ours_ms, int64_t trip_ms)
{
    int64_t off_ms = json_member_int(o, "clock") - ours_ms;
    const json_t *durable = json_object_get(o, "durable");
    if (off_ms < 0)
        off_ms = -off_ms;
    if (off_ms > c->d->rules->skew_ms + trip_ms)
        doctor_tell(c->d, DOCTOR_WARNING, node, 0,
                    "set the clocks by NTP (chrony): calls are refused at 60 s, moves at 10 s",
                    "its clock and ours are %" PRId64 " ms apart", off_ms);
    if (durable && !json_is_true(durable))
        doctor_tell(c->d, DOCTOR_WARNING, node, 0,
                    "store.durable = yes; for MariaDB also innodb_flush_log_at_trx_commit = 1",
                    "its database may lose what it acknowledged when the power fails");
    if (c->known && json_member_int(o, "schema") != c->schema)
        doctor_tell(c->d, DOCTOR_WARNING, node, 0,
                    "bring all nodes to one version: users do not move between schemas",
                    "it has schema %" PRId64 ", others have %" PRId64, json_member_int(o, "schema"),
                    c->schema);
    c->schema = c->known ? c->schema : json_member_int(o, "schema");
    c->known = true;
}

static bool check_node(void *arg, json_t *line)
{
    struct node_check *c = arg;
    SCOPED(json_decref) json_t *o = NULL;
    SCOPED(answer_done) struct answer a = { .status = 0 };
    struct err why = ERR_NONE;
    view name = json_text(json_object_get(line, "name"));
    if (!name.p)
        return true;
    c->d->counts->nodes++;
    json_array_append_new(c->names, mem_need(json_stringn(name.p, name.n)));
    const struct reach_call call = { .method = "GET", .path = "status", .body = VIEW_NONE };
    int64_t before_us = clock_now_us(c->d->r->clock);
    rc r = reach_node(c->d->r, name, &call, &a, &why);
    int64_t after_us = clock_now_us(c->d->r->clock);
    if (r == RC_OK)
        r = ask_object(&a, &o, &why);
    if (r == RC_OK)
        check_status(c, name, o, (before_us + after_us) / 2000, (after_us - before_us) / 2000);
    return true; /* that it does not answer is told where its heads are read */
}

/* ---- the whole ---- */

rc doctor_run(struct reach *r, const struct doctor_rules *rules, struct doctor_counts *out, struct err *e)
{
    SCOPED(json_decref) json_t *names = mem_need(json_array());
    struct doctor d = { .r = r, .rules = rules, .counts = out };
    struct node_check nodes = { .d = &d, .names = names };
    *out = (struct doctor_counts){ 0 };
    check_settle(&d);
    TRY(lines_each(r, VIEW_NONE, "nodes", check_node, &nodes, e));
    TRY(subjects_each(r, "accounts?intent=1", check_intent, &d, e));
    return doctor_heads(&d, names, e);
}
