/* conformance_cache suite DRIVER [SOCKET [heads]]
 * conformance_cache storm SOCKET SECONDS SEED
 * conformance_cache talk SOCKET SCOPE */
#include <signal.h>
#include <stdio.h>

#include "conformance.h"

struct cache_conf conformance_conf(const char *driver, const char *socket, const char *scope)
{
    static char nothing[] = "", localhost[] = "127.0.0.1";
    return (struct cache_conf){ .driver = (char *)(uintptr_t)driver,
                                .redis_socket = socket ? (char *)(uintptr_t)socket : nothing,
                                .redis_host = localhost,
                                .redis_port = 6379,
                                .redis_password = nothing,
                                .timeout_ms = 3000, /* more than a busy machine takes */
                                .ttl_s = 600,
                                .memory_bytes = 1 << 20,
                                .items_bytes = 1 << 20,
                                .scope = (char *)(uintptr_t)scope };
}

int main(int argc, char **argv)
{
    uint64_t seconds = 0, seed = 0;

    signal(SIGPIPE, SIG_IGN); /* as programs do: a lost connection is an error, not an end */
    if (argc >= 3 && strcmp(argv[1], "suite") == 0)
        return suite_run(argv[2], argc > 3 ? argv[3] : NULL, argc > 4 && strcmp(argv[4], "heads") == 0);
    if (argc == 5 && strcmp(argv[1], "storm") == 0 && view_to_u64(view_of(argv[3]), 3600, &seconds) &&
        view_to_u64(view_of(argv[4]), UINT32_MAX, &seed))
        return storm_run(argv[2], (unsigned)seconds, (unsigned)seed);
    if (argc == 4 && strcmp(argv[1], "talk") == 0)
        return talk_run(argv[2], argv[3]);
    fprintf(
        stderr,
        "usage: conformance_cache suite DRIVER [SOCKET [heads]] | storm SOCKET SECONDS SEED | talk SOCKET SCOPE\n");
    return 2;
}
