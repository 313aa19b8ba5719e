#include "admin/run/run.h"

#include <time.h>

static bool read_minutes(view v, int *out)
{
    view hour;
    uint64_t h, m;
    if (!view_cut(&v, ':', &hour) || !v.p || v.n != 2 || !view_to_u64(hour, 23, &h) ||
        !view_to_u64(v, 59, &m))
        return false;
    *out = (int)(h * 60 + m);
    return true;
}

bool run_window_parse(const char *text, struct run_window *out)
{
    view rest = view_of(text), from;
    struct run_window w;
    if (!view_cut(&rest, '-', &from) || !rest.p || !read_minutes(from, &w.from_min) ||
        !read_minutes(rest, &w.to_min))
        return false;
    *out = w;
    return true;
}

bool run_window_open(const struct run_window *w, int64_t now_s)
{
    time_t t = (time_t)now_s;
    struct tm tm;
    if (!localtime_r(&t, &tm))
        return true;
    int now = tm.tm_hour * 60 + tm.tm_min;
    if (w->from_min == w->to_min)
        return true;
    return w->from_min < w->to_min ? now >= w->from_min && now < w->to_min
                                   : now >= w->from_min || now < w->to_min;
}
