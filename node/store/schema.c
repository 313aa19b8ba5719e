/* Numbered migrations: schema/node/NNNN.<engine>.sql, built into the program, applied in order under the engine's lock. */
#include "schema/embedded.h"

#include <stdlib.h>

#include "node/store/engine.h"

/* The number of a file of this engine ("0002.sqlite.sql": 2), else 0. */
static int migration_number(const char *name, const char *engine)
{
    char *rest = NULL;
    long number = strtol(name, &rest, 10);
    view tail = view_of(rest);
    view dot, kind;
    if (number <= 0 || number > 9999 || !view_cut(&tail, '.', &dot) || dot.n != 0 ||
        !view_cut(&tail, '.', &kind))
        return 0;
    return view_eq(kind, view_of(engine)) ? (int)number : 0;
}

static rc migrate_locked(struct conn *c, int *out_version, struct err *e)
{
    const char *engine = c->driver->name;
    int known = 0, version = 0;
    for (const struct embedded_file *f = embedded_node_schema; f->name; f++) {
        int number = migration_number(f->name, engine);
        known = number > known ? number : known;
    }
    TRY(c->driver->schema_version(c, &version, e));
    if (version > known)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "The database has schema %d, this program knows %d: use the newer program that made it.",
                    version, known);
    for (const struct embedded_file *f = embedded_node_schema; f->name; f++) {
        int number = migration_number(f->name, engine);
        if (number <= version)
            continue;
        TRY(c->driver->schema_apply(c, (const char *)f->bytes, number, e));
        version = number;
    }
    *out_version = version;
    return RC_OK;
}

rc schema_migrate(struct conn *c, int *out_version, struct err *e)
{
    TRY(c->driver->schema_lock(c, e));
    rc r = migrate_locked(c, out_version, e);
    if (r == RC_OK)
        return c->driver->schema_unlock(c, true, e);
    rc undone = c->driver->schema_unlock(c, false, NULL);
    return undone == RC_AWAY ? RC_AWAY : r; /* the first failure's text says more */
}
