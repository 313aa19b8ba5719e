#include "tests/load/users.h"

#include <time.h>

#include "common/auth/hawk.h"
#include "common/base/encode.h"
#include "common/base/mem.h"

#define TOKEN_LIFE_S 86400
#define ARENA_BYTES  ((size_t)1 << 30) /* a million users */
#define HEX_ID       "0123456789abcdef0123456789abcdef"

/* http://HOST:PORT */
static bool cut_url(const char *url, view *host, unsigned *port)
{
    view rest = view_of(url);
    uint64_t number;

    if (!view_starts(rest, VIEW("http://")))
        return false;
    rest.p += 7;
    rest.n -= 7;
    if (!view_cut(&rest, ':', host) || !rest.p || !view_to_u64(rest, 65535, &number))
        return false;
    *port = (unsigned)number;
    return true;
}

/* With the members that the token server puts in for real accounts. */
static void make_hawk(struct users *u, struct user *who, const struct users_conf *c)
{
    view secret = view_of(c->secret);
    const struct secrets secrets = { .items = &secret, .n = 1 };
    const struct token t = {
        .uid = who->uid,
        .epoch = 1,
        .node = view_of(c->node_url),
        .expires = (double)(time(NULL) + TOKEN_LIFE_S),
        .fxa_uid = VIEW(HEX_ID),
        .fxa_kid = VIEW("0000000001700-AAAAAAAAAAAAAAAAAAAAAA"),
        .hashed_fxa_uid = VIEW(HEX_ID),
        .hashed_device_id = VIEW(HEX_ID),
        .svc = VIEW_NONE,
        .salt = VIEW_NONE,
    };

    token_mint(&secrets, &t, &u->arena, &who->id, who->key);
    snprintf(who->base, sizeof who->base, "/1.5/%lld", (long long)who->uid);
}

static void make_basic(struct users *u, struct user *who, const struct users_conf *c)
{
    view pair = arena_text(&u->arena, "load%lld:%s", (long long)who->uid, c->password);
    view text = base64_text(&u->arena, BASE64_STD, pair);

    who->basic = arena_text(&u->arena, "Authorization: Basic %.*s\r\n", VIEW_ARG(text));
    snprintf(who->base, sizeof who->base, "/1.1/load%lld", (long long)who->uid);
}

bool users_init(struct users *u, const struct users_conf *c)
{
    *u = (struct users){ .n = c->n, .chance = { .state = chance_mix((uint64_t)time(NULL)) } };
    if (!cut_url(c->node_url, &u->host, &u->port)) {
        fprintf(stderr, "load: %s is no http://HOST:PORT\n", c->node_url);
        return false;
    }
    arena_init(&u->arena, ARENA_BYTES);
    u->all = mem_need(calloc(c->n, sizeof *u->all));
    for (size_t i = 0; i < c->n; i++) {
        struct user *who = &u->all[i];

        who->uid = c->first_uid + (int64_t)i;
        if (c->password)
            make_basic(u, who, c);
        else
            make_hawk(u, who, c);
        for (size_t k = 0; k < KNOWN_COLLS; k++)
            snprintf(who->seen[k], sizeof who->seen[k], "%lld.00", (long long)time(NULL));
    }
    return true;
}

void users_done(struct users *u)
{
    free(u->all);
    arena_done(&u->arena);
}

void users_sign(struct users *u, const struct user *who, view method, view target, int64_t now_s,
                struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const struct hawk_request r = { .method = method, .target = target, .host = u->host, .port = u->port };
    char nonce[8];

    if (who->basic.p) {
        buf_add(out, who->basic);
        return;
    }
    uint64_t bits = chance_next(&u->chance);
    for (size_t i = 0; i < sizeof nonce; i++, bits >>= 6)
        nonce[i] = digits[bits & 63];
    buf_add(out, VIEW("Authorization: "));
    hawk_sign(who->id, (view){ .p = who->key, .n = sizeof who->key }, &r, now_s,
              (view){ .p = nonce, .n = sizeof nonce }, VIEW_NONE, out);
    buf_add(out, VIEW("\r\n"));
}
