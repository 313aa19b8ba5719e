#include "fixture.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include "fixture_ldap.h"

const struct backend_driver *fixture_driver = &backend_sqlite;
bool fixture_guest, fixture_restart;

static void remove_folder(const struct fixture *f)
{
    DIR *d = opendir(f->folder);
    for (const struct dirent *x; d && (x = readdir(d));)
        if (x->d_name[0] != '.')
            unlinkat(dirfd(d), x->d_name, 0);
    if (d)
        closedir(d);
    rmdir(f->folder);
}

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err e = ERR_NONE;
    assert_non_null(f);
    snprintf(f->folder, sizeof(f->folder), "%s", "/tmp/heddle-backend-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/directory.sqlite", f->folder);
    clock_fake_init(&f->clock, START_US);
    arena_init(&f->arena, 1 << 20);
    signal(SIGPIPE, SIG_IGN); /* as programs do: a lost connection is an error, not an end */
    if (fixture_driver == &backend_ldap) {
        f->ldap = calloc(1, sizeof(*f->ldap));
        fixture_ldap_conf(f->ldap);
    }
    const struct backend_conf conf = { .path = f->path,
                                       .ldap = f->ldap,
                                       .cost = { .kib = 64, .passes = 1, .lanes = 1 },
                                       .clock = &f->clock.clock };
    if (backend_open(fixture_driver, &conf, &f->backend, &e) != RC_OK ||
        backend_session_open(f->backend, &f->s, &e) != RC_OK) {
        remove_folder(f); /* nobody will: after a setup that failed there is no teardown */
        fail_msg("%s", e.text);
    }
    if (fixture_restart) {
        assert_int_equal(backend_ping(f->s, &e), RC_OK);
        fixture_ldap_control("kill", "provider");
        fixture_ldap_control("start", "provider");
    }
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    backend_session_close(f->s);
    backend_close(f->backend);
    arena_done(&f->arena);
    remove_folder(f);
    free(f->ldap);
    free(f);
    return 0;
}

struct account_new fixture_user(const char *name, int64_t uid)
{
    return (struct account_new){ .name = view_of(name),
                                 .uid = uid,
                                 .mail = VIEW("alice@example.com"),
                                 .password = VIEW("correct horse"),
                                 .created_ms = START_MS,
                                 .epoch = 1 };
}

struct account_new fixture_synced(const char *name, int64_t uid)
{
    return (struct account_new){ .name = view_of(name),
                                 .uid = uid,
                                 .node = VIEW("node1.example.net"),
                                 .placed = VIEW("1767225600000 first"),
                                 .created_ms = START_MS,
                                 .epoch = 1,
                                 .client_state = VIEW("aaaa"),
                                 .generation = 1234,
                                 .keys_changed = 1200 };
}

rc fixture_try_add(struct fixture *f, const struct account_new *n, struct err *e)
{
    struct account_new ours = *n;
    if (!fixture_guest || !n->password.p)
        return account_add(f->s, n, e);
    fixture_ldap_person(f->ldap, n->name, n->password, n->mail);
    ours.password = VIEW_NONE;
    return account_add(f->s, &ours, e);
}

void fixture_add(struct fixture *f, const struct account_new *n)
{
    struct err e = ERR_NONE;
    if (fixture_try_add(f, n, &e) != RC_OK)
        fail_msg("%s", e.text);
}

struct account fixture_get(struct fixture *f, const char *name)
{
    struct account acc = { 0 };
    struct err e = ERR_NONE;
    if (account_get(f->s, ACCOUNT_BY_NAME, view_of(name), &f->arena, &acc, &e) != RC_OK)
        fail_msg("%s: %s", name, e.text);
    return acc;
}

struct change fixture_change(enum account_attr attr, const char *expected, const char *wanted)
{
    return (struct change){ attr, view_of(expected), view_of(wanted) };
}
