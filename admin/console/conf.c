#include "admin/console/inside.h"

#define AT(field) offsetof(struct console_conf, field)

const struct conf_key console_listen_keys[] = {
    { "console.listen", CONF_TEXT, AT(listen), "127.0.0.1:8030", 0, 0, 0, "",
      "Where heddle-admin console listens: HOST:PORT, or the path of a unix socket." },
    { "console.url", CONF_TEXT, AT(url), "", 0, 0, 0, "",
      "The address by which browsers reach the console, without /admin; needed where it listens beyond this machine." },
    { "console.tls_cert", CONF_TEXT, AT(tls_cert), "", 0, 0, 0, "",
      "PEM file with the console's certificate; empty: no TLS." },
    { "console.tls_key", CONF_TEXT, AT(tls_key), "", 0, 0, 0, "", "PEM file with its key." },
    { "console.trusted_proxies", CONF_LIST, AT(trusted_proxies), "", 0, 0, 0, "",
      "Addresses or networks whose X-Forwarded-For the console believes." },
};
const size_t console_listen_keys_n = sizeof(console_listen_keys) / sizeof(console_listen_keys[0]);

const struct conf_key console_conf_keys[] = {
    { "console.name", CONF_TEXT, AT(name), "Heddle", 0, 0, 0, "",
      "Name of this server on the console's pages." },
    { "console.folder", CONF_TEXT, AT(folder), "", 0, 0, 0, "",
      "Folder with an own logo, style and texts, as screens.folder (docs/screens.md); empty: none." },
    { "console.groups", CONF_LIST, AT(groups), "", 0, 0, 0, "",
      "Who may sign in by name and password: \"ROLE GROUP\" each, ROLE one of admin, helper, reader; GROUP as the directory knows it." },
    { "console.idle", CONF_SECONDS, AT(idle_s), "15m", 60, 86400, 0, "s",
      "A sign-in ends when it was not used for so long." },
    { "console.life", CONF_SECONDS, AT(life_s), "8h", 60, 604800, 0, "s", "A sign-in ends after so long." },
    { "console.password_life", CONF_SECONDS, AT(password_life_s), "1d", 60, 31536000, 0, "s",
      "How long a one-time password is good." },
    { "console.guesses", CONF_INT, AT(guesses), "10", 0, 1000000000, 0, "",
      "Wrong sign-ins from one address in ten minutes before it must wait; 0: no limit." },
};
const size_t console_conf_keys_n = sizeof(console_conf_keys) / sizeof(console_conf_keys[0]);

rc console_check(const struct console_conf *c, struct err *e)
{
    for (size_t i = 0; i < c->groups.n; i++) {
        view group = view_of(c->groups.items[i]), role;
        enum role r;
        view_cut(&group, ' ', &role);
        if (!role_parse(role, &r) || view_trim(group).n == 0)
            return fail(
                e, RC_BAD_INPUT, RESP_GENERIC,
                "console.groups: \"%.80s\" must be like: helper support (roles: admin, helper, reader)",
                c->groups.items[i]);
    }
    if (!c->name[0] || strlen(c->name) > 60)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "console.name must have 1 to 60 bytes");
    return RC_OK;
}
