/* The journal of a run: an append-only file of JSON lines, a lock on it, and a file with one word beside it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/audit/audit.h"
#include "admin/folder.h"
#include "admin/run/plan_doc.h"
#include "admin/run/run.h"
#include "common/base/clock.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

enum { JOURNAL_MAX = 1 << 30, DEPTH = 12 };

static const char *const state_names[] = {
    [RUN_RUNNING] = "running", [RUN_WAITING] = "waiting",     [RUN_PAUSED] = "paused",
    [RUN_STOPPED] = "stopped", [RUN_CANCELLED] = "cancelled", [RUN_DONE] = "done",
    [RUN_PARTLY] = "partly"
};
static const char *const word_names[] = {
    [RUN_NOTHING] = "", [RUN_GO] = "resume", [RUN_PAUSE] = "pause", [RUN_CANCEL] = "cancel"
};
#define N_WORDS  (sizeof(word_names) / sizeof(word_names[0]))
#define N_STATES (sizeof(state_names) / sizeof(state_names[0]))

const char *run_state_name(enum run_state s)
{
    return state_names[s];
}

/* ---- life ---- */

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    json_decref(j->head);
    free(j->moves);
    free(j->path);
    free(j->control);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

static rc journal_at(const struct admin_conf *c, const char *id, struct journal **out, struct err *e)
{
    SCOPED(buf_done) struct buf folder = { 0 };
    TRY(folder_path(c, "runs", &folder, e));
    struct journal *j = mem_need(calloc(1, sizeof(*j)));
    j->fd = -1;
    pthread_mutex_init(&j->lock, NULL);
    snprintf(j->id, sizeof(j->id), "%s", id);
    if (asprintf(&j->path, "%s/%s.journal", buf_text(&folder), id) < 0 ||
        asprintf(&j->control, "%s/%s.control", buf_text(&folder), id) < 0)
        abort();
    *out = j;
    return RC_OK;
}

static rc read_moves(struct journal *j, struct err *e)
{
    const json_t *plan = json_object_get(j->head, "plan"), *moves, *m;
    size_t i;
    TRY(plan_check(plan, e));
    moves = json_object_get(plan, "moves");
    j->n_moves = json_array_size(moves);
    j->moves = mem_need(calloc(j->n_moves + 1, sizeof(*j->moves)));
    j->made_ms = json_integer_value(json_object_get(j->head, "made"));
    json_array_foreach (moves, i, m)
        j->moves[i] = (struct run_move){ .user = json_string_value(json_object_get(m, "user")),
                                         .from = json_string_value(json_object_get(m, "from")),
                                         .to = json_string_value(json_object_get(m, "to")),
                                         .uid = json_integer_value(json_object_get(m, "uid")),
                                         .items_planned = json_integer_value(json_object_get(m, "items")),
                                         .bytes_planned = json_integer_value(json_object_get(m, "bytes")) };
    return RC_OK;
}

/* The time and some random letters: sorts by age. */
static void make_id(char out[RUN_ID_MAX])
{
    SCOPED(buf_done) struct buf hex = { 0 };
    uint8_t bytes[3];
    int64_t now_us = clock_now_us(clock_system());
    time_t now = (time_t)(now_us / 1000000);
    struct tm tm;
    char day[24];
    rand_bytes(bytes, sizeof(bytes));
    hex_put(&hex, (view){ .p = (const char *)bytes, .n = sizeof(bytes) });
    if (!gmtime_r(&now, &tm) || strftime(day, sizeof(day), "%Y%m%d-%H%M%S", &tm) == 0)
        abort();
    snprintf(out, RUN_ID_MAX, "%s-%03d-%s", day, (int)(now_us / 1000 % 1000), buf_text(&hex));
}

/* Whoever only looks whether somebody holds it holds it himself for a moment. */
static rc lock(struct journal *j, struct err *e)
{
    for (int i = 0; i < 20; i++) {
        if (flock(j->fd, LOCK_EX | LOCK_NB) == 0)
            return RC_OK;
        clock_sleep_ms(10);
    }
    return fail(e, RC_CONFLICT, RESP_GENERIC, "run %s is under way in another process", j->id);
}

rc journal_create(const struct admin_conf *c, const json_t *plan, const json_t *options, struct journal **out,
                  struct err *e)
{
    SCOPED(journal_close) struct journal *j = NULL;
    char id[RUN_ID_MAX], host[65] = "";
    make_id(id);
    (void)gethostname(host, sizeof(host) - 1);
    TRY(journal_at(c, id, &j, e));
    j->head = mem_need(json_pack("{s:s,s:I,s:s,s:O,s:O}", "run", id, "made",
                                 (json_int_t)(clock_now_us(clock_system()) / 1000), "host",
                                 utf8_valid(view_of(host)) ? host : "?", "options", options, "plan", plan));
    TRY(read_moves(j, e));
    j->fd = open(j->path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (j->fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.150s cannot be made: %s", j->path, strerror(errno));
    TRY(lock(j, e));
    TRY(journal_add(j, j->head, e));
    *out = j;
    j = NULL;
    return RC_OK;
}

/* ---- reading ---- */

static enum run_move_state move_state_of(const char *name)
{
    static const struct {
        const char *name;
        enum run_move_state state;
    } states[] = { { "begun", RUN_MOVE_BEGUN },
                   { "done", RUN_MOVE_DONE },
                   { "skipped", RUN_MOVE_SKIPPED },
                   { "failed", RUN_MOVE_FAILED },
                   { "given up", RUN_MOVE_GIVEN_UP } };
    for (size_t i = 0; name && i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(states[i].name, name) == 0)
            return states[i].state;
    return RUN_MOVE_PENDING;
}

static void take_move(struct journal *j, const json_t *o)
{
    json_int_t i = json_integer_value(json_object_get(o, "i"));
    if (i < 0 || (size_t)i >= j->n_moves)
        return;
    struct run_move *m = &j->moves[i];
    const char *why = json_string_value(json_object_get(o, "why")),
               *id = json_string_value(json_object_get(o, "move"));
    m->state = move_state_of(json_string_value(json_object_get(o, "state")));
    m->tries = (unsigned)json_integer_value(json_object_get(o, "tries"));
    m->items = (uint64_t)json_integer_value(json_object_get(o, "items"));
    m->bytes = (uint64_t)json_integer_value(json_object_get(o, "bytes"));
    m->frozen_us = json_integer_value(json_object_get(o, "frozen_ms")) * 1000;
    snprintf(m->why, sizeof(m->why), "%s", why ? why : "");
    if (id)
        snprintf(m->move, sizeof(m->move), "%s", id);
}

static void take_line(struct journal *j, const json_t *o)
{
    const char *state = json_string_value(json_object_get(o, "state"));
    if (json_object_get(o, "i")) {
        take_move(j, o);
        return;
    }
    for (size_t i = 0; state && i < N_STATES; i++)
        if (strcmp(state, state_names[i]) == 0)
            j->state = (enum run_state)i;
}

/* What stands in the file behind what was read. */
static rc read_fresh(const struct journal *j, struct buf *out, struct err *e)
{
    char block[65536];
    FILE *f = fopen(j->path, "re");
    size_t n;
    if (!f)
        return fail(e, errno == ENOENT ? RC_NOT_FOUND : RC_BROKEN, RESP_GENERIC, "%.150s: %s", j->path,
                    strerror(errno));
    bool bad = fseek(f, (long)j->read_bytes, SEEK_SET) != 0;
    while (!bad && (n = fread(block, 1, sizeof(block), f)) > 0 && out->n <= JOURNAL_MAX)
        buf_add(out, (view){ .p = block, .n = n });
    bad = bad || ferror(f) != 0;
    fclose(f);
    return bad || out->n > JOURNAL_MAX ? fail(e, RC_BROKEN, RESP_GENERIC, "%.150s cannot be read", j->path)
                                       : RC_OK;
}

/* A line that a crash left torn tells nothing: what it would have told is found out again, for every step can be repeated. */
static rc read_lines(struct journal *j, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    TRY(read_fresh(j, &text, e));
    const char *last = text.n > 0 ? memrchr(text.p, '\n', text.n) : NULL;
    view rest = { .p = text.p, .n = last ? (size_t)(last - text.p) + 1 : 0 }, line;
    j->read_bytes += rest.n;
    j->state = j->written;
    while (rest.n > 0 && view_cut(&rest, '\n', &line)) {
        SCOPED(json_decref) json_t *o = NULL;
        if (line.n == 0 || json_read(line, DEPTH, JSON_READ_PLAIN, &o, NULL) != RC_OK)
            continue;
        if (!j->head) {
            j->head = json_incref(o);
            TRY(read_moves(j, e));
        } else {
            take_line(j, o);
        }
    }
    j->written = j->state;
    return j->head ? RC_OK : fail(e, RC_BAD_INPUT, RESP_GENERIC, "%.150s holds no run", j->path);
}

static bool is_ended(enum run_state s)
{
    return s == RUN_CANCELLED || s == RUN_DONE;
}

/* Whether somebody holds the lock. */
static bool is_held(const struct journal *j)
{
    int fd = open(j->path, O_RDONLY | O_CLOEXEC);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    return held;
}

static void look_who_runs(struct journal *j)
{
    if (!is_ended(j->state) && j->state != RUN_PARTLY && !is_held(j))
        j->state = RUN_STOPPED;
}

static rc take(struct journal *j, struct err *e)
{
    char last = '\n';
    struct stat st;
    j->fd = open(j->path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (j->fd < 0)
        return fail(e, errno == ENOENT ? RC_NOT_FOUND : RC_BROKEN, RESP_GENERIC, "there is no run %s", j->id);
    TRY(lock(j, e));
    if (fstat(j->fd, &st) == 0 && st.st_size > 0 && pread(j->fd, &last, 1, st.st_size - 1) == 1 &&
        last != '\n' && write(j->fd, "\n", 1) != 1)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.150s cannot be written", j->path);
    return RC_OK;
}

static bool is_id(const char *id)
{
    return id[0] && strlen(id) < RUN_ID_MAX && strspn(id, "0123456789abcdef-") == strlen(id);
}

rc journal_open(const struct admin_conf *c, const char *id, bool taking, struct journal **out, struct err *e)
{
    SCOPED(journal_close) struct journal *j = NULL;
    SCOPED(json_decref) json_t *ids = NULL;
    if (strcmp(id, "last") == 0) {
        TRY(journal_list(c, &ids, e));
        if (json_array_size(ids) == 0)
            return fail(e, RC_NOT_FOUND, RESP_GENERIC, "there is no run");
        id = json_string_value(json_array_get(ids, json_array_size(ids) - 1));
    }
    if (!is_id(id))
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "\"%.60s\" is no name of a run (heddle-admin run list)",
                    id);
    TRY(journal_at(c, id, &j, e));
    if (taking)
        TRY(take(j, e));
    rc r = read_lines(j, e);
    if (r == RC_NOT_FOUND)
        return fail(e, r, RESP_GENERIC, "there is no run %s", id);
    TRY(r);
    if (!taking)
        look_who_runs(j);
    *out = j;
    j = NULL;
    return RC_OK;
}

rc journal_follow(struct journal *j, struct err *e)
{
    TRY(read_lines(j, e));
    look_who_runs(j);
    return RC_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

rc journal_list(const struct admin_conf *c, json_t **out, struct err *e)
{
    SCOPED(buf_done) struct buf folder = { 0 };
    char **names = NULL;
    size_t n = 0;
    TRY(folder_path(c, "runs", &folder, e));
    DIR *d = opendir(buf_text(&folder));
    if (!d)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.150s: %s", buf_text(&folder), strerror(errno));
    for (struct dirent *entry; (entry = readdir(d));) {
        const char *dot = strstr(entry->d_name, ".journal");
        if (!dot || strcmp(dot, ".journal") != 0)
            continue;
        names = mem_need(reallocarray(names, n + 1, sizeof(*names)));
        names[n++] = mem_need(strndup(entry->d_name, (size_t)(dot - entry->d_name)));
    }
    closedir(d);
    if (n > 0)
        qsort(names, n, sizeof(*names), by_text);
    *out = mem_need(json_array());
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(*out, json_string(names[i]));
        free(names[i]);
    }
    free(names);
    return RC_OK;
}

/* ---- writing ---- */

rc journal_add(struct journal *j, const json_t *line, struct err *e)
{
    SCOPED(buf_done) struct buf text = { 0 };
    json_put_members(&text, line);
    buf_addc(&text, '\n');
    pthread_mutex_lock(&j->lock);
    ssize_t n = write(j->fd, text.p, text.n);
    bool good = n >= 0 && (size_t)n == text.n && fdatasync(j->fd) == 0;
    int why = errno;
    pthread_mutex_unlock(&j->lock);
    return good ? RC_OK
                : fail(e, RC_BROKEN, RESP_GENERIC, "%.150s cannot be written: %s", j->path, strerror(why));
}

static json_int_t now_ms(void)
{
    return clock_now_us(clock_system()) / 1000;
}

rc journal_add_move(struct journal *j, size_t i, const char *state, struct err *e)
{
    const struct run_move *m = &j->moves[i];
    SCOPED(json_decref)
    json_t *o =
        mem_need(json_pack("{s:I,s:s,s:I,s:i,s:I,s:I,s:I,s:s,s:s}", "i", (json_int_t)i, "state", state,
                           "time", now_ms(), "tries", (int)m->tries, "items", (json_int_t)m->items, "bytes",
                           (json_int_t)m->bytes, "frozen_ms", (json_int_t)(m->frozen_us / 1000), "move",
                           m->move, "why", utf8_valid(view_of(m->why)) ? m->why : "?"));
    return journal_add(j, o, e);
}

rc journal_add_state(struct journal *j, enum run_state s, const char *why, struct err *e)
{
    SCOPED(json_decref)
    json_t *o = mem_need(json_pack("{s:s,s:I,s:i,s:s}", "state", state_names[s], "time", now_ms(), "pid",
                                   (int)getpid(), "why", why));
    j->state = s;
    return journal_add(j, o, e);
}

/* ---- the word ---- */

rc journal_ask(const struct journal *j, enum run_word word, struct err *e)
{
    return folder_write(j->control, view_of(word_names[word]), e);
}

/* Taken away before it is read: a word that comes meanwhile is not taken away with it. */
enum run_word journal_hear(const struct journal *j)
{
    SCOPED(buf_done) struct buf taken = { 0 };
    SCOPED(buf_done) struct buf text = { 0 };
    buf_addf(&taken, "%s.heard", j->control);
    if (rename(j->control, buf_text(&taken)) != 0)
        return RUN_NOTHING;
    rc r = folder_read(buf_text(&taken), 64, &text, NULL);
    unlink(buf_text(&taken));
    for (size_t i = 1; r == RC_OK && i < N_WORDS; i++)
        if (view_eq(buf_view(&text), view_of(word_names[i])))
            return (enum run_word)i;
    return RUN_NOTHING;
}

/* ---- telling ---- */

json_t *journal_summary(const struct journal *j)
{
    const json_t *plan = json_object_get(j->head, "plan");
    json_int_t done = 0, failed = 0, skipped = 0, pending = 0, planned = 0, bytes = 0;
    for (size_t i = 0; i < j->n_moves; i++) {
        const struct run_move *m = &j->moves[i];
        done += m->state == RUN_MOVE_DONE;
        failed += m->state == RUN_MOVE_GIVEN_UP;
        skipped += m->state == RUN_MOVE_SKIPPED;
        pending += m->state == RUN_MOVE_PENDING || m->state == RUN_MOVE_BEGUN || m->state == RUN_MOVE_FAILED;
        planned += m->bytes_planned;
        bytes += (json_int_t)m->bytes;
    }
    return mem_need(json_pack("{s:s,s:s,s:O?,s:O?,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "run", j->id, "state",
                              state_names[j->state], "kind", json_object_get(plan, "kind"), "node",
                              json_object_get(plan, "node"), "made", (json_int_t)j->made_ms, "moves",
                              (json_int_t)j->n_moves, "done", done, "failed", failed, "skipped", skipped,
                              "pending", pending, "bytes_planned", planned, "bytes", bytes));
}
