/* My data: what lies on the server, as far as the server can tell; the contents are encrypted. */
#include <inttypes.h>

#include "common/base/log.h"
#include "directory/screens/node_client.h"

enum { PAGE_RECORDS = 20, PAGE_BYTES = 64 * 1024 * 1024, DOWNLOADS = 2, NAME_MAX = 32, DEVICES_SHOWN = 50 };

/* ---- looking ---- */

static view when(const struct page *p, double s)
{
    time_t t = (time_t)s;
    struct tm tm;
    if (s <= 0 || !gmtime_r(&t, &tm))
        return T("never");
    return arena_text(p->a, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                      tm.tm_hour, tm.tm_min);
}

static void put_collections(struct page *p, json_t *stamps, const json_t *counts, const json_t *usage)
{
    const char *name;
    json_t *time_of;
    HTML(
        p->b,
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"collections\"><table>\n<thead><tr><th scope=\"col\">{}</th><th scope=\"col\">{}</th><th scope=\"col\">{}</th><th scope=\"col\">{}</th></tr></thead>\n<tbody>\n",
        T("Collection"), T("Records"), T("Size"), T("Last change"));
    json_object_foreach (stamps, name, time_of)
        HTML(p->b, "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n", view_of(name),
             arena_text(p->a, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(counts, name))),
             size_text(p->a, (int64_t)(json_number_value(json_object_get(usage, name)) * 1024)),
             when(p, json_number_value(time_of)));
    HTML(p->b, "</tbody>\n</table></div>\n");
}

static void put_devices(struct page *p, json_t *clients)
{
    size_t i;
    json_t *one;
    HTML(p->b, "<h2>{}</h2>\n<p>{}</p>\n", T("Devices"),
         text_with(p, N_("Number of devices: {}. Their names are encrypted."),
                   arena_text(p->a, "%zu", json_array_size(clients))));
    if (json_array_size(clients) == 0)
        return;
    HTML(p->b, "<ul>\n");
    json_array_foreach (clients, i, one)
        if (i < DEVICES_SHOWN)
            HTML(p->b, "<li>{} {}</li>\n", T("Last sign:"),
                 when(p, json_number_value(json_object_get(one, "modified"))));
    HTML(p->b, "</ul>\n");
}

static rc show_data(struct page *p, struct err *e)
{
    SCOPED(json_decref) json_t *stamps = NULL, *counts = NULL, *usage = NULL, *clients = NULL;
    const char *name;
    json_t *time_of;
    double last = 0, kb = 0;
    TRY(node_json(p, &visit(p)->acc, "/info/collections", &stamps, e));
    TRY(node_json(p, &visit(p)->acc, "/info/collection_counts", &counts, e));
    TRY(node_json(p, &visit(p)->acc, "/info/collection_usage", &usage, e));
    TRY(node_json(p, &visit(p)->acc, "/storage/clients?full=1&sort=newest&limit=200", &clients, e));
    page_head(p, T("My data"));
    json_object_foreach (stamps, name, time_of)
        last = json_number_value(time_of) > last ? json_number_value(time_of) : last;
    json_object_foreach (usage, name, time_of)
        kb += json_number_value(time_of);
    HTML(p->b,
         "<p>{}</p>\n<dl><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd></dl>\n<h2 id=\"collections\">{}</h2>\n",
         T("Everything was encrypted by your browsers; the server knows how much there is, and not what."),
         T("Last sync"), when(p, last), T("All together"), size_text(p->a, (int64_t)(kb * 1024)),
         T("Collections"));
    if (json_object_size(stamps) == 0)
        HTML(p->b, "<p>{}</p>\n", T("There is nothing yet."));
    else
        put_collections(p, stamps, counts, usage);
    put_devices(p, clients);
    HTML(
        p->b,
        "<h2>{}</h2>\n<p><a class=\"button\" href=\"{}\" download=\"heddle-data.json\">{}</a></p>\n<p><a href=\"{}\">{}</a></p>\n",
        T("Take or delete"), here(p, "/account/download"), T("Download my data"), here(p, "/account/clear"),
        T("Delete my data from the server"));
    page_foot(p);
    return RC_OK;
}

rc screen_data(struct request *rq, struct err *e)
{
    return page_run(rq, show_data, PAGE_SIGNED_IN, e);
}

/* ---- downloading ---- */

static bool plain_name(const char *name)
{
    view v = view_of(name);
    return v.n > 0 && v.n <= NAME_MAX && view_only_alnum(v, "._-");
}

/* One page of records, without the brackets of its list. */
static rc put_records(struct page *p, const char *collection, view offset, bool *first, struct answer *a,
                      struct err *e)
{
    view rest = arena_text(p->a, "/storage/%s?full=1&limit=%d%s%.*s", collection, PAGE_RECORDS,
                           offset.n ? "&offset=" : "", VIEW_ARG(offset));
    TRY(node_ask(p, &visit(p)->acc, "GET", rest.p, PAGE_BYTES, a, e));
    view body = buf_view(&a->body);
    if (a->status != 200 || body.n < 2 || body.p[0] != '[' || body.p[body.n - 1] != ']')
        return fail(e, RC_AWAY, RESP_GENERIC, "the node gives no list");
    if (body.n > 2) {
        buf_add(p->b, *first ? VIEW("\n") : VIEW(",\n"));
        buf_add(p->b, (view){ .p = body.p + 1, .n = body.n - 2 });
        *first = false;
    }
    return reply_flush(p->rq, e);
}

static rc put_collection(struct page *p, const char *name, struct err *e)
{
    struct answer a = { 0 };
    bool first = true;
    rc r = RC_OK;
    char offset[sizeof(a.next)] = "";
    json_put_string(p->b, view_of(name));
    buf_add(p->b, VIEW(":["));
    do {
        r = put_records(p, name, view_of(offset), &first, &a, e);
        memcpy(offset, a.next, sizeof(offset));
    } while (r == RC_OK && offset[0] && !p->a->spent);
    answer_done(&a);
    buf_add(p->b, VIEW("]"));
    return r;
}

static rc put_all(struct page *p, struct err *e)
{
    SCOPED(json_decref) json_t *stamps = NULL;
    const char *name;
    json_t *time_of;
    bool first = true;
    TRY(node_json(p, &visit(p)->acc, "/info/collections", &stamps, e));
    reply_type(p->rq, "application/json");
    reply_header(p->rq, "Content-Disposition", VIEW("attachment; filename=\"heddle-data.json\""));
    buf_add(p->b, VIEW("{\"account\":"));
    json_put_string(p->b, visit(p)->acc.name);
    buf_add(p->b, VIEW(",\"email\":"));
    json_put_string(p->b, visit(p)->acc.mail.p ? visit(p)->acc.mail : VIEW(""));
    buf_add(p->b, VIEW(",\"collections\":{"));
    json_object_foreach (stamps, name, time_of) {
        if (!plain_name(name))
            continue;
        buf_add(p->b, first ? VIEW("\n") : VIEW(",\n"));
        first = false;
        TRY(put_collection(p, name, e));
    }
    buf_add(p->b, VIEW("}}\n"));
    return RC_OK;
}

/* Each holds a worker and a page of records: a few at a time. */
static rc show_download(struct page *p, struct err *e)
{
    static int under_way;
    int before = __atomic_fetch_add(&under_way, 1, __ATOMIC_RELAXED);
    rc r = before < DOWNLOADS ? put_all(p, e)
                              : (rc)fail(e, RC_BUSY, RESP_GENERIC, "%d downloads are under way", before);
    __atomic_sub_fetch(&under_way, 1, __ATOMIC_RELAXED);
    return r;
}

rc screen_download(struct request *rq, struct err *e)
{
    return page_run(rq, show_download, PAGE_SIGNED_IN, e);
}

/* ---- deleting ---- */

static rc show_clear(struct page *p, struct err *e)
{
    if (p->rq->method == POST) {
        TRY(node_clear(p, &visit(p)->acc, e));
        LOG(LOG_INFO, "data deleted by their owner", LOG_I("uid", visit(p)->acc.uid), LOG_V("id", p->rq->id));
        return page_go(p, "/account?done=cleared");
    }
    page_head(p, T("Delete my data from the server"));
    HTML(
        p->b, "<p>{}</p>\n",
        T("The account stays. Your devices keep what they have, and upload it again at their next sync; sign them out first if "
          "you do not want that."));
    form_open(p, "/account/clear", true);
    form_close(p, T("Delete my data"), true);
    page_foot(p);
    return RC_OK;
}

rc screen_clear(struct request *rq, struct err *e)
{
    return page_run(rq, show_clear, PAGE_SIGNED_IN | PAGE_TOKEN, e);
}
