/* Bringing a running balancer to what the directory says, and looking whether it is there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/lb/lb.h"
#include "common/base/buf.h"

/* ---- all ---- */

rc lb_push_all(const struct admin_conf *c, const struct lb_model *m, enum lb_reload when, struct err *e)
{
    const struct lb_driver *d = lb_driver_of(&c->lb);
    bool wanted = false;
    TRY(lb_render(c, m, &wanted, e));
    if (when == LB_ALWAYS)
        wanted = true;
    if (!wanted && when == LB_IF_BEHIND && d->is_behind)
        TRY(d->is_behind(c, &wanted, e));
    return wanted ? d->reload(c, e) /* which reads the maps as well */ : d->replace(c, m, e);
}

/* ---- one ---- */

/* The rows of a file of users, so that one can be changed: another program wrote them. */
static rc read_rows(const struct admin_conf *c, const struct lb_model *m, unsigned file, struct lb_users *out,
                    struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    char line[1024];
    lb_map_path(&c->lb, LB_USERS, file, &path);
    FILE *f = fopen(buf_text(&path), "re");
    if (!f)
        return errno == ENOENT
                   ? RC_OK
                   : fail(e, RC_BROKEN, RESP_GENERIC, "%.160s: %s", buf_text(&path), strerror(errno));
    while (fgets(line, sizeof(line), f)) {
        view rest = view_of(line), key;
        rest.n = strcspn(line, "\n;");
        view_cut(&rest, ' ', &key);
        if (rest.n > 1 && rest.p[0] == '\'')
            rest = (view){ .p = rest.p + 1, .n = rest.n - 2 };
        for (size_t i = 0; rest.p && i < m->n; i++)
            if (view_eq(m->nodes[i].id, rest))
                lb_users_append(out, key, (int)i);
    }
    fclose(f);
    lb_users_sort(out);
    return RC_OK;
}

/* In HAProxy's files one small file changes; nginx has all rows in one, and a digest of them. */
static rc keep_row(const struct admin_conf *c, const struct lb_model *m, const struct lb_account *a, int row,
                   struct err *e)
{
    struct lb_model whole = *m; /* its nodes are borrowed */
    bool one = lb_map_files(&c->lb, LB_USERS) > 1;
    unsigned file = one ? lb_shard(view_of(a->key)) : 0;
    whole.users = (struct lb_users){ .shards = { { .n = 0 } } };
    rc r = read_rows(c, m, file, &whole.users, e);
    if (r == RC_OK) {
        lb_users_set(&whole.users, view_of(a->key), row);
        r = one ? lb_render_file(c, &whole, LB_USERS, file, e) : lb_render_maps(c, &whole, e);
    }
    lb_users_done(&whole.users);
    return r;
}

/* The row at run time once more: since it was put there, a table of before may have been put in force as a whole. */
static rc settle_row(const struct admin_conf *c, const struct lb_model *m, const struct lb_account *a,
                     int row, const struct lb_change *x, struct err *e)
{
    const struct lb_driver *d = lb_driver_of(&c->lb);
    if (!d->live)
        TRY(keep_row(c, m, a, row, e));
    TRY(d->change(c, x, 1, e));
    return d->live ? keep_row(c, m, a, row, e) : RC_OK;
}

rc lb_push_account(const struct admin_conf *c, const struct lb_model *m, const struct lb_account *a,
                   struct err *e)
{
    const struct lb_driver *d = lb_driver_of(&c->lb);
    int row = lb_row_wanted(c, m, a);
    int lock;
    if (!a->key[0]) /* no balancer can write his name */
        return RC_OK;
    const struct lb_change x = { .map = LB_USERS,
                                 .key = view_of(a->key),
                                 .value = row >= 0 ? m->nodes[row].id : VIEW_NONE };
    if (d->live) /* at once, whoever writes files right now */
        TRY(d->change(c, &x, 1, e));
    TRY(lb_lock(&c->lb, &lock, e));
    rc r = settle_row(c, m, a, row, &x, e);
    close(lock);
    return r;
}
