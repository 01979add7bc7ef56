/* Kills the process before the n-th system call that changes a lock or a journal. Preloaded by tests.
 *
 * KILL_AT is n. KILL_FOLDER is the folder of these files: syncs of it count too. A write is killed in the middle. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_int calls;

static int ends_with(const char *path, const char *end) {
    size_t length = strlen(path), of_end = strlen(end);
    return length >= of_end && strcmp(path + length - of_end, end) == 0;
}

static int is_ours(const char *path) {
    return ends_with(path, ".lock") || ends_with(path, ".journal") || ends_with(path, ".journal.partial");
}

static int is_ours_fd(int fd, int counts_folder) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    const char *folder = getenv("KILL_FOLDER");
    return is_ours(path) || (counts_folder && folder && strcmp(path, folder) == 0);
}

static int is_last(void) {
    const char *at = getenv("KILL_AT");
    return at && atomic_fetch_add(&calls, 1) + 1 == atoi(at);
}

static void count(void) {
    if (is_last())
        kill(getpid(), SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if ((flags & O_CREAT) && is_ours(path))
        count();
    return REAL(open64)(path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (is_ours_fd(fd, 0) && is_last()) {
        REAL(write)(fd, bytes, length / 2);
        kill(getpid(), SIGKILL);
    }
    return REAL(write)(fd, bytes, length);
}

int fsync(int fd) {
    if (is_ours_fd(fd, 1))
        count();
    return REAL(fsync)(fd);
}

int flock(int fd, int operation) {
    if (is_ours_fd(fd, 0))
        count();
    int (*real)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
    return real(fd, operation);
}

int ftruncate64(int fd, off64_t length) {
    if (is_ours_fd(fd, 0))
        count();
    return REAL(ftruncate64)(fd, length);
}

int rename(const char *from, const char *to) {
    if (is_ours(to))
        count();
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    if (is_ours(path))
        count();
    return REAL(unlink)(path);
}
