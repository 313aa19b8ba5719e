/* What the build puts into the console: its catalogues, style and script. */
#ifndef HEDDLE_ADMIN_CONSOLE_EMBEDDED_H
#define HEDDLE_ADMIN_CONSOLE_EMBEDDED_H

#include "common/page/embedded.h"

extern const struct embedded_file embedded_console_words[], embedded_console_media[];

#endif
