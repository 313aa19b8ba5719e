#include "directory/backend/ldap_conf.h"

#include <ldap.h>

#include "common/base/scope.h"

#define AT(field) offsetof(struct ldap_conf, field)

const struct conf_key ldap_conf_keys[] = {
    { "ldap.provider", CONF_LIST, AT(provider), "", 0, 0, 0, "",
      "LDAP servers that take writes: ldap://, ldaps:// or ldapi:// URIs, tried in this order. More than one only "
      "if no two of them take writes at the same time." },
    { "ldap.replicas", CONF_LIST, AT(replicas), "", 0, 0, 0, "",
      "LDAP servers for looking accounts up, copies of the provider; empty: the provider does it." },
    { "ldap.base", CONF_TEXT, AT(base), "", 0, 0, 0, "", "The DN at which Heddle's tree begins." },
    { "ldap.bind_dn", CONF_TEXT, AT(bind_dn), "", 0, 0, 0, "",
      "Whom the directory logs in as; empty: as its own Unix user (ldapi:// alone)." },
    { "ldap.bind_password", CONF_LIST, AT(bind_password), "", 0, 0, CONF_SECRET, "",
      "Its password, or @FILE; while it is being changed both, newest last." },
    { "ldap.start_tls", CONF_BOOL, AT(start_tls), "yes", 0, 0, 0, "",
      "Encrypt ldap:// connections by StartTLS, or do not use them at all." },
    { "ldap.tls_ca", CONF_TEXT, AT(tls_ca), "/etc/ssl/certs/ca-certificates.crt", 0, 0, 0, "",
      "Certificates of those who may sign the LDAP servers' certificates (PEM)." },
    { "ldap.tls_cert", CONF_TEXT, AT(tls_cert), "", 0, 0, 0, "",
      "Our own certificate (PEM), for servers that ask for one." },
    { "ldap.tls_key", CONF_TEXT, AT(tls_key), "", 0, 0, 0, "", "Its key (PEM)." },
    { "ldap.passwords", CONF_TEXT, AT(passwords), "argon2", 0, 0, 0, "",
      "How new passwords are stored; the LDAP server must be able to check it: argon2 (slapd's module argon2), crypt "
      "(yescrypt by the server's C library), ssha512 (module pw-sha2), ssha (any server)." },
    { "ldap.connect_timeout", CONF_SECONDS, AT(connect_timeout_s), "3", 1, 60, 0, "s",
      "How long connecting to one LDAP server may take." },
    { "ldap.timeout", CONF_SECONDS, AT(timeout_s), "5", 1, 300, 0, "s",
      "How long one LDAP operation may take." },
    { "ldap.replica_lag", CONF_SECONDS, AT(replica_lag_s), "15m", 0, 86400, 0, "s",
      "How far replicas may be behind: for so long what we changed is read from the provider." },
    { "ldap.groups_base", CONF_TEXT, AT(groups_base), "", 0, 0, 0, "",
      "The DN under which groups are looked for (guest: on the servers of the people); empty: LDAP has none." },
    { "ldap.groups_filter", CONF_TEXT, AT(groups_filter), "(objectClass=groupOfNames)", 0, 0, 0, "",
      "Which entries are groups (Active Directory: (objectClass=group))." },
    { "ldap.groups_name", CONF_TEXT, AT(groups_name), "cn", 0, 0, 0, "",
      "The attribute with a group's name." },
    { "ldap.groups_member", CONF_TEXT, AT(groups_member), "member", 0, 0, 0, "",
      "The attribute with its members; with groups in groups, Active Directory: member:1.2.840.113556.1.4.1941:" },
    { "ldap.groups_value", CONF_TEXT, AT(groups_value), "dn", 0, 0, 0, "",
      "What stands there: dn, the member's DN; name, his user name (posixGroup's memberUid)." },
    { "ldap.layout", CONF_TEXT, AT(layout), "own", 0, 0, 0, "",
      "own: accounts and passwords in Heddle's tree. guest: people and their passwords are in another tree, which is "
      "only read." },
    { "ldap.people_servers", CONF_LIST, AT(people_servers), "", 0, 0, 0, "",
      "guest: LDAP servers of that tree; empty: those of ldap.provider and ldap.replicas." },
    { "ldap.people_bind_dn", CONF_TEXT, AT(people_bind_dn), "", 0, 0, 0, "",
      "guest: whom the directory logs in as to look people up; empty: ldap.bind_dn." },
    { "ldap.people_bind_password", CONF_LIST, AT(people_bind_password), "", 0, 0, CONF_SECRET, "",
      "guest: its password, or @FILE." },
    { "ldap.people_base", CONF_TEXT, AT(people_base), "", 0, 0, 0, "",
      "guest: the DN under which people are looked for." },
    { "ldap.people_filter", CONF_TEXT, AT(people_filter), "(objectClass=person)", 0, 0, 0, "",
      "guest: which entries are people that may use Sync." },
    { "ldap.people_name", CONF_TEXT, AT(people_name), "uid", 0, 0, 0, "",
      "guest: the attribute with the user name, which counts in lower case (Active Directory: sAMAccountName)." },
    { "ldap.people_mail", CONF_TEXT, AT(people_mail), "mail", 0, 0, 0, "",
      "guest: the attribute with the mail address." },
};
const size_t ldap_conf_keys_n = sizeof(ldap_conf_keys) / sizeof(ldap_conf_keys[0]);

static rc check_uris(const char *key, const struct conf_list *uris, const char *bind_dn, struct err *e)
{
    if (uris->n > LDAP_SERVERS_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s names %zu servers: at most %d", key, uris->n,
                    LDAP_SERVERS_MAX);
    for (size_t i = 0; i < uris->n; i++) {
        LDAPURLDesc *u = NULL;
        bool good = ldap_url_parse(uris->items[i], &u) == LDAP_URL_SUCCESS && u->lud_host &&
                    (!u->lud_dn || !u->lud_dn[0]) && !u->lud_attrs && !u->lud_filter && !u->lud_exts;
        bool local = u && u->lud_scheme && strcmp(u->lud_scheme, "ldapi") == 0;
        ldap_free_urldesc(u);
        if (!good)
            return fail(
                e, RC_BAD_INPUT, RESP_GENERIC,
                "%s: \"%s\" is not like ldaps://ldap.example.net or ldapi://%%2Frun%%2Fslapd%%2Fldapi", key,
                uris->items[i]);
        if (!local && bind_dn[0] == '\0')
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s: %s needs ldap.bind_dn and its password", key,
                        uris->items[i]);
    }
    return RC_OK;
}

static rc check_dn(const char *key, const char *dn, struct err *e)
{
    LDAPDN parsed = NULL;
    int got = dn[0] ? ldap_str2dn(dn, &parsed, LDAP_DN_FORMAT_LDAPV3) : LDAP_INVALID_DN_SYNTAX;
    ldap_dnfree(parsed);
    if (got != LDAP_SUCCESS)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "%s is \"%s\": must be a DN, like dc=sync,dc=example,dc=net", key, dn);
    return RC_OK;
}

/* An attribute's name goes into filters as it is. */
static rc check_attribute(const char *key, const char *name, struct err *e)
{
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
    if (good == 0 || name[good] != '\0')
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s is \"%s\": must be the name of an attribute", key,
                    name);
    return RC_OK;
}

/* The login of one list of servers. A DN without a password would be anonymous: RFC 4513, 5.1.2. */
static rc check_login(const char *key, const char *dn, const struct conf_list *passwords, struct err *e)
{
    if (dn[0] == '\0')
        return RC_OK;
    TRY(check_dn(key, dn, e));
    if (passwords->n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "%s is set, its password is not", key);
    for (size_t i = 0; i < passwords->n; i++)
        if (passwords->items[i][0] == '\0')
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "the password of %s is empty", key);
    return RC_OK;
}

static rc check_filter(const char *key, const char *filter, struct err *e)
{
    size_t n = strlen(filter);
    if (n < 3 || n > 1000 || filter[0] != '(' || filter[n - 1] != ')')
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "%s is \"%s\": must be a filter in brackets, like (objectClass=person)", key, filter);
    return RC_OK;
}

/* An attribute, or one with a matching rule: "member:1.2.840.113556.1.4.1941:". */
static rc check_member(const char *name, struct err *e)
{
    size_t attribute = strcspn(name, ":"), n = strlen(name);
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:");
    if (attribute == 0 || good != n || (attribute < n && (name[n - 1] != ':' || n - attribute < 3)))
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "ldap.groups_member is \"%s\": must be the name of an attribute, or attribute:rule:", name);
    return RC_OK;
}

static rc check_groups(const struct ldap_conf *c, struct err *e)
{
    if (c->groups_base[0] == '\0')
        return RC_OK;
    TRY(check_dn("ldap.groups_base", c->groups_base, e));
    TRY(check_filter("ldap.groups_filter", c->groups_filter, e));
    TRY(check_attribute("ldap.groups_name", c->groups_name, e));
    TRY(check_member(c->groups_member, e));
    if (strcmp(c->groups_value, "dn") != 0 && strcmp(c->groups_value, "name") != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "ldap.groups_value is \"%s\": must be dn or name",
                    c->groups_value);
    return RC_OK;
}

static rc check_guest(const struct ldap_conf *c, struct err *e)
{
    const char *dn = c->people_bind_dn[0] ? c->people_bind_dn : c->bind_dn;
    TRY(check_uris("ldap.people_servers", &c->people_servers, dn, e));
    TRY(check_login("ldap.people_bind_dn", c->people_bind_dn, &c->people_bind_password, e));
    TRY(check_dn("ldap.people_base", c->people_base, e));
    TRY(check_attribute("ldap.people_name", c->people_name, e));
    TRY(check_attribute("ldap.people_mail", c->people_mail, e));
    return check_filter("ldap.people_filter", c->people_filter, e);
}

bool ldap_conf_is_guest(const struct ldap_conf *c)
{
    return strcmp(c->layout, "guest") == 0;
}

rc ldap_conf_check(const struct ldap_conf *c, struct err *e)
{
    if (c->provider.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "ldap.provider is empty: directory.backend = ldap needs a server");
    TRY(check_uris("ldap.provider", &c->provider, c->bind_dn, e));
    TRY(check_uris("ldap.replicas", &c->replicas, c->bind_dn, e));
    TRY(check_dn("ldap.base", c->base, e));
    TRY(check_login("ldap.bind_dn", c->bind_dn, &c->bind_password, e));
    if (!c->tls_cert[0] != !c->tls_key[0])
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "ldap.tls_cert and ldap.tls_key belong together");
    TRY(check_groups(c, e));
    if (ldap_conf_is_guest(c))
        return check_guest(c, e);
    if (strcmp(c->layout, "own") != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "ldap.layout is \"%s\": must be own or guest", c->layout);
    return RC_OK;
}
