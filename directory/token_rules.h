/* The consistency rules of the token server: may a client with this generation, this time of its last key change and this client
 * state have a token, and what becomes of the stored record? Pure; any thread.
 * Protocol: Token server, "Records and the consistency rules" (5.1–5.4). */
#ifndef HEDDLE_DIRECTORY_TOKEN_RULES_H
#define HEDDLE_DIRECTORY_TOKEN_RULES_H

#include "common/base/view.h"

struct token_facts {
    int64_t generation;   /* 0: unknown */
    int64_t keys_changed; /* 0: unknown */
    view client_state;    /* lower-case hex; empty: none */
};

enum token_verdict {
    TOKEN_PASS,
    TOKEN_KEYS_CHANGED_AT,  /* lower than stored, missing although stored, or above the generation */
    TOKEN_STATE_EMPTY,      /* a client state was there before */
    TOKEN_STATE_STALE,      /* one from the past */
    TOKEN_STATE_GENERATION, /* a new one, but the generation did not grow */
    TOKEN_STATE_KEYS,       /* a new one, but the keys did not change */
    TOKEN_GENERATION        /* lower than stored */
};

struct token_outcome {
    enum token_verdict verdict;
    bool new_record;         /* another client state: new uid, empty data area, the old state is remembered */
    bool write;              /* `next` differs from what is stored */
    struct token_facts next; /* on TOKEN_PASS: what holds from now on */
};

/* old: client states of earlier records. */
struct token_outcome token_rules(const struct token_facts *stored, const view *old, size_t n_old,
                                 const struct token_facts *asked);

#endif
