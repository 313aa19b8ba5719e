/* Acts in the audit log: what a command that changes something writes before, while and after it runs. */
#include <dirent.h>
#include <pwd.h>
#include <unistd.h>

#include "admin/audit/audit.h"
#include "admin/folder.h"
#include "admin/subject.h"
#include "common/base/clock.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/rand.h"

#define WORDS_BYTES_MAX 8192

/* ---- who and where ---- */

/* The host's name, as it goes into a file's name. */
static void host_name(char out[65])
{
    if (gethostname(out, 64) != 0)
        memcpy(out, "unknown", sizeof("unknown"));
    out[64] = '\0';
    for (char *p = out; *p; p++)
        if (!(ascii_alnum(*p) || strchr(".-_", *p)))
            *p = '_';
}

void audit_person(const struct admin *a, struct buf *out)
{
    char space[4096];
    struct passwd pw, *found = NULL;
    const char *console = getenv(AUDIT_FOR), *by = console && console[0] ? console : getenv("SUDO_USER");
    uid_t uid = getuid();
    if (a->person) {
        buf_add(out, view_of(a->person));
        return;
    }
    if (getpwuid_r(uid, &pw, space, sizeof(space), &found) == 0 && found)
        buf_add(out, view_of(found->pw_name));
    else
        buf_addf(out, "uid %lu", (unsigned long)uid);
    if (by && by[0] && utf8_valid(view_of(by)))
        buf_addf(out, " (for %.60s)", by);
}

static rc append(const struct admin *a, const json_t *fields, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf who = { 0 };
    char host[65];
    host_name(host);
    audit_person(a, &who);
    TRY(folder_path(a->conf, "audit", &path, e));
    buf_addf(&path, "/%s.log", host);
    return audit_append(buf_text(&path), clock_now_us(clock_system()) / 1000, host, buf_text(&who), fields,
                        e);
}

/* ---- begin ---- */

static bool is_log(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".log") == 0;
}

/* The last hash of a file, quickly: its last line's. */
static bool last_hash(const char *path, char out[AUDIT_HASH_TEXT + 1])
{
    char tail[AUDIT_HASH_TEXT + 3];
    FILE *f = fopen(path, "re");
    bool good = f && fseek(f, -(long)sizeof(tail), SEEK_END) == 0 &&
                fread(tail, 1, sizeof(tail), f) == sizeof(tail) &&
                memcmp(tail + AUDIT_HASH_TEXT, "\"}\n", 3) == 0;
    if (f)
        fclose(f);
    if (good) {
        memcpy(out, tail, AUDIT_HASH_TEXT);
        out[AUDIT_HASH_TEXT] = '\0';
    }
    return good;
}

/* What lies beside our own file: so what is cut off there shows here. */
static rc see_others(const struct admin *a, json_t *seen, struct err *e)
{
    SCOPED(buf_done) struct buf folder = { 0 };
    char host[65];
    host_name(host);
    TRY(folder_path(a->conf, "audit", &folder, e));
    DIR *d = opendir(buf_text(&folder));
    if (!d)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.150s cannot be read", buf_text(&folder));
    for (struct dirent *entry; (entry = readdir(d));) {
        SCOPED(buf_done) struct buf path = { 0 };
        char hash[AUDIT_HASH_TEXT + 1];
        size_t n = strlen(entry->d_name);
        if (!is_log(entry->d_name) || (strlen(host) == n - 4 && memcmp(host, entry->d_name, n - 4) == 0))
            continue;
        buf_addf(&path, "%s/%s", buf_text(&folder), entry->d_name);
        if (last_hash(buf_text(&path), hash))
            json_object_setn_new(seen, entry->d_name, n - 4, json_string(hash));
    }
    closedir(d);
    return RC_OK;
}

static json_t *words_json(int argc, char **argv)
{
    json_t *words = mem_need(json_array());
    size_t bytes = 0;
    for (int i = 0; i < argc; i++) {
        bytes += strlen(argv[i]);
        bool fits = bytes <= WORDS_BYTES_MAX && utf8_valid(view_of(argv[i]));
        json_array_append_new(words, json_string(fits ? argv[i] : "…"));
        if (bytes > WORDS_BYTES_MAX)
            break;
    }
    return words;
}

rc audit_begin(struct admin *a, int words, int argc, char **argv, struct err *e)
{
    SCOPED(buf_done) struct buf id = { 0 };
    SCOPED(json_decref) json_t *seen = mem_need(json_object());
    uint8_t bytes[8];
    TRY(see_others(a, seen, e));
    rand_bytes(bytes, sizeof(bytes));
    hex_put(&id, (view){ .p = (const char *)bytes, .n = sizeof(bytes) });
    SCOPED(json_decref)
    json_t *fields = mem_need(json_pack("{s:s,s:s,s:s,s:s,s:o}", "act", buf_text(&id), "what", "begin", "as",
                                        a->conf->name, "command", a->command->name, "words",
                                        words_json(argc - words, argv + words)));
    if (json_object_size(seen) > 0)
        json_object_set(fields, "seen", seen);
    TRY(append(a, fields, e));
    snprintf(a->audit_id, sizeof(a->audit_id), "%s", buf_text(&id));
    a->began_us = clock_mono_us(clock_system());
    return RC_OK;
}

/* ---- while and after ---- */

static void put_text(json_t *o, const char *name, const char *value)
{
    if (value)
        json_object_set_new(o, name, json_string(value));
}

static void put_known(json_t *o, const char *name, const char *value)
{
    put_text(o, name, value && value[0] ? value : NULL);
}

rc audit_note(const struct admin *a, const struct audit_note *n, struct err *e)
{
    if (!a->audit_id[0])
        return RC_OK;
    SCOPED(json_decref)
    json_t *fields = mem_need(json_pack("{s:s,s:s}", "act", a->audit_id, "what", "change"));
    put_text(fields, "user", n->user);
    if (n->uid > 0)
        json_object_set_new(fields, "uid", json_integer(n->uid));
    put_text(fields, "node", n->node);
    put_text(fields, "to", n->to);
    put_text(fields, "before", n->before);
    put_text(fields, "after", n->after);
    put_known(fields, "data_before", n->data_before);
    put_known(fields, "data_after", n->data_after);
    put_text(fields, "text", n->text);
    return append(a, fields, e);
}

rc audit_say(const struct admin *a, const char *what, const char *text, struct err *e)
{
    SCOPED(json_decref)
    json_t *fields = mem_need(json_pack("{s:s,s:s}", "what", what, "text", text));
    return append(a, fields, e);
}

rc audit_end(struct admin *a, int status, struct err *e)
{
    if (!a->audit_id[0])
        return RC_OK;
    int64_t ms = (clock_mono_us(clock_system()) - a->began_us) / 1000;
    SCOPED(json_decref)
    json_t *fields = mem_need(json_pack("{s:s,s:s,s:i,s:I}", "act", a->audit_id, "what", "end", "status",
                                        status, "ms", (json_int_t)ms));
    return append(a, fields, e);
}

void audit_digest_place(const struct subject *s, char out[AUDIT_HASH_TEXT + 1])
{
    SCOPED(json_decref)
    json_t *o = mem_need(json_pack("{s:I,s:s%,s:I}", "uid", (json_int_t)s->uid, "node",
                                   s->node.p ? s->node.p : "", s->node.n, "epoch", (json_int_t)s->epoch));
    audit_digest_json(o, out);
}
