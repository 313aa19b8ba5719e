/* Prepared statements of the MySQL engine: numbered parameters, arrays of rows, results read row by row into buffers that stay. */
#ifndef HEDDLE_STORE_MYSQL_STMT_H
#define HEDDLE_STORE_MYSQL_STMT_H

#include <mysql.h>

#include "node/store/engine.h"

struct conn_m {
    struct conn base;
    MYSQL *db;
    bool arrays;          /* the server takes many rows of parameters in one call (MariaDB) */
    size_t bulk_bytes;    /* most that one such call carries                                */
    enum store_mode mode; /* of the transaction                                             */
    enum { ISOLATION_UNSET, ISOLATION_READ, ISOLATION_WRITE } isolation;
};

/* Turns an error number and text of client or server into an rc, and marks the connection. */
MUST_USE rc conn_m_failed(struct conn *c, const char *what, unsigned code, const char *text, struct err *e);

/* The slots of engine_driver. */
MUST_USE rc stmt_m_make(struct conn *c, const char *sql, struct stmt **out, struct err *e);
void stmt_m_drop(struct stmt *st);
void stmt_m_int(struct stmt *st, unsigned param, int64_t v);
void stmt_m_bytes(struct stmt *st, unsigned param, view v);
MUST_USE rc stmt_m_run(struct stmt *st, uint64_t *out_rows, struct err *e);
MUST_USE rc stmt_m_bulk(struct stmt *st, size_t n, row_binder *bind, void *arg, uint64_t *out_rows,
                        struct err *e);
MUST_USE rc stmt_m_step(struct stmt *st, bool *out_row, struct err *e);
void stmt_m_done(struct stmt *st);
int64_t stmt_m_col_int(struct stmt *st, unsigned col);
view stmt_m_col_bytes(struct stmt *st, unsigned col);
bool stmt_m_col_null(struct stmt *st, unsigned col);

#endif
