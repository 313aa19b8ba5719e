/* Those who ask: each with a token of the storage node and its Hawk key, or with a name and a password (Sync 1.1). Made once;
 * signing a request is one HMAC. One thread. */
#ifndef HEDDLE_LOAD_USERS_H
#define HEDDLE_LOAD_USERS_H

#include "common/auth/token.h"
#include "common/base/buf.h"
#include "tests/load/chance.h"

#define KNOWN_COLLS 16 /* collections whose last seen time a user remembers */

struct user {
    int64_t uid;
    view id; /* of the token */
    char key[TOKEN_KEY_TEXT];
    view basic; /* the whole Authorization value, or VIEW_NONE */
    char base[96];
    char seen[KNOWN_COLLS][24]; /* X-Last-Modified of the last read of a collection */
    bool busy;                  /* in somebody's session */
};

struct users_conf {
    const char *node_url, *secret; /* what tokens are made for, and signed with */
    const char *password;          /* NULL: Hawk; else Basic as load<uid> */
    int64_t first_uid;
    size_t n;
};

struct users {
    struct user *all;
    size_t n;
    struct arena arena;
    view host; /* that is signed */
    unsigned port;
    struct chance chance;
};

/* false, with a line on stderr: the URL is none. */
bool users_init(struct users *u, const struct users_conf *c);
void users_done(struct users *u);

/* Adds "Authorization: …\r\n" for this request. */
void users_sign(struct users *u, const struct user *who, view method, view target, int64_t now_s,
                struct buf *out);

#endif
