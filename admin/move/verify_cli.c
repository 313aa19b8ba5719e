/* heddle-admin user verify */
#include "admin/move/verify.h"

#include "admin/show.h"
#include "admin/verbs.h"

static const struct column columns[] = {
    { "node", "NODE", COLUMN_TEXT },
    { "role", "ROLE", COLUMN_TEXT },
    { "name", "COLLECTION", COLUMN_TEXT },
    { "items", "ITEMS", COLUMN_NUMBER },
    { "bytes", "BYTES", COLUMN_BYTES },
    { "digest", "DIGEST", COLUMN_TEXT },
    COLUMNS_END,
};

/* A row for each collection of each holder. */
static void show_holders(const struct admin *a, const json_t *result)
{
    SCOPED(json_decref) json_t *rows = json_array();
    const json_t *holders = json_object_get(result, "holders"), *holder, *coll;
    size_t i, k;
    json_array_foreach (holders, i, holder) {
        json_array_foreach (json_object_get(holder, "colls"), k, coll) {
            json_t *row = json_copy((json_t *)(uintptr_t)coll);
            const char *digest = json_string_value(json_object_get(coll, "digest"));
            char shortened[17];
            snprintf(shortened, sizeof shortened, "%s", digest ? digest : "");
            json_object_set(row, "node", json_object_get(holder, "node"));
            json_object_set(row, "role", json_object_get(holder, "role"));
            json_object_set_new(row, "digest", json_string(shortened));
            json_array_append_new(rows, row);
        }
    }
    show_rows(a, rows, columns);
}

static void show_faults(const struct admin *a, const json_t *result)
{
    const json_t *holders = json_object_get(result, "holders"), *x;
    size_t i, k;
    json_array_foreach (json_object_get(result, "faults"), i, x)
        show_text(a, "%s%s%s\n", colour_on(a, COLOUR_RED), json_string_value(x), colour_off(a));
    for (i = 0; i < json_array_size(holders); i++)
        json_array_foreach (json_object_get(json_array_get(holders, i), "examples"), k, x)
            show_text(a, "  %s\n", json_string_value(x));
}

static int user_verify(struct admin *a)
{
    SCOPED(json_decref) json_t *result = NULL;
    struct err e = ERR_NONE;
    rc r = admin_connect(a, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    struct reach reach = { .ask = a->ask, .clock = clock_system() };
    r = verify_user(&reach, view_of(a->argv[0]), &result, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    size_t faults = json_array_size(json_object_get(result, "faults"));
    if (a->json) {
        show_object(a, result, NULL);
    } else {
        show_holders(a, result);
        show_faults(a, result);
        show_text(a, faults > 0 ? "%zu faults\n" : "no faults\n", faults);
    }
    return faults > 0 ? EXIT_DIFFERENT : EXIT_DONE;
}

const struct command verify_commands[] = {
    { .name = "user verify",
      .arguments = "USER",
      .least = 1,
      .most = 1,
      .run = user_verify,
      .help = "compare what the directory says of a user with what nodes hold",
      .about =
          "Counts, bytes and digests of each collection, on his node and on every other that still or already holds data of him; what "
          "differs is looked at item by item. A node that he left keeps his data for a day (purge.gone): until then a move can be "
          "checked once more. The exit status is 8 when something is damaged or missing.",
      .examples = { "heddle-admin user verify alice", "heddle-admin user verify 42 --json" } },
    COMMANDS_END,
};
