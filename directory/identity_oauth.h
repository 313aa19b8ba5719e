/* Access tokens of the accounts server: JWTs that we check with its public keys, or others that a remote verifier knows.
 * Protocol: Token server, "Verifying the access token" (4.1, 4.2). Any thread. */
#ifndef HEDDLE_DIRECTORY_IDENTITY_OAUTH_H
#define HEDDLE_DIRECTORY_IDENTITY_OAUTH_H

#include "common/base/arena.h"
#include "common/base/json.h"
#include "common/web/call.h"

#define OAUTH_MOZILLA_JWKS "https://oauth.accounts.firefox.com/v1/jwks"

struct oauth;

/* Texts are borrowed; "" or NULL: not configured. */
struct oauth_conf {
    const char *jwks_file, *jwks_url, *verify_url; /* none of them: Mozilla's JWK-set URL */
    const char *issuer;                            /* "": not pinned */
    const char *scope;
    int64_t timeout_s;
    /* JWTs whose signature was found good, for OAUTH_REMEMBERED_S and while the keys stay the same */
    bool remember;
    const struct clock *clock;
};
#define OAUTH_REMEMBERED_S 300

/* Outgoing calls, made by the thread that asks. failed: tells the log that keys could not be fetched. */
struct oauth_http {
    rc (*send)(void *arg, const struct call *what, struct answer *out, struct err *e);
    void (*failed)(void *arg, const char *url, const struct err *why);
    void *arg;
};

/* Who is behind a good token. Views in the arena. */
struct oauth_user {
    view sub;            /* [A-Za-z0-9=_-]{1,64} */
    int64_t generation;  /* 0: unknown */
    bool generation_bad; /* the claim is there, but is no integer */
    view client_id;      /* for the log; VIEW_NONE */
};

/* Texts of conf are borrowed until oauth_close. RC_BAD_INPUT: no scope. */
MUST_USE rc oauth_open(const struct oauth_conf *c, struct oauth **out, struct err *e);
void oauth_close(struct oauth *o);
/* Reads a key file again, at start and on reload. RC_BAD_INPUT: no usable key in it; those at hand stay. */
MUST_USE rc oauth_reload(struct oauth *o, struct err *e);

/* RC_DENIED: the token is not good (words invalid-credentials). RC_AWAY: no keys, or the verifier does not answer (words
 * "Resource is not available"). */
MUST_USE rc oauth_verify(struct oauth *o, const struct oauth_http *http, view token, struct arena *a,
                         struct oauth_user *out, struct err *e);

/* The same from memory alone: a JWT that our keys have proven before, and that has not expired since. false: not known. */
bool oauth_remembered(struct oauth *o, view token, struct arena *a, struct oauth_user *out);

/* A security event token: signed by the same keys, for this audience, from the pinned issuer. *out: its claims, owned by the caller.
 * RC_DENIED for all that is wrong with it, no keys included. Protocol: Token server, "Webhook" (7.2). */
MUST_USE rc oauth_event(struct oauth *o, const struct oauth_http *http, view token, view audience,
                        struct arena *a, json_t **out, struct err *e);

/* "https://oauth.accounts.firefox.com/v1", for the description at "/"; VIEW_NONE if only a file is configured. */
view oauth_server_url(const struct oauth *o, struct arena *a);

#endif
