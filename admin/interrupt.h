/* Ctrl-C and SIGTERM, for verbs that go on for a while: the first asks the verb to stop where it can. */
#ifndef HEDDLE_ADMIN_INTERRUPT_H
#define HEDDLE_ADMIN_INTERRUPT_H

#include <stdbool.h>

/* From here on interrupted() tells; it begins with false. second_ends: whoever asks a second time ends the process at once, as if nobody
 * had asked us. For the whole process, once in a verb; before threads that look at it. */
void interrupt_heed(bool second_ends);
bool interrupted(void); /* any thread */

#endif
