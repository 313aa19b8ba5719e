#include "directory/mail/inside.h"

#define AT(field) offsetof(struct mail_conf, field)

const struct conf_key mail_conf_keys[] = {
    { "mail.driver", CONF_TEXT, AT(driver), "spool", 0, 0, 0, "",
      "Where mails go: smtp (a relay), or spool (files in mail.dir, for one box and tests)." },
    { "mail.dir", CONF_TEXT, AT(dir), "", 0, 0, 0, "",
      "Folder of mails that wait, and of finished ones of spool; empty: mail in data.dir." },
    { "mail.from", CONF_TEXT, AT(from), "", 0, 0, 0, "",
      "Sender: an address, or Name <address>; empty: heddle@ the host of public.url." },
    { "mail.server", CONF_TEXT, AT(server), "", 0, 0, 0, "", "smtp: HOST:PORT of the relay." },
    { "mail.tls", CONF_TEXT, AT(tls), "starttls", 0, 0, 0, "",
      "smtp: starttls (required), tls (from the first byte), none (for a relay on this machine)." },
    { "mail.ca_file", CONF_TEXT, AT(ca_file), "", 0, 0, 0, "",
      "smtp: PEM file of the authority that signed the relay's certificate; empty: the system's." },
    { "mail.user", CONF_TEXT, AT(user), "", 0, 0, 0, "", "smtp: user to log in as; empty: no login." },
    { "mail.password_file", CONF_TEXT, AT(password_file), "", 0, 0, 0, "",
      "smtp: file that holds the password of mail.user, in one line." },
    { "mail.timeout", CONF_SECONDS, AT(timeout_s), "30", 1, 600, 0, "s", "smtp: time for one delivery." },
    { "mail.give_up", CONF_SECONDS, AT(give_up_s), "2d", 1, 2592000, 0, "s",
      "A mail that the relay has not taken for so long goes to failed/." },
    { "mail.kept", CONF_INT, AT(kept), "1000", 1, 1000000, 0, "",
      "Finished mails (spool) and mails given up that are kept; the oldest are removed." },
    { "mail.queue", CONF_INT, AT(queue), "10000", 1, 1000000, 0, "",
      "Mails that may wait; more are refused." },
};
const size_t mail_conf_keys_n = sizeof(mail_conf_keys) / sizeof(mail_conf_keys[0]);

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

rc mail_check(const struct mail_conf *c, struct err *e)
{
    static const char *const drivers[] = { "spool", "smtp", NULL };
    static const char *const tls[] = { "starttls", "tls", "none", NULL };
    view name, address;
    if (!is_one_of(c->driver, drivers))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "mail.driver is \"%s\": must be spool or smtp", c->driver);
    if (c->from[0] && !mailbox_parse(view_of(c->from), &name, &address))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "mail.from is \"%s\": must be an address, or Name <address>", c->from);
    if (strcmp(c->driver, "smtp") != 0)
        return RC_OK;
    if (!is_one_of(c->tls, tls))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "mail.tls is \"%s\": must be starttls, tls or none",
                    c->tls);
    if (!strchr(c->server, ':') || strpbrk(c->server, "/@ \t?#"))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "mail.server is \"%s\": must be HOST:PORT of the relay",
                    c->server);
    if ((c->user[0] == '\0') != (c->password_file[0] == '\0'))
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "mail.user and mail.password_file belong together");
    return RC_OK;
}
