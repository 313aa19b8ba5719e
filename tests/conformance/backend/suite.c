#include "suite.h"

int suite_run(void)
{
    const struct part *const parts[] = { &accounts_part, &leaving_part, &nodes_part, &invites_part,
                                         &marks_part };
    int failed = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        failed += _cmocka_run_group_tests(parts[i]->name, parts[i]->tests, parts[i]->n, NULL, NULL);
    return failed;
}
