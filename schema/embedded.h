/* The SQL files of schema/, built into the programs, in the order of their names ("0001.mysql.sql"). */
#ifndef HEDDLE_SCHEMA_EMBEDDED_H
#define HEDDLE_SCHEMA_EMBEDDED_H

#include "common/base/embedded.h"

extern const struct embedded_file embedded_node_schema[], embedded_directory_schema[];

#endif
