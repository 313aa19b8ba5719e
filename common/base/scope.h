/* Two macros that keep failing short and freeing sure. */
#ifndef HEDDLE_BASE_SCOPE_H
#define HEDDLE_BASE_SCOPE_H

/* DEFINE_SCOPED(struct thing *, thing_free) once, then
 *     SCOPED(thing_free) struct thing *t = NULL;
 * calls thing_free(t) when t leaves its scope. The function must take NULL. */
#define DEFINE_SCOPED(type, fn)                                                                              \
    static inline void fn##_scoped(type *p)                                                                  \
    {                                                                                                        \
        fn(*p);                                                                                              \
    }                                                                                                        \
    struct fn##_scoped_needs_a_semicolon

#define SCOPED(fn) __attribute__((cleanup(fn##_scoped)))

/* Returns x's rc unless it is RC_OK. The only macro here that changes the flow of control. */
#define TRY(x)                                                                                               \
    do {                                                                                                     \
        rc try_rc_ = (x);                                                                                    \
        if (try_rc_ != RC_OK)                                                                                \
            return try_rc_;                                                                                  \
    } while (0)

#endif
