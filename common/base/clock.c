#include "common/base/clock.h"

#include <errno.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t); /* cannot fail for the two clocks asked here */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t system_mono_us(const struct clock *c)
{
    (void)c;
    return read_us(CLOCK_MONOTONIC);
}

#ifdef HEDDLE_TEST_HOOKS

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_AGAIN_US 50000

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *shift_path;
static _Atomic int64_t shift_us, next_look_us;

static void find_path(void)
{
    shift_path = getenv("HEDDLE_CLOCK_FILE");
}

/* A file that is missing, being written or no number leaves the last shift as it is. */
static void look_at_file(void)
{
    char text[32];
    char *end;
    long long ms;
    ssize_t n;
    int fd = open(shift_path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return;
    text[n] = '\0';
    errno = 0;
    ms = strtoll(text, &end, 10);
    if (errno == 0 && end != text && ms < INT64_MAX / 4000 && ms > -(INT64_MAX / 4000))
        atomic_store(&shift_us, (int64_t)ms * 1000);
}

static int64_t test_shift_us(void)
{
    int64_t now, due;

    pthread_once(&once, find_path);
    if (!shift_path)
        return 0;
    now = read_us(CLOCK_MONOTONIC);
    due = atomic_load(&next_look_us);
    if (now >= due && atomic_compare_exchange_strong(&next_look_us, &due, now + LOOK_AGAIN_US))
        look_at_file();
    return atomic_load(&shift_us);
}

#else

static int64_t test_shift_us(void)
{
    return 0;
}

#endif

static int64_t system_now_us(const struct clock *c)
{
    (void)c;
    return read_us(CLOCK_REALTIME) + test_shift_us();
}

const struct clock *clock_system(void)
{
    static const struct clock system_clock = { .now_us = system_now_us, .mono_us = system_mono_us };

    return &system_clock;
}

void clock_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

struct timespec clock_in_ms(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

void clock_sleep_ms(int64_t ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        continue;
}

static int64_t fake_now_us(const struct clock *c)
{
    return ((const struct clock_fake *)c)->wall_us; /* `clock` is the first member */
}

static int64_t fake_mono_us(const struct clock *c)
{
    return ((const struct clock_fake *)c)->steady_us;
}

void clock_fake_init(struct clock_fake *f, int64_t wall_us)
{
    *f = (struct clock_fake){ .clock = { .now_us = fake_now_us, .mono_us = fake_mono_us },
                              .wall_us = wall_us };
}
