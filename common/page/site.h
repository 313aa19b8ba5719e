/* What all pages of one program share: its looks and languages, the path it is served under, its keys and its rules for sessions. Filled at
 * start, read-only afterwards but for `ended`, which has a lock of its own. */
#ifndef HEDDLE_PAGE_SITE_H
#define HEDDLE_PAGE_SITE_H

#include "common/page/words.h"

struct media;
struct ended;
struct page;
struct seal;

struct site {
    const char *name;       /* as people read it */
    const char *cookie;     /* "heddle": the session is in __Host-heddle, a visitor's form in …-form */
    view base;              /* path of the public URL and of the pages below it: "", "/sync", "/admin" */
    bool https;             /* of the public URL */
    int64_t idle_s, life_s; /* of a session */
    const struct seal *seal;
    struct ended *ended;
    struct languages languages;
    struct media *media;
    void (*navigation)(struct page *p); /* puts what stands in the page's <nav> */
    const char *style, *script;         /* more of both, files of /media; NULL: none */
    bool calls;                         /* scripts may call the server */
    bool candid;                        /* a page that failed says why, in English */
};

#endif
