/* Journals of runs, kept open: a look reads only what was written since the last one, whoever looked. */
#include <pthread.h>

#include "admin/console/inside.h"
#include "admin/run/run.h"
#include "common/base/mem.h"

enum { KEPT = 32 };

struct follow {
    const struct admin_conf *conf;
    pthread_mutex_t lock;
    struct {
        struct journal *j;
        uint64_t used;
    } kept[KEPT];
    uint64_t turn;
};

struct follow *follow_new(const struct admin_conf *c)
{
    struct follow *f = mem_need(calloc(1, sizeof(*f)));
    f->conf = c;
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void follow_free(struct follow *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < KEPT; i++)
        journal_close(f->kept[i].j);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* The journal as it is now; the one that was not looked at for longest makes room. */
static rc find(struct follow *f, const char *id, const struct journal **out, struct err *e)
{
    size_t oldest = 0;
    for (size_t i = 0; i < KEPT; i++) {
        if (f->kept[i].j && strcmp(f->kept[i].j->id, id) == 0) {
            f->kept[i].used = ++f->turn;
            TRY(journal_follow(f->kept[i].j, e));
            *out = f->kept[i].j;
            return RC_OK;
        }
        if (f->kept[i].used < f->kept[oldest].used)
            oldest = i;
    }
    struct journal *fresh = NULL;
    TRY(journal_open(f->conf, id, false, &fresh, e));
    journal_close(f->kept[oldest].j);
    f->kept[oldest].j = fresh;
    f->kept[oldest].used = ++f->turn;
    *out = fresh;
    return RC_OK;
}

rc follow_run(struct follow *f, const char *id, follow_visitor *visit, void *arg, struct err *e)
{
    const struct journal *j = NULL;
    pthread_mutex_lock(&f->lock);
    rc r = find(f, id, &j, e);
    if (r == RC_OK)
        visit(arg, j);
    pthread_mutex_unlock(&f->lock);
    return r;
}
