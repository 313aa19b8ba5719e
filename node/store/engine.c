#include "node/store/engine.h"

#include <stdlib.h>

static rc prepare_fixed(struct conn *c, enum sql_id id, struct err *e)
{
    TRY(c->driver->prepare(c, dialect_sql(id, c->driver->dialect), &c->fixed[id], e));
    c->fixed[id]->wide = id == SQL_COLL_DROP || id == SQL_USER_DROP;
    return RC_OK;
}

rc conn_stmt(struct conn *c, enum sql_id id, struct stmt **out, struct err *e)
{
    if (!c->fixed[id])
        TRY(prepare_fixed(c, id, e));
    *out = c->fixed[id];
    return RC_OK;
}

struct stmt *conn_shape(struct conn *c, uint32_t key)
{
    for (size_t i = 0; i < SHAPES_MAX; i++) {
        if (c->shapes[i].st && c->shapes[i].key == key) {
            c->shapes[i].used_at = ++c->shape_clock;
            return c->shapes[i].st;
        }
    }
    return NULL;
}

rc conn_shape_add(struct conn *c, uint32_t key, const char *sql, struct stmt **out, struct err *e)
{
    struct stmt *st = NULL;
    TRY(c->driver->prepare(c, sql, &st, e));

    struct conn_shape *slot = &c->shapes[0];
    for (size_t i = 1; i < SHAPES_MAX && slot->st; i++) {
        if (!c->shapes[i].st || c->shapes[i].used_at < slot->used_at)
            slot = &c->shapes[i];
    }
    if (slot->st)
        c->driver->stmt_free(slot->st);
    *slot = (struct conn_shape){ .key = key, .used_at = ++c->shape_clock, .st = st };
    *out = st;
    return RC_OK;
}

void conn_free(struct conn *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < SQL_N; i++) {
        if (c->fixed[i])
            c->driver->stmt_free(c->fixed[i]);
    }
    for (size_t i = 0; i < SHAPES_MAX; i++) {
        if (c->shapes[i].st)
            c->driver->stmt_free(c->shapes[i].st);
    }
    c->driver->conn_close(c);
}
