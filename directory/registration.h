/* Who may have an account: the switch open / closed / list / invite, mail addresses, and the user name that belongs to one.
 * Protocol: User API 1.0, "Username ↔ e-mail" and "E-mail syntax". Pure; any thread. */
#ifndef HEDDLE_DIRECTORY_REGISTRATION_H
#define HEDDLE_DIRECTORY_REGISTRATION_H

#include "common/base/arena.h"
#include "common/base/conf.h"

enum registration_mode { REGISTRATION_OPEN, REGISTRATION_CLOSED, REGISTRATION_LIST, REGISTRATION_INVITE };

/* Travels by copy. What it points at is borrowed, and lives as long as the configuration it was read from. */
struct registration {
    enum registration_mode mode;
    struct conf_list allow;
    const char *secret; /* X-Weave-Secret that stands for a solved captcha; "": none does */
};

/* mode: open, closed, list, invite, or "": open if public_url is on loopback, else closed. */
MUST_USE rc registration_read(const char *mode, struct conf_list allow, const char *secret, view public_url,
                              struct registration *out, struct err *e);
/* By the switch and the list: addresses and *@domain (or @domain), in any case of letters. With invite nobody gets in by his address,
 * which he could have made up: the code is asked for elsewhere (invites.h). */
bool registration_takes_mail(const struct registration *r, view mail);
/* With list and invite: those on the list, whom their accounts server vouches for. */
bool registration_takes_sub(const struct registration *r, view sub);

/* The syntax that the Sync servers took: at most 254 bytes, no control characters. */
bool mail_valid(view mail);
/* Is `name` the hash of this address, in Firefox's way or in the Python server's (IDNA)? */
bool mail_makes_name(view mail, view name, struct arena *a);

#endif
