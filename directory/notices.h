/* The mails that users get, in their language, as text and as HTML. Each can be replaced by files in screens.folder: mails/<kind>.txt and
 * .html, or with a language (reset.de.txt); the first line of the .txt is the subject. {link}, {name}, {server}, {life} are filled in, escaped
 * in HTML. Any thread. */
#ifndef HEDDLE_DIRECTORY_NOTICES_H
#define HEDDLE_DIRECTORY_NOTICES_H

#include "common/page/words.h"
#include "directory/inside.h"

enum notice {
    NOTICE_RESET,   /* here is your link */
    NOTICE_CHANGED, /* your password was changed */
    NOTICE_EMAIL,   /* your address was changed (to the old one) */
    NOTICE_DELETED, /* your account was deleted */
    NOTICE_PASS     /* a link that stands for a solved captcha */
};

struct notice_facts {
    view link;      /* whole URL, or VIEW_NONE */
    view name;      /* of the account */
    int64_t life_s; /* of the link */
};

/* As mailer_send; RC_AWAY: this directory sends no mails. */
MUST_USE rc notice_send(struct directory *d, struct arena *a, enum notice kind, view to,
                        const struct notice_facts *facts, const struct words *words, struct err *e);
/* For notices beside what was done already: a failure is logged. No address: nothing happens. */
void notice_tell(struct directory *d, struct arena *a, enum notice kind, view to,
                 const struct notice_facts *facts, const struct words *words);
/* "6 hours", "30 minutes" in that language. */
view notice_life(struct arena *a, int64_t life_s, const struct words *words);
/* The language that the request asks for. */
const struct words *request_words(const struct request *rq);

#endif
