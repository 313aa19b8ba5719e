/* The queue without a relay: what is taken is on the disk and stays there. (With one: tests/e2e/test_mail.py.) */
#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/testing.h"
#include "directory/mail/inside.h"

static char folder[64];

static char *text_of(const char *t)
{
    return (char *)(uintptr_t)t;
}

static struct mail_conf conf(const char *driver)
{
    return (struct mail_conf){ .driver = text_of(driver),
                               .dir = text_of(""),
                               .from = text_of(""),
                               .server = text_of("localhost:1"),
                               .tls = text_of("none"),
                               .ca_file = text_of(""),
                               .user = text_of(""),
                               .password_file = text_of(""),
                               .timeout_s = 5,
                               .give_up_s = 1000,
                               .kept = 3,
                               .queue = 2 };
}

static const struct mail one = {
    .to = VIEW("alice@example.com"), .subject = VIEW("s"), .text = VIEW("t"), .html = VIEW("h")
};

static int setup(void **state)
{
    (void)state;
    log_setup(STDERR_FILENO, LOG_PLAIN, LOG_ERROR);
    snprintf(folder, sizeof(folder), "/tmp/heddle-mail-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int gone(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    return nftw(folder, gone, 8, FTW_DEPTH | FTW_PHYS);
}

static size_t count(const char *dir)
{
    char(*names)[SPOOL_NAME] = NULL, path[128];
    size_t n = 0;
    snprintf(path, sizeof(path), "%s/%s", folder, dir);
    assert_int_equal(spool_list(path, &names, &n, NULL), RC_OK);
    free(names);
    return n;
}

static void the_folder_keeps_the_newest_mails(void **state)
{
    struct mailer *m;
    struct mail_conf c = conf("spool");
    struct stat st;
    (void)state;
    assert_int_equal(mailer_open(&c, folder, "s@example.net", clock_system(), &m, NULL), RC_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(mailer_send(m, &one, NULL), RC_OK);
    assert_int_equal(count("."), 3);
    mailer_close(m);
    char(*names)[SPOOL_NAME] = NULL, path[192];
    size_t n = 0;
    assert_int_equal(spool_list(folder, &names, &n, NULL), RC_OK);
    snprintf(path, sizeof(path), "%s/%s", folder, names[0]);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    free(names);
}

static void what_was_taken_outlives_the_process(void **state)
{
    struct mailer *m;
    struct mail_conf c = conf("smtp"); /* nobody listens there */
    (void)state;
    assert_int_equal(mailer_open(&c, folder, "s@example.net", clock_system(), &m, NULL), RC_OK);
    assert_int_equal(mailer_send(m, &one, NULL), RC_OK);
    assert_int_equal(mailer_send(m, &one, NULL), RC_OK);
    assert_int_equal(mailer_send(m, &one, NULL), RC_BUSY); /* the ceiling */
    mailer_close(m);
    assert_int_equal(count("queue"), 2);
    assert_int_equal(count("failed"), 0);
}

static void what_is_no_mail_ends_in_failed(void **state)
{
    struct mailer *m;
    struct mail_conf c = conf("smtp");
    char path[128];
    (void)state;
    assert_int_equal(spool_prepare(folder, NULL), RC_OK);
    snprintf(path, sizeof(path), "%s/queue", folder);
    assert_int_equal(spool_put(path, "1700000000000-x.mail", VIEW("x\r\ny"), VIEW(""), NULL), RC_OK);
    assert_int_equal(mailer_open(&c, folder, "s@example.net", clock_system(), &m, NULL), RC_OK);
    WAIT_UNTIL(count("failed") != 0);
    mailer_close(m);
    assert_int_equal(count("queue"), 0);
    assert_int_equal(count("failed"), 1);
}

static void put_no_mail(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/queue", folder);
    assert_int_equal(spool_put(path, name, VIEW("x\r\ny"), VIEW(""), NULL), RC_OK);
}

static void a_mail_that_cannot_leave_the_queue_is_dealt_with_once(void **state)
{
    struct mailer *m;
    struct mail_conf c = conf("smtp");
    char path[128];
    metric given_up = metric_counter("heddle_mails_total", "result=\"failed\"", "");
    uint64_t before = metric_value(given_up);
    (void)state;
    assert_int_equal(spool_prepare(folder, NULL), RC_OK);
    put_no_mail("1700000000000-x.mail");
    snprintf(path, sizeof(path), "%s/failed/1700000000000-x.mail", folder);
    assert_int_equal(mkdir(path, 0700), 0); /* no file takes the place of a folder */
    assert_int_equal(mailer_open(&c, folder, "s@example.net", clock_system(), &m, NULL), RC_OK);
    WAIT_UNTIL(metric_value(given_up) == before + 1);
    put_no_mail("1700000000001-y.mail"); /* the next look comes to both */
    WAIT_UNTIL(count("failed") == 2);
    mailer_close(m);
    assert_int_equal(metric_value(given_up), before + 2);
    assert_int_equal(count("queue"), 1);
}

/* A process that shares the folder and does not send: what the other one brought away waits no longer. */
static void the_queue_is_counted_by_those_who_do_not_send(void **state)
{
    struct mailer *sends, *waits;
    struct mail_conf c = conf("smtp");
    metric later = metric_counter("heddle_mails_total", "result=\"later\"", "");
    uint64_t before = metric_value(later);
    char(*names)[SPOOL_NAME] = NULL, path[128];
    size_t n = 0;
    (void)state;
    assert_int_equal(mailer_open(&c, folder, "s@example.net", clock_system(), &sends, NULL), RC_OK);
    assert_int_equal(mailer_send(sends, &one, NULL), RC_OK);
    WAIT_UNTIL(metric_value(later) > before); /* it has tried, so it holds the lock */
    assert_int_equal(mailer_open(&c, folder, "s@example.net", clock_system(), &waits, NULL), RC_OK);
    assert_int_equal(mailer_send(waits, &one, NULL), RC_OK);
    WAIT_UNTIL(mailer_waiting(waits) == 2);
    assert_int_equal(mailer_send(waits, &one, NULL), RC_BUSY);
    snprintf(path, sizeof(path), "%s/queue", folder);
    assert_int_equal(spool_list(path, &names, &n, NULL), RC_OK);
    for (size_t i = 0; i < n; i++)
        assert_true(spool_drop(path, names[i]));
    free(names);
    WAIT_UNTIL(mailer_send(waits, &one, NULL) == RC_OK);
    mailer_close(waits);
    mailer_close(sends);
}

static void settings_are_checked_by_name(void **state)
{
    struct err e = ERR_NONE;
    struct mail_conf c = conf("pigeon");
    (void)state;
    assert_int_equal(mail_check(&c, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "mail.driver"));
    c = conf("smtp");
    c.tls = text_of("maybe");
    assert_int_equal(mail_check(&c, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "mail.tls"));
    c = conf("smtp");
    c.server = text_of("relay");
    assert_int_equal(mail_check(&c, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "mail.server"));
    c = conf("smtp");
    c.user = text_of("u");
    assert_int_equal(mail_check(&c, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "mail.password_file"));
    c = conf("spool");
    c.from = text_of("nobody");
    assert_int_equal(mail_check(&c, &e), RC_BAD_INPUT);
    assert_non_null(strstr(e.text, "mail.from"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_folder_keeps_the_newest_mails, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_taken_outlives_the_process, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_mail_ends_in_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mail_that_cannot_leave_the_queue_is_dealt_with_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_queue_is_counted_by_those_who_do_not_send, setup, teardown),
        cmocka_unit_test(settings_are_checked_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
