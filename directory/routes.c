/* All addresses of the directory. */
#include "directory/screens/screens.h"

enum { USER_BODY_MAX = 16 * 1024, EVENT_BODY_MAX = 64 * 1024 };

#define ANY_METHOD (GET | HEAD | POST | PUT | DELETE | OPTIONS)
#define USER       DIALECT_USER, ROUTE_SLASHES, NULL, NULL, 0
#define TOKENS     DIALECT_TOKEN, 0, NULL, NULL, 0
#define PAGE       DIALECT_PLAIN, ROUTE_SLASHES, NULL, NULL, 0
#define OLD_SYNC   DIALECT_SYNC_11, ROUTE_QUICK | ROUTE_SLASHES, NULL, NULL, 0
#define NEW_SYNC   DIALECT_SYNC_15, ROUTE_QUICK, NULL, NULL, 0

/* A client that was sent here instead of to a node: 401 makes it ask for its node anew. Protocol: User API 1.0, "node/weave". */
rc version_refused(struct request *rq, struct err *e)
{
    rq->log_reason = "no node here";
    return fail(e, RC_DENIED, RESP_GENERIC, "this is a directory, not a node");
}

rc error_on_purpose(struct request *rq, struct err *e)
{
    const struct directory *d = rq->app;
    if (!d->conf->error_route)
        return fail(e, RC_NOT_FOUND, RESP_GENERIC, "/__error__ is off");
    return fail(e, RC_BROKEN, RESP_GENERIC, "an error on purpose");
}

/* ---- kinds of segments ---- */

static bool kind_user(view s)
{
    return s.n > 0 && view_only_alnum(s, "._-");
}

static bool kind_any(view s)
{
    return s.n > 0;
}

/* /1.0/<user>/info and /1.0/<user>/storage are Sync 1.0's. */
static bool kind_sync_part(view s)
{
    return view_eq(s, VIEW("info")) || view_eq(s, VIEW("storage"));
}

static bool kind_version(view s)
{
    return s.n > 0 && !kind_sync_part(s);
}

const struct param_kind directory_param_kinds[] = {
    { "user", kind_user },
    { "any", kind_any },
    { "version", kind_version },
    { "part", kind_sync_part },
};
const size_t directory_param_kinds_n = sizeof(directory_param_kinds) / sizeof(directory_param_kinds[0]);

/* ---- the table ---- */

const struct route directory_routes[] = {
    /* methods     path                                    handler          who          body           dialect … */
    { GET | HEAD, "/", home_page, AUTH_NONE, 0, DIALECT_TOKEN, ROUTE_QUICK, NULL, NULL, 0 },

    { GET, "/1.0/{any}/{version}", token_get, AUTH_SELF, 0, DIALECT_TOKEN, 0, token_get_warm, NULL, 0 },
    { GET, "/token/1.0/{any}/{any}", token_get, AUTH_SELF, 0, DIALECT_TOKEN, 0, token_get_warm, NULL, 0 },
    { GET, "/tokenserver/1.0/{any}/{any}", token_get, AUTH_SELF, 0, DIALECT_TOKEN, 0, token_get_warm, NULL,
      0 },
    { POST, "/1.0/webhooks/fxa/events", webhook_post, AUTH_SELF, EVENT_BODY_MAX, TOKENS },

    { GET | HEAD, "/user/1.0/{user}", user_api_exists, AUTH_NONE, 0, USER },
    { PUT, "/user/1.0/{user}", user_api_create, AUTH_SELF, USER_BODY_MAX, USER },
    { DELETE, "/user/1.0/{user}", user_api_delete, AUTH_SELF, 0, USER },
    { GET | HEAD, "/user/1.0/{user}/node/weave", user_api_node, AUTH_NONE, 0, DIALECT_USER, ROUTE_SLASHES,
      user_api_node_warm, NULL, 0 },
    { GET | DELETE, "/user/1.0/{user}/password_reset", user_api_reset, AUTH_SELF, 0, USER },
    { POST, "/user/1.0/{user}/password", user_api_password, AUTH_SELF, USER_BODY_MAX, USER },
    { POST, "/user/1.0/{user}/email", user_api_email, AUTH_SELF, USER_BODY_MAX, USER },
    { GET | POST, "/misc/1.0/captcha_html", screen_captcha, AUTH_NONE, USER_BODY_MAX, USER },

    { GET | HEAD, "/user/1/{user}", user_api_exists, AUTH_NONE, 0, USER },
    { PUT, "/user/1/{user}", user_api_create, AUTH_SELF, USER_BODY_MAX, USER },
    { DELETE, "/user/1/{user}", user_api_delete, AUTH_SELF, 0, USER },
    { GET | HEAD, "/user/1/{user}/node/weave", user_api_node, AUTH_NONE, 0, DIALECT_USER, ROUTE_SLASHES,
      user_api_node_warm, NULL, 0 },
    { GET | DELETE, "/user/1/{user}/password_reset", user_api_reset, AUTH_SELF, 0, USER },
    { POST, "/user/1/{user}/password", user_api_password, AUTH_SELF, USER_BODY_MAX, USER },
    { POST, "/user/1/{user}/email", user_api_email, AUTH_SELF, USER_BODY_MAX, USER },
    { GET | POST, "/misc/1/captcha_html", screen_captcha, AUTH_NONE, USER_BODY_MAX, USER },

    { GET | HEAD, "/media/{any}", screen_media, AUTH_NONE, 0, DIALECT_PLAIN, ROUTE_QUICK, NULL, NULL, 0 },
    { GET | POST, "/weave-password-reset", screen_reset, AUTH_NONE, USER_BODY_MAX, PAGE },
    { GET | POST, "/weave-delete-account", screen_delete_old, AUTH_NONE, USER_BODY_MAX, PAGE },
    { GET, "/account", screen_account, AUTH_SELF, 0, PAGE },
    { GET | POST, "/account/sign-in", screen_sign_in, AUTH_SELF, USER_BODY_MAX, PAGE },
    { POST, "/account/sign-out", screen_sign_out, AUTH_SELF, USER_BODY_MAX, PAGE },
    { GET | POST, "/account/register", screen_register, AUTH_SELF, USER_BODY_MAX, PAGE },
    { GET | POST, "/account/pass", screen_pass, AUTH_SELF, USER_BODY_MAX, PAGE },
    { GET | POST, "/account/email", screen_email, AUTH_SELF, USER_BODY_MAX, PAGE },
    { GET | POST, "/account/password", screen_password, AUTH_SELF, USER_BODY_MAX, PAGE },
    { GET, "/account/data", screen_data, AUTH_SELF, 0, PAGE },
    { GET, "/account/download", screen_download, AUTH_SELF, 0, PAGE },
    { GET | POST, "/account/clear", screen_clear, AUTH_SELF, USER_BODY_MAX, PAGE },
    { GET | POST, "/account/delete", screen_delete, AUTH_SELF, USER_BODY_MAX, PAGE },

    /* From here on: not in the one box, whose node answers them. */
    { GET, "/__error__", error_on_purpose, AUTH_NONE, 0, TOKENS },
    { ANY_METHOD, "/1.0/{any}/{part}", version_refused, AUTH_NONE, 0, OLD_SYNC },
    { ANY_METHOD, "/1.0/{any}/{part}/{any}", version_refused, AUTH_NONE, 0, OLD_SYNC },
    { ANY_METHOD, "/1.0/{any}/{part}/{any}/{any}", version_refused, AUTH_NONE, 0, OLD_SYNC },
    { ANY_METHOD, "/1.1/{any}", version_refused, AUTH_NONE, 0, OLD_SYNC },
    { ANY_METHOD, "/1.1/{any}/{any}", version_refused, AUTH_NONE, 0, OLD_SYNC },
    { ANY_METHOD, "/1.1/{any}/{any}/{any}", version_refused, AUTH_NONE, 0, OLD_SYNC },
    { ANY_METHOD, "/1.1/{any}/{any}/{any}/{any}", version_refused, AUTH_NONE, 0, OLD_SYNC },
    { ANY_METHOD, "/1.5/{any}", version_refused, AUTH_NONE, 0, NEW_SYNC },
    { ANY_METHOD, "/1.5/{any}/{any}", version_refused, AUTH_NONE, 0, NEW_SYNC },
    { ANY_METHOD, "/1.5/{any}/{any}/{any}", version_refused, AUTH_NONE, 0, NEW_SYNC },
    { ANY_METHOD, "/1.5/{any}/{any}/{any}/{any}", version_refused, AUTH_NONE, 0, NEW_SYNC },
};
const size_t directory_routes_n = sizeof(directory_routes) / sizeof(directory_routes[0]);
const size_t directory_routes_box_n = sizeof(directory_routes) / sizeof(directory_routes[0]) - 12;
