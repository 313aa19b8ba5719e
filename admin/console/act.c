/* The verbs of heddle-admin, called as functions: whatever the command line does, checks and writes into the audit log, the console does. */
#include <stdio.h>

#include "admin/console/inside.h"
#include "common/base/mem.h"

enum { ARGS_MOST = 64, DEPTH = 16 };

void act_done(struct act *x)
{
    json_decref(x->lines);
    *x = (struct act){ 0 };
}

const json_t *act_first(const struct act *x)
{
    return json_array_get(x->lines, 0);
}

const char *act_person(const struct page *p)
{
    return arena_text(p->a, "%.*s (console)", VIEW_ARG(look(p)->name)).p;
}

rc act_result(const struct act *x, struct err *e)
{
    static const rc words[] = {
        [EXIT_FAILED] = RC_BROKEN,    [EXIT_MISUSED] = RC_BAD_INPUT, [EXIT_NOT_FOUND] = RC_NOT_FOUND,
        [EXIT_REFUSED] = RC_CONFLICT, [EXIT_AWAY] = RC_AWAY,         [EXIT_UNCONFIRMED] = RC_CONFLICT
    };
    if (x->status == EXIT_DONE || x->status == EXIT_PARTLY || x->status == EXIT_DIFFERENT)
        return RC_OK;
    rc r = (size_t)x->status < sizeof(words) / sizeof(words[0]) ? words[x->status] : RC_BROKEN;
    return fail(e, r, RESP_GENERIC, "%s", x->wrong);
}

static size_t put_words(struct arena *a, char **argv, size_t n, const char *const *list)
{
    for (; list && *list && n < ARGS_MOST; list++)
        argv[n++] = arena_cstr(a, view_of(*list));
    return n;
}

static size_t put_verb(struct arena *a, char **argv, const char *verb)
{
    view rest = view_of(verb), word;
    size_t n = 0;
    while (view_cut(&rest, ' ', &word))
        argv[n++] = arena_cstr(a, word);
    return n;
}

static rc read_lines(const char *text, size_t n, json_t **out, struct err *e)
{
    view rest = { .p = text, .n = n }, line;
    *out = mem_need(json_array());
    while (rest.n > 0 && view_cut(&rest, '\n', &line)) {
        json_t *o = NULL;
        if (line.n == 0)
            continue;
        TRY(json_read(line, DEPTH, JSON_READ_PLAIN, &o, e));
        json_array_append_new(*out, o);
    }
    return RC_OK;
}

/* Without the program's name and the line's end. */
static void keep_wrong(struct act *out, const char *text)
{
    const char *begin = "heddle-admin: ";
    if (strncmp(text, begin, strlen(begin)) == 0)
        text += strlen(begin);
    size_t n = strcspn(text, "\n");
    snprintf(out->wrong, sizeof(out->wrong), "%.*s", (int)(n < 390 ? n : 390), text);
}

rc act_run(struct page *p, const char *verb, const char *const *options, const char *const *args,
           struct act *out, struct err *e)
{
    char *argv[ARGS_MOST + 2], *text = NULL, *wrong = NULL;
    size_t text_n = 0, wrong_n = 0, n = put_verb(p->a, argv, verb);
    FILE *to = mem_need(open_memstream(&text, &text_n)),
         *complain = mem_need(open_memstream(&wrong, &wrong_n));
    n = put_words(p->a, argv, n, options);
    if (args && args[0])
        argv[n++] = arena_cstr(p->a, VIEW("--")); /* what people type is no option */
    n = put_words(p->a, argv, n, args);
    argv[n] = NULL;
    out->status = commands_call(&(struct command_call){ .conf = look(p)->c->admin,
                                                        .ask = look(p)->ask,
                                                        .person = act_person(p),
                                                        .out = to,
                                                        .wrong = complain },
                                (int)n, argv);
    fclose(to);
    fclose(complain);
    keep_wrong(out, wrong);
    rc r = read_lines(text, text_n, &out->lines, e);
    free(text);
    free(wrong);
    return r;
}
