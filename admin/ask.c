/* Calls to the directory. Protocol: docs/internal-api.md. */
#include "admin/admin.h"

#include <stdio.h>

#include "common/base/json.h"
#include "common/web/program.h"
#include "common/web/server.h"

enum { TIMEOUT_MS = 30000, ANSWER_MAX = 64 << 20, DEPTH = 8 };

const struct conf_key admin_conf_keys[] = {
    { "admin.directory", CONF_TEXT, offsetof(struct admin_conf, directory), "", 0, 0, 0, "",
      "Internal address of a directory: http://HOST:PORT, or the path of a unix socket." },
    { "admin.name", CONF_TEXT, offsetof(struct admin_conf, name), "admin", 0, 0, 0, "",
      "The name that the directory's internal.keys has for us." },
    { "admin.key", CONF_LIST, offsetof(struct admin_conf, key), "", 0, 0, CONF_SECRET, "",
      "The key that stands there (the last one); \"@FILE\" for a file." },
};
const size_t admin_conf_keys_n = sizeof(admin_conf_keys) / sizeof(admin_conf_keys[0]);

/* {"rc":"CONFLICT","text":"users live on node1"} */
static rc refused(const struct answer *a, struct err *e)
{
    SCOPED(json_decref) json_t *body = NULL;
    view text = VIEW_NONE;
    if (json_read(buf_view(&a->body), DEPTH, JSON_READ_PLAIN, &body, NULL) == RC_OK)
        text = json_text(json_object_get(body, "text"));
    return fail(e, a->status >= 500 ? RC_AWAY : RC_CONFLICT, RESP_GENERIC, "the directory answers %ld: %.*s",
                a->status, text.n > 160 ? 160 : (int)text.n, text.p ? text.p : "(nothing)");
}

static rc check(const struct admin_conf *c, struct err *e)
{
    struct url_parts u;
    if (!c->directory[0] || c->key.n == 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "admin.directory and admin.key are needed (see --help)");
    if (c->directory[0] != '/' && (!url_cut(view_of(c->directory), &u) || u.base.n > 0))
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "admin.directory is \"%.100s\": must be like http://10.0.0.1:8001, or the path of a unix socket",
            c->directory);
    return RC_OK;
}

rc admin_ask(const struct admin_conf *c, const char *method, const char *path, view body, struct answer *out,
             struct err *e)
{
    SCOPED(buf_done) struct buf url = { 0 };
    struct caller *caller = NULL;
    TRY(check(c, e));
    bool socket = c->directory[0] == '/';
    buf_addf(&url, "%s/internal/v1/%s", socket ? "http://localhost" : c->directory, path);
    const struct call what = { .method = method,
                               .url = buf_text(&url),
                               .unix_socket = socket ? c->directory : NULL,
                               .content_type = body.p ? "application/json" : NULL,
                               .body = body,
                               .hawk_id = view_of(c->name),
                               .hawk_key = view_of(c->key.items[c->key.n - 1]),
                               .timeout_ms = TIMEOUT_MS,
                               .answer_max = ANSWER_MAX };
    TRY(caller_new(clock_system(), &caller, e));
    rc r = call(caller, &what, out, e);
    caller_free(caller);
    TRY(r);
    return out->status == 200 ? RC_OK : refused(out, e);
}

int admin_status(rc r, const struct err *e)
{
    if (r == RC_OK)
        return PROGRAM_DONE;
    fprintf(stderr, "heddle-admin: %s\n", e->text);
    return r == RC_BAD_INPUT ? PROGRAM_MISUSED : PROGRAM_FAILED;
}
