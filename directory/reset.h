/* Password resets. What is stored of one is a seed, its end, and counters, in the account's own entry; the code is a keyed hash of the
 * seed, so it can be mailed again but not read from the directory's data.
 *
 *   none --ask--> open (code good until its end) --ask--> open, the same code, the same end, mailed again
 *   open --ten wrong tries, the right code used, cancelled--> spent (the counters of mails stay) --ask--> open, a new code
 *
 * The code also covers the account's number, its mail address and the time of its last password change: it is good for this
 * account alone, and dies with either of the latter. All steps go through account_cas on ATTR_RESET: of two who use a code at
 * once, one wins. Protocol: User API 1.0, "Reset codes". */
#ifndef HEDDLE_DIRECTORY_RESET_H
#define HEDDLE_DIRECTORY_RESET_H

#include "common/page/words.h"
#include "directory/inside.h"

#define RESET_GROUPS    7                      /* of four: 144 bits */
#define RESET_CODE_TEXT (RESET_GROUPS * 5 - 1) /* XK3P-…-A7TT */
#define RESET_TRIES     10

/* A value of ATTR_RESET: "<seed, 32 hex digits, or -> <end, s> <tries> <mails> <beginning of their hour, s>". */
struct reset_state {
    view seed; /* VIEW_NONE: spent */
    int64_t end_s, tries, mails, hour_s;
};
/* Anything unreadable is a spent one without counters. */
struct reset_state reset_state_read(view text);
view reset_state_text(struct arena *a, const struct reset_state *s);
/* The form of a code: at least four groups of four capital letters and digits (what older servers made), at most seven. */
bool reset_code_form(view code);

/* An account that can be reset: enabled, with a password kept by us. */
bool reset_possible(const struct account *acc);

/* Mails the code to the address on file. RC_NOT_FOUND: no such account; RC_BAD_INPUT: no address (RESP_NO_EMAIL);
 * RC_BUSY: too many mails in this hour (unless `by_admin`); RC_AWAY: it cannot be sent. */
MUST_USE rc reset_ask(struct directory_worker *w, struct arena *a, view name, const struct words *words,
                      bool by_admin, struct err *e);
/* Takes the code back. RC_OK also without one. */
MUST_USE rc reset_cancel(struct directory_worker *w, struct arena *a, view name, struct err *e);
/* The code becomes the new password, which keeps the rule already. RC_NOT_FOUND; RC_BAD_INPUT with RESP_RESET_CODE: wrong,
 * used, or too late. */
MUST_USE rc reset_finish(struct directory_worker *w, struct arena *a, view name, view code, view password,
                         const struct words *words, struct err *e);

/* ---- reset_queue.c: asking in the background ----
 *
 * The answer comes in the same time, whether there is such an account or not, and what was answered is not lost: what was typed stands in a folder,
 * on the disk, before the page says that a mail is on its way, and until the mail is in the mails' own queue. Who is meant by it is looked up after
 * the answer alone. A backend that is away is asked again, until the code would have ended. */

struct resets;
/* dir: of the waiting ones; copied. Several processes may share it: all write, the one that holds its lock works. RC_BROKEN. */
MUST_USE rc resets_open(struct directory *d, const char *dir, struct resets **out, struct err *e);
void resets_close(struct resets *r); /* after what can be done now is done; the rest stays; NULL is fine */
/* typed: a name or an address. RC_OK: it is on the disk; whatever comes of it is logged. RC_BUSY: very many wait; RC_AWAY: the disk. Any thread. */
MUST_USE rc resets_queue(struct resets *r, view typed, const struct words *words, struct err *e);

#endif
