/* For tests that talk to a real server: a client on a raw socket, which says exactly what the test wants, and a clock.
 * Every read ends after a minute, so a test that waits for what never comes fails instead of hanging. */
#ifndef HEDDLE_WEB_TESTING_H
#define HEDDLE_WEB_TESTING_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/testing.h"
#include "common/web/testing_conf.h"

/* ---- a clock ---- */

/* The wall's time, and a steady one that stands still where the test does not step it. Threads may look at it meanwhile. */
struct clock_stepped {
    struct clock clock;
    _Atomic int64_t steady_us;
};
#define CLOCK_STEPPED                                                                                        \
    {                                                                                                        \
        .clock = { .now_us = clock_stepped_wall, .mono_us = clock_stepped_steady }, .steady_us = 1000000000  \
    }

static inline int64_t clock_stepped_wall(const struct clock *c)
{
    (void)c;
    return clock_now_us(clock_system());
}

static inline int64_t clock_stepped_steady(const struct clock *c)
{
    return ((const struct clock_stepped *)c)->steady_us;
}

/* ---- a client ---- */

struct client {
    int fd;
    char *in; /* read, not yet taken */
    size_t n, cap;
};

struct said {
    int status;      /* 0: the connection ended before a whole reply came */
    char head[4096]; /* status line and headers */
    char *body;
    size_t body_n;
};

static inline void client_timeout(int fd)
{
    struct timeval tv = { .tv_sec = 60 };

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
}

static inline struct client client_to(const struct sockaddr *sa, socklen_t n)
{
    struct client c = { .fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0) };

    if (connect(c.fd, sa, n) != 0) {
        close(c.fd);
        c.fd = -1;
        return c;
    }
    client_timeout(c.fd);
    return c;
}

/* fd is -1 when nobody listens. */
static inline struct client client_dial(unsigned port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return client_to((const struct sockaddr *)&sa, sizeof sa);
}

static inline struct client client_dial_unix(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };

    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    return client_to((const struct sockaddr *)&sa, sizeof sa);
}

static inline void client_done(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->in);
    *c = (struct client){ .fd = -1 };
}

/* false: the other side is gone. */
static inline bool client_say_bytes(struct client *c, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = send(c->fd, bytes, n, MSG_NOSIGNAL);

        if (done <= 0)
            return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

static inline bool client_say(struct client *c, const char *text)
{
    return client_say_bytes(c, text, strlen(text));
}

/* Reads more; false: end or time out. */
static inline bool client_read(struct client *c)
{
    if (c->cap - c->n < 65536) {
        c->cap = 2 * c->cap + 65536;
        c->in = realloc(c->in, c->cap);
        assert_non_null(c->in);
    }
    ssize_t got = recv(c->fd, c->in + c->n, c->cap - c->n - 1, 0);
    if (got <= 0)
        return false;
    c->n += (size_t)got;
    c->in[c->n] = '\0';
    return true;
}

/* true: the server closed the connection, whatever it said before. */
static inline bool client_ended(struct client *c)
{
    char drop[4096];
    ssize_t got;

    while ((got = recv(c->fd, drop, sizeof drop, 0)) > 0)
        ;
    return got == 0 || errno == ECONNRESET;
}

/* head: a reply to HEAD, which has a length but no body. The answer's body is the caller's (free). */
static inline struct said client_hear_as(struct client *c, bool head)
{
    struct said s = { .status = 0 };
    char *end;

    while (!c->n || !(end = strstr(c->in, "\r\n\r\n")))
        if (!client_read(c))
            return s;
    size_t head_n = (size_t)(end - c->in) + 4;
    assert_in_range(head_n, 12, sizeof s.head - 1);
    memcpy(s.head, c->in, head_n);
    s.head[head_n] = '\0';
    long status = strtol(s.head + 9, NULL, 10);
    const char *length = strcasestr(s.head, "\r\nContent-Length:");
    size_t body_n = length && !head && status != 304 ? strtoul(length + 17, NULL, 10) : 0;
    while (c->n < head_n + body_n)
        if (!client_read(c))
            return s;
    s.body = malloc(body_n + 1);
    assert_non_null(s.body);
    memcpy(s.body, c->in + head_n, body_n);
    s.body[body_n] = '\0';
    s.body_n = body_n;
    s.status = (int)status;
    memmove(c->in, c->in + head_n + body_n, c->n - head_n - body_n);
    c->n -= head_n + body_n;
    if (c->in)
        c->in[c->n] = '\0';
    return s;
}

static inline struct said client_hear(struct client *c)
{
    return client_hear_as(c, false);
}

/* What was heard when `text` was said; any body where that is NULL. Frees it. */
static inline void said_expect(struct said s, const char *text, int status, const char *body)
{
    if (s.status != status)
        fail_msg("status %d instead of %d to: %.200s", s.status, status, text);
    if (body)
        assert_string_equal(s.body, body);
    free(s.body);
}

static inline void client_expect(struct client *c, const char *text, int status, const char *body)
{
    assert_true(client_say(c, text));
    said_expect(client_hear(c), text, status, body);
}

#endif
