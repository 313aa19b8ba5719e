/* One process's cache, moved by lines on standard input, for tests that must do something to Redis between two steps:
 *   fill VALUE    read; where nothing is, fill in the value as read from a store
 *   write VALUE   a whole write
 *   note          answers as read does; where nothing is, what was read from a store from now on may be …
 *   put VALUE     … filled in
 *   read          answers with the value, or "-"
 *   healthy       answers "yes" or "no"
 * Each line is answered with one; fill, put and write with "ok". */
#include "common/base/scope.h"
#include "conformance.h"

#define USER 1

static void say(view v)
{
    printf("%.*s\n", VIEW_ARG(v));
    fflush(stdout);
}

static void obey(struct cache_handle *h, view order, view value, struct buf *out)
{
    static struct cache_mark noted;
    struct cache_mark mark;

    if (view_eq(order, VIEW("note"))) {
        say(cache_get(h, USER, out, &noted) ? buf_view(out) : VIEW("-"));
    } else if (view_eq(order, VIEW("put"))) {
        cache_fill(h, USER, &noted, value);
        say(VIEW("ok"));
    } else if (view_eq(order, VIEW("fill"))) {
        if (!cache_get(h, USER, out, &mark))
            cache_fill(h, USER, &mark, value);
        say(VIEW("ok"));
    } else if (view_eq(order, VIEW("write"))) {
        cache_before(h, USER, &mark);
        cache_after(h, USER, &mark, value);
        say(VIEW("ok"));
    } else if (view_eq(order, VIEW("read"))) {
        say(cache_get(h, USER, out, NULL) ? buf_view(out) : VIEW("-"));
    } else {
        say(cache_healthy(h) ? VIEW("yes") : VIEW("no"));
    }
}

int talk_run(const char *socket, const char *scope)
{
    struct cache_conf c = conformance_conf("redis", socket, scope);
    struct cache *cache = NULL;
    struct cache_handle *h = NULL;
    struct err e = ERR_NONE;
    SCOPED(buf_done) struct buf out = { 0 };
    char line[256];

    if (cache_open(&c, clock_system(), &cache, &e) != RC_OK || cache_handle_open(cache, &h, &e) != RC_OK) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin)) {
        view rest = { .p = line, .n = strcspn(line, "\n") }, order;
        view_cut(&rest, ' ', &order);
        obey(h, order, rest, &out);
    }
    cache_handle_close(h);
    cache_close(cache);
    versions_unlink(scope);
    return 0;
}
