#include "common/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Formats beside e first: an argument may well be e->text itself, when a caller puts its own words before a failure. */
PRINTF_LIKE(4, 0)
static void fill(struct err *e, enum respcode code, const struct err_words *w, const char *fmt, va_list args)
{
    struct err fresh = { .respcode = code, .words = w };

    vsnprintf(fresh.text, sizeof fresh.text, fmt, args);
    *e = fresh;
}

void err_fill(struct err *e, enum respcode code, const char *fmt, ...)
{
    if (e) {
        va_list args;

        va_start(args, fmt);
        fill(e, code, NULL, fmt, args);
        va_end(args);
    }
}

void err_fill_words(struct err *e, const struct err_words *w, const char *fmt, ...)
{
    if (e) {
        va_list args;

        va_start(args, fmt);
        fill(e, RESP_GENERIC, w, fmt, args);
        va_end(args);
    }
}
