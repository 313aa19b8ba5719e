#include "admin/admin.h"
#include "common/web/server.h"

#define AT(field) offsetof(struct admin_conf, lb.field)

const struct conf_key lb_conf_keys[] = {
    { "lb.kind", CONF_TEXT, AT(kind), "haproxy", 0, 0, 0, "", "The balancer: haproxy or nginx." },
    { "lb.folder", CONF_TEXT, AT(folder), "", 0, 0, 0, "",
      "Folder for its configuration and maps, with an absolute path; its sockets and pid file are expected there." },
    { "lb.url", CONF_TEXT, AT(url), "", 0, 0, 0, "",
      "The public URL, without a slash at its end: public.url of directories and nodes." },
    { "lb.listen", CONF_LIST, AT(listen), "127.0.0.1:8080", 0, 0, 0, "",
      "Where the balancer listens: HOST:PORT, or *:PORT." },
    { "lb.tls_cert", CONF_TEXT, AT(tls_cert), "", 0, 0, 0, "",
      "PEM file with certificate chain and private key; empty: no TLS, for what stands behind another door." },
    { "lb.directories", CONF_LIST, AT(directories), "", 0, 0, 0, "",
      "Public listeners of the directories: HOST:PORT." },
    { "lb.reach", CONF_LIST, AT(reach), "", 0, 0, 0, "",
      "NODE=HOST:PORT where a node is reached, without TLS; else host, port and scheme of its own URL." },
    { "lb.ca_file", CONF_TEXT, AT(ca_file), "/etc/ssl/certs/ca-certificates.crt", 0, 0, 0, "",
      "PEM file with the authorities that nodes with an https URL are checked against." },
    { "lb.console", CONF_TEXT, AT(console), "", 0, 0, 0, "",
      "HOST:PORT of the admins' console, served below /admin; empty: not served (404)." },
    { "lb.user", CONF_TEXT, AT(user), "", 0, 0, 0, "",
      "Whom the balancer's workers run as when it is started by root; empty: haproxy root, nginx nobody." },
    { "lb.routes", CONF_TEXT, AT(routes), "slots", 0, 0, 0, "",
      "slots: a row for each of 4096 hash slots, and one for each user who lives elsewhere. users: a row for each user." },
    { "lb.headers", CONF_LIST, AT(headers), "", 0, 0, 0, "",
      "Further request headers that clients may send, in lower case." },
    { "lb.free", CONF_LIST, AT(free), "127.0.0.0/8,::1", 0, 0, 0, "",
      "Networks that limits of addresses do not hold for." },
    { "lb.limit_address", CONF_INT, AT(limit_address), "2000", 0, 100000000, 0, "",
      "Requests of one address in ten seconds; 0: any number." },
    { "lb.limit_user", CONF_INT, AT(limit_user), "1000", 0, 100000000, 0, "",
      "Requests of one user in ten seconds; 0: any number." },
    { "lb.limit_token", CONF_INT, AT(limit_token), "200", 0, 100000000, 0, "",
      "Requests of one address to the token server in ten seconds; 0: any number." },
    { "lb.limit_account", CONF_INT, AT(limit_account), "100", 0, 100000000, 0, "",
      "Requests of one address to the User API and its screens in ten seconds; 0: any number." },
    { "lb.limit_console", CONF_INT, AT(limit_console), "100", 0, 100000000, 0, "",
      "Requests of one address to the console in ten seconds; 0: any number." },
    { "lb.backoff", CONF_LIST, AT(backoff), "", 0, 0, 0, "",
      "NODE=SECONDS or all=SECONDS: clients are asked to stay away so long; a node that asks for more is heard." },
    { "lb.retry_after", CONF_SECONDS, AT(retry_after_s), "15", 1, 86400, 0, "s",
      "Retry-After of what the balancer refuses: this, and up to twice as long." },
    { "lb.hold", CONF_SECONDS, AT(hold_s), "10", 0, 60, 0, "s",
      "How long a user in cut-over waits in HAProxy at most." },
    { "lb.slowstart", CONF_SECONDS, AT(slowstart_s), "60", 1, 3600, 0, "s",
      "A node that comes back takes as many requests at a time as before only after this (HAProxy)." },
    { "lb.node_requests", CONF_INT, AT(node_requests), "256", 1, 1000000, 0, "",
      "Requests under way at one node; more wait." },
    { "lb.queue_wait", CONF_SECONDS, AT(queue_wait_s), "10", 1, 600, 0, "s",
      "Who has waited longer for his node gets 503 (HAProxy)." },
    { "lb.connections", CONF_INT, AT(connections), "8000", 10, 10000000, 0, "",
      "Connections of clients at a time; HAProxy needs twice as many open files." },
    { "lb.body_15", CONF_SIZE, AT(body_15), "4m", 1024, (int64_t)1 << 40, 0, "bytes",
      "Largest body in Sync 1.5; not below limits.max_request_bytes of the nodes." },
    { "lb.body_11", CONF_SIZE, AT(body_11), "33m", 1024, (int64_t)1 << 40, 0, "bytes",
      "Largest body in Sync 1.1; not below limits.legacy_request_bytes of the nodes." },
    { "lb.url_bytes", CONF_SIZE, AT(url_bytes), "16000", 1024, 30000, 0, "bytes",
      "Longest path with query; longer ones get 414." },
    { "lb.canary", CONF_LIST, AT(canary), "", 0, 0, 0, "",
      "NODE=HOST:PORT or directory=HOST:PORT: a second process that gets lb.canary_percent of the users." },
    { "lb.canary_percent", CONF_INT, AT(canary_percent), "5", 0, 100, 0, "%",
      "Share of the users, always the same ones, for lb.canary." },
    { "lb.log", CONF_TEXT, AT(log), "stdout", 0, 0, 0, "",
      "HAProxy: stdout, the path of a socket, or HOST:PORT of a syslog server. nginx: the path of a file." },
    { "lb.resync", CONF_SECONDS, AT(resync_s), "10m", 1, 86400, 0, "s",
      "How often \"lb follow\" reads all accounts again, to be sure." },
    { "lb.templates", CONF_TEXT, AT(templates), "", 0, 0, 0, "",
      "Folder with templates of your own, as lb-rules has them; empty: the built-in ones." },
};
const size_t lb_conf_keys_n = sizeof(lb_conf_keys) / sizeof(lb_conf_keys[0]);

static bool is_word(const char *text, const char *a, const char *b)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

rc lb_conf_check(const struct lb_conf *c, struct err *e)
{
    struct url_parts u;

    if (!is_word(c->kind, "haproxy", "nginx"))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "lb.kind is \"%.60s\": must be haproxy or nginx", c->kind);
    if (!is_word(c->routes, "slots", "users"))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "lb.routes is \"%.60s\": must be slots or users",
                    c->routes);
    if (c->folder[0] != '/')
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "lb.folder is needed, with an absolute path");
    if (!url_cut(view_of(c->url), &u))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "lb.url is \"%.100s\": must be like https://sync.example.net", c->url);
    if (c->directories.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "lb.directories is needed: HOST:PORT of each directory's public listener");
    return RC_OK;
}
