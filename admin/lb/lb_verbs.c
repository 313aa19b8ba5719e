/* heddle-admin lb …: the balancer in front. */
#include "admin/lb/lb_verbs.h"

#include <stdlib.h>
#include <unistd.h>

#include "admin/ask.h"
#include "admin/lb/lb.h"
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/base/clock.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"

static json_t *object(void)
{
    return mem_need(json_object());
}

/* ---- render, push ---- */

static rc read_all(const struct admin_conf *c, struct ask *ask, struct lb_model *m, struct err *e)
{
    TRY(lb_model_nodes(c, ask, m, e));
    return lb_model_users(c, ask, m, e);
}

static void show_model(const struct admin *a, const struct lb_model *m)
{
    SCOPED(json_decref) json_t *o = object();
    json_add(o, "nodes", json_integer((json_int_t)m->n));
    json_add(o, "accounts", json_integer((json_int_t)m->accounts));
    json_add(o, "rows_15", json_integer((json_int_t)lb_users_count(&m->users, LB_15)));
    json_add(o, "rows_11", json_integer((json_int_t)lb_users_count(&m->users, LB_11)));
    show_object(a, o, NULL);
}

typedef rc with_model(struct admin *a, struct ask *ask, struct lb_model *m, struct err *e);

/* Opens what every verb needs, and closes it. */
static int run_with(struct admin *a, with_model *what)
{
    SCOPED(ask_free) struct ask *ask = NULL;
    struct lb_model m = { .n = 0 };
    struct err e = ERR_NONE;
    rc r = lb_conf_check(&a->conf->lb, &e);
    if (r == RC_OK)
        r = ask_new(a->conf, &ask, &e);
    if (r == RC_OK)
        r = what(a, ask, &m, &e);
    lb_model_done(&m);
    return r == RC_MODIFIED ? (admin_status(r, &e), EXIT_DIFFERENT) : admin_status(r, &e);
}

static rc do_render(struct admin *a, struct ask *ask, struct lb_model *m, struct err *e)
{
    bool changed;
    int lock;
    TRY(lb_lock(&a->conf->lb, &lock, e));
    rc r = read_all(a->conf, ask, m, e);
    if (r == RC_OK)
        r = lb_render(a->conf, m, &changed, e);
    close(lock);
    TRY(r);
    show_model(a, m);
    return RC_OK;
}

static int verb_render(struct admin *a)
{
    return run_with(a, do_render);
}

/* One user: what takes time for the balancer is his row, not our way to the directory. */
static rc push_one(struct admin *a, struct ask *ask, struct lb_model *m, struct err *e)
{
    SCOPED(json_decref) json_t *o = object();
    struct lb_account acc;
    TRY(lb_model_nodes(a->conf, ask, m, e));
    TRY(lb_account_get(ask, m, view_of(a->argv[0]), NULL, &acc, e));
    int64_t begun_us = clock_mono_us(clock_system());
    TRY(lb_push_account(a->conf, m, &acc, e));
    json_add(o, "protocol", json_of_text(acc.proto == LB_15 ? VIEW("1.5") : VIEW("1.1")));
    json_add(o, "user", json_of_text(lb_account_user(&acc)));
    json_add(o, "node", json_of_text(acc.node >= 0 ? m->nodes[acc.node].name : VIEW("")));
    json_add(o, "took_ms", json_integer((clock_mono_us(clock_system()) - begun_us) / 1000));
    show_object(a, o, NULL);
    return RC_OK;
}

static rc do_push(struct admin *a, struct ask *ask, struct lb_model *m, struct err *e)
{
    int lock;
    bool reload = option_given(a, "reload");
    if (a->argc > 0 && reload)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "the route of a user is given without a reload");
    if (a->argc > 0)
        return push_one(a, ask, m, e);
    TRY(lb_lock_calm(&a->conf->lb, &lock, e));
    rc r = read_all(a->conf, ask, m, e);
    if (r == RC_OK)
        r = lb_push_all(a->conf, m, reload ? LB_ALWAYS : LB_IF_BEHIND, e);
    close(lock);
    TRY(r);
    show_model(a, m);
    return RC_OK;
}

static int verb_push(struct admin *a)
{
    return run_with(a, do_push);
}

/* ---- verify ---- */

static void add_row(void *arg, view key, view value)
{
    lb_digest_add(arg, key, value);
}

static rc compare(const struct admin_conf *c, const struct lb_model *m, enum lb_map map, json_t *rows,
                  bool *all, struct err *e)
{
    struct lb_digest wanted = { .rows = 0 }, there;
    char text[65];
    TRY(lb_driver_of(&c->lb)->digest(c, map, &there, e));
    for (unsigned file = 0; file < lb_map_files(&c->lb, map); file++)
        lb_map_rows(c, m, map, file, add_row, &wanted);
    bool same = wanted.rows == there.rows && memcmp(wanted.sum, there.sum, sizeof(wanted.sum)) == 0;
    *all = *all && same;
    lb_digest_text(&there, text);
    json_t *o = object();
    json_add(o, "map", json_of_text(view_of(lb_map_name(map))));
    json_add(o, "same", json_boolean(same));
    json_add(o, "rows", json_integer((json_int_t)there.rows));
    json_add(o, "wanted", json_integer((json_int_t)wanted.rows));
    json_add(o, "digest", json_of_text(view_of(text)));
    json_array_append_new(rows, o);
    return RC_OK;
}

static rc do_verify(struct admin *a, struct ask *ask, struct lb_model *m, struct err *e)
{
    static const struct column columns[] = {
        { "map", "MAP", COLUMN_TEXT },       { "same", "SAME", COLUMN_FLAG },
        { "rows", "ROWS", COLUMN_NUMBER },   { "wanted", "WANTED", COLUMN_NUMBER },
        { "digest", "DIGEST", COLUMN_TEXT }, COLUMNS_END
    };
    SCOPED(json_decref) json_t *rows = mem_need(json_array());
    bool all = true;
    TRY(read_all(a->conf, ask, m, e));
    for (int map = 0; map <= LB_HOSTS; map++)
        TRY(compare(a->conf, m, (enum lb_map)map, rows, &all, e));
    show_rows(a, rows, columns);
    return all ? RC_OK
               : fail(e, RC_MODIFIED, RESP_GENERIC,
                      "the balancer differs from the directory; \"lb push\" mends it");
}

static int verb_verify(struct admin *a)
{
    return run_with(a, do_verify);
}

/* ---- hold, release ---- */

static rc find_name(struct admin *a, struct ask *ask, json_t **out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    buf_add(&path, VIEW("accounts/"));
    percent_put(&path, view_of(a->argv[0]));
    TRY(ask_directory(ask, "GET", buf_text(&path), VIEW_NONE, &answer, e));
    return ask_object(&answer, out, e);
}

static rc do_hold(struct admin *a, struct ask *ask, struct lb_model *m, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    (void)m;
    TRY(find_name(a, ask, &o, e));
    return lb_hold(a->conf, json_integer_value(json_object_get(o, "uid")),
                   json_text(json_object_get(o, "name")), (unsigned)(option_number(a, "wait") * 1000), e);
}

static int verb_hold(struct admin *a)
{
    return run_with(a, do_hold);
}

static rc do_release(struct admin *a, struct ask *ask, struct lb_model *m, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    (void)m;
    TRY(find_name(a, ask, &o, e));
    return lb_release(a->conf, ask, json_integer_value(json_object_get(o, "uid")),
                      json_text(json_object_get(o, "name")), e);
}

static int verb_release(struct admin *a)
{
    return run_with(a, do_release);
}

/* ---- the table ---- */

static const struct command_option push_options[] = {
    { .name = "reload", .type = OPTION_FLAG, .help = "reload even if the configuration is the same" },
    OPTIONS_END,
};

static const struct command_option hold_options[] = {
    { .name = "wait",
      .type = OPTION_SECONDS,
      .value = "TIME",
      .help = "how long to wait for his requests under way",
      .fallback = "5s" },
    OPTIONS_END,
};

const struct command lb_commands[] = {
    { .name = "lb render",
      .help = "write the balancer's configuration and maps into lb.folder",
      .about =
          "Nothing is told to a running balancer; see \"lb push\". Settings are the keys of [lb]; what each rule is for stands in "
          "lb-rules/README.md.",
      .examples = { "heddle-admin lb render && haproxy -W -f /etc/heddle-lb/haproxy.cfg -p /etc/heddle-lb/haproxy.pid" },
      .run = verb_render },
    { .name = "lb push",
      .arguments = "[USER]",
      .most = 1,
      .help = "bring a running balancer to what the directory says",
      .about =
          "Everything: writes configuration and maps, reloads if the configuration changed, else replaces the maps at once. With "
          "USER (name, number or mail address) his route alone: in HAProxy in some milliseconds, without a reload.\n\n"
          "--reload is for what only the balancer reads, as a renewed certificate. It waits for users in cut-over, which a signal to the "
          "balancer does not.",
      .options = push_options,
      .examples = { "heddle-admin lb push", "heddle-admin lb push alice",
                    "after a certificate was renewed\nheddle-admin lb push --reload" },
      .changes = true,
      .run = verb_push },
    { .name = "lb verify",
      .help = "compare what a running balancer has in memory with the directory",
      .about = "Reads the maps back and compares digests. Exit status 8: something differs.",
      .examples = { "heddle-admin lb verify" },
      .run = verb_verify },
    { .name = "lb explain",
      .arguments = "URL",
      .least = 1,
      .most = 1,
      .help = "tell what the balancer does with a URL, and why",
      .examples = { "heddle-admin lb explain https://sync.example.net/1.5/42/info/collections" },
      .run = lb_explain },
    { .name = "lb follow",
      .help = "keep a balancer as the directory says, until stopped",
      .about =
          "Hears the news of every directory in admin.directory and changes routes as they change there; looks at the table of "
          "nodes every two seconds; reads everything again every lb.resync. While no directory answers, nothing changes. One for "
          "each balancer, as a service beside it.",
      .examples = { "heddle-admin lb follow" },
      .run = lb_follow },
    { .name = "lb hold",
      .arguments = "USER",
      .least = 1,
      .most = 1,
      .help = "let a user's requests wait in HAProxy, and those under way end",
      .about =
          "For a cut-over by hand; a move does it by itself. Each of his requests waits lb.hold at most, then it goes on. Meanwhile "
          "\"lb push\" waits. A hold that nobody releases is over after --wait and three times lb.hold.",
      .options = hold_options,
      .examples = { "heddle-admin lb hold anna" },
      .changes = true,
      .run = verb_hold },
    { .name = "lb release",
      .arguments = "USER",
      .least = 1,
      .most = 1,
      .help = "give a held user the route that the directory has for him, and let him go on",
      .examples = { "heddle-admin lb release anna" },
      .changes = true,
      .run = verb_release },
    COMMANDS_END,
};
