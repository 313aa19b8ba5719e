/* What verbs answer: JSON values, shown as a table or as lines for people, or as they are with --json (one object a line). */
#ifndef HEDDLE_ADMIN_SHOW_H
#define HEDDLE_ADMIN_SHOW_H

#include <jansson.h>

#include "admin/commands.h"

enum column_kind {
    COLUMN_TEXT,
    COLUMN_NUMBER,
    COLUMN_BYTES, /* 12.3 MiB */
    COLUMN_TIME,  /* ms since 1970 as 2026-05-01 12:30:15Z; 0: - */
    COLUMN_AGE,   /* ms as 3d, 5h, 2m, 17s */
    COLUMN_STATE, /* a text, coloured: open green, down red */
    COLUMN_FLAG,  /* yes or no */
    COLUMN_RATIO, /* a number with two decimals */
};

struct column {
    const char *member;  /* "loads.users": a member of a member */
    const char *heading; /* for tables in capitals, for one object as it is written */
    enum column_kind kind;
};
#define COLUMNS_END                                                                                          \
    {                                                                                                        \
        .member = NULL                                                                                       \
    }

/* rows: an array. Without --json: headings and aligned columns; a missing member is "-". */
void show_rows(const struct admin *a, const json_t *rows, const struct column *columns);
/* One object. Without --json: a line for each column, then for each member that no column names. columns may be NULL. */
void show_object(const struct admin *a, const json_t *object, const struct column *columns);
/* A line for people alone: nothing with --json. */
void show_text(const struct admin *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* One value as people see it. */
void show_value(struct buf *b, const json_t *value, enum column_kind kind);
void show_bytes(struct buf *b, int64_t bytes);
void show_seconds(struct buf *b, int64_t seconds); /* 1h05m, 3m20s, 17s */
void show_time_ms(struct buf *b, int64_t ms);

enum colour { COLOUR_NONE, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_BOLD };
const char *colour_on(const struct admin *a, enum colour c); /* "" where there are no colours */
const char *colour_off(const struct admin *a);

#endif
