/*
 * Runs a fuzz target over files instead of inventing inputs: every file given, and every file of
 * the directories given (not of their subdirectories). Each input is an allocation of exactly its
 * size. Prints how many it ran; fails when there were none or one could not be read.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool complain(const char *path)
{
    (void)fprintf(stderr, "%s: %s\n", path, strerror(errno)); /* nowhere else to complain */
    return false;
}

static bool replay_file(const char *path, size_t size, size_t *count)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return complain(path);
    uint8_t *data = malloc(size);
    bool whole = data && fread(data, 1, size, file) == size;
    if (whole)
        (void)LLVMFuzzerTestOneInput(data, size); /* by its definition always 0 */
    free(data);
    if (fclose(file) != 0 || !whole)
        return complain(path);
    (*count)++;
    return true;
}

static bool replay_directory(const char *path, size_t *count)
{
    DIR *dir = opendir(path);
    if (!dir)
        return complain(path);
    bool ok = true;
    for (struct dirent *entry = readdir(dir); entry && ok; entry = readdir(dir)) {
        char inner[PATH_MAX];
        struct stat st;
        int len = snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (len < 0 || (size_t)len >= sizeof inner || stat(inner, &st) != 0)
            ok = complain(entry->d_name);
        else if (S_ISREG(st.st_mode))
            ok = replay_file(inner, (size_t)st.st_size, count);
    }
    return closedir(dir) == 0 && ok;
}

static bool replay(const char *path, size_t *count)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return complain(path);
    return S_ISDIR(st.st_mode) ? replay_directory(path, count)
                               : replay_file(path, (size_t)st.st_size, count);
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++)
        if (!replay(argv[i], &count))
            return 1;
    (void)printf("%zu inputs\n", count);
    return count ? 0 : 1;
}
