/* heddle-admin invite …: codes with which somebody may make an account (registration.mode = invite). A code is shown when it is made, and
 * never again; the audit log has its id alone. */
#include <inttypes.h>

#include "admin/audit/audit.h"
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/base/json.h"
#include "common/base/mem.h"

static const struct column made_columns[] = {
    { "code", "code", COLUMN_TEXT },
    { "id", "id", COLUMN_TEXT },
    { "uses", "good for", COLUMN_NUMBER },
    { "ends", "ends", COLUMN_TIME },
    { "note", "note", COLUMN_TEXT },
    { "by", "by", COLUMN_TEXT },
    { "state", "state", COLUMN_TEXT },
    { "left", "left", COLUMN_NUMBER },
    { "under_way", "under way", COLUMN_NUMBER },
    { "made", "made", COLUMN_TIME },
    COLUMNS_END,
};

static const struct column list_columns[] = {
    { "id", "ID", COLUMN_TEXT },     { "state", "STATE", COLUMN_TEXT }, { "left", "LEFT", COLUMN_NUMBER },
    { "uses", "OF", COLUMN_NUMBER }, { "ends", "ENDS", COLUMN_TIME },   { "made", "MADE", COLUMN_TIME },
    { "by", "BY", COLUMN_TEXT },     { "note", "NOTE", COLUMN_TEXT },   COLUMNS_END,
};

/* ---- make ---- */

static void put_order(const struct admin *a, struct buf *body)
{
    SCOPED(buf_done) struct buf by = { 0 };
    audit_person(a, &by);
    buf_addf(body, "{\"uses\":%" PRId64 ",\"life\":%" PRId64 ",\"by\":", option_number(a, "uses"),
             option_number(a, "expires"));
    json_put_string(body, buf_view(&by));
    if (option_given(a, "note")) {
        buf_add(body, VIEW(",\"note\":"));
        json_put_string(body, view_of(option_text(a, "note")));
    }
    buf_addc(body, '}');
}

static rc note_id(const struct admin *a, const char *what, view id, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    buf_addf(&text, "invite code %.*s %s", VIEW_ARG(id), what);
    return audit_note(a, &(struct audit_note){ .text = buf_text(&text) }, e);
}

static rc make(struct admin *a, json_t **out, struct err *e)
{
    SCOPED(buf_done) struct buf body = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    TRY(admin_connect(a, e));
    put_order(a, &body);
    TRY(ask_directory(a->ask, "POST", "invites", buf_view(&body), &answer, e));
    TRY(ask_object(&answer, out, e));
    return RC_OK;
}

static int invite_make(struct admin *a)
{
    SCOPED(json_decref) json_t *made = NULL;
    struct err e = ERR_NONE;
    rc r = make(a, &made, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    /* Whatever becomes of the audit log: it is made, and shown here or nowhere. */
    show_object(a, made, made_columns);
    r = note_id(a, "made", json_text(json_object_get(made, "id")), &e);
    return admin_status(r, &e);
}

/* ---- list ---- */

static int invite_list(struct admin *a)
{
    SCOPED(json_decref) json_t *rows = NULL;
    struct err e = ERR_NONE;
    rc r = admin_connect(a, &e);
    if (r == RC_OK)
        r = ask_all(a->ask, VIEW_NONE, "invites", &rows, &e);
    if (r == RC_OK)
        show_rows(a, rows, list_columns);
    return admin_status(r, &e);
}

/* ---- revoke ---- */

/* As lists have it; people read capital letters from the code. */
static rc read_id(const char *typed, struct buf *out, struct err *e)
{
    for (const char *p = typed; *p; p++) {
        bool big = *p >= 'A' && *p <= 'Z';
        if (!big && !(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9'))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                        "an invite code is revoked by its first group of letters and digits alone");
        buf_addc(out, big ? (char)(*p + ('a' - 'A')) : *p);
    }
    return RC_OK;
}

static rc revoke(struct admin *a, const char *typed, struct err *e)
{
    SCOPED(buf_done) struct buf id = { 0 };
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    TRY(read_id(typed, &id, e));
    buf_addf(&path, "invites/%s", buf_text(&id));
    TRY(ask_directory(a->ask, "DELETE", buf_text(&path), VIEW_NONE, &answer, e));
    SCOPED(json_decref)
    json_t *said = mem_need(json_pack("{s:s,s:s}", "id", buf_text(&id), "state", "revoked"));
    show_object(a, said, NULL);
    return note_id(a, "revoked", buf_view(&id), e);
}

/* All that can be revoked are; the status is that of the first that could not. */
static int invite_revoke(struct admin *a)
{
    struct err e = ERR_NONE;
    rc r = admin_connect(a, &e);
    int status = admin_status(r, &e);
    for (int i = 0; r == RC_OK && i < a->argc; i++) {
        int got = admin_status(revoke(a, a->argv[i], &e), &e);
        status = status == EXIT_DONE ? got : status;
    }
    return status;
}

/* ---- the table ---- */

static const struct command_option make_options[] = {
    { .name = "uses",
      .type = OPTION_NUMBER,
      .value = "N",
      .help = "registrations that it is good for",
      .fallback = "1",
      .least = 1,
      .most = 10000 },
    { .name = "expires",
      .type = OPTION_SECONDS,
      .value = "TIME",
      .help = "when it ends by itself, 366d at most",
      .fallback = "30d" },
    { .name = "note",
      .type = OPTION_TEXT,
      .value = "TEXT",
      .help = "for whom it is, say; shown in lists and in the audit log" },
    OPTIONS_END,
};

/* clang-format off */
const struct command invite_commands[] = {
    { .name = "invite make", .help = "make an invite code, and show it this once", .options = make_options, .changes = true, .run = invite_make,
      .about = "Where registration.mode is \"invite\", whoever has the code can make an account on the page /account/register. It is shown here and nowhere else: "
               "the directory keeps a keyed hash of it.",
      .examples = { "heddle-admin invite make --note Anna", "a course\nheddle-admin invite make --uses 30 --expires 7d --json" } },
    { .name = "invite list", .help = "invite codes by their first group: what is left of them, who made them", .run = invite_list,
      .about = "Codes that ended are listed for another week, used-up ones until a month after they were made; then \"settle\" deletes them.",
      .examples = { "heddle-admin invite list" } },
    { .name = "invite revoke", .arguments = "ID [ID …]", .least = 1, .most = 1000, .help = "end an invite code before its time", .changes = true, .run = invite_revoke,
      .about = "ID is the first group of the code, as the list has it. Accounts that were made with it stay.",
      .examples = { "heddle-admin invite revoke k7qp" } },
    COMMANDS_END,
};
