#include "tests/load/ldap_floor.h"

#include <stdio.h>
#include <unistd.h>

#include "directory/backend/ldap_pack.h"

enum { TIMEOUT_S = 10 };

_Noreturn void floor_die(const char *what, const char *why)
{
    fprintf(stderr, "floor: %s: %s\n", what, why);
    _exit(1);
}

LDAP *floor_connect(const struct floor_ldap *l)
{
    LDAP *ld = NULL;
    const int version = LDAP_VERSION3;
    struct berval password = { .bv_len = strlen(l->password), .bv_val = (char *)(uintptr_t)l->password };
    int got = ldap_initialize(&ld, l->uri);
    if (got == LDAP_SUCCESS) {
        ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
        got = ldap_sasl_bind_s(ld, l->bind_dn, LDAP_SASL_SIMPLE, &password, NULL, NULL, NULL);
    }
    if (got != LDAP_SUCCESS)
        floor_die(l->uri, ldap_err2string(got));
    return ld;
}

LDAPMessage *floor_search(LDAP *ld, const char *dn)
{
    LDAPMessage *found = NULL;
    struct timeval limit = { .tv_sec = TIMEOUT_S };
    int got = ldap_search_ext_s(ld, dn, LDAP_SCOPE_BASE, "(objectClass=heddleAccount)",
                                (char **)(uintptr_t)account_attrs, 0, NULL, NULL, &limit, 2, &found);
    if (got != LDAP_SUCCESS || ldap_count_entries(ld, found) != 1)
        floor_die(dn, ldap_err2string(got));
    return found;
}

const char *floor_dn(const struct floor_ldap *l, struct arena *a, view name)
{
    return arena_text(a, "uid=%.*s,%.*s", VIEW_ARG(name), VIEW_ARG(l->base)).p;
}

view floor_value(LDAP *ld, LDAPMessage *found, const char *attr, struct arena *a)
{
    struct berval **values = ldap_get_values_len(ld, ldap_first_entry(ld, found), attr);
    if (values && values[0]) {
        view v = arena_copy(a, (view){ .p = values[0]->bv_val, .n = values[0]->bv_len });
        ldap_value_free_len(values);
        return v;
    }
    floor_die(attr, "is not there");
}
