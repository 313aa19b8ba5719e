/* The list of passwords that are refused, in the program itself: directory/screens/data/passwords.txt, where its source stands. */
#include "common/base/mem.h"
#include "directory/inside.h"
#include "directory/screens/embedded.h"

enum { COMMON_MOST = 4096, COMMON_LONGEST = 32 };

static view common[COMMON_MOST];
static size_t n_common;
static pthread_once_t read_once = PTHREAD_ONCE_INIT;

static void read_list(void)
{
    view rest = { .p = (const char *)embedded_directory_data[0].bytes, .n = embedded_directory_data[0].n },
         line;
    while (n_common < COMMON_MOST && view_cut(&rest, '\n', &line))
        if (line.n > 0 && !view_starts(line, VIEW("#!")))
            common[n_common++] = line;
    qsort(common, n_common, sizeof(common[0]), view_order);
}

bool password_is_common(view password)
{
    char lower[COMMON_LONGEST];
    view key = { .p = lower, .n = password.n };
    if (password.n == 0 || password.n > sizeof(lower))
        return false;
    for (size_t i = 0; i < password.n; i++)
        lower[i] = (char)(password.p[i] >= 'A' && password.p[i] <= 'Z' ? password.p[i] + ('a' - 'A')
                                                                       : password.p[i]);
    pthread_once(&read_once, read_list);
    return bsearch(&key, common, n_common, sizeof(common[0]), view_order) != NULL;
}
