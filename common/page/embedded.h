/* Files that the build puts into the program (common/page/embed.cmake): catalogues, style, scripts. */
#ifndef HEDDLE_PAGE_EMBEDDED_H
#define HEDDLE_PAGE_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name;
    const unsigned char *bytes; /* a NUL stands behind them, not counted */
    size_t n;
};

/* A table ends with a row without a name. This one: style, script and logo of all pages. */
extern const struct embedded_file embedded_page_media[];

#endif
