/* What of a user's data goes into the audit log: a digest that two nodes give alike where they hold the same records. */
#include <inttypes.h>

#include "admin/audit/audit.h"
#include "admin/subject.h"
#include "common/base/json.h"
#include "common/base/mem.h"

void audit_digest_usage(const json_t *usage, char out[AUDIT_HASH_TEXT + 1])
{
    SCOPED(json_decref) json_t *colls = mem_need(json_object());
    const json_t *c;
    size_t i;
    json_array_foreach (json_object_get(usage, "colls"), i,
                        c) { /* by name: nodes number collections on their own */
        view name = json_text(json_object_get(c, "name"));
        if (name.p)
            json_object_setn_new(colls, name.p, name.n,
                                 mem_need(json_pack("{s:O,s:O}", "modified", json_object_get(c, "modified"),
                                                    "digest", json_object_get(c, "digest"))));
    }
    audit_digest_json(colls, out);
}

void audit_data_at(struct reach *r, view node, int64_t uid, char out[AUDIT_HASH_TEXT + 1])
{
    SCOPED(json_decref) json_t *usage = NULL;
    struct err unused = ERR_NONE;
    char path[64];
    out[0] = '\0';
    snprintf(path, sizeof path, "users/%" PRId64 "/usage", uid);
    const struct reach_call c = { .method = "GET", .path = path, .body = VIEW_NONE };
    if (reach_node_object(r, node, &c, &usage, &unused) == RC_OK)
        audit_digest_usage(usage, out);
}

void audit_data_of_move(struct reach *r, const struct subject *before, const struct subject *after,
                        char out_before[AUDIT_HASH_TEXT + 1], char out_after[AUDIT_HASH_TEXT + 1])
{
    out_before[0] = out_after[0] = '\0';
    if (before->node.p && after->node.p && !view_eq(before->node, after->node)) {
        audit_data_at(r, before->node, before->uid, out_before);
        audit_data_at(r, after->node, after->uid, out_after);
    }
}
