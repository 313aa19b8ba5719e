/* Numbers as the store packs them: seven bits a byte, low ones first; 63 bits at most. */
#ifndef HEDDLE_STORE_VARINT_H
#define HEDDLE_STORE_VARINT_H

#include "common/base/buf.h"

static inline void put_varint(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_addc(b, (char)(0x80 | (v & 0x7f)));
    buf_addc(b, (char)v);
}

/* Takes it off the front. false: there is none. */
static inline bool take_varint(view *v, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 63 && v->n > 0; shift += 7) {
        unsigned char byte = (unsigned char)v->p[0];
        v->p++;
        v->n--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

#endif
