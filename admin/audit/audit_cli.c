/* heddle-admin audit …: the log is asked, and its chains are checked. */
#include <dirent.h>
#include <errno.h>

#include "admin/audit/audit.h"
#include "admin/folder.h"
#include "admin/show.h"
#include "admin/verbs.h"
#include "common/base/json.h"
#include "common/base/mem.h"

/* ---- which files ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct files {
    char **paths;
    size_t n;
};

static void files_done_scoped(struct files *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->paths[i]);
    free(f->paths);
}

static void files_add(struct files *f, const char *path)
{
    f->paths = mem_need(reallocarray(f->paths, f->n + 1, sizeof(*f->paths)));
    f->paths[f->n++] = mem_need(strdup(path));
}

/* Those of the command line, else all of our own folder. */
static rc find_files(struct admin *a, struct files *out, struct err *e)
{
    SCOPED(buf_done) struct buf folder = { 0 };
    for (int i = 0; i < a->argc; i++)
        files_add(out, a->argv[i]);
    if (a->argc > 0)
        return RC_OK;
    TRY(folder_path(a->conf, "audit", &folder, e));
    DIR *d = opendir(buf_text(&folder));
    if (!d)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.150s: %s", buf_text(&folder), strerror(errno));
    for (struct dirent *entry; (entry = readdir(d));) {
        size_t n = strlen(entry->d_name);
        if (n <= 4 || strcmp(entry->d_name + n - 4, ".log") != 0)
            continue;
        SCOPED(buf_done) struct buf path = { 0 };
        buf_addf(&path, "%s/%s", buf_text(&folder), entry->d_name);
        files_add(out, buf_text(&path));
    }
    closedir(d);
    if (out->n > 0)
        qsort(out->paths, out->n, sizeof(*out->paths), by_text);
    return RC_OK;
}

/* ---- asking ---- */

struct query {
    const char *user, *node, *act;
    int64_t since, until; /* ms; 0: no bound */
    json_t *found;
};

static bool member_is(const json_t *o, const char *name, const char *text)
{
    const char *v = json_string_value(json_object_get(o, name));
    return v && strcmp(v, text) == 0;
}

static bool word_is(const json_t *o, const char *text)
{
    const json_t *words = json_object_get(o, "words"), *word;
    size_t i;
    json_array_foreach (words, i, word)
        if (view_eq(json_text(word), view_of(text)))
            return true;
    return false;
}

static bool about_user(const json_t *o, const char *user)
{
    uint64_t uid;
    bool number = view_to_u64(view_of(user), INT64_MAX, &uid);
    return member_is(o, "user", user) || word_is(o, user) ||
           (number && json_integer_value(json_object_get(o, "uid")) == (json_int_t)uid);
}

static bool about_node(const json_t *o, const char *node)
{
    return member_is(o, "node", node) || member_is(o, "to", node) || word_is(o, node);
}

static void take(void *arg, json_t *o)
{
    struct query *q = arg;
    int64_t time = json_integer_value(json_object_get(o, "time"));
    if ((q->since && time < q->since) || (q->until && time >= q->until) ||
        (q->user && !about_user(o, q->user)) || (q->node && !about_node(o, q->node)) ||
        (q->act && !member_is(o, "act", q->act)))
        return;
    json_array_append(q->found, o);
}

static int by_time(const void *a, const void *b)
{
    json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "time"));
    json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "time"));
    return x < y ? -1 : x > y;
}

/* In the order of time; of one file's records as they stand there. */
static json_t *sorted(const json_t *found)
{
    size_t n = json_array_size(found);
    json_t **list = mem_need(calloc(n + 1, sizeof(json_t *)));
    json_t *out = mem_need(json_array());
    for (size_t i = 0; i < n; i++)
        list[i] = json_array_get(found, i);
    qsort(list, n, sizeof(json_t *), by_time); /* glibc's is a merge sort: stable */
    for (size_t i = 0; i < n; i++)
        json_array_append(out, list[i]);
    free(list);
    return out;
}

/* What the table shows in its last column. */
static void tell(json_t *o)
{
    SCOPED(buf_done) struct buf b = { 0 };
    const json_t *words = json_object_get(o, "words"), *word;
    const char *member;
    size_t i;
    static const char *const texts[] = { "user", "node", "to", "text" };
    buf_add(&b, json_text(json_object_get(o, "command")));
    json_array_foreach (words, i, word)
        buf_addf(&b, " %.*s", VIEW_ARG(json_is_string(word) ? json_text(word) : VIEW("?")));
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if ((member = json_string_value(json_object_get(o, texts[i]))))
            buf_addf(&b, "%s%s %s", b.n ? ", " : "", texts[i], member);
    const char *before = json_string_value(json_object_get(o, "before")),
               *after = json_string_value(json_object_get(o, "after"));
    if (before || after)
        buf_addf(&b, ", %.12s → %.12s", before ? before : "nothing", after ? after : "nothing");
    if (json_object_get(o, "status"))
        buf_addf(&b, "exit status %" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(o, "status")));
    json_object_set_new(o, "told", json_string(buf_text(&b)));
}

static const struct column columns[] = {
    { "time", "TIME", COLUMN_TIME },
    { "host", "HOST", COLUMN_TEXT },
    { "who", "WHO", COLUMN_TEXT },
    { "act", "ACT", COLUMN_TEXT },
    { "what", "WHAT", COLUMN_TEXT },
    { "told", "", COLUMN_TEXT },
    COLUMNS_END,
};

static int warn_of(const char *path, const struct audit_verdict *v)
{
    if (v->bad_line == 0)
        return EXIT_DONE;
    admin_wrong("%s, line %lld: %s", path, (long long)v->bad_line, v->why);
    return EXIT_DIFFERENT;
}

static int audit(struct admin *a)
{
    SCOPED(json_decref) json_t *found = mem_need(json_array());
    SCOPED(files_done) struct files files = { 0 };
    struct query q = { .user = option_text(a, "user"),
                       .node = option_text(a, "node"),
                       .act = option_text(a, "act"),
                       .since = option_number(a, "since"),
                       .until = option_number(a, "until"),
                       .found = found };
    struct err e = ERR_NONE;
    int status = EXIT_DONE;
    rc r = find_files(a, &files, &e);
    for (size_t i = 0; r == RC_OK && i < files.n; i++) {
        struct audit_verdict v;
        r = audit_check(files.paths[i], NULL, take, &q, &v, &e);
        if (r == RC_OK && warn_of(files.paths[i], &v) != EXIT_DONE)
            status = EXIT_DIFFERENT;
    }
    if (r != RC_OK)
        return admin_status(r, &e);
    SCOPED(json_decref) json_t *rows = sorted(found);
    for (size_t i = 0; !a->json && i < json_array_size(rows); i++)
        tell(json_array_get(rows, i));
    show_rows(a, rows, columns);
    return status;
}

/* ---- verifying ---- */

static const struct column verify_columns[] = {
    { "file", "FILE", COLUMN_TEXT },      { "records", "RECORDS", COLUMN_NUMBER },
    { "torn", "TORN", COLUMN_NUMBER },    { "state", "STATE", COLUMN_STATE },
    { "last", "LAST HASH", COLUMN_TEXT }, COLUMNS_END,
};

/* What records say that they saw of other hosts. */
struct sightings {
    json_t *hashes; /* host: array of hashes */
};

static void note_sightings(void *arg, json_t *o)
{
    struct sightings *s = arg;
    const char *host;
    json_t *hash;
    json_object_foreach (json_object_get(o, "seen"), host, hash) {
        json_t *list = json_object_get(s->hashes, host);
        if (!list) {
            list = json_array();
            json_object_set_new(s->hashes, host, list);
        }
        json_array_append(list, hash);
    }
}

static bool is_file_of(const char *path, const char *host)
{
    const char *base = strrchr(path, '/');
    size_t n = strlen(host);
    base = base ? base + 1 : path;
    return strncmp(base, host, n) == 0 && strcmp(base + n, ".log") == 0;
}

/* Every hash that another host has seen at the end of this file must be in it. */
static rc check_sightings(const char *path, const json_t *hashes, const char **out_why, struct err *e)
{
    const char *host;
    json_t *list, *hash;
    size_t i;
    json_object_foreach ((json_t *)(uintptr_t)hashes, host, list) {
        if (!is_file_of(path, host))
            continue;
        json_array_foreach (list, i, hash) {
            struct audit_verdict v;
            TRY(audit_check(path, json_string_value(hash), NULL, NULL, &v, e));
            if (!v.found)
                *out_why = "a record that another host has seen is missing";
        }
    }
    return RC_OK;
}

struct verifying {
    json_t *rows;
    const char *wanted;
    bool found, different;
};

static void add_row(struct verifying *x, const char *path, const struct audit_verdict *v, const char *why)
{
    bool good = !why;
    json_array_append_new(x->rows, json_pack("{s:s,s:I,s:I,s:s,s:s,s:s*}", "file", path, "records",
                                             (json_int_t)v->records, "torn", (json_int_t)v->torn, "state",
                                             good ? "whole" : "failed", "last", v->last, "why", why));
    if (!good) {
        x->different = true;
        if (v->bad_line)
            admin_wrong("%s, line %lld: %s", path, (long long)v->bad_line, why);
        else
            admin_wrong("%s: %s", path, why);
    }
}

static rc verify_files(struct verifying *x, const struct files *files, struct err *e)
{
    SCOPED(json_decref) json_t *hashes = mem_need(json_object());
    struct sightings s = { .hashes = hashes };
    struct audit_verdict *all = mem_need(calloc(files->n + 1, sizeof(*all)));
    rc r = RC_OK;
    for (size_t i = 0; r == RC_OK && i < files->n; i++)
        r = audit_check(files->paths[i], x->wanted, note_sightings, &s, &all[i], e);
    for (size_t i = 0; r == RC_OK && i < files->n; i++) {
        const char *why = all[i].bad_line ? all[i].why : NULL;
        if (!why)
            r = check_sightings(files->paths[i], hashes, &why, e);
        x->found = x->found || all[i].found;
        if (r == RC_OK)
            add_row(x, files->paths[i], &all[i], why);
    }
    free(all);
    return r;
}

static int audit_verify(struct admin *a)
{
    SCOPED(json_decref) json_t *rows = mem_need(json_array());
    SCOPED(files_done) struct files files = { 0 };
    struct verifying x = { .rows = rows, .wanted = option_text(a, "has") };
    struct err e = ERR_NONE;
    rc r = find_files(a, &files, &e);
    if (r == RC_OK)
        r = verify_files(&x, &files, &e);
    if (r != RC_OK)
        return admin_status(r, &e);
    show_rows(a, rows, verify_columns);
    if (x.wanted && !x.found) {
        admin_wrong("no file has the record %s: the end of one was cut off, or it is another log", x.wanted);
        return EXIT_DIFFERENT;
    }
    return x.different ? EXIT_DIFFERENT : EXIT_DONE;
}

/* ---- the table ---- */

static const struct command_option audit_options[] = {
    { .name = "user",
      .type = OPTION_TEXT,
      .value = "USER",
      .help = "what was done with this user: name or number" },
    { .name = "node",
      .type = OPTION_NODE,
      .value = "NODE",
      .help = "what was done with this node, or with users on it" },
    { .name = "act", .type = OPTION_TEXT, .value = "ACT", .help = "all records of one act" },
    { .name = "since", .type = OPTION_TIME, .value = "TIME", .help = "not before this time, or so long ago" },
    { .name = "until", .type = OPTION_TIME, .value = "TIME", .help = "before this time" },
    OPTIONS_END,
};
static const struct command_option verify_options[] = {
    { .name = "has",
      .type = OPTION_TEXT,
      .value = "HASH",
      .help = "a last hash that was noted elsewhere must be there" },
    OPTIONS_END,
};

const struct command audit_commands[] = {
    { .name = "audit",
      .arguments = "[FILE …]",
      .most = 256,
      .completes = "@file",
      .help = "who did what, when",
      .about =
          "Every command that changes something writes when it begins, what it changes (with digests before and after), and how it ends. "
          "Each host has a file of its own in admin.dir/audit; files of other hosts can be laid beside it, or named.",
      .options = audit_options,
      .examples = { "heddle-admin audit --since 1d", "heddle-admin audit --user alice --json",
                    "two hosts, read together\nheddle-admin audit --node node7.example.net ops1.log ops2.log" },
      .run = audit },
    { .name = "audit verify",
      .arguments = "[FILE …]",
      .most = 256,
      .completes = "@file",
      .help = "check that nothing was changed, removed or inserted in the audit log",
      .about =
          "Each record holds the hash of the one before. What was cut off at the end of a file shows in files of other hosts that lay "
          "beside it, or against a last hash that was noted elsewhere.",
      .options = verify_options,
      .examples = { "heddle-admin audit verify", "heddle-admin audit verify --has 6bd1…" },
      .run = audit_verify },
    COMMANDS_END,
};
