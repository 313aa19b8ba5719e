/* For tests that need an arena and nothing else: `arena`, as old as the group of tests. */
#ifndef HEDDLE_BASE_TESTING_ARENA_H
#define HEDDLE_BASE_TESTING_ARENA_H

#include "common/base/arena.h"
#include "common/base/testing.h"

static struct arena arena;

static inline int arena_setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)16 << 20);
    return 0;
}

static inline int arena_teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

#endif
