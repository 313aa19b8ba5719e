/* Tokens that were found good, so that opening one again costs no signature, no JSON and no key derivation: a client shows the same
 * token for an hour. What is remembered follows from the secrets and the text alone; time is the caller's business. Any thread. */
#ifndef HEDDLE_AUTH_REMEMBERED_H
#define HEDDLE_AUTH_REMEMBERED_H

#include "common/auth/token.h"

#define REMEMBERED_MAX 32768 /* tokens; some 700 bytes each, and only for those that were shown */

struct remembered;
struct remembered *remembered_new(void);
void remembered_free(struct remembered *m); /* NULL is fine; wipes the keys */

/* *out with views in the arena, and the Hawk key. false: not known, nothing was filled. */
bool remembered_find(struct remembered *m, view text, struct arena *a, struct token *out,
                     char out_key[TOKEN_KEY_TEXT]);
/* Takes copies; another token may have to go. */
void remembered_add(struct remembered *m, view text, const struct token *t, const char key[TOKEN_KEY_TEXT]);

DEFINE_SCOPED(struct remembered *, remembered_free);

#endif
