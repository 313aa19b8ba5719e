/* Borrowed bytes: a pointer and a length, not NUL-terminated; they die with their source. */
#ifndef HEDDLE_BASE_VIEW_H
#define HEDDLE_BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct view {
    const char *p; /* may be NULL when n is 0; NULL means "absent", "" means "empty" */
    size_t n;
} view;

#define VIEW(literal) ((view){ .p = "" literal, .n = sizeof(literal) - 1 })
#define VIEW_NONE     ((view){ .p = NULL, .n = 0 })

/* For printf: printf("%.*s", VIEW_ARG(v)). */
#define VIEW_ARG(v) ((int)((v).n > 4096 ? 4096 : (v).n)), ((v).p ? (v).p : "")

static inline view view_of(const char *text) /* NULL gives VIEW_NONE */
{
    return text ? (view){ .p = text, .n = strlen(text) } : VIEW_NONE;
}

static inline bool view_eq(view a, view b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool view_eq_nocase(view a, view b); /* ASCII letters only */
bool view_starts(view v, view prefix);
int view_cmp(view a, view b);                 /* bytewise, shorter first */
int view_order(const void *a, const void *b); /* the same for qsort and bsearch over an array of views */
size_t view_count(view v, char c);            /* how often it stands there */

/* Cuts v at the first `sep`: *out_head is what stands before it, *v becomes what stands after it.
 * Without a sep the head is all and *v becomes VIEW_NONE. false when *v was VIEW_NONE (p == NULL). */
bool view_cut(view *v, char sep, view *out_head);

view view_trim(view v); /* blanks and tabs at both ends */

static inline bool ascii_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
/* Nothing but ASCII letters, digits and the characters of `more`; so is an empty one. */
bool view_only_alnum(view v, const char *more);
bool view_is_ascii(view v); /* no byte above 0x7f */

/* Decimal digits only, no sign, no blanks, at most 19 digits, not above max. false leaves *out alone. */
bool view_to_u64(view v, uint64_t max, uint64_t *out);
/* Cuts v as view_cut does; the head is a number from 0 to INT64_MAX, as view_to_u64 reads it. */
bool view_cut_number(view *v, char sep, int64_t *out);

#endif
