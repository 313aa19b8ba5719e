/* Bodies as clients write them: encrypted payloads inside JSON inside JSON, so with a dozen escapes each. One thread. */
#ifndef HEDDLE_LOAD_RECORDS_H
#define HEDDLE_LOAD_RECORDS_H

#include "common/base/buf.h"
#include "tests/load/chance.h"

#define RECORD_ID    12
#define RECORD_LEAST 128 /* a payload with less in it has no room for IV and HMAC */
#define RECORD_MOST  65536

struct records; /* the ciphertext to cut from */
struct records *records_new(uint64_t seed);
void records_free(struct records *r);

/* The id of record number k, the same for each user: 12 characters that stand in no order. */
void record_id(uint64_t k, char out[RECORD_ID]);

struct record {
    view id;
    size_t payload_bytes; /* RECORD_LEAST … RECORD_MOST */
    int sortindex;        /* below 0: none */
    int64_t ttl_s;        /* 0: none */
};

/* One record as a JSON object. */
void record_put(struct records *r, struct chance *c, const struct record *rec, struct buf *out);

#endif
