/* What the files of conf share, and nobody else includes.
 *   conf.c        command line, order of sources, which key takes which value
 *   conf_file.c   the INI dialect (inih) and lists in files
 *   conf_value.c  from text to the types of conf.h
 *   conf_show.c   --show-config and the manual */
#ifndef HEDDLE_BASE_CONF_INSIDE_H
#define HEDDLE_BASE_CONF_INSIDE_H

#include "common/base/buf.h"
#include "common/base/conf.h"

#define CONF_FILE_MAX ((size_t)1 << 20) /* bytes of a configuration file or a list in a file */
#define CONF_NAME_MAX 80                /* bytes of "section.key" */

/* Texts and lists that were ever in force. Each exists once, so that reading the same files again a thousand times takes
 * no memory, and whoever still holds an old structure holds good pointers. */
struct conf_pool {
    struct conf_pool_text *texts;
    struct conf_pool_list *lists;
};
char *pool_text(struct conf_pool *p, view v);
struct conf_list pool_list(struct conf_pool *p, char *const *items, size_t n); /* items: from the same pool */
void pool_done(struct conf_pool *p); /* wipes: there are secrets in it */

/* Where a value was written, for sentences. */
struct conf_where {
    const char *file; /* NULL: what stands in `option` */
    unsigned line;
    const char *option; /* "--set public.workers=99", "the built-in default" */
};

/* RC_BAD_INPUT with a sentence that begins with the place. */
MUST_USE rc conf_complain(const struct conf_where *at, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* What one key is set to. */
struct conf_value {
    unsigned source;        /* number of the source that set it; 0: the default */
    struct conf_list raw;   /* as written: one entry, or those of a list before "@FILE" */
    struct conf_list items; /* CONF_LIST */
    char *text;             /* CONF_TEXT */
    int64_t number;         /* all others */
};

/* Reads text as k's type. A list grows by it if v was set by the same source, else it begins anew. */
MUST_USE rc conf_value_set(struct conf_value *v, const struct conf_key *k, view text, unsigned source,
                           struct conf_pool *pool, const struct conf_where *at, struct err *e);
bool conf_value_same(const struct conf_value *a, const struct conf_value *b, enum conf_type type);
void conf_value_store(const struct conf_value *v, const struct conf_key *k, void *target);

/* The whole file, at most CONF_FILE_MAX bytes of it. */
MUST_USE rc conf_read_file(const char *path, const struct conf_where *at, struct buf *out, struct err *e);

/* Hands each `key = value` of the file on, until one is refused. name: "section.key". */
typedef rc conf_visitor(void *arg, const char *name, view value, const struct conf_where *at, struct err *e);
MUST_USE rc conf_file_each(const char *path, conf_visitor *visit, void *arg, struct err *e);

/* Would the file reader take this line as it is? */
bool conf_line_fits(view line);

struct conf {
    struct conf_group *groups;
    size_t n;
    struct conf_value *values; /* group after group, in the order of their keys */
    size_t n_values;
    struct conf_list files, sets; /* what --config and --set said */
    struct conf_pool pool;
};

#endif
