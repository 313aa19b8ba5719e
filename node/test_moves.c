/* The routes of a move, over a socket, between two nodes: what is carried, and what is refused on the way. */
#include "node/moves.h"

#include "node/move_lines.h"
#include "node/testing.h"

#define UID  42
#define MOVE "m1"

struct end {
    struct site s;
    struct office o;
    struct store_session *ss;
};

struct both {
    struct end s, t;
    struct arena a;
    struct err e;
};

static void end_open(struct end *x, const char *url)
{
    struct err e = ERR_NONE;
    site_make(&x->s);
    if (site_open(&x->s, url) != RC_OK)
        fail_msg("%s", x->s.e.text);
    office_open(&x->o, &x->s);
    assert_int_equal(store_session_open(x->s.node->store, false, &x->ss, &e), RC_OK);
}

static void end_close(struct end *x)
{
    store_session_close(x->ss);
    office_close(&x->o);
    site_close(&x->s);
}

static void put_items(struct both *b, const char *coll, const char *first, int n, view payload)
{
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    const struct store_begin o = { .uid = UID, .epoch = 1, .mode = STORE_WRITE, .arena = &b->a };
    assert_int_equal(store_begin(b->s.ss, &o, &tx, &b->e), RC_OK);
    for (int i = 0; i < n; i++) {
        const struct item_patch p = { .id = arena_text(&b->a, "%s%05d", first, i),
                                      .payload_op = PATCH_SET,
                                      .payload = payload,
                                      .touches = true };
        assert_int_equal(store_items_put(tx, view_of(coll), &p, 1, NULL, &b->e), RC_OK);
    }
    assert_int_equal(store_commit(&tx, &b->e), RC_OK);
}

static int both_open(void **state)
{
    struct both *b = calloc(1, sizeof *b);
    assert_non_null(b);
    arena_init(&b->a, 64 << 20);
    end_open(&b->s, "https://s.example.net");
    end_open(&b->t, "https://t.example.net");
    put_items(b, "bookmarks", "b", 3, VIEW("hello \"w\xc3\xb6rld\"\n"));
    put_items(b, "history", "h", 5, VIEW("{}"));
    *state = b;
    return 0;
}

static int both_close(void **state)
{
    struct both *b = *state;
    end_close(&b->s);
    end_close(&b->t);
    arena_done(&b->a);
    free(b);
    return 0;
}

/* ---- calls ---- */

static const char *step(struct both *b, struct end *x, const char *name, int epoch, const char *more,
                        long status)
{
    view path = arena_text(&b->a, "heads/%d/%s", UID, name);
    view body = arena_text(&b->a, "{\"move\":\"" MOVE "\",\"epoch\":%d%s}", epoch, more);
    return office_ask(&x->o, "POST", path.p, body.p, status);
}

static const char *import_query(struct both *b, const char *what, const char *more)
{
    return arena_text(&b->a, "users/%d/%s?move=" MOVE "&epoch=2%s", UID, what, more).p;
}

static const char *target_of(struct both *b, const char *path)
{
    return arena_text(&b->a, "/internal/v1/%s", path).p;
}

/* The lines of a page that a node gave. */
static view lines_of(struct both *b, struct end *x, const char *method, const char *path, const char *body)
{
    view lines;
    const char *page = office_ask(&x->o, method, path, body, 200);
    view copy = arena_copy(&b->a, view_of(page));
    if (lines_open(copy, view_of(target_of(b, path)), &lines, &b->e) != RC_OK)
        fail_msg("%s: %s", path, b->e.text);
    return lines;
}

static const char *send(struct both *b, const char *path, view lines, long status)
{
    struct buf page = { 0 };
    buf_add(&page, lines);
    lines_end(&page, view_of(target_of(b, path)));
    const char *text = arena_copy(&b->a, buf_view(&page)).p;
    buf_done(&page);
    return office_ask(&b->t.o, "POST", path, text, status);
}

/* {"ids":[…]} of the lines that are lacking. */
static const char *wanted(struct both *b, view lacks)
{
    struct buf body = { 0 };
    view line;
    buf_add(&body, VIEW("{\"ids\":["));
    while (lacks.n > 0 && view_cut(&lacks, '\n', &line)) {
        struct manifest_entry m;
        assert_int_equal(line_read_entry(line, &b->a, &m, &b->e), RC_OK);
        buf_addf(&body, "%s[\"%.*s\",\"%.*s\"]", body.p[body.n - 1] == '[' ? "" : ",", VIEW_ARG(m.coll),
                 VIEW_ARG(m.id));
    }
    buf_add(&body, VIEW("]}"));
    const char *text = arena_copy(&b->a, buf_view(&body)).p;
    buf_done(&body);
    return text;
}

static const char *manifest_of_s(struct both *b, const char *more)
{
    return arena_text(&b->a, "users/%d/manifest?move=" MOVE "&epoch=1%s", UID, more).p;
}

/* One pass; gives the rows carried. */
static size_t pass(struct both *b)
{
    view lines = lines_of(b, &b->s, "GET", manifest_of_s(b, ""), NULL);
    const char *path = import_query(b, "manifest", "&last=1"), *answer = send(b, path, lines, 200);
    view lacks;
    size_t n = 0;
    assert_int_equal(
        lines_open(arena_copy(&b->a, view_of(answer)), view_of(target_of(b, path)), &lacks, &b->e), RC_OK);
    for (size_t i = 0; i < lacks.n; i++)
        n += lacks.p[i] == '\n';
    view rows = lines_of(b, &b->s, "POST", arena_text(&b->a, "users/%d/export?move=" MOVE "&epoch=1", UID).p,
                         wanted(b, lacks));
    send(b, import_query(b, "import", "&page=1"), rows, 200);
    return n;
}

static const char *sum_of_s(struct both *b)
{
    view lines = lines_of(b, &b->s, "GET", manifest_of_s(b, "&after=enoKeg&total=1"), NULL), line,
         last = VIEW("");
    while (lines.n > 0 && view_cut(&lines, '\n', &line))
        last = line;
    SCOPED(json_decref) json_t *o = NULL;
    assert_int_equal(json_read(last, 4, JSON_READ_PLAIN, &o, &b->e), RC_OK);
    return arena_text(&b->a, ",\"sum\":\"%s\",\"clock\":%lld",
                      json_string_value(json_object_get(o, "manifest")),
                      (long long)json_integer_value(json_object_get(o, "clock")))
        .p;
}

static void begin(struct both *b)
{
    step(b, &b->t, "import_begin", 2, "", 200);
}

/* ---- tests ---- */

static void a_user_moves_over_the_wire(void **state)
{
    struct both *b = *state;
    begin(b);
    assert_int_equal(pass(b), 8);
    assert_int_equal(pass(b), 0);
    put_items(b, "history", "x", 2, VIEW("later"));
    assert_non_null(strstr(step(b, &b->s, "freeze", 1, "", 200), "\"state\":\"frozen\""));
    assert_int_equal(pass(b), 2);
    const char *sum = sum_of_s(b);
    assert_non_null(strstr(step(b, &b->t, "seal", 2, sum, 200), "\"state\":\"ready\""));
    step(b, &b->t, "seal", 2, sum, 200); /* again */
    step(b, &b->t, "activate", 2, "", 200);
    step(b, &b->s, "retire", 2, "", 200);
    const char *left = arena_copy(&b->a, view_of(office_ask(&b->s.o, "GET", "users/42/usage", NULL, 200))).p;
    const char *came = office_ask(&b->t.o, "GET", "users/42/usage", NULL, 200);
    assert_string_equal(strstr(came, ",\"colls\""), strstr(left, ",\"colls\""));
    assert_non_null(strstr(came, "{\"name\":\"history\",\"items\":7,"));
    assert_non_null(strstr(office_ask(&b->t.o, "GET", "heads", NULL, 200),
                           "{\"uid\":42,\"epoch\":2,\"state\":\"active\""));
    assert_non_null(strstr(office_ask(&b->s.o, "GET", "heads/42", NULL, 200), "\"state\":\"gone\""));
    assert_non_null(strstr(office_ask(&b->s.o, "GET", "heads/43", NULL, 200), "\"state\":\"none\""));
}

static void a_large_user_goes_in_pages(void **state)
{
    struct both *b = *state;
    char payload[2000];
    memset(payload, 'p', sizeof payload);
    put_items(b, "clients", "c", 12000, (view){ payload, 200 });
    put_items(b, "forms", "f", 1200, (view){ payload, sizeof payload });
    begin(b);
    view after = VIEW("");
    size_t rows = 0, pages = 0, exports = 0;
    do {
        view lines = lines_of(b, &b->s, "GET",
                              manifest_of_s(b, arena_text(&b->a, "&after=%.*s", VIEW_ARG(after)).p), NULL);
        view next = arena_copy(&b->a, view_of(b->s.o.answer.next));
        assert_true(lines.n <= MOVE_PAGE_BYTES);
        pages++;
        const char *path =
            import_query(b, "manifest",
                         arena_text(&b->a, "&after=%.*s%s", VIEW_ARG(after), next.n > 0 ? "" : "&last=1").p);
        const char *answer = send(b, path, lines, 200);
        view lacks;
        assert_int_equal(
            lines_open(arena_copy(&b->a, view_of(answer)), view_of(target_of(b, path)), &lacks, &b->e),
            RC_OK);
        view line;
        size_t from = 0, want = 0;
        for (size_t i = 0; i < lacks.n; i++)
            want += lacks.p[i] == '\n';
        while (from < want) {
            view some = lacks;
            for (size_t i = 0; i < from; i++)
                view_cut(&some, '\n', &line);
            const char *all = wanted(b, some);
            view got = lines_of(
                b, &b->s, "POST",
                arena_text(&b->a, "users/%d/export?move=" MOVE "&epoch=1&page=%zu", UID, exports).p, all);
            assert_true(got.n <= MOVE_PAGE_BYTES + 1000);
            uint64_t done = 0;
            bool more = view_to_u64(view_of(b->s.o.answer.next), want, &done);
            send(b, import_query(b, "import", arena_text(&b->a, "&page=%zu", exports++).p), got, 200);
            from = more ? from + done : want;
        }
        rows += want;
        after = next;
    } while (after.n > 0);
    assert_int_equal(rows, 13208);
    assert_true(pages > 1 && exports > 3);
    step(b, &b->s, "freeze", 1, "", 200);
    step(b, &b->t, "seal", 2, sum_of_s(b), 200);
}

static void a_page_that_is_not_the_one_that_was_sent_is_refused(void **state)
{
    struct both *b = *state;
    begin(b);
    const char *path = import_query(b, "manifest", "&last=1"), *target = target_of(b, path);
    view lines = lines_of(b, &b->s, "GET", manifest_of_s(b, ""), NULL);
    struct buf page = { 0 };
    buf_add(&page, lines);
    lines_end(&page, view_of(target));
    for (size_t cut = 0; cut < page.n; cut += 37) { /* truncated */
        view part = arena_copy(&b->a, (view){ page.p, cut });
        office_ask(&b->t.o, "POST", path, part.p, 400);
    }
    for (size_t i = 0; i < page.n; i += 41) { /* bit-flipped */
        char *odd = arena_cstr(&b->a, buf_view(&page));
        odd[i] = (char)(odd[i] ^ 4);
        office_ask(&b->t.o, "POST", path, odd, 400);
    }
    /* one that is whole, but of another call */
    office_ask(&b->t.o, "POST", import_query(b, "manifest", "&after=Ym9va21hcmtzCmIwMDAwMQ&last=1"),
               buf_text(&page), 400);
    office_ask(&b->t.o, "POST", import_query(b, "import", "&page=1"), buf_text(&page), 400);
    buf_done(&page);
    assert_int_equal(pass(b), 8); /* nothing of all that was taken */
}

static void lines_in_another_order_or_form_are_refused(void **state)
{
    struct both *b = *state;
    begin(b);
    const char *path = import_query(b, "import", "&page=1");
    static const char *const good =
        "{\"coll\":\"c\",\"id\":\"a\",\"modified\":1,\"payload\":\"\"}\n"
        "{\"coll\":\"c\",\"id\":\"b\",\"modified\":1,\"payload\":\"\",\"sortindex\":-3,\"expires\":200}\n";
    static const char *const bad[] = {
        "{\"coll\":\"c\",\"id\":\"b\",\"modified\":1,\"payload\":\"\"}\n{\"coll\":\"c\",\"id\":\"a\",\"modified\":1,\"payload\":\"\"}\n",
        "{\"coll\":\"c\",\"id\":\"a\",\"modified\":1,\"payload\":\"\"}\n{\"coll\":\"c\",\"id\":\"a\",\"modified\":1,\"payload\":\"\"}\n",
        "{\"coll\":\"c\",\"id\":\"a\",\"payload\":\"\",\"modified\":1}\n",
        "{\"coll\":\"c\",\"id\":\"a\",\"modified\":1}\n",
        "{\"coll\":\"c\",\"id\":\"a\",\"modified\":1.5,\"payload\":\"\"}\n",
        "{\"coll\":\"c\",\"id\":\"a\",\"modified\":-1,\"payload\":\"\"}\n",
        "{\"coll\":\"c\",\"id\":\"a\",\"modified\":1,\"payload\":\"\",\"expires\":-1}\n",
        "{\"coll\":\"c\",\"id\":\"a\",\"modified\":1,\"payload\":\"\",\"expires\":1152921504606846976}\n",
        "{\"coll\":\"c\",\"id\":\"a\",\"modified\":1,\"payload\":\"\",\"more\":1}\n",
        "{\"coll\":\"\",\"id\":\"a\",\"modified\":1,\"payload\":\"\"}\n",
        "{\"coll\":\"c\",\"id\":\"\",\"modified\":1,\"payload\":\"\"}\n",
        "[\"c\",\"a\"]\n",
        "\n",
        "nonsense\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        send(b, path, view_of(bad[i]), 400);
    assert_non_null(strstr(send(b, path, view_of(good), 200), "{\"rows\":2,\"oldest\":1}"));
    send(b, path, view_of(good), 200); /* the same again does no harm */
    static const char *const bad_manifests[] = {
        "",
        "{\"clock\":1,\"modified\":1,\"used_bytes\":0,\"quota_bytes\":-1,\"colls\":[[\"c\",2]]}\n",
        "{\"clock\":1,\"modified\":1,\"used_bytes\":0,\"quota_bytes\":-1,\"colls\":[[\"c\",1],[\"c\",1]]}\n",
        "{\"clock\":1,\"modified\":1,\"used_bytes\":0,\"quota_bytes\":-1,\"colls\":[\"c\"]}\n",
        "{\"clock\":1,\"modified\":1,\"used_bytes\":0,\"colls\":[]}\n",
        "{\"clock\":1,\"modified\":1,\"used_bytes\":0,\"quota_bytes\":-1,\"colls\":[]}\n[\"c\",\"a\",\"00\"]\n",
    };
    for (size_t i = 0; i < sizeof bad_manifests / sizeof bad_manifests[0]; i++)
        send(b, import_query(b, "manifest", "&last=1"), view_of(bad_manifests[i]), 400);
}

static void what_does_not_fit_the_state_is_a_conflict(void **state)
{
    struct both *b = *state;
    const char *rows = "{\"coll\":\"c\",\"id\":\"a\",\"modified\":1,\"payload\":\"\"}\n";
    send(b, import_query(b, "import", "&page=1"), view_of(rows), 409); /* before it began */
    begin(b);
    step(b, &b->t, "activate", 2, "", 409);
    step(b, &b->t, "seal", 2,
         ",\"sum\":\""
         "0000000000000000000000000000000000000000000000000000000000000000"
         "\",\"clock\":1",
         409);
    step(b, &b->t, "drop", 1, "", 200);
    step(b, &b->t, "import_begin", 2, "", 409); /* a step that was on its way when the move was undone */
    send(b, import_query(b, "import", "&page=1"), view_of(rows), 409);
    step(b, &b->s, "thaw", 1, "", 200);
    step(b, &b->s, "freeze", 1, "", 409);
    office_ask(&b->s.o, "GET", "users/42/manifest?move=m2&epoch=7", NULL, 409);
}

static void a_call_that_makes_no_sense_is_refused(void **state)
{
    struct both *b = *state;
    static const char *const bodies[] = { "",
                                          "[]",
                                          "{\"move\":\"m1\"}",
                                          "{\"epoch\":1}",
                                          "{\"move\":\"m1\",\"epoch\":0}",
                                          "{\"move\":\"m1\",\"epoch\":1,\"more\":1}",
                                          "{\"move\":\"m1\",\"epoch\":1,\"clock\":1}",
                                          "{\"move\":\"m1\",\"epoch\":1,\"base\":1}",
                                          "{\"move\":\"m1\",\"epoch\":1,\"sum\":\"00\",\"clock\":1}" };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        office_ask(&b->s.o, "POST", "heads/42/freeze", bodies[i], 400);
    office_ask(&b->s.o, "POST", "heads/42/melt", "{\"move\":\"m1\",\"epoch\":1}", 404);
    office_ask(&b->s.o, "GET", "heads?after=x", NULL, 400);
    office_ask(&b->s.o, "GET", "users/42/manifest?move=m1", NULL, 400);
    office_ask(&b->s.o, "GET", "users/42/manifest?after=%21", NULL, 400);
    office_ask(&b->s.o, "GET", "users/42/manifest?base=-1", NULL, 400);
    office_ask(&b->s.o, "GET", "users/42/manifest?base=922337203685477581", NULL, 400);
    office_ask(&b->s.o, "POST", "users/42/export?move=m1&epoch=1", "{\"ids\":[[\"b\",\"2\"],[\"b\",\"1\"]]}",
               400);
    office_ask(&b->s.o, "POST", "users/42/export?move=m1&epoch=1", "{\"ids\":[[\"b\"]]}", 400);
    office_ask(&b->s.o, "POST", "users/42/export?move=m1&epoch=1", "{}", 400);
    assert_non_null(strstr(office_ask(&b->s.o, "GET", "heads/42", NULL, 200), "\"state\":\"active\""));
}

static void an_open_upload_is_told(void **state)
{
    struct both *b = *state;
    SCOPED(store_rollback) struct store_txn *tx = NULL;
    const struct store_begin o = { .uid = UID, .epoch = 1, .mode = STORE_WRITE, .arena = &b->a };
    char id[BATCH_ID_TEXT + 1];
    assert_null(strstr(office_ask(&b->s.o, "GET", "heads/42", NULL, 200), "batch_age_ms"));
    assert_int_equal(store_begin(b->s.ss, &o, &tx, &b->e), RC_OK);
    assert_int_equal(store_batch_open(tx, VIEW("history"), id, &b->e), RC_OK);
    assert_int_equal(store_commit(&tx, &b->e), RC_OK);
    b->s.s.clock.wall_us += 7000000;
    const char *answer = office_ask(&b->s.o, "GET", "heads/42", NULL, 200);
    const char *age = strstr(answer, "\"batch_age_ms\":");
    assert_non_null(age);
    long ms = strtol(age + strlen("\"batch_age_ms\":"), NULL, 10);
    assert_true(ms > 6900 && ms <= 7000);
    step(b, &b->s, "freeze", 1, "", 200);
    assert_null(strstr(office_ask(&b->s.o, "GET", "heads/42", NULL, 200), "batch_age_ms"));
}

static void a_step_drops_the_cached_head(void **state)
{
    struct both *b = *state;
    struct cache_handle *h = NULL;
    SCOPED(buf_done) struct buf got = { 0 };
    struct cache_mark mark;
    assert_int_equal(cache_handle_open(b->s.s.node->cache, &h, &b->e), RC_OK);
    assert_false(cache_get(h, UID, &got, &mark));
    cache_fill(h, UID, &mark, VIEW("what somebody read"));
    assert_true(cache_get(h, UID, &got, NULL));
    step(b, &b->s, "freeze", 1, "", 200);
    assert_false(cache_get(h, UID, &got, NULL));
    cache_handle_close(h);
}

static void what_a_user_left_behind_goes_after_the_grace(void **state)
{
    struct both *b = *state;
    uint64_t n = 9;
    struct store_session *ss = b->s.ss;
    step(b, &b->s, "freeze", 1, "", 200);
    step(b, &b->s, "retire", 2, "", 200);
    b->s.s.clock.wall_us += 99 * INT64_C(1000000);
    assert_int_equal(store_purge_gone(ss, 100, 10, &n, &b->e), RC_OK);
    assert_int_equal(n, 0);
    assert_non_null(strstr(office_ask(&b->s.o, "GET", "users/42/usage", NULL, 200), "\"history\""));
    b->s.s.clock.wall_us += 2 * INT64_C(1000000);
    assert_int_equal(store_purge_gone(ss, 100, 10, &n, &b->e), RC_OK);
    assert_int_equal(n, 1);
    assert_null(strstr(office_ask(&b->s.o, "GET", "users/42/usage", NULL, 200), "\"history\""));
    assert_int_equal(store_purge_gone(ss, 100, 10, &n, &b->e), RC_OK);
    assert_int_equal(n, 0); /* the row stays, and is not found again */
    const char *answer = office_ask(&b->s.o, "GET", "heads/42", NULL, 200);
    assert_non_null(strstr(answer, "\"epoch\":2,\"state\":\"gone\""));
    assert_non_null(strstr(answer, "\"move\":\"m1\""));
}

int main(void)
{
#define WITH_BOTH(test) cmocka_unit_test_setup_teardown(test, both_open, both_close)
    const struct CMUnitTest tests[] = {
        WITH_BOTH(a_user_moves_over_the_wire),
        WITH_BOTH(a_large_user_goes_in_pages),
        WITH_BOTH(a_page_that_is_not_the_one_that_was_sent_is_refused),
        WITH_BOTH(lines_in_another_order_or_form_are_refused),
        WITH_BOTH(what_does_not_fit_the_state_is_a_conflict),
        WITH_BOTH(a_call_that_makes_no_sense_is_refused),
        WITH_BOTH(an_open_upload_is_told),
        WITH_BOTH(a_step_drops_the_cached_head),
        WITH_BOTH(what_a_user_left_behind_goes_after_the_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
