/* The strict reader and the writers: what was read is written and read again as the same, and no limit is passed. */
#include <assert.h>

#include "common/base/encode.h"
#include "common/base/json.h"

#define DEPTH 8

static unsigned depth_of(const json_t *value)
{
    unsigned deepest = 0;
    const char *key;
    json_t *member;
    size_t i;

    if (!json_is_object(value) && !json_is_array(value))
        return 0;
    json_array_foreach (value, i, member)
        if (depth_of(member) > deepest)
            deepest = depth_of(member);
    json_object_foreach ((json_t *)(uintptr_t)value, key, member)
        if (depth_of(member) > deepest)
            deepest = depth_of(member);
    return deepest + 1;
}

static void text_survives(view text)
{
    SCOPED(buf_done) struct buf b = { 0 };
    SCOPED(json_decref) json_t *back = NULL;

    json_put_string(&b, text);
    if (json_read(buf_view(&b), 0, JSON_READ_PLAIN, &back, NULL) != RC_OK) {
        assert(!utf8_valid(text));
        return;
    }
    assert(utf8_valid(text));
    assert(view_eq(json_text(back), text));
}

static void value_survives(const json_t *value)
{
    SCOPED(buf_done) struct buf b = { 0 };
    SCOPED(json_decref) json_t *back = NULL;

    assert(depth_of(value) <= DEPTH);
    json_put_members(&b, value);
    assert(json_read(buf_view(&b), DEPTH, JSON_READ_NO_DUPLICATES, &back, NULL) == RC_OK);
    assert(json_equal(value, back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    view text = { .p = (const char *)data, .n = size };
    SCOPED(json_decref) json_t *loose = NULL;
    SCOPED(json_decref) json_t *strict = NULL;
    struct err e = ERR_NONE;
    rc r;

    text_survives(text);
    r = json_read(text, DEPTH, JSON_READ_PLAIN, &loose, &e);
    assert(r == RC_OK ||
           (r == RC_BAD_INPUT && (e.respcode == RESP_JSON || e.respcode == RESP_INVALID_WBO) && e.text[0]));
    assert((loose != NULL) == (r == RC_OK));
    if (loose)
        value_survives(loose);
    if (json_read(text, DEPTH, JSON_READ_NO_DUPLICATES, &strict, &e) == RC_OK)
        assert(loose &&
               json_equal(loose, strict)); /* without duplicates there is nothing to disagree about */
    return 0;
}
