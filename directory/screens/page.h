/* The life of the directory's pages, and who looks at one. Pieces that pages are built of: common/page/page.h. */
#ifndef HEDDLE_SCREENS_PAGE_H
#define HEDDLE_SCREENS_PAGE_H

#include "common/page/page.h"
#include "directory/notices.h"
#include "directory/screens/session.h"

struct visit {
    struct directory *d;
    struct directory_worker *w; /* NULL on pages that run on the io thread */
    bool signed_in;
    struct session session;
    struct account acc; /* of the session */
};

static inline struct visit *visit(const struct page *p)
{
    return p->visit;
}

/* Shows the page, or fails; a failure is shown as a page of its own, with its status. */
typedef rc page_fn(struct page *p, struct err *e);

enum page_flags {
    PAGE_SIGNED_IN = 1, /* others are sent to the sign-in page */
    PAGE_TOKEN = 2,     /* a POST must bring the form's token */
    PAGE_SESSION = 4,   /* look whether somebody is signed in */
    PAGE_PUBLIC = 8     /* may be kept by the browser: nothing of anybody is on it */
};
MUST_USE rc page_run(struct request *rq, page_fn *show, unsigned flags, struct err *e);

/* A new password, and the same again: the fields password and confirm. */
void form_new_password(struct page *p, view label);
/* The sentence for a password that breaks the rule; e is what password_rule said. */
view password_problem(const struct page *p, const struct err *e);

#endif
