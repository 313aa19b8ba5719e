/* What the build puts into the directory: its catalogues, scripts, and the list of refused passwords. */
#ifndef HEDDLE_SCREENS_EMBEDDED_H
#define HEDDLE_SCREENS_EMBEDDED_H

#include "common/page/embedded.h"

extern const struct embedded_file embedded_directory_words[], embedded_directory_media[],
    embedded_directory_data[];

#endif
