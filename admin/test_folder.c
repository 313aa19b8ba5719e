#include "admin/folder.h"

#include <unistd.h>

#include "common/base/scope.h"
#include "common/base/testing.h"

static void write_and_read(const char *path)
{
    SCOPED(buf_done) struct buf back = { 0 };
    struct err e = ERR_NONE;
    for (int i = 0; i < 2; i++) { /* also over what is there */
        if (folder_write(path, i ? VIEW("second") : VIEW("first, which is longer"), &e) != RC_OK)
            fail_msg("%s", e.text);
        assert_int_equal(folder_read(path, 100, &back, &e), RC_OK);
        assert_true(view_eq(buf_view(&back), i ? VIEW("second") : VIEW("first, which is longer")));
    }
    assert_int_equal(folder_read(path, 5, &back, &e), RC_TOO_LARGE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(folder_read(path, 100, &back, &e), RC_NOT_FOUND);
}

static void a_file_is_written_wherever_it_is_named(void **state)
{
    char folder[] = "/tmp/heddle-folder-XXXXXX", before[4096], path[64], root[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/x.plan", folder);
    write_and_read(path);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(folder), 0);
    write_and_read("x.plan");
    assert_int_equal(chdir(before), 0);
    snprintf(root, sizeof(root), "/%s.plan", folder + sizeof("/tmp/") - 1);
    if (access("/", W_OK) == 0)
        write_and_read(root);
    assert_int_equal(rmdir(folder), 0); /* nothing else lies there */
}

static void what_cannot_be_written_is_told_and_leaves_nothing(void **state)
{
    struct err e = ERR_NONE;
    (void)state;
    assert_int_equal(folder_write("/nonexistent/x.plan", VIEW("x"), &e), RC_BROKEN);
    assert_non_null(strstr(e.text, "/nonexistent/x.plan"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_written_wherever_it_is_named),
        cmocka_unit_test(what_cannot_be_written_is_told_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
