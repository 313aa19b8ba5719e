/* The SQL files of schema/, built into the programs. Rows in the order of their names ("0001.mysql.sql"); the last has name NULL. */
#ifndef HEDDLE_SCHEMA_EMBEDDED_H
#define HEDDLE_SCHEMA_EMBEDDED_H

struct embedded_sql {
    const char *name, *text;
};

extern const struct embedded_sql node_schema[], directory_schema[];

#endif
