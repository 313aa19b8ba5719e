/* Settings of the balancer's side of heddle-admin: keys of [lb]. */
#ifndef HEDDLE_ADMIN_LB_CONF_H
#define HEDDLE_ADMIN_LB_CONF_H

#include "common/base/conf.h"

struct lb_conf {
    char *kind;      /* "haproxy", "nginx"                                  */
    char *folder;    /* of what is rendered; absolute                       */
    char *templates; /* folder with other templates; "": those built in     */
    char *url;       /* the public one                                      */
    char *routes;    /* "slots", "users"                                    */
    char *tls_cert, *ca_file, *log, *console, *user;
    struct conf_list listen, directories, reach, canary, backoff, free, headers;
    int64_t canary_percent;
    int64_t limit_address, limit_user, limit_token, limit_account,
        limit_console; /* requests in 10 s; 0: none */
    int64_t hold_s, slowstart_s, retry_after_s, queue_wait_s, resync_s;
    int64_t connections, node_requests;
    int64_t body_15, body_11, url_bytes;
};
extern const struct conf_key lb_conf_keys[]; /* offsets within struct admin_conf */
extern const size_t lb_conf_keys_n;

/* Relations between the keys. RC_BAD_INPUT with a sentence for the person at the terminal. */
MUST_USE rc lb_conf_check(const struct lb_conf *c, struct err *e);

#endif
