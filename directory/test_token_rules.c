/* Tables of "Records and the consistency rules" (token server, 5.3, 5.4 and edge cases 34–49). */
#include "directory/token_rules.h"

#include "common/base/testing.h"

#define MAX_GENERATION INT64_MAX

static struct token_facts facts(int64_t g, int64_t k, const char *c)
{
    return (struct token_facts){ .generation = g, .keys_changed = k, .client_state = view_of(c) };
}

struct row {
    const char *what;
    int64_t ug, uk;
    const char *uc;
    const char *old; /* one old state, or NULL */
    int64_t g, k;
    const char *c;
    enum token_verdict verdict;
    bool new_record, write;
    int64_t next_g, next_k;
};

static void run(const struct row *r)
{
    struct token_facts stored = facts(r->ug, r->uk, r->uc), asked = facts(r->g, r->k, r->c);
    view old = view_of(r->old);
    struct token_outcome o = token_rules(&stored, &old, r->old ? 1 : 0, &asked);
    if (o.verdict != r->verdict)
        fail_msg("%s: verdict %d, not %d", r->what, o.verdict, r->verdict);
    if (r->verdict != TOKEN_PASS) {
        assert_false(o.write || o.new_record);
        return;
    }
    if (o.new_record != r->new_record || o.write != r->write || o.next.generation != r->next_g ||
        o.next.keys_changed != r->next_k || !view_eq(o.next.client_state, asked.client_state))
        fail_msg("%s: new %d write %d generation %lld keys %lld", r->what, o.new_record, o.write,
                 (long long)o.next.generation, (long long)o.next.keys_changed);
}

static void each_rule_refuses_what_it_names_and_nothing_else(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { "the same again", 10, 5, "aaaa", NULL, 10, 5, "aaaa", TOKEN_PASS, false, false, 10, 5 },
        /* a */
        { "34 k above g on a change", 1234, 1234, "aaaa", NULL, 1234, 2345, "aaaa", TOKEN_KEYS_CHANGED_AT, 0,
          0, 0, 0 },
        { "34 k above g with nothing stored", 0, 0, "aaaa", NULL, 5, 6, "aaaa", TOKEN_KEYS_CHANGED_AT, 0, 0,
          0, 0 },
        { "34 k as stored may exceed g", 10, 20, "aaaa", NULL, 11, 20, "aaaa", TOKEN_PASS, false, true, 11,
          20 },
        { "a comes before b", 10, 5, "aaaa", NULL, 11, 12, "", TOKEN_KEYS_CHANGED_AT, 0, 0, 0, 0 },
        /* b */
        { "49 back to no client state", 10, 5, "aaaa", NULL, 11, 6, "", TOKEN_STATE_EMPTY, 0, 0, 0, 0 },
        { "no client state ever", 10, 5, "", NULL, 10, 5, "", TOKEN_PASS, false, false, 10, 5 },
        /* c */
        { "36 an old client state", 10, 5, "bbbb", "aaaa", 11, 6, "aaaa", TOKEN_STATE_STALE, 0, 0, 0, 0 },
        { "36 the last one is fine", 10, 5, "bbbb", "aaaa", 11, 6, "bbbb", TOKEN_PASS, false, true, 11, 6 },
        { "the present one may stand among the old", 10, 5, "bbbb", "bbbb", 10, 5, "bbbb", TOKEN_PASS, false,
          false, 10, 5 },
        { "c comes before d", 10, 5, "bbbb", "aaaa", 10, 5, "aaaa", TOKEN_STATE_STALE, 0, 0, 0, 0 },
        /* d */
        { "37 new state, same g", 10, 5, "aaaa", NULL, 10, 6, "bbbb", TOKEN_STATE_GENERATION, 0, 0, 0, 0 },
        { "37 new state, lower g", 10, 5, "aaaa", NULL, 9, 6, "bbbb", TOKEN_STATE_GENERATION, 0, 0, 0, 0 },
        { "37 new state, no g, then g becomes k", 10, 5, "aaaa", NULL, 0, 12, "bbbb", TOKEN_PASS, true, true,
          12, 12 },
        { "37 after that an equal g is blocked", 12, 12, "bbbb", NULL, 12, 12, "cccc", TOKEN_STATE_GENERATION,
          0, 0, 0, 0 },
        { "36 new state with new g and k", 10, 5, "aaaa", NULL, 11, 6, "bbbb", TOKEN_PASS, true, true, 11,
          6 },
        /* e */
        { "38 new state, same k", 10, 5, "aaaa", NULL, 11, 5, "bbbb", TOKEN_STATE_KEYS, 0, 0, 0, 0 },
        { "38 new state, lower k", 10, 5, "aaaa", NULL, 11, 4, "bbbb", TOKEN_STATE_KEYS, 0, 0, 0, 0 },
        { "new state, k never known", 10, 0, "aaaa", NULL, 11, 0, "bbbb", TOKEN_PASS, true, true, 11, 0 },
        { "new state, k no longer sent", 10, 5, "aaaa", NULL, 11, 0, "bbbb", TOKEN_KEYS_CHANGED_AT, 0, 0, 0,
          0 },
        /* f */
        { "39 g below", 1234, 0, "aaaa", NULL, 1233, 0, "aaaa", TOKEN_GENERATION, 0, 0, 0, 0 },
        { "39 g equal", 1234, 0, "aaaa", NULL, 1234, 0, "aaaa", TOKEN_PASS, false, false, 1234, 0 },
        { "39 g larger", 1234, 0, "aaaa", NULL, 1235, 0, "aaaa", TOKEN_PASS, false, true, 1235, 0 },
        { "39 g absent", 1234, 0, "aaaa", NULL, 0, 0, "aaaa", TOKEN_PASS, false, false, 1234, 0 },
        { "f comes before g", 10, 5, "aaaa", NULL, 9, 4, "aaaa", TOKEN_GENERATION, 0, 0, 0, 0 },
        /* g */
        { "43 k lower", 10, 5, "aaaa", NULL, 10, 4, "aaaa", TOKEN_KEYS_CHANGED_AT, 0, 0, 0, 0 },
        { "43 larger k without larger g", 10, 5, "aaaa", NULL, 10, 11, "aaaa", TOKEN_KEYS_CHANGED_AT, 0, 0, 0,
          0 },
        { "44 k no longer sent", 10, 5, "aaaa", NULL, 10, 0, "aaaa", TOKEN_KEYS_CHANGED_AT, 0, 0, 0, 0 },
        { "44 … with a larger g neither", 10, 5, "aaaa", NULL, 11, 0, "aaaa", TOKEN_KEYS_CHANGED_AT, 0, 0, 0,
          0 },
        /* updates */
        { "35 g absent, k alone", 0, 1234, "aaaa", NULL, 0, 1234, "aaaa", TOKEN_PASS, false, false, 0, 1234 },
        { "41 g unknown, k unchanged: g stays 0", 0, 1234, "aaaa", NULL, 0, 1234, "aaaa", TOKEN_PASS, false,
          false, 0, 1234 },
        { "41 g unknown, k larger: g becomes k", 0, 1234, "aaaa", NULL, 0, 2345, "aaaa", TOKEN_PASS, false,
          true, 2345, 2345 },
        { "42 g unknown, first k: g becomes k", 0, 0, "aaaa", NULL, 0, 1234, "aaaa", TOKEN_PASS, false, true,
          1234, 1234 },
        { "k larger, but below the stored g", 5000, 1234, "aaaa", NULL, 0, 2345, "aaaa", TOKEN_PASS, false,
          true, 5000, 2345 },
        { "45 all three change", 1234, 1234, "aaaa", NULL, 2345, 2345, "bbbb", TOKEN_PASS, true, true, 2345,
          2345 },
        { "46 stored k is older, g and c are equal", 2345, 1234, "aaaa", NULL, 2345, 2345, "aaaa", TOKEN_PASS,
          false, true, 2345, 2345 },
        { "47 first client state after an empty one", 1234, 0, "", NULL, 1235, 1235, "aaaa", TOKEN_PASS, true,
          true, 1235, 1235 },
        { "47 … needs a larger g as well", 1234, 0, "", NULL, 1234, 1234, "aaaa", TOKEN_STATE_GENERATION, 0,
          0, 0, 0 },
        { "48 zero is absent", 1234, 0, "aaaa", NULL, 0, 0, "aaaa", TOKEN_PASS, false, false, 1234, 0 },
        /* retired */
        { "32 retired, g below", MAX_GENERATION, 5, "aaaa", NULL, 1234, 5, "aaaa", TOKEN_GENERATION, 0, 0, 0,
          0 },
        { "32 retired, g equal", MAX_GENERATION, 5, "aaaa", NULL, MAX_GENERATION, 5, "aaaa", TOKEN_PASS,
          false, false, MAX_GENERATION, 5 },
        { "retired, no g", MAX_GENERATION, 5, "aaaa", NULL, 0, 5, "aaaa", TOKEN_GENERATION, 0, 0, 0, 0 },
        { "retired, no g, new state", MAX_GENERATION, 5, "aaaa", NULL, 0, 6, "bbbb", TOKEN_GENERATION, 0, 0,
          0, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run(&rows[i]);
}

/* What passes is never lower than what was stored: all small combinations. */
static void nothing_stored_ever_goes_down(void **state)
{
    (void)state;
    static const char *const states[] = { "", "aa", "bb" };
    view old = VIEW("cc");
    for (int n = 0; n < 4 * 4 * 3 * 4 * 4 * 3; n++) {
        struct token_facts stored = facts(n % 4, n / 4 % 4, states[n / 16 % 3]);
        struct token_facts asked = facts(n / 48 % 4, n / 192 % 4, states[n / 768 % 3]);
        struct token_outcome o = token_rules(&stored, &old, 1, &asked);
        assert_true(o.next.generation >= stored.generation);
        if (o.verdict != TOKEN_PASS)
            continue;
        assert_true(o.next.keys_changed >= stored.keys_changed);
        /* A request that passed passes again, and then changes nothing (but g may come to be known by then). */
        struct token_outcome twice = token_rules(&o.next, &old, 1, &asked);
        assert_int_equal(twice.verdict, TOKEN_PASS);
        assert_false(twice.write);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_refuses_what_it_names_and_nothing_else),
        cmocka_unit_test(nothing_stored_ever_goes_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
