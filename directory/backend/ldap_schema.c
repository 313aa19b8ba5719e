#include "directory/backend/ldap_schema.h"

#include <ctype.h>
#include <strings.h>

#include "common/base/scope.h"
#include "directory/backend/ldap_pack.h"

/* schema/ldap/heddle.ldif, as far as the driver leans on it. */
static const struct {
    const char *name;
    bool single;
} attributes[] = {
    { "uid", false },
    { "heddleMail", true },
    { "userPassword", false },
    { "uidNumber", true },
    { "account-enabled", true },
    { "syncNode", true },
    { "heddlePlaced", true },
    { "heddleCreated", true },
    { "heddlePasswordSince", true },
    { "heddleEpoch", true },
    { "heddleIntent", true },
    { "heddleErase", false },
    { "heddleClientState", true },
    { "heddleOldState", false },
    { "heddleGeneration", true },
    { "heddleKeysChanged", true },
    { "heddleReset", true },
    { "heddleDisabled", true },
    { "heddleUrl", true },
    { "heddleAddress", true },
    { "heddleNodeType", true },
    { "heddlePools", true },
    { "heddleState", true },
    { "heddleCapacity", true },
    { "heddleSeats", true },
    { "heddleOpened", true },
    { "heddleSince", true },
    { "heddleNext", true },
    { "heddleHash", true },
    { "heddleUses", true },
    { "heddleLeft", true },
    { "heddleEnds", true },
    { "heddleBy", true },
    { "heddleNote", true },
    { "heddleTaker", false },
};
static const char *const counter_attrs[] = { "cn", "heddleNext", NULL };
static const char *const mark_attrs[] = { "cn", "heddleEnds", NULL };
/* With what we write there: a class of an earlier version knows less. */
static const struct {
    const char *name;
    const char *const *attrs;
} classes[] = {
    { "heddleAccount", login_attrs },   { "heddleNode", node_attrs },     { "heddleLeftover", erase_attrs },
    { "heddleCounter", counter_attrs }, { "heddleInvite", invite_attrs }, { "heddleMark", mark_attrs },
};
static const struct {
    const char *oid, *what;
} controls[] = {
    { LDAP_CONTROL_ASSERT, "the assertion control (RFC 4528)" },
    { LDAP_CONTROL_PAGEDRESULTS, "paged results (RFC 2696)" },
};
/* Without these the server reads the whole tree for one answer. */
static const struct {
    const char *attr, *kind;
} indexes[] = {
    { "objectClass", "eq" },    { "uidNumber", "eq" },      { "heddleMail", "eq" },
    { "syncNode", "eq" },       { "heddleIntent", "pres" }, { "heddleErase", "pres" },
    { "heddleDisabled", "eq" }, { "uid", "sub" },           { "heddleMail", "sub" },
};

#define SAY(r, ...)                                                                                          \
    do {                                                                                                     \
        if ((r)->tell)                                                                                       \
            fprintf((r)->tell, __VA_ARGS__);                                                                 \
    } while (0)

/* The values of some attributes of one entry, copied. */
struct copied {
    struct arena *a;
    struct ldap_value_list lists[4];
    const char *const *attrs;
    bool seen;
};

static rc copy_values(void *arg, const struct ldap_entry *x, struct err *e)
{
    struct copied *c = arg;
    (void)e;
    c->seen = true;
    for (size_t i = 0; c->attrs[i]; i++) {
        const struct ldap_value_list *v = ldap_entry_values(x, c->attrs[i]);
        if (!v)
            continue;
        view *items = arena_alloc(c->a, v->n * sizeof(view));
        for (size_t k = 0; k < v->n; k++)
            items[k] = arena_copy(c->a, v->items[k]);
        c->lists[i] = (struct ldap_value_list){ .items = items, .n = v->n };
    }
    return RC_OK;
}

static bool has_value(const struct ldap_value_list *v, const char *text)
{
    for (size_t i = 0; i < v->n; i++)
        if (view_eq(v->items[i], view_of(text)))
            return true;
    return false;
}

/* The definition of a name: values are like ( 1.2.3 NAME 'a' … ) or ( 1.2.3 NAME ( 'a' 'b' ) … ). */
static view definition(const struct ldap_value_list *v, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof(quoted), "'%s'", name);
    size_t n = strlen(quoted);
    for (size_t i = 0; i < v->n; i++) {
        view d = v->items[i];
        for (size_t at = 0; at + n <= d.n; at++)
            if (strncasecmp(d.p + at, quoted, n) == 0)
                return d;
    }
    return VIEW_NONE;
}

static bool says(view text, const char *word)
{
    return memmem(text.p, text.n, word, strlen(word)) != NULL;
}

/* Whether an object class must or may have that attribute: "MUST ( cn $ heddleUrl ) MAY ( heddlePools )". */
static bool class_takes(view d, const char *attr)
{
    static const char parts[] = " ($)\n";
    size_t n = strlen(attr);
    for (size_t at = 1; at + n < d.n; at++)
        if (strncasecmp(d.p + at, attr, n) == 0 && strchr(parts, d.p[at - 1]) && strchr(parts, d.p[at + n]))
            return true;
    return false;
}

static int check_class(const struct ldap_value_list *objects, const char *name, const char *const *attrs,
                       const struct ldap_schema_report *r)
{
    view d = definition(objects, name);
    int wrong = 0;
    if (!d.p) {
        SAY(r, "WRONG    the object class %s is not in the schema\n", name);
        return 1;
    }
    for (; *attrs; attrs++)
        if (!class_takes(d, *attrs)) {
            SAY(r, "WRONG    the object class %s does not take %s: it is of an earlier version\n", name,
                *attrs);
            wrong++;
        }
    return wrong;
}

static int check_controls(const struct ldap_value_list *have, const struct ldap_schema_report *r)
{
    int wrong = 0;
    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
        if (!has_value(have, controls[i].oid)) {
            SAY(r, "WRONG    the server does not know %s\n", controls[i].what);
            wrong++;
        }
    if (!wrong)
        SAY(r, "ok       the server knows the controls that we need\n");
    return wrong;
}

static int check_definitions(const struct ldap_value_list *types, const struct ldap_value_list *objects,
                             const struct ldap_schema_report *r)
{
    int wrong = 0;
    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        view d = definition(types, attributes[i].name);
        const char *why = !d.p                                               ? "is not in the schema"
                          : !says(d, "EQUALITY") && !says(d, "SUP")          ? "has no equality rule"
                          : attributes[i].single && !says(d, "SINGLE-VALUE") ? "takes several values"
                                                                             : NULL;
        if (why) {
            SAY(r, "WRONG    the attribute %s %s\n", attributes[i].name, why);
            wrong++;
        }
    }
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        wrong += check_class(objects, classes[i].name, classes[i].attrs, r);
    if (wrong)
        SAY(r, "         load schema/ldap/heddle.ldif: ldapadd -Q -Y EXTERNAL -H ldapi:/// -f heddle.ldif\n");
    else
        SAY(r, "ok       the schema is loaded\n");
    return wrong;
}

/* ---- indexes, where cn=config may be read ---- */

struct databases {
    const char *base;
    const struct ldap_schema_report *report;
    bool ours;
    int wrong;
};

/* "uid,cn eq,pres": is `attr` indexed for `kind`? */
static bool index_names(view value, const char *attr, const char *kind)
{
    view names, name, kinds = value;
    bool found = false;
    if (!view_cut(&kinds, ' ', &names))
        return false;
    while (!found && view_cut(&names, ',', &name))
        found = view_eq_nocase(view_trim(name), view_of(attr));
    while (found && view_cut(&kinds, ',', &name))
        if (view_eq_nocase(view_trim(name), view_of(kind)))
            return true;
    return false;
}

static bool is_indexed(const struct ldap_value_list *v, const char *attr, const char *kind)
{
    for (size_t i = 0; i < v->n; i++)
        if (index_names(v->items[i], attr, kind))
            return true;
    return false;
}

static bool ends_with(const char *text, view end)
{
    size_t n = strlen(text);
    return end.n <= n && strncasecmp(text + n - end.n, end.p, end.n) == 0 &&
           (end.n == n || text[n - end.n - 1] == ',');
}

static rc see_database(void *arg, const struct ldap_entry *x, struct err *e)
{
    static const struct ldap_value_list none = { .n = 0 };
    struct databases *d = arg;
    const struct ldap_value_list *suffix = ldap_entry_values(x, "olcSuffix"),
                                 *have = ldap_entry_values(x, "olcDbIndex");
    (void)e;
    for (size_t i = 0; suffix && i < suffix->n && !d->ours; i++)
        d->ours = ends_with(d->base, suffix->items[i]);
    if (!suffix || !d->ours || d->wrong)
        return RC_OK;
    for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++)
        if (!is_indexed(have ? have : &none, indexes[i].attr, indexes[i].kind)) {
            SAY(d->report, "WRONG    there is no index: olcDbIndex: %s %s\n", indexes[i].attr,
                indexes[i].kind);
            d->wrong++;
        }
    if (!d->wrong)
        SAY(d->report, "ok       what is searched for is indexed\n");
    return RC_OK;
}

static int check_indexes(struct ldap_conn *c, const char *base, const struct ldap_schema_report *r)
{
    static const char *const attrs[] = { "olcSuffix", "olcDbIndex", NULL };
    const struct ldap_query q = { "cn=config", LDAP_SCOPE_ONELEVEL, "(olcSuffix=*)", attrs, 100 };
    struct databases d = { .base = base, .report = r };
    rc got = ldap_conn_search(c, &q, see_database, &d, NULL, NULL);
    if (got != RC_OK || !d.ours)
        SAY(r,
            "note     the server does not show us its indexes: compare them with schema/ldap/database.ldif\n");
    return d.wrong;
}

int ldap_schema_check(struct ldap_conn *c, const char *base, struct arena *a,
                      const struct ldap_schema_report *r)
{
    static const char *const root_attrs[] = { "supportedControl", "subschemaSubentry", NULL };
    static const char *const schema_attrs[] = { "attributeTypes", "objectClasses", NULL };
    struct copied root = { .a = a, .attrs = root_attrs }, schema = { .a = a, .attrs = schema_attrs };
    struct err e = ERR_NONE;
    const struct ldap_query ask_root = { "", LDAP_SCOPE_BASE, "(objectClass=*)", root_attrs, 1 };
    if (ldap_conn_search(c, &ask_root, copy_values, &root, NULL, &e) != RC_OK) {
        SAY(r, "WRONG    %s\n", e.text);
        return 1;
    }
    const struct ldap_query ask_schema = { root.lists[1].n ? root.lists[1].items[0].p : "cn=Subschema",
                                           LDAP_SCOPE_BASE, "(objectClass=subschema)", schema_attrs, 1 };
    if (ldap_conn_search(c, &ask_schema, copy_values, &schema, NULL, &e) != RC_OK || !schema.seen) {
        SAY(r, "WRONG    the server does not show us its schema: %s\n", e.text);
        return 1;
    }
    int wrong = check_controls(&root.lists[0], r) + check_definitions(&schema.lists[0], &schema.lists[1], r);
    return wrong ? wrong : check_indexes(c, base, r);
}
