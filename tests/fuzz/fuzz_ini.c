/* Configuration files: any bytes are a configuration or a sentence about them; and what --show-config prints of one is a file
 * that says the same. */
#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/conf.h"
#include "common/base/scope.h"

struct target {
    char *text;
    int64_t number, size, seconds;
    bool yes;
    struct conf_list list;
};

#define AT(field) offsetof(struct target, field)

static const struct conf_key keys[] = {
    { "a.text", CONF_TEXT, AT(text), "x", 0, 0, 0, "", "Text." },
    { "a.n", CONF_INT, AT(number), "1", -5, 1000000, CONF_RELOAD, "", "Number." },
    { "b.size", CONF_SIZE, AT(size), "1k", 0, 0, 0, "bytes", "Size." },
    { "b.time", CONF_SECONDS, AT(seconds), "1h", 0, 0, 0, "s", "Time." },
    { "a.yes", CONF_BOOL, AT(yes), "no", 0, 0, 0, "", "Yes." },
    { "b.list", CONF_LIST, AT(list), "p,q", 0, 0, 0, "", "List." },
};

DEFINE_SCOPED(struct conf *, conf_free);

static rc load(const char *text, size_t n, struct target *t, struct conf **out, struct err *e)
{
    const struct conf_group group = { .keys = keys, .n = sizeof keys / sizeof keys[0], .target = t };
    int fd = memfd_create("ini", MFD_CLOEXEC), first;
    char prog[] = "prog", config[] = "--config", path[40], *argv[] = { prog, config, path, NULL };
    enum conf_wish wish;
    rc r;

    assert(fd >= 0 && write(fd, text, n) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    r = conf_load(3, argv, &group, 1, out, &wish, &first, e);
    close(fd);
    return r;
}

static bool same(const struct target *a, const struct target *b)
{
    if (a->list.n != b->list.n)
        return false;
    for (size_t i = 0; i < a->list.n; i++)
        if (strcmp(a->list.items[i], b->list.items[i]) != 0)
            return false;
    return strcmp(a->text, b->text) == 0 && a->number == b->number && a->size == b->size &&
           a->seconds == b->seconds && a->yes == b->yes;
}

static void shown_says_the_same(const struct conf *c, const struct target *t)
{
    SCOPED(conf_free) struct conf *again = NULL;
    struct target back = { 0 };
    struct err e = ERR_NONE;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    assert(f);
    conf_show(c, f);
    fclose(f);
    assert(load(text, n, &back, &again, &e) == RC_OK);
    assert(same(t, &back));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SCOPED(conf_free) struct conf *c = NULL;
    struct target t = { 0 };
    struct err e = ERR_NONE;
    rc r;

    if (size > 0 && memchr(data, '@', size)) /* would read files of this machine */
        return 0;
    r = load((const char *)data, size, &t, &c, &e);
    assert(r == RC_OK ||
           (r == RC_BAD_INPUT && strstr(e.text, "line ") && strchr(".?", e.text[strlen(e.text) - 1])));
    if (r == RC_OK) {
        assert(t.number >= -5 && t.number <= 1000000);
        shown_says_the_same(c, &t);
    }
    return 0;
}
