/* The admins' console: pages below /admin of whichever listener mounts it. It looks and acts as heddle-admin does, by the same functions, and
 * keeps nothing of its own but a key for sessions and, while one is open, the digest of a one-time password (admin.dir/console). */
#ifndef HEDDLE_ADMIN_CONSOLE_H
#define HEDDLE_ADMIN_CONSOLE_H

#include "admin/admin.h"
#include "common/base/clock.h"
#include "common/web/router.h"

struct console_options {
    const struct console_conf *conf;
    const struct admin_conf *admin;
    const char *public_url; /* without a slash at its end; the pages are below URL/admin */
    const char *program;    /* heddle-admin, for runs; NULL: beside this program */
    bool alone;             /* nobody else has pages at this address: "/" leads to the console */
    const struct clock *clock;
};

struct console;

/* Everything is borrowed until console_close. RC_BAD_INPUT: settings. */
MUST_USE rc console_open(const struct console_options *o, struct console **out, struct err *e);
void console_close(struct console *c); /* NULL is fine */
void console_mount(struct console *c, struct mount *out);

/* ---- once.c: passwords that open one session ---- */

#define ONCE_TEXT 25 /* "ABCDE-FGHIJ-KLMNO-PQRST"; the NUL counts */

/* A fresh one, which takes the place of the one before; its digest alone is kept, in admin.dir/console. */
MUST_USE rc once_make(const struct admin_conf *c, int64_t now_s, char out[ONCE_TEXT], struct err *e);
/* Takes it: true for one caller alone, of all processes and threads. Blanks, dashes and the case of letters do not count. */
bool once_use(const struct admin_conf *c, view typed, int64_t now_s, int64_t life_s);

#endif
