/* The directory driver: accounts, nodes, invite codes and counters in SQLite or LDAP. One entry for each account; a driver knows no HTTP, makes no
 * decision and takes no choice: it keeps what was decided. `account_cas` is the only concurrency primitive of the directory:
 * assignment, seats, moves, reset codes and client states all go through it.
 *
 * A `struct backend` belongs to the process, any thread may open sessions of it; a session belongs to one thread at a time.
 * Views in results live in the arena that was given. Absent text is VIEW_NONE, an absent number 0; empty texts and zeros are
 * never stored but left out, as LDAP would have it.
 * rc of all: RC_AWAY: the backend does not answer, later it may; RC_BUSY: it does, but others were faster each time;
 * RC_UNSURE: a write may have happened; RC_BROKEN;
 * RC_BAD_INPUT: a text that the backend cannot keep (LDAP: not UTF-8; an address that is not ASCII).
 * RC_FORBIDDEN: passwords are kept elsewhere and only read here (LDAP, guest layout). */
#ifndef HEDDLE_BACKEND_H
#define HEDDLE_BACKEND_H

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/scope.h"
#include "directory/backend/password.h"

#define ACCOUNT_NAME_MAX   255                 /* bytes */
#define ACCOUNT_OLD_STATES 20                  /* client states remembered for the check "stale value" */
#define ACCOUNT_CHANGES    32                  /* in one account_cas */
#define UID_MAX            INT64_C(9999999999) /* ten digits: it stands in URLs */
#define GENERATION_RETIRED INT64_MAX /* of an account that was deleted where it came from: not live */

struct account {
    view name; /* the user name (1.1), or <sub>@<domain> (1.5) */
    int64_t uid;
    view mail;
    bool enabled, has_password;
    /* people keep it in a tree that is not ours: it cannot be changed here (LDAP, guest layout) */
    bool password_elsewhere;
    int64_t disabled_ms; /* when, if the account was disabled through us; 0: not, or behind our back */
    view node;           /* the owner's name: host[:port] of its own URL; VIEW_NONE: not placed */
    view placed;         /* "<ms> <why>"; VIEW_NONE: never yet */
    int64_t created_ms, password_since_ms;
    int64_t epoch;
    view intent;
    view client_state;
    int64_t generation, keys_changed;
    view reset;
    const view *old_states; /* "<ms> <client state>", oldest first */
    size_t n_old_states;
    const view *erases; /* "<node> <uid> <epoch> <ms>" */
    size_t n_erases;
};

enum account_key { ACCOUNT_BY_NAME, ACCOUNT_BY_UID, ACCOUNT_BY_MAIL };

struct account_new {
    view name;
    int64_t uid;
    view mail, password; /* password: plain text; VIEW_NONE: none (1.5) */
    view node, placed;   /* VIEW_NONE: not placed yet */
    int64_t created_ms, epoch;
    view client_state;
    int64_t generation, keys_changed;
};

/* Attributes that account_cas may change, by the names of the LDAP schema. */
enum account_attr {
    ATTR_UID_NUMBER,
    ATTR_MAIL,
    ATTR_ENABLED,
    ATTR_NODE,
    ATTR_PLACED,
    ATTR_EPOCH,
    ATTR_INTENT,
    ATTR_CLIENT_STATE,
    ATTR_GENERATION,
    ATTR_KEYS_CHANGED,
    ATTR_RESET,
    ATTR_DISABLED,  /* ms */
    ATTR_OLD_STATE, /* many values: (absent, x) adds x, (x, absent) takes x away */
    ATTR_ERASE,     /* likewise */
    ATTR_N
};
const char *account_attr_name(enum account_attr a); /* "uidNumber", "syncNode" … */
bool account_attr_parse(view name, enum account_attr *out);
bool account_attr_many(enum account_attr a);

struct change {
    enum account_attr attr;
    view expected, wanted; /* VIEW_NONE: absent */
};
/* Numbers as text in the arena; 0 is absent. */
struct change change_number(struct arena *a, enum account_attr attr, int64_t expected, int64_t wanted);

/* Data that is still to be erased on a node, of a live account (new client state) or of a deleted one. */
struct erase {
    view account; /* VIEW_NONE: the account is gone */
    view node;
    int64_t uid, epoch, since_ms;
    bool seat; /* of a deleted account: its last data area, whose seat is free once they are erased */
};
view erase_text(struct arena *a, const struct erase *x); /* the value of heddleErase */
bool erase_parse(view text, struct erase *out);

enum node_state { NODE_OPEN, NODE_CLOSED, NODE_DRAINING, NODE_DOWN };
const char *node_state_name(enum node_state s);
bool node_state_parse(view text, enum node_state *out);

struct node_entry {
    view name, url, address; /* address: the public one, in answers */
    view node_type, pools;
    enum node_state state;
    int64_t capacity, seats, opened_ms; /* seats SEATS_KEPT: for node_put */
};
#define SEATS_KEPT (-1)

/* A code that lets somebody make an account. Of the code itself a keyed hash is kept, whose key the backend does not know. */
#define INVITE_ID_MAX   8
#define INVITE_TEXT_MAX 200 /* bytes of hash, note and by, each */
#define INVITE_USES_MAX 10000
struct invite {
    view id;            /* its first part, which names it: a-z and 0-9 */
    view hash;          /* plain ASCII */
    view note, by;      /* by: who made it */
    int64_t uses, left; /* for so many registrations it was made, for so many it is still good */
    int64_t made_ms, end_ms;
    const view *takers; /* registrations under way: "<uid> <ms>"; each has taken one of `uses` */
    size_t n_takers;
};
/* A registration takes one use (left -> left - 1, comes in), and is then over (left stays, goes) or failed (left + 1, goes). */
struct invite_change {
    int64_t left, wanted;
    view taker;
    bool comes;
};

/* Which accounts: exactly one of all but the last; `after`: only names behind it (to go on). */
struct account_filter {
    view node;
    bool with_intent, with_erase, all;
    int64_t disabled_since_ms; /* disabled then or later, and still; above 0 */
    view begins;               /* name or mail address (in any case of letters) begins so */
    view after;
};
typedef bool account_visitor(void *arg, const struct account *acc);  /* false stops */
typedef bool node_visitor(void *arg, const struct node_entry *node); /* false stops */
typedef bool erase_visitor(void *arg, const struct erase *x);        /* false stops */
typedef bool invite_visitor(void *arg, const struct invite *x);      /* false stops */

struct ldap_conf;
struct backend_conf {
    const char *path;             /* SQLite: the file */
    const struct ldap_conf *ldap; /* LDAP: must live as long as the backend */
    struct password_cost cost;
    const struct clock *clock;
    int64_t remember_s; /* for account_remembered; 0: nobody is */
};

struct backend_driver;
struct recent;
struct backend {
    const struct backend_driver *driver;
    struct recent *recent; /* the wrappers' own, as in sessions */
};
struct backend_session {
    const struct backend_driver *driver;
    struct recent *recent;
};

struct backend_driver {
    const char *name; /* as in the configuration */
    /* Start-up, one thread. Brings the schema up to date; RC_BAD_INPUT: a schema newer than this program, a wrong path. */
    rc (*open)(const struct backend_conf *c, struct backend **out, struct err *e);
    void (*close)(struct backend *b); /* after all sessions */
    rc (*session_open)(struct backend *b, struct backend_session **out, struct err *e);
    void (*session_close)(struct backend_session *s);
    rc (*ping)(struct backend_session *s, struct err *e);

    rc (*account_get)(struct backend_session *s, enum account_key by, view key, struct arena *a,
                      struct account *out, struct err *e);
    rc (*account_truth)(struct backend_session *s, enum account_key by, view key, struct arena *a,
                        struct account *out, struct err *e);
    void (*account_changed)(struct backend_session *s, view name);
    rc (*account_in_group)(struct backend_session *s, view name, view group, struct arena *a, bool *out,
                           struct err *e);
    rc (*account_add)(struct backend_session *s, const struct account_new *n, struct err *e);
    rc (*account_delete)(struct backend_session *s, view name, int64_t uid, int64_t since_ms, struct err *e);
    rc (*account_check_password)(struct backend_session *s, view name, view password, struct arena *a,
                                 struct account *out, struct err *e);
    rc (*account_set_password)(struct backend_session *s, view name, view password, struct err *e);
    rc (*account_password_kept)(struct backend_session *s, view name, struct arena *a, view *out,
                                struct err *e);
    rc (*account_cas)(struct backend_session *s, view name, const struct change *changes, size_t n,
                      struct err *e);
    rc (*accounts_each)(struct backend_session *s, const struct account_filter *f, account_visitor *visit,
                        void *arg, struct err *e);

    rc (*erases_each)(struct backend_session *s, erase_visitor *visit, void *arg, struct err *e);
    rc (*leftovers_each)(struct backend_session *s, int64_t after_uid, erase_visitor *visit, void *arg,
                         struct err *e);
    rc (*erase_done)(struct backend_session *s, int64_t uid, struct err *e);

    rc (*node_get)(struct backend_session *s, view name, struct arena *a, struct node_entry *out,
                   struct err *e);
    rc (*nodes_each)(struct backend_session *s, node_visitor *visit, void *arg, struct err *e);
    rc (*node_put)(struct backend_session *s, const struct node_entry *n, struct err *e);
    rc (*node_delete)(struct backend_session *s, view name, struct err *e);
    rc (*seats_take)(struct backend_session *s, view node, int64_t want, int64_t *out_got, struct err *e);
    rc (*seats_give)(struct backend_session *s, view node, int64_t n, struct err *e);
    rc (*uid_next)(struct backend_session *s, int64_t count, int64_t *out_first, struct err *e);
    rc (*uid_peek)(struct backend_session *s, int64_t *out, struct err *e);

    rc (*invite_add)(struct backend_session *s, const struct invite *x, struct err *e);
    rc (*invite_get)(struct backend_session *s, view id, struct arena *a, struct invite *out, struct err *e);
    rc (*invite_cas)(struct backend_session *s, view id, const struct invite_change *c, struct err *e);
    rc (*invite_delete)(struct backend_session *s, view id, struct err *e);
    rc (*invites_each)(struct backend_session *s, invite_visitor *visit, void *arg, struct err *e);

    rc (*mark_put)(struct backend_session *s, view name, int64_t end_ms, struct err *e);
    rc (*mark_there)(struct backend_session *s, view name, bool *out, struct err *e);
    rc (*marks_sweep)(struct backend_session *s, int64_t before_ms, struct err *e);
};
extern const struct backend_driver backend_sqlite, backend_ldap;
/* For drivers, for qsort of an account's old_states (views): oldest first, although milliseconds have different lengths as text. */
int old_state_order(const void *a, const void *b);
const struct backend_driver *backend_find(view name); /* NULL: no such driver */

/* As the table of drivers has it. conf is borrowed until backend_close. */
MUST_USE rc backend_open(const struct backend_driver *d, const struct backend_conf *c, struct backend **out,
                         struct err *e);
void backend_close(struct backend *b);
MUST_USE rc backend_session_open(struct backend *b, struct backend_session **out, struct err *e);
void backend_session_close(struct backend_session *s);
MUST_USE rc backend_ping(struct backend_session *s, struct err *e); /* asks it something small */

/* RC_NOT_FOUND. By uid: the present one, in decimal. By mail, in any case of letters: RC_CONFLICT when several have it. */
MUST_USE rc account_get(struct backend_session *s, enum account_key by, view key, struct arena *a,
                        struct account *out, struct err *e);
/* The same from where it is decided, never from a copy that may lag: RC_AWAY while that is away. Meets nobody for the first time. */
MUST_USE rc account_truth(struct backend_session *s, enum account_key by, view key, struct arena *a,
                          struct account *out, struct err *e);
/* Somebody else changed this account a moment ago: for a while account_get asks where it is decided, and nothing older is remembered. */
void account_changed(struct backend_session *s, view name);
/* Is the account in the group of the backend that is called so? One that the backend does not have, or has no groups at all: false. */
MUST_USE rc account_in_group(struct backend_session *s, view name, view group, struct arena *a, bool *out,
                             struct err *e);
/* Never over another: RC_CONFLICT when the name is taken. */
MUST_USE rc account_add(struct backend_session *s, const struct account_new *n, struct err *e);
/* Takes the account away and leaves an erase for its data (and for every older uid it had). uid: only while it is still this one
 * (RC_CONFLICT). RC_NOT_FOUND: no such account. */
MUST_USE rc account_delete(struct backend_session *s, view name, int64_t uid, int64_t since_ms,
                           struct err *e);
/* RC_DENIED: unknown, without password, wrong or disabled, alike and in the same time. Upgrades older hashes on success. */
MUST_USE rc account_check_password(struct backend_session *s, view name, view password, struct arena *a,
                                   struct account *out, struct err *e);
MUST_USE rc account_set_password(struct backend_session *s, view name, view password, struct err *e);
/* What is kept of the password (a hash): who finds the same later knows without the password that it was not changed, by nobody. Costs
 * no hashing. VIEW_NONE: no such account, or a backend that does not show it. *out lives in a. */
MUST_USE rc account_password_kept(struct backend_session *s, view name, struct arena *a, view *out,
                                  struct err *e);
/* All changes or none. RC_CONFLICT: something was not as expected (read again); RC_NOT_FOUND. */
MUST_USE rc account_cas(struct backend_session *s, view name, const struct change *changes, size_t n,
                        struct err *e);
/* In the order of names. The visitor must not use the session; views live during the call. */
MUST_USE rc accounts_each(struct backend_session *s, const struct account_filter *f, account_visitor *visit,
                          void *arg, struct err *e);

/* All that is to be erased. The visitor must not use the session. An erase of a live account is done with account_cas. */
MUST_USE rc erases_each(struct backend_session *s, erase_visitor *visit, void *arg, struct err *e);
/* What deleted accounts left behind, in the order of their uids, from behind after_uid (0: all). The visitor must not use the session. */
MUST_USE rc leftovers_each(struct backend_session *s, int64_t after_uid, erase_visitor *visit, void *arg,
                           struct err *e);
/* of a deleted account; RC_NOT_FOUND */
MUST_USE rc erase_done(struct backend_session *s, int64_t uid, struct err *e);

MUST_USE rc node_get(struct backend_session *s, view name, struct arena *a, struct node_entry *out,
                     struct err *e);
MUST_USE rc nodes_each(struct backend_session *s, node_visitor *visit, void *arg, struct err *e);
/* New or replaced; with SEATS_KEPT an entry that is there keeps the seats that it has by then (RC_NOT_FOUND: it is not), whoever takes
 * some meanwhile. RC_BAD_INPUT: a URL with a slash at its end (tokens carry it, nodes compare it exactly), bad numbers. */
MUST_USE rc node_put(struct backend_session *s, const struct node_entry *n, struct err *e);
MUST_USE rc node_delete(struct backend_session *s, view name, struct err *e);
/* Takes up to `want` seats from the node's entry; *out_got may be 0. RC_NOT_FOUND. */
MUST_USE rc seats_take(struct backend_session *s, view node, int64_t want, int64_t *out_got, struct err *e);
/* Gives n seats back, up to the node's capacity. RC_NOT_FOUND. */
MUST_USE rc seats_give(struct backend_session *s, view node, int64_t n, struct err *e);
/* A block of `count` account numbers that nobody else gets, from *out_first on. RC_BROKEN: ten digits are used up. */
MUST_USE rc uid_next(struct backend_session *s, int64_t count, int64_t *out_first, struct err *e);
/* The least account number that nobody has got yet, never from a copy that may lag. One below it that no account has was somebody's who was
 * deleted or got another, or lies in a block of which not all is used. RC_BROKEN: the counter is gone. */
MUST_USE rc uid_peek(struct backend_session *s, int64_t *out, struct err *e);

/* Never over another: RC_CONFLICT when the id is taken. (takers is not looked at: a new code has none.) */
MUST_USE rc invite_add(struct backend_session *s, const struct invite *x, struct err *e);
/* As it is decided, never from a copy that may lag. RC_NOT_FOUND. */
MUST_USE rc invite_get(struct backend_session *s, view id, struct arena *a, struct invite *out,
                       struct err *e);
/* Both or neither: the count changes and the taker comes or goes. RC_CONFLICT: `left` is another by now, or the taker is there already
 * or not there; RC_NOT_FOUND. */
MUST_USE rc invite_cas(struct backend_session *s, view id, const struct invite_change *c, struct err *e);
MUST_USE rc invite_delete(struct backend_session *s, view id, struct err *e); /* RC_NOT_FOUND */
/* In the order of ids. The visitor must not use the session; views live during the call. */
MUST_USE rc invites_each(struct backend_session *s, invite_visitor *visit, void *arg, struct err *e);

/* ---- a moment ago (recent.c) ----
 *
 * For telling where somebody lives, which may be out of date for a moment: the node that is named refuses whom it does not own. What is
 * changed through this process, or is said to have been changed (account_changed), is never answered as it was before. Any thread. */

#define NODE_LATELY_US INT64_C(1000000)

/* What account_get found by this name at most remember_s ago. false: not remembered. */
bool account_remembered(struct backend *b, view name, struct arena *a, struct account *out);
/* What node_get found at most NODE_LATELY_US ago; for its addresses: seats are never that young. */
bool node_remembered(struct backend *b, view name, struct arena *a, struct node_entry *out);

/* Something that happened once, and is remembered until a moment by all who share the backend: a session that was ended by hand, a puzzle
 * that was solved. name: a-z, 0-9 and "-", at most MARK_NAME_MAX bytes. */
#define MARK_NAME_MAX 64
/* RC_CONFLICT: it is there */
MUST_USE rc mark_put(struct backend_session *s, view name, int64_t end_ms, struct err *e);
/* As it is decided; while that place is away, as a copy has it. */
MUST_USE rc mark_there(struct backend_session *s, view name, bool *out, struct err *e);
/* Forgets marks that ended before; some thousand at a time. */
MUST_USE rc marks_sweep(struct backend_session *s, int64_t before_ms, struct err *e);

DEFINE_SCOPED(struct backend_session *, backend_session_close);

#endif
