/* Functions that do not compile here: each has a safer neighbour. Included into every file by the build. */
#ifndef HEDDLE_BASE_BANNED_H
#define HEDDLE_BASE_BANNED_H

/* A library's header that names one of them in its macros comes before: set_source_files_properties(file PROPERTIES
 * COMPILE_DEFINITIONS "HEDDLE_BEFORE_BANNED=<mysql.h>"). */
#ifdef HEDDLE_BEFORE_BANNED
#include HEDDLE_BEFORE_BANNED
#endif

#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef alloca
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok atoi atol atoll atof alloca gets    \
    gmtime localtime

#endif
