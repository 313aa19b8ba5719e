/* For tests of the token server, without sockets: requests of a client, and the answers that it reads. */
#ifndef HEDDLE_DIRECTORY_TESTING_TOKENS_H
#define HEDDLE_DIRECTORY_TESTING_TOKENS_H

#include "common/auth/token.h"
#include "directory/testing_http.h"

#define PATH "/1.0/sync/1.5"

static EVP_PKEY *key; /* of the accounts server */

static inline int setup(void **state)
{
    *state = house_new(key);
    return 0;
}

static inline int teardown(void **state)
{
    house_free(*state);
    return 0;
}

static inline const char *bearer_of(struct house *h, const char *sub, int64_t generation, const char *scope)
{
    const char *g = generation ? arena_text(&h->a, ",\"fxa-generation\":%lld", (long long)generation).p : "";
    const char *claims = arena_text(&h->a, "{\"sub\":\"%s\",\"exp\":%lld,\"scope\":\"%s\"%s}", sub,
                                    (long long)NOW_S + 600, scope, g)
                             .p;
    return arena_text(&h->a, "Bearer %.*s", VIEW_ARG(test_jwt(&h->a, key, AT_HEADER, claims))).p;
}

static inline const char *bearer(struct house *h, int64_t generation)
{
    return bearer_of(h, TEST_SUB, generation, OLDSYNC);
}

static inline struct said get(struct house *h, const char *target, const char *authorization,
                              const char *key_id)
{
    const char *const headers[] = { "Authorization", authorization, "X-KeyID", key_id, NULL };
    return ask(h, "GET", target, headers, VIEW(""));
}

static inline struct said get_g(struct house *h, int64_t generation, const char *key_id)
{
    return get(h, PATH, bearer(h, generation), key_id);
}

static inline void is_words(struct said s, int http, const char *status, const char *location,
                            const char *name, const char *description)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"status\":\"%s\",\"errors\":[{\"location\":\"%s\",\"name\":\"%s\",\"description\":\"%s\"}]}",
             status, location, name, description);
    said_is(s, http, body);
    assert_true(said_header(s, "X-Timestamp").p != NULL);
    assert_true(view_eq(said_header(s, "X-Content-Type-Options"), VIEW("nosniff")));
    assert_string_equal(s.type, "application/json");
}

static inline int64_t uid_of(struct said s)
{
    if (s.status != 200)
        fail_msg("%d %.*s", s.status, VIEW_ARG(s.body));
    SCOPED(json_decref) json_t *j = said_json(s);
    return json_integer_value(json_object_get(j, "uid"));
}

/* Opens the token as the node would. */
static inline struct token token_in(struct house *h, struct said s, double now_s)
{
    struct secrets *list, *own;
    struct token_verifier *v;
    struct token t = { 0 };
    char hawk_key[TOKEN_KEY_TEXT];
    bool expired;
    view url = VIEW(OWN_URL);
    struct conf_list secret = { .items = h->secret, .n = 1 };
    if (s.status != 200)
        fail_msg("%d %.*s", s.status, VIEW_ARG(s.body));
    SCOPED(json_decref) json_t *j = said_json(s);
    assert_int_equal(secrets_new(&secret, 8, &list, NULL), RC_OK);
    assert_int_equal(secrets_derive(list, url, &own, NULL), RC_OK);
    assert_int_equal(token_verifier_new(h->conf.token_derived ? own : list, &url, 1, 0, &v, NULL), RC_OK);
    enum token_reason r = token_open(v, arena_copy(&h->a, json_text(json_object_get(j, "id"))), now_s, &h->a,
                                     &t, hawk_key, &expired);
    if (r != TOKEN_GOOD)
        fail_msg("%s", token_reason_name(r));
    assert_true(view_eq(json_text(json_object_get(j, "key")), (view){ .p = hawk_key, .n = TOKEN_KEY_TEXT }));
    token_verifier_free(v);
    secrets_free(own);
    secrets_free(list);
    return t;
}

#endif
