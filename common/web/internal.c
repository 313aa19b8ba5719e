#include "common/web/internal.h"

#include "common/auth/hawk.h"
#include "common/base/mem.h"
#include "common/base/scope.h"
#include "common/web/inside.h"

#define NONCES_MOST 100000

const struct conf_key internal_conf_keys[] = {
    { "internal.keys", CONF_LIST, offsetof(struct internal_conf, keys), "", 0, 0, CONF_SECRET, "",
      "Who may call, each as \"ROLE NAME KEY\", role node or admin; \"@FILE\" for a file with one a line; two lines of one name: both keys "
      "are good." },
};
const size_t internal_conf_keys_n = sizeof(internal_conf_keys) / sizeof(internal_conf_keys[0]);

struct entry {
    struct internal_caller who;
    view key;
    char *text; /* holds all three */
};

struct callers {
    struct entry *items;
    size_t n;
    struct nonces *nonces;
    const struct clock *clock;
};

/* What the body's check and the handler need of one request. */
struct admitted {
    struct hawk_header hawk;
    struct internal_caller who;
};

/* ---- the list ---- */

/* The next word of *rest. */
static view word(view *rest)
{
    view head = VIEW_NONE;
    *rest = view_trim(*rest);
    if (rest->n > 0)
        view_cut(rest, ' ', &head);
    return head;
}

static bool role_known(view role)
{
    return view_eq(role, VIEW("node")) || view_eq(role, VIEW("admin"));
}

static rc read_entry(const char *item, struct entry *out, struct err *e)
{
    *out = (struct entry){ .text = mem_need(strdup(item)) };
    for (char *p = out->text; *p; p++)
        if (*p == '\t')
            *p = ' ';
    view rest = view_of(out->text);
    view role = word(&rest), name = word(&rest), key = word(&rest);
    if (key.n == 0 || view_trim(rest).n > 0) /* the key is not shown: whatever it is, it may be a secret */
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "internal.keys: an entry is not \"ROLE NAME KEY\", like \"node node7.example.net 5b1f0e…\"");
    if (!role_known(role))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "internal.keys: a role must be node or admin, not \"%.*s\"",
                    (int)(role.n > 32 ? 32 : role.n), role.p);
    if (name.n > INTERNAL_NAME_MAX || key.n < INTERNAL_KEY_LEAST)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "internal.keys: the key of %.*s is shorter than %d characters",
                    (int)(name.n > 100 ? 100 : name.n), name.p, INTERNAL_KEY_LEAST);
    out->who = (struct internal_caller){ .role = role, .name = name };
    out->key = key;
    return RC_OK;
}

rc callers_new(const struct conf_list *keys, const struct clock *clock, struct callers **out, struct err *e)
{
    struct callers *c = mem_need(calloc(1, sizeof(*c)));
    c->clock = clock;
    c->items = mem_need(calloc(keys->n + 1, sizeof(*c->items)));
    c->nonces = nonces_new(NONCES_MOST, 2 * INTERNAL_WINDOW_S);
    for (size_t i = 0; i < keys->n; i++) {
        rc r = read_entry(keys->items[i], &c->items[c->n++], e);
        if (r != RC_OK) {
            callers_free(c);
            return r;
        }
    }
    *out = c;
    return RC_OK;
}

void callers_free(struct callers *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        secret_wipe(c->items[i].text, strlen(c->items[i].text));
        free(c->items[i].text);
    }
    free(c->items);
    nonces_free(c->nonces);
    free(c);
}

bool internal_role_in(const char *list, view role)
{
    view rest = view_of(list), one;
    while (view_cut(&rest, ' ', &one))
        if (one.n > 0 && view_eq(one, role))
            return true;
    return false;
}

/* ---- admission ---- */

static rc refuse(struct request *rq, const char *why, struct err *e)
{
    rq->log_reason = why;
    return fail(e, RC_DENIED, RESP_GENERIC, "%s", why);
}

/* Under the URL that this listener goes by, not under what the request calls it: a call made to another process is none to us. */
static bool signed_for_us(const struct request *rq, const struct hawk_header *h, view key)
{
    const struct io *io = rq->web->io;
    struct url_parts url;
    if (!io || !url_cut(view_of(io->server->url), &url))
        return false;
    return hawk_check(
        key, h,
        &(struct hawk_request){
            .method = rq->method_text, .target = rq->target, .host = url.host, .port = url.port });
}

static const struct entry *who_signed(const struct callers *c, const struct request *rq,
                                      const struct hawk_header *h)
{
    for (size_t i = 0; i < c->n; i++)
        if (view_eq(c->items[i].who.name, h->id) && signed_for_us(rq, h, c->items[i].key))
            return &c->items[i];
    return NULL;
}

rc internal_admit(struct callers *c, struct request *rq, struct err *e)
{
    struct admitted *a = arena_zero(rq->arena, sizeof(*a));
    const struct hawk_header *h = &a->hawk;
    int64_t now_s = clock_now_s(c->clock);
    const char *why;
    bool twice;

    view header = request_authorization(rq, &twice);
    if (twice || !header.p || !hawk_parse(header, rq->arena, &a->hawk, &why))
        return refuse(rq, "no-credentials", e);
    const struct entry *entry = who_signed(c, rq, h);
    if (!entry)
        return refuse(rq, "bad-mac", e);
    if (!h->hash.p)
        return refuse(rq, "no-payload-hash", e);
    if (h->ts < now_s - INTERNAL_WINDOW_S || h->ts > now_s + INTERNAL_WINDOW_S)
        return refuse(rq, "stale", e);
    if (!nonces_fresh(c->nonces, h->id, h->ts, h->nonce, now_s))
        return refuse(rq, "replayed", e);
    if (!internal_role_in(rq->route->callers, entry->who.role))
        return fail(e, RC_FORBIDDEN, RESP_GENERIC, "%.*s may not call this", VIEW_ARG(entry->who.name));
    a->who = entry->who;
    rq->scratch = a;
    return RC_OK;
}

rc internal_admit_body(struct request *rq, struct err *e)
{
    const struct admitted *a = rq->scratch;
    if (!hawk_payload_ok(&a->hawk, rq->content_type, rq->body))
        return refuse(rq, "bad-payload-hash", e);
    return RC_OK;
}

const struct internal_caller *internal_caller(const struct request *rq)
{
    return &((const struct admitted *)rq->scratch)->who;
}
