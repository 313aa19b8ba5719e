/* For tests: the settings of a server with small limits, on a port that the kernel chooses. */
#ifndef HEDDLE_WEB_TESTING_CONF_H
#define HEDDLE_WEB_TESTING_CONF_H

#include "common/web/server.h"

static inline struct server_conf test_conf(void)
{
    return (struct server_conf){
        .listen = (char *)(uintptr_t) "127.0.0.1:0",
        .url = (char *)(uintptr_t) "",
        .io_threads = 2,
        .workers = 2,
        .queue = 64,
        .queue_wait_s = 60,
        .connections = 100,
        .connection_bytes = 16384,
        .idle_s = 60,
        .body_bytes = 64 << 20,
        .arena_bytes = 1 << 20,
        .drain_s = 60,
        .tls_cert = (char *)(uintptr_t) "",
        .tls_key = (char *)(uintptr_t) "",
        .spool_dir = (char *)(uintptr_t) "",
    };
}

#endif
