#include "tests/load/work.h"

#include <math.h>

#define ID_SPACE   5000 /* records of a collection that F and P write over */
#define WHOLE_POST 100

enum coll { BOOKMARKS, HISTORY, PASSWORDS, FORMS, PREFS, ADDONS, TABS, CLIENTS, META, CRYPTO, N_COLLS };

/* What a record of each collection is like: bytes, life (of P alone), whether it has a sortindex. As Firefox writes them. */
static const struct {
    const char *name;
    size_t payload_bytes;
    int64_t ttl_s;
    bool sorted;
} colls[N_COLLS] = {
    [BOOKMARKS] = { "bookmarks", 420, 0, true },  [HISTORY] = { "history", 380, 5184000, true },
    [PASSWORDS] = { "passwords", 460, 0, false }, [FORMS] = { "forms", 260, 15552000, false },
    [PREFS] = { "prefs", 2000, 0, false },        [ADDONS] = { "addons", 400, 0, false },
    [TABS] = { "tabs", 1500, 1814400, false },    [CLIENTS] = { "clients", 480, 1814400, false },
    [META] = { "meta", 600, 0, false },           [CRYPTO] = { "crypto", 400, 0, false },
};

/* ---- a day of a production node: of a thousand requests ---- */

static const struct {
    unsigned share;
    enum step_kind kind;
    enum coll coll;
    unsigned most_records;
} day[] = {
    { 340, STEP_INFO, META, 0 },     { 150, STEP_POST, TABS, 1 },      { 130, STEP_POST, HISTORY, 10 },
    { 80, STEP_META, META, 0 },      { 70, STEP_READ, CLIENTS, 0 },    { 50, STEP_NEWER, TABS, 0 },
    { 40, STEP_POST, CLIENTS, 1 },   { 40, STEP_META, CRYPTO, 0 },     { 20, STEP_POST, PASSWORDS, 3 },
    { 20, STEP_POST, FORMS, 10 },    { 10, STEP_NEWER, HISTORY, 0 },   { 20, STEP_NEWER, BOOKMARKS, 0 },
    { 20, STEP_POST, BOOKMARKS, 5 }, { 10, STEP_NEWER, PASSWORDS, 0 },
};

/* ---- life ---- */

void work_init(struct work *w, const struct work_conf *c, struct users *u)
{
    *w = (struct work){ .conf = c, .users = u, .records = records_new(c->seed) };
    w->chance.state = chance_mix(c->seed ^ UINT64_C(0x5eed));
}

void work_done(struct work *w)
{
    records_free(w->records);
}

/* ---- users take turns ---- */

static struct user *next_user(struct work *w)
{
    struct user *who = &w->users->all[w->turn % w->users->n];

    w->turn++;
    return who;
}

/* The next who is in nobody's session; where all are, sessions overlap. */
static struct user *next_free_user(struct work *w)
{
    struct user *who = next_user(w);

    for (size_t tries = 0; who->busy && tries < w->users->n; tries++)
        who = next_user(w);
    return who;
}

static void add(struct session *s, struct step step)
{
    if (s->n < SESSION_STEPS)
        s->steps[s->n++] = step;
}

/* ---- sessions ---- */

/* A number from 0 on, drawn by percentages that end at 100. */
static unsigned weighted(struct chance *c, const unsigned *percent, size_t n)
{
    unsigned at = chance_below(c, 100), sum = 0;

    for (unsigned i = 0; i < n; i++) {
        sum += percent[i];
        if (at < sum)
            return i;
    }
    return (unsigned)n - 1;
}

static bool percent(struct work *w, unsigned share)
{
    return chance_below(&w->chance, 100) < share;
}

static const enum coll f_colls[] = { BOOKMARKS, FORMS, PASSWORDS, HISTORY, PREFS };
#define N_F_COLLS (sizeof f_colls / sizeof f_colls[0])

static void plan_posts(struct work *w, struct session *s)
{
    static const unsigned posts[] = { 67, 18, 9, 4, 2 };
    unsigned n = weighted(&w->chance, posts, 5);
    bool batch = percent(w, 50);
    unsigned first = chance_below(&w->chance, N_F_COLLS);

    for (unsigned i = 0; i < n; i++) {
        unsigned records = 20 + chance_below(&w->chance, 161);
        add(s, (struct step){ .kind = STEP_POST,
                              .coll = f_colls[batch ? first : (first + i) % N_F_COLLS],
                              .n = records > WHOLE_POST ? WHOLE_POST : records,
                              .batch = batch,
                              .commit = batch && i + 1 == n });
    }
}

/* The order of the load test: look, read, write, and rarely delete. */
static void plan_session(struct work *w, struct session *s)
{
    static const unsigned reads[] = { 71, 15, 7, 4, 3 };

    add(s, (struct step){ .kind = STEP_INFO });
    if (percent(w, 60))
        add(s, (struct step){ .kind = STEP_META, .coll = META });
    if (percent(w, 10))
        add(s, (struct step){ .kind = STEP_READ, .coll = CLIENTS });
    if (percent(w, 20))
        add(s, (struct step){ .kind = STEP_POST, .coll = CLIENTS, .n = 1 });
    unsigned n = weighted(&w->chance, reads, 5), first = chance_below(&w->chance, N_F_COLLS);
    for (unsigned i = 0; i < n; i++)
        add(s, (struct step){ .kind = STEP_NEWER, .coll = f_colls[(first + i) % N_F_COLLS] });
    plan_posts(w, s);
    if (percent(w, 1))
        add(s, (struct step){ .kind = STEP_DROP_COLL, .coll = f_colls[chance_below(&w->chance, N_F_COLLS)] });
    if (percent(w, 1))
        add(s, (struct step){ .kind = STEP_DROP_ALL });
}

static void plan_day(struct work *w, struct session *s)
{
    unsigned at = chance_below(&w->chance, 1000);
    size_t i = 0;

    while (i + 1 < sizeof day / sizeof day[0] && at >= day[i].share)
        at -= day[i++].share;
    unsigned n = day[i].most_records ? 1 + chance_below(&w->chance, day[i].most_records) : 0;
    add(s, (struct step){ .kind = day[i].kind, .coll = day[i].coll, .n = n });
}

/* A user's first data: two collections, and the few records that each device looks at. */
static void plan_setup_post(struct session *s, enum coll coll, size_t first, size_t n)
{
    add(s,
        (struct step){ .kind = STEP_POST, .coll = coll, .first = first, .n = (unsigned)n, .in_row = true });
}

static bool plan_setup(struct work *w, struct session *s)
{
    size_t posts = (w->conf->records + WHOLE_POST - 1) / WHOLE_POST, sessions = posts + 1;
    size_t user = w->turn / sessions, part = w->turn % sessions;

    if (user >= w->users->n)
        return false;
    w->turn++;
    s->who = &w->users->all[user];
    if (part < posts) {
        size_t left = w->conf->records - part * WHOLE_POST;
        size_t n = left < WHOLE_POST ? left : WHOLE_POST;
        plan_setup_post(s, BOOKMARKS, part * WHOLE_POST, n);
        plan_setup_post(s, HISTORY, part * WHOLE_POST, n);
        return true;
    }
    plan_setup_post(s, META, 0, 1);
    plan_setup_post(s, CRYPTO, 0, 1);
    plan_setup_post(s, CLIENTS, 0, 2);
    plan_setup_post(s, TABS, 0, 2);
    plan_setup_post(s, FORMS, 0, 20);
    plan_setup_post(s, PASSWORDS, 0, 20);
    return true;
}

static bool plan(struct work *w, struct session *s)
{
    const struct work_conf *c = w->conf;

    *s = (struct session){ .n = 0 };
    if (c->scenario == 'S')
        return plan_setup(w, s);
    if (c->scenario == 'X')
        return true;
    s->who = c->scenario == 'F' ? next_free_user(w) : next_user(w);
    switch (c->scenario) {
    case 'A':
        add(s, (struct step){ .kind = STEP_INFO });
        break;
    case 'B':
        add(s, (struct step){ .kind = STEP_POST, .coll = HISTORY, .n = (unsigned)c->post_records });
        break;
    case 'C':
        add(s, (struct step){ .kind = STEP_READ, .coll = BOOKMARKS });
        break;
    case 'D':
        add(s, (struct step){ .kind = STEP_META, .coll = BOOKMARKS });
        break;
    case 'E':
        add(s, (struct step){ .kind = STEP_PUT, .coll = BOOKMARKS });
        break;
    case 'F':
        plan_session(w, s);
        s->who->busy = true;
        break;
    default:
        plan_day(w, s);
    }
    return true;
}

/* ---- a step as a request ---- */

static void put_target(struct ask *out, const struct session *s, const char *rest)
{
    buf_clear(&out->target);
    buf_add(&out->target, view_of(s->who->base));
    buf_add(&out->target, view_of(rest));
}

static void put_coll(struct ask *out, const struct session *s, const struct step *step)
{
    put_target(out, s, "/storage/");
    buf_add(&out->target, view_of(colls[step->coll].name));
}

static size_t pareto_bytes(struct work *w)
{
    /* Pareto(3) has the quantile (1 - u) ^ (-1/3) */
    size_t n = (size_t)(300 / cbrt(chance_unit(&w->chance)));

    return n < RECORD_MOST ? n : RECORD_MOST;
}

/* B, C, D, E speak of records of one size; F of its own distribution; P and the small collections of S of what each holds. */
static size_t payload_of(struct work *w, enum coll coll)
{
    char s = w->conf->scenario;

    if (s == 'F')
        return pareto_bytes(w);
    if (s == 'P' || coll >= PASSWORDS)
        return colls[coll].payload_bytes;
    return w->conf->payload_bytes;
}

/* B writes over as many again as S made, so half of them are new at first; D and E find what S made. */
static size_t number_of(struct work *w, const struct step *step, unsigned i)
{
    size_t space = ID_SPACE;

    if (step->in_row)
        return step->first + i;
    if (w->conf->scenario == 'B')
        space = w->conf->records * 2;
    else if (step->coll == BOOKMARKS && w->conf->scenario != 'F' && w->conf->scenario != 'P')
        space = w->conf->records;
    else if (step->coll == CLIENTS || step->coll == TABS)
        space = 2;
    return chance_below(&w->chance, (unsigned)space);
}

static void put_record(struct work *w, struct ask *out, const struct step *step, size_t number)
{
    char id[RECORD_ID];
    const struct record rec = {
        .id = step->coll == META     ? VIEW("global")
              : step->coll == CRYPTO ? VIEW("keys")
                                     : (view){ .p = id, .n = sizeof id },
        .payload_bytes = payload_of(w, step->coll),
        .sortindex = colls[step->coll].sorted ? (int)chance_below(&w->chance, 10000) : -1,
        .ttl_s = w->conf->scenario == 'P' ? colls[step->coll].ttl_s
                                          : 0, /* the load test sends none, nor do B and E */
    };

    record_id(number, id);
    record_put(w->records, &w->chance, &rec, &out->body);
}

/* Numbers of one POST follow each other from a random one on, so that no id stands in it twice. */
static void put_records(struct work *w, struct ask *out, const struct step *step)
{
    size_t first = number_of(w, step, 0);
    char s = w->conf->scenario;
    size_t space = s == 'B'                                      ? w->conf->records * 2
                   : step->coll == CLIENTS || step->coll == TABS ? 2
                                                                 : ID_SPACE;

    out->has_body = true;
    buf_addc(&out->body, '[');
    for (unsigned i = 0; i < step->n; i++) {
        if (i > 0)
            buf_addc(&out->body, ',');
        put_record(w, out, step, step->in_row ? first + i : (first + i) % space);
    }
    buf_addc(&out->body, ']');
}

static void put_one(struct work *w, struct ask *out, const struct session *s, const struct step *step)
{
    char id[RECORD_ID];

    put_coll(out, s, step);
    if (step->coll == META || step->coll == CRYPTO) {
        buf_add(&out->target, step->coll == META ? VIEW("/global") : VIEW("/keys"));
        return;
    }
    size_t number = number_of(w, step, 0);
    record_id(number, id);
    buf_addc(&out->target, '/');
    buf_add(&out->target, (view){ .p = id, .n = sizeof id });
    if (step->kind == STEP_PUT) {
        out->has_body = true;
        put_record(w, out, step, number);
    }
}

static void put_batch(struct ask *out, const struct session *s, const struct step *step)
{
    if (!step->batch)
        return;
    buf_add(&out->target, VIEW("?batch="));
    buf_add(&out->target, s->batch[0] ? view_of(s->batch) : VIEW("true"));
    if (step->commit)
        buf_add(&out->target, VIEW("&commit=true"));
}

static void put_step(struct work *w, struct session *s, const struct step *step, struct ask *out)
{
    out->method = VIEW("GET");
    switch (step->kind) {
    case STEP_INFO:
        put_target(out, s, "/info/collections");
        break;
    case STEP_META:
        put_one(w, out, s, step);
        break;
    case STEP_READ:
        put_coll(out, s, step);
        buf_add(&out->target, VIEW("?full=1&newer=0"));
        break;
    case STEP_NEWER:
        put_coll(out, s, step);
        buf_add(&out->target, VIEW("?full=1&newer="));
        buf_add(&out->target, view_of(s->who->seen[step->coll]));
        break;
    case STEP_POST:
        out->method = VIEW("POST");
        put_coll(out, s, step);
        put_batch(out, s, step);
        put_records(w, out, step);
        break;
    case STEP_PUT:
        out->method = VIEW("PUT");
        put_one(w, out, s, step);
        break;
    case STEP_DROP_COLL:
        out->method = VIEW("DELETE");
        put_coll(out, s, step);
        break;
    case STEP_DROP_ALL:
        out->method = VIEW("DELETE");
        put_target(out, s, "/storage");
        break;
    }
}

bool work_next(struct work *w, struct session *s, struct ask *out)
{
    if (s->at >= s->n && !plan(w, s))
        return false;
    buf_clear(&out->body);
    out->has_body = false;
    out->who = s->who;
    if (w->conf->scenario == 'X') {
        out->method = VIEW("GET");
        buf_clear(&out->target);
        buf_add(&out->target, view_of(w->conf->path));
        return true;
    }
    put_step(w, s, &s->steps[s->at], out);
    return true;
}

/* ---- answers ---- */

void work_abandon(struct session *s)
{
    if (s->who)
        s->who->busy = false;
    *s = (struct session){ .n = 0 };
}

/* {"batch":"…" as the server wrote it, escaped for a query. */
static void take_batch(struct session *s, view body)
{
    static const char before[] = "\"batch\":\"";
    const char *p = body.n ? memmem(body.p, body.n, before, sizeof before - 1) : NULL;
    size_t n = 0;

    s->batch[0] = '\0';
    if (!p)
        return;
    for (p += sizeof before - 1; p < body.p + body.n && *p != '"' && n + 4 < sizeof s->batch; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
                     *p == '-' || *p == '_' || *p == '.';
        n += (size_t)snprintf(s->batch + n, sizeof s->batch - n, plain ? "%c" : "%%%02X", (unsigned char)*p);
    }
}

void work_answered(struct work *w, struct session *s, int status, view last_modified, view body)
{
    if (w->conf->scenario == 'X' || s->at >= s->n)
        return;
    const struct step *step = &s->steps[s->at++];
    if (step->kind == STEP_NEWER && status == 200 && last_modified.n < sizeof s->who->seen[0] &&
        last_modified.n > 0) {
        memcpy(s->who->seen[step->coll], last_modified.p, last_modified.n);
        s->who->seen[step->coll][last_modified.n] = '\0';
    }
    if (step->batch && !step->commit && !s->batch[0])
        take_batch(s, body);
    if (step->batch && (status < 200 || status > 299)) /* the rest of the batch would go nowhere */
        while (s->at < s->n && s->steps[s->at].batch)
            s->at++;
    if (s->at >= s->n)
        s->who->busy = false;
}
