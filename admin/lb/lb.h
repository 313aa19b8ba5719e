/* The balancer's side of heddle-admin: one model (nodes, slots, users with a row of their own, limits), read from the directory, rendered
 * through the templates of lb-rules/, and kept up to date in a running HAProxy or nginx. Design and figures: lb-rules/README.md.
 * One thread, but for lb_hold, lb_release and lb_cut_over: any, each with an ask of its own. */
#ifndef HEDDLE_ADMIN_LB_H
#define HEDDLE_ADMIN_LB_H

#include <jansson.h>
#include <sys/types.h>

#include "admin/admin.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/scope.h"
#include "common/base/slots.h"

struct ask;

/* ---- tables of routes (lb_table.c) ---- */

/* Which of the two keys a user is found by. */
enum lb_proto { LB_15, LB_11, LB_PROTOS };

/* Rows from a key to a node, sorted by key; in the order of bytes. */
struct lb_row {
    char *key;
    int node; /* index in the model */
};
struct lb_table {
    struct lb_row *rows;
    size_t n, cap;
    bool dirty; /* appended to, not sorted yet */
};
void lb_table_done(struct lb_table *t);
void lb_table_append(struct lb_table *t, view key, int node); /* any number of them, then … */
void lb_table_sort(struct lb_table *t);                       /* … once; of equal keys one stays      */
int lb_table_find(const struct lb_table *t, view key);        /* the node; -1: no row */
/* Sets the row, or with node -1 removes it; true: something changed. */
bool lb_table_set(struct lb_table *t, view key, int node);

/* ---- users with a row of their own (lb_users.c) ---- */

/* A user in all maps: "15:<uid>" or "11:<name>". */
enum { LB_KEY = 264 };
void lb_user_key(enum lb_proto p, view uid_or_name, char out[LB_KEY]);

/* Their rows lie in many small tables, by a hash of the key that balancers compute as well: HAProxy up to 2.8 walks over all rows of a map
 * to change one, and answers nobody meanwhile. */
enum { LB_SHARDS = 64 };
struct lb_users {
    struct lb_table shards[LB_SHARDS];
};
uint32_t lb_crc32(view text); /* of ISO 3309, as HAProxy's crc32() */
unsigned lb_shard(view key);
void lb_users_done(struct lb_users *u);
void lb_users_append(struct lb_users *u, view key, int node); /* as lb_table_append */
void lb_users_sort(struct lb_users *u);
int lb_users_find(const struct lb_users *u, view key);
bool lb_users_set(struct lb_users *u, view key, int node);
size_t lb_users_count(const struct lb_users *u, enum lb_proto p);

/* ---- the model (lb_model.c) ---- */

struct lb_node {
    view name, url, address, state, pools;
    view id;    /* the name as balancers can write it: colons and brackets are underscores */
    view reach; /* HOST:PORT to connect to                                              */
    view host;  /* host of its own URL, for TLS                                         */
    bool tls;
    int64_t capacity;
};

struct lb_model {
    struct arena arena; /* texts of the nodes */
    struct lb_node *nodes;
    size_t n;
    int slots[SLOTS]; /* index of the node; -1: none */
    struct lb_users users;
    uint64_t accounts; /* seen */
};

void lb_model_done(struct lb_model *m);
/* The table of nodes and the slots; users stay empty. m: zeroed or done. */
MUST_USE rc lb_model_nodes(const struct admin_conf *c, struct ask *ask, struct lb_model *m, struct err *e);
/* All accounts: fills users. */
MUST_USE rc lb_model_users(const struct admin_conf *c, struct ask *ask, struct lb_model *m, struct err *e);
/* Whether both have the same nodes with the same members, the state apart. */
bool lb_model_same_nodes(const struct lb_model *a, const struct lb_model *b);
int lb_model_node(const struct lb_model *m, view name); /* index; -1 */

/* One account as the directory gives it. */
struct lb_account {
    enum lb_proto proto;
    char key[LB_KEY]; /* of his row; "": his name cannot stand in a map */
    int node;         /* -1: none, or one that the table does not have */
};
/* RC_BROKEN: not the members that it must have. */
MUST_USE rc lb_account_read(const struct lb_model *m, const json_t *o, struct lb_account *out, struct err *e);
/* by: "name", or NULL for a name, a number or a mail address. RC_NOT_FOUND: nobody. */
MUST_USE rc lb_account_get(struct ask *ask, const struct lb_model *m, view who, const char *by,
                           struct lb_account *out, struct err *e);
view lb_account_user(const struct lb_account *a); /* uid or name */
unsigned lb_slot(enum lb_proto p, view uid_or_name);
/* The row that this account wants in its table: -1 if his slot says the same already. */
int lb_row_wanted(const struct admin_conf *c, const struct lb_model *m, const struct lb_account *a);

/* ---- what is rendered (lb_template.c, lb_values.c, lb_render.c, lb_maps.c) ---- */

/* Substitution and repetition: {{name}}, and {{#name}} … {{/name}} once for each object of a list. A name is looked up in the innermost
 * object, then outwards. Values are refused unless they consist of harmless characters, so no value can leave its place.
 * RC_BAD_INPUT: a name without a value, a section not closed, a value that is refused: with the line. */
MUST_USE rc lb_template(view text, const json_t *values, struct buf *out, struct err *e);
/* The values of all templates, but for the generation of what is rendered: json_decref. Wants lb_conf_check. */
json_t *lb_values(const struct admin_conf *a, const struct lb_model *m);
/* The built-in text of "haproxy/haproxy.cfg.tmpl"; VIEW_NONE: no such. */
view lb_template_text(const char *name);

/* The map files of a kind of balancer. */
enum lb_map {
    LB_SLOTS15,
    LB_SLOTS11,
    LB_USERS, /* in HAProxy LB_SHARDS files */
    LB_STATES,
    LB_BACKOFF,
    LB_HOSTS,
    LB_CLASSES,
    LB_UNAVAILABLE,
    LB_DOWN,
    LB_HELD,
    LB_MAPS
};
const char *lb_map_name(enum lb_map map); /* "slots15" */
/* Of how many files it consists; their paths. */
unsigned lb_map_files(const struct lb_conf *c, enum lb_map map);
void lb_map_path(const struct lb_conf *c, enum lb_map map, unsigned file, struct buf *out);
/* Calls visit with each row of one of a map's files. */
typedef void lb_visit(void *arg, view key, view value);
void lb_map_rows(const struct admin_conf *c, const struct lb_model *m, enum lb_map map, unsigned file,
                 lb_visit *visit, void *arg);
/* Order does not matter to it: the sum of the hashes of all rows, as hex. */
struct lb_digest {
    uint64_t sum[4];
    uint64_t rows;
};
void lb_digest_add(struct lb_digest *d, view key, view value);
void lb_digest_text(const struct lb_digest *d, char out[65]);

/* Files that are written together (lb_files.c): each beside the one in its place, then all to the disk, then renamed one after the other, so
 * that a balancer which starts right now reads each as it was or as it is. One that says the same already is left alone. */
struct lb_batch {
    char **paths;
    size_t n, cap;
};
MUST_USE rc lb_batch_put(struct lb_batch *b, const char *path, view text, struct err *e);
MUST_USE rc lb_batch_commit(struct lb_batch *b, struct err *e);
void lb_batch_done(struct lb_batch *b);
MUST_USE rc lb_make_folder(const char *path, struct err *e); /* one that is there already is fine */
/* One writer at a time, until the running balancer has read what is written: a reload waits for what these files are known by, and would
 * wait in vain for what somebody else has written over meanwhile. Makes lb.folder; close(*out_fd) gives the lock back.
 * RC_BUSY: another writer has it, for longer than anything of this should take. */
enum { LB_LOCK_MS = 300000 }; /* somebody else's reading of all accounts, check and reload should take less */
MUST_USE rc lb_lock(const struct lb_conf *c, int *out_fd, struct err *e);
/* The same with another file of lb.folder, and another limit. */
MUST_USE rc lb_lock_file(const struct lb_conf *c, const char *name, int limit_ms, int *out_fd, struct err *e);
/* For who may reload: waits besides until nobody is held (for lb.hold at most), and lets nobody be held until it is closed. */
MUST_USE rc lb_lock_calm(const struct lb_conf *c, int *out_fd, struct err *e);
/* The file of the held, without those whose time is over. Wants lb_lock. */
MUST_USE rc lb_held_put(const struct lb_conf *c, struct lb_batch *batch, struct err *e);
/* out: the file's text; RC_NOT_FOUND: there is none; RC_BROKEN: or it is longer than `most`. */
MUST_USE rc lb_read_file(const char *path, size_t most, struct buf *out, struct err *e);

/* The next three want lb_lock.
 * Writes configuration and maps into lb.folder, each file by a rename; *out_changed: the configuration, or a map that does not change at
 * run time, differs from what stood there. RC_BAD_INPUT: a template of somebody's own has a mistake, or lacks what "lb push" needs; nothing
 * is written. */
MUST_USE rc lb_render(const struct admin_conf *c, const struct lb_model *m, bool *out_changed, struct err *e);
/* The maps that change at run time alone: slots, users, states, back-off, hosts. */
MUST_USE rc lb_render_maps(const struct admin_conf *c, const struct lb_model *m, struct err *e);
/* One file of a map. */
MUST_USE rc lb_render_file(const struct admin_conf *c, const struct lb_model *m, enum lb_map map,
                           unsigned file, struct err *e);
/* nginx: a word of its own for each time that its files were written; appended to out. */
MUST_USE rc lb_generation(const struct lb_conf *c, struct buf *out, struct err *e);
/* HAProxy: what a rendered configuration is known by, in its line "description …"; VIEW_NONE: it has none. */
view lb_description(view config);
/* The process that lb.folder's "<name>.pid" names, if it is of that name: a file that was left behind may name somebody else's by now.
 * RC_AWAY: none. */
MUST_USE rc lb_pid(const struct lb_conf *c, const char *name, pid_t *out, struct err *e);
/* Whether a process takes this signal right now: it has a handler for it, and does not block it. RC_AWAY: it has ended. */
MUST_USE rc lb_takes_signal(pid_t pid, int signal, bool *out, struct err *e);
/* Runs a program (its output into the file `log`) and waits. RC_BAD_INPUT: it ended with something else than 0; RC_UNSURE: it did not end in
 * its time, and was ended. */
enum { LB_CHECK_MS = 60000 };
MUST_USE rc lb_run(const char *const argv[], const char *log, int limit_ms, struct err *e);

/* ---- a running balancer (lb_haproxy.c, lb_nginx.c) ---- */

struct lb_change {
    enum lb_map map;
    view key;
    view value; /* VIEW_NONE: the row goes */
};
struct lb_driver {
    const char *name;
    const char *config; /* file in lb.folder */
    /* Who calls replace, reload, or change where the balancer is not live, has lb_lock; for reload lb_lock_calm. */
    /* Rows at run time; nginx: its files are written already, and it is told to read them. */
    rc (*change)(const struct admin_conf *c, const struct lb_change *changes, size_t n, struct err *e);
    /* Maps as a whole, all at once: slots, users, states, back-off, hosts. */
    rc (*replace)(const struct admin_conf *c, const struct lb_model *m, struct err *e);
    /* A new configuration. RC_BAD_INPUT: the balancer refuses it, and goes on with the old one. RC_AWAY: none runs. RC_UNSURE: after a minute
     * it has not begun to answer with the new one. */
    rc (*reload)(const struct admin_conf *c, struct err *e);
    /* Whether it runs with another configuration than the written one: a reload came to nothing, or was left to whoever pushes next. NULL: it
     * reads its files anew in any case. */
    rc (*is_behind)(const struct admin_conf *c, bool *out, struct err *e);
    /* What it has in memory. */
    rc (*digest)(const struct admin_conf *c, enum lb_map map, struct lb_digest *out, struct err *e);
    bool live; /* rows change without reading files */
};
extern const struct lb_driver lb_haproxy, lb_nginx;
/* Requests of a user that were not held, and are not answered yet. */
MUST_USE rc lb_haproxy_under_way(const struct lb_conf *c, view key, long *out, struct err *e);
const struct lb_driver *lb_driver_of(const struct lb_conf *c);

/* ---- changes (lb_push.c) ---- */

/* When everything is pushed: what makes a reload. */
enum lb_reload {
    LB_IF_CHANGED, /* another configuration than the one that was written before        */
    LB_IF_BEHIND,  /* … or than the one that runs: a reload of before came to nothing    */
    LB_ALWAYS      /* what only the balancer reads, as a certificate, may be another one */
};
/* Everything, in a running balancer: files first, then a reload, or else its maps. RC_AWAY: none runs; the files are written, it will start with
 * them. Wants lb_lock_calm, from before the model is read: so what others change meanwhile comes after it. */
MUST_USE rc lb_push_all(const struct admin_conf *c, const struct lb_model *m, enum lb_reload when,
                        struct err *e);
/* One account's row: in the balancer first, then in its files. m needs nodes and slots alone. */
MUST_USE rc lb_push_account(const struct admin_conf *c, const struct lb_model *m, const struct lb_account *a,
                            struct err *e);

/* ---- for a mover (lb_hold.c) ---- */

/* Before the freeze: from now on requests of this user wait in the balancer, each for lb.hold at most, and those under way have ended when
 * this returns (or wait_ms is over: RC_BUSY, he is held nevertheless). Nothing happens where lb.folder is not set or the balancer cannot
 * hold. RC_BUSY as well: somebody writes or reloads for too long, and he is not held. Call lb_release in any case; a hold that nobody
 * ends is over after wait_ms and three times lb.hold. */
MUST_USE rc lb_hold(const struct admin_conf *c, int64_t uid, view name, unsigned wait_ms, struct err *e);
/* After the flip or the undoing: his route as the directory has it now, then he may go on. */
MUST_USE rc lb_release(const struct admin_conf *c, struct ask *ask, int64_t uid, view name, struct err *e);

/* Both, for a move's watch: what fails is logged, and the move goes on; its user then sees 503 and Retry-After as without a balancer. For his
 * requests under way half of lb.hold is waited: the other half is for the move. */
void lb_cut_over(const struct admin_conf *c, struct ask *ask, int64_t uid, view name, bool begin);

/* ---- what a request is (lb_classify.c) ---- */

struct lb_class {
    const char *name;    /* "15", "11", "token", "user", "screen", "console", "ops", "refused", "other" */
    enum lb_proto proto; /* of 15 and 11 */
    view key;            /* of a user; VIEW_NONE: none */
};
/* The same decision as in the templates. target: path and query as sent; base: path of the public URL. */
struct lb_class lb_classify(view target, view base, struct arena *a);

/* The files classes, unavailable and down. */
struct lb_word {
    const char *key, *value;
};
extern const struct lb_word lb_classes[], lb_unavailable[], lb_down[]; /* ended by NULL */

#endif
