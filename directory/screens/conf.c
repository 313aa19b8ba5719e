#include "directory/screens/screens.h"

#define AT(field) offsetof(struct screens_conf, field)

const struct conf_key screens_conf_keys[] = {
    { "screens.name", CONF_TEXT, AT(name), "Heddle", 0, 0, 0, "", "Name of this server on its pages." },
    { "screens.folder", CONF_TEXT, AT(folder), "", 0, 0, 0, "",
      "Folder with an own logo, style, texts and mail templates (docs/screens.md); empty: none." },
    { "screens.secrets", CONF_LIST, AT(secrets), "", 0, 0, CONF_SECRET, "",
      "Secrets of sessions and reset codes, newest last, the same at all directories; empty: tokens.secrets." },
    { "screens.idle", CONF_SECONDS, AT(idle_s), "30m", 60, 86400, 0, "s",
      "A sign-in ends when it was not used for so long." },
    { "screens.life", CONF_SECONDS, AT(life_s), "12h", 60, 604800, 0, "s", "A sign-in ends after so long." },
    { "reset.life", CONF_SECONDS, AT(reset_life_s), "6h", 60, 604800, 0, "s",
      "How long a mailed password-reset link is good." },
    { "reset.per_account", CONF_INT, AT(resets_per_hour), "5", 5, 1000000000, 0, "",
      "Password-reset mails to one account in an hour." },
    { "reset.per_address", CONF_INT, AT(resets_per_address), "20", 0, 1000000000, 0, "",
      "Mails that one address may cause in an hour; 0: no limit. Loopback is exempt." },
    { "captcha.driver", CONF_TEXT, AT(captcha), "off", 0, 0, 0, "",
      "off, or work: browsers solve a small puzzle before they register or have a mail sent." },
    { "captcha.bits", CONF_INT, AT(captcha_bits), "16", 8, 24, 0, "",
      "work: how hard; each one more doubles the time (16: about a second)." },
};
const size_t screens_conf_keys_n = sizeof(screens_conf_keys) / sizeof(screens_conf_keys[0]);

rc screens_check(const struct screens_conf *c, struct err *e)
{
    if (strcmp(c->captcha, "off") != 0 && strcmp(c->captcha, "work") != 0)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "captcha.driver is \"%s\": must be off or work",
                    c->captcha);
    if (!c->name[0] || strlen(c->name) > 60)
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "screens.name must have 1 to 60 bytes");
    return RC_OK;
}
