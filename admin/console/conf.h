/* The settings of the console. */
#ifndef HEDDLE_ADMIN_CONSOLE_CONF_H
#define HEDDLE_ADMIN_CONSOLE_CONF_H

#include "common/base/conf.h"

/* Keys of [console]. */
struct console_conf {
    char *listen, *url, *tls_cert, *tls_key; /* of `heddle-admin console`: as in [public] */
    struct conf_list trusted_proxies;
    char *name;              /* of this server, as people read it */
    char *folder;            /* own logo, style, texts; "" */
    struct conf_list groups; /* "ROLE GROUP": members of that group may sign in by their password */
    int64_t idle_s, life_s;  /* of a session */
    int64_t password_life_s; /* of a one-time password */
    int64_t guesses;         /* wrong sign-ins from one address in ten minutes; 0: no limit */
};
/* Those of the listener are for `heddle-admin console` alone. */
extern const struct conf_key console_conf_keys[], console_listen_keys[];
extern const size_t console_conf_keys_n, console_listen_keys_n;

/* RC_BAD_INPUT: says which setting is wrong. */
MUST_USE rc console_check(const struct console_conf *c, struct err *e);

#endif
