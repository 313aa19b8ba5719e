/* heddle-admin user …: accounts, what they hold, and their end. Moving them and comparing: admin/move. */
#include <inttypes.h>

#include "admin/audit/audit.h"
#include "admin/folder.h"
#include "admin/move/settle.h"
#include "admin/show.h"
#include "admin/subject.h"
#include "admin/verbs.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"

/* ---- lists ---- */

static const struct column list_columns[] = {
    { "uid", "UID", COLUMN_NUMBER },         { "name", "NAME", COLUMN_TEXT },
    { "node", "NODE", COLUMN_TEXT },         { "epoch", "EPOCH", COLUMN_NUMBER },
    { "enabled", "ENABLED", COLUMN_FLAG },   { "mail", "MAIL", COLUMN_TEXT },
    { "intent", "ON HIS WAY", COLUMN_TEXT }, COLUMNS_END,
};

static int show_list(struct admin *a, const char *path)
{
    SCOPED(json_decref) json_t *rows = NULL;
    struct err e = ERR_NONE;
    rc r = admin_connect(a, &e);
    if (r == RC_OK)
        r = ask_all(a->ask, VIEW_NONE, path, &rows, &e);
    if (r == RC_OK)
        show_rows(a, rows, list_columns);
    return admin_status(r, &e);
}

static int user_list(struct admin *a)
{
    SCOPED(buf_done) struct buf path = { 0 };
    int kinds = option_given(a, "node") + option_given(a, "moving") + option_given(a, "erasing");
    if (kinds > 1)
        return admin_wrong("user list: --node, --moving and --erasing exclude each other");
    buf_add(&path, VIEW("accounts"));
    if (option_given(a, "node")) {
        buf_add(&path, VIEW("?node="));
        percent_put(&path, view_of(option_text(a, "node")));
    } else if (kinds == 1) {
        buf_add(&path, view_of(option_given(a, "moving") ? "?intent=1" : "?erase=1"));
    }
    return show_list(a, buf_text(&path));
}

static int user_search(struct admin *a)
{
    SCOPED(buf_done) struct buf path = { 0 };
    buf_add(&path, VIEW("accounts?search="));
    percent_put(&path, view_of(a->argv[0]));
    return show_list(a, buf_text(&path));
}

/* ---- one ---- */

static rc find(struct admin *a, const char *who, struct subject *out, struct err *e)
{
    TRY(admin_connect(a, e));
    struct reach reach = { .ask = a->ask, .clock = clock_system() };
    return subject_get(&reach, view_of(who), out, e);
}

/* What his node has of him: an object of GET heads/{uid} or users/{uid}/usage. */
static rc ask_his_node(struct admin *a, const struct subject *s, const char *fmt_what, json_t **out,
                       struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    if (s->node.n == 0)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "%.*s lives nowhere yet", VIEW_ARG(s->name));
    if (strcmp(fmt_what, "usage") == 0)
        buf_addf(&path, "users/%" PRId64 "/usage", s->uid);
    else
        buf_addf(&path, "heads/%" PRId64, s->uid);
    TRY(ask_node(a->ask, s->node, "GET", buf_text(&path), VIEW_NONE, &answer, e));
    return ask_object(&answer, out, e);
}

static const struct column show_columns[] = {
    { "uid", "uid", COLUMN_NUMBER },
    { "name", "name", COLUMN_TEXT },
    { "mail", "mail", COLUMN_TEXT },
    { "enabled", "enabled", COLUMN_FLAG },
    { "disabled", "disabled", COLUMN_TIME },
    { "created", "created", COLUMN_TIME },
    { "password_since", "password", COLUMN_TIME },
    { "node", "node", COLUMN_TEXT },
    { "epoch", "epoch", COLUMN_NUMBER },
    { "placed", "placed", COLUMN_TEXT },
    { "intent", "on his way", COLUMN_TEXT },
    { "head.state", "head", COLUMN_TEXT },
    { "head.epoch", "head's epoch", COLUMN_NUMBER },
    { "head.used_bytes", "used, at most", COLUMN_BYTES },
    { "head.quota_bytes", "quota", COLUMN_BYTES },
    COLUMNS_END,
};

static int user_show(struct admin *a)
{
    SCOPED(subject_done) struct subject s = { 0 };
    SCOPED(json_decref) json_t *head = NULL;
    struct err e = ERR_NONE, at_node = ERR_NONE;
    rc r = find(a, a->argv[0], &s, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    rc has = ask_his_node(a, &s, "head", &head, &at_node);
    if (has == RC_OK)
        json_object_set(s.entry, "head", head);
    show_object(a, s.entry, show_columns);
    return has == RC_OK || s.node.n == 0 ? EXIT_DONE : admin_status(has, &at_node);
}

static const struct column usage_columns[] = {
    { "name", "COLLECTION", COLUMN_TEXT }, { "items", "ITEMS", COLUMN_NUMBER },
    { "bytes", "BYTES", COLUMN_BYTES },    { "modified_ms", "MODIFIED", COLUMN_TIME },
    { "digest", "DIGEST", COLUMN_TEXT },   COLUMNS_END,
};

static int user_usage(struct admin *a)
{
    SCOPED(subject_done) struct subject s = { 0 };
    SCOPED(json_decref) json_t *usage = NULL;
    struct err e = ERR_NONE;
    json_t *coll;
    size_t i;
    rc r = find(a, a->argv[0], &s, &e);
    if (r == RC_OK)
        r = ask_his_node(a, &s, "usage", &usage, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    if (a->json) {
        char digest[AUDIT_HASH_TEXT + 1];
        audit_digest_usage(usage, digest);
        json_object_set_new(usage, "data_digest", json_string(digest));
        show_object(a, usage, NULL);
        return EXIT_DONE;
    }
    json_array_foreach (json_object_get(usage, "colls"), i, coll)
        json_object_set_new(coll, "modified_ms",
                            json_integer(json_integer_value(json_object_get(coll, "modified")) * 10));
    show_rows(a, json_object_get(usage, "colls"), usage_columns);
    return EXIT_DONE;
}

/* ---- quota ---- */

static int show_quota(struct admin *a, const json_t *head)
{
    static const struct column columns[] = { { "used_bytes", "used, at most", COLUMN_BYTES },
                                             { "quota_bytes", "quota", COLUMN_BYTES },
                                             COLUMNS_END };
    SCOPED(json_decref)
    json_t *o = mem_need(json_pack("{s:O?,s:O?,s:O?}", "uid", json_object_get(head, "uid"), "used_bytes",
                                   json_object_get(head, "used_bytes"), "quota_bytes",
                                   json_object_get(head, "quota_bytes")));
    show_object(a, o, columns);
    return EXIT_DONE;
}

static rc set_quota(struct admin *a, const struct subject *s, int64_t bytes, json_t **out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf body = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    SCOPED(json_decref) json_t *before = NULL;
    char had[AUDIT_HASH_TEXT + 1], has[AUDIT_HASH_TEXT + 1];
    TRY(ask_his_node(a, s, "head", &before, e));
    audit_digest_json(json_object_get(before, "quota_bytes"), had);
    buf_addf(&path, "users/%" PRId64 "/quota", s->uid);
    buf_addf(&body, "{\"quota_bytes\":%" PRId64 "}", bytes);
    TRY(ask_node(a->ask, s->node, "PUT", buf_text(&path), buf_view(&body), &answer, e));
    TRY(ask_his_node(a, s, "head", out, e));
    audit_digest_json(json_object_get(*out, "quota_bytes"), has);
    SCOPED(buf_done) struct buf name = { 0 };
    SCOPED(buf_done) struct buf node = { 0 };
    buf_add(&name, s->name);
    buf_add(&node, s->node);
    return audit_note(a,
                      &(struct audit_note){ .user = buf_text(&name),
                                            .uid = s->uid,
                                            .node = buf_text(&node),
                                            .before = had,
                                            .after = has,
                                            .text = "quota" },
                      e);
}

static int user_quota(struct admin *a)
{
    SCOPED(subject_done) struct subject s = { 0 };
    SCOPED(json_decref) json_t *head = NULL;
    struct err e = ERR_NONE;
    int64_t bytes = -1;
    const char *wanted = a->argc > 1 ? a->argv[1] : NULL;
    if (wanted && strcmp(wanted, "default") != 0 && !option_read_size(view_of(wanted), &bytes))
        return admin_wrong("user quota: \"%.40s\" is neither \"default\" nor a number of bytes, like 50m",
                           wanted);
    rc r = find(a, a->argv[0], &s, &e);
    if (r == RC_OK)
        r = wanted ? set_quota(a, &s, bytes, &head, &e) : ask_his_node(a, &s, "head", &head, &e);
    return r == RC_OK ? show_quota(a, head) : admin_status(r, &e);
}

/* ---- disable, enable ---- */

static rc post(struct admin *a, int64_t uid, const char *what, json_t **out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    buf_addf(&path, "accounts/%" PRId64 "/%s", uid, what);
    TRY(ask_directory(a->ask, "POST", buf_text(&path), VIEW_NONE, &answer, e));
    return ask_object(&answer, out, e);
}

/* To all directory processes: those that did not do it hear of it too, and tell the nodes that hear them. One that is away hears nothing;
 * the nodes do not trust its silence for long. */
static void spread(struct admin *a, int64_t uid, view name)
{
    SCOPED(buf_done) struct buf body = { 0 };
    buf_addf(&body, "{\"uids\":[%" PRId64 "],\"names\":[", uid);
    json_put_string(&body, name);
    buf_add(&body, VIEW("]}"));
    for (size_t i = 0; ask_directories(a->ask) > 1 && i < ask_directories(a->ask); i++) {
        SCOPED(answer_done) struct answer answer = { .status = 0 };
        struct err e = ERR_NONE;
        if (ask_directory_at(a->ask, i, "POST", "news", buf_view(&body), &answer, &e) != RC_OK)
            admin_wrong("the directory at %s did not hear of it: %s", ask_directory_name(a->ask, i), e.text);
    }
}

static rc note_data(struct admin *a, const struct subject *s, const json_t *before, const json_t *after,
                    const char *data_before, const char *text, struct err *e)
{
    SCOPED(buf_done) struct buf name = { 0 };
    SCOPED(buf_done) struct buf node = { 0 };
    char had[AUDIT_HASH_TEXT + 1], has[AUDIT_HASH_TEXT + 1];
    buf_add(&name, s->name);
    buf_add(&node, s->node);
    audit_digest_json(before, had);
    if (after)
        audit_digest_json(after, has);
    return audit_note(a,
                      &(struct audit_note){ .user = buf_text(&name),
                                            .uid = s->uid,
                                            .node = s->node.n > 0 ? buf_text(&node) : NULL,
                                            .before = had,
                                            .after = after ? has : NULL,
                                            .data_before = data_before,
                                            .text = text },
                      e);
}

static rc note(struct admin *a, const struct subject *s, const json_t *before, const json_t *after,
               const char *text, struct err *e)
{
    return note_data(a, s, before, after, NULL, text, e);
}

static int switch_account(struct admin *a, const char *what)
{
    SCOPED(subject_done) struct subject s = { 0 };
    SCOPED(json_decref) json_t *after = NULL;
    struct err e = ERR_NONE;
    rc r = find(a, a->argv[0], &s, &e);
    if (r == RC_OK)
        r = post(a, s.uid, what, &after, &e);
    if (r == RC_OK) {
        spread(a, s.uid, s.name);
        r = note(a, &s, s.entry, after, what, &e);
    }
    if (r == RC_OK)
        show_object(a, after, show_columns);
    return admin_status(r, &e);
}

static int user_disable(struct admin *a)
{
    return switch_account(a, "disable");
}
static int user_enable(struct admin *a)
{
    return switch_account(a, "enable");
}

/* ---- reset ---- */

static rc start_reset(struct admin *a, const struct subject *s, json_t **out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf body = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    const char *mail = option_text(a, "mail");
    buf_addf(&path, "accounts/%" PRId64 "/reset", s->uid);
    if (mail) {
        buf_add(&body, VIEW("{\"mail\":"));
        json_put_string(&body, view_of(mail));
        buf_addc(&body, '}');
    }
    TRY(ask_directory(a->ask, "POST", buf_text(&path), mail ? buf_view(&body) : VIEW_NONE, &answer, e));
    return ask_object(&answer, out, e);
}

static rc show_reset(struct admin *a, const struct subject *s, json_t *said, struct err *e)
{
    const char *mail = option_text(a, "mail");
    json_object_set_new(said, "uid", json_integer(s->uid));
    json_object_set_new(said, "name", json_stringn(s->name.p, s->name.n));
    if (mail)
        json_object_set_new(said, "mail", json_string(mail));
    else
        json_object_set(said, "mail", json_object_get(s->entry, "mail"));
    show_object(a, said, NULL);
    return note(a, s, s->entry, NULL,
                mail ? "password reset mailed, to a new address" : "password reset mailed", e);
}

/* The link goes to the account's address alone: nobody here sees it. */
static int user_reset(struct admin *a)
{
    SCOPED(subject_done) struct subject s = { 0 };
    SCOPED(json_decref) json_t *said = NULL;
    struct err e = ERR_NONE;
    rc r = find(a, a->argv[0], &s, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    if (option_given(a, "mail")) {
        int asked = admin_confirm(a,
                                  "heddle-admin user reset: account %" PRId64
                                  ", %.*s, gets the address %s; whoever reads its mails "
                                  "can set a password.",
                                  s.uid, VIEW_ARG(s.name), option_text(a, "mail"));
        if (asked != EXIT_DONE)
            return asked;
    }
    r = start_reset(a, &s, &said, &e);
    if (r == RC_OK && option_given(a, "mail"))
        spread(a, s.uid, s.name);
    if (r == RC_OK)
        r = show_reset(a, &s, said, &e);
    return admin_status(r, &e);
}

/* ---- delete ---- */

struct deletion {
    struct admin *a;
    struct subject s;
    json_t *receipt;
    bool deleted; /* the account; its data perhaps not yet */
};

static void deletion_done_scoped(struct deletion *d)
{
    subject_done(&d->s);
    json_decref(d->receipt);
}

/* What there was: counted while it is there. A node that is away keeps nobody from being deleted; the receipt says so. */
static rc count_up(struct deletion *d, struct err *e)
{
    SCOPED(json_decref) json_t *usage = NULL;
    char digest[AUDIT_HASH_TEXT + 1];
    const json_t *coll;
    size_t i;
    json_int_t items = 0, bytes = 0;
    if (d->s.node.n == 0)
        return RC_OK;
    rc r = ask_his_node(d->a, &d->s, "usage", &usage, e);
    if (r == RC_AWAY || r == RC_NOT_FOUND) {
        json_object_set_new(d->receipt, "not_counted", json_string(e->text));
        return RC_OK;
    }
    TRY(r);
    json_array_foreach (json_object_get(usage, "colls"), i, coll) {
        items += json_integer_value(json_object_get(coll, "items"));
        bytes += json_integer_value(json_object_get(coll, "bytes"));
    }
    audit_digest_usage(usage, digest);
    json_object_set_new(d->receipt, "items", json_integer(items));
    json_object_set_new(d->receipt, "bytes", json_integer(bytes));
    json_object_set_new(d->receipt, "data_digest", json_string(digest));
    return RC_OK;
}

/* Nothing is believed: the directory and the node are asked what they have now. */
static rc look_again(struct deletion *d, struct err *e)
{
    SCOPED(subject_done) struct subject now = { 0 };
    SCOPED(json_decref) json_t *head = NULL, *usage = NULL;
    struct reach reach = { .ask = d->a->ask, .clock = clock_system() };
    rc r = subject_get_uid(&reach, d->s.uid, &now, e);
    if (r == RC_OK)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the directory still has account %" PRId64, d->s.uid);
    if (r != RC_NOT_FOUND)
        return r;
    json_object_set_new(d->receipt, "directory", json_string("no account"));
    if (d->s.node.n == 0)
        return RC_OK;
    TRY(ask_his_node(d->a, &d->s, "head", &head, e));
    TRY(ask_his_node(d->a, &d->s, "usage", &usage, e));
    if (json_array_size(json_object_get(usage, "colls")) > 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.*s still has data of account %" PRId64,
                    VIEW_ARG(d->s.node), d->s.uid);
    json_object_set(d->receipt, "head", json_object_get(head, "state"));
    json_object_set_new(d->receipt, "node_items", json_integer(0));
    json_object_set_new(d->receipt, "cache", json_string("dropped"));
    return RC_OK;
}

static rc keep_receipt(struct deletion *d, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf text = { 0 };
    TRY(folder_path(d->a->conf, "receipts", &path, e));
    buf_addf(&path, "/%" PRId64 "-%s.json", d->s.uid, d->a->audit_id);
    json_put_members(&text, d->receipt);
    buf_addc(&text, '\n');
    TRY(folder_write(buf_text(&path), buf_view(&text), e));
    json_object_set_new(d->receipt, "file", json_string(buf_text(&path)));
    return RC_OK;
}

static rc erase_data(struct deletion *d, struct err *e)
{
    struct reach reach = { .ask = d->a->ask, .clock = clock_system() };
    const struct settle_rules rules = { .grace_s = 0 };
    enum settle_act act;
    TRY(settle_erase_of(&reach, &rules, d->s.uid, &act, e));
    if (act == SETTLE_WAITS)
        return fail(e, RC_BUSY, RESP_GENERIC, "the clock here is behind the directory's");
    json_object_set_new(d->receipt, "erased_ms", json_integer(clock_now_us(clock_system()) / 1000));
    return RC_OK;
}

static rc delete_account(struct deletion *d, struct err *e)
{
    SCOPED(json_decref) json_t *none = NULL;
    d->receipt = mem_need(json_pack("{s:s%,s:I,s:s%,s:I}", "user", d->s.name.p, d->s.name.n, "uid",
                                    (json_int_t)d->s.uid, "node", d->s.node.p ? d->s.node.p : "", d->s.node.n,
                                    "epoch", (json_int_t)d->s.epoch));
    TRY(count_up(d, e));
    TRY(post(d->a, d->s.uid, "delete", &none, e));
    d->deleted = true;
    json_object_set_new(d->receipt, "deleted_ms", json_integer(clock_now_us(clock_system()) / 1000));
    spread(d->a, d->s.uid, d->s.name);
    const char *data = json_string_value(json_object_get(d->receipt, "data_digest"));
    TRY(note(d->a, &d->s, d->s.entry, NULL, "account deleted", e));
    rc r = erase_data(d, e);
    if (r != RC_OK) {
        struct err why = *e;
        json_object_set_new(d->receipt, "not_erased", json_string(why.text));
        TRY(keep_receipt(d, e));
        return fail(e, r, RESP_GENERIC,
                    "the account is deleted, its data not yet (heddle-admin settle will): %.160s", why.text);
    }
    TRY(look_again(d, e));
    TRY(keep_receipt(d, e));
    return note_data(d->a, &d->s, d->receipt, NULL, data, "data erased", e);
}

static const struct column receipt_columns[] = {
    { "deleted_ms", "deleted", COLUMN_TIME },
    { "erased_ms", "erased", COLUMN_TIME },
    { "bytes", "bytes", COLUMN_BYTES },
    COLUMNS_END,
};

static int user_delete(struct admin *a)
{
    SCOPED(deletion_done) struct deletion d = { .a = a };
    struct err e = ERR_NONE;
    rc r = find(a, a->argv[0], &d.s, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    int asked = admin_confirm(
        a, "heddle-admin user delete: account %" PRId64 ", %.*s, and all his data are deleted, for ever.",
        d.s.uid, VIEW_ARG(d.s.name));
    if (asked != EXIT_DONE)
        return asked;
    r = delete_account(&d, &e);
    if (r == RC_OK || d.deleted)
        show_object(a, d.receipt, receipt_columns);
    int status = admin_status(r, &e);
    return status != EXIT_DONE && d.deleted ? EXIT_PARTLY : status;
}

/* ---- the table ---- */

static const struct command_option list_options[] = {
    { .name = "node", .type = OPTION_NODE, .value = "NODE", .help = "only those who live there" },
    { .name = "moving", .type = OPTION_FLAG, .help = "only those who are on their way to another node" },
    { .name = "erasing", .type = OPTION_FLAG, .help = "only those who left data that are to be erased" },
    OPTIONS_END,
};

static const struct command_option reset_options[] = {
    { .name = "mail",
      .type = OPTION_TEXT,
      .value = "ADDRESS",
      .help = "becomes the account's address first: for somebody who lost his mailbox" },
    OPTIONS_END,
};

#define ABOUT_USER "USER is a name, an account number or a mail address."

/* clang-format off */
const struct command user_commands[] = {
    { .name = "user list", .help = "accounts, and where they live", .options = list_options,
      .examples = { "heddle-admin user list --node node7.example.net", "heddle-admin user list --moving --json" }, .run = user_list },
    { .name = "user search", .arguments = "TEXT", .least = 1, .most = 1, .help = "accounts whose name or mail address begins so (100 at most)",
      .examples = { "heddle-admin user search anna@" }, .run = user_search },
    { .name = "user show", .arguments = "USER", .least = 1, .most = 1, .help = "one account, and his head on his node", .about = ABOUT_USER,
      .examples = { "heddle-admin user show anna@example.net" }, .run = user_show },
    { .name = "user usage", .arguments = "USER", .least = 1, .most = 1, .help = "what a user holds, by collection", .about = ABOUT_USER,
      .examples = { "heddle-admin user usage 42" }, .run = user_usage },
    { .name = "user quota", .arguments = "USER [SIZE|default]", .least = 1, .most = 2, .help = "show, set or take away a limit of his own",
      .about = ABOUT_USER " SIZE is how many bytes of payload he may keep, whatever the node's own limit is; \"default\" takes it away. It moves with him.",
      .examples = { "heddle-admin user quota alice", "heddle-admin user quota alice 200m", "heddle-admin user quota alice default" },
      .changes = true, .run = user_quota },
    { .name = "user disable", .arguments = "USER", .least = 1, .most = 1, .help = "refuse a user; his data stay",
      .about = ABOUT_USER " His password and his tokens are refused by every node that hears the directory within a second; see docs/internal-api.md for the "
               "bounds where one does not.",
      .examples = { "heddle-admin user disable mallory" }, .changes = true, .run = user_disable },
    { .name = "user enable", .arguments = "USER", .least = 1, .most = 1, .help = "let a disabled user in again", .about = ABOUT_USER,
      .examples = { "heddle-admin user enable mallory" }, .changes = true, .run = user_enable },
    { .name = "user reset", .arguments = "USER", .least = 1, .most = 1, .help = "mail a user a link with which he sets a new password",
      .about = ABOUT_USER " The link goes to the account's mail address; neither it nor a password is ever shown here. With --mail that address is changed first, "
               "and the old one is told: make sure whose it is.",
      .danger = "whoever reads the mails of the new address can set a password.", .asks_itself = true, .options = reset_options,
      .examples = { "heddle-admin user reset anna", "he lost his mailbox\nheddle-admin user reset anna --mail anna@example.org --yes" }, .changes = true,
      .run = user_reset },
    { .name = "user delete", .arguments = "USER", .least = 1, .most = 1, .help = "delete an account and all its data, with a receipt",
      .about = ABOUT_USER " The directory notes what is to be erased and forgets the account; then his node (and every other that a move had brought his data "
               "to) erases it, cache included; then both are asked what they have. The receipt is printed and kept in admin.dir/receipts. If a node does not "
               "answer, the account is gone, the receipt says what is not erased yet, and \"settle\" erases it; the exit status is 7 then.",
      .danger = "an account and all its data are deleted, for ever.", .asks_itself = true,
      .examples = { "heddle-admin user delete mallory --yes --json > receipt.json" }, .changes = true, .run = user_delete },
    COMMANDS_END,
};
