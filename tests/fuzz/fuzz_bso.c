/* Bodies of PUT and POST, in both protocols. The first byte chooses protocol, format and kind; the rest is the body. Whatever it is, the
 * answer must be a good list or a clean refusal, its JSON must be JSON, and the patches must keep the promises of store.h. */
#include <assert.h>

#include "common/base/json.h"
#include "node/sync/bso_list.h"
#include "node/sync/names.h"

static void promises_kept(const struct item_patch *p, const struct bso_rules *rules)
{
    assert(rules->legacy ? item_id_legacy_ok(p->id) : item_id_ok(p->id));
    assert(p->payload_op != PATCH_CLEAR && (int64_t)p->payload.n <= rules->max_payload_bytes);
    assert(p->sortindex >= -999999999 && p->sortindex <= 999999999);
    assert(p->ttl_s >= 0 && p->ttl_s <= 999999999);
    assert(p->parentid.n <= 64 && p->predecessorid.n <= 64);
}

static void answer_is_json(const struct bso_list *l)
{
    SCOPED(buf_done) struct buf b = { 0 };
    SCOPED(json_decref) json_t *root = NULL;

    buf_addc(&b, '{');
    bso_list_put(&b, l);
    buf_addc(&b, '}');
    assert(json_read(buf_view(&b), 4, JSON_READ_NO_DUPLICATES, &root, NULL) == RC_OK);
    assert(json_array_size(json_object_get(root, "success")) >= l->n || l->single);
}

static void list(view body, enum format format, const struct bso_ctx *c)
{
    SCOPED(bso_list_done) struct bso_list l = { .n = 0 };
    struct err e = ERR_NONE;
    rc r = bso_list_read(body, format, c, &l, &e);

    assert(r == RC_OK || (r == RC_BAD_INPUT && e.respcode != RESP_GENERIC));
    if (r != RC_OK)
        return;
    for (size_t i = 0; i < l.n; i++)
        promises_kept(&l.patches[i], c->rules);
    assert(l.n <= (size_t)c->rules->max_post_records);
    answer_is_json(&l);
}

static void one(view body, const struct bso_ctx *c)
{
    SCOPED(json_decref) json_t *root = NULL;
    struct item_patch p;
    struct err e = ERR_NONE;
    rc r = bso_read(body, VIEW("id"), c, &p, &root, &e);

    assert(r == RC_OK || (r == RC_BAD_INPUT && (e.respcode == RESP_JSON || e.respcode == RESP_INVALID_WBO)));
    if (r == RC_OK)
        promises_kept(&p, c->rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct bso_rules rules = { .max_payload_bytes = 100, .max_post_bytes = 200, .max_post_records = 6 };
    struct bso_ctx c = { .rules = &rules, .arena = &a };
    view body;

    if (size == 0)
        return 0;
    body = (view){ .p = (const char *)data + 1, .n = size - 1 };
    rules.legacy = data[0] & 1;
    arena_init(&a, 1 << 20);
    if (data[0] & 2)
        one(body, &c);
    else
        list(body, data[0] & 4 && !rules.legacy ? FORMAT_NEWLINES : FORMAT_JSON, &c);
    arena_done(&a);
    return 0;
}
