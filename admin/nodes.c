/* heddle-admin node …: the table of nodes. */
#include <stdio.h>

#include "admin/admin.h"
#include "common/base/json.h"
#include "common/web/program.h"
#include "common/web/server.h"

/* What may stand before the "=". */
static const struct {
    const char *name;
    bool number;
} members[] = {
    { "url", false },   { "address", false }, { "node_type", false }, { "pools", false },
    { "state", false }, { "capacity", true }, { "seats", true },
};
#define N_MEMBERS (sizeof(members) / sizeof(members[0]))

/* ---- KEY=VALUE ---- */

static bool put_member(struct buf *b, const char *word)
{
    view value = view_of(word), name;
    uint64_t whole;
    view_cut(&value, '=', &name);
    for (size_t i = 0; i < N_MEMBERS; i++) {
        if (!value.p || !view_eq(name, view_of(members[i].name)))
            continue;
        buf_addf(b, "%s\"%s\":", b->n > 1 ? "," : "", members[i].name);
        if (!members[i].number) {
            json_put_string(b, value);
            return true;
        }
        if (!view_to_u64(value, INT64_MAX, &whole))
            return false;
        buf_addf(b, "%llu", (unsigned long long)whole);
        return true;
    }
    return false;
}

static int put_members(struct buf *b, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!put_member(b, argv[i]))
            return admin_wrong(
                "\"%s\" is not address=, node_type=, pools=, state=, capacity= or seats= with a good value",
                argv[i]);
    buf_addc(b, '}');
    return PROGRAM_DONE;
}

/* ---- showing ---- */

static long long number(const json_t *node, const char *name)
{
    return json_integer_value(json_object_get(node, name));
}

static const char *text(const json_t *node, const char *name)
{
    const char *t = json_string_value(json_object_get(node, name));
    return t ? t : "";
}

static void print_row(const json_t *n)
{
    printf("%-30s %-9s %10lld %10lld  %s\n", text(n, "name"), text(n, "state"), number(n, "capacity"),
           number(n, "seats"), text(n, "address"));
}

static void print_all(const json_t *n)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)n, name, value) {
        if (json_is_string(value))
            printf("%-10s %s\n", name, json_string_value(value));
        else
            printf("%-10s %lld\n", name, (long long)json_integer_value(value));
    }
}

/* Each line of the answer is an object. */
static rc print_lines(const struct answer *a, void (*print)(const json_t *n), struct err *e)
{
    view rest = buf_view(&a->body), line;
    while (view_cut(&rest, '\n', &line)) {
        SCOPED(json_decref) json_t *n = NULL;
        if (line.n == 0)
            continue;
        if (json_read(line, 4, JSON_READ_PLAIN, &n, NULL) != RC_OK || !json_is_object(n))
            return fail(e, RC_BROKEN, RESP_GENERIC, "the directory's answer cannot be read");
        print(n);
    }
    return RC_OK;
}

/* ---- calls ---- */

/* It goes into a path as it is. */
static bool is_name(view v)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr(".:_-[]", c)))
            return false;
    }
    return v.n > 0;
}

static int ask_and_print(const struct admin_conf *c, const char *method, view name, view body,
                         const char *heading, void (*print)(const json_t *n))
{
    SCOPED(buf_done) struct buf path = { 0 };
    struct answer a = { .status = 0 };
    struct err e = ERR_NONE;
    if (name.p && !is_name(name))
        return admin_wrong("\"%.*s\" is no name of a node, like node7.example.net", VIEW_ARG(name));
    buf_add(&path, VIEW("nodes"));
    if (name.p)
        buf_addf(&path, "/%.*s", VIEW_ARG(name));
    rc r = admin_ask(c, method, buf_text(&path), body, &a, &e);
    if (r == RC_OK && heading)
        puts(heading);
    if (r == RC_OK && print)
        r = print_lines(&a, print, &e);
    answer_done(&a);
    return admin_status(r, &e);
}

int node_add(const struct admin_conf *c, int argc, char **argv)
{
    SCOPED(buf_done) struct buf body = { 0 };
    struct url_parts u;
    view url = { .p = argv[0], .n = strlen(argv[0]) };
    if (!url_cut(url, &u))
        return admin_wrong("node add: \"%s\" is no URL of a node, like https://node7.example.net", argv[0]);
    size_t from = u.scheme.n + strlen("://");
    buf_add(&body, VIEW("{\"url\":"));
    json_put_string(&body, url);
    int status = put_members(&body, argc - 1, argv + 1);
    if (status != PROGRAM_DONE)
        return status;
    while (url.p[url.n - 1] == '/') /* the directory will say that it must not be there */
        url.n--;
    return ask_and_print(c, "PUT", (view){ .p = url.p + from, .n = url.n - from - u.base.n }, buf_view(&body),
                         NULL, print_all);
}

int node_set(const struct admin_conf *c, int argc, char **argv)
{
    SCOPED(buf_done) struct buf body = { 0 };
    buf_addc(&body, '{');
    int status = put_members(&body, argc - 1, argv + 1);
    return status == PROGRAM_DONE
               ? ask_and_print(c, "PUT", view_of(argv[0]), buf_view(&body), NULL, print_all)
               : status;
}

int node_list(const struct admin_conf *c, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return ask_and_print(c, "GET", VIEW_NONE, VIEW_NONE,
                         "NAME                           STATE       CAPACITY      SEATS  ADDRESS",
                         print_row);
}

int node_show(const struct admin_conf *c, int argc, char **argv)
{
    (void)argc;
    return ask_and_print(c, "GET", view_of(argv[0]), VIEW_NONE, NULL, print_all);
}

int node_remove(const struct admin_conf *c, int argc, char **argv)
{
    (void)argc;
    return ask_and_print(c, "DELETE", view_of(argv[0]), VIEW_NONE, NULL, NULL);
}
