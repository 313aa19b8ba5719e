/* Configuration: INI files (inih) and --set section.key=value, read through tables of keys.
 * One table row makes the type check, the default, the manual and --show-config. */
#ifndef HEDDLE_BASE_CONF_H
#define HEDDLE_BASE_CONF_H

#include <stdio.h>

#include "common/base/err.h"
#include "common/base/view.h"

enum conf_type {
    CONF_TEXT,    /* char *, never NULL ("" if empty) */
    CONF_INT,     /* int64_t */
    CONF_BOOL,    /* bool: yes/no, true/false, on/off, 1/0 */
    CONF_SIZE,    /* int64_t bytes: 512, 16k, 16KiB, 2m, 1g */
    CONF_SECONDS, /* int64_t seconds: 30, 30s, 5m, 2h, 1d */
    CONF_LIST /* struct conf_list: parted by commas and by repeating the key; "@FILE": one a line, blank ones skipped */
};

struct conf_list {
    char **items;
    size_t n;
};

enum conf_flags {
    CONF_SECRET = 1, /* --show-config prints "(set)" or "(not set)" */
    CONF_RELOAD = 2  /* followed on SIGHUP */
};

struct conf_key {
    const char *name; /* "section.key" */
    enum conf_type type;
    size_t offset;        /* of the field in the group's target */
    const char *fallback; /* text, parsed like a value */
    int64_t least, most;  /* for numbers; both 0: no bounds */
    unsigned flags;
    const char *unit; /* "bytes", "s", "" … */
    const char *help; /* one sentence */
};

/* The keys of one component, and the structure they fill. */
struct conf_group {
    const struct conf_key *keys;
    size_t n;
    void *target;
};

/* The command line shared by all programs: --config FILE (repeatable), --set section.key=value (repeatable),
 * --show-config, --check-config, --help, --version. Sources are read in the order default, files, all --set; a later value
 * wins. A list grows by repeating its key within one source and begins anew in the next. Options end at the first word
 * without a dash, or behind "--"; what is left stands in argv[*out_first …].
 * A key that several groups know (one name, each with its own row) is set in all of them. */
enum conf_wish { CONF_RUN, CONF_SHOW, CONF_CHECK, CONF_HELP, CONF_VERSION };

struct conf;

/* Fills all groups' targets (defaults, then files, then --set). Texts live until conf_free.
 * For CONF_HELP and CONF_VERSION no file is read.
 * RC_BAD_INPUT: err.text is a whole sentence for the person at the terminal: file, line, key; an unknown key names the
 * nearest known one; a line that inih would cut (over 199 bytes, or with " ;") is refused. Comments may be of any length;
 * indented lines are like others (no continuation). */
MUST_USE rc conf_load(int argc, char **argv, const struct conf_group *groups, size_t n, struct conf **out,
                      enum conf_wish *out_wish, int *out_first, struct err *e);

/* Reads the same files and options again into fresh targets; the caller swaps. Keys without CONF_RELOAD that changed are
 * named in the log and keep their old value. RC_BAD_INPUT as above: c is as it was, `fresh` is to be thrown away. */
MUST_USE rc conf_reload(struct conf *c, const struct conf_group *fresh, size_t n, struct err *e);

void conf_free(struct conf *c);
/* the values in force, as a file that can be loaded again; no secrets */
void conf_show(const struct conf *c, FILE *out);
/* What a program has instead of the default of a key. */
struct conf_default {
    const char *key, *fallback;
};
/* The same keys with these defaults; the caller's, free(). What `own` names and keys have not is nothing to it. */
struct conf_key *conf_keys_with(const struct conf_key *keys, size_t n, const struct conf_default *own,
                                size_t n_own);

/* key, type, default, help: Markdown */
void conf_manual(const struct conf_group *groups, size_t n, FILE *out);

#endif
