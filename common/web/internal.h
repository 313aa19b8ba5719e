/* Who may use the internal routes: our own programs, each with a name, a role and a key; every call is signed (call.h does it) and
 * none is taken twice. The mounts of node and directory hand their AUTH_INTERNAL routes over to the two functions below.
 * Protocol: docs/internal-api.md, "Transport". */
#ifndef HEDDLE_WEB_INTERNAL_H
#define HEDDLE_WEB_INTERNAL_H

#include "common/base/clock.h"
#include "common/base/conf.h"
#include "common/base/json.h"
#include "common/web/request.h"

#define INTERNAL_WINDOW_S  60  /* how far a caller's clock may be from ours */
#define INTERNAL_KEY_LEAST 16  /* bytes; shorter ones are typing errors */
#define INTERNAL_NAME_MAX  255 /* bytes */

/* Key of [internal] beside those of the listener. */
struct internal_conf {
    struct conf_list keys; /* "ROLE NAME KEY" each */
};
extern const struct conf_key internal_conf_keys[];
extern const size_t internal_conf_keys_n;

struct callers;

/* role: "admin", "node"; what a route's `callers` names. */
struct internal_caller {
    view role, name;
};

/* Two lines of one name: either key is good (rotation). An empty list admits nobody. RC_BAD_INPUT: a line that is no
 * "ROLE NAME KEY", a key that is too short. Texts are copied. */
MUST_USE rc callers_new(const struct conf_list *keys, const struct clock *clock, struct callers **out,
                        struct err *e);
void callers_free(struct callers *c); /* NULL is fine; wipes */

/* On the io thread, with the headers: signature over the listener's own URL, time, nonce, and whether the route admits this caller.
 * RC_DENIED (the log has the reason), RC_FORBIDDEN. Thread-safe. Keeps what the others need in rq->scratch. */
MUST_USE rc internal_admit(struct callers *c, struct request *rq, struct err *e);
/* With the body: it is the one that was signed. RC_DENIED. */
MUST_USE rc internal_admit_body(struct request *rq, struct err *e);
/* For handlers of AUTH_INTERNAL routes. Lives as long as the request. */
const struct internal_caller *internal_caller(const struct request *rq);

/* Whether the words of `list` ("admin node") contain `role`. */
bool internal_role_in(const char *list, view role);

/* ---- bodies (internal_body.c) ---- */

/* The body as an object with none but these members (ended by NULL); the caller's. RC_BAD_INPUT. */
MUST_USE rc internal_body(const struct request *rq, const char *const *members, json_t **out, struct err *e);
/* A member; absent: *out stays. RC_BAD_INPUT: of another type, or a number outside least … INT64_MAX. */
MUST_USE rc internal_text(const json_t *o, const char *name, view *out, struct err *e);
MUST_USE rc internal_number(const json_t *o, const char *name, int64_t least, int64_t *out, struct err *e);

#endif
