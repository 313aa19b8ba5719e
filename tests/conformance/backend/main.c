/* backend_suite sqlite | ldap | ldap-guest [restart] */
#include <stdio.h>

#include "fixture.h"
#include "suite.h"

int main(int argc, char **argv)
{
    const char *name = argc >= 2 ? argv[1] : "";
    fixture_guest = strcmp(name, "ldap-guest") == 0;
    fixture_restart = argc == 3 && strcmp(argv[2], "restart") == 0;
    fixture_driver = backend_find(view_of(fixture_guest ? "ldap" : name));
    if (!fixture_driver || argc > 3 || (argc == 3 && !fixture_restart)) {
        fprintf(stderr, "usage: %s sqlite|ldap|ldap-guest [restart]\n", argv[0]);
        return 2;
    }
    return suite_run();
}
