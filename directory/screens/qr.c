#include "directory/screens/qr.h"

#include <qrencode.h>

enum { QUIET = 4 }; /* modules around it. Protocol: ISO/IEC 18004 */

rc qr_put(struct buf *b, const char *text, struct err *e)
{
    QRcode *q = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    if (!q)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "public.url is too long for a QR code");
    int all = q->width + 2 * QUIET;
    buf_addf(
        b,
        "<svg class=\"qr\" viewBox=\"0 0 %d %d\" width=\"160\" height=\"160\" aria-hidden=\"true\" "
        "focusable=\"false\" shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/><path fill=\"#000\" d=\"",
        all, all, all, all);
    for (int y = 0; y < q->width; y++)
        for (int x = 0; x < q->width; x++) {
            int n = 0;
            while (x + n < q->width && (q->data[y * q->width + x + n] & 1))
                n++;
            if (n > 0)
                buf_addf(b, "M%d %dh%dv1h-%dz", x + QUIET, y + QUIET, n, n);
            x += n;
        }
    buf_add(b, VIEW("\"/></svg>"));
    QRcode_free(q);
    return RC_OK;
}
