/* Which groups of tests a driver has to pass. */
#include "conformance.h"
#include "world.h"

static int run(const struct test_group *g)
{
    return test_group_run(g, NULL, NULL);
}

static int run_with_redis(void)
{
    return heads_shared ? run(&heads_group) : run(&shared_group) + run(&redis_group);
}

int suite_run(const char *driver, const char *socket, bool heads)
{
    int failed = 0;
    driver_name = driver;
    redis_socket = socket;
    heads_shared = heads;
    if (!caches())
        return run(&nothing_group) + run(&race_group) > 0;
    if (socket) {
        control = redisConnectUnix(socket);
        if (!control || control->err) {
            fprintf(stderr, "no Redis at %s\n", socket);
            return 1;
        }
    }
    failed += socket ? run_with_redis() : run(&memory_group);
    failed += run(&driver_group) + run(&rule_group) + run(&race_group);
    if (control)
        redisFree(control);
    return failed > 0;
}
