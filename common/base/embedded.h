/* Files that the build puts into a program (heddle_embed_files in CMakeLists.txt): SQL, catalogues, style, scripts. */
#ifndef HEDDLE_BASE_EMBEDDED_H
#define HEDDLE_BASE_EMBEDDED_H

#include <stddef.h>

/* A row of a table, which ends with a row without a name. */
struct embedded_file {
    const char *name;           /* without its folder */
    const unsigned char *bytes; /* a NUL stands behind them, not counted */
    size_t n;
};

#endif
