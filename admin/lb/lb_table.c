#include <stdlib.h>

#include "admin/lb/lb.h"
#include "common/base/mem.h"

void lb_table_done(struct lb_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->rows[i].key);
    free(t->rows);
    *t = (struct lb_table){ .n = 0 };
}

static void room(struct lb_table *t)
{
    if (t->n < t->cap)
        return;
    t->cap = t->cap ? 2 * t->cap : 64;
    t->rows = mem_need(reallocarray(t->rows, t->cap, sizeof(*t->rows)));
}

static char *copy(view key)
{
    return mem_need(strndup(key.p, key.n));
}

void lb_table_append(struct lb_table *t, view key, int node)
{
    room(t);
    t->rows[t->n++] = (struct lb_row){ .key = copy(key), .node = node };
    t->dirty = true;
}

static int by_key(const void *a, const void *b)
{
    const struct lb_row *x = a, *y = b;
    return strcmp(x->key, y->key);
}

void lb_table_sort(struct lb_table *t)
{
    size_t kept = 0;

    if (!t->dirty)
        return;
    if (t->n > 1) /* qsort takes no NULL */
        qsort(t->rows, t->n, sizeof(*t->rows), by_key);
    for (size_t i = 0; i < t->n; i++) {
        if (kept > 0 && strcmp(t->rows[kept - 1].key, t->rows[i].key) == 0) {
            free(t->rows[kept - 1].key);
            kept--;
        }
        t->rows[kept++] = t->rows[i];
    }
    t->n = kept;
    t->dirty = false;
}

/* Where the key stands, or would stand. */
static size_t place(const struct lb_table *t, view key, bool *out_there)
{
    size_t low = 0, high = t->n;

    *out_there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strncmp(t->rows[middle].key, key.p, key.n);
        if (order == 0)
            order = t->rows[middle].key[key.n] != '\0';
        if (order == 0) {
            *out_there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int lb_table_find(const struct lb_table *t, view key)
{
    bool there;
    size_t i = place(t, key, &there);
    return there ? t->rows[i].node : -1;
}

bool lb_table_set(struct lb_table *t, view key, int node)
{
    bool there;
    size_t i = place(t, key, &there);

    if (there && node == t->rows[i].node)
        return false;
    if (there && node >= 0) {
        t->rows[i].node = node;
        return true;
    }
    if (there) {
        free(t->rows[i].key);
        memmove(&t->rows[i], &t->rows[i + 1], (--t->n - i) * sizeof(*t->rows));
        return true;
    }
    if (node < 0)
        return false;
    room(t);
    memmove(&t->rows[i + 1], &t->rows[i], (t->n++ - i) * sizeof(*t->rows));
    t->rows[i] = (struct lb_row){ .key = copy(key), .node = node };
    return true;
}
