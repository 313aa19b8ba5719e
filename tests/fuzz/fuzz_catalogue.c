/* gettext's .mo files: any bytes are a catalogue or refused; what a catalogue gives lies within it and is UTF-8. */
#include <assert.h>
#include <stdlib.h>

#include "common/base/encode.h"
#include "common/page/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const view ids[] = { VIEW(""), VIEW("Sign in"), VIEW("Copy"), VIEW("zzz"), VIEW("\xff") };
    struct catalogue *c;
    view bytes = { .p = (const char *)data, .n = size };
    if (catalogue_open(bytes, &c, NULL) != RC_OK)
        return 0;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        view text = catalogue_find(c, ids[i]);
        if (text.p)
            assert(text.p >= bytes.p && text.p + text.n < bytes.p + bytes.n && utf8_valid(text));
    }
    catalogue_close(c);
    return 0;
}
