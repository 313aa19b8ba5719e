#include "common/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/metrics.h"

/* A pipe takes PIPE_BUF bytes whole or not at all, so lines of several writers never mix. */
#define LINE_BYTES  PIPE_BUF
#define VALUE_BYTES 1024 /* of one field, as written */
#define TAIL_BYTES  32   /* kept free for `,"cut":true}` and the line's end */
#define HELD_BYTES  65536

static struct {
    int fd;
    bool json;
    enum log_level least;
    _Atomic uint64_t lost; /* lines that could not be written */
    size_t piece_bytes;    /* most of one write() of several lines */
} sink = { .fd = STDERR_FILENO, .json = true, .least = LOG_INFO, .piece_bytes = PIPE_BUF };

/* Lines that may wait, in their order: whole ones. Whoever writes holds the lock, so that no line overtakes another. */
static struct {
    pthread_mutex_t lock;
    size_t n;
    char p[HELD_BYTES];
} held = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *const level_names[] = { "debug", "info", "warn", "error" };
#define LEVELS (sizeof level_names / sizeof level_names[0])

struct line {
    char p[LINE_BYTES];
    size_t n;
    bool cut; /* something did not fit */
};

static double lines_lost(void *arg)
{
    (void)arg;
    return (double)atomic_load_explicit(&sink.lost, memory_order_relaxed);
}

void log_setup(int fd, enum log_format format, enum log_level least)
{
    sink.fd = fd;
    sink.json = format == LOG_JSON || (format == LOG_AUTO && !isatty(fd));
    sink.least = least;
    struct stat st;
    sink.piece_bytes = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? HELD_BYTES : PIPE_BUF;
    metric_gauge("heddle_log_lines_lost", NULL, "Log lines that could not be written", lines_lost, NULL);
}

bool log_level_parse(view text, enum log_level *out)
{
    for (size_t i = 0; i < LEVELS; i++)
        if (view_eq_nocase(text, view_of(level_names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

bool log_wants(enum log_level level)
{
    return level >= sink.least;
}

/* --- building a line --- */

static void put(struct line *l, const char *p, size_t n)
{
    if (n > LINE_BYTES - TAIL_BYTES - l->n) {
        l->cut = true;
        return;
    }
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void put_text(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* The well-formed sequences of UTF-8 (RFC 3629, section 4): ranges of the first and of the second byte; all others are
 * 0x80 … 0xbf. */
static const struct {
    unsigned char first[2], second[2];
    size_t length;
} sequences[] = {
    { { 0x00, 0x7f }, { 0x00, 0x00 }, 1 }, { { 0xc2, 0xdf }, { 0x80, 0xbf }, 2 },
    { { 0xe0, 0xe0 }, { 0xa0, 0xbf }, 3 }, { { 0xe1, 0xec }, { 0x80, 0xbf }, 3 },
    { { 0xed, 0xed }, { 0x80, 0x9f }, 3 }, { { 0xee, 0xef }, { 0x80, 0xbf }, 3 },
    { { 0xf0, 0xf0 }, { 0x90, 0xbf }, 4 }, { { 0xf1, 0xf3 }, { 0x80, 0xbf }, 4 },
    { { 0xf4, 0xf4 }, { 0x80, 0x8f }, 4 },
};

static bool within(unsigned char c, const unsigned char range[2])
{
    return c >= range[0] && c <= range[1];
}

/* Length of the well-formed sequence at p, 0 if there is none. */
static size_t sequence(const unsigned char *p, size_t n)
{
    size_t i = 0, length;

    while (i < sizeof sequences / sizeof sequences[0] && !within(p[0], sequences[i].first))
        i++;
    length = i < sizeof sequences / sizeof sequences[0] ? sequences[i].length : 0;
    if (length > n || (length > 1 && !within(p[1], sequences[i].second)))
        return 0;
    for (size_t k = 2; k < length; k++)
        if ((p[k] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* One character of a value as it is written into seq; gives its length, and in *taken the bytes of p it stands for.
 * Control characters (the C1 set and DEL too: terminals obey them) are \u00XX, bytes that are no UTF-8 are \\xXX. */
static size_t escape(const unsigned char *p, size_t n, char seq[8], size_t *taken)
{
    size_t len = sequence(p, n);
    unsigned c = p[0];

    *taken = len ? len : 1;
    if (len == 0)
        return (size_t)snprintf(seq, 8, "\\\\x%02x", c);
    if (c == '"' || c == '\\') {
        seq[0] = '\\';
        seq[1] = (char)c;
        return 2;
    }
    if (c == 0xc2 && p[1] < 0xa0)
        c = p[1];
    if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        return (size_t)snprintf(seq, 8, "\\u%04x", c);
    memcpy(seq, p, len);
    return len;
}

/* How many bytes from p on are written as they are? Nearly all of most values. */
static size_t plain_run(const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

static void put_escaped(struct line *l, view v)
{
    size_t start = l->n, taken, plain = plain_run(v.p, v.n < VALUE_BYTES ? v.n : VALUE_BYTES);

    put(l, v.p, plain);
    for (size_t i = plain; i < v.n && !l->cut; i += taken) {
        char seq[8];
        size_t len = escape((const unsigned char *)v.p + i, v.n - i, seq, &taken);

        if (l->n - start + len > VALUE_BYTES) {
            put_text(l, "…");
            return;
        }
        put(l, seq, len);
    }
}

static void put_quoted(struct line *l, view v)
{
    put(l, "\"", 1);
    put_escaped(l, v);
    put(l, "\"", 1);
}

/* The date and the second are worked out once a second for each thread: the C library takes a lock for them. */
static void put_time(struct line *l)
{
    static _Thread_local struct {
        time_t second;
        char text[32];
    } last = { .second = -1 };
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    if (now.tv_sec != last.second) {
        struct tm tm;

        last.second = now.tv_sec;
        if (!gmtime_r(&now.tv_sec, &tm) ||
            strftime(last.text, sizeof last.text, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
            memcpy(last.text, "?", 2);
    }
    put_text(l, last.text);
    unsigned ms = (unsigned)(now.tv_nsec / 1000000 % 1000);
    put(l, (char[]){ '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z' },
        5);
}

static void put_number(struct line *l, int64_t number)
{
    char text[24];
    size_t at = sizeof text;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;

    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        text[--at] = '-';
    put(l, text + at, sizeof text - at);
}

static void put_field_json(struct line *l, const struct log_field *f)
{
    put(l, ",", 1);
    put_quoted(l, view_of(f->name));
    put(l, ":", 1);
    if (f->type == LOG_FIELD_INT)
        put_number(l, f->number);
    else if (f->text.p)
        put_quoted(l, f->text);
    else
        put_text(l, "null");
}

static bool needs_quotes(view v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] <= ' ' || strchr("\"\\=", v.p[i]) || (v.p[i] & 0x80))
            return true;
    return v.n == 0;
}

static void put_field_plain(struct line *l, const struct log_field *f)
{
    put(l, " ", 1);
    put_escaped(l, view_of(f->name));
    put(l, "=", 1);
    if (f->type == LOG_FIELD_INT)
        put_number(l, f->number);
    else if (!f->text.p)
        put(l, "-", 1);
    else if (needs_quotes(f->text))
        put_quoted(l, f->text);
    else
        put_escaped(l, f->text);
}

/* A field that does not fit is taken back whole, so that the line stays well-formed. */
static bool put_field(struct line *l, const struct log_field *f)
{
    size_t before = l->n;

    if (sink.json)
        put_field_json(l, f);
    else
        put_field_plain(l, f);
    if (l->cut)
        l->n = before;
    return !l->cut;
}

static void put_head(struct line *l, const char *level, const char *event)
{
    if (sink.json) {
        put_text(l, "{\"time\":\"");
        put_time(l);
        put_text(l, "\",\"level\":\"");
        put_text(l, level);
        put_text(l, "\",\"event\":");
        put_quoted(l, view_of(event));
    } else {
        char word[8];

        put_time(l);
        put(l, word, (size_t)snprintf(word, sizeof word, " %-5s ", level));
        put_escaped(l, view_of(event));
    }
}

static void put_tail(struct line *l)
{
    const char *tail = sink.json ? (l->cut ? ",\"cut\":true}\n" : "}\n") : (l->cut ? " cut=true\n" : "\n");
    size_t n = strlen(tail);

    memcpy(l->p + l->n, tail, n); /* TAIL_BYTES are kept for it */
    l->n += n;
}

/* ---- writing; held.lock is held ---- */

static void write_lines(const char *p, size_t n)
{
    ssize_t done;

    do
        done = write(sink.fd, p, n);
    while (done < 0 && errno == EINTR);
    for (size_t i = done > 0 ? (size_t)done : 0; i < n; i++) /* ends of lines that did not get there */
        if (p[i] == '\n')
            atomic_fetch_add_explicit(&sink.lost, 1, memory_order_relaxed);
}

/* The length of as many whole lines as one write() may take; a line alone is never longer. */
static size_t piece(const char *p, size_t n)
{
    if (n <= sink.piece_bytes)
        return n;
    const char *end = memrchr(p, '\n', sink.piece_bytes);
    return end ? (size_t)(end - p) + 1 : n;
}

static void write_held(void)
{
    for (size_t at = 0, n; at < held.n; at += n) {
        n = piece(held.p + at, held.n - at);
        write_lines(held.p + at, n);
    }
    held.n = 0;
}

static void hold(const struct line *l)
{
    if (l->n > HELD_BYTES - held.n)
        write_held();
    memcpy(held.p + held.n, l->p, l->n);
    held.n += l->n;
}

/* ---- lines ---- */

static void build(struct line *l, enum log_level level, const char *event, const struct log_field *fields,
                  size_t n)
{
    l->n = 0;
    l->cut = false;
    put_head(l, level_names[(size_t)level < LEVELS ? level : LOG_ERROR], event);
    for (size_t i = 0; i < n; i++)
        if (!put_field(l, &fields[i]))
            break;
    put_tail(l);
}

static void give(enum log_level level, const char *event, const struct log_field *fields, size_t n, bool soon)
{
    int saved_errno = errno;
    struct line l;

    if (!log_wants(level))
        return;
    build(&l, level, event, fields, n);
    pthread_mutex_lock(&held.lock);
    hold(&l);
    if (!soon)
        write_held();
    pthread_mutex_unlock(&held.lock);
    errno = saved_errno;
}

void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
    give(level, event, fields, n, false);
}

void log_event_soon(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
    give(level, event, fields, n, true);
}

void log_flush(void)
{
    int saved_errno = errno;

    pthread_mutex_lock(&held.lock);
    write_held();
    pthread_mutex_unlock(&held.lock);
    errno = saved_errno;
}
