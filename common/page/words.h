/* Texts in the reader's language: gettext's catalogues (.mo), read once at start and looked up by the English text. glibc's gettext() is
 * not used: it wants the system's locales to be installed, and takes the language from the process or thread. A request is
 * answered in the language of its cookie, else the best of its Accept-Language. Read-only after they were made; any thread. */
#ifndef HEDDLE_PAGE_WORDS_H
#define HEDDLE_PAGE_WORDS_H

#include "common/base/arena.h"
#include "common/base/err.h"

#define WORDS_MOST 32 /* languages */

/* One language. */
struct words {
    char tag[16];               /* "de", "pt-br" */
    const char *label;          /* "Deutsch" */
    const void *first, *second; /* catalogues: the operator's own, ours; NULL: none */
};

struct languages {
    struct words list[WORDS_MOST];
    size_t n; /* the first is English */
};

struct embedded_file;
/* The built-in languages (embedded.h); folder: one with own catalogues (de.mo, nl.mo …), which come before ours; "": none. Free it also after a
 * failure. RC_BAD_INPUT: a file that is no catalogue. */
MUST_USE rc languages_open(const char *folder, const struct embedded_file *builtin, struct languages *out,
                           struct err *e);
void languages_close(struct languages *l);
/* By its tag; NULL: not one of ours. */
const struct words *languages_find(const struct languages *l, view tag);
/* The best for an Accept-Language header; never NULL. Protocol: RFC 9110 12.5.4. */
const struct words *languages_best(const struct languages *l, view accept);

/* The text in that language; the English one where it is missing. Lives as long as the catalogue. words may be NULL: English. */
view words_find(const struct words *w, const char *english);

/* ---- catalogue.c ---- */
struct catalogue;
/* bytes are borrowed. RC_BAD_INPUT: no .mo file, or a broken one. */
MUST_USE rc catalogue_open(view bytes, struct catalogue **out, struct err *e);
void catalogue_close(struct catalogue *c);
view catalogue_find(const struct catalogue *c, view id); /* VIEW_NONE: not in it, or not translated */

#endif
