/* Files that the build puts into the program (directory/screens/embed.cmake): catalogues, style, scripts, the list of passwords. */
#ifndef HEDDLE_SCREENS_EMBEDDED_H
#define HEDDLE_SCREENS_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name;
    const unsigned char *bytes; /* a NUL stands behind them, not counted */
    size_t n;
};

/* Ended by a row without a name. */
extern const struct embedded_file embedded_words[], embedded_media[], embedded_data[];

#endif
