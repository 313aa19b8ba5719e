/* Invite codes: made by an admin, shown once, good for one registration or for several.
 *
 *     K7QP-3MXD-9HTR-ZW2B-V6NC
 *
 * Crockford's base 32 (no I, L, O, U), so that people can read one to each other: blanks, dashes and the case of letters do not count, O is
 * taken for 0, I and L for 1. The first group names the code in lists and in the backend; the other four are 80 bits from the kernel. Kept is
 * a keyed hash of all of it, so the backend's data alone do not give a code away.
 *
 *     left --take--> under way --the account is made--> used
 *       ^---------------'  the registration failed
 *
 * Taking writes the uid that the account will have beside the count, in one step (invite_cas). Whoever ends in between leaves that behind;
 * invites_sweep looks whether the account is there, and confirms the use or gives it back. Any thread with a worker of its own. */
#ifndef HEDDLE_DIRECTORY_INVITES_H
#define HEDDLE_DIRECTORY_INVITES_H

#include "directory/inside.h"

#define INVITES_MOST       10000
#define INVITE_CODE_TEXT   24 /* five groups of four, and dashes */
#define INVITE_LIFE_MOST_S (366 * INT64_C(86400))
#define INVITE_NOTE_MAX    100 /* bytes */

struct invite_order {
    view by, note; /* VIEW_NONE: none; no control characters */
    int64_t uses, life_s;
};
/* *out_code is the only place where the code ever stands. RC_BAD_INPUT: an impossible order; RC_BUSY: INVITES_MOST are there;
 * RC_UNSURE: there may be one more, whose code nobody knows. */
MUST_USE rc invite_make(struct directory_worker *w, struct arena *a, const struct invite_order *order,
                        view *out_code, struct invite *out, struct err *e);

/* Whether it can still be used; else why not: "used up", "expired", as lists name it. */
const char *invite_state(const struct invite *x, int64_t now_ms);

/* A use that was taken, for an account that is being made. */
struct invite_hold {
    view id, taker;
};
/* RC_DENIED: not a code of ours, expired, used up (the text, for the log, says which). */
MUST_USE rc invite_take(struct directory_worker *w, struct arena *a, view typed, int64_t uid,
                        struct invite_hold *out, struct err *e);
/* After the attempt to make the account: RC_OK confirms, RC_UNSURE leaves it to the sweep, all else gives it back. What fails here is
 * logged, and the sweep does it. */
void invite_settle(struct directory_worker *w, struct arena *a, const struct invite_hold *hold, rc made);

struct invites_swept {
    size_t deleted, mended;
};
/* Deletes codes that ended a week ago, and used-up ones that were made a month ago; settles what registrations left behind that ended in
 * between. Can be repeated and done by several at once. */
MUST_USE rc invites_sweep(struct directory_worker *w, struct invites_swept *out, struct err *e);

/* "k7qp3mxd9htrzw2bv6nc" of what somebody typed; false: not the form of a code. */
#define INVITE_CODE_ROOM 21
bool invite_code_read(view typed, char out[INVITE_CODE_ROOM]);

#endif
