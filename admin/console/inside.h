/* What the files of this folder share: the context, who looks at a page, the pages. */
#ifndef HEDDLE_ADMIN_CONSOLE_INSIDE_H
#define HEDDLE_ADMIN_CONSOLE_INSIDE_H

#include <jansson.h>

#include "admin/ask.h"
#include "admin/commands.h"
#include "admin/console/console.h"
#include "common/base/json.h"
#include "common/page/page.h"
#include "common/page/session.h"
#include "common/web/reply.h"

/* Each may what those before may. */
enum role { ROLE_NONE, ROLE_READER, ROLE_HELPER, ROLE_ADMIN };
const char *role_name(enum role r); /* "helper" */
bool role_parse(view text, enum role *out);

struct watch;
struct follow;
struct limits;
struct seal;

struct console {
    const struct console_conf *conf;
    const struct admin_conf *admin;
    const struct clock *clock;
    bool alone;
    char *program; /* heddle-admin */
    char *base;    /* path of the pages: "/admin", "/sync/admin" */
    char *secret;
    struct seal *seal;
    struct site site;
    struct limits *guesses;
    struct watch *watch;
    struct follow *follow;
    struct route *routes; /* made of console_pages */
};

/* rq->worker of our pages. */
struct console_worker {
    struct ask *ask;
};

/* Who looks. */
struct look {
    struct console *c;
    struct ask *ask;
    enum role role; /* ROLE_NONE: nobody is signed in */
    view name;      /* of the person, as he signed in */
    struct sitting sitting;
};
static inline struct look *look(const struct page *p)
{
    return p->visit;
}
/* May whoever looks do what wants this role? */
static inline bool may(const struct page *p, enum role least)
{
    return look(p)->role >= least;
}

/* ---- routes.c ---- */

typedef rc page_fn(struct page *p, struct err *e);

enum console_flags {
    CONSOLE_OPEN = 1,  /* also for who is not signed in */
    CONSOLE_LIVE = 2,  /* an answer to a script: no page, and it does not prolong the session */
    CONSOLE_MEDIA = 4, /* the same for all, and quick */
};
struct console_page {
    unsigned methods;
    const char *path;
    page_fn *show;
    enum role least; /* to get it, and to post to it */
    unsigned flags;
};
/* Every address of the console with the role it wants: the only place where that is decided. */
extern const struct console_page console_pages[];
extern const size_t console_pages_n;
extern const struct param_kind console_kinds[];
extern const size_t console_kinds_n;
handler_fn console_serve;

/* ---- frame.c ---- */

void console_navigation(struct page *p);
/* page_head and page_foot of the console's pages; region: address whose events replace the live part, or NULL. */
void console_head(struct page *p, view title);
void console_foot(struct page *p);
/* The part of a page that follows events, between the two; `path` tells them: "/live/overview". */
void live_begin(struct page *p, const char *path);
void live_end(struct page *p);
/* The answer to an event source: `fragment` puts the part anew. */
rc live_reply(struct page *p, page_fn *fragment, int64_t again_ms, struct err *e);
/* A table: columns are constant texts, ended by NULL, translated here; rows are the caller's, table_end closes it. */
void table_begin(struct page *p, view caption, const char *const columns[]);
void table_end(struct page *p);
/* <td>; numbers stand at the right. */
void cell(struct page *p, view text);
void cell_number(struct page *p, view text);
/* <dt>, <dd> */
void fact(struct page *p, view label, view value);
/* A form of one button. extra: a hidden field, NULL: none. */
void button_form(struct page *p, const char *path, const char *extra, view value, view button,
                 bool dangerous);
/* After a POST: to `path` with ?done=word, which the page there tells in words. */
rc go_done(struct page *p, const char *path, const char *word);
void tell_done(struct page *p);
/* An argument of the query, trimmed; "" for none, and for what is no text of 255 bytes. */
view asked(const struct page *p, const char *name);
view time_text(struct arena *a, int64_t ms);                       /* "2026-05-01 12:30:15 UTC"; 0: "–" */
view number_text(struct arena *a, int64_t n);                      /* 12 345 */
view bytes_of(struct arena *a, const json_t *o, const char *name); /* "–" where it is not there */
view member(const json_t *o, const char *name);                    /* a text; VIEW_NONE */
int64_t member_number(const json_t *o, const char *name);
view member_show(struct arena *a, const json_t *o, const char *name); /* text, number or flag, "–" for none */

/* ---- act.c: the verbs of heddle-admin ---- */

struct act {
    int status;      /* enum admin_exit */
    json_t *lines;   /* array: what it printed with --json */
    char wrong[400]; /* what it complained of, "" for nothing */
};
void act_done(struct act *x);
static inline void act_done_scoped(struct act *x)
{
    act_done(x);
}
/* verb: "user show"; options: "--to=node8" each; args: what else stands there. Lists end with NULL; NULL: none. *out: zeroed. RC_OK whatever
 * the verb's status is; RC_BROKEN: what it printed is not what verbs print. */
MUST_USE rc act_run(struct page *p, const char *verb, const char *const *options, const char *const *args,
                    struct act *out, struct err *e);
/* The first object; NULL: none. */
const json_t *act_first(const struct act *x);
/* Fails as the verb did. */
MUST_USE rc act_result(const struct act *x, struct err *e);
/* The name that the audit log has for who looks: "anna (console)". */
const char *act_person(const struct page *p);

/* ---- start.c: verbs that take long run as processes of their own ---- */

/* Starts heddle-admin with these words (ends with NULL) and the console's own settings, and does not wait for its end. RC_BROKEN: it
 * cannot be started. */
MUST_USE rc start_command(const struct page *p, const char *const *words, struct err *e);

/* ---- chart.c ---- */

/* A bar of value/most, and a line through values; label is what is read out. */
void chart_bar(struct page *p, double value, double most, view label);
void chart_line(struct page *p, const double *values, size_t n, view label);

/* ---- watch.c: what the nodes last told, and an hour of it ---- */

#define WATCH_POINTS 120

struct series {
    size_t n;
    double users[WATCH_POINTS], bytes[WATCH_POINTS], rps[WATCH_POINTS], latency_ms[WATCH_POINTS];
};
/* Starts a thread that asks while somebody looks. Conf and clock are borrowed until watch_close. As ask_new; RC_BROKEN: no thread. */
MUST_USE rc watch_open(const struct admin_conf *c, const struct clock *clock, struct watch **out,
                       struct err *e);
void watch_close(struct watch *w); /* NULL is fine */
/* The same picture for everybody, two seconds old at most while somebody looks. *out: array of entries of nodes with "load" and "health",
 * json_decref. RC_AWAY …: why there is none. */
MUST_USE rc watch_nodes(struct watch *w, json_t **out, struct err *e);
void watch_series(struct watch *w, view node, struct series *out);

/* ---- follow.c: journals of runs, kept open ---- */

struct journal;
struct follow *follow_new(const struct admin_conf *c);
void follow_free(struct follow *f); /* NULL is fine */
/* `visit` gets the run as its journal is now, under a lock. RC_NOT_FOUND. */
typedef void follow_visitor(void *arg, const struct journal *j);
MUST_USE rc follow_run(struct follow *f, const char *id, follow_visitor *visit, void *arg, struct err *e);

/* ---- the pages ---- */

page_fn show_sign_in, do_sign_out, show_root;
page_fn show_overview, live_overview;
page_fn show_nodes, show_node, do_node, do_node_add;
page_fn show_users, show_user, do_user;
page_fn show_plan, do_run_start, show_runs, show_run, live_run, do_run;
/* Waits for a moment until the run has begun. */
void await_begun(struct page *p, view id);
page_fn show_invites, do_invite_make, do_invite_revoke;
page_fn show_mail;
page_fn show_audit, show_settings;

#endif
