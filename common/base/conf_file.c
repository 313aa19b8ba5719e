#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <unistd.h>

#include "common/base/conf_inside.h"
#include "common/base/scope.h"

/* inih as Debian builds it (55-1) takes lines through a reader function. Ours looks at each line first, because inih by itself
 *   - reads 199 bytes and takes the rest of a longer line, even of a comment, for a line of its own;
 *   - cuts a value at a semicolon behind a blank;
 *   - takes an indented line, even "  [section]", for one more value of the key above it;
 *   - ignores what stands behind "]", and takes a line without a name;
 *   - tells the number of the first wrong line only after the end, and none to the handler.
 * The reader refuses what would be cut, drops comments and indentation, and counts lines. */
#define LINE_MAX_BYTES 199

struct reader {
    view rest;
    struct conf_where at;
    conf_visitor *visit;
    void *arg;
    struct err *e;
    rc result; /* the first failure; nothing is read after it */
};

rc conf_read_file(const char *path, const struct conf_where *at, struct buf *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t n;

    if (fd < 0)
        return conf_complain(at, e, "cannot open \"%s\": %s", path, strerror(errno));
    do {
        buf_reserve(out, 16384);
        n = read(fd, out->p + out->n, 16384);
        if (n > 0)
            out->n += (size_t)n;
    } while ((n > 0 && out->n <= CONF_FILE_MAX) || (n < 0 && errno == EINTR));
    if (n < 0) {
        rc r = conf_complain(at, e, "cannot read \"%s\": %s", path, strerror(errno));

        close(fd);
        return r;
    }
    close(fd);
    if (out->n > CONF_FILE_MAX)
        return conf_complain(at, e, "\"%s\" is larger than %zu bytes", path, CONF_FILE_MAX);
    return RC_OK;
}

/* A semicolon behind a blank: inih takes the rest for a comment. */
static bool has_inline_comment(view line)
{
    for (size_t i = 1; i < line.n; i++)
        if (line.p[i] == ';' && (line.p[i - 1] == ' ' || line.p[i - 1] == '\t'))
            return true;
    return false;
}

static bool has_control_byte(view line)
{
    for (size_t i = 0; i < line.n; i++)
        if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f)
            return true;
    return false;
}

bool conf_line_fits(view line)
{
    return line.n <= LINE_MAX_BYTES && !has_inline_comment(line) && !has_control_byte(line);
}

static rc check_section(struct reader *r, view line)
{
    const char *close_ = memchr(line.p, ']', line.n);

    if (!close_)
        return conf_complain(&r->at, r->e, "the section's name has no \"]\" behind it");
    if (close_ != line.p + line.n - 1)
        return conf_complain(&r->at, r->e, "only the section's name in brackets may stand here");
    if (line.n > 48) /* inih keeps 49 bytes of it */
        return conf_complain(&r->at, r->e, "there is no section with so long a name");
    return RC_OK;
}

static rc check_pair(struct reader *r, view line)
{
    size_t name = 0;

    while (name < line.n && line.p[name] != '=' && line.p[name] != ':')
        name++;
    if (name == line.n)
        return conf_complain(&r->at, r->e, "\"%.*s\" is neither a [section] nor a key = value",
                             (int)(line.n > 40 ? 40 : line.n), line.p);
    if (name == 0)
        return conf_complain(&r->at, r->e, "the name of a key is missing before \"%c\"", line.p[0]);
    return RC_OK;
}

static rc check_line(struct reader *r, view line)
{
    if (has_control_byte(line))
        return conf_complain(&r->at, r->e, "there is a control byte in this line; is this a text file?");
    if (line.n > LINE_MAX_BYTES)
        return conf_complain(
            &r->at, r->e,
            "the line is longer than %d bytes; repeat the key for a long list, or name a file with @",
            LINE_MAX_BYTES);
    if (has_inline_comment(line))
        return conf_complain(&r->at, r->e,
                             "a blank and a semicolon begin a comment, and the value would be cut there; "
                             "put the comment on a line of its own");
    return line.p[0] == '[' ? check_section(r, line) : check_pair(r, line);
}

/* The reader that inih calls instead of fgets. */
static char *next_line(char *str, int num, void *stream)
{
    struct reader *r = stream;
    view line;

    assert(num > LINE_MAX_BYTES); /* else inih was built with a smaller buffer than Debian's */
    if (r->result != RC_OK || r->rest.n == 0 || !view_cut(&r->rest, '\n', &line))
        return NULL;
    r->at.line++;
    if (r->at.line == 1 && view_starts(line, VIEW("\xef\xbb\xbf")))
        line = (view){ .p = line.p + 3, .n = line.n - 3 };
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    line = view_trim(line);
    if (line.n == 0 || line.p[0] == ';' || line.p[0] == '#')
        line = VIEW("");
    else
        r->result = check_line(r, line);
    if (r->result != RC_OK)
        return NULL;
    if (line.n > 0)
        memcpy(str, line.p, line.n);
    str[line.n] = '\0';
    return str;
}

static int handle(void *user, const char *section, const char *name, const char *value)
{
    struct reader *r = user;
    char full[CONF_NAME_MAX];

    if (r->result != RC_OK)
        return 0;
    if (section[0] == '\0')
        r->result = conf_complain(&r->at, r->e, "the key \"%.40s\" stands before the first [section]", name);
    else if (snprintf(full, sizeof full, "%s.%s", section, name) >= (int)sizeof full)
        r->result = conf_complain(&r->at, r->e, "there is no key with so long a name");
    else
        r->result = r->visit(r->arg, full, view_of(value), &r->at, r->e);
    return r->result == RC_OK;
}

rc conf_file_each(const char *path, conf_visitor *visit, void *arg, struct err *e)
{
    static const struct conf_where option = { .option = "--config" };
    SCOPED(buf_done) struct buf text = { 0 };
    struct reader r = { .at = { .file = path }, .visit = visit, .arg = arg, .e = e };
    int wrong;

    TRY(conf_read_file(path, &option, &text, e));
    r.rest = buf_view(&text);
    wrong = ini_parse_stream(next_line, &r, handle, &r);
    if (text.n > 0)
        explicit_bzero(text.p, text.n); /* passwords and secrets may stand in it */
    if (r.result == RC_OK &&
        wrong != 0) /* we know of no such line, but what is not understood is not passed over */
        return conf_complain(&r.at, e, "line %d is not understood", wrong);
    return r.result;
}
