#include "common/web/server.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

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

int signals_wait(int64_t seconds)
{
    const struct timespec most = { .tv_sec = seconds };
    sigset_t set;
    int sig;

    wanted(&set);
    for (;;) {
        sig = sigtimedwait(&set, NULL, &most);
        if (sig > 0)
            return sig;
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR)
            abort();
    }
}
