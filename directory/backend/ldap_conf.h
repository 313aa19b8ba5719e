/* What the LDAP driver is told: keys of [ldap]. */
#ifndef HEDDLE_BACKEND_LDAP_CONF_H
#define HEDDLE_BACKEND_LDAP_CONF_H

#include "common/base/conf.h"

struct ldap_conf {
    struct conf_list provider;      /* URIs that take writes, in the order in which they are tried */
    struct conf_list replicas;      /* URIs for reading; none: the provider is read */
    char *base;                     /* DN that Heddle's tree begins at */
    char *bind_dn;                  /* "": as the process's own user, over ldapi (SASL EXTERNAL) */
    struct conf_list bind_password; /* newest last */
    bool start_tls;
    char *tls_ca, *tls_cert, *tls_key;
    char *passwords; /* scheme of new ones: argon2, crypt, ssha512, ssha */
    int64_t connect_timeout_s, timeout_s, replica_lag_s;

    char *layout; /* own, guest */
    struct conf_list people_servers;
    char *people_bind_dn;
    struct conf_list people_bind_password;
    char *groups_base, *groups_filter, *groups_name, *groups_member, *groups_value;
    char *people_base, *people_filter, *people_name, *people_mail;
};
extern const struct conf_key ldap_conf_keys[];
extern const size_t ldap_conf_keys_n;

#define LDAP_SERVERS_MAX 16 /* in each list */

/* Relations between keys, without touching the network. RC_BAD_INPUT: a sentence for the operator. */
MUST_USE rc ldap_conf_check(const struct ldap_conf *c, struct err *e);
bool ldap_conf_is_guest(const struct ldap_conf *c);

#endif
