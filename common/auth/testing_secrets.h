/* For tests: secrets from texts. */
#ifndef HEDDLE_AUTH_TESTING_SECRETS_H
#define HEDDLE_AUTH_TESTING_SECRETS_H

#include "common/auth/secrets.h"
#include "common/base/testing.h"

static inline struct secrets *list_of(const char *const *items, size_t n)
{
    struct conf_list list = { .items = (char **)(uintptr_t)items, .n = n };
    struct secrets *s = NULL;

    assert_int_equal(secrets_new(&list, 1, &s, NULL), RC_OK);
    return s;
}

#endif
