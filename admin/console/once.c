/* One-time passwords. 100 random bits need no slow hash. The file's name has the digest: who unlinks it has used the password. */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/console/console.h"
#include "admin/folder.h"
#include "common/auth/secrets.h"
#include "common/base/encode.h"
#include "common/base/rand.h"

enum { LETTERS = 20, GROUP = 5 };
static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"; /* 32 of them: 5 bits each */
#define PREFIX "once."

/* "once.<digest>" for the letters; false: they are no password of ours. */
static bool file_name(view typed, struct buf *out)
{
    char letters[LETTERS];
    uint8_t hash[SHA256_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < typed.n; i++) {
        char c = typed.p[i] >= 'a' && typed.p[i] <= 'z' ? (char)(typed.p[i] - 32) : typed.p[i];
        if (c == '-' || c == ' ')
            continue;
        if (n == LETTERS || c == '\0' || !strchr(alphabet, c))
            return false;
        letters[n++] = c;
    }
    if (n != LETTERS)
        return false;
    sha256((view){ .p = letters, .n = n }, hash);
    buf_add(out, VIEW(PREFIX));
    hex_put(out, (view){ .p = (const char *)hash, .n = sizeof(hash) });
    secret_wipe(letters, sizeof(letters));
    return true;
}

static rc forget_older(const char *folder, struct err *e)
{
    DIR *d = opendir(folder);
    if (!d)
        return fail(e, RC_BROKEN, RESP_GENERIC, "%.150s: %s", folder, strerror(errno));
    for (const struct dirent *x; (x = readdir(d));)
        if (strncmp(x->d_name, PREFIX, strlen(PREFIX)) == 0)
            (void)unlinkat(dirfd(d), x->d_name, 0);
    closedir(d);
    return RC_OK;
}

rc once_make(const struct admin_conf *c, int64_t now_s, char out[ONCE_TEXT], struct err *e)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf made = { 0 };
    uint8_t bytes[LETTERS];
    char text[ONCE_TEXT];
    size_t n = 0;
    TRY(folder_path(c, "console", &path, e));
    TRY(forget_older(buf_text(&path), e));
    rand_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < LETTERS; i++) {
        if (i > 0 && i % GROUP == 0)
            text[n++] = '-';
        text[n++] = alphabet[bytes[i] % 32];
    }
    text[n] = '\0';
    buf_addc(&path, '/');
    if (!file_name(view_of(text), &path))
        return fail(e, RC_BROKEN, RESP_GENERIC, "a password that is none");
    buf_addf(&made, "%lld\n", (long long)now_s);
    TRY(folder_write(buf_text(&path), buf_view(&made), e));
    memcpy(out, text, n + 1);
    secret_wipe(text, sizeof(text));
    secret_wipe(bytes, sizeof(bytes));
    return RC_OK;
}

bool once_use(const struct admin_conf *c, view typed, int64_t now_s, int64_t life_s)
{
    SCOPED(buf_done) struct buf path = { 0 };
    SCOPED(buf_done) struct buf made = { 0 };
    uint64_t made_s;
    if (folder_path(c, "console", &path, NULL) != RC_OK)
        return false;
    buf_addc(&path, '/');
    if (!file_name(typed, &path) || folder_read(buf_text(&path), 64, &made, NULL) != RC_OK)
        return false;
    view text = buf_view(&made);
    if (text.n > 0 && text.p[text.n - 1] == '\n')
        text.n--;
    bool fresh = view_to_u64(text, INT64_MAX, &made_s) && now_s - (int64_t)made_s <= life_s;
    return unlink(buf_text(&path)) == 0 && fresh;
}
