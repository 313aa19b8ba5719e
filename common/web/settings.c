#include "common/web/settings.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/web/reply.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct buf text; /* of the process, as its settings are */

void settings_take(const struct conf *c)
{
    char *shown = NULL;
    size_t n = 0;
    FILE *f = mem_need(open_memstream(&shown, &n));
    conf_show(c, f);
    fclose(f);
    pthread_mutex_lock(&lock);
    buf_clear(&text);
    buf_add(&text, (view){ .p = shown, .n = n });
    pthread_mutex_unlock(&lock);
    free(shown);
}

rc settings_reply(struct request *rq, struct err *e)
{
    (void)e;
    reply_type(rq, "text/plain; charset=utf-8");
    pthread_mutex_lock(&lock);
    buf_add(reply_body(rq), buf_view(&text));
    pthread_mutex_unlock(&lock);
    return RC_OK;
}
