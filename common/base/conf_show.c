#include <inttypes.h>

#include "common/base/conf_inside.h"
#include "common/base/scope.h"

/* One key, and what it is set to (NULL in the manual). */
struct row {
    const struct conf_key *key;
    const struct conf_value *value;
};

static size_t section_length(const struct conf_key *k)
{
    return strcspn(k->name, ".");
}

static bool same_section(const struct conf_key *a, const struct conf_key *b)
{
    return section_length(a) == section_length(b) && memcmp(a->name, b->name, section_length(a)) == 0;
}

typedef void row_visitor(FILE *out, const struct row *r, bool first); /* first: of its section */

static void take_out(struct row *rows, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].key && strcmp(rows[i].key->name, name) == 0)
            rows[i].key = NULL;
}

/* The section that the first row is of: its keys, each of which is taken out, and its namesakes with it. */
static void each_of_section(struct row *rows, size_t n, row_visitor *visit, FILE *out)
{
    const struct conf_key *first = rows[0].key;

    for (size_t i = 0; i < n; i++) {
        struct row now = rows[i];

        if (!now.key || !same_section(now.key, first))
            continue;
        visit(out, &now, i == 0);
        take_out(rows + i, n - i, now.key->name);
    }
}

/* Calls visit for each key of all groups, section by section in the order of their first appearance, each name once: groups
 * of the one box share some. */
static void each_key(const struct conf_group *groups, size_t n, const struct conf_value *values,
                     row_visitor *visit, FILE *out)
{
    size_t total = 0, at = 0;
    struct row *rows;

    for (size_t g = 0; g < n; g++)
        total += groups[g].n;
    rows = calloc(total + 1, sizeof *rows);
    if (!rows)
        abort();
    for (size_t g = 0; g < n; g++)
        for (size_t k = 0; k < groups[g].n; k++, at++)
            rows[at] = (struct row){ .key = &groups[g].keys[k], .value = values ? &values[at] : NULL };
    for (size_t i = 0; i < total; i++)
        if (rows[i].key)
            each_of_section(rows + i, total - i, visit, out);
    free(rows);
}

static void put_pair(FILE *out, const char *name, const char *value)
{
    SCOPED(buf_done) struct buf line = { 0 };

    buf_addf(&line, "%s =%s%s", name, value[0] ? " " : "", value);
    if (!conf_line_fits(buf_view(&line))) { /* two bytes less, and no blank before a semicolon */
        buf_clear(&line);
        buf_addf(&line, "%s=%s", name, value);
    }
    if (!conf_line_fits(buf_view(&line)))
        fputs("# No line of a file can hold this value; give it by --set:\n# ", out);
    fputs(buf_text(&line), out);
    fputc('\n', out);
}

static void show_key(FILE *out, const struct row *r, bool first)
{
    const char *name = r->key->name + section_length(r->key) + 1;
    const struct conf_list *raw = &r->value->raw;

    if (first)
        fprintf(out, "\n[%.*s]\n", (int)section_length(r->key), r->key->name);
    fprintf(out, "# %s\n", r->key->help);
    if (r->key->flags & CONF_SECRET) { /* a comment: the file may be loaded again */
        bool set = r->key->type == CONF_LIST ? r->value->items.n > 0 : r->value->text[0] != '\0';

        fprintf(out, "# %s = %s\n", name, set ? "(set)" : "(not set)");
        return;
    }
    if (raw->n == 0)
        put_pair(out, name, "");
    for (size_t i = 0; i < raw->n; i++)
        put_pair(out, name, raw->items[i]);
}

void conf_show(const struct conf *c, FILE *out)
{
    each_key(c->groups, c->n, c->values, show_key, out);
}

/* --- the manual --- */

static const char *const type_names[] = {
    [CONF_TEXT] = "text", [CONF_INT] = "number",   [CONF_BOOL] = "yes/no",
    [CONF_SIZE] = "size", [CONF_SECONDS] = "time", [CONF_LIST] = "list",
};

static void put_cell(FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '|')
            fputs("\\|", out);
        else
            fputc(*text == '\n' ? ' ' : *text, out);
}

static void manual_type(FILE *out, const struct conf_key *k)
{
    fprintf(out, "| %s", type_names[k->type]);
    if (k->unit && k->unit[0])
        fprintf(out, ", %s", k->unit);
    if (k->least != 0 || k->most != 0)
        fprintf(out, ", %" PRId64 " … %" PRId64, k->least, k->most);
    if (k->flags & CONF_SECRET)
        fputs(", secret", out);
    if (k->flags & CONF_RELOAD)
        fputs(", followed on SIGHUP", out);
}

static void manual_key(FILE *out, const struct row *r, bool first)
{
    (void)first;
    fprintf(out, "| `%s` ", r->key->name);
    manual_type(out, r->key);
    fputs(" | ", out);
    if (r->key->fallback && r->key->fallback[0]) {
        fputc('`', out);
        put_cell(out, r->key->fallback);
        fputs("` ", out);
    }
    fputs("| ", out);
    put_cell(out, r->key->help);
    fputs(" |\n", out);
}

void conf_manual(const struct conf_group *groups, size_t n, FILE *out)
{
    fputs("| key | type | default | meaning |\n| --- | --- | --- | --- |\n", out);
    each_key(groups, n, NULL, manual_key, out);
}
