/* Macros of libraries that cppcheck, which does not read system headers, needs to find its way through the code. Nothing else
 * includes this. */
#ifndef HEDDLE_TESTS_LINT_CPPCHECK_H
#define HEDDLE_TESTS_LINT_CPPCHECK_H

#define json_array_foreach(array, i, value) for (i = 0; (value = json_array_get(array, i)); i++)
#define json_object_foreach(object, key, value)                                                              \
    for (key = first(object); (value = json_object_get(object, key)); key = next(object))

#endif
