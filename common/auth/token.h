/* Token-server tokens: signed by the directory, opened by the node that they were made for, without any call.
 * Protocol: tokenlib (Mozilla); the rules and their reasons: docs/protocol-notes.md. */
#ifndef HEDDLE_AUTH_TOKEN_H
#define HEDDLE_AUTH_TOKEN_H

#include "common/auth/secrets.h"
#include "common/base/arena.h"

#define TOKEN_TEXT_MAX 4096
#define TOKEN_KEY_TEXT 44 /* b64url of 32 bytes, with padding */

struct token {
    int64_t uid;
    int64_t epoch; /* 0: absent */
    view node;     /* the node's own URL, no trailing slash */
    double expires;
    view fxa_uid, fxa_kid, hashed_fxa_uid, hashed_device_id; /* VIEW_NONE: absent */
    view svc;                                                /* VIEW_NONE: sync */
    view salt;
};

/* Why a token is refused: for logs and counters only, never for the client. */
enum token_reason {
    TOKEN_GOOD,
    TOKEN_MALFORMED,
    TOKEN_BAD_SIGNATURE,
    TOKEN_MISSING_FIELD,
    TOKEN_INVALID_FIELD,
    TOKEN_WRONG_NODE,
    TOKEN_EXPIRED /* and outside the grace; inside: TOKEN_GOOD with *out_expired */
};
const char *token_reason_name(enum token_reason r); /* "bad-signature" */

/* What a verifier knows. The secrets' derived signing keys are made once. Read-only afterwards; any thread. */
struct token_verifier;
/* RC_BAD_INPUT: no secret, no node, or a grace that is no time. All arguments are copied. */
MUST_USE rc token_verifier_new(const struct secrets *s, const view *nodes, size_t n_nodes, double grace_s,
                               struct token_verifier **out, struct err *e);
void token_verifier_free(struct token_verifier *v);

/* Opens `text` (strict b64url with padding). Fills *out (views in the arena) and the Hawk key, TOKEN_KEY_TEXT characters
 * of text. now_s: seconds since 1970, with fraction. All three results stay untouched unless TOKEN_GOOD. *out_expired: past its time but inside the grace; the caller lets it
 * through only where the protocol says so. */
enum token_reason token_open(const struct token_verifier *v, view text, double now_s, struct arena *a,
                             struct token *out, char out_key[TOKEN_KEY_TEXT], bool *out_expired);

/* What a token says of itself, whoever signed it: for who must find out whom to ask about it. Nothing of it is to be believed. Views in the
 * arena. TOKEN_GOOD: it has the form of one. */
enum token_reason token_peek(view text, struct arena *a, struct token *out);

/* The counterpart: signs with the newest secret. Members in the order of the Rust token server, compact, integer expires.
 * t->salt is made here if absent. *out_id in the arena. t must be what token_open would take (uid >= 0, a node, 0 <= expires
 * < 10^15), s must not be empty. */
void token_mint(const struct secrets *s, const struct token *t, struct arena *a, view *out_id,
                char out_key[TOKEN_KEY_TEXT]);

DEFINE_SCOPED(struct token_verifier *, token_verifier_free);

#endif
