/* Makes listing a folder fail as on a damaged disk: opening the folder whose path is in the file $FAULTY_FOLDER succeeds, but
 * reading its first entry fails with EIO. Without the file, each call has its usual effect. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_faulty(DIR *folder) {
    char wanted[4096] = "", link[32], path[4096];
    const char *control = getenv("FAULTY_FOLDER");
    int file = control ? open(control, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    ssize_t wanted_length = read(file, wanted, sizeof wanted - 1);
    close(file);
    snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd(folder));
    ssize_t length = readlink(link, path, sizeof path - 1);
    return length > 0 && length == wanted_length && !memcmp(path, wanted, length);
}

struct dirent64 *readdir64(DIR *folder) {
    static struct dirent64 *(*next)(DIR *);
    if (!next) next = (struct dirent64 * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir64");
    struct dirent64 *entry = next(folder);
    if (entry && entry->d_name[0] != '.' && is_faulty(folder)) {
        errno = EIO;
        return NULL;
    }
    return entry;
}
