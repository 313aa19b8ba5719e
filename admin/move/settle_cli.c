/* heddle-admin settle: a round, or one after the other. */
#include <inttypes.h>

#include "admin/interrupt.h"
#include "admin/move/settle.h"
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/base/mem.h"

static void report(void *arg, const struct settle_report *r)
{
    const struct admin *a = arg;
    if (a->json) {
        SCOPED(json_decref)
        json_t *o = mem_need(json_pack("{s:s, s:I, s:s%, s:s%, s:s%, s:s}", "what", settle_act_name(r->act),
                                       "uid", (json_int_t)r->uid, "name", r->name.p ? r->name.p : "",
                                       r->name.n, "intent", r->intent.p ? r->intent.p : "", r->intent.n,
                                       "node", r->node.p ? r->node.p : "", r->node.n, "text", r->text));
        show_object(a, o, NULL);
    } else {
        show_text(a, "%-9s %" PRId64 " %.*s (%.*s)%s%s\n", settle_act_name(r->act), r->uid, VIEW_ARG(r->name),
                  VIEW_ARG(r->intent), r->text[0] ? ": " : "", r->text);
    }
    fflush(a->out);
}

static void summary(const struct admin *a, const struct settle_counts *n)
{
    if (!a->json && n->waits + n->undone + n->finished + n->erased + n->would + n->failed > 0)
        show_text(a, "%zu undone, %zu finished, %zu erased, %zu wait, %zu failed\n", n->undone, n->finished,
                  n->erased, n->waits, n->failed);
}

/* One round, on connections of its own: nodes may have moved since the last one. */
static rc one_round(struct admin *a, const struct settle_rules *rules, struct settle_counts *counts,
                    struct err *e)
{
    SCOPED(ask_free) struct ask *ask = NULL;
    TRY(ask_new(a->conf, &ask, e));
    struct reach reach = { .ask = ask, .clock = clock_system() };
    TRY(settle_round(&reach, rules, counts, e));
    summary(a, counts);
    return RC_OK;
}

static int rounds(struct admin *a, const struct settle_rules *rules, int64_t every_s)
{
    interrupt_heed(false);
    while (!interrupted()) {
        struct settle_counts counts = { 0 };
        struct err e = ERR_NONE;
        rc r = one_round(a, rules, &counts, &e);
        if (r == RC_BAD_INPUT)
            return admin_status(r, &e);
        if (r != RC_OK)
            (void)admin_status(r, &e); /* says it; the next round may find them back */
        for (int64_t ms = 0; ms < every_s * 1000 && !interrupted(); ms += 100)
            clock_sleep_ms(100);
    }
    return EXIT_DONE;
}

static int settle(struct admin *a)
{
    const struct settle_rules rules = { .dry_run = option_given(a, "dry-run"),
                                        .at_once = option_given(a, "at-once"),
                                        .force = option_given(a, "force"),
                                        .grace_s = option_number(a, "grace"),
                                        .most = (size_t)option_number(a, "most"),
                                        .report = report,
                                        .arg = a };
    struct settle_counts counts = { 0 };
    struct err e = ERR_NONE;
    if (option_given(a, "every"))
        return rounds(a, &rules, option_number(a, "every"));
    rc r = one_round(a, &rules, &counts, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    return counts.failed > 0 ? EXIT_PARTLY : EXIT_DONE;
}

static const struct command_option options[] = {
    { .name = "every",
      .type = OPTION_SECONDS,
      .value = "TIME",
      .help = "go on for ever, with a round so often" },
    { .name = "dry-run", .type = OPTION_FLAG, .help = "say what would be done, and do nothing" },
    { .name = "at-once",
      .type = OPTION_FLAG,
      .help = "do not wait for leases: a move that is still running loses and is undone" },
    { .name = "grace",
      .type = OPTION_SECONDS,
      .value = "TIME",
      .help = "how long the data of a deleted account stay",
      .fallback = "1d" },
    { .name = "most",
      .type = OPTION_NUMBER,
      .value = "N",
      .help = "accounts that are erased in one round; 0: no limit",
      .fallback = "100",
      .most = 1000000 },
    { .name = "force",
      .type = OPTION_FLAG,
      .help = "count data on a node that is marked down as erased: nobody will come for them" },
    OPTIONS_END,
};

const struct command settle_commands[] = {
    { .name = "settle",
      .run = settle,
      .help =
          "finish or undo moves that were left half done, erase what deleted accounts left, sweep old invite codes",
      .about =
          "Run it all the time on one machine at least, with --every 30s. Several do each other no harm. A move that was cut off "
          "before its flip is undone when its lease is over, one that was cut off afterwards is finished. A node that does not "
          "answer is asked again in the next round; the exit status is 7 then.",
      .options = options,
      .changes = true,
      .examples = { "for ever, as a service\nheddle-admin settle --every 30s",
                    "what is there to do?\nheddle-admin settle --dry-run",
                    "a move was killed, its user waits\nheddle-admin settle --at-once" } },
    COMMANDS_END,
};
