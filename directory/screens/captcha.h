/* Captchas: a driver makes challenges and judges answers. `work` is a proof of work: find a number whose SHA-256 with the challenge
 * begins with so many zero bits; nobody else is asked, and machines without eyes pass too. Another driver is another row in
 * captcha.c. A link that was mailed (a pass) stands for an answer, for browsers without scripts.
 * Protocol: User API 1.0, "captcha_html": the fields recaptcha_challenge_field and recaptcha_response_field. */
#ifndef HEDDLE_SCREENS_CAPTCHA_H
#define HEDDLE_SCREENS_CAPTCHA_H

#include "directory/screens/page.h"

#define CAPTCHA_LIFE_S 1800
#define PASS_LIFE_S    7200
#define PASS_RESPONSE  "mail" /* what stands in the response's field beside a pass */

struct captcha_driver {
    const char *name; /* as in the configuration */
    /* A new challenge; letters, digits, "-_.=" alone. */
    view (*challenge)(const struct directory *d, struct arena *a);
    /* Whether the answer is right and in time. That it was given before is not its business. */
    bool (*right)(const struct directory *d, struct arena *a, view challenge, view response);
};

/* *out is NULL where the captcha is off. RC_BAD_INPUT: no such driver. */
MUST_USE rc captcha_open(const struct screens_conf *c, struct captcha **out, struct err *e);
void captcha_close(struct captcha *c); /* NULL is fine */
/* The fields for a form, if the captcha is on. pass: one that the visitor came with, or VIEW_NONE. instead: page to go to without scripts. */
void captcha_fields(struct page *p, view pass, const char *instead);
/* The value of a pass for this address. */
view captcha_pass(const struct directory *d, struct arena *a, view mail);

#endif
