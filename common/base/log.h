/* One JSON line for each event on stderr or a file (plain text on a terminal). Thread-safe; a line is never torn apart by another
 * writer's, and lines leave in the order of their making.
 * Values are escaped; nobody logs bodies, keys, passwords or Authorization headers. Library code never logs:
 * it returns an rc and a text, and whoever ends the failure logs it once. */
#ifndef HEDDLE_BASE_LOG_H
#define HEDDLE_BASE_LOG_H

#include "common/base/rc.h"
#include "common/base/view.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_JSON, LOG_PLAIN }; /* AUTO: plain on a terminal, else JSON */

struct log_field {
    const char *name;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT } type;
    view text;
    int64_t number;
};

#define LOG_V(key, v) ((struct log_field){ .name = (key), .type = LOG_FIELD_TEXT, .text = (v) })
#define LOG_S(key, s) LOG_V(key, view_of(s))
#define LOG_I(key, i) ((struct log_field){ .name = (key), .type = LOG_FIELD_INT, .number = (i) })

/* LOG(LOG_WARN, "cache lost", LOG_S("driver", "redis"), LOG_I("retry_s", 5)); at least one field. */
#define LOG(level, event, ...)                                                                               \
    log_event((level), (event), (const struct log_field[]){ __VA_ARGS__ },                                   \
              sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))

void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t n);

/* The same for lines of which there are thousands a second and none is urgent: they wait, at most 64 KiB, for the next line that is,
 * or for log_flush, which whoever uses this must see to; a process that is killed loses what waits. */
void log_event_soon(enum log_level level, const char *event, const struct log_field *fields, size_t n);
void log_flush(void);

/* Once, before threads start. fd is borrowed. Lines below `least` are dropped. */
void log_setup(int fd, enum log_format format, enum log_level least);
bool log_level_parse(view text, enum log_level *out);
bool log_wants(enum log_level level);

#endif
