/* The first page: what to type into which browser, and how to see that it works. */
#include "directory/screens/page.h"

static void put_value(struct page *p, const char *id, view value)
{
    HTML(
        p->b,
        "<p class=\"value\"><code id=\"{}\">{}</code> <button type=\"button\" class=\"copy\" data-copy=\"{}\" data-done=\"{}\" hidden>{}</button></p>\n",
        view_of(id), value, view_of(id), T("Copied"), T("Copy"));
}

static void put_code(struct page *p, view svg, view label)
{
    HTML(p->b, "<details><summary>{}</summary><p>", label);
    html_raw(p->b, svg);
    HTML(p->b, "</p></details>\n");
}

/* Steps number `from` and on: a value stands between some of them. */
static void put_steps(struct page *p, int from, const view *steps, size_t n)
{
    HTML(p->b, "<ol start=\"{}\">\n", arena_text(p->a, "%d", from));
    for (size_t i = 0; i < n; i++)
        HTML(p->b, "<li>{}</li>\n", steps[i]);
    HTML(p->b, "</ol>\n");
}

#define STEPS(p, from, ...)                                                                                  \
    put_steps((p), (from), (const view[]){ __VA_ARGS__ },                                                    \
              sizeof((const view[]){ __VA_ARGS__ }) / sizeof(view))

static rc show_home(struct page *p, struct err *e)
{
    const struct directory *d = visit(p)->d;
    view address = arena_text(p->a, "%s/1.0/sync/1.5", d->public_url),
         old = arena_text(p->a, "%s/", d->public_url);
    (void)e;
    page_head(p, T("Synchronise your browser here"));
    HTML(
        p->b, "<p class=\"lead\">{}</p>\n",
        T("This is a sync server: it keeps bookmarks, passwords, history, tabs and settings of your browsers alike. The "
          "browsers encrypt everything first; nobody here can read it."));

    HTML(p->b, "<section aria-labelledby=\"desktop\">\n<h2 id=\"desktop\">{}</h2>\n",
         T("Firefox on a computer"));
    STEPS(p, 1, T("Sign out of Sync if you are signed in."),
          T("Type about:config into the address bar and accept the warning."),
          T("Search for identity.sync.tokenserver.uri and give it this value:"));
    put_value(p, "address-desktop", address);
    STEPS(
        p, 4, T("Restart Firefox and sign in to Sync."),
        T("To check: about:sync-log shows lines with this server's name, or choose \"Sync now\" and see the time change."));
    HTML(p->b, "</section>\n");

    HTML(p->b, "<section aria-labelledby=\"android\">\n<h2 id=\"android\">{}</h2>\n",
         T("Firefox for Android"));
    STEPS(p, 1, T("Open Settings, About Firefox, and tap the logo five times."),
          T("Back in Settings, open Sync Debug, choose the custom Sync server, and give it this value:"));
    put_value(p, "address-android", address);
    put_code(p, buf_view(&d->screens->qr_new), T("Show it as a QR code, to read it with the phone"));
    STEPS(p, 3, T("Let Firefox stop and open it again, then sign in to Sync."),
          T("To check: in Settings, your account shows the time of the last sync."));
    HTML(p->b, "</section>\n");

    HTML(p->b, "<section aria-labelledby=\"ios\">\n<h2 id=\"ios\">{}</h2>\n", T("Firefox for iOS"));
    STEPS(p, 1, T("Open Settings and tap the version number at the end five times."),
          T("Open Advanced Sync Settings, switch on the custom token server, and give it this value:"));
    put_value(p, "address-ios", address);
    put_code(p, buf_view(&d->screens->qr_new), T("Show it as a QR code, to read it with the phone"));
    STEPS(p, 3, T("Sign in to Sync."),
          T("To check: in Settings, your account shows the time of the last sync."));
    HTML(p->b, "</section>\n");

    HTML(p->b, "<section aria-labelledby=\"palemoon\">\n<h2 id=\"palemoon\">{}</h2>\n",
         T("Pale Moon, and Firefox up to 28"));
    STEPS(p, 1, T("Choose Tools, Set up Sync, and Create a new account (or I have an account)."),
          T("Under Server choose \"Use a custom server\" and give it this value:"));
    put_value(p, "address-palemoon", old);
    put_code(p, buf_view(&d->screens->qr_old), T("Show it as a QR code"));
    STEPS(p, 3, T("Keep the Sync key in a safe place: without it your data cannot be read, by nobody."),
          T("To check: Tools, Sync now. The log is at about:sync-log."));
    HTML(p->b, "<p><a href=\"{}\">{}</a></p>\n</section>\n", here(p, "/weave-password-reset"),
         T("Forgot your password?"));

    HTML(
        p->b,
        "<section aria-labelledby=\"account\">\n<h2 id=\"account\">{}</h2>\n<p>{}</p>\n<p><a class=\"button\" href=\"{}\">{}</a> <a class=\"button\" href=\"{}\">{}</a></p>\n</section>\n",
        T("Your account"),
        T("Accounts with a password are for Pale Moon and old Firefox. Today's Firefox signs in at its accounts server and "
          "needs none here."),
        here(p, "/account/sign-in"), T("Sign in"), here(p, "/account/register"), T("Create an account"));
    page_foot(p);
    return RC_OK;
}

rc screen_home(struct request *rq, struct err *e)
{
    return page_run(rq, show_home, PAGE_PUBLIC, e);
}
