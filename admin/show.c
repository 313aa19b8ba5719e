#include "admin/show.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

#include "common/base/json.h"
#include "common/base/mem.h"

#define COLUMNS_MAX 24

/* ---- colours ---- */

const char *colour_on(const struct admin *a, enum colour c)
{
    static const char *const codes[] = { [COLOUR_NONE] = "",
                                         [COLOUR_RED] = "\033[31m",
                                         [COLOUR_GREEN] = "\033[32m",
                                         [COLOUR_YELLOW] = "\033[33m",
                                         [COLOUR_BOLD] = "\033[1m" };
    return a->colour ? codes[c] : "";
}

const char *colour_off(const struct admin *a)
{
    return a->colour ? "\033[0m" : "";
}

static enum colour colour_of_state(const char *state)
{
    static const struct {
        const char *state;
        enum colour colour;
    } known[] = { { "open", COLOUR_GREEN },     { "done", COLOUR_GREEN },    { "running", COLOUR_GREEN },
                  { "closed", COLOUR_YELLOW },  { "paused", COLOUR_YELLOW }, { "draining", COLOUR_YELLOW },
                  { "waiting", COLOUR_YELLOW }, { "down", COLOUR_RED },      { "failed", COLOUR_RED },
                  { "silent", COLOUR_RED } };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].state, state) == 0)
            return known[i].colour;
    return COLOUR_NONE;
}

/* ---- values ---- */

void show_bytes(struct buf *b, int64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double value = (double)bytes;
    size_t unit = 0;
    while ((value >= 1024 || value <= -1024) && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    buf_addf(b, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void show_seconds(struct buf *b, int64_t s)
{
    if (s < 60)
        buf_addf(b, "%" PRId64 "s", s);
    else if (s < 3600)
        buf_addf(b, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        buf_addf(b, "%" PRId64 "h%02" PRId64 "m", s / 3600, s % 3600 / 60);
    else
        buf_addf(b, "%" PRId64 "d%02" PRId64 "h", s / 86400, s % 86400 / 3600);
}

void show_time_ms(struct buf *b, int64_t ms)
{
    char text[40];
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    if (ms > 0 && gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &tm) > 0)
        buf_add(b, view_of(text));
    else
        buf_addc(b, '-');
}

static void show_plain(struct buf *b, const json_t *v)
{
    if (json_is_string(v)) {
        for (const char *p = json_string_value(v); *p;
             p++) /* what came over the network shall not steer a terminal */
            buf_addc(b, (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
    } else if (json_is_integer(v))
        buf_addf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        buf_addf(b, "%.2f", json_real_value(v));
    else if (json_is_boolean(v))
        buf_add(b, view_of(json_is_true(v) ? "yes" : "no"));
    else if (!v || json_is_null(v))
        buf_addc(b, '-');
    else
        json_put_members(b, v);
}

void show_value(struct buf *b, const json_t *v, enum column_kind kind)
{
    bool number = json_is_number(v);
    if (number && kind == COLUMN_BYTES)
        show_bytes(b, (int64_t)json_number_value(v));
    else if (number && kind == COLUMN_TIME)
        show_time_ms(b, (int64_t)json_number_value(v));
    else if (number && kind == COLUMN_AGE)
        show_seconds(b, (int64_t)json_number_value(v) / 1000);
    else if (number && kind == COLUMN_RATIO)
        buf_addf(b, "%.2f", json_number_value(v));
    else if (json_is_string(v) && json_string_length(v) == 0)
        buf_addc(b, '-');
    else
        show_plain(b, v);
}

/* "loads.users" */
static const json_t *member(const json_t *o, const char *path)
{
    view rest = view_of(path), name;
    while (o && view_cut(&rest, '.', &name))
        o = json_object_getn(o, name.p, name.n);
    return o;
}

/* ---- tables ---- */

static bool is_right(enum column_kind k)
{
    return k == COLUMN_NUMBER || k == COLUMN_BYTES || k == COLUMN_AGE || k == COLUMN_RATIO;
}

/* Characters, not bytes. */
static size_t width_of(view v)
{
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++)
        n += ((unsigned char)v.p[i] & 0xc0) != 0x80;
    return n;
}

static void pad(FILE *out, size_t n)
{
    fprintf(out, "%*s", (int)n, "");
}

struct table {
    const struct admin *a;
    const struct column *columns;
    size_t n;
    size_t widths[COLUMNS_MAX];
};

static void print_cell(const struct table *t, size_t c, view text, enum colour colour)
{
    size_t width = width_of(text), gap = t->widths[c] > width ? t->widths[c] - width : 0;
    bool right = is_right(t->columns[c].kind), last = c + 1 == t->n;
    if (right)
        pad(t->a->out, gap);
    fprintf(t->a->out, "%s%.*s%s", colour_on(t->a, colour), (int)text.n, text.p,
            colour ? colour_off(t->a) : "");
    if (!right && !last)
        pad(t->a->out, gap);
    fputs(last ? "\n" : "  ", t->a->out);
}

static void table_init(struct table *t, const struct admin *a, const json_t *rows,
                       const struct column *columns)
{
    const json_t *row;
    size_t i;
    *t = (struct table){ .a = a, .columns = columns };
    for (; columns[t->n].member && t->n < COLUMNS_MAX; t->n++)
        t->widths[t->n] = width_of(view_of(columns[t->n].heading));
    json_array_foreach (rows, i, row)
        for (size_t c = 0; c < t->n; c++) {
            SCOPED(buf_done) struct buf text = { 0 };
            show_value(&text, member(row, columns[c].member), columns[c].kind);
            size_t width = width_of(buf_view(&text));
            if (width > t->widths[c])
                t->widths[c] = width;
        }
}

static void print_line(const struct admin *a, const json_t *o)
{
    SCOPED(buf_done) struct buf line = { 0 };
    json_put_members(&line, o);
    buf_addc(&line, '\n');
    (void)fwrite(line.p, 1, line.n, a->out); /* commands_run looks at ferror */
}

void show_rows(const struct admin *a, const json_t *rows, const struct column *columns)
{
    struct table t;
    const json_t *row;
    size_t i;
    if (a->json) {
        json_array_foreach (rows, i, row)
            print_line(a, row);
        return;
    }
    table_init(&t, a, rows, columns);
    for (size_t c = 0; c < t.n; c++)
        print_cell(&t, c, view_of(columns[c].heading), COLOUR_BOLD);
    json_array_foreach (rows, i, row)
        for (size_t c = 0; c < t.n; c++) {
            SCOPED(buf_done) struct buf text = { 0 };
            show_value(&text, member(row, columns[c].member), columns[c].kind);
            print_cell(&t, c, buf_view(&text),
                       columns[c].kind == COLUMN_STATE ? colour_of_state(buf_text(&text)) : COLOUR_NONE);
        }
}

/* ---- one object ---- */

static bool is_named(const struct column *columns, const char *name)
{
    for (; columns && columns->member; columns++) {
        size_t n = strcspn(columns->member, ".");
        if (strlen(name) == n && memcmp(columns->member, name, n) == 0)
            return true;
    }
    return false;
}

static void print_member(const struct admin *a, const char *name, const json_t *value, enum column_kind kind)
{
    SCOPED(buf_done) struct buf text = { 0 };
    show_value(&text, value, kind);
    enum colour c = kind == COLUMN_STATE ? colour_of_state(buf_text(&text)) : COLOUR_NONE;
    fprintf(a->out, "%-14s %s%s%s\n", name, colour_on(a, c), buf_text(&text), c ? colour_off(a) : "");
}

void show_object(const struct admin *a, const json_t *object, const struct column *columns)
{
    const char *name;
    json_t *value;
    if (a->json) {
        print_line(a, object);
        return;
    }
    for (const struct column *c = columns; c && c->member; c++)
        if (member(object, c->member))
            print_member(a, c->heading, member(object, c->member), c->kind);
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        if (!is_named(columns, name))
            print_member(a, name, value, COLUMN_TEXT);
    }
}

void show_text(const struct admin *a, const char *fmt, ...)
{
    va_list args;
    if (a->json)
        return;
    va_start(args, fmt);
    vfprintf(a->out, fmt, args);
    va_end(args);
}
