/* Texts that only this directory, in any of its processes, can have made: sessions, form tokens, reset codes, links. The keys come
 * from screens.secrets, or else tokens.secrets, which all processes share; the newest makes, any of them opens. Each purpose has
 * keys of its own, so that no text of one passes for another's. Read-only after it was made; any thread. */
#ifndef HEDDLE_PAGE_SEAL_H
#define HEDDLE_PAGE_SEAL_H

#include "common/auth/secrets.h"
#include "common/base/arena.h"

#define SEAL_TEXT_MAX 2048 /* a longer one is none of ours */

enum seal_purpose {
    SEAL_SESSION,
    SEAL_FORM,
    SEAL_RESET,
    SEAL_CAPTCHA,
    SEAL_PASS,
    SEAL_INVITE,
    SEAL_PURPOSES
};

struct seal;
/* RC_BAD_INPUT: no secret, or a short one. */
MUST_USE rc seal_new(const struct conf_list *secrets, struct seal **out, struct err *e);
void seal_free(struct seal *s); /* wipes; NULL is fine */

size_t seal_keys(const struct seal *s); /* newest last */
/* HMAC-SHA-256 of `text` under key number i. */
void seal_mac(const struct seal *s, enum seal_purpose p, size_t i, view text, uint8_t out[SHA256_BYTES]);

/* "<b64url of text>.<b64url of its MAC>". */
view seal_text(const struct seal *s, enum seal_purpose p, view text, struct arena *a);
/* The text; false: not ours. */
bool seal_open(const struct seal *s, enum seal_purpose p, view sealed, struct arena *a, view *out);

#endif
