/* The settings of [limits], the relations between them that the protocol demands, and what holds for one collection. */
#include "node/sync/limits.h"

#include <inttypes.h>

#include "common/base/mem.h"

#define LIMIT(field, kind, value, lo, hi, u, text)                                                           \
    {                                                                                                        \
        .name = "limits." #field, .type = CONF_##kind, .offset = offsetof(struct sync_limits, field),        \
        .fallback = value, .least = lo, .most = hi, .unit = u, .help = text                                  \
    }
#define BYTES_MAX INT64_C(1073741824) /* one body is one buffer: 1 GiB is beyond every use */
#define COUNT_MAX 1000000
#define TOTAL_MAX (INT64_C(1) << 50)

/* clang-format off */
const struct conf_key sync_limits_keys[] = {
    LIMIT(max_request_bytes, SIZE, "2625536", 1024, BYTES_MAX, "bytes", "Largest body of a request."),
    LIMIT(max_record_payload_bytes, SIZE, "2621440", 1, BYTES_MAX, "bytes", "Largest payload of one record."),
    LIMIT(max_post_records, INT, "100", 1, COUNT_MAX, "", "Records in one POST."),
    LIMIT(max_post_bytes, SIZE, "2621440", 1, BYTES_MAX, "bytes", "Payloads of one POST together."),
    LIMIT(max_total_records, INT, "10000", 1, COUNT_MAX, "", "Records in one batch of several POSTs."),
    LIMIT(max_total_bytes, SIZE, "262144000", 1, TOTAL_MAX, "bytes", "Payloads of one batch together."),
    LIMIT(collections, LIST, "", 0, 0, "",
          "Limits of single collections: NAME:max_record_payload_bytes:max_post_bytes:max_request_bytes, 0 for the general one."),
    LIMIT(batches, BOOL, "yes", 0, 0, "", "Offer uploads in batches of several POSTs."),
    { .name = "limits.batch_life", .type = CONF_SECONDS, .offset = offsetof(struct sync_limits, batch_life_s),
      .fallback = "2h", .least = 60, .most = 604800, .unit = "s", .help = "Life of a batch that is not committed." },
    LIMIT(quota_bytes, SIZE, "0", 0, TOTAL_MAX, "bytes", "Payload bytes that a user may keep; 0: no quota."),
    LIMIT(quota_enforced, BOOL, "yes", 0, 0, "", "Refuse writes over the quota; no: only show it."),
    LIMIT(legacy_request_bytes, SIZE, "33554432", 1024, BYTES_MAX, "bytes", "Sync 1.1: largest body of a request."),
    LIMIT(legacy_payload_bytes, SIZE, "262144", 1, BYTES_MAX, "bytes", "Sync 1.1: largest payload of one record."),
    LIMIT(legacy_post_records, INT, "100", 1, COUNT_MAX, "", "Sync 1.1: records taken from one POST."),
    LIMIT(legacy_post_bytes, SIZE, "1048576", 1, BYTES_MAX, "bytes",
          "Sync 1.1: the record at which the payloads of one POST reach this is sent back for another try."),
};
/* clang-format on */
const size_t sync_limits_keys_n = sizeof sync_limits_keys / sizeof *sync_limits_keys;

static rc number(view text, const char *item, int64_t *out, struct err *e)
{
    uint64_t n;

    if (!view_to_u64(text, (uint64_t)BYTES_MAX, &n))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "limits.collections: \"%s\" is not NAME:PAYLOAD:POST:REQUEST with numbers of bytes",
                    item);
    *out = (int64_t)n;
    return RC_OK;
}

/* "bookmarks:0:4194304:4198400" */
static rc collection_read(const char *item, const struct sync_limits *l, struct sync_coll_limits *out,
                          struct err *e)
{
    view rest = view_of(item), part[4];
    int64_t payload, post, request;
    size_t n = 0;

    while (n < 4 && view_cut(&rest, ':', &part[n]))
        n++;
    if (n != 4 || rest.p || !coll_name_ok(part[0]))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "limits.collections: \"%s\" is not NAME:PAYLOAD:POST:REQUEST with a legal name", item);
    TRY(number(part[1], item, &payload, e));
    TRY(number(part[2], item, &post, e));
    TRY(number(part[3], item, &request, e));
    *out = (struct sync_coll_limits){
        .coll = part[0],
        .max_record_payload_bytes = payload ? payload : l->max_record_payload_bytes,
        .max_post_bytes = post ? post : l->max_post_bytes,
        .max_request_bytes = request ? request : l->max_request_bytes,
    };
    return RC_OK;
}

/* Protocol: Storage API 1.5, "Limits": max_request_bytes > max_post_bytes >= max_record_payload_bytes. */
static rc sizes_agree(const struct sync_coll_limits *c, const char *where, struct err *e)
{
    if (c->max_request_bytes <= c->max_post_bytes)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "limits%s: max_request_bytes (%" PRId64 ") must be above max_post_bytes (%" PRId64 ")",
                    where, c->max_request_bytes, c->max_post_bytes);
    if (c->max_post_bytes < c->max_record_payload_bytes)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "limits%s: max_post_bytes (%" PRId64
                    ") must not be below max_record_payload_bytes (%" PRId64 ")",
                    where, c->max_post_bytes, c->max_record_payload_bytes);
    return RC_OK;
}

static rc relations(const struct sync_limits *l, struct err *e)
{
    struct sync_coll_limits general = sync_limits_of(l, VIEW_NONE);

    TRY(sizes_agree(&general, "", e));
    for (size_t i = 0; i < l->n_colls; i++)
        TRY(sizes_agree(&l->colls[i], ".collections", e));
    if (l->max_total_records < l->max_post_records)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "limits: max_total_records must not be below max_post_records");
    if (l->max_total_bytes < l->max_post_bytes)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "limits: max_total_bytes must not be below max_post_bytes");
    if (l->legacy_request_bytes <= l->legacy_post_bytes || l->legacy_request_bytes <= l->legacy_payload_bytes)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "limits: legacy_request_bytes must be above legacy_post_bytes and legacy_payload_bytes");
    return RC_OK;
}

rc sync_limits_ready(struct sync_limits *l, struct err *e)
{
    rc r = RC_OK;

    l->n_colls = 0;
    l->colls = l->collections.n ? mem_need(calloc(l->collections.n, sizeof *l->colls)) : NULL;
    for (size_t i = 0; i < l->collections.n && r == RC_OK; i++) {
        r = collection_read(l->collections.items[i], l, &l->colls[i], e);
        l->n_colls += r == RC_OK;
    }
    if (r == RC_OK)
        r = relations(l, e);
    if (r != RC_OK)
        sync_limits_done(l);
    return r;
}

void sync_limits_done(struct sync_limits *l)
{
    free(l->colls);
    l->colls = NULL;
    l->n_colls = 0;
}

struct sync_coll_limits sync_limits_of(const struct sync_limits *l, view coll)
{
    for (size_t i = 0; i < l->n_colls; i++)
        if (view_eq(l->colls[i].coll, coll))
            return l->colls[i];
    return (struct sync_coll_limits){ .coll = coll,
                                      .max_record_payload_bytes = l->max_record_payload_bytes,
                                      .max_post_bytes = l->max_post_bytes,
                                      .max_request_bytes = l->max_request_bytes };
}
