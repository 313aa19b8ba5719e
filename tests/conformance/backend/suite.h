#ifndef HEDDLE_TESTS_BACKEND_SUITE_H
#define HEDDLE_TESTS_BACKEND_SUITE_H

int suite_run(void); /* over fixture_driver */

#endif
