#include "fixture_ldap.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "directory/backend/ldap_init.h"
#include "directory/backend/ldap_text.h"

static const char *env(const char *name)
{
    const char *v = getenv(name);
    if (!v)
        fail_msg("%s is not set: run tests/conformance/run_backend.py", name);
    return v;
}

/* Texts of the settings: they live as long as the process. */
static struct arena *texts(void)
{
    static struct arena a;
    if (a.ceiling_bytes == 0)
        arena_init(&a, 1 << 24);
    return &a;
}

static char *own(const char *text)
{
    return arena_cstr(texts(), view_of(text));
}

static struct conf_list one(const char *text)
{
    struct conf_list l = { .items = arena_zero(texts(), sizeof(char *)), .n = 1 };
    l.items[0] = own(text);
    return l;
}

static char *below(const char *suffix, int n)
{
    return own(arena_text(texts(), "ou=t%d-%d,%s", (int)getpid(), n, suffix).p);
}

static LDAP *root_of(const char *uri)
{
    LDAP *ld;
    int version = LDAP_VERSION3;
    char *password = own(env("HEDDLE_TEST_LDAP_ROOT_PASSWORD"));
    struct berval cred = { .bv_val = password, .bv_len = strlen(password) };
    assert_int_equal(ldap_initialize(&ld, uri), LDAP_SUCCESS);
    ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    assert_int_equal(
        ldap_sasl_bind_s(ld, env("HEDDLE_TEST_LDAP_ROOT_DN"), LDAP_SASL_SIMPLE, &cred, NULL, NULL, NULL),
        LDAP_SUCCESS);
    return ld;
}

LDAP *fixture_ldap_root(void)
{
    return root_of(env("HEDDLE_TEST_LDAP_PROVIDER"));
}

static bool stands_there(LDAP *ld, const char *dn)
{
    LDAPMessage *m = NULL;
    int got = ldap_search_ext_s(ld, dn, LDAP_SCOPE_BASE, "(objectClass=*)", NULL, 1, NULL, NULL, NULL, 1, &m);
    ldap_msgfree(m);
    if (got != LDAP_NO_SUCH_OBJECT)
        assert_int_equal(got, LDAP_SUCCESS);
    return got == LDAP_SUCCESS;
}

void fixture_ldap_await_replica(const struct ldap_conf *c, const char *name)
{
    LDAP *ld = root_of(env("HEDDLE_TEST_LDAP_REPLICA"));
    struct arena a;
    arena_init(&a, 1 << 16);
    view users = dn_below(&a, "ou", VIEW("users"), view_of(c->base));
    const char *dn = dn_below(&a, "uid", view_of(name), users).p;
    WAIT_UNTIL(stands_there(ld, dn));
    ldap_unbind_ext(ld, NULL, NULL);
    arena_done(&a);
}

static LDAPMod *mod(struct arena *a, int op, const char *attr, view value)
{
    LDAPMod *m = arena_zero(a, sizeof(*m));
    struct berval *v = arena_zero(a, sizeof(*v));
    *v = (struct berval){ .bv_val = arena_cstr(a, value), .bv_len = value.n };
    m->mod_op = op | LDAP_MOD_BVALUES;
    m->mod_type = arena_cstr(a, view_of(attr));
    m->mod_bvalues = arena_zero(a, 2 * sizeof(v));
    m->mod_bvalues[0] = v;
    return m;
}

void fixture_ldap_person(const struct ldap_conf *c, view name, view password, view mail)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    LDAPMod *mods[] = { mod(&a, LDAP_MOD_ADD, "objectClass", VIEW("inetOrgPerson")),
                        mod(&a, LDAP_MOD_ADD, "cn", name),
                        mod(&a, LDAP_MOD_ADD, "sn", name),
                        mod(&a, LDAP_MOD_ADD, "uid", name),
                        mod(&a, LDAP_MOD_ADD, "userPassword", password),
                        mod(&a, LDAP_MOD_ADD, "mail", mail),
                        NULL };
    LDAP *ld = fixture_ldap_root();
    int got = ldap_add_ext_s(ld, dn_below(&a, "uid", name, view_of(c->people_base)).p, mods, NULL, NULL);
    assert_true(got == LDAP_SUCCESS || got == LDAP_ALREADY_EXISTS);
    ldap_unbind_ext(ld, NULL, NULL);
    arena_done(&a);
}

void fixture_ldap_set(const struct ldap_conf *c, const char *name, const char *attr, view value)
{
    struct arena a;
    arena_init(&a, 4 << 20);
    LDAPMod *mods[] = { mod(&a, LDAP_MOD_REPLACE, attr, value), NULL };
    LDAP *ld = fixture_ldap_root();
    view users = dn_below(&a, "ou", VIEW("users"), view_of(c->base));
    int got = ldap_modify_ext_s(ld, dn_below(&a, "uid", view_of(name), users).p, mods, NULL, NULL);
    if (got != LDAP_SUCCESS)
        fail_msg("%s", ldap_err2string(got));
    ldap_unbind_ext(ld, NULL, NULL);
    arena_done(&a);
}

static void make_people(const char *dn)
{
    struct arena a;
    arena_init(&a, 1 << 16);
    LDAPMod *mods[] = { mod(&a, LDAP_MOD_ADD, "objectClass", VIEW("organizationalUnit")), NULL };
    LDAP *ld = fixture_ldap_root();
    assert_int_equal(ldap_add_ext_s(ld, dn, mods, NULL, NULL), LDAP_SUCCESS);
    ldap_unbind_ext(ld, NULL, NULL);
    arena_done(&a);
}

void fixture_ldap_conf_bare(struct ldap_conf *out)
{
    static int n;
    const char *suffix = env("HEDDLE_TEST_LDAP_SUFFIX"), *replica = getenv("HEDDLE_TEST_LDAP_REPLICA");
    n++;
    *out = (struct ldap_conf){
        .provider = one(env("HEDDLE_TEST_LDAP_PROVIDER")),
        .replicas = replica ? one(replica) : (struct conf_list){ 0 },
        .base = below(suffix, n),
        .bind_dn = own(env("HEDDLE_TEST_LDAP_BIND_DN")),
        .bind_password = one(env("HEDDLE_TEST_LDAP_BIND_PASSWORD")),
        .start_tls = false,
        .tls_ca = own(""),
        .tls_cert = own(""),
        .tls_key = own(""),
        .passwords = own("argon2"),
        .connect_timeout_s = 5,
        .timeout_s = 20,
        .replica_lag_s = 600,
        .layout = own(fixture_guest ? "guest" : "own"),
        .people_bind_dn = own(""),
        .people_base = fixture_guest ? below(env("HEDDLE_TEST_LDAP_PEOPLE"), n) : own(""),
        .people_filter = own("(objectClass=person)"),
        .groups_base = own(""),
        .groups_filter = own("(objectClass=groupOfNames)"),
        .groups_name = own("cn"),
        .groups_member = own("member"),
        .groups_value = own("dn"),
        .people_name = own("uid"),
        .people_mail = own("mail"),
    };
}

void fixture_ldap_conf(struct ldap_conf *out)
{
    struct err e = ERR_NONE;
    fixture_ldap_conf_bare(out);
    if (fixture_guest)
        make_people(out->people_base);
    const struct backend_conf conf = { .ldap = out, .cost = { 64, 1, 1 }, .clock = clock_system() };
    char *told = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&told, &n);
    if (ldap_tree_init(&conf, &(struct ldap_init_options){ .out = to }, &e) != RC_OK) {
        fclose(to);
        fail_msg("%s\n%s", e.text, told);
    }
    fclose(to);
    free(told);
}

void fixture_ldap_control(const char *verb, const char *server)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    char line[64], answer[256] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", env("HEDDLE_TEST_CONTROL"));
    assert_true(fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0);
    int n = snprintf(line, sizeof(line), "%s %s\n", verb, server);
    assert_int_equal(write(fd, line, (size_t)n), n);
    ssize_t got = read(fd, answer, sizeof(answer) - 1);
    close(fd);
    if (got < 2 || strncmp(answer, "ok", 2) != 0)
        fail_msg("%s %s: %s", verb, server, answer);
}

void reopen(struct fixture *f)
{
    struct err e = ERR_NONE;
    backend_session_close(f->s);
    backend_close(f->backend);
    const struct backend_conf conf = { .ldap = f->ldap, .cost = { 64, 1, 1 }, .clock = &f->clock.clock };
    if (backend_open(&backend_ldap, &conf, &f->backend, &e) != RC_OK)
        fail_msg("%s", e.text);
    assert_int_equal(backend_session_open(f->backend, &f->s, &e), RC_OK);
}

rc get(struct fixture *f, const char *name, struct account *out)
{
    return account_get(f->s, ACCOUNT_BY_NAME, view_of(name), &f->arena, out, NULL);
}

rc login(struct fixture *f, const char *name, const char *password)
{
    struct account a;
    return account_check_password(f->s, view_of(name), view_of(password), &f->arena, &a, NULL);
}
