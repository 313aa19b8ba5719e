/* backend_suite DRIVER */
#include <stdio.h>

#include "fixture.h"
#include "suite.h"

int main(int argc, char **argv)
{
    fixture_driver = argc == 2 ? backend_find(view_of(argv[1])) : NULL;
    if (!fixture_driver) {
        fprintf(stderr, "usage: %s sqlite\n", argv[0]);
        return 2;
    }
    return suite_run();
}
