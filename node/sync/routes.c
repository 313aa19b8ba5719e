/* Every URL of the Sync storage protocols. {version} is 1.1, 1.0 or 1: three names of one protocol. */
#include "common/web/router.h"
#include "node/sync/handlers.h"

#define V15(methods_, path_, handler_, auth_, body_, warm_)                                                  \
    {                                                                                                        \
        .methods = methods_, .path = path_, .handler = handler_, .auth = auth_, .body_max = body_,           \
        .dialect = DIALECT_SYNC_15, .warm = warm_                                                            \
    }
#define V11(methods_, path_, handler_, body_, warm_)                                                         \
    {                                                                                                        \
        .methods = methods_, .path = path_, .handler = handler_, .auth = AUTH_BASIC, .body_max = body_,      \
        .dialect = DIALECT_SYNC_11, .flags = ROUTE_SLASHES, .warm = warm_                                    \
    }
#define NO_BODY 0

/* clang-format off */
const struct route sync_routes[] = {
    V15(GET | HEAD, "/1.5/{uid}/info/collections",        info_collections,   AUTH_HAWK_GRACE, NO_BODY, info_collections_warm),
    V15(GET | HEAD, "/1.5/{uid}/info/collection_counts",  info_counts,        AUTH_HAWK, NO_BODY,     NULL),
    V15(GET | HEAD, "/1.5/{uid}/info/collection_usage",   info_usage,         AUTH_HAWK, NO_BODY,     NULL),
    V15(GET | HEAD, "/1.5/{uid}/info/quota",              info_quota,         AUTH_HAWK, NO_BODY,     NULL),
    V15(GET | HEAD, "/1.5/{uid}/info/configuration",      info_configuration, AUTH_HAWK, NO_BODY,     NULL),
    V15(GET | HEAD, "/1.5/{uid}/storage/{coll}/{id}",     item_get,           AUTH_HAWK, NO_BODY,     item_get_warm),
    V15(PUT,        "/1.5/{uid}/storage/{coll}/{id}",     item_put,           AUTH_HAWK, BODY_BY_APP, NULL),
    V15(DELETE,     "/1.5/{uid}/storage/{coll}/{id}",     item_delete,        AUTH_HAWK, NO_BODY,     NULL),
    V15(GET | HEAD, "/1.5/{uid}/storage/{coll}",          collection_get,     AUTH_HAWK, NO_BODY,     collection_get_warm),
    V15(POST,       "/1.5/{uid}/storage/{coll}",          collection_post,    AUTH_HAWK, BODY_BY_APP, NULL),
    V15(DELETE,     "/1.5/{uid}/storage/{coll}",          collection_delete,  AUTH_HAWK, NO_BODY,     NULL),
    V15(DELETE,     "/1.5/{uid}/storage",                 user_delete,        AUTH_HAWK, NO_BODY,     NULL),
    V15(DELETE,     "/1.5/{uid}",                         user_delete,        AUTH_HAWK, NO_BODY,     NULL),

    V11(GET,        "/{version}/{user}/info/collections",       info_collections,         NO_BODY,     info_collections_warm),
    V11(GET,        "/{version}/{user}/info/collection_counts", info_counts,              NO_BODY,     NULL),
    V11(GET,        "/{version}/{user}/info/collection_usage",  info_usage,               NO_BODY,     NULL),
    V11(GET,        "/{version}/{user}/info/quota",             info_quota,               NO_BODY,     NULL),
    V11(GET,        "/{version}/{user}/storage/{coll11}/{any}", item_get,                 NO_BODY,     item_get_warm),
    V11(PUT,        "/{version}/{user}/storage/{coll11}/{any}", legacy_item_put,          BODY_BY_APP, NULL),
    V11(DELETE,     "/{version}/{user}/storage/{coll11}/{any}", legacy_item_delete,       NO_BODY,     NULL),
    V11(GET,        "/{version}/{user}/storage/{coll11}",       collection_get,           NO_BODY,     collection_get_warm),
    V11(POST | PUT, "/{version}/{user}/storage/{coll11}",       legacy_collection_post,   BODY_BY_APP, NULL),
    V11(DELETE,     "/{version}/{user}/storage/{coll11}",       legacy_collection_delete, NO_BODY,     NULL),
    V11(DELETE,     "/{version}/{user}/storage",                legacy_user_delete,       NO_BODY,     NULL),
};
/* clang-format on */
const size_t sync_routes_n = sizeof sync_routes / sizeof *sync_routes;

const struct param_kind sync_param_kinds[] = {
    { "uid", uid_ok },         { "coll", coll_name_ok },
    { "id", item_segment_ok }, { "version", legacy_version_ok },
    { "user", user_name_ok },  { "coll11", coll_name_legacy_ok },
    { "any", any_segment_ok },
};
const size_t sync_param_kinds_n = sizeof sync_param_kinds / sizeof *sync_param_kinds;

size_t sync_body_max(const struct request *rq, const struct sync_limits *l)
{
    if (is_legacy(rq))
        return (size_t)l->legacy_request_bytes;
    return (size_t)sync_limits_of(l, path_coll(rq)).max_request_bytes;
}
