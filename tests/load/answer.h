/* Just enough HTTP to read the answers of the servers under test. One thread. */
#ifndef HEDDLE_LOAD_ANSWER_H
#define HEDDLE_LOAD_ANSWER_H

#include "common/base/view.h"

struct answer {
    int status;
    view head, body;    /* within the bytes given */
    view last_modified; /* X-Last-Modified; empty: none */
    bool close;         /* Connection: close */
};

enum answer_state { ANSWER_MORE, ANSWER_WHOLE, ANSWER_BROKEN };

/* Looks whether `got` begins with a whole answer. out_need: with ANSWER_MORE, the bytes of the whole where known, else 0. */
enum answer_state answer_read(view got, struct answer *out, size_t *out_need);

#endif
