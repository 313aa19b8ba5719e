#ifndef HEDDLE_TESTS_BACKEND_SUITE_H
#define HEDDLE_TESTS_BACKEND_SUITE_H

int suite_run(void); /* over fixture_driver */

/* suite_invites.c: tests of that run */
void an_invite_code_comes_back_as_it_was_added(void **state);
void an_invite_code_is_never_written_over_another(void **state);
void an_impossible_invite_code_is_refused(void **state);
void a_use_is_taken_once_confirmed_or_given_back(void **state);
void a_deleted_invite_code_takes_nobody(void **state);
void invite_codes_are_walked_in_the_order_of_ids(void **state);
void of_parallel_registrations_as_many_take_as_uses_were_made(void **state);

#endif
