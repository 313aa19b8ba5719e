/* What nodes have to hear from this process: names whose verdicts are void, account numbers whose tokens are; and what balancers have to
 * hear besides: names that were given a node. A ring in memory; who has
 * missed something is told so and forgets everything. Thread-safe. Protocol: docs/internal-api.md, "Pulse". */
#ifndef HEDDLE_DIRECTORY_NEWS_H
#define HEDDLE_DIRECTORY_NEWS_H

#include "common/base/buf.h"
#include "common/base/view.h"

#define NEWS_KEPT    10000
#define NEWS_AT_ONCE 1000 /* in one answer */
#define NEWS_BOOT    32   /* hex digits */

struct news;
struct news *news_new(void);
void news_free(struct news *n); /* NULL is fine */

/* Verdicts of that name are void. name: 255 bytes at most. */
void news_forget(struct news *n, view name);
/* Tokens of that uid are void until then. */
void news_refuse(struct news *n, int64_t uid, int64_t until_s);
/* … they are good again. */
void news_allow(struct news *n, int64_t uid);

/* That name has a node now; told to NEWS_FOR_BALANCERS alone. name: 255 bytes at most. */
void news_placed(struct news *n, view name);

enum news_for { NEWS_FOR_NODES, NEWS_FOR_BALANCERS };

/* Which life of this process the numbers belong to. Lives as long as n. */
const char *news_boot(const struct news *n);

/* Appends what came after `cursor` as JSON objects with commas between them; *out_cursor is the last one told, *out_more whether
 * there are others. false: the cursor is of another boot or fell out of the ring: nothing is appended, *out_cursor is now. */
bool news_since(struct news *n, enum news_for who, view boot, int64_t cursor, struct buf *out,
                int64_t *out_cursor, bool *out_more);

/* The JSON object of a refusal, also for those that come from elsewhere: n is 0 then and left out. */
void news_put_refusal(struct buf *out, int64_t n, int64_t uid, int64_t until_s);

#endif
