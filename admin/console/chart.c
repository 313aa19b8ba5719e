/* Charts, drawn as SVG on the server: colours come from the style, so they follow the scheme. */
#include "admin/console/inside.h"

#define WIDTH  120.0
#define HEIGHT 24.0

void chart_bar(struct page *p, double value, double most, view label)
{
    double part = most > 0 ? value / most : 0;
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    HTML(
        p->b,
        "<svg class=\"bar\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\">",
        label);
    HTML(
        p->b,
        "<rect class=\"back\" width=\"100\" height=\"8\"/><rect class=\"front\" width=\"{}\" height=\"8\"/></svg>",
        arena_text(p->a, "%.1f", part * 100));
}

void chart_line(struct page *p, const double *values, size_t n, view label)
{
    double most = 0;
    SCOPED(buf_done) struct buf points = { 0 };
    for (size_t i = 0; i < n; i++)
        most = values[i] > most ? values[i] : most;
    for (size_t i = 0; i < n; i++)
        buf_addf(&points, "%s%.1f,%.1f", i ? " " : "", n > 1 ? WIDTH * (double)i / (double)(n - 1) : 0.0,
                 most > 0 ? HEIGHT - 1 - (HEIGHT - 2) * values[i] / most : HEIGHT - 1);
    HTML(
        p->b,
        "<svg class=\"line\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 120 24\" preserveAspectRatio=\"none\"><polyline points=\"{}\"/></svg>",
        label, buf_view(&points));
}
