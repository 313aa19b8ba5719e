/* store_suite sqlite|mysql [group]: every promise of node/store/store.h, over one engine. */
#include "tests/conformance/store/fixture.h"

int main(int argc, char **argv)
{
    static const struct test_group *const groups[] = {
        &life_group,     &fence_group,    &stamps_group,   &known_group,     &reading_group, &pages_group,
        &writing_group,  &deleting_group, &counting_group, &batches_group,   &purge_group,   &threads_group,
        &recovery_group, &steps_group,    &moving_group,   &importing_group, &conns_group,
    };
    int failed = 0;
    if (argc < 2) {
        fprintf(stderr, "use: store_suite sqlite|mysql [group]\n");
        return 2;
    }
    fixture_conf(argv[1]);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        const struct test_group *g = groups[i];
        if (argc > 2 && !view_eq(view_of(argv[2]), view_of(g->name)))
            continue;
        failed += test_group_run(g, open_store, close_store);
    }
    fixture_remove_folder(fx.conf.path);
    return failed ? 1 : 0;
}
