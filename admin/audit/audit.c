#include "admin/audit/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/auth/secrets.h"
#include "common/base/encode.h"
#include "common/base/json.h"
#include "common/base/mem.h"

enum { LINE_MAX_BYTES = 64 * 1024, DEPTH = 8 };

#define HASH_MEMBER ",\"hash\":\""
#define HASH_TAIL   (sizeof(HASH_MEMBER) - 1 + AUDIT_HASH_TEXT + 2) /* ,"hash":"…"} */

static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

/* ---- digests ---- */

void audit_digest(view text, char out[AUDIT_HASH_TEXT + 1])
{
    SCOPED(buf_done) struct buf hex = { 0 };
    uint8_t sum[SHA256_BYTES];
    sha256(text, sum);
    hex_put(&hex, (view){ .p = (const char *)sum, .n = sizeof(sum) });
    memcpy(out, hex.p, AUDIT_HASH_TEXT);
    out[AUDIT_HASH_TEXT] = '\0';
}

void audit_digest_json(const json_t *value, char out[AUDIT_HASH_TEXT + 1])
{
    char *text = mem_need(json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY));
    audit_digest(view_of(text), out);
    free(text);
}

/* ---- one record ---- */

/* The part of a line that its hash is made of, and the hash; false: the line does not end like a record. */
static bool cut_hash(view line, view *out_body, view *out_hash)
{
    if (line.n <= HASH_TAIL || memcmp(line.p + line.n - 2, "\"}", 2) != 0 ||
        memcmp(line.p + line.n - HASH_TAIL, HASH_MEMBER, sizeof(HASH_MEMBER) - 1) != 0)
        return false;
    *out_body = (view){ .p = line.p, .n = line.n - HASH_TAIL };
    *out_hash = (view){ .p = line.p + line.n - 2 - AUDIT_HASH_TEXT, .n = AUDIT_HASH_TEXT };
    return true;
}

/* A good line as an object; NULL with *out_why. */
static json_t *read_record(view line, char hash[AUDIT_HASH_TEXT + 1], const char **out_why)
{
    json_t *o = NULL;
    view body, told;
    *out_why = "it is no record";
    if (!cut_hash(line, &body, &told) || json_read(line, DEPTH, JSON_READ_NO_DUPLICATES, &o, NULL) != RC_OK)
        return NULL;
    audit_digest(body, hash);
    if (json_is_object(o) && view_eq(told, view_of(hash)))
        return o;
    *out_why = "its text does not have its hash: it was changed";
    json_decref(o);
    return NULL;
}

static void put_record(struct buf *out, int64_t n, int64_t time_ms, const char *host, const char *who,
                       const json_t *fields, const char *torn, const char *prev)
{
    SCOPED(json_decref)
    json_t *o = mem_need(json_pack("{s:I,s:I,s:s,s:s}", "n", (json_int_t)n, "time", (json_int_t)time_ms,
                                   "host", host, "who", who));
    char hash[AUDIT_HASH_TEXT + 1];
    if (json_object_update(o, (json_t *)(uintptr_t)fields) != 0 ||
        (torn && json_object_set_new(o, "torn", json_string(torn)) != 0) ||
        json_object_set_new(o, "prev", json_string(prev)) != 0)
        abort();
    json_put_members(out, o);
    out->n--; /* the brace */
    audit_digest(buf_view(out), hash);
    buf_addf(out, HASH_MEMBER "%s\"}\n", hash);
}

/* ---- appending ---- */

struct tail {
    int64_t n; /* of the last record; 0: there is none */
    char hash[AUDIT_HASH_TEXT + 1];
    char torn[AUDIT_HASH_TEXT + 1]; /* "": the last line is a record */
    bool open;                      /* its line feed is missing */
};

/* The last lines of the file: a whole record, and perhaps what a crash left behind it. */
static rc read_tail(int fd, struct tail *out, struct err *e)
{
    SCOPED(buf_done) struct buf b = { 0 };
    struct stat st;
    *out = (struct tail){ .n = 0 };
    memcpy(out->hash, zeros, sizeof(out->hash));
    if (fstat(fd, &st) != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the audit log cannot be read: %s", strerror(errno));
    size_t want = st.st_size > 3 * LINE_MAX_BYTES ? 3 * LINE_MAX_BYTES : (size_t)st.st_size;
    buf_reserve(&b, want + 1);
    ssize_t got = pread(fd, b.p, want, st.st_size - (off_t)want);
    if (got < 0 || (size_t)got != want)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the audit log cannot be read: %s", strerror(errno));
    b.n = want;
    view rest = buf_view(&b), line;
    bool any = false;
    while (rest.n > 0 && view_cut(&rest, '\n', &line)) {
        const char *why;
        bool ends = rest.p != NULL;
        char hash[AUDIT_HASH_TEXT + 1];
        SCOPED(json_decref) json_t *o = read_record(line, hash, &why);
        out->open = !ends;
        if (o) {
            any = true;
            memcpy(out->hash, hash, sizeof(out->hash));
            out->n = json_integer_value(json_object_get(o, "n"));
        } else if (!ends) {
            audit_digest(line, out->torn);
        }
    }
    if (want > 0 && !any && !(out->torn[0] && (off_t)want == st.st_size))
        return fail(e, RC_BROKEN, RESP_GENERIC,
                    "the audit log ends with something else than records: audit verify tells more");
    return RC_OK;
}

static rc append_locked(int fd, int64_t time_ms, const char *host, const char *who, const json_t *fields,
                        struct err *e)
{
    SCOPED(buf_done) struct buf line = { 0 };
    SCOPED(buf_done) struct buf whole = { 0 };
    struct tail tail;
    TRY(read_tail(fd, &tail, e));
    put_record(&line, tail.n + 1, time_ms, host, who, fields, tail.torn[0] ? tail.torn : NULL, tail.hash);
    if (line.n > LINE_MAX_BYTES)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "a record of the audit log would have %zu bytes", line.n);
    if (tail.open)
        buf_addc(&whole, '\n');
    buf_add(&whole, buf_view(&line));
    ssize_t n = write(fd, whole.p, whole.n);
    if (n >= 0 && (size_t)n != whole.n)
        errno = ENOSPC;
    if (n < 0 || (size_t)n != whole.n || fsync(fd) != 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the audit log cannot be written: %s", strerror(errno));
    return RC_OK;
}

rc audit_append(const char *path, int64_t time_ms, const char *host, const char *who, const json_t *fields,
                struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(e, RC_BROKEN, RESP_GENERIC, "the audit log %.150s cannot be opened: %s", path,
                    strerror(errno));
    rc r = RC_OK;
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            r = fail(e, RC_BROKEN, RESP_GENERIC, "the audit log %.150s cannot be locked: %s", path,
                     strerror(errno));
            break;
        }
    if (r == RC_OK)
        r = append_locked(fd, time_ms, host, who, fields, e);
    close(fd);
    return r;
}

/* ---- checking ---- */

struct checker {
    struct audit_verdict *v;
    const char *wanted;
    audit_visitor *visit;
    void *arg;
    char prev[AUDIT_HASH_TEXT + 1];
    char torn[AUDIT_HASH_TEXT + 1]; /* of the line before, if that was no record */
    int64_t line;
};

static void bad(struct checker *c, const char *why)
{
    if (c->v->bad_line != 0)
        return;
    c->v->bad_line = c->line;
    c->v->why = why;
}

static void check_record(struct checker *c, json_t *o, const char *hash)
{
    const char *prev = json_string_value(json_object_get(o, "prev"));
    const char *torn = json_string_value(json_object_get(o, "torn"));
    if (!prev || strcmp(prev, c->prev) != 0)
        bad(c,
            "it does not follow the record before it: records were removed, inserted or put in another order");
    else if (json_integer_value(json_object_get(o, "n")) != c->v->records + 1)
        bad(c, "its number does not follow that of the record before");
    else if (c->torn[0] ? !torn || strcmp(torn, c->torn) != 0 : torn != NULL)
        bad(c, "the line before it is not the one that was torn");
    c->v->records++;
    if (c->torn[0])
        c->v->torn++;
    c->torn[0] = '\0';
    memcpy(c->prev, hash, sizeof(c->prev));
    if (c->wanted && strcmp(c->wanted, hash) == 0)
        c->v->found = true;
    if (c->visit)
        c->visit(c->arg, o);
}

static void check_line(struct checker *c, view line)
{
    char hash[AUDIT_HASH_TEXT + 1];
    const char *why = NULL;
    c->line++;
    SCOPED(json_decref) json_t *o = read_record(line, hash, &why);
    if (o) {
        check_record(c, o, hash);
        return;
    }
    view body, told;
    if (c->torn[0] || cut_hash(line, &body, &told)) /* a torn line has no hash */
        bad(c, why);
    audit_digest(line, c->torn);
}

rc audit_check(const char *path, const char *wanted, audit_visitor *visit, void *arg,
               struct audit_verdict *out, struct err *e)
{
    struct checker c = { .v = out, .wanted = wanted, .visit = visit, .arg = arg };
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t cap = 0;
    ssize_t n;
    bool whole = true;
    *out = (struct audit_verdict){ .records = 0 };
    memcpy(c.prev, zeros, sizeof(c.prev));
    if (!f)
        return fail(e, errno == ENOENT ? RC_NOT_FOUND : RC_BROKEN, RESP_GENERIC, "%.150s: %s", path,
                    strerror(errno));
    while ((n = getline(&text, &cap, f)) > 0) {
        whole = text[n - 1] == '\n';
        check_line(&c, (view){ .p = text, .n = (size_t)n - whole });
    }
    bool broken = ferror(f) != 0;
    free(text);
    fclose(f);
    if (broken)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.150s cannot be read", path);
    if (c.torn[0] && whole)
        bad(&c, "it is no record");
    else if (c.torn[0])
        out->torn++;
    if (out->records > 0)
        memcpy(out->last, c.prev, sizeof(out->last));
    return RC_OK;
}
