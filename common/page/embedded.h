/* Style, script and logo of all pages, built in. */
#ifndef HEDDLE_PAGE_EMBEDDED_H
#define HEDDLE_PAGE_EMBEDDED_H

#include "common/base/embedded.h"

extern const struct embedded_file embedded_page_media[];

#endif
