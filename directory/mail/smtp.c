/* SMTP by libcurl, which does TLS, logins and dots; what its answers mean for a mail is decided here. */
#include <curl/curl.h>
#include <errno.h>

#include "common/base/mem.h"
#include "common/base/scope.h"
#include "directory/mail/inside.h"

struct smtp {
    CURL *curl;
    char *url, *user, *password, *ca_file;
    long use_ssl, timeout_s;
    char why[CURL_ERROR_SIZE];
};

static rc read_password(const char *path, char **out, struct err *e)
{
    char line[512] = "";
    FILE *f = fopen(path, "re");
    bool got = f && fgets(line, sizeof(line), f);
    if (f)
        fclose(f);
    if (strlen(line) == sizeof(line) - 1) {
        explicit_bzero(line, sizeof(line));
        return fail(e, RC_BAD_INPUT, RESP_GENERIC,
                    "mail.password_file: the line of %.150s is longer than %zu bytes", path,
                    sizeof(line) - 2);
    }
    line[strcspn(line, "\r\n")] = '\0';
    if (!got || !line[0])
        return fail(e, RC_BAD_INPUT, RESP_GENERIC, "mail.password_file: %.150s cannot be read, or is empty",
                    path);
    *out = mem_need(strdup(line));
    explicit_bzero(line, sizeof(line));
    return RC_OK;
}

rc smtp_open(const struct mail_conf *c, struct smtp **out, struct err *e)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return fail(e, RC_BROKEN, RESP_GENERIC, "libcurl does not start");
    struct smtp *s = mem_need(calloc(1, sizeof(*s)));
    SCOPED(buf_done) struct buf url = { 0 };
    buf_addf(&url, "%s://%s", strcmp(c->tls, "tls") == 0 ? "smtps" : "smtp", c->server);
    s->url = mem_need(strdup(buf_text(&url)));
    s->ca_file = mem_need(strdup(c->ca_file));
    s->use_ssl = strcmp(c->tls, "none") == 0 ? CURLUSESSL_NONE : CURLUSESSL_ALL;
    s->timeout_s = (long)c->timeout_s;
    s->curl = mem_need(curl_easy_init());
    rc r = RC_OK;
    if (c->user[0]) {
        s->user = mem_need(strdup(c->user));
        r = read_password(c->password_file, &s->password, e);
    }
    if (r != RC_OK) {
        smtp_close(s);
        return r;
    }
    *out = s;
    return RC_OK;
}

void smtp_close(struct smtp *s)
{
    if (!s)
        return;
    curl_easy_cleanup(s->curl);
    if (s->password)
        explicit_bzero(s->password, strlen(s->password));
    free(s->password);
    free(s->user);
    free(s->url);
    free(s->ca_file);
    free(s);
    curl_global_cleanup();
}

static size_t give(char *p, size_t size, size_t n, void *arg)
{
    view *left = arg;
    size_t take = size * n < left->n ? size * n : left->n;
    if (take > 0)
        memcpy(p, left->p, take);
    *left = (view){ .p = left->p + take, .n = left->n - take };
    return take;
}

static int look_up(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return __atomic_load_n((const bool *)arg, __ATOMIC_RELAXED);
}

static void set_options(struct smtp *s, const char *from, struct curl_slist *to, view *left, const bool *stop)
{
    CURL *h = s->curl;
    curl_easy_reset(h); /* keeps the connection */
    s->why[0] = '\0';
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, s->why);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(h, CURLOPT_URL, s->url);
    curl_easy_setopt(h, CURLOPT_USE_SSL, s->use_ssl);
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_TIMEOUT, s->timeout_s);
    if (s->ca_file[0])
        curl_easy_setopt(h, CURLOPT_CAINFO, s->ca_file);
    if (s->user) {
        curl_easy_setopt(h, CURLOPT_USERNAME, s->user);
        curl_easy_setopt(h, CURLOPT_PASSWORD, s->password);
    }
    curl_easy_setopt(h, CURLOPT_MAIL_FROM, from);
    curl_easy_setopt(h, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(h, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(h, CURLOPT_READDATA, left);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, look_up);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, (void *)(uintptr_t)stop);
}

/* Protocol: RFC 5321 4.2.1: 4yz may pass, 5yz will not. 530 to 538 speak of the login, not of the mail. */
static enum smtp_result judge(CURLcode code, long answer)
{
    if (code == CURLE_OK)
        return SMTP_SENT;
    if (code != CURLE_SEND_ERROR && code != CURLE_WEIRD_SERVER_REPLY && code != CURLE_RECV_ERROR)
        return SMTP_DOWN;
    if (answer >= 500 && answer < 600 && !(answer >= 530 && answer <= 538))
        return SMTP_NEVER;
    return answer >= 400 && answer < 500 && answer != 421 ? SMTP_LATER : SMTP_DOWN;
}

enum smtp_result smtp_send(struct smtp *s, view from, view to, view message, const bool *stop, struct err *e)
{
    SCOPED(buf_done) struct buf sender = { 0 };
    SCOPED(buf_done) struct buf recipient = { 0 };
    view left = message;
    long answer = 0;
    buf_add(&sender, from);
    buf_add(&recipient, to);
    struct curl_slist *list = mem_need(curl_slist_append(NULL, buf_text(&recipient)));
    set_options(s, buf_text(&sender), list, &left, stop);
    CURLcode code = curl_easy_perform(s->curl);
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &answer);
    curl_slist_free_all(list);
    if (code == CURLE_OUT_OF_MEMORY)
        abort();
    enum smtp_result r = judge(code, answer);
    if (r != SMTP_SENT)
        err_fill(e, RESP_GENERIC, "%s (%ld): %s", s->url, answer,
                 s->why[0] ? s->why : curl_easy_strerror(code));
    return r;
}
