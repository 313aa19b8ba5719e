#include "common/web/inside.h"

#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/scope.h"

#define BACKLOG       1024
#define UNIX_PATH_MAX sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* ---- unix sockets ---- */

/* A file left by a server that died is taken away; one with somebody behind it is not. */
static rc path_free(const struct sockaddr_un *sa, struct err *e)
{
    struct stat st;

    if (lstat(sa->sun_path, &st) != 0)
        return errno == ENOENT
                   ? RC_OK
                   : fail(e, RC_BAD_INPUT, RESP_GENERIC, "listen: %s: %s", sa->sun_path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "listen: %s exists and is no socket", sa->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "listen: socket: %s", strerror(errno));
    int got = connect(fd, (const struct sockaddr *)sa, sizeof *sa);
    int why = errno;
    close(fd);
    if (got == 0 || why != ECONNREFUSED)
        return fail(e, RC_BUSY, RESP_GENERIC, "listen: %s is in use", sa->sun_path);
    if (unlink(sa->sun_path) != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "listen: %s: %s", sa->sun_path, strerror(errno));
    return RC_OK;
}

static rc path_too_long(const char *path, struct err *e)
{
    return fail(e, RC_BAD_INPUT, RESP_GENERIC, "listen: the path is longer than %zu bytes: %.120s",
                UNIX_PATH_MAX - 1, path);
}

static rc unix_open(const char *path, struct listener *out, struct err *e)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };

    if (strlen(path) >= UNIX_PATH_MAX)
        return path_too_long(path, e);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    TRY(path_free(&sa, e));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "listen: socket: %s", strerror(errno));
    /* Nobody can connect before listen(), so the mode is right from the first connection on. */
    if (bind(fd, (const struct sockaddr *)&sa, sizeof sa) != 0 || chmod(path, 0660) != 0 ||
        listen(fd, BACKLOG) != 0) {
        int why = errno;

        close(fd);
        return fail(e, why == EADDRINUSE ? RC_BUSY : RC_BAD_INPUT, RESP_GENERIC, "listen: %s: %s", path,
                    strerror(why));
    }
    *out = (struct listener){ .fd = fd, .unix_path = mem_need(strdup(path)), .text = "localhost" };
    return RC_OK;
}

/* ---- TCP ---- */

/* "HOST:PORT", "[V6]:PORT"; "*" and "" are every address. */
static bool host_port_cut(const char *text, char host[256], char port[8])
{
    const char *colon = strrchr(text, ':');
    const char *from = text, *to = colon;
    uint64_t number;

    if (!colon || !view_to_u64(view_of(colon + 1), 65535, &number))
        return false;
    if (from[0] == '[') {
        if (to == from || to[-1] != ']')
            return false;
        from++;
        to--;
    } else if (memchr(from, ':', (size_t)(to - from))) {
        return false;
    }
    size_t n = (size_t)(to - from);
    if (n >= 256)
        return false;
    memcpy(host, from, n);
    host[n] = '\0';
    if (strcmp(host, "*") == 0)
        host[0] = '\0';
    snprintf(port, 8, "%u", (unsigned)number);
    return true;
}

static int tcp_try(const struct addrinfo *ai, bool reuse_port)
{
    int on = 1, off = 0;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
        (ai->ai_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0) &&
        bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* For people: what was bound; every address is shown as loopback, where one can click on it. */
static void tcp_describe(struct listener *l)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa = { .v6 = { .sin6_family = AF_UNSPEC } };
    socklen_t n = sizeof sa;
    struct address a;
    char text[64];
    static const uint8_t any6[16], any4[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

    if (getsockname(l->fd, &sa.any, &n) != 0)
        abort();
    l->port = ntohs(sa.any.sa_family == AF_INET6 ? sa.v6.sin6_port : sa.v4.sin_port);
    address_of(&sa.any, &a);
    if (memcmp(a.bytes, any4, 16) == 0 || memcmp(a.bytes, any6, 16) == 0)
        snprintf(text, sizeof text, "127.0.0.1");
    else
        address_print(&a, text);
    snprintf(l->text, sizeof l->text, strchr(text, ':') ? "[%s]:%u" : "%s:%u", text, l->port);
}

static rc no_address(const char *listen_at, struct err *e)
{
    return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                "listen: \"%.120s\" is neither HOST:PORT, [V6]:PORT nor an absolute path", listen_at);
}

static rc tcp_open(const char *listen_at, bool reuse_port, struct listener *out, struct err *e)
{
    char host[256], port[8];
    struct addrinfo want = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    int fd = -1, why = EADDRNOTAVAIL;

    if (!host_port_cut(listen_at, host, port))
        return no_address(listen_at, e);
    int got = getaddrinfo(host[0] ? host : NULL, port, &want, &found);
    if (got != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "listen: \"%.120s\": %s", listen_at, gai_strerror(got));
    /* "*": [::] first, it takes both families. A name such as localhost: IPv4 first, which everybody can reach. */
    int families[2] = { host[0] ? AF_INET : AF_INET6, host[0] ? AF_INET6 : AF_INET };
    for (int pass = 0; pass < 2 && fd < 0; pass++) {
        for (struct addrinfo *ai = found; ai && fd < 0; ai = ai->ai_next) {
            if (ai->ai_family != families[pass])
                continue;
            fd = tcp_try(ai, reuse_port);
            if (fd < 0)
                why = errno;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        return fail(e, why == EADDRINUSE ? RC_BUSY : RC_BAD_INPUT, RESP_GENERIC, "listen: \"%.120s\": %s",
                    listen_at, strerror(why));
    *out = (struct listener){ .fd = fd };
    tcp_describe(out);
    return RC_OK;
}

rc listener_check(const char *listen_at, struct err *e)
{
    char host[256], port[8];

    if (listen_at[0] == '/')
        return strlen(listen_at) < UNIX_PATH_MAX ? RC_OK : path_too_long(listen_at, e);
    return host_port_cut(listen_at, host, port) ? RC_OK : no_address(listen_at, e);
}

rc listener_open(const char *listen_at, bool reuse_port, struct listener *out, struct err *e)
{
    return listen_at[0] == '/' ? unix_open(listen_at, out, e) : tcp_open(listen_at, reuse_port, out, e);
}

/* The filter sees a packet from its TCP header on, the handshake's last packet too: Linux, tcp_filter() in net/ipv4/tcp_ipv4.c. Closing a
 * listener resets what is in its queue, also beside others of its SO_REUSEPORT group (unless net.ipv4.tcp_migrate_req is on). */
void listener_retire(struct listener *l)
{
    enum { FLAGS_AT = 13, SYN = 0x02, ACK = 0x10 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),   BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = { .len = sizeof code / sizeof code[0], .filter = code };

    if (l->unix_path) {
        unlink(l->unix_path);
        free(l->unix_path);
        l->unix_path = NULL;
    } else if (l->fd >= 0 && setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
        LOG(LOG_WARN, "connections that open right now may be reset", LOG_S("why", strerror(errno)));
    }
}

bool listener_waiting(const struct listener *l)
{
    struct pollfd p = { .fd = l->fd, .events = POLLIN };

    return l->fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

void listener_close(struct listener *l)
{
    if (l->fd >= 0)
        close(l->fd);
    if (l->unix_path)
        unlink(l->unix_path);
    free(l->unix_path);
    l->fd = -1;
    l->unix_path = NULL;
}
