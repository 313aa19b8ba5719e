/* Random interleavings of readers, writers and trouble, against a naive shadow. */
#include "common/base/rand.h"
#include "common/base/scope.h"
#include "world.h"

#define ACTORS 6
#define USERS  3
#define STEPS  30000

enum actor_kind { READER, WRITER };

struct actor {
    enum actor_kind kind;
    int pc, user, process;
    int value;
    struct cache_mark mark;
};

struct shadow {
    int committed;
    int told; /* the newest that anybody heard of, as a writer or as a reader */
    bool locked;
};

/* Two caches (processes), a handle for each actor, all moved on by one step at random. */
struct race {
    struct world *processes;
    size_t n_processes;
    struct cache_handle *handles[ACTORS];
    struct actor actors[ACTORS];
    struct shadow users[USERS];
    redisReply *kept[USERS];
    unsigned hits, stale;
};

static int number_in(const struct buf *b)
{
    uint64_t n = 0;
    assert_true(view_to_u64(buf_view(b), INT32_MAX, &n));
    return (int)n;
}

static void tell(struct shadow *u, int value)
{
    if (value > u->told)
        u->told = value;
}

static void reader_step(struct race *r, struct actor *a, struct cache_handle *h)
{
    SCOPED(buf_done) struct buf got = { 0 };
    struct shadow *u = &r->users[a->user];

    switch (a->pc++) {
    case 0:
        if (cache_get(h, a->user, &got, &a->mark)) {
            r->hits++;
            r->stale += number_in(&got) < u->told;
            tell(u, number_in(&got));
            a->pc = 0;
        }
        break;
    case 1:
        a->value = u->committed;
        break;
    default:
        buf_addf(&got, "%d", a->value);
        cache_fill(h, a->user, &a->mark, buf_view(&got));
        tell(u, a->value);
        a->pc = 0;
    }
}

static void writer_step(struct race *r, struct actor *a, struct cache_handle *h)
{
    SCOPED(buf_done) struct buf text = { 0 };
    struct shadow *u = &r->users[a->user];

    switch (a->pc) {
    case 0:
        if (u->locked)
            return;
        u->locked = true;
        break;
    case 1:
        cache_before(h, a->user, &a->mark);
        break;
    case 2:
        a->value = -1;
        if (rand_below(10) > 0) /* else rolled back */
            a->value = ++u->committed;
        u->locked = false;
        break;
    case 3:
        buf_addf(&text, "%d", a->value);
        cache_after(h, a->user, &a->mark, a->value < 0 ? VIEW_NONE : buf_view(&text));
        break;
    default:
        tell(u, a->value);
        a->pc = 0;
        return;
    }
    a->pc++;
}

/* Puts back what a user's key held some time ago. */
static void bring_back(struct race *r, int user)
{
    redisReply *now = redisCommand(control, "GET h:%s:%d", scope, user), *was = r->kept[user];
    r->kept[user] = now;
    if (was && was->type == REDIS_REPLY_STRING)
        freeReplyObject(redisCommand(control, "SET h:%s:%d %b", scope, user, was->str, was->len));
    freeReplyObject(was);
}

static void trouble(struct race *r)
{
    struct world other;

    if (!control)
        return;
    switch (rand_below(7)) {
    case 0:
        order("FLUSHALL");
        break;
    case 1:
        cut_all_connections();
        break;
    case 2:
        plant_wrong_types();
        break;
    case 3:
        bring_back(r, (int)rand_below(USERS));
        break;
    case 4: /* a process begins, and ends again */
        world_open(&other);
        world_close(&other);
        break;
    default: /* somebody may dial again */
        r->processes[rand_below((uint32_t)r->n_processes)].clock.steady_us += 1000001;
    }
}

static void no_interleaving_gives_an_old_value(void **state)
{
    (void)state;
    struct world processes[2];
    struct race r = { .processes = processes, .n_processes = control ? 2 : 1 };

    for (size_t i = 0; i < r.n_processes; i++)
        world_open(&processes[i]);
    for (size_t i = 0; i < ACTORS; i++) {
        r.actors[i] =
            (struct actor){ .kind = i % 2 ? WRITER : READER, .process = (int)(i / 2 % r.n_processes) };
        assert_int_equal(cache_handle_open(processes[r.actors[i].process].cache, &r.handles[i], NULL), RC_OK);
    }
    for (int step = 0; step < STEPS; step++) {
        uint32_t i = rand_below(ACTORS);
        struct actor *a = &r.actors[i];
        if (a->pc == 0)
            a->user = (int)rand_below(USERS);
        if (a->kind == READER)
            reader_step(&r, a, r.handles[i]);
        else if (a->pc > 0 || rand_below(8) == 0) /* readers are the many */
            writer_step(&r, a, r.handles[i]);
        if (rand_below(150) == 0)
            trouble(&r);
    }
    assert_int_equal(r.stale, 0);
    if (caches())
        assert_true(r.hits > STEPS / 50);
    else
        assert_int_equal(r.hits, 0);
    for (size_t i = 0; i < USERS; i++)
        freeReplyObject(r.kept[i]);
    for (size_t i = 0; i < ACTORS; i++)
        cache_handle_close(r.handles[i]);
    for (size_t i = 0; i < r.n_processes; i++)
        world_close(&processes[i]);
}

static const struct CMUnitTest race_tests[] = {
    TEST(no_interleaving_gives_an_old_value),
};
const struct test_group race_group = TEST_GROUP(race);
