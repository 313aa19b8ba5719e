/* Bringing a running balancer to what the directory says, and looking whether it is there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "admin/lb.h"
#include "common/base/buf.h"
#include "common/base/clock.h"

/* ---- one writer of the files at a time ---- */

static rc lock(const struct lb_conf *c, int *out_fd, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    buf_addf(&path, "%s/lock", c->folder);
    int fd = open(buf_text(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.160s: %s", buf_text(&path), strerror(why));
    }
    *out_fd = fd;
    return RC_OK;
}

/* ---- all ---- */

static rc push_locked(const struct admin_conf *c, const struct lb_model *m, struct err *e)
{
    const struct lb_driver *d = lb_driver_of(&c->lb);
    bool changed = false;
    TRY(lb_render(c, m, &changed, e));
    if (changed) /* a reload reads the maps as well */
        return d->reload(c, e);
    return d->replace(c, m, e);
}

rc lb_push_all(const struct admin_conf *c, const struct lb_model *m, struct err *e)
{
    int fd;
    TRY(lb_conf_check(&c->lb, e));
    TRY(lock(&c->lb, &fd, e));
    rc r = push_locked(c, m, e);
    close(fd);
    return r;
}

/* ---- one ---- */

/* The rows of the file, so that one can be changed: another program wrote them. */
static rc read_rows(const struct admin_conf *c, const struct lb_model *m, enum lb_proto p,
                    struct lb_table *out, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    char line[1024];
    buf_addf(&path, "%s/maps/%s.map", c->lb.folder, lb_map_name(p == LB_15 ? LB_USERS15 : LB_USERS11));
    FILE *f = fopen(buf_text(&path), "re");
    if (!f)
        return errno == ENOENT
                   ? RC_OK
                   : fail(e, RC_BROKEN, RESP_GENERIC, "%.160s: %s", buf_text(&path), strerror(errno));
    while (fgets(line, sizeof(line), f)) {
        view rest = view_of(line), key;
        rest.n = strcspn(line, "\n;");
        view_cut(&rest, ' ', &key);
        if (key.n > 0 && key.p[0] == '\\')
            key = (view){ .p = key.p + 1, .n = key.n - 1 };
        if (rest.n > 1 && rest.p[0] == '\'')
            rest = (view){ .p = rest.p + 1, .n = rest.n - 2 };
        for (size_t i = 0; rest.p && i < m->n; i++)
            if (view_eq(m->nodes[i].id, rest))
                lb_table_append(out, key, (int)i);
    }
    fclose(f);
    lb_table_sort(out);
    return RC_OK;
}

static rc keep_row(const struct admin_conf *c, const struct lb_model *m, const struct lb_account *a, int row,
                   struct err *e)
{
    struct lb_model whole = *m; /* its nodes are borrowed */
    int fd;
    TRY(lock(&c->lb, &fd, e));
    rc r = RC_OK;
    for (int p = 0; p < LB_PROTOS; p++) {
        whole.users[p] = (struct lb_table){ .n = 0 };
        if (r == RC_OK)
            r = read_rows(c, m, (enum lb_proto)p, &whole.users[p], e);
    }
    if (r == RC_OK) {
        lb_table_set(&whole.users[a->proto], view_of(a->key), row);
        r = lb_render_maps(c, &whole, e);
    }
    for (int p = 0; p < LB_PROTOS; p++)
        lb_table_done(&whole.users[p]);
    close(fd);
    return r;
}

rc lb_push_account(const struct admin_conf *c, const struct lb_model *m, const struct lb_account *a,
                   struct err *e)
{
    const struct lb_driver *d = lb_driver_of(&c->lb);
    int row = lb_row_wanted(c, m, a);
    const struct lb_change x = { .map = a->proto == LB_15 ? LB_USERS15 : LB_USERS11,
                                 .key = view_of(a->key),
                                 .value = row >= 0 ? m->nodes[row].id : VIEW_NONE };
    if (!d->live)
        TRY(keep_row(c, m, a, row, e));
    TRY(d->change(c, &x, 1, e));
    return d->live ? keep_row(c, m, a, row, e) : RC_OK;
}
