/* Chance that a seed decides, so that two runs ask the same. Not for secrets. One thread. */
#ifndef HEDDLE_LOAD_CHANCE_H
#define HEDDLE_LOAD_CHANCE_H

#include <stdint.h>

struct chance {
    uint64_t state;
};

/* splitmix64, a mix of every bit of its argument. */
static inline uint64_t chance_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint64_t chance_next(struct chance *c)
{
    return chance_mix(c->state++);
}

static inline unsigned chance_below(struct chance *c, unsigned limit) /* 0 … limit-1; limit > 0 */
{
    return (unsigned)(((chance_next(c) >> 32) * limit) >> 32);
}

static inline double chance_unit(struct chance *c) /* above 0, at most 1 */
{
    return ((double)(chance_next(c) >> 11) + 1.0) / 9007199254740992.0;
}

#endif
