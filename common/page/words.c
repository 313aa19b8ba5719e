#include "common/page/words.h"

#include <dirent.h>
#include <errno.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/scope.h"
#include "common/page/embedded.h"

enum { FILE_MAX = 1024 * 1024 };

/* A catalogue and, of a file, its bytes. */
struct held {
    struct catalogue *c;
    char *bytes;
};

static const struct {
    const char *tag, *label;
} labels[] = {
    { "de", "Deutsch" },    { "fr", "Français" },  { "nl", "Nederlands" }, { "es", "Español" },
    { "it", "Italiano" },   { "pt", "Português" }, { "pl", "Polski" },     { "cs", "Čeština" },
    { "da", "Dansk" },      { "sv", "Svenska" },   { "fi", "Suomi" },      { "ru", "Русский" },
    { "uk", "Українська" }, { "ja", "日本語" },    { "zh", "中文" },
};

static struct words *language(struct languages *l, view tag)
{
    for (size_t i = 0; i < l->n; i++)
        if (view_eq_nocase(view_of(l->list[i].tag), tag))
            return &l->list[i];
    if (l->n == WORDS_MOST || tag.n == 0 || tag.n >= sizeof(l->list[0].tag))
        return NULL;
    struct words *w = &l->list[l->n++];
    *w = (struct words){ .label = NULL };
    for (size_t i = 0; i < tag.n; i++)
        w->tag[i] = (char)(tag.p[i] == '_'                      ? '-'
                           : tag.p[i] >= 'A' && tag.p[i] <= 'Z' ? tag.p[i] + 32
                                                                : tag.p[i]);
    w->label = w->tag;
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
        if (strcmp(labels[i].tag, w->tag) == 0)
            w->label = labels[i].label;
    return w;
}

static rc hold(view bytes, char *owned, const void **out, struct err *e)
{
    struct held h = { .bytes = owned };
    rc r = catalogue_open(bytes, &h.c, e);
    if (r != RC_OK) {
        free(owned);
        return r;
    }
    struct held *kept = mem_need(malloc(sizeof(*kept)));
    *kept = h;
    *out = kept;
    return RC_OK;
}

/* "de.mo" gives "de"; VIEW_NONE: another kind of name. */
static view tag_of(const char *name)
{
    view v = view_of(name);
    return v.n > 3 && strcmp(name + v.n - 3, ".mo") == 0 ? (view){ .p = v.p, .n = v.n - 3 } : VIEW_NONE;
}

static rc read_own(struct languages *l, const char *folder, const char *name, struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    struct words *w = language(l, tag_of(name));
    buf_addf(&path, "%s/%s", folder, name);
    FILE *f = fopen(buf_text(&path), "re");
    if (!w || !f) {
        if (f)
            fclose(f);
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "screens.folder: %.150s cannot be used", buf_text(&path));
    }
    char *bytes = mem_need(malloc(FILE_MAX));
    size_t n = fread(bytes, 1, FILE_MAX, f);
    fclose(f);
    struct err why = ERR_NONE;
    if (n == FILE_MAX || w->first || hold((view){ .p = bytes, .n = n }, bytes, &w->first, &why) != RC_OK)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "screens.folder: %.150s: %s", buf_text(&path), why.text);
    return RC_OK;
}

rc languages_open(const char *folder, const struct embedded_file *builtin, struct languages *out,
                  struct err *e)
{
    rc r = RC_OK;
    *out = (struct languages){ .n = 1, .list = { { .tag = "en", .label = "English" } } };
    for (const struct embedded_file *f = builtin; f->name; f++) {
        struct words *w = language(out, tag_of(f->name));
        if (w)
            TRY(hold((view){ .p = (const char *)f->bytes, .n = f->n }, NULL, &w->second, e));
    }
    DIR *d = folder[0] ? opendir(folder) : NULL;
    if (folder[0] && !d)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "screens.folder: %.150s: %s", folder, strerror(errno));
    for (const struct dirent *x; d && r == RC_OK && (x = readdir(d));)
        if (tag_of(x->d_name).p)
            r = read_own(out, folder, x->d_name, e);
    if (d)
        closedir(d);
    return r;
}

static void drop(const void *catalogue)
{
    struct held *h = (struct held *)(uintptr_t)catalogue;
    if (!h)
        return;
    catalogue_close(h->c);
    free(h->bytes);
    free(h);
}

void languages_close(struct languages *l)
{
    for (size_t i = 0; i < l->n; i++) {
        drop(l->list[i].first);
        drop(l->list[i].second);
    }
    l->n = 0;
}

const struct words *languages_find(const struct languages *l, view tag)
{
    for (size_t i = 0; i < l->n; i++)
        if (view_eq_nocase(view_of(l->list[i].tag), tag))
            return &l->list[i];
    return NULL;
}

/* Thousandths of "; q=0.8"; 1000 without one. */
static int quality(view params)
{
    view one;
    while (view_cut(&params, ';', &one)) {
        one = view_trim(one);
        if (one.n < 3 || !view_eq_nocase((view){ .p = one.p, .n = 2 }, VIEW("q=")))
            continue;
        int q = one.p[2] == '1' ? 1000 : 0, unit = 100;
        for (size_t i = 4; i < one.n && unit > 0 && q < 1000; i++, unit /= 10)
            q += one.p[i] >= '0' && one.p[i] <= '9' ? (one.p[i] - '0') * unit : 0;
        return q;
    }
    return 1000;
}

const struct words *languages_best(const struct languages *l, view accept)
{
    const struct words *best = &l->list[0];
    int best_q = 0, ranges = 0;
    view one;
    while (view_cut(&accept, ',', &one) && ranges++ < 64) {
        view tag;
        view_cut(&one, ';', &tag);
        tag = view_trim(tag);
        int q = quality(one);
        const struct words *w = languages_find(l, tag);
        const char *dash = tag.n > 0 ? memchr(tag.p, '-', tag.n) : NULL;
        if (!w && dash) /* de-AT is served by de */
            w = languages_find(l, (view){ .p = tag.p, .n = (size_t)(dash - tag.p) });
        if (w && q > best_q) {
            best = w;
            best_q = q;
        }
    }
    return best;
}

view words_find(const struct words *w, const char *english)
{
    view id = view_of(english), text = VIEW_NONE;
    if (w && w->first)
        text = catalogue_find(((const struct held *)w->first)->c, id);
    if (!text.p && w && w->second)
        text = catalogue_find(((const struct held *)w->second)->c, id);
    return text.p ? text : id;
}
