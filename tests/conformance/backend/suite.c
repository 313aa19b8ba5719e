#include "suite.h"

int suite_run(void)
{
    const struct test_group *const parts[] = { &accounts_part, &leaving_part, &nodes_part, &invites_part,
                                               &marks_part };
    int failed = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        failed += test_group_run(parts[i], NULL, NULL);
    return failed;
}
