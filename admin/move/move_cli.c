/* heddle-admin user move: one user, to a node that is named. */
#include <inttypes.h>

#include "admin/audit/audit.h"
#include "admin/interrupt.h"
#include "admin/lb/lb.h"
#include "admin/move/move.h"
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/base/json.h"
#include "common/base/mem.h"

static bool cancelled(void *arg)
{
    (void)arg;
    return interrupted();
}

/* A line for each phase; in a terminal the copying tells how far it is. */
static void cut_over(void *arg, const struct move_progress *p, bool begin)
{
    struct admin *a = arg;
    lb_cut_over(a->conf, a->ask, p->uid, p->name, begin);
}

static void progress(void *arg, const struct move_progress *p)
{
    const struct admin *a = arg;
    SCOPED(buf_done) struct buf bytes = { 0 };
    if (a->json)
        return;
    show_bytes(&bytes, (int64_t)p->bytes);
    if (p->note[0])
        show_text(a, "  %-7s %s\n", move_phase_name(p->phase), p->note);
    else if (p->phase == MOVE_WARM || p->phase == MOVE_REST)
        show_text(a, "  %-7s %" PRIu64 " items, %s carried\n", move_phase_name(p->phase), p->items,
                  buf_text(&bytes));
    else
        show_text(a, "  %s\n", move_phase_name(p->phase));
    fflush(a->out);
}

static json_t *result_object(const struct move_progress *p, const char *who, const char *to, rc r)
{
    const char *what = r == RC_OK ? p->phase == MOVE_CHECK ? "there already" : "moved"
                       : p->phase >= MOVE_NEWS && p->phase != MOVE_UNDO ? "moved, not settled"
                                                                        : "not moved";
    return mem_need(json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:i, s:I, s:s}", "user", who, "uid",
                              (json_int_t)p->uid, "to", to, "result", what, "items", (json_int_t)p->items,
                              "bytes", (json_int_t)p->bytes, "passes", (int)p->passes, "frozen_ms",
                              (json_int_t)(p->frozen_us / 1000), "note", p->note));
}

static rc note(const struct admin *a, struct reach *reach, const struct subject *before, const char *to,
               struct err *e)
{
    SCOPED(subject_done) struct subject after = { 0 };
    SCOPED(buf_done) struct buf name = { 0 };
    SCOPED(buf_done) struct buf from = { 0 };
    char had[AUDIT_HASH_TEXT + 1], has[AUDIT_HASH_TEXT + 1];
    char data_had[AUDIT_HASH_TEXT + 1], data_has[AUDIT_HASH_TEXT + 1];
    TRY(subject_get_uid(reach, before->uid, &after, e));
    audit_digest_place(before, had);
    audit_digest_place(&after, has);
    audit_data_of_move(reach, before, &after, data_had, data_has);
    buf_add(&name, before->name);
    buf_add(&from, before->node);
    return audit_note(a,
                      &(struct audit_note){ .user = buf_text(&name),
                                            .uid = before->uid,
                                            .node = buf_text(&from),
                                            .to = to,
                                            .before = had,
                                            .after = has,
                                            .data_before = data_had,
                                            .data_after = data_has,
                                            .text = "moved" },
                      e);
}

static int user_move(struct admin *a)
{
    const char *who = a->argv[0], *to = option_text(a, "to");
    struct err e = ERR_NONE;
    struct move_progress p = { .note = "" };
    const struct move_watch watch = {
        .progress = progress, .cancelled = cancelled, .cut_over = cut_over, .arg = a
    };
    if (!to)
        return admin_wrong("user move: --to NODE is needed");
    const struct move_options o = { .who = view_of(who),
                                    .to = view_of(to),
                                    .rate = option_number(a, "rate"),
                                    .skew_ms = option_number(a, "max-skew") * 1000,
                                    .lease_s = option_number(a, "lease"),
                                    .pause_s = MOVE_PAUSE_S,
                                    .pause_most_s = option_number(a, "upload-wait"),
                                    .watch = &watch };
    rc r = admin_connect(a, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    interrupt_heed(true);
    struct reach reach = { .ask = a->ask, .clock = clock_system() };
    SCOPED(subject_done) struct subject before = { 0 };
    r = subject_get(&reach, o.who, &before, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    r = move_user(&reach, &o, &p, &e);
    if (r == RC_OK)
        r = note(a, &reach, &before, to, &e);
    SCOPED(json_decref) json_t *result = result_object(&p, who, to, r);
    if (r == RC_OK || a->json)
        show_object(a, result, NULL);
    if (r != RC_OK && p.note[0] && !a->json)
        admin_wrong("%s", p.note);
    return admin_status(r, &e);
}

static const struct command_option options[] = {
    { .name = "to", .type = OPTION_NODE, .value = "NODE", .help = "where he is to live" },
    { .name = "rate",
      .type = OPTION_SIZE,
      .value = "BYTES",
      .help = "most bytes a second while he keeps syncing; 0: as fast as it goes",
      .fallback = "0" },
    { .name = "max-skew",
      .type = OPTION_SECONDS,
      .value = "TIME",
      .help = "refuse when the clocks of the two nodes are further apart",
      .fallback = "10" },
    { .name = "upload-wait",
      .type = OPTION_SECONDS,
      .value = "TIME",
      .help =
          "how long to wait for an upload in parts to end; one still open then is begun anew by its client",
      .fallback = "120" },
    { .name = "lease",
      .type = OPTION_SECONDS,
      .value = "TIME",
      .help = "how long this command may be silent before others may undo what it began",
      .fallback = "60" },
    OPTIONS_END,
};

const struct command move_commands[] = {
    { .name = "user move",
      .arguments = "USER",
      .least = 1,
      .most = 1,
      .run = user_move,
      .help = "move a user to another node while he syncs",
      .about =
          "USER is a name, an account number or a mail address. His data are copied while he keeps syncing; then he is refused "
          "for a moment with 503 and Retry-After, what changed meanwhile follows, the two nodes compare what they hold, and "
          "the directory names the new node. His devices meet one 401 and go there.\n\n"
          "Ctrl-C stops it as long as nothing is decided, and undoes it. If this command dies, heddle-admin settle undoes or "
          "finishes what it left.",
      .options = options,
      .changes = true,
      .examples = { "heddle-admin user move alice --to node8.example.net",
                    "gently, over a thin line\nheddle-admin user move alice --to node8.example.net --rate 2m" } },
    COMMANDS_END,
};
