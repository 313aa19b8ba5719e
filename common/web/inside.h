/* What the files of this folder know of each other and nobody else needs: the server's own half of a request, its listener,
 * its queue. Unit tests elsewhere may use web_request_new to build a request without a socket.
 *
 * Locks: watch.lock, queue.lock, server.quiet_lock; nobody holds two of them, and none while a mount's function runs. */
#ifndef HEDDLE_WEB_INSIDE_H
#define HEDDLE_WEB_INSIDE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "common/base/metrics.h"
#include "common/web/reply.h"
#include "common/web/request.h"
#include "common/web/server.h"

struct MHD_Connection;
struct MHD_Daemon;
struct taken;

#define REPLY_SPILL_BYTES ((size_t)4 << 20)   /* a body above this goes to a file */
#define REPLY_WRITE_BYTES ((size_t)256 << 10) /* … and then in pieces of this */
#define BODY_DROP_BYTES   ((size_t)64 << 10)  /* an unwanted body is read and dropped up to this */
#define BODY_OVERRUN_BYTES                                                                                   \
    ((size_t)4 << 20) /* a chunked body too large: read on so far, to be able to say 413 */
#define BODY_FIRST_BYTES ((size_t)64 << 10) /* the first piece of a body's buffer */
#define QUERY_ARGS_MAX   256

/* ---- reply.c ---- */

struct reply {
    int status;
    const char *type;
    struct buf body;
    struct buf headers; /* name NUL value NUL … */
    int spill_fd;       /* unlinked file, or -1 */
    uint64_t spilled;   /* bytes in it */
    stamp last_modified, timestamp;
    bool has_last_modified, has_timestamp, close;
    unsigned retry_after_s; /* 0: none */
};

void reply_init(struct reply *r);
void reply_done(struct reply *r);
/* Answers that are no rc: 405 with Allow, 400 of a malformed request, 408. The body is as in reply_fail. */
void reply_refuse(struct request *rq, int status, unsigned allow);
/* The rc's default answer for "later": seconds, with a spread where all clients come back at once. 0: no header. */
unsigned reply_retry_after_s(rc r);
/* Writes what is left into the spill file if there is one. RC_AWAY as reply_flush. */
MUST_USE rc reply_finish(struct request *rq, struct err *e);
/* The headers that every reply of a dialect has, and those that follow from the status; called last. */
void reply_common_headers(struct request *rq);
enum dialect reply_dialect(const struct request *rq);

/* ---- request.c ---- */

struct web_header {
    view name, value;
};

/*  HEADERS --ok--> BODY --complete--> PARKED --worker done--> SENT
 *     |  \--late--> LATE --ok--> BODY                |
 *     |              \--refused--.                   '- warm, quick: straight to SENT
 *     '--refused--> READY <------'  (the rest of the body is dropped) --> SENT
 * HEADERS and LATE may also go to SENT at once; the connection is closed then. */
enum web_phase { PHASE_HEADERS, PHASE_LATE, PHASE_BODY, PHASE_PARKED, PHASE_READY, PHASE_SENT };

/* First member of struct request's life: rq.web points here. */
struct web_request {
    struct request rq;
    struct arena arena;
    struct reply reply;
    struct err err;
    rc result;
    enum web_phase phase;
    enum route_result routed;
    unsigned allow;

    struct io *io;
    struct web_conn *conn;
    struct MHD_Connection *mhd;

    struct web_header *headers;
    size_t n_headers, cap_headers;
    const char *malformed; /* why the headers are no HTTP; NULL: they are */
    bool has_length, chunked, expects;
    uint64_t length; /* of the body, as announced */

    struct buf body;
    size_t body_max;
    size_t body_counted; /* bytes of it in the server's account */
    uint64_t received;   /* bytes of body that came */

    struct web_request *next; /* in the queue */
    struct worker *worker;    /* who runs it now */
    int64_t begun_us, queued_us, queue_us;
    int linger_fd; /* a dup of the connection, for watch_linger; or -1 */
    bool dropping; /* the body is not wanted */
    bool early;    /* the worker answered along with admit_late: the first call is still to be given back */
    bool logged, active;

    char id[REQUEST_ID_MAX + 1];
    char peer[64];
};

/* A request that has its target but no headers yet. clock is borrowed. */
struct web_request *web_request_new(const struct clock *clock, size_t arena_bytes, view target);
void web_request_free(struct web_request *w); /* NULL is fine */
/* Instead of both for one that is used again: it gives back what it has but for a small block, and later becomes another. */
void web_request_clear(struct web_request *w);
void web_request_begin(struct web_request *w, const struct clock *clock, view target);
void web_request_method(struct web_request *w, view method);
void web_request_header_add(struct web_request *w, view name, view value);
/* When all headers are there: framing, content type. Sets `malformed`. http_1_0: the version of the request. */
void web_request_headers_done(struct web_request *w, bool http_1_0);
/* Fills args from query. */
void request_args_parse(struct request *rq);

/* ---- proxies.c ---- */

struct net {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};

struct proxies {
    struct net *nets;
    size_t n;
    bool local; /* "unix": who comes over a unix socket */
};

struct address {
    uint8_t bytes[16];
    bool local; /* a unix socket */
};

/* RC_BAD_INPUT names the entry that is neither an address, a CIDR nor "unix". */
MUST_USE rc proxies_parse(const struct conf_list *list, struct proxies *out, struct err *e);
void proxies_done(struct proxies *p);
bool proxies_trust(const struct proxies *p, const struct address *a);
void address_of(const struct sockaddr *sa, struct address *out);
bool address_parse(view text, struct address *out); /* with or without brackets and port */
void address_print(const struct address *a, char out[64]);
/* The client behind `peer`: walks the list of X-Forwarded-For from its end while it stands on trusted ground. */
void proxies_client(const struct proxies *p, const struct address *peer, const struct request *rq,
                    struct address *out);

/* ---- listen.c ---- */

struct listener {
    int fd;
    unsigned port;   /* 0: unix socket */
    char *unix_path; /* NULL: TCP */
    char text[300]; /* "127.0.0.1:8000", "[::1]:8000"; wildcards as loopback; "localhost" for a unix socket */
};
MUST_USE rc listener_open(const char *listen, bool reuse_port, struct listener *out, struct err *e);
/* Nobody new comes to it, but those who are on their way still do: connections of theirs that are in its queue, or about to be, are to be
 * accepted before it is closed, or the kernel resets them. TCP: a filter on the socket drops what opens a connection, and lets the end of a
 * handshake through; the client's kernel asks again after a second, and then another process of the port answers, or nobody.
 * Unix: the path is taken away. */
void listener_retire(struct listener *l);
bool listener_waiting(const struct listener *l); /* somebody is in its queue */
void listener_close(struct listener *l);
/* Whether the text has the form of an address; nothing is looked up or opened. */
MUST_USE rc listener_check(const char *listen, struct err *e);

/* ---- tls.c ---- */

/* The texts of certificate chain and key, proved to belong together; both stay as they are where the server speaks no TLS. For
 * tls_forget. */
MUST_USE rc tls_read(const struct server_conf *c, char **out_cert, char **out_key, struct err *e);
void tls_forget(char *cert, char *key); /* takes NULL */

/* ---- workers.c ---- */

struct worker {
    struct server *server;
    pthread_t thread;
    sem_t wake;
    struct worker *next_sleeper;
    int64_t begun_us; /* of his job; 0: he has none. Under queue.lock, as is slow */
    bool slow;        /* his job is a write, or takes long: he does not count as brisk */
    void **states;    /* one for each mount; NULL until opened */
};

struct queue {
    pthread_mutex_t lock;
    struct web_request *head, *tail;
    struct worker *sleepers; /* who fell asleep last stands first */
    unsigned depth;
    unsigned limit; /* it is full with so many: `most`, or `few` while it overflows */
    unsigned most, few;
    bool overflows;
    int64_t deep_since_us; /* that more than `few` have been waiting, and long; 0: they are not */
    int64_t full_us;       /* when it was seen full last */
    bool closed;
    int64_t full_since_us;    /* 0: not full */
    int brisk, brisk_enough;  /* workers awake that are not slow */
    bool paced;               /* queue_pace is being called */
    pthread_cond_t half;      /* depth fell to half of `few` while somebody rests */
    int resting;              /* io threads in queue_rest */
    unsigned rests;           /* counted, for tests */
    unsigned jobs, jobs_seen; /* counted, to see whether anything happens */
};

/* DEEP: taken, but so many wait already that workers will not lack work. */
enum queue_put { QUEUE_TAKEN, QUEUE_DEEP, QUEUE_FULL, QUEUE_CLOSED };

/* workers_start makes the queue as well; after a failure there is nothing to stop. */
MUST_USE rc workers_start(struct server *s, struct err *e);
void workers_stop(struct server *s); /* answers what waits with 503, joins */
enum queue_put queue_put(struct server *s, struct web_request *w);
/* Answers those that have waited too long while no worker came: called now and then. */
void queue_expire(struct server *s);
/* Wakes workers for jobs that those who are awake do not come for. Called every QUEUE_PACE_MS as long as it says so. */
#define QUEUE_PACE_MS 5
bool queue_pace(struct server *s);
int64_t queue_full_us(struct server *s); /* for how long it has been full; -1: it is not */
/* Asks every mount, with that mount's own app and state; on a worker. Appends members to out. */
bool workers_health(struct request *rq, struct buf *out);

/* ---- warm.c ---- */

/* Answers on the io thread by the route's `warm`, from memory alone if reads were slow lately; false: it has none, or would not, or is to
 * be left alone for now. */
bool warm_answered(struct web_request *w);

/* How often a thread has read a disk, and how often it has slept, for a disk or anything else. */
struct waits {
    long disk, any;
};
/* Whether a warm answer took long because it had to wait for something that io threads should not wait for. */
bool warm_waited(const struct waits *before, const struct waits *after, int64_t took_us);

/* ---- rest.c ---- */

/* On an io thread: when it begins its work; while workers have more than enough; with each request. */
void io_favour(struct io *io);
void io_press(struct io *io, int64_t now);
void io_relax(struct io *io);
/* Called where workers do not lack work: its io thread may wait a little for more to come. */
#define REST_FULL_MS 5 /* a request is refused */
#define REST_DEEP_MS 1 /* it was taken by a queue that is deep */
void io_rest(struct io *io, int64_t most_ms);
/* Waits until no more than half of `few` wait in the queue, at most so long. */
void queue_rest(struct server *s, int64_t most_ms);

/* The thread that accepts comes before all others that may be favoured: what it does for each connection is little. */
void accept_favour(const struct server *s);

/* ---- wake.c ---- */

/* From any thread: fd (an eventfd, non-blocking) becomes readable for whoever polls it; until he has taken it, once is as good as often. */
void wake_up(int fd);
void wake_taken(int fd); /* by him, when it is readable */

/* ---- accept.c ---- */

struct acceptor;
MUST_USE rc acceptor_start(struct server *s, struct acceptor **out, struct err *e); /* the io threads run */
void acceptor_stop(struct acceptor *a); /* accepts nobody any more */
void acceptor_free(struct acceptor *a); /* NULL is fine; stopped, and the io threads too */
void acceptor_room(struct acceptor *a); /* NULL is fine; a connection has ended */
/* One for that io thread: 0, or errno, EAGAIN where nobody waits. */
int accept_one(struct server *s, struct io *io);

/* ---- watch.c ---- */

/* One connection. The watch ends those whose request does not arrive in time, whatever little keeps arriving. */
struct web_conn {
    struct web_conn *prev, *next;
    int fd;
    struct address address;
    char peer[64];
    bool trusted;
    _Atomic int64_t deadline_us;   /* of what is being received; 0: nothing is */
    _Atomic int64_t idle_since_us; /* when its last answer was out, or it came; 0: a request is under way */
    bool seen_left;                /* the watch's own: the client had left at its last tick */
};

/* How long a connection may be silent when there are so many: `idle_us` up to half of `most`, then less and less, a second in the end. */
int64_t watch_patience_us(int64_t idle_us, int64_t n, int64_t most);

struct watch;
MUST_USE rc watch_start(struct server *s, struct watch **out, struct err *e);
void watch_stop(struct watch *w);
void watch_add(struct watch *w, struct web_conn *c);
void watch_remove(struct watch *w, struct web_conn *c);
/* Ends the connections on which nothing is under way: as in an idle keep-alive connection that timed out, their clients know that no
 * request of theirs was begun. */
void watch_hang_up(struct watch *w);
/* Takes fd (a dup of a connection about to be closed): reads on for a moment, so that a client still sending hears the
 * answer instead of a reset. */
void watch_linger(struct watch *w, int fd);
/* Calls queue_pace soon, and on until it is content. */
void watch_pace(struct watch *w);

/* ---- send.c ---- */

/* Queues the reply at libmicrohttpd, on the request's io thread. false: the connection must end. */
bool reply_send(struct web_request *w);
/* Log line and metrics, once for each request. aborted: why there is no reply of ours, or NULL. status 0: none at all. */
void request_account(struct web_request *w, int status, const char *aborted);
/* Where so many were told "later" that not each of them got its log line: says how many did not. Called now and then, and at the end. */
void refusals_tell(struct server *s);

/* The last 503 that an io thread sent: under a flood most are like it, byte by byte, and need not be made anew. */
struct refusal {
    struct MHD_Response *response; /* NULL: there was none yet */
    const char *type;
    struct buf headers;
    view body; /* the response's */
};
void refusal_forget(struct refusal *last);

/* ---- loop.c, io.c, server.c ---- */

struct io {
    struct server *server;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    bool runs; /* there is a thread */
    int epoll_fd, wake_fd;
    void **states;            /* of the mounts, for warm */
    int64_t *states_retry_us; /* when to try again after io_open failed; 0 */
    atomic_bool called;       /* by another thread: what it wants is to be looked at */
    atomic_bool asleep;       /* who calls is to wake it */
    atomic_bool stopping;
    _Atomic(struct taken *) taken; /* connections that were accepted, and are to be let in */
    atomic_int n_conns;            /* from io_take on */
    bool came;                     /* what is being let in has begun */
    uint64_t requests;             /* counts: second half of request ids */
    bool favoured, pressed;        /* by its niceness; and more than usual, since the queue is deep */
    int64_t pressed_us;            /* when it last was */
    int64_t looked_us;             /* when it last asked itself whether it may rest */
    char id_prefix[17];
    struct web_request *spare; /* cleared; the last one first, as the processor has it at hand */
    unsigned n_spare;
    struct refusal refusal;
};

struct route_state {
    metric requests[6]; /* by status / 100; [0]: no reply */
    _Atomic int64_t suspect_until_us;
    struct cold {
        _Atomic int64_t until_us, pause_us;
    } reads, all; /* for how long warm answers must not read a disk; for how long there are none */
};

struct server {
    const struct server_conf *conf;
    const struct clock *clock;
    bool internal;
    struct mount *mounts; /* the caller's and, last, ops */
    size_t n_mounts;
    struct route_state **routes; /* by mount, by route */
    struct route_state nowhere;  /* paths that nobody knows */
    metric latency, queue_wait, hurried;
    int64_t connections_most;

    struct listener listener;
    char *url;
    view base;
    struct proxies proxies;
    char *tls_cert, *tls_key; /* the files' texts */
    struct io *ios;
    size_t n_ios;
    int io_share; /* of connections, for each of them */
    struct acceptor *acceptor;
    struct worker *workers;
    size_t n_workers;
    struct queue queue;
    struct watch *watch;

    atomic_bool draining; /* every reply is the last one of its connection */
    bool drained;
    pthread_mutex_t quiet_lock; /* with quiet: active fell to 0 while draining */
    pthread_cond_t quiet;
    _Atomic int64_t bodies_bytes;
    atomic_uint refusals;    /* answered 503 since the last refusals_tell */
    atomic_uint active;      /* requests between their headers and their end */
    atomic_uint connections; /* that were accepted and have not ended */
};

MUST_USE rc io_start(struct io *io, struct err *e); /* io_stop even if it failed */
/* A connection that was accepted; it counts from now on. Owns fd. */
void io_take(struct io *io, int fd, const struct sockaddr *peer, socklen_t n);
void io_stop(struct io *io);
MUST_USE rc io_daemon_start(struct io *io, struct err *e);
void io_spares_free(struct io *io);
/* A worker is done with it: hands it back to its io thread. The last touch. */
void io_resume(struct web_request *w);

/* A request whose headers had been read is over. */
void server_request_ended(struct server *s);
/* A connection that io_take had counted was closed. */
void io_connection_ended(struct io *io);
struct route_state *server_route_state(struct server *s, const struct web_request *w);
size_t server_mount_index(const struct server *s, const struct mount *m);
int64_t server_io_threads(const struct server_conf *c); /* with 0 resolved */
int64_t server_workers(const struct server_conf *c);
/* How many connections there may be: as many as are set, or as fit into their memory. */
int64_t server_connections_most(const struct server_conf *c);

/* Gauges of the process, by [internal]: several servers of one kind add up. */
extern atomic_int web_queue_depth[2], web_connections[2];

#endif
