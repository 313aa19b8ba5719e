/* heddle-admin doctor */
#include <inttypes.h>

#include "admin/show.h"
#include "admin/verbs.h"
#include "admin/verbs/doctor.h"
#include "common/base/mem.h"

static void report(void *arg, const struct doctor_finding *f)
{
    const struct admin *a = arg;
    if (a->json) {
        SCOPED(json_decref)
        json_t *o = mem_need(json_pack("{s:s, s:s%, s:I, s:s, s:s}", "level", doctor_level_name(f->level),
                                       "node", f->node.p ? f->node.p : "", f->node.n, "uid",
                                       (json_int_t)f->uid, "text", f->text, "cure", f->cure));
        show_object(a, o, NULL);
        return;
    }
    enum colour c = f->level == DOCTOR_ERROR     ? COLOUR_RED
                    : f->level == DOCTOR_WARNING ? COLOUR_YELLOW
                                                 : COLOUR_NONE;
    show_text(a, "%s%s%s%s%.*s%s", colour_on(a, c), doctor_level_name(f->level), colour_off(a),
              f->node.n > 0 ? " at " : "", VIEW_ARG(f->node), ":\n");
    if (f->uid > 0)
        show_text(a, "  uid %" PRId64 ": %s\n", f->uid, f->text);
    else
        show_text(a, "  %s\n", f->text);
    show_text(a, "  -> %s\n", f->cure);
}

static int doctor(struct admin *a)
{
    const struct doctor_rules rules = { .skew_ms = option_number(a, "max-skew") * 1000,
                                        .settle_s = option_number(a, "settled-within"),
                                        .mend = option_given(a, "mend"),
                                        .report = report,
                                        .arg = a };
    struct doctor_counts n = { 0 };
    struct err e = ERR_NONE;
    rc r = admin_connect(a, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    struct reach reach = { .ask = a->ask, .clock = clock_system() };
    r = doctor_run(&reach, &rules, &n, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    show_text(a, "%zu nodes, %zu heads, %zu accounts: %zu errors, %zu warnings, %zu notes\n", n.nodes,
              n.heads, n.accounts, n.errors, n.warnings, n.notes);
    return n.errors + n.warnings > 0 ? EXIT_DIFFERENT : EXIT_DONE;
}

static const struct command_option options[] = {
    { .name = "mend",
      .type = OPTION_FLAG,
      .help = "put right what the higher epoch decides, and undo what was left half done" },
    { .name = "max-skew",
      .type = OPTION_SECONDS,
      .value = "TIME",
      .help = "clocks further apart are told",
      .fallback = "2" },
    { .name = "settled-within",
      .type = OPTION_SECONDS,
      .value = "TIME",
      .help = "a settle longer ago is told",
      .fallback = "5m" },
    OPTIONS_END,
};

const struct command doctor_commands[] = {
    { .name = "doctor",
      .run = doctor,
      .help = "compare all nodes with the directory, and name what is wrong and its cure",
      .about =
          "Reads every head of every node and every account: the higher epoch is right. Also clocks, schemas, databases that may lose "
          "what they acknowledged, and whether anybody runs settle. What looks wrong is asked about once more before it is told, "
          "so people who move meanwhile do no harm. The exit status is 8 when there are errors or warnings.",
      .options = options,
      .changes = true,
      .examples = { "heddle-admin doctor",
                    "after a node or the directory was restored from a backup\nheddle-admin doctor --mend" } },
    COMMANDS_END,
};
