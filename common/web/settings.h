/* The settings in force of this process, for admins who ask over the internal listener. Never a secret: what --show-config prints. */
#ifndef HEDDLE_WEB_SETTINGS_H
#define HEDDLE_WEB_SETTINGS_H

#include "common/base/conf.h"
#include "common/web/router.h"

/* program_main calls it at the start and after each reload. Any thread. */
void settings_take(const struct conf *c);

/* GET /internal/v1/settings: text/plain. Protocol: docs/internal-api.md, "Admin to directory". */
handler_fn settings_reply;

#endif
