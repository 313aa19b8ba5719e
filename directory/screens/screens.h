/* The pages people see, and what they share in a process. The files page.h, form.h, session.h … are for this folder alone. */
#ifndef HEDDLE_SCREENS_SCREENS_H
#define HEDDLE_SCREENS_SCREENS_H

#include "common/page/site.h"
#include "directory/inside.h"

/* Keys of [screens], [reset], [captcha]. */
struct screens_conf {
    char *name;               /* of this server, as people read it */
    char *folder;             /* own logo, style, texts; "" */
    struct conf_list secrets; /* of sessions and codes; empty: tokens.secrets */
    int64_t idle_s, life_s;   /* of a session */
    int64_t reset_life_s;
    int64_t resets_per_hour;    /* mails to one account */
    int64_t resets_per_address; /* in an hour, from one address; 0: no limit */
    char *captcha;              /* "off", "work" */
    int64_t captcha_bits;
};
extern const struct conf_key screens_conf_keys[];
extern const size_t screens_conf_keys_n;

struct captcha;

/* Read-only after it was opened, but for what has a lock of its own. */
struct screens {
    const struct screens_conf *conf;
    struct site site;
    struct captcha *captcha;   /* NULL: off */
    struct limits *asks;       /* reset and captcha mails, by address */
    struct buf qr_new, qr_old; /* SVG of the two addresses that people type */
};

/* conf: NULL for the defaults. RC_BAD_INPUT: a setting, or a broken file in screens.folder. */
MUST_USE rc screens_open(const struct directory *d, const struct screens_conf *conf, struct screens **out,
                         struct err *e);
void screens_close(struct screens *s); /* NULL is fine */
MUST_USE rc screens_check(const struct screens_conf *c, struct err *e);

/* ---- page.c ---- */

void screens_navigation(struct page *p);

/* ---- captcha.c ---- */

/* Whether this answer to this challenge counts; each counts once, whichever process is asked. Without a captcha: always. */
MUST_USE rc captcha_solved(struct directory_worker *w, struct arena *a, view challenge, view response,
                           bool *out, struct err *e);
bool captcha_on(const struct directory *d);

/* ---- account_find.c ---- */

#define ACCOUNT_TYPED_MAX 254 /* bytes: nobody is meant by more */
/* The account that somebody means who types a name or an address; the name may be one that nobody has. */
MUST_USE rc account_meant(struct backend_session *s, view typed, struct arena *a, view *out_name,
                          struct err *e);

handler_fn screen_home, screen_media, screen_reset, screen_delete_old, screen_captcha, screen_pass,
    screen_sign_in, screen_sign_out, screen_register, screen_account, screen_email, screen_password,
    screen_data, screen_download, screen_clear, screen_delete;

#endif
