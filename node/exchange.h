/* Tokens of the owner before. A token names the node it was made for, and only that node can open it. After a move behind one public address
 * the client still holds such a token, and the new owner cannot read it: instead of 401 at once the directory, which holds all secrets, is
 * asked for its key and for the epoch of now. What it says is remembered until the token expires, a refusal for a minute.
 *
 * Strangers cannot make a node ask: admit.c asks only for users who came by a move a short while ago, with a token that says it is good still;
 * here no more than EXCHANGE_ASKS_A_MINUTE times a minute for one user. Thread-safe. Protocol: docs/internal-api.md, "A token of the
 * owner before". */
#ifndef HEDDLE_NODE_EXCHANGE_H
#define HEDDLE_NODE_EXCHANGE_H

#include "common/auth/token.h"
#include "common/base/clock.h"
#include "common/base/json.h"

#define EXCHANGE_ASKS_A_MINUTE 10
#define EXCHANGE_REFUSED_S     60

struct exchange_options {
    const struct clock *clock;
    int64_t arrived_s; /* for how long after a move the tokens of before are taken */
    /* Brings {"id":"…"} before a directory. *out: its answer, the caller's. Blocks. RC_AWAY: none knows. */
    rc (*ask)(void *arg, view body, json_t **out, struct err *e);
    void *arg;
};

struct exchange;

/* What a token is worth here. */
struct exchanged {
    int64_t uid, epoch, expires_s;
    char key[TOKEN_KEY_TEXT];
};

enum exchange_word { EXCHANGE_UNKNOWN, EXCHANGE_GOOD, EXCHANGE_REFUSED };

struct exchange *exchange_new(const struct exchange_options *o);
void exchange_free(struct exchange *x); /* NULL is fine; wipes */
int64_t exchange_arrived_s(const struct exchange *x);

/* From memory. GOOD fills *out, which the caller wipes. */
enum exchange_word exchange_known(struct exchange *x, view token, struct exchanged *out);
/* Asks about the token of that user. RC_DENIED: refused, or asked too often for him. RC_AWAY: nobody knows. */
MUST_USE rc exchange_ask(struct exchange *x, int64_t uid, view token, struct exchanged *out, struct err *e);

#endif
