/* Which groups of tests a driver has to pass. */
#include "conformance.h"
#include "world.h"

static int run(const struct test_group *g)
{
    return test_group_run(g, NULL, NULL);
}

int suite_run(const char *driver, const char *socket)
{
    int failed = 0;
    driver_name = driver;
    redis_socket = socket;
    if (!caches())
        return run(&nothing_group) + run(&race_group) > 0;
    if (socket) {
        control = redisConnectUnix(socket);
        if (!control || control->err) {
            fprintf(stderr, "no Redis at %s\n", socket);
            return 1;
        }
    }
    failed += run(socket ? &shared_group : &memory_group);
    if (socket)
        failed += run(&redis_group);
    failed += run(&driver_group) + run(&rule_group) + run(&race_group);
    if (control)
        redisFree(control);
    return failed > 0;
}
