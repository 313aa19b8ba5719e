/* Life of a console. */
#include "admin/console/console.h"

#include <unistd.h>

#include "admin/console/embedded.h"
#include "admin/console/inside.h"
#include "admin/folder.h"
#include "common/auth/secrets.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/page/limits.h"
#include "common/page/media.h"
#include "common/page/seal.h"
#include "common/web/server.h"

enum { GUESSES_WINDOW_S = 600, KEY_BYTES = 32, BODY_MOST = 64 * 1024 };

/* heddle-admin: this program, or what lies beside it. */
static char *program_path(const char *given)
{
    char path[4096];
    if (given)
        return mem_need(strdup(given));
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("heddle-admin"));
    if (n <= 0)
        return mem_need(strdup("heddle-admin"));
    path[n] = '\0';
    char *name = strrchr(path, '/');
    memcpy(name ? name + 1 : path, "heddle-admin", sizeof("heddle-admin"));
    return mem_need(strdup(path));
}

/* Sessions live through a restart. */
static rc open_seal(struct console *c, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    TRY(folder_path(c->admin, "console", &path, e));
    buf_add(&path, VIEW("/session.key"));
    TRY(secret_file(buf_text(&path), KEY_BYTES, &c->secret, e));
    return seal_new(&(struct conf_list){ .items = &c->secret, .n = 1 }, &c->seal, e);
}

static void make_routes(struct console *c)
{
    c->routes = mem_need(calloc(console_pages_n, sizeof(*c->routes)));
    for (size_t i = 0; i < console_pages_n; i++) {
        const struct console_page *x = &console_pages[i];
        unsigned quick = x->flags & CONSOLE_MEDIA ? ROUTE_QUICK : 0;
        c->routes[i] = (struct route){ .methods = x->methods,
                                       .path = x->path,
                                       .handler = console_serve,
                                       .auth = AUTH_SELF,
                                       .body_max = x->methods & POST ? BODY_MOST : 0,
                                       .dialect = DIALECT_PLAIN,
                                       .flags = ROUTE_SLASHES | quick,
                                       .op = (int)i };
    }
}

static rc open_all(struct console *c, const struct console_options *o, struct err *e)
{
    struct url_parts u;
    TRY(console_check(o->conf, e));
    if (!url_cut(view_of(o->public_url), &u))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "console.url is \"%s\"", o->public_url);
    if (asprintf(&c->base, "%.*s/admin", VIEW_ARG(u.base)) < 0)
        abort();
    TRY(open_seal(c, e));
    c->site = (struct site){ .name = c->conf->name,
                             .cookie = "heddle-console",
                             .base = view_of(c->base),
                             .https = view_eq(u.scheme, VIEW("https")),
                             .idle_s = c->conf->idle_s,
                             .life_s = c->conf->life_s,
                             .seal = c->seal,
                             .ended = ended_new(),
                             .navigation = console_navigation,
                             .style = "console.css",
                             .script = "console.js",
                             .calls = true,
                             .candid = true };
    TRY(languages_open(c->conf->folder, embedded_console_words, &c->site.languages, e));
    TRY(media_open(c->conf->folder, embedded_console_media, &c->site.media, e));
    c->guesses = limits_new(c->conf->guesses, GUESSES_WINDOW_S);
    limits_count_loopback(c->guesses);
    c->follow = follow_new(c->admin);
    make_routes(c);
    return watch_open(c->admin, c->clock, &c->watch, e);
}

rc console_open(const struct console_options *o, struct console **out, struct err *e)
{
    struct console *c = mem_need(calloc(1, sizeof(*c)));
    c->conf = o->conf;
    c->admin = o->admin;
    c->clock = o->clock;
    c->alone = o->alone;
    c->program = program_path(o->program);
    rc r = open_all(c, o, e);
    if (r != RC_OK) {
        console_close(c);
        return r;
    }
    *out = c;
    return RC_OK;
}

void console_close(struct console *c)
{
    if (!c)
        return;
    watch_close(c->watch);
    follow_free(c->follow);
    limits_free(c->guesses);
    languages_close(&c->site.languages);
    media_close(c->site.media);
    ended_free(c->site.ended);
    seal_free(c->seal);
    if (c->secret)
        secret_wipe(c->secret, strlen(c->secret));
    free(c->secret);
    free(c->routes);
    free(c->base);
    free(c->program);
    free(c);
}

/* ---- serving ---- */

static rc worker_open(void *app, void **out, struct err *e)
{
    struct console *c = app;
    struct console_worker *w = mem_need(calloc(1, sizeof(*w)));
    rc r = ask_new(c->admin, &w->ask, e);
    if (r != RC_OK)
        free(w);
    else
        *out = w;
    return r;
}

static void worker_close(void *worker)
{
    struct console_worker *w = worker;
    ask_free(w->ask);
    free(w);
}

void console_mount(struct console *c, struct mount *out)
{
    size_t skipped = c->alone ? 0 : 1; /* "/" stands first */
    *out = (struct mount){ .name = "console",
                           .service = "console",
                           .routes = c->routes + skipped,
                           .n_routes = console_pages_n - skipped,
                           .kinds = console_kinds,
                           .n_kinds = console_kinds_n,
                           .app = c,
                           .worker_open = worker_open,
                           .worker_close = worker_close };
}
