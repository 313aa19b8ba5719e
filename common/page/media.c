#include "common/page/media.h"

#include <dirent.h>
#include <errno.h>

#include "common/auth/secrets.h"
#include "common/base/encode.h"
#include "common/base/mem.h"
#include "common/web/reply.h"

enum { FILES_MOST = 64, FILE_MOST = 512 * 1024, ALL_MOST = 2 * 1024 * 1024, TAG_BYTES = 8 };

static const struct {
    const char *end, *type;
} types[] = {
    { ".css", "text/css; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".svg", "image/svg+xml" },
    { ".png", "image/png" },
    { ".jpg", "image/jpeg" },
    { ".webp", "image/webp" },
    { ".ico", "image/x-icon" },
    { ".woff2", "font/woff2" },
};

struct file {
    char name[64];
    const char *type;
    view bytes;
    char *owned;
    char tag[2 * TAG_BYTES + 3]; /* ETag */
};

struct media {
    size_t n, all;
    struct file files[FILES_MOST];
};

static const char *type_of(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        size_t end = strlen(types[i].end);
        if (n > end && strcmp(name + n - end, types[i].end) == 0)
            return types[i].type;
    }
    return NULL;
}

static const struct file *file_find(const struct media *m, view name)
{
    for (size_t i = 0; i < m->n; i++)
        if (view_eq(view_of(m->files[i].name), name))
            return &m->files[i];
    return NULL;
}

static bool file_add(struct media *m, const char *name, view bytes, char *owned)
{
    const char *type = type_of(name);
    uint8_t hash[SHA256_BYTES];
    if (m->n == FILES_MOST || !type || strlen(name) >= sizeof(m->files[0].name) ||
        file_find(m, view_of(name)))
        return false;
    struct file *f = &m->files[m->n++];
    *f = (struct file){ .type = type, .bytes = bytes, .owned = owned };
    memcpy(f->name, name, strlen(name) + 1);
    sha256(bytes, hash);
    snprintf(f->tag, sizeof(f->tag), "\"%02x%02x%02x%02x%02x%02x%02x%02x\"", hash[0], hash[1], hash[2],
             hash[3], hash[4], hash[5], hash[6], hash[7]);
    return true;
}

static rc read_own(struct media *m, const char *folder, const char *name, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    buf_addf(&path, "%s/%s", folder, name);
    FILE *f = fopen(buf_text(&path), "re");
    if (!f)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "screens.folder: %.150s: %s", buf_text(&path),
                    strerror(errno));
    char *bytes = mem_need(malloc(FILE_MOST));
    size_t n = fread(bytes, 1, FILE_MOST, f);
    int why = ferror(f) ? errno : 0;
    fclose(f);
    if (why != 0) {
        free(bytes);
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "screens.folder: %.150s: %s", buf_text(&path),
                    strerror(why));
    }
    m->all += n;
    if (n < FILE_MOST && m->all <= ALL_MOST && file_add(m, name, (view){ .p = bytes, .n = n }, bytes))
        return RC_OK;
    free(bytes);
    return fail(e, RC_BAD_INPUT, RESP_GENERIC, "screens.folder: %.150s is too large, or one file too many",
                buf_text(&path));
}

static rc read_folder(struct media *m, const char *folder, struct err *e)
{
    rc r = RC_OK;
    DIR *d = opendir(folder);
    if (!d)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "screens.folder: %.150s: %s", folder, strerror(errno));
    for (const struct dirent *x; r == RC_OK && (x = readdir(d));)
        if (x->d_name[0] != '.' && type_of(x->d_name))
            r = read_own(m, folder, x->d_name, e);
    closedir(d);
    return r;
}

static void add_embedded(struct media *m, const struct embedded_file *f)
{
    for (; f->name; f++)
        (void)file_add(m, f->name, (view){ .p = (const char *)f->bytes, .n = f->n },
                       NULL); /* unless it is replaced */
}

rc media_open(const char *folder, const struct embedded_file *own, struct media **out, struct err *e)
{
    struct media *m = mem_need(calloc(1, sizeof(*m)));
    rc r = folder[0] ? read_folder(m, folder, e) : RC_OK;
    add_embedded(m, own);
    add_embedded(m, embedded_page_media);
    if (r != RC_OK) {
        media_close(m);
        return r;
    }
    *out = m;
    return RC_OK;
}

void media_close(struct media *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        free(m->files[i].owned);
    free(m);
}

/* "logo" is the operator's logo.svg, .png … or ours. */
static const struct file *logo(const struct media *m)
{
    static const char *const names[] = { "logo.png", "logo.webp", "logo.jpg", "logo.svg" };
    const struct file *f = NULL;
    for (size_t i = 0; !f && i < sizeof(names) / sizeof(names[0]); i++)
        f = file_find(m, view_of(names[i]));
    return f;
}

rc media_reply(const struct site *s, struct request *rq, view name, struct err *e)
{
    const struct media *m = s->media;
    const struct file *f = view_eq(name, VIEW("logo")) ? logo(m) : file_find(m, name);
    if (!f)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "no such file");
    reply_type(rq, f->type);
    reply_header(rq, "Cache-Control", VIEW("public, max-age=3600"));
    reply_header(rq, "ETag", view_of(f->tag));
    reply_header(rq, "X-Content-Type-Options", VIEW("nosniff"));
    /* An SVG that is opened by itself is a document: it runs nothing. */
    reply_header(rq, "Content-Security-Policy",
                 VIEW("default-src 'none'; style-src 'unsafe-inline'; sandbox"));
    if (s->https)
        reply_header(rq, "Strict-Transport-Security", VIEW("max-age=31536000"));
    if (view_eq(request_header(rq, "If-None-Match"), view_of(f->tag)))
        reply_status(rq, 304);
    else
        buf_add(reply_body(rq), f->bytes);
    return RC_OK;
}
