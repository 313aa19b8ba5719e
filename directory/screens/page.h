/* One page under way: the request, the reader's language, who is signed in, and the pieces that pages are built of. Lives in a handler. */
#ifndef HEDDLE_SCREENS_PAGE_H
#define HEDDLE_SCREENS_PAGE_H

#include "directory/notices.h"
#include "directory/screens/form.h"
#include "directory/screens/html.h"
#include "directory/screens/session.h"

struct page {
    struct request *rq;
    struct arena *a;
    struct directory *d;
    struct directory_worker *w; /* NULL on pages that run on the io thread */
    const struct words *words;
    struct buf *b;
    struct form form; /* of a POST */
    bool signed_in;
    struct session session;
    struct account acc; /* of the session */
    view token;         /* of this page's forms, once one was made */
};

/* Shows the page, or fails; a failure is shown as a page of its own, with its status. */
typedef rc page_fn(struct page *p, struct err *e);

enum page_flags {
    PAGE_SIGNED_IN = 1, /* others are sent to the sign-in page                        */
    PAGE_TOKEN = 2,     /* a POST must bring the form's token                         */
    PAGE_SESSION = 4,   /* look whether somebody is signed in                         */
    PAGE_PUBLIC = 8     /* may be kept by the browser: nothing of anybody is on it    */
};
MUST_USE rc page_run(struct request *rq, page_fn *show, unsigned flags, struct err *e);

/* ---- words ---- */
#define T(text)  words_find(p->words, (text)) /* for xgettext: T and N_ */
#define N_(text) text

/* With one hole "{}" filled in, plain text. */
view text_with(const struct page *p, const char *text, view value);
/* An address of ours: "/account" → "/base/account". */
view here(const struct page *p, const char *path);

/* ---- pieces ---- */
void page_head(struct page *p, view title);
void page_foot(struct page *p);
void page_problem(struct page *p, view text); /* VIEW_NONE: nothing */
void page_done(struct page *p, view text);

/* <form …> with its token; form_close: the button and the end. */
void form_open(struct page *p, const char *path, bool token);
void form_close(struct page *p, view button, bool dangerous);
struct input {
    const char *name, *type, *autocomplete;
    view label, value, help;
    bool optional;
};
void form_input(struct page *p, const struct input *i);
void form_hidden(struct page *p, const char *name, view value);

/* 303 to a page of ours. */
rc page_go(struct page *p, const char *path);
/* A page of one sentence and a link. */
rc page_say(struct page *p, view title, view text, const char *next, view next_text);

/* The sentence for a password that breaks the rule; e is what password_rule said. */
view password_problem(const struct page *p, const struct err *e);
/* "12.3 MB" */
view size_text(struct arena *a, int64_t bytes);

#endif
