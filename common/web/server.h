/* One listener: io threads that run libmicrohttpd's epoll loops, a bounded queue, and workers that run handlers.
 *
 *  io thread    URI callback      new request with arena; keep the raw target: Hawk signs it before decoding
 *  io thread    headers complete  route -> 404/405; body ceiling; admit (CPU only); Basic without a verdict is parked
 *                                 and verified here, before its body is read
 *  io thread    body              copied into a bounded buffer; all buffers together have a ceiling too (else 503)
 *  io thread    body complete     warm, or: queue full -> 503 + Retry-After, else suspend and enqueue
 *  worker       handler           fill the reply
 *  worker       resume            the last touch of the request by this thread
 *  io thread    called again      queue the response: one place for headers, log line, metrics
 *  io thread    completed         free the arena
 */
#ifndef HEDDLE_WEB_SERVER_H
#define HEDDLE_WEB_SERVER_H

#include "common/base/clock.h"
#include "common/base/conf.h"
#include "common/base/metrics.h"
#include "common/web/reply.h"
#include "common/web/request.h"
#include "common/web/router.h"

/* Keys of [public]; the same structure with other defaults serves [internal]. */
struct server_conf {
    char *listen; /* HOST:PORT, [V6]:PORT, or a path beginning with '/' (unix socket) */
    char *url;    /* public URL, no slash at its end; "": made of listen */
    int64_t io_threads;
    int64_t io_nice; /* of these; 0: as the process is */
    int64_t workers;
    int64_t queue;             /* requests waiting for a worker */
    int64_t queue_wait_s;      /* a request that has waited longer gets 503 */
    int64_t connections;       /* at most */
    int64_t connection_bytes;  /* libmicrohttpd's pool for each */
    int64_t connections_bytes; /* of all connections together, idle ones too; 0: no ceiling of its own */
    int64_t idle_s;            /* keep-alive, while there is plenty of both */
    int64_t body_bytes;        /* all bodies in memory together */
    int64_t arena_bytes;       /* one request's ceiling, without its body */
    int64_t drain_s;           /* time for running requests at shutdown */
    char *tls_cert, *tls_key;  /* PEM files; "" for none */
    char *spool_dir;           /* for large answers; "": TMPDIR or /tmp */
    struct conf_list trusted_proxies; /* addresses or CIDR whose X-Forwarded-For we believe */
    bool reuse_port;                  /* several processes on one port */
};
extern const struct conf_key server_conf_public[], server_conf_internal[];
extern const size_t server_conf_public_n, server_conf_internal_n;

struct server;

/* Starts listening. mounts and conf are borrowed until server_close. internal: this is the internal listener, which also
 * has /metrics. RC_BAD_INPUT: a wrong address, certificate or key (err.text says which); RC_BUSY: the port is taken. */
MUST_USE rc server_open(const struct server_conf *c, bool internal, const struct mount *mounts,
                        size_t n_mounts, const struct clock *clock, struct server **out, struct err *e);

/* What can be said of the settings without opening a listener: the form of the address, the proxies, and that certificate and key are
 * there and belong together. RC_BAD_INPUT. */
MUST_USE rc server_check(const struct server_conf *c, struct err *e);

/* Heartbeats turn 503 at once, and each reply is the last of its connection. Who has dialled is let in, nobody new is; requests under way
 * and queued are finished within drain_s, and then the connections that stay open are closed. With reuse_port it takes a second longer
 * where clients keep idle connections. */
void server_drain(struct server *s);
void server_close(struct server *s); /* drains first if that was not done */

/* The port that was bound (for listen with port 0). 0 for a unix socket. */
unsigned server_port(const struct server *s);
/* How deep the queue is, for the pulse and metrics. */
unsigned server_queue_depth(const struct server *s);

/* Of all listeners of that kind in this process: how long requests took, and how many wait for a worker. */
metric server_latency(bool internal);
unsigned server_waiting(bool internal);

/* A text for people: "http://127.0.0.1:8000". Of conf.url if set. */
const char *server_url(const struct server *s);

/* Cuts a URL: "https://h:8443/base" → scheme, host (brackets kept), port (default by scheme), base ("" or "/base"); host_port is host[:port]
 * as it stands there, which is a node's name. false: not an absolute http(s) URL without user, query and fragment. */
struct url_parts {
    view scheme, host, base, host_port;
    unsigned port;
};
bool url_cut(view url, struct url_parts *out);

/* Blocks SIGINT, SIGTERM and SIGHUP in the calling thread (call before any thread starts), and waits for one, so many seconds at
 * most: gives the signal's number, or 0. */
void signals_block(void);
int signals_wait(int64_t seconds);

#endif
