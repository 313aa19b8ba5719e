#include "common/web/server.h"

#include <errno.h>
#include <signal.h>

static void wanted(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

void signals_block(void)
{
    sigset_t set;

    wanted(&set);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        abort();
}

int signals_wait(void)
{
    sigset_t set;
    int sig = 0;

    wanted(&set);
    while (sigwait(&set, &sig) != 0) /* EINVAL cannot be; a debugger may interrupt */
        if (errno != EINTR)
            abort();
    return sig;
}
