/* What the files of this folder share: the context, a worker's own, and the few errors that several handlers tell. */
#ifndef HEDDLE_DIRECTORY_INSIDE_H
#define HEDDLE_DIRECTORY_INSIDE_H

#include <pthread.h>

#include "common/base/metrics.h"
#include "common/page/limits.h"
#include "common/web/call.h"
#include "common/web/reply.h"
#include "common/web/request.h"
#include "directory/backend/backend.h"
#include "directory/directory.h"
#include "directory/identity_oauth.h"
#include "directory/registration.h"

/* A node as others see it. */
struct owner {
    view name, url, address, node_type;
};

enum { SPARE_SESSIONS = 4 };

struct seal;
struct mailer;
struct screens;
struct resets;

struct directory {
    const struct directory_conf *conf;
    const struct clock *clock;
    const char *public_url;
    struct backend *backend;
    struct derived *derived; /* of nodes */
    struct secrets *secrets; /* as configured: masters, or those of all nodes */
    char *metrics_key;
    struct oauth *oauth;
    struct limits *signups, *wrong_passwords, *wrong_invites;
    metric events; /* account events that were genuine */

    struct seal *seal;
    struct mailer *mailer; /* NULL: none */
    struct resets *resets; /* NULL: none */
    struct screens *screens;
    const char *sole_socket; /* see directory_options */

    bool has_sole; /* the one box: the only node, always there */
    struct owner sole;
    struct secrets *sole_secrets;

    void (*on_forget)(void *arg, view name, int64_t uid, int64_t until_s);
    void (*on_allow)(void *arg, int64_t uid);
    void *on_forget_arg;          /* of both */
    struct choice *choice;        /* choice.h */
    struct pool_rule *pool_rules; /* assign.pools, in their order */
    size_t n_pool_rules;
    struct internal *internal; /* internal.h; NULL: nobody may ask */

    pthread_mutex_t lock;                          /* of what is below; nothing is called while it is held */
    struct registration registration;              /* follows a reload */
    int64_t uid_first, uid_left;                   /* our block of account numbers */
    struct backend_session *spare[SPARE_SESSIONS]; /* for callers that are no workers of ours */
    size_t n_spare;
};

/* rq->worker of our handlers. */
struct directory_worker {
    struct directory *d;
    struct backend_session *session;
    struct caller *caller; /* made at the first outgoing call */
};

/* The next account number nobody else has. */
MUST_USE rc directory_uid(struct directory *d, struct backend_session *s, int64_t *out, struct err *e);
/* directory_verify with the caller's session. */
MUST_USE rc directory_verify_in(struct directory *d, struct backend_session *s, view name, view password,
                                struct directory_verdict *out, struct err *e);
/* Is the account of that name in the group (directory.groups, or LDAP's)? */
MUST_USE rc directory_in_group(struct directory *d, struct backend_session *s, struct arena *a, view name,
                               view group, bool *out, struct err *e);
/* Credentials of that name, and tokens of that uid if it is above 0, are void from now on. */
void directory_forget(struct directory *d, view name, int64_t uid);
/* Takes back what directory_forget said of the uid. */
void directory_allow(struct directory *d, int64_t uid);
/* A balancer has to look that name up: it was given its first node. */
void directory_placed(struct directory *d, view name);
/* refusals.c: all uids whose tokens are void before they expire, until when each. */
typedef void refusal_visitor(void *arg, int64_t uid, int64_t until_s);
MUST_USE rc directory_refusals(struct directory *d, struct backend_session *s, refusal_visitor *visit,
                               void *arg, struct err *e);
int64_t directory_now_ms(const struct directory *d);
/* From a change on it takes so long until no token of before is good any more: another process may still give one from memory. */
int64_t directory_tokens_last_s(const struct directory *d);
/* Who may have an account, as of now: one answer for a whole request. */
struct registration directory_registration(struct directory *d);
/* Outgoing calls of a worker, for oauth. */
struct oauth_http directory_http(struct directory_worker *w);

/* ---- lookup.c: where a user lives ---- */

/* The owner of *acc; places him if he has none (or it is gone), which may give him another uid and epoch: *acc is what holds
 * afterwards. RC_BUSY: no node has room. */
MUST_USE rc lookup_place(struct directory *d, struct backend_session *s, struct arena *a, struct account *acc,
                         struct owner *out, struct err *e);
/* A node for a new user: one of his pool, a seat of which is his now. uid: where it is known already, for his slot; else 0. RC_BUSY: none
 * has room. choice.c */
MUST_USE rc lookup_choose(struct directory *d, struct backend_session *s, struct arena *a, view name,
                          view mail, int64_t uid, struct owner *out, struct err *e);
/* The seat that lookup_choose took was not used. */
void lookup_give_back(struct directory *d, struct backend_session *s, view node);
/* The account of that name and its owner from memory alone. false: they are not both remembered. Any thread. */
bool lookup_remembered(struct directory *d, struct arena *a, view name, struct account *acc,
                       struct owner *out);
view placed_text(struct arena *a, int64_t now_ms, const char *why);

/* ---- identity_password.c ---- */

/* Checks name and password for a client at `peer`. RC_DENIED as account_check_password; RC_BUSY: too many wrong ones from there. */
MUST_USE rc identity_password(struct directory *d, struct backend_session *s, view peer, view name,
                              view password, struct arena *a, struct account *out, struct err *e);
/* The Basic credentials of the request, which must be those of `name`. */
MUST_USE rc identity_basic(struct request *rq, view name, struct account *out, struct err *e);
/* One of the 3,000 most common passwords, in any case of letters. */
bool password_is_common(view password);
/* The rule for new passwords. RC_BAD_INPUT with RESP_PASSWORD_MISSING or RESP_PASSWORD_WEAK. Protocol: User API 1.0, "Password rule". */
MUST_USE rc password_rule(view name, view password, struct err *e);

/* ---- account.c ---- */

/* A new account, after the rules for name, address and password were checked; who may have one is checked here. invite: the code that was
 * typed, where the mode asks for one; VIEW_NONE: nobody could type one. RC_BAD_INPUT: RESP_OVERWRITE the name is taken, RESP_USERNAME not on
 * the list, or without a code; RC_DENIED: the code is none of ours, or over; RC_BUSY: new accounts are off, or too many (or too many wrong codes)
 * from this address (then with a time to wait). */
MUST_USE rc signup(struct request *rq, view name, view mail, view password, view invite, struct err *e);
/* The user name in the path, in lower case. */
view user_api_name(const struct request *rq);

/* ---- the tables (routes.c) ---- */
extern const struct param_kind directory_param_kinds[];
extern const size_t directory_param_kinds_n;
extern const struct route directory_routes[];
/* Of directory_routes: all, and those for the one box, where the node answers /1.x. */
extern const size_t directory_routes_n, directory_routes_box_n;

/* JSON description for programs, the page for people. */
handler_fn home_page, token_get, webhook_post, version_refused, error_on_purpose;
warm_fn user_api_node_warm, token_get_warm;
handler_fn user_api_exists, user_api_create, user_api_delete, user_api_node, user_api_password,
    user_api_email, user_api_reset;

/* Does the Accept header take this type, with a q above 0? Absent: all. */
bool accept_takes(view accept, view type);
/* Does it name this type itself? (Browsers name text/html; tools send the two stars.) */
bool accept_names(view accept, view type);

extern const struct err_words words_invalid_credentials, words_server_error;

#endif
