#include "node/sync/names.h"

#define USER_NAME_MAX 255

static bool all_name_bytes(view v)
{
    return v.n > 0 && view_only_alnum(v, "._-");
}

static bool walks(view v)
{
    return view_eq(v, VIEW(".")) || view_eq(v, VIEW(".."));
}

bool coll_name_ok(view name)
{
    return name.n <= COLL_NAME_MAX && coll_name_legacy_ok(name);
}

bool coll_name_legacy_ok(view name)
{
    return all_name_bytes(name) && !walks(name);
}

bool item_id_ok(view id)
{
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] < 0x20 || id.p[i] > 0x7e)
            return false;
    return id.n > 0 && id.n <= ITEM_ID_MAX;
}

bool item_id_legacy_ok(view id)
{
    return item_id_ok(id) && !memchr(id.p, '/', id.n);
}

bool uid_ok(view segment)
{
    uint64_t n;

    return segment.n <= 10 && view_to_u64(segment, UINT64_MAX, &n);
}

bool user_name_ok(view segment)
{
    return segment.n <= USER_NAME_MAX && all_name_bytes(segment);
}

bool legacy_version_ok(view segment)
{
    return view_eq(segment, VIEW("1.1")) || view_eq(segment, VIEW("1.0")) || view_eq(segment, VIEW("1"));
}

bool item_segment_ok(view segment)
{
    return item_id_legacy_ok(segment) && !walks(segment);
}

bool any_segment_ok(view segment)
{
    (void)segment;
    return true;
}
