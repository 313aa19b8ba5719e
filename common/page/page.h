/* One page under way: the request, the reader's language, and the pieces that pages are built of. Lives in a handler. Who looks is the
 * program's own business: it keeps that in `visit`. */
#ifndef HEDDLE_PAGE_PAGE_H
#define HEDDLE_PAGE_PAGE_H

#include "common/page/form.h"
#include "common/page/html.h"
#include "common/page/site.h"

struct page {
    struct request *rq;
    struct arena *a;
    const struct site *site;
    const struct words *words;
    struct buf *b;
    struct form form; /* of a POST, once it was read */
    view session_id;  /* of who is signed in; VIEW_NONE: nobody is */
    view token;       /* of this page's forms, once one was made */
    void *visit;
};

/* Begins a page: its language and its headers. public: the browser may keep it, nothing of anybody is on it. */
struct page *page_new(struct request *rq, const struct site *site, bool public);
/* Instead of what was built so far: a page that says in the reader's words that it failed with r, with the status that belongs to it. */
void page_failed(struct page *p, rc r, const struct err *e);
/* Whether the form brought the token of this visitor. */
bool page_token_good(const struct page *p);

/* ---- words ---- */
#define T(text)  words_find(p->words, (text)) /* for xgettext: T and N_ */
#define N_(text) text

/* With one hole "{}" filled in, plain text. */
view text_with(const struct page *p, const char *text, view value);
/* An address of ours: "/account" → "/base/account". */
view here(const struct page *p, const char *path);
/* "12.3 MB" */
view size_text(struct arena *a, int64_t bytes);

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
/* The token of this page's forms, one for all of them: a visitor's comes with a cookie. */
view page_form_token(struct page *p);

/* 303 to a page of ours. */
rc page_go(struct page *p, const char *path);
/* A page of one sentence and a link. */
rc page_say(struct page *p, view title, view text, const char *next, view next_text);

#endif
