/* The context of the directory: opening, workers' sessions, closing, and what nodes ask. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/page/seal.h"
#include "directory/choice.h"
#include "directory/derived.h"
#include "directory/internal.h"
#include "directory/mail/mail.h"
#include "directory/pools.h"
#include "directory/reset.h"
#include "directory/screens/screens.h"

enum {
    UID_BLOCK = 16,
    SECRET_LEAST = 8,
    METRICS_KEY_BYTES = 32,
    ARENA_BYTES = 256 * 1024,
    VERIFY_PASSWORD_MOST = 1024
};
enum { SIGNUP_WINDOW_S = 3600, WRONG_PASSWORD_WINDOW_S = 600, WRONG_INVITE_WINDOW_S = 3600 };

int64_t directory_tokens_last_s(const struct directory *d)
{
    const struct directory_conf *c = d->conf;
    return c->token_life_s + c->token_late_s + c->remember_s;
}

int64_t directory_now_ms(const struct directory *d)
{
    return clock_now_us(d->clock) / 1000;
}

/* ---- groups ---- */

/* "GROUP NAME" */
static rc group_read(const char *text, view *out_group, view *out_name, struct err *e)
{
    view rest = view_of(text), more;
    if (!pool_next(&rest, out_group) || !pool_next(&rest, out_name) || pool_next(&rest, &more))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "directory.groups: \"%.80s\" must be like: admins anna",
                    text);
    return RC_OK;
}

rc directory_in_group(struct directory *d, struct backend_session *s, struct arena *a, view name, view group,
                      bool *out, struct err *e)
{
    const struct conf_list *list = &d->conf->groups;
    view listed, member;
    for (size_t i = 0; i < list->n; i++)
        if (group_read(list->items[i], &listed, &member, NULL) == RC_OK && view_eq(listed, group) &&
            view_eq(member, name)) {
            *out = true;
            return RC_OK;
        }
    return account_in_group(s, name, group, a, out, e);
}

/* ---- opening ---- */

rc directory_check(const struct directory_conf *c, const char *public_url, struct err *e)
{
    struct registration r;
    bool events = strcmp(c->webhook, "off") != 0;
    struct pool_rule rule;
    view group, member;
    if (!backend_find(view_of(c->backend)))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "directory.backend is \"%s\": must be sqlite or ldap",
                    c->backend);
    for (size_t i = 0; i < c->assign_pools.n; i++)
        TRY(pool_rule_read(c->assign_pools.items[i], &rule, e));
    for (size_t i = 0; i < c->groups.n; i++)
        TRY(group_read(c->groups.items[i], &group, &member, e));
    if (!c->domain[0])
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "directory.domain must not be empty");
    if (!c->oauth_scope[0])
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "oauth.scope must not be empty");
    if (events && strcmp(c->webhook, "on") != 0 && strcmp(c->webhook, "count") != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "oauth.webhook is \"%s\": must be off, count or on",
                    c->webhook);
    if (events && (!c->webhook_client[0] || !c->oauth_issuer[0]))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "oauth.webhook needs oauth.webhook_client and oauth.issuer");
    if (c->token_secrets.n > 0) {
        struct secrets *s;
        struct err why = ERR_NONE;
        if (secrets_new(&c->token_secrets, SECRET_LEAST, &s, &why) != RC_OK)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "tokens.secrets: %s", why.text);
        secrets_free(s);
    }
    return registration_read(c->registration, c->registration_allow, c->registration_secret,
                             view_of(public_url), &r, e);
}

static char *in_data_dir(const char *data_dir, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", data_dir, name) < 0)
        path = NULL;
    return mem_need(path);
}

static rc open_backend(struct directory *d, const struct directory_options *o, struct err *e)
{
    const struct directory_conf *c = o->conf;
    const struct backend_driver *driver = backend_find(view_of(c->backend));
    char *path = c->path[0] ? mem_need(strdup(c->path)) : in_data_dir(o->data_dir, "directory.sqlite");
    rc r = backend_open(driver,
                        &(struct backend_conf){ .path = path,
                                                .ldap = o->ldap,
                                                .cost = { .kib = (uint32_t)c->argon2_kib,
                                                          .passes = (uint32_t)c->argon2_passes,
                                                          .lanes = (uint32_t)c->argon2_lanes },
                                                .clock = o->clock,
                                                .remember_s = c->remember_s },
                        &d->backend, e);
    free(path);
    return r;
}

static rc open_secrets(struct directory *d, const struct directory_options *o, struct err *e)
{
    const struct directory_conf *c = o->conf;
    if (c->token_secrets.n == 0)
        return fail(
            e, RC_BAD_INPUT, RESP_GENERIC,
            "tokens.secrets is empty: nodes and directory need the same secret to understand each other");
    TRY(secrets_new(&c->token_secrets, SECRET_LEAST, &d->secrets, e));
    if (c->metrics_key[0]) {
        d->metrics_key = mem_need(strdup(c->metrics_key));
        return RC_OK;
    }
    char *path = in_data_dir(o->data_dir, "metrics.key");
    rc r = secret_file(path, METRICS_KEY_BYTES, &d->metrics_key, e);
    free(path);
    return r;
}

static rc open_sole(struct directory *d, const struct directory_options *o, struct err *e)
{
    struct url_parts u;
    view url = view_of(o->sole_node_url);
    if (!url.p)
        return RC_OK;
    if (!url_cut(url, &u) || url.n >= sizeof(((struct directory_verdict *)0)->node))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "the node's URL is \"%s\"", o->sole_node_url);
    d->has_sole = true;
    d->sole =
        (struct owner){ .name = u.host_port,
                        .url = url,
                        .address = view_of(o->sole_node_address ? o->sole_node_address : o->sole_node_url),
                        .node_type = view_of(o->conf->node_type) };
    if (o->conf->token_derived)
        return secrets_derive(d->secrets, url, &d->sole_secrets, e);
    return RC_OK;
}

/* Whether keys were found or not: without them new tokens are refused, everything else goes on. */
static void read_key_files(struct directory *d)
{
    struct err why = ERR_NONE;
    if (oauth_reload(d->oauth, &why) != RC_OK)
        LOG(LOG_WARN, "oauth.jwks_file gives no usable key", LOG_S("why", why.text));
}

static rc open_oauth(struct directory *d, const struct directory_conf *c, struct err *e)
{
    TRY(oauth_open(&(struct oauth_conf){ .jwks_file = c->jwks_file,
                                         .jwks_url = c->jwks_url,
                                         .verify_url = c->verify_url,
                                         .issuer = c->oauth_issuer,
                                         .scope = c->oauth_scope,
                                         .timeout_s = c->oauth_timeout_s,
                                         .remember = c->remember_s > 0,
                                         .clock = d->clock },
                   &d->oauth, e));
    read_key_files(d);
    return RC_OK;
}

static rc change_registration(struct directory *d, const struct directory_conf *c, struct err *e)
{
    struct registration r;
    TRY(registration_read(c->registration, c->registration_allow, c->registration_secret,
                          view_of(d->public_url), &r, e));
    pthread_mutex_lock(&d->lock);
    d->registration = r;
    pthread_mutex_unlock(&d->lock);
    return RC_OK;
}

static rc read_pools(struct directory *d, struct err *e)
{
    const struct conf_list *list = &d->conf->assign_pools;
    d->pool_rules = mem_need(calloc(list->n + 1, sizeof(*d->pool_rules)));
    for (size_t i = 0; i < list->n; i++)
        TRY(pool_rule_read(list->items[i], &d->pool_rules[d->n_pool_rules++], e));
    return RC_OK;
}

static rc open_screens(struct directory *d, const struct directory_options *o, struct err *e)
{
    const struct conf_list *own = o->screens ? &o->screens->secrets : NULL;
    rc r = seal_new(own && own->n > 0 ? own : &o->conf->token_secrets, &d->seal, e);
    if (r == RC_BAD_INPUT && own && own->n > 0)
        return fail(e, r, RESP_GENERIC, "screens.secrets: %.200s", e->text);
    TRY(r);
    d->sole_socket = o->sole_node_socket;
    return screens_open(d, o->screens, &d->screens, e);
}

/* Mails come from heddle@ the host that people know. */
static rc open_mail(struct directory *d, const struct directory_options *o, struct err *e)
{
    struct url_parts u;
    SCOPED(buf_done) struct buf from = { 0 };
    if (!o->mail)
        return RC_OK;
    if (!url_cut(view_of(o->public_url), &u))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "public.url is \"%s\"", o->public_url);
    if (u.host.p[0] == '[') /* mail writes such hosts in another way */
        u.host = VIEW("localhost");
    buf_addf(&from, "heddle@%.*s", VIEW_ARG(u.host));
    char *dir = in_data_dir(o->data_dir, "mail");
    rc r = mailer_open(o->mail, dir, buf_text(&from), d->clock, &d->mailer, e);
    free(dir);
    TRY(r);
    dir = in_data_dir(o->data_dir, "resets");
    r = resets_open(d, dir, &d->resets, e);
    free(dir);
    return r;
}

static rc open_all(struct directory *d, const struct directory_options *o, struct err *e)
{
    const struct directory_conf *c = o->conf;
    TRY(directory_check(c, o->public_url, e));
    TRY(read_pools(d, e));
    TRY(change_registration(d, c, e));
    TRY(open_secrets(d, o, e));
    TRY(open_sole(d, o, e));
    TRY(open_oauth(d, c, e));
    if (o->internal_keys)
        TRY(internal_open(d, o->internal_keys, e));
    TRY(open_backend(d, o, e));
    TRY(open_screens(d, o, e));
    return open_mail(d, o, e);
}

rc directory_open(const struct directory_options *o, struct directory **out, struct err *e)
{
    struct directory *d = mem_need(calloc(1, sizeof(*d)));
    d->conf = o->conf;
    d->clock = o->clock;
    d->public_url = o->public_url;
    d->on_forget = o->on_forget;
    d->on_allow = o->on_allow;
    d->on_forget_arg = o->on_forget_arg;
    d->signups = limits_new(o->conf->signups_per_hour, SIGNUP_WINDOW_S);
    d->wrong_passwords = limits_new(o->conf->wrong_passwords, WRONG_PASSWORD_WINDOW_S);
    d->wrong_invites = limits_new(o->conf->wrong_invites, WRONG_INVITE_WINDOW_S);
    d->events = metric_counter("heddle_account_events_total", NULL, "Account events that were genuine.");
    pthread_mutex_init(&d->lock, NULL);
    d->choice = choice_new();
    d->derived = derived_new();
    rc r = open_all(d, o, e);
    if (r != RC_OK) {
        directory_close(d);
        return r;
    }
    *out = d;
    return RC_OK;
}

void directory_close(struct directory *d)
{
    if (!d)
        return;
    resets_close(d->resets);
    mailer_close(d->mailer);
    screens_close(d->screens);
    seal_free(d->seal);
    for (size_t i = 0; i < d->n_spare; i++)
        backend_session_close(d->spare[i]);
    backend_close(d->backend);
    internal_close(d);
    oauth_close(d->oauth);
    secrets_free(d->sole_secrets);
    secrets_free(d->secrets);
    if (d->metrics_key)
        secret_wipe(d->metrics_key, strlen(d->metrics_key));
    free(d->metrics_key);
    choice_free(d->choice);
    derived_free(d->derived);
    free(d->pool_rules);
    limits_free(d->signups);
    limits_free(d->wrong_passwords);
    limits_free(d->wrong_invites);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

rc directory_reload(struct directory *d, const struct directory_conf *fresh, struct err *e)
{
    read_key_files(d);
    return change_registration(d, fresh, e);
}

struct registration directory_registration(struct directory *d)
{
    pthread_mutex_lock(&d->lock);
    struct registration r = d->registration;
    pthread_mutex_unlock(&d->lock);
    return r;
}

/* ---- workers ---- */

static rc worker_open(void *app, void **out, struct err *e)
{
    struct directory *d = app;
    struct directory_worker *w = mem_need(calloc(1, sizeof(*w)));
    w->d = d;
    rc r = backend_session_open(d->backend, &w->session, e);
    if (r != RC_OK) {
        free(w);
        return r;
    }
    *out = w;
    return RC_OK;
}

static void worker_close(void *worker)
{
    struct directory_worker *w = worker;
    backend_session_close(w->session);
    caller_free(w->caller);
    free(w);
}

static bool health(struct request *rq, struct buf *out)
{
    struct directory_worker *w = rq->worker;
    struct err why = ERR_NONE;
    bool good = backend_ping(w->session, &why) == RC_OK;
    if (!good)
        LOG(LOG_WARN, "the directory's backend does not answer", LOG_S("why", why.text));
    /* In the one box "database" is the node's. */
    buf_addf(out, ",\"%s\":\"%s\"", w->d->has_sole ? "directory" : "database", good ? "Ok" : "Err");
    return good;
}

static rc send_call(void *arg, const struct call *what, struct answer *out, struct err *e)
{
    struct directory_worker *w = arg;
    if (!w->caller)
        TRY(caller_new(w->d->clock, &w->caller, e));
    return call(w->caller, what, out, e);
}

static void keys_not_fetched(void *arg, const char *url, const struct err *why)
{
    (void)arg;
    LOG(LOG_WARN, "the JWK set cannot be fetched", LOG_S("url", url), LOG_S("why", why->text));
}

struct oauth_http directory_http(struct directory_worker *w)
{
    return (struct oauth_http){ .send = send_call, .failed = keys_not_fetched, .arg = w };
}

void directory_mount(struct directory *d, struct mount *out)
{
    *out = (struct mount){
        .name = "directory",
        .service = "directory",
        .routes = directory_routes,
        .n_routes = d->has_sole ? directory_routes_box_n : directory_routes_n,
        .kinds = directory_param_kinds,
        .n_kinds = directory_param_kinds_n,
        .app = d,
        .worker_open = worker_open,
        .worker_close = worker_close,
        .health = health,
    };
}

/* ---- numbers and news ---- */

rc directory_uid(struct directory *d, struct backend_session *s, int64_t *out, struct err *e)
{
    int64_t uid = 0, first;
    pthread_mutex_lock(&d->lock);
    if (d->uid_left > 0) {
        uid = d->uid_first++;
        d->uid_left--;
    }
    pthread_mutex_unlock(&d->lock);
    if (uid == 0) {
        TRY(uid_next(s, UID_BLOCK, &first, e));
        uid = first;
        pthread_mutex_lock(&d->lock);
        if (d->uid_left == 0) { /* else somebody fetched a block at the same time: numbers may have gaps */
            d->uid_first = first + 1;
            d->uid_left = UID_BLOCK - 1;
        }
        pthread_mutex_unlock(&d->lock);
    }
    *out = uid;
    return RC_OK;
}

void directory_forget(struct directory *d, view name, int64_t uid)
{
    int64_t until_s = clock_now_s(d->clock) + directory_tokens_last_s(d);
    if (d->on_forget)
        d->on_forget(d->on_forget_arg, name, uid, until_s);
    if (d->internal && name.n > 0 && name.n <= ACCOUNT_NAME_MAX)
        news_forget(d->internal->news, name);
    if (d->internal && uid > 0)
        news_refuse(d->internal->news, uid, until_s);
}

void directory_placed(struct directory *d, view name)
{
    if (d->internal && name.n > 0 && name.n <= ACCOUNT_NAME_MAX)
        news_placed(d->internal->news, name);
}

void directory_allow(struct directory *d, int64_t uid)
{
    if (d->on_allow)
        d->on_allow(d->on_forget_arg, uid);
    if (d->internal)
        news_allow(d->internal->news, uid);
}

/* ---- what nodes ask ---- */

static rc spare_take(struct directory *d, struct backend_session **out, struct err *e)
{
    struct backend_session *s = NULL;
    pthread_mutex_lock(&d->lock);
    if (d->n_spare > 0)
        s = d->spare[--d->n_spare];
    pthread_mutex_unlock(&d->lock);
    if (!s)
        TRY(backend_session_open(d->backend, &s, e));
    *out = s;
    return RC_OK;
}

static void spare_give(struct directory *d, struct backend_session *s)
{
    pthread_mutex_lock(&d->lock);
    if (d->n_spare < SPARE_SESSIONS) {
        d->spare[d->n_spare++] = s;
        s = NULL;
    }
    pthread_mutex_unlock(&d->lock);
    backend_session_close(s);
}

/* Where he lives, for a verdict about an account whose credentials are good. */
static rc verdict_of(struct directory *d, struct backend_session *s, struct arena *a, struct account *acc,
                     struct directory_verdict *out, struct err *e)
{
    struct owner owner;
    /* A person of somebody else's tree whose entry here was made by this very question: whoever asks is a node that he does not know
     * from us. So the node of a deleted account refuses him, and he is somebody new when he asks where he lives. */
    if (!acc->placed.p && acc->password_since_ms == 0 && !d->has_sole)
        return fail(e, RC_DENIED, RESP_GENERIC, "nobody has told this person where he lives");
    TRY(lookup_place(d, s, a, acc, &owner, e));
    if (a->spent || owner.url.n >= sizeof(out->node))
        return fail(e, RC_BROKEN, RESP_GENERIC, "the entry of account %lld is too large",
                    (long long)acc->uid);
    *out = (struct directory_verdict){ .uid = acc->uid, .epoch = acc->epoch };
    memcpy(out->node, owner.url.p, owner.url.n);
    return RC_OK;
}

rc directory_verify_in(struct directory *d, struct backend_session *s, view name, view password,
                       struct directory_verdict *out, struct err *e)
{
    SCOPED(arena_done) struct arena a;
    struct account acc;
    arena_init(&a, ARENA_BYTES);
    if (password.n > VERIFY_PASSWORD_MOST)
        return fail(e, RC_DENIED, RESP_GENERIC, "a password of %zu bytes", password.n);
    TRY(account_check_password(s, name, password, &a, &acc, e));
    return verdict_of(d, s, &a, &acc, out, e);
}

/* false: there is nothing to go by. */
static bool password_mark(struct backend_session *s, view name, uint8_t out[SHA256_BYTES])
{
    SCOPED(arena_done) struct arena a;
    view kept;
    arena_init(&a, ARENA_BYTES);
    if (account_password_kept(s, name, &a, &kept, NULL) != RC_OK || kept.n == 0 || a.spent)
        return false;
    sha256(kept, out);
    return true;
}

/* The mark is taken before the password is checked: if it is changed in between, the mark is of the one before. */
static rc verify_marked(struct directory *d, struct backend_session *s, view name, view password,
                        struct directory_verdict *out, struct err *e)
{
    uint8_t mark[SHA256_BYTES];
    bool marked = password_mark(s, name, mark);
    TRY(directory_verify_in(d, s, name, password, out, e));
    out->marked = marked;
    if (marked)
        memcpy(out->mark, mark, sizeof(mark));
    return RC_OK;
}

static rc recheck(struct directory *d, struct backend_session *s, view name,
                  const struct directory_verdict *was, struct directory_verdict *out, struct err *e)
{
    SCOPED(arena_done) struct arena a;
    struct account acc;
    uint8_t mark[SHA256_BYTES];
    arena_init(&a, ARENA_BYTES);
    if (!was->marked || !password_mark(s, name, mark) || memcmp(mark, was->mark, sizeof(mark)) != 0)
        return fail(e, RC_DENIED, RESP_GENERIC, "the password may have been changed");
    TRY(account_truth(s, ACCOUNT_BY_NAME, name, &a, &acc, e));
    if (!acc.enabled)
        return fail(e, RC_DENIED, RESP_GENERIC, "the account is disabled");
    TRY(verdict_of(d, s, &a, &acc, out, e));
    out->marked = true;
    memcpy(out->mark, mark, sizeof(mark));
    return RC_OK;
}

rc directory_verify(struct directory *d, view name, view password, struct directory_verdict *out,
                    struct err *e)
{
    struct backend_session *s;
    TRY(spare_take(d, &s, e));
    rc r = verify_marked(d, s, name, password, out, e);
    spare_give(d, s);
    return r;
}

rc directory_recheck(struct directory *d, view name, const struct directory_verdict *was,
                     struct directory_verdict *out, struct err *e)
{
    struct backend_session *s;
    TRY(spare_take(d, &s, e));
    rc r = recheck(d, s, name, was, out, e);
    spare_give(d, s);
    return r == RC_NOT_FOUND ? RC_DENIED : r;
}
