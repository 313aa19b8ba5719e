#include "admin/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    (void)number;
    asked = 1;
}

void interrupt_heed(bool second_ends)
{
    const struct sigaction act = { .sa_handler = on_signal, .sa_flags = second_ends ? (int)SA_RESETHAND : 0 };
    asked = 0;
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
}

bool interrupted(void)
{
    return asked != 0;
}
