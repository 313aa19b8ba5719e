#include "node/store/mysql_stmt.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"

#define PARAMS_MAX   40000  /* of one statement: a list of ids and some more         */
#define BULK_ROWS    1000   /* of one call                                           */
#define COLUMN_FIRST 256    /* bytes of a column's buffer before it must grow        */
#define COLUMN_KEPT  262144 /* a buffer that grew beyond this is not kept            */

enum kind { KIND_NULL, KIND_INT, KIND_BYTES };

struct value {
    enum kind kind;
    int64_t i;
    view v;
    unsigned long length;
};

/* One parameter's values of many rows, as the library wants them: an array for each. */
struct array {
    enum kind kind; /* of those that are not NULL */
    int64_t *ints;
    const char **texts;
    unsigned long *lengths;
    char *marks; /* STMT_INDICATOR_NONE or _NULL */
};

struct column {
    bool is_int;
    int64_t i;
    char *p;
    unsigned long cap, length;
    my_bool null, cut;
};

struct stmt_m {
    struct stmt base;
    MYSQL_STMT *st;
    unsigned n_params;  /* numbered ones: 1 … n_params              */
    unsigned n_places;  /* question marks                           */
    uint16_t *param_of; /* the number (from 0) behind each of them  */
    struct value *values;
    MYSQL_BIND *binds;
    struct array *arrays; /* made at the first bulk call             */
    unsigned n_cols;
    struct column *cols;
    MYSQL_BIND *col_binds;
    bool reading, big;
};

static struct stmt_m *of(struct stmt *st)
{
    return (struct stmt_m *)st;
}

static void *need(size_t n, size_t size)
{
    return mem_need(calloc(n ? n : 1, size));
}

static rc stmt_failed(struct stmt_m *s, const char *what, struct err *e)
{
    return conn_m_failed(s->base.conn, what, mysql_stmt_errno(s->st), mysql_stmt_error(s->st), e);
}

/* ---- prepare ---- */

/* "?12" becomes "?", and the place remembers 12. Our texts have no question marks elsewhere. */
static void translate(const char *sql, struct buf *out, struct stmt_m *s)
{
    size_t cap = 16;
    s->param_of = need(cap, sizeof *s->param_of);
    for (const char *p = sql; *p; p++) {
        buf_addc(out, *p);
        if (*p != '?')
            continue;
        char *end = NULL;
        unsigned long number = strtoul(p + 1, &end, 10);
        assert(end > p + 1 && number >= 1 && number <= PARAMS_MAX);
        if (s->n_places == cap) {
            cap *= 2;
            s->param_of = mem_need(realloc(s->param_of, cap * sizeof *s->param_of));
        }
        s->param_of[s->n_places++] = (uint16_t)(number - 1);
        s->n_params = number > s->n_params ? (unsigned)number : s->n_params;
        p = end - 1;
    }
}

static bool is_number(enum enum_field_types t)
{
    switch (t) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
    case MYSQL_TYPE_NULL:
        return true;
    default:
        return false;
    }
}

static void point_binds(struct stmt_m *s)
{
    for (unsigned i = 0; i < s->n_cols; i++) {
        struct column *col = &s->cols[i];
        s->col_binds[i] = (MYSQL_BIND){
            .buffer_type = col->is_int ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_BLOB,
            .buffer = col->is_int ? (void *)&col->i : col->p,
            .buffer_length = col->is_int ? sizeof col->i : col->cap,
            .length = &col->length,
            .is_null = &col->null,
            .error = &col->cut,
        };
    }
}

static rc bind_columns(struct stmt_m *s, struct err *e)
{
    MYSQL_RES *meta = mysql_stmt_result_metadata(s->st);
    if (!meta)
        return RC_OK;
    s->n_cols = mysql_num_fields(meta);
    s->cols = need(s->n_cols, sizeof *s->cols);
    s->col_binds = need(s->n_cols, sizeof *s->col_binds);
    const MYSQL_FIELD *fields = mysql_fetch_fields(meta);
    for (unsigned i = 0; i < s->n_cols; i++) {
        s->cols[i].is_int = is_number(fields[i].type);
        if (!s->cols[i].is_int) {
            s->cols[i].p = need(COLUMN_FIRST, 1);
            s->cols[i].cap = COLUMN_FIRST;
        }
    }
    mysql_free_result(meta);
    point_binds(s);
    return mysql_stmt_bind_result(s->st, s->col_binds) ? stmt_failed(s, "bind", e) : RC_OK;
}

rc stmt_m_make(struct conn *c, const char *sql, struct stmt **out, struct err *e)
{
    struct stmt_m *s = need(1, sizeof *s);
    SCOPED(buf_done) struct buf text = { 0 };
    s->base.conn = c;
    translate(sql, &text, s);
    s->values = need(s->n_params, sizeof *s->values);
    s->binds = need(s->n_places, sizeof *s->binds);
    s->st = mem_need(mysql_stmt_init(((struct conn_m *)c)->db));
    rc r = RC_OK;
    if (mysql_stmt_prepare(s->st, text.p, text.n))
        r = stmt_failed(s, "prepare", e);
    else
        r = bind_columns(s, e);
    if (r != RC_OK) {
        stmt_m_drop(&s->base);
        return r;
    }
    *out = &s->base;
    return RC_OK;
}

static void arrays_free(struct stmt_m *s)
{
    for (unsigned i = 0; s->arrays && i < s->n_params; i++) {
        free(s->arrays[i].ints);
        free(s->arrays[i].texts);
        free(s->arrays[i].lengths);
        free(s->arrays[i].marks);
    }
    free(s->arrays);
}

void stmt_m_drop(struct stmt *st)
{
    struct stmt_m *s = of(st);
    mysql_stmt_close(s->st);
    arrays_free(s);
    for (unsigned i = 0; i < s->n_cols; i++)
        free(s->cols[i].p);
    free(s->cols);
    free(s->col_binds);
    free(s->values);
    free(s->binds);
    free(s->param_of);
    free(s);
}

/* ---- parameters ---- */

/* A shape of a query may number a parameter that its text does not use; binding it is harmless. */
static struct value *value_of(struct stmt_m *s, unsigned param)
{
    static _Thread_local struct value unused;
    return param <= s->n_params ? &s->values[param - 1] : &unused;
}

void stmt_m_int(struct stmt *st, unsigned param, int64_t v)
{
    struct value *value = value_of(of(st), param);
    value->kind = KIND_INT;
    value->i = v;
}

void stmt_m_bytes(struct stmt *st, unsigned param, view v)
{
    struct value *value = value_of(of(st), param);
    value->kind = v.p ? KIND_BYTES : KIND_NULL;
    value->v = v;
    value->length = (unsigned long)v.n;
}

static enum enum_field_types type_of(enum kind k)
{
    return k == KIND_INT ? MYSQL_TYPE_LONGLONG : k == KIND_BYTES ? MYSQL_TYPE_BLOB : MYSQL_TYPE_NULL;
}

static rc execute(struct stmt_m *s, struct err *e)
{
    for (unsigned i = 0; i < s->n_places; i++) {
        struct value *v = &s->values[s->param_of[i]];
        s->binds[i] = (MYSQL_BIND){
            .buffer_type = type_of(v->kind),
            .buffer = v->kind == KIND_INT ? (void *)&v->i : (void *)v->v.p,
            .buffer_length = v->length,
            .length = &v->length,
        };
    }
    if (s->n_places > 0 && mysql_stmt_bind_param(s->st, s->binds))
        return stmt_failed(s, "bind", e);
    return mysql_stmt_execute(s->st) ? stmt_failed(s, "run", e) : RC_OK;
}

/* ---- many rows ---- */

static void make_arrays(struct stmt_m *s)
{
    if (s->arrays)
        return;
    s->arrays = need(s->n_params, sizeof *s->arrays);
    for (unsigned i = 0; i < s->n_params; i++) {
        s->arrays[i] = (struct array){
            .ints = need(BULK_ROWS, sizeof *s->arrays[i].ints),
            .texts = need(BULK_ROWS, sizeof *s->arrays[i].texts),
            .lengths = need(BULK_ROWS, sizeof *s->arrays[i].lengths),
            .marks = need(BULK_ROWS, 1),
        };
    }
}

/* Copies the bound values into the arrays' row; gives the bytes it adds. */
static size_t add_row(struct stmt_m *s, size_t row)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < s->n_params; i++) {
        const struct value *v = &s->values[i];
        struct array *a = &s->arrays[i];
        a->marks[row] = v->kind == KIND_NULL ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
        if (v->kind == KIND_NULL)
            continue;
        assert(a->kind == KIND_NULL || a->kind == v->kind);
        a->kind = v->kind;
        a->ints[row] = v->i;
        a->texts[row] = v->v.p;
        a->lengths[row] = v->length;
        bytes += v->kind == KIND_BYTES ? v->length + 9 : 8;
    }
    return bytes;
}

static rc execute_rows(struct stmt_m *s, unsigned rows, struct err *e)
{
    for (unsigned i = 0; i < s->n_places; i++) {
        struct array *a = &s->arrays[s->param_of[i]];
        s->binds[i] = (MYSQL_BIND){
            .buffer_type = a->kind == KIND_BYTES ? MYSQL_TYPE_BLOB : MYSQL_TYPE_LONGLONG,
            .buffer = a->kind == KIND_BYTES ? (void *)a->texts : (void *)a->ints,
            .length = a->lengths,
            .u.indicator = a->marks,
        };
    }
    rc r = RC_OK;
    mysql_stmt_attr_set(s->st, STMT_ATTR_ARRAY_SIZE, &rows);
    if (mysql_stmt_bind_param(s->st, s->binds))
        r = stmt_failed(s, "bind", e);
    else if (mysql_stmt_execute(s->st))
        r = stmt_failed(s, "run", e);
    unsigned one = 0;
    mysql_stmt_attr_set(s->st, STMT_ATTR_ARRAY_SIZE, &one);
    return r;
}

/* As execute, or with rows execute_rows: when it is this thread's turn. A few of these at once keep the cores busy; more wait for the
 * latches of the same indexes, spinning, while those who hold them are not on a core. */
static rc execute_in_turn(struct stmt_m *s, unsigned rows, struct err *e)
{
    struct turns *wide = s->base.conn->engine->wide;
    rc r = turn_take(wide, e);
    if (r != RC_OK) {
        s->base.conn->failed = true;
        return r;
    }
    r = rows ? execute_rows(s, rows, e) : execute(s, e);
    turn_give(wide);
    return r;
}

rc stmt_m_run(struct stmt *st, uint64_t *out_rows, struct err *e)
{
    struct stmt_m *s = of(st);
    TRY(st->wide ? execute_in_turn(s, 0, e) : execute(s, e));
    if (out_rows)
        *out_rows = mysql_stmt_affected_rows(s->st);
    return RC_OK;
}

static rc one_by_one(struct stmt *st, size_t n, row_binder *bind, void *arg, uint64_t *out_rows,
                     struct err *e)
{
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t rows = 0;
        bind(st, i, arg);
        TRY(stmt_m_run(st, &rows, e));
        all += rows;
    }
    if (out_rows)
        *out_rows = all;
    return RC_OK;
}

rc stmt_m_bulk(struct stmt *st, size_t n, row_binder *bind, void *arg, uint64_t *out_rows, struct err *e)
{
    struct stmt_m *s = of(st);
    const struct conn_m *c = (const struct conn_m *)st->conn;
    if (n == 1 || !c->arrays)
        return one_by_one(st, n, bind, arg, out_rows, e);

    make_arrays(s);
    uint64_t all = 0;
    for (size_t next = 0; next < n;) {
        size_t bytes = 0;
        unsigned rows = 0;
        for (unsigned i = 0; i < s->n_params; i++)
            s->arrays[i].kind = KIND_NULL;
        while (next < n && rows < BULK_ROWS && bytes < c->bulk_bytes) {
            bind(st, next++, arg);
            bytes += add_row(s, rows++);
        }
        TRY(rows < WIDE_ROWS ? execute_rows(s, rows, e) : execute_in_turn(s, rows, e));
        all += mysql_stmt_affected_rows(s->st);
    }
    if (out_rows)
        *out_rows = all;
    return RC_OK;
}

/* ---- rows ---- */

/* A value longer than its buffer: the buffer grows, and the value is taken again from the row that was received. */
static rc take_long_values(struct stmt_m *s, struct err *e)
{
    bool grown = false;
    for (unsigned i = 0; i < s->n_cols; i++) {
        struct column *col = &s->cols[i];
        if (col->is_int || col->null || col->length <= col->cap)
            continue;
        while (col->cap < col->length)
            col->cap *= 2;
        free(col->p);
        col->p = mem_need(malloc(col->cap));
        s->big = s->big || col->cap > COLUMN_KEPT;
        s->col_binds[i].buffer = col->p;
        s->col_binds[i].buffer_length = col->cap;
        if (mysql_stmt_fetch_column(s->st, &s->col_binds[i], i, 0))
            return stmt_failed(s, "read", e);
        grown = true;
    }
    if (grown && mysql_stmt_bind_result(s->st, s->col_binds))
        return stmt_failed(s, "bind", e);
    return RC_OK;
}

rc stmt_m_step(struct stmt *st, bool *out_row, struct err *e)
{
    struct stmt_m *s = of(st);
    if (!s->reading) {
        TRY(execute(s, e));
        s->reading = true;
    }
    int code = mysql_stmt_fetch(s->st);
    if (code == MYSQL_NO_DATA) {
        *out_row = false;
        return RC_OK;
    }
    if (code == MYSQL_DATA_TRUNCATED)
        TRY(take_long_values(s, e));
    else if (code != 0)
        return stmt_failed(s, "read", e);
    *out_row = true;
    return RC_OK;
}

static void give_back_big_buffers(struct stmt_m *s)
{
    for (unsigned i = 0; i < s->n_cols; i++) {
        struct column *col = &s->cols[i];
        if (col->is_int || col->cap <= COLUMN_KEPT)
            continue;
        free(col->p);
        col->cap = COLUMN_FIRST;
        col->p = need(col->cap, 1);
    }
    point_binds(s);
    if (mysql_stmt_bind_result(s->st, s->col_binds))
        s->base.conn->broken = true;
    s->big = false;
}

void stmt_m_done(struct stmt *st)
{
    struct stmt_m *s = of(st);
    if (!s->reading)
        return;
    s->reading = false;
    if (mysql_stmt_free_result(s->st)) /* reads away the rows nobody wanted */
        st->conn->broken = true;
    if (s->big)
        give_back_big_buffers(s);
}

int64_t stmt_m_col_int(struct stmt *st, unsigned col)
{
    const struct column *c = &of(st)->cols[col];
    return c->null ? 0 : c->i;
}

view stmt_m_col_bytes(struct stmt *st, unsigned col)
{
    const struct column *c = &of(st)->cols[col];
    return c->null ? VIEW_NONE : (view){ .p = c->p, .n = c->length };
}

bool stmt_m_col_null(struct stmt *st, unsigned col)
{
    return of(st)->cols[col].null != 0;
}
