/* The directory: gives each user an account number, a node and tokens. heddle-directory runs one; the one box runs one beside a node. */
#ifndef HEDDLE_DIRECTORY_H
#define HEDDLE_DIRECTORY_H

#include "common/auth/secrets.h"
#include "common/base/conf.h"
#include "common/web/server.h"

/* Keys of [directory], [tokens], [oauth], [registration]. */
struct directory_conf {
    char *backend;                  /* "sqlite", "ldap" */
    char *path;                     /* sqlite: file */
    char *domain;                   /* account names of 1.5: <sub>@<domain> */
    struct conf_list token_secrets; /* tokens.secrets */
    bool token_derived;             /* tokens.derived */
    int64_t token_life_s;           /* tokens.life */
    int64_t token_late_s;           /* signed `expires` is that much later than advertised */
    char *metrics_key; /* tokens.metrics_key: HMAC key of hashed_fxa_uid; made and kept in data.dir if "" */
    char *node_type;
    char *jwks_file, *jwks_url, *verify_url; /* oauth. */
    char *oauth_issuer;                      /* "": not pinned */
    char *oauth_scope;
    int64_t oauth_timeout_s;
    char *registration; /* open, closed, list, invite, "": open on loopback, closed elsewhere */
    struct conf_list registration_allow; /* addresses, @domains (1.1); account subs (1.5) */
    char *registration_secret;           /* X-Weave-Secret; "" : never matches */
    bool strict_usernames;
    int64_t assign_ramp_s;         /* assign.ramp */
    bool assign_slots;             /* assign.slots */
    struct conf_list assign_pools; /* assign.pools */
    struct conf_list groups;       /* directory.groups: "GROUP NAME" */
    char *fallback_node;           /* node/weave answers this instead of null; "" */
    int64_t remember_s;            /* directory.remember; 0: never */
    int64_t argon2_kib, argon2_passes, argon2_lanes;
    int64_t signups_per_hour; /* of one address; 0: no limit */
    int64_t wrong_invites;    /* of one address in an hour; 0: no limit */
    int64_t wrong_passwords;  /* of one address in ten minutes; 0: no limit */
    char *webhook;            /* account events of the accounts server: off, count, on */
    char *webhook_client;     /* client id that they must be meant for */
    bool error_route;
};
extern const struct conf_key directory_conf_keys[];
extern const size_t directory_conf_keys_n;

struct directory;
struct ldap_conf;
struct mail_conf;
struct screens_conf;

struct directory_options {
    const struct directory_conf *conf;
    const struct ldap_conf *ldap; /* for directory.backend = ldap; may be NULL without */
    const char *public_url;       /* of this service, no slash at its end */
    const char *data_dir;
    const struct clock *clock;
    /* The one box: the only node, always there. NULL in a cluster. */
    const char *sole_node_url;     /* own URL: in tokens */
    const char *sole_node_address; /* public address: in answers */
    /* unix socket where the node answers too, for the pages that show somebody's data; NULL: ask at its address */
    const char *sole_node_socket;
    /* A cluster: who may use the internal routes (common/web/internal.h). NULL: there are none. */
    const struct conf_list *internal_keys;
    const struct mail_conf *mail;       /* NULL: no mails are sent, and no passwords reset */
    const struct screens_conf *screens; /* NULL: defaults */
    /* Called after a change that makes remembered credentials void (password changed, account disabled or deleted, client state
     * replaced): name for passwords; uid > 0: tokens of that uid too, until until_s. May be NULL. */
    void (*on_forget)(void *arg, view name, int64_t uid, int64_t until_s);
    /* Called when an account is enabled again: its tokens are good. May be NULL. */
    void (*on_allow)(void *arg, int64_t uid);
    void *on_forget_arg; /* of both */
};

/* Whether directory_open would take these settings, as far as they tell by themselves: no file is opened but those that lists name.
 * RC_BAD_INPUT: a sentence that names the key. No token secret is no mistake here: the one box makes one. */
MUST_USE rc directory_check(const struct directory_conf *c, const char *public_url, struct err *e);
MUST_USE rc directory_open(const struct directory_options *o, struct directory **out, struct err *e);
void directory_mount(struct directory *d, struct mount *out);
/* What nodes and the admin ask; for an internal listener, beside the other mount. Needs internal_keys. */
void directory_internal_mount(struct directory *d, struct mount *out);
/* Tells on_forget whose tokens are void by what was done in earlier lives of this process: for the one box, whose node has no pulse. */
MUST_USE rc directory_tell_refused(struct directory *d, struct err *e);
void directory_close(struct directory *d);
/* SIGHUP: reads key files again and takes over the keys of [registration] that follow a reload; requests under way keep what they began
 * with. fresh: only its texts and lists must live as long as d. Any thread. RC_BAD_INPUT: registration.mode; it stays as it was. */
MUST_USE rc directory_reload(struct directory *d, const struct directory_conf *fresh, struct err *e);

/* What a node asks with: RC_OK fills uid, epoch and the owner's URL; RC_DENIED for unknown, wrong, disabled alike (in the same time);
 * RC_AWAY. Thread-safe, blocking. */
struct directory_verdict {
    int64_t uid, epoch;
    char node[256];
    bool marked;                /* mark is one: directory_recheck may be asked */
    uint8_t mark[SHA256_BYTES]; /* of what is kept of the password */
};
MUST_USE rc directory_verify(struct directory *d, view name, view password, struct directory_verdict *out,
                             struct err *e);
/* The same without the password, for who asked with it before and got `was`: RC_OK if it is still the right one, whoever might have
 * changed it, and the account is not disabled. Costs no hashing. RC_DENIED: ask with the password. */
MUST_USE rc directory_recheck(struct directory *d, view name, const struct directory_verdict *was,
                              struct directory_verdict *out, struct err *e);

#endif
