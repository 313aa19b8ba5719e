#include <stdio.h>
#include <string.h>

#include "admin/lb/lb.h"

void lb_user_key(enum lb_proto p, view uid_or_name, char out[LB_KEY])
{
    snprintf(out, LB_KEY, "%s:%.*s", p == LB_15 ? "15" : "11", VIEW_ARG(uid_or_name));
}

uint32_t lb_crc32(view text)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < text.n; i++) {
        crc ^= (unsigned char)text.p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

unsigned lb_shard(view key)
{
    return lb_crc32(key) % LB_SHARDS;
}

void lb_users_done(struct lb_users *u)
{
    for (unsigned s = 0; s < LB_SHARDS; s++)
        lb_table_done(&u->shards[s]);
}

void lb_users_append(struct lb_users *u, view key, int node)
{
    lb_table_append(&u->shards[lb_shard(key)], key, node);
}

void lb_users_sort(struct lb_users *u)
{
    for (unsigned s = 0; s < LB_SHARDS; s++)
        lb_table_sort(&u->shards[s]);
}

int lb_users_find(const struct lb_users *u, view key)
{
    return lb_table_find(&u->shards[lb_shard(key)], key);
}

bool lb_users_set(struct lb_users *u, view key, int node)
{
    return lb_table_set(&u->shards[lb_shard(key)], key, node);
}

size_t lb_users_count(const struct lb_users *u, enum lb_proto p)
{
    size_t n = 0;
    for (unsigned s = 0; s < LB_SHARDS; s++)
        for (size_t i = 0; i < u->shards[s].n; i++)
            n += (u->shards[s].rows[i].key[1] == '5') == (p == LB_15);
    return n;
}
