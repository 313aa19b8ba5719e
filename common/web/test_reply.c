#include <unistd.h>

#include "common/web/inside.h"

#include "common/base/testing.h"

static struct clock_fake fake;

static struct web_request *fresh(struct route *route, enum dialect d)
{
    struct web_request *w = web_request_new(&fake.clock, 1 << 20, VIEW("/x"));

    *route = (struct route){ .dialect = d };
    w->rq.route = route;
    return w;
}

/* The value of a header of the reply; "" if it has none. */
static const char *header(const struct web_request *w, const char *name)
{
    const char *p = w->reply.headers.p, *end = p + w->reply.headers.n;

    while (p && p < end) {
        const char *value = p + strlen(p) + 1;

        if (strcmp(p, name) == 0)
            return value;
        p = value + strlen(value) + 1;
    }
    return "";
}

static void assert_body(struct web_request *w, const char *body)
{
    assert_string_equal(buf_text(&w->reply.body), body);
}

/* rc × (Sync 1.5, Sync 1.1, User, token, internal, plain): the whole contract, written once more by hand. */
static const struct {
    rc r;
    int status[6];
    const char *code[3];
} table[] = {
    { RC_NOT_FOUND, { 404, 404, 404, 404, 404, 404 }, { "0", "0", "0" } },
    { RC_BAD_INPUT, { 400, 400, 400, 400, 400, 400 }, { "0", "0", "0" } },
    { RC_TOO_LARGE, { 413, 413, 413, 413, 413, 413 }, { "17", "17", "17" } },
    { RC_NOT_ACCEPTABLE, { 406, 406, 406, 406, 406, 406 }, { "0", "0", "0" } },
    { RC_MEDIA_TYPE, { 415, 415, 415, 415, 415, 415 }, { "0", "0", "0" } },
    { RC_DENIED, { 401, 401, 401, 401, 401, 401 }, { "0", "0", "0" } },
    { RC_FORBIDDEN, { 403, 403, 403, 403, 403, 403 }, { "0", "0", "0" } },
    { RC_OVER_QUOTA, { 403, 400, 400, 403, 403, 403 }, { "14", "14", "14" } },
    { RC_MODIFIED, { 412, 412, 412, 412, 412, 412 }, { "0", "0", "0" } },
    { RC_CONFLICT, { 503, 503, 503, 503, 409, 503 }, { "0", "0", "0" } },
    { RC_NOT_HERE, { 401, 401, 401, 503, 421, 401 }, { "0", "0", "0" } },
    { RC_FROZEN, { 503, 503, 503, 503, 503, 503 }, { "0", "0", "0" } },
    { RC_BUSY, { 503, 503, 503, 503, 503, 503 }, { "0", "0", "0" } },
    { RC_AWAY, { 503, 503, 503, 503, 503, 503 }, { "0", "0", "0" } },
    { RC_UNSURE, { 503, 503, 503, 503, 504, 503 }, { "0", "0", "0" } },
    { RC_BROKEN, { 500, 500, 500, 500, 500, 500 }, { "0", "0", "0" } },
};

static void every_failure_has_its_status_and_body_in_every_dialect(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (enum dialect d = DIALECT_SYNC_15; d <= DIALECT_PLAIN; d++) {
            struct route route;
            struct web_request *w = fresh(&route, d);

            buf_add(reply_body(&w->rq), VIEW("half an answer"));
            reply_fail(&w->rq, table[i].r, NULL);
            assert_int_equal(w->reply.status, table[i].status[d]);
            assert_int_equal(reply_status_of(table[i].r, d), table[i].status[d]);
            if (d <= DIALECT_USER)
                assert_body(w, table[i].code[d]);
            assert_int_equal(w->reply.retry_after_s > 0, w->reply.status == 503);
            web_request_free(w);
        }
    }
}

static void what_the_failure_names_wins_over_the_defaults(void **state)
{
    static const struct err_words words = { 409, "invalid-client-state", "header", "X-Client-State",
                                            "stale \"value\"" };
    struct err e = {
        .respcode = RESP_INVALID_WBO, .retry_after_s = 300, .words = &words, .text = "say \"why\""
    };
    struct route route;
    struct web_request *w;

    (void)state;
    w = fresh(&route, DIALECT_SYNC_15);
    reply_fail(&w->rq, RC_BAD_INPUT, &e);
    assert_int_equal(w->reply.status, 400);
    assert_body(w, "8");
    web_request_free(w);

    w = fresh(&route, DIALECT_SYNC_11);
    reply_fail(&w->rq, RC_FROZEN, &e);
    reply_common_headers(&w->rq);
    assert_string_equal(header(w, "Retry-After"), "300");
    web_request_free(w);

    w = fresh(&route, DIALECT_TOKEN);
    reply_fail(&w->rq, RC_DENIED, &e);
    assert_int_equal(w->reply.status, 409);
    assert_body(
        w,
        "{\"status\":\"invalid-client-state\",\"errors\":[{\"location\":\"header\",\"name\":\"X-Client-State\","
        "\"description\":\"stale \\\"value\\\"\"}]}");
    web_request_free(w);

    w = fresh(&route, DIALECT_INTERNAL);
    reply_fail(&w->rq, RC_CONFLICT, &e);
    assert_body(w, "{\"rc\":\"CONFLICT\",\"text\":\"say \\\"why\\\"\"}");
    web_request_free(w);
}

static void the_token_server_speaks_json_of_its_own_accord(void **state)
{
    struct route route;
    struct web_request *w = fresh(&route, DIALECT_TOKEN);

    (void)state;
    reply_fail(&w->rq, RC_DENIED, NULL);
    reply_common_headers(&w->rq);
    assert_body(w, "{\"status\":\"invalid-credentials\",\"errors\":[{\"location\":\"body\",\"name\":\"\","
                   "\"description\":\"Unauthorized\"}]}");
    assert_string_equal(header(w, "WWW-Authenticate"), "Bearer");
    assert_string_equal(header(w, "X-Timestamp"), "1763681523");
    assert_string_equal(header(w, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(header(w, "X-Weave-Timestamp"), "");
    web_request_free(w);
}

static void challenges_and_clocks_follow_the_dialect(void **state)
{
    static const struct {
        enum dialect d;
        const char *challenge, *weave, *unix_time;
    } cases[] = {
        { DIALECT_SYNC_15, "Hawk", "1763681523.07", "" },
        { DIALECT_SYNC_11, "Basic realm=\"Sync\"", "1763681523.07", "" },
        { DIALECT_USER, "Basic realm=\"Sync\"", "1763681523.07", "" },
        { DIALECT_TOKEN, "Bearer", "", "1763681523" },
        { DIALECT_INTERNAL, "Hawk", "", "" },
        { DIALECT_PLAIN, "", "", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct route route;
        struct web_request *w = fresh(&route, cases[i].d);

        reply_fail(&w->rq, RC_DENIED, NULL);
        reply_common_headers(&w->rq);
        assert_string_equal(header(w, "WWW-Authenticate"), cases[i].challenge);
        assert_string_equal(header(w, "X-Weave-Timestamp"), cases[i].weave);
        assert_string_equal(header(w, "X-Timestamp"), cases[i].unix_time);
        web_request_free(w);
    }
}

static void the_time_header_is_never_below_last_modified_and_exact_for_writes(void **state)
{
    struct route route;
    struct web_request *w = fresh(&route, DIALECT_SYNC_15);

    (void)state;
    reply_last_modified(&w->rq, (stamp){ .cs = 176368152400 });
    reply_common_headers(&w->rq);
    assert_string_equal(header(w, "X-Weave-Timestamp"), "1763681524.00");
    assert_string_equal(header(w, "X-Last-Modified"), "1763681524.00");
    web_request_free(w);

    w = fresh(&route, DIALECT_SYNC_15);
    reply_last_modified(&w->rq, (stamp){ .cs = 5 });
    reply_common_headers(&w->rq);
    assert_string_equal(header(w, "X-Weave-Timestamp"), "1763681523.07");
    web_request_free(w);

    w = fresh(&route, DIALECT_SYNC_15);
    reply_last_modified(&w->rq, (stamp){ .cs = 176368152300 });
    reply_timestamp(&w->rq, (stamp){ .cs = 176368152300 });
    reply_common_headers(&w->rq);
    assert_string_equal(header(w, "X-Weave-Timestamp"), "1763681523.00");
    web_request_free(w);
}

static void a_precondition_that_fails_keeps_last_modified_and_nothing_else(void **state)
{
    static const struct {
        rc r;
        const char *kept, *body;
    } cases[] = { { RC_MODIFIED, "0.07", "0" }, { RC_NOT_MODIFIED, "0.07", "" }, { RC_BAD_INPUT, "", "0" } };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct route route;
        struct web_request *w = fresh(&route, DIALECT_SYNC_15);

        reply_last_modified(&w->rq, (stamp){ .cs = 7 });
        reply_header(&w->rq, "X-Weave-Records", VIEW("3"));
        buf_add(reply_body(&w->rq), VIEW("[1,2,3]"));
        reply_fail(&w->rq, cases[i].r, NULL);
        reply_common_headers(&w->rq);
        assert_string_equal(header(w, "X-Last-Modified"), cases[i].kept);
        assert_string_equal(header(w, "X-Weave-Records"), "");
        assert_body(w, cases[i].body);
        web_request_free(w);
    }
}

static void those_who_come_back_from_an_outage_do_not_come_all_at_once(void **state)
{
    unsigned least = UINT32_MAX, most = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        unsigned s = reply_retry_after_s(RC_AWAY);

        least = s < least ? s : least;
        most = s > most ? s : most;
    }
    assert_in_range(least, 30, 35);
    assert_in_range(most, 55, 60);
    assert_int_equal(reply_retry_after_s(RC_FROZEN), 10);
    assert_int_equal(reply_retry_after_s(RC_BUSY), 10);
}

static void a_method_that_is_not_there_is_answered_with_those_that_are(void **state)
{
    struct route route;
    struct web_request *w = fresh(&route, DIALECT_SYNC_15);

    (void)state;
    reply_refuse(&w->rq, 405, GET | HEAD | DELETE);
    assert_int_equal(w->reply.status, 405);
    assert_string_equal(header(w, "Allow"), "GET, HEAD, DELETE");
    assert_body(w, "0");
    web_request_free(w);
}

static void values_of_headers_cannot_begin_new_ones(void **state)
{
    struct route route;
    struct web_request *w = fresh(&route, DIALECT_SYNC_15);

    (void)state;
    reply_header(&w->rq, "X-Weave-Alert", VIEW("a\r\nSet-Cookie: x\0y\x7f \xc3\xa4\n"));
    assert_string_equal(header(w, "X-Weave-Alert"), "aSet-Cookie: xy \xc3\xa4");
    web_request_free(w);
}

static void a_large_body_goes_to_a_file_and_memory_stays_small(void **state)
{
    struct route route;
    struct web_request *w = fresh(&route, DIALECT_SYNC_15);
    char piece[1000];
    size_t largest = 0;

    (void)state;
    memset(piece, 'p', sizeof piece);
    for (int i = 0; i < 20000; i++) {
        buf_add(reply_body(&w->rq), (view){ .p = piece, .n = sizeof piece });
        assert_int_equal(reply_flush(&w->rq, NULL), RC_OK);
        if (w->reply.spill_fd >= 0 && w->reply.body.cap > largest)
            largest = w->reply.body.cap;
    }
    assert_int_equal(reply_size(&w->rq), 20000000);
    assert_in_range(largest, 1, 1 << 20);
    assert_int_equal(reply_finish(&w->rq, NULL), RC_OK);
    assert_int_equal(w->reply.body.n, 0);
    assert_int_equal(lseek(w->reply.spill_fd, 0, SEEK_END), 20000000);
    reply_reset(&w->rq);
    assert_int_equal(reply_size(&w->rq), 0);
    assert_int_equal(w->reply.spill_fd, -1);
    web_request_free(w);
}

static void a_body_that_cannot_be_spilled_is_a_failure_and_no_half_answer(void **state)
{
    struct route route;
    struct web_request *w = fresh(&route, DIALECT_SYNC_15);
    struct err e = ERR_NONE;

    (void)state;
    setenv("TMPDIR", "/nonexistent/folder", 1);
    buf_reserve(reply_body(&w->rq), REPLY_SPILL_BYTES + 1);
    memset(w->reply.body.p, 'x', REPLY_SPILL_BYTES + 1);
    w->reply.body.n = REPLY_SPILL_BYTES + 1;
    assert_int_equal(reply_flush(&w->rq, &e), RC_AWAY);
    assert_non_null(strstr(e.text, "/nonexistent/folder"));
    unsetenv("TMPDIR");
    web_request_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_has_its_status_and_body_in_every_dialect),
        cmocka_unit_test(what_the_failure_names_wins_over_the_defaults),
        cmocka_unit_test(the_token_server_speaks_json_of_its_own_accord),
        cmocka_unit_test(challenges_and_clocks_follow_the_dialect),
        cmocka_unit_test(the_time_header_is_never_below_last_modified_and_exact_for_writes),
        cmocka_unit_test(a_precondition_that_fails_keeps_last_modified_and_nothing_else),
        cmocka_unit_test(those_who_come_back_from_an_outage_do_not_come_all_at_once),
        cmocka_unit_test(a_method_that_is_not_there_is_answered_with_those_that_are),
        cmocka_unit_test(values_of_headers_cannot_begin_new_ones),
        cmocka_unit_test(a_large_body_goes_to_a_file_and_memory_stays_small),
        cmocka_unit_test(a_body_that_cannot_be_spilled_is_a_failure_and_no_half_answer),
    };

    clock_fake_init(&fake, 1763681523070000 + 9999);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
