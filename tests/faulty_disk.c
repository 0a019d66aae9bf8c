/* A disk that fails, slows down or hangs when it is told to.
 *
 * Preloaded into the server, this watches the calls by which a state file gets onto the disk: write, fsync (or
 * fdatasync) and rename, of whatever lies in the folder $FAULTY_DISK_UNDER; an fsync of a folder goes by the name
 * fsync-folder. In the folder $FAULTY_DISK, the file named after a call may hold an order, read anew each time:
 *
 *   fail N    it fails with errno N, and does nothing
 *   delay N   it takes N milliseconds longer
 *   hold      it does not begin as long as this order stands
 *
 * The file `calls` there has a line for each call that begins, and one for each that ends:
 * "+fsync MS" and "-fsync MS", in milliseconds of CLOCK_MONOTONIC.
 *
 * The calls are caught at the door of the kernel, by a seccomp filter, and not in libc: Rust code may go around libc. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* None of the calls has a sixth argument. With this one, the filter lets them through. */
#define PASS 0x5ca1ab1e
/* Shorter writes wake a thread (eventfd); none is a state. */
#define WAKE_UP 8

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define ARG(context, n) (context)->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8}[n]]
#define RESULT(context) (context)->uc_mcontext.gregs[REG_RAX]
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#define ARG(context, n) (context)->uc_mcontext.regs[n]
#define RESULT(context) (context)->uc_mcontext.regs[0]
#else
#error "how this processor passes arguments to the kernel is not known here"
#endif

static const char *orders, *under;

static void nap(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static int is_under(const char *path) {
    size_t length = strlen(under);
    return !strncmp(path, under, length) && (path[length] == '/' || !path[length]);
}

static void note(char sign, const char *call) {
    char path[4096], line[64];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(path, sizeof path, "%s/calls", orders);
    int length = snprintf(line, sizeof line, "%c%s %.6f\n", sign, call, now.tv_sec * 1e3 + now.tv_nsec / 1e6);
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    syscall(SYS_write, file, line, length, 0, 0, PASS);
    close(file);
}

/* Carries out the order for `call`, and says with which errno it is to fail; 0 when it is not. */
static int obey(const char *call) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", orders, call);
    for (;; nap(1)) {
        char order[32] = "";
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) return 0;
        if (read(file, order, sizeof order - 1) < 0) order[0] = 0;
        close(file);
        if (!strncmp(order, "hold", 4)) continue;
        if (!strncmp(order, "fail ", 5)) return atoi(order + 5);
        if (!strncmp(order, "delay ", 6)) nap(atol(order + 6));
        return 0;
    }
}

/* The name of the call, if it is about the folder; NULL if it is none of ours. */
static const char *name_of(int number, ucontext_t *context) {
    switch (number) {
#ifdef SYS_rename
    case SYS_rename:
        return is_under((const char *)ARG(context, 1)) ? "rename" : NULL;
#endif
    case SYS_renameat:
    case SYS_renameat2:
        return is_under((const char *)ARG(context, 3)) ? "rename" : NULL;
    }
    int fd = (int)ARG(context, 0);
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    if (!is_under(path)) return NULL;
    if (number == SYS_write) return "write";
    struct stat found;
    return !fstat(fd, &found) && S_ISDIR(found.st_mode) ? "fsync-folder" : "fsync";
}

static void caught(int signal, siginfo_t *info, void *where) {
    (void)signal;
    ucontext_t *context = where;
    int kept = errno, fails = 0;
    const char *call = name_of(info->si_syscall, context);
    if (call) {
        note('+', call);
        fails = obey(call);
    }
    if (fails) {
        RESULT(context) = -fails;
    } else {
        long result = syscall(info->si_syscall, ARG(context, 0), ARG(context, 1), ARG(context, 2), ARG(context, 3),
                              ARG(context, 4), PASS);
        RESULT(context) = result < 0 ? -errno : result;
    }
    if (call) note('-', call);
    errno = kept;
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(comparison, value, yes, no) BPF_JUMP(BPF_JMP | comparison | BPF_K, value, yes, no)
#define ANSWER(answer) BPF_STMT(BPF_RET | BPF_K, answer)
#define CATCH(number) IF(BPF_JEQ, number, 0, 1), ANSWER(SECCOMP_RET_TRAP)

__attribute__((constructor)) static void begin(void) {
    orders = getenv("FAULTY_DISK");
    under = getenv("FAULTY_DISK_UNDER");
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_RESTART};
    /* Of an argument, the filter looks at the lower half, which comes first on these processors. */
    struct sock_filter filter[] = {
        LOAD(arch), IF(BPF_JEQ, ARCH, 1, 0), ANSWER(SECCOMP_RET_ALLOW),
        LOAD(args[5]), IF(BPF_JEQ, PASS, 0, 1), ANSWER(SECCOMP_RET_ALLOW),
        LOAD(nr),
        CATCH(SYS_fsync), CATCH(SYS_fdatasync), CATCH(SYS_renameat), CATCH(SYS_renameat2),
#ifdef SYS_rename
        CATCH(SYS_rename),
#endif
        IF(BPF_JEQ, SYS_write, 1, 0), ANSWER(SECCOMP_RET_ALLOW),
        LOAD(args[2]), IF(BPF_JGT, WAKE_UP, 0, 1), ANSWER(SECCOMP_RET_TRAP),
        ANSWER(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (!orders || !under || sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        fputs("faulty_disk: cannot watch the disk\n", stderr);
        _exit(1);
    }
}
