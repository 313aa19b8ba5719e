/* heddle-admin mail …: what a one box that sends no mails has written instead. */
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/base/json.h"

static const struct column newest_columns[] = {
    { "made", "written", COLUMN_TIME }, { "from", "from", COLUMN_TEXT },
    { "to", "to", COLUMN_TEXT },        { "subject", "subject", COLUMN_TEXT },
    { "date", "date", COLUMN_TEXT },    { "cut", "shortened", COLUMN_FLAG },
    { "text", "text", COLUMN_TEXT },    COLUMNS_END,
};

static rc newest(struct admin *a, json_t **out, struct err *e)
{
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    TRY(admin_connect(a, e));
    TRY(ask_directory(a->ask, "GET", "mail/newest", VIEW_NONE, &answer, e));
    return ask_object(&answer, out, e);
}

static int mail_newest(struct admin *a)
{
    SCOPED(json_decref) json_t *mail = NULL;
    struct err e = ERR_NONE;
    rc r = newest(a, &mail, &e);
    if (r == RC_OK)
        show_object(a, mail, newest_columns);
    return admin_status(r, &e);
}

/* clang-format off */
const struct command mail_commands[] = {
    { .name = "mail newest", .help = "the newest mail of a one box that sends none", .changes = true, .run = mail_newest,
      .about = "With mail.driver = spool, mails are files in mail.dir, and this shows the headers and the text of the newest. It may hold a link with which a "
               "password is set: so that somebody looked stands in the audit log. With a relay, and in a cluster, no mail is ever shown.",
      .examples = { "heddle-admin mail newest" } },
    COMMANDS_END,
};
