#include "admin/ask.h"

#include <stdio.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/web/internal.h"
#include "common/web/server.h"

enum { ANSWER_MAX = 64 << 20, PAGES_MAX = 1000000, DIRECTORIES_MAX = 32 };

const struct conf_key admin_conf_keys[] = {
    { "admin.directory", CONF_LIST, offsetof(struct admin_conf, directories), "", 0, 0, 0, "",
      "Internal addresses of the directories: http://HOST:PORT each, or the path of a unix socket." },
    { "admin.nodes", CONF_LIST, offsetof(struct admin_conf, nodes), "", 0, 0, 0, "",
      "NAME=ADDRESS for nodes whose internal address no directory knows, or that is another from here." },
    { "admin.name", CONF_TEXT, offsetof(struct admin_conf, name), "admin", 0, 0, 0, "",
      "The name that internal.keys of directories and nodes have for us." },
    { "admin.key", CONF_LIST, offsetof(struct admin_conf, key), "", 0, 0, CONF_SECRET, "",
      "The key that stands there (the last one); \"@FILE\" for a file." },
    { "admin.dir", CONF_TEXT, offsetof(struct admin_conf, dir), "", 0, 0, 0, "",
      "Folder of plans, journals of runs and the audit log; empty: $XDG_STATE_HOME/heddle-admin, or "
      "~/.local/state/heddle-admin." },
    { "admin.timeout", CONF_SECONDS, offsetof(struct admin_conf, timeout_s), "30", 1, 3600, 0, "s",
      "How long one call to a directory or node may take." },
};
const size_t admin_conf_keys_n = sizeof(admin_conf_keys) / sizeof(admin_conf_keys[0]);

/* One of those we call. */
struct place {
    char *name;    /* of a node; NULL for a directory */
    char *address; /* "http://…", or a path */
};

struct ask {
    const struct admin_conf *conf;
    struct caller *caller;
    size_t first;  /* of conf->directories: the one to ask first */
    bool answered; /* it has answered us */
    struct place *nodes;
    size_t n_nodes;
    long limit_ms; /* of a call, where it is shorter than the setting's; 0: none */
};

/* ---- settings ---- */

static bool is_socket(const char *address)
{
    return address[0] == '/';
}

static bool is_address(const char *address)
{
    struct url_parts u;
    return is_socket(address) ||
           (url_cut(view_of(address), &u) && u.base.n == 0 && address[strlen(address) - 1] != '/');
}

static rc check(const struct admin_conf *c, struct err *e)
{
    if (c->directories.n == 0 || c->key.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "admin.directory and admin.key are needed (see --help)");
    if (c->directories.n > DIRECTORIES_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "admin.directory: more than %d", DIRECTORIES_MAX);
    for (size_t i = 0; i < c->directories.n; i++)
        if (!is_address(c->directories.items[i]))
            return fail(
                e, RC_BAD_INPUT, RESP_GENERIC,
                "admin.directory has \"%.100s\": must be like http://10.0.0.1:8001, or the path of a unix socket",
                c->directories.items[i]);
    return RC_OK;
}

static void know_node(struct ask *a, view name, view address)
{
    a->nodes = mem_need(reallocarray(a->nodes, a->n_nodes + 1, sizeof(*a->nodes)));
    a->nodes[a->n_nodes++] = (struct place){ .name = mem_need(strndup(name.p, name.n)),
                                             .address = mem_need(strndup(address.p, address.n)) };
}

static rc read_nodes(struct ask *a, struct err *e)
{
    for (size_t i = 0; i < a->conf->nodes.n; i++) {
        view address = view_of(a->conf->nodes.items[i]), name;
        view_cut(&address, '=', &name);
        if (!ask_is_node_name(name) || !address.p || !is_address(address.p))
            return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                        "admin.nodes has \"%.100s\": must be NAME=ADDRESS, like "
                        "node7.example.net=http://10.0.0.7:8001",
                        a->conf->nodes.items[i]);
        know_node(a, name, address);
    }
    return RC_OK;
}

rc ask_new(const struct admin_conf *conf, struct ask **out, struct err *e)
{
    SCOPED(ask_free) struct ask *a = NULL;
    TRY(check(conf, e));
    a = mem_need(calloc(1, sizeof(*a)));
    a->conf = conf;
    TRY(read_nodes(a, e));
    TRY(caller_new(clock_system(), &a->caller, e));
    *out = a;
    a = NULL;
    return RC_OK;
}

void ask_free(struct ask *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_nodes; i++) {
        free(a->nodes[i].name);
        free(a->nodes[i].address);
    }
    free(a->nodes);
    caller_free(a->caller);
    free(a);
}

void ask_limit(struct ask *a, long ms)
{
    a->limit_ms = ms;
}

/* ---- one call ---- */

/* What the far side calls it; a status without a word of ours comes from somebody else's program. */
static rc word_of(view name, long status)
{
    static const rc words[] = { RC_NOT_FOUND,  RC_BAD_INPUT, RC_TOO_LARGE, RC_DENIED,   RC_FORBIDDEN,
                                RC_OVER_QUOTA, RC_MODIFIED,  RC_CONFLICT,  RC_NOT_HERE, RC_FROZEN,
                                RC_BUSY,       RC_AWAY,      RC_UNSURE,    RC_BROKEN };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (view_eq(name, view_of(rc_name(words[i]))))
            return words[i];
    return status >= 500 ? RC_AWAY : status == 404 ? RC_NOT_FOUND : status == 409 ? RC_CONFLICT : RC_BROKEN;
}

/* {"rc":"CONFLICT","text":"users live on node1"} */
static rc refused(const char *who, const struct answer *a, struct err *e)
{
    SCOPED(json_decref) json_t *body = NULL;
    view text = VIEW_NONE, word = VIEW_NONE;
    if (json_read(buf_view(&a->body), ASK_DEPTH, JSON_READ_PLAIN, &body, NULL) == RC_OK) {
        text = json_text(json_object_get(body, "text"));
        word = json_text(json_object_get(body, "rc"));
    }
    rc r = word_of(word, a->status);
    return fail(e, r, RESP_GENERIC, "%.60s answers %ld: %.*s", who, a->status,
                text.n > 150 ? 150 : (int)text.n, text.p ? text.p : "(nothing)");
}

static rc send_to(struct ask *a, const char *who, const char *address, const char *method, const char *path,
                  view body, struct answer *out, struct err *e)
{
    SCOPED(buf_done) struct buf url = { 0 };
    const struct admin_conf *c = a->conf;
    long timeout_ms = (long)c->timeout_s * 1000;
    buf_addf(&url, "%s/internal/v1/%s", is_socket(address) ? "http://localhost" : address, path);
    const struct call what = { .method = method,
                               .url = buf_text(&url),
                               .unix_socket = is_socket(address) ? address : NULL,
                               .content_type = body.p ? "application/json" : NULL,
                               .body = body,
                               .hawk_id = view_of(c->name),
                               .hawk_key = view_of(c->key.items[c->key.n - 1]),
                               .timeout_ms =
                                   a->limit_ms > 0 && a->limit_ms < timeout_ms ? a->limit_ms : timeout_ms,
                               .answer_max = ANSWER_MAX };
    rc r = call(a->caller, &what, out, e);
    if (r == RC_AWAY) { /* libcurl's words name a URL, which for a socket says nothing */
        struct err why = *e;
        return fail(e, r, RESP_GENERIC, "%.60s does not answer: %.170s", who, why.text);
    }
    TRY(r);
    return out->status == 200 ? RC_OK : refused(who, out, e);
}

static bool is_reading(const char *method)
{
    return strcmp(method, "GET") == 0;
}

size_t ask_directories(const struct ask *a)
{
    return a->conf->directories.n;
}

const char *ask_directory_name(const struct ask *a, size_t i)
{
    return a->conf->directories.items[i];
}

rc ask_directory_at(struct ask *a, size_t i, const char *method, const char *path, view body,
                    struct answer *out, struct err *e)
{
    return send_to(a, "the directory", a->conf->directories.items[i], method, path, body, out, e);
}

/* Reading, from the first that answers at all. */
static rc read_any(struct ask *a, const char *path, struct answer *out, struct err *e)
{
    rc r = RC_AWAY;
    for (size_t k = 0; k < ask_directories(a); k++) {
        size_t i = (a->first + k) % ask_directories(a);
        struct answer answer = { .status = 0 };
        r = ask_directory_at(a, i, "GET", path, VIEW_NONE, &answer, e);
        if (answer.status != 0) { /* it spoke, whatever it said */
            a->first = i;
            a->answered = true;
        }
        if (r == RC_OK) {
            answer_done(out);
            *out = answer;
            return r;
        }
        answer_done(&answer);
        if (r != RC_AWAY)
            return r;
    }
    return r;
}

rc ask_directory(struct ask *a, const char *method, const char *path, view body, struct answer *out,
                 struct err *e)
{
    if (is_reading(method))
        return read_any(a, path, out, e);
    if (!a->answered) { /* which of them is there? A question does no harm at one that then is not */
        SCOPED(answer_done) struct answer any = { .status = 0 };
        TRY(read_any(a, "loads", &any, e));
    }
    answer_done(out);
    rc r = ask_directory_at(a, a->first, method, path, body, out, e);
    if (r == RC_AWAY && out->status == 0) {
        struct err why = *e;
        a->answered = false;
        return fail(e, RC_UNSURE, RESP_GENERIC,
                    "it may or may not have happened, look before you repeat it: %.150s", why.text);
    }
    return r;
}

/* ---- nodes ---- */

static view address_in(const json_t *o)
{
    view v = json_text(json_object_get(o, "internal"));
    return v.n > 0 && is_address(v.p) ? v : VIEW_NONE;
}

static const char *known_address(const struct ask *a, view node)
{
    for (size_t i = 0; i < a->n_nodes; i++)
        if (view_eq(view_of(a->nodes[i].name), node))
            return a->nodes[i].address;
    return NULL;
}

/* What the directory has decided about its address, or has heard from it. */
static rc find_address(struct ask *a, view node, struct err *e)
{
    SCOPED(json_decref) json_t *entry = NULL, *loads = NULL;
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    SCOPED(buf_done) struct buf path = { 0 };
    const json_t *line;
    size_t i;

    buf_addf(&path, "nodes/%.*s", VIEW_ARG(node));
    TRY(ask_directory(a, "GET", buf_text(&path), VIEW_NONE, &answer, e));
    TRY(ask_object(&answer, &entry, e));
    view address = address_in(entry);
    if (address.n == 0) {
        TRY(ask_all(a, VIEW_NONE, "loads", &loads, e));
        json_array_foreach (loads, i, line) {
            if (!view_eq(json_text(json_object_get(line, "node")), node))
                continue;
            address = address_in(line);
            if (address.n == 0)
                address = address_in(json_object_get(line, "loads"));
        }
    }
    if (address.n == 0)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC,
                    "nobody knows the internal address of %.*s: set admin.nodes, or start the node",
                    VIEW_ARG(node));
    know_node(a, node, address);
    return RC_OK;
}

rc ask_node_address(struct ask *a, view node, const char **out, struct err *e)
{
    if (!ask_is_node_name(node))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "\"%.*s\" is no name of a node, like node7.example.net",
                    VIEW_ARG(node));
    if (!known_address(a, node))
        TRY(find_address(a, node, e));
    *out = known_address(a, node);
    return RC_OK;
}

rc ask_node(struct ask *a, view node, const char *method, const char *path, view body, struct answer *out,
            struct err *e)
{
    SCOPED(buf_done) struct buf who = { 0 };
    const char *address = NULL;
    TRY(ask_node_address(a, node, &address, e));
    buf_add(&who, node);
    return send_to(a, buf_text(&who), address, method, path, body, out, e);
}

/* ---- what is answered ---- */

rc ask_object(const struct answer *answer, json_t **out, struct err *e)
{
    SCOPED(json_decref) json_t *o = NULL;
    if (json_read(buf_view(&answer->body), ASK_DEPTH, JSON_READ_PLAIN, &o, NULL) != RC_OK ||
        !json_is_object(o))
        return fail(e, RC_BROKEN, RESP_GENERIC, "an answer that is no JSON object");
    *out = o;
    o = NULL;
    return RC_OK;
}

static rc each_line(const struct answer *answer, ask_visitor *visit, void *arg, struct err *e)
{
    view rest = buf_view(&answer->body), line;
    while (view_cut(&rest, '\n', &line)) {
        SCOPED(json_decref) json_t *o = NULL;
        if (line.n == 0)
            continue;
        if (json_read(line, ASK_DEPTH, JSON_READ_PLAIN, &o, NULL) != RC_OK)
            return fail(e, RC_BROKEN, RESP_GENERIC, "an answer with a line that is no JSON");
        TRY(visit(arg, o, e));
    }
    return RC_OK;
}

rc ask_each(struct ask *a, view node, const char *path, ask_visitor *visit, void *arg, struct err *e)
{
    SCOPED(answer_done) struct answer answer = { .status = 0 };
    char before[sizeof(answer.next)] = "";
    for (size_t page = 0; page < PAGES_MAX; page++) {
        SCOPED(buf_done) struct buf question = { 0 };
        buf_add(&question, view_of(path));
        if (answer.next[0]) {
            buf_addf(&question, "%cafter=%s", strchr(path, '?') ? '&' : '?', answer.next);
        }
        if (node.p)
            TRY(ask_node(a, node, "GET", buf_text(&question), VIEW_NONE, &answer, e));
        else
            TRY(ask_directory(a, "GET", buf_text(&question), VIEW_NONE, &answer, e));
        TRY(each_line(&answer, visit, arg, e));
        if (!answer.next[0])
            return RC_OK;
        if (strcmp(before, answer.next) == 0)
            break;
        memcpy(before, answer.next, sizeof(before));
    }
    return fail(e, RC_BROKEN, RESP_GENERIC, "%.100s: the pages do not end", path);
}

static rc append(void *arg, json_t *line, struct err *e)
{
    (void)e;
    if (json_array_append(arg, line) != 0)
        abort();
    return RC_OK;
}

rc ask_all(struct ask *a, view node, const char *path, json_t **out, struct err *e)
{
    SCOPED(json_decref) json_t *all = mem_need(json_array());
    TRY(ask_each(a, node, path, append, all, e));
    *out = all;
    all = NULL;
    return RC_OK;
}

/* ---- names ---- */

bool ask_is_node_name(view v)
{
    return v.n > 0 && v.n <= INTERNAL_NAME_MAX && view_only_alnum(v, ".:_-[]");
}
