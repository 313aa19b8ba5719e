/* Stands in for libFuzzer: feeds the target every file of the folders and files named on the command line, once. */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX ((size_t)1 << 20)

static int feed(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *all = malloc(FILE_MAX);
    size_t n = f && all ? fread(all, 1, FILE_MAX, f) : 0;
    uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees where it ends */

    if (!f || !all || !exact || ferror(f)) {
        perror(path);
        exit(1);
    }
    memcpy(exact, all, n);
    LLVMFuzzerTestOneInput(exact, n);
    fclose(f);
    free(all);
    free(exact);
    return 1;
}

static int feed_folder(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *entry;
    int n = 0;

    if (!d) {
        perror(path);
        exit(1);
    }
    while ((entry = readdir(d))) {
        char file[PATH_MAX];

        if (entry->d_name[0] != '.' && snprintf(file, sizeof file, "%s/%s", path, entry->d_name) < PATH_MAX)
            n += feed(file);
    }
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    int n = 0;

    for (int i = 1; i < argc; i++) {
        struct stat st;

        n += stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? feed_folder(argv[i]) : feed(argv[i]);
    }
    printf("%d inputs\n", n);
    return n > 0 ? 0 : 1;
}
