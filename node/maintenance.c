#include "node/maintenance.h"

#include <inttypes.h>

#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "node/background.h"

#define NOTE        VIEW("maintenance")
#define ARENA_BYTES ((size_t)64 << 10)

struct maintenance {
    struct store *store;
    struct front *front;
    struct background background;
    bool polls;

    pthread_mutex_t lock; /* of what follows: what the front was told last */
    struct buf note;      /* "": off */
};

/* ---- the note: {"text":"…","retry_after":600} ---- */

static rc check_words(const struct maintenance_words *w, struct err *e)
{
    if (w->text.n > MAINTENANCE_TEXT_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "text must have at most %d bytes", MAINTENANCE_TEXT_MAX);
    for (size_t i = 0; i < w->text.n; i++)
        if (w->text.p[i] < 0x20 || w->text.p[i] > 0x7e)
            return fail(e, RC_BAD_INPUT, RESP_GENERIC, "text must be printable ASCII: it becomes a header");
    if (w->retry_after_s < 1 || w->retry_after_s > MAINTENANCE_WAIT_MAX)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "retry_after must be 1 to %d seconds",
                    MAINTENANCE_WAIT_MAX);
    return RC_OK;
}

static void put_note(struct buf *b, const struct maintenance_words *w)
{
    buf_add(b, VIEW("{\"text\":"));
    json_put_string(b, w->text);
    buf_addf(b, ",\"retry_after\":%u}", w->retry_after_s);
}

/* What is not one of ours says at least that there is maintenance. */
static void read_note(view note, struct arena *a, struct maintenance_words *out)
{
    SCOPED(json_decref) json_t *o = NULL;
    *out = (struct maintenance_words){ .text = VIEW(""), .retry_after_s = 600 };
    if (json_read(note, 4, JSON_READ_PLAIN, &o, NULL) != RC_OK)
        return;
    const struct maintenance_words w = {
        .text = json_text(json_object_get(o, "text")),
        .retry_after_s = (unsigned)json_integer_value(json_object_get(o, "retry_after")),
    };
    if (w.text.p && check_words(&w, NULL) == RC_OK)
        *out = (struct maintenance_words){ .text = arena_copy(a, w.text), .retry_after_s = w.retry_after_s };
}

/* ---- acting ---- */

static void act(struct maintenance *m, view note)
{
    struct maintenance_words w;
    SCOPED(arena_done) struct arena a;

    arena_init(&a, ARENA_BYTES);
    pthread_mutex_lock(&m->lock);
    if (!view_eq(note, buf_view(&m->note))) {
        buf_clear(&m->note);
        buf_add(&m->note, note);
        if (note.n > 0)
            read_note(note, &a, &w);
        front_maintenance(m->front, note.n > 0 ? &w : NULL);
        LOG(LOG_WARN, note.n > 0 ? "maintenance: all requests get 503" : "maintenance is over",
            LOG_V("text", note.n > 0 ? w.text : VIEW("")));
    }
    pthread_mutex_unlock(&m->lock);
}

static rc look(struct maintenance *m, struct store_session *ss, struct err *e)
{
    SCOPED(arena_done) struct arena a;
    view note = VIEW_NONE;

    arena_init(&a, ARENA_BYTES);
    TRY(store_note_get(ss, NOTE, &a, &note, e));
    act(m, note.p ? note : VIEW(""));
    return RC_OK;
}

static void *poll(void *arg)
{
    struct maintenance *m = arg;
    struct store_session *ss = NULL;

    while (background_rest(&m->background, MAINTENANCE_POLL_MS)) {
        struct err e = ERR_NONE;
        if (!ss && store_session_open(m->store, true, &ss, &e) != RC_OK)
            continue;
        if (look(m, ss, &e) != RC_OK) /* whoever needs the store says that it is away */
            LOG(LOG_DEBUG, "whether there is maintenance is not known", LOG_S("why", e.text));
    }
    if (ss)
        store_session_close(ss);
    return NULL;
}

rc maintenance_set(struct maintenance *m, struct store_session *ss, const struct maintenance_words *words,
                   struct err *e)
{
    SCOPED(buf_done) struct buf note = { 0 };
    if (words) {
        TRY(check_words(words, e));
        put_note(&note, words);
    }
    TRY(store_note_put(ss, NOTE, words ? buf_view(&note) : VIEW_NONE, e));
    act(m, words ? buf_view(&note) : VIEW(""));
    return RC_OK;
}

bool maintenance_now(struct maintenance *m, struct arena *a, struct maintenance_words *out)
{
    pthread_mutex_lock(&m->lock);
    bool on = m->note.n > 0;
    if (on)
        read_note(buf_view(&m->note), a, out);
    pthread_mutex_unlock(&m->lock);
    return on;
}

/* ---- life ---- */

static rc first_look(struct maintenance *m, struct err *e)
{
    struct store_session *ss = NULL;
    TRY(store_session_open(m->store, true, &ss, e));
    rc r = look(m, ss, e);
    store_session_close(ss);
    return r;
}

rc maintenance_start(struct store *store, struct front *front, bool shared, struct maintenance **out,
                     struct err *e)
{
    struct maintenance *m = mem_need(calloc(1, sizeof(*m)));
    m->store = store;
    m->front = front;
    pthread_mutex_init(&m->lock, NULL);
    rc r = first_look(m, e);
    if (r == RC_OK && shared) {
        m->polls = true;
        r = background_start(&m->background, "look for maintenance", poll, m, e);
    }
    if (r != RC_OK) {
        maintenance_stop(m);
        return r;
    }
    *out = m;
    return RC_OK;
}

void maintenance_stop(struct maintenance *m)
{
    if (!m)
        return;
    if (m->polls)
        background_stop(&m->background);
    pthread_mutex_destroy(&m->lock);
    buf_done(&m->note);
    free(m);
}
