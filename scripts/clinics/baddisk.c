/* A disk that is slow, read-only or failing, for one process that is started with this library in
 * LD_PRELOAD. BAD_DISK_FOLDER is the disk; the file BAD_DISK_NOW says, at each call, how it is:
 * "ERRNO MS". What would write to the disk fails with ERRNO unless that is 0, and what makes
 * something durable takes MS milliseconds longer. Reading is left alone, as on a real one. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAILING(where, failed) do { \
    int number = trouble(); \
    if (number && (where)) { errno = number; return failed; } } while (0)

static void now(int *number, long *ms) {
    char text[64] = "";
    *number = 0, *ms = 0;
    const char *path = getenv("BAD_DISK_NOW");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    if (syscall(SYS_read, fd, text, sizeof text - 1) > 0) sscanf(text, "%d %ld", number, ms);
    syscall(SYS_close, fd);
}

static int trouble(void) {
    int number, kept = errno;
    long ms;
    now(&number, &ms);
    errno = kept;
    return number;
}

static int named(const char *path) {
    const char *folder = getenv("BAD_DISK_FOLDER");
    return folder && !strncmp(path, folder, strlen(folder));
}

static int held(int fd) {
    struct stat file, disk;
    const char *folder = getenv("BAD_DISK_FOLDER");
    return folder && !fstat(fd, &file) && S_ISREG(file.st_mode) && !stat(folder, &disk)
        && file.st_dev == disk.st_dev;
}

static void rest(void) {
    int number;
    long ms;
    now(&number, &ms);
    struct timespec span = {ms / 1000, ms % 1000 * 1000000L};
    if (ms) nanosleep(&span, NULL);
}

int fsync(int fd) { rest(); FAILING(1, -1); return REAL(fsync)(fd); }
int fdatasync(int fd) { rest(); FAILING(1, -1); return REAL(fdatasync)(fd); }

ssize_t write(int fd, const void *data, size_t size) {
    FAILING(held(fd), -1);
    return REAL(write)(fd, data, size);
}
ssize_t writev(int fd, const struct iovec *pieces, int count) {
    FAILING(held(fd), -1);
    return REAL(writev)(fd, pieces, count);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    FAILING(held(fd), -1);
    return REAL(pwrite64)(fd, data, size, at);
}
int ftruncate64(int fd, off64_t size) { FAILING(held(fd), -1); return REAL(ftruncate64)(fd, size); }

static int writes(int flags) { return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0; }

#define OPENING(flags, mode) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
    FAILING(writes(flags) && named(path), -1)

int open(const char *path, int flags, ...) {
    OPENING(flags, mode);
    return REAL(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    OPENING(flags, mode);
    return REAL(open64)(path, flags, mode);
}

int unlink(const char *path) { FAILING(named(path), -1); return REAL(unlink)(path); }
int mkdir(const char *path, mode_t mode) { FAILING(named(path), -1); return REAL(mkdir)(path, mode); }
int rename(const char *from, const char *to) {
    FAILING(named(from), -1);
    return REAL(rename)(from, to);
}
