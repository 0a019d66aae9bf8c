/* Fault injection for file system calls: failures, delays and hangs.
 *
 * Preloaded into the server, this library intercepts write (or pwrite), fsync (or fdatasync) and rename on files below the folder
 * $FAULTY_DISK_TARGET; an fsync of a folder is called fsync-folder. In the folder $FAULTY_DISK_FAULTS, a file named after a
 * call may contain a fault. The library reads the file at each call:
 *
 *   fail N    the call fails with errno N and has no effect
 *   delay N   the call takes N milliseconds longer
 *   block     the call blocks until the file is removed
 *
 * The file `calls` in $FAULTY_DISK_FAULTS gets a line for each start and each end of a call:
 * "+fsync MS" and "-fsync MS", in milliseconds of CLOCK_MONOTONIC.
 *
 * A seccomp filter intercepts the system calls, because Rust code may bypass libc's wrappers. */

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

/* The library passes this sixth argument to its own system calls, and the filter lets such calls pass. None of the
 * intercepted calls has a sixth argument. */
#define BYPASS 0x5ca1ab1e
/* Writes of at most this many bytes are eventfd notifications, never a state file. */
#define EVENTFD_WRITE_SIZE 8

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define ARG(context, n) (context)->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8}[n]]
#define RESULT(context) (context)->uc_mcontext.gregs[REG_RAX]
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#define ARG(context, n) (context)->uc_mcontext.regs[n]
#define RESULT(context) (context)->uc_mcontext.regs[0]
#else
#error "the system call registers of this architecture are not known"
#endif

static const char *fault_folder, *target_folder;

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static int is_in_target(const char *path) {
    size_t length = strlen(target_folder);
    return !strncmp(path, target_folder, length) && (path[length] == '/' || !path[length]);
}

/* Appends a line to the file `calls`. */
static void log_call(char sign, const char *call) {
    char path[4096], line[64];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(path, sizeof path, "%s/calls", fault_folder);
    int length = snprintf(line, sizeof line, "%c%s %.6f\n", sign, call, now.tv_sec * 1e3 + now.tv_nsec / 1e6);
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    syscall(SYS_write, file, line, length, 0, 0, BYPASS);
    close(file);
}

/* Applies the delay or block for `call`. Returns the errno to fail with, or 0. */
static int apply_fault(const char *call) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", fault_folder, call);
    for (;; sleep_ms(1)) {
        char fault[32] = "";
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) return 0;
        if (read(file, fault, sizeof fault - 1) < 0) fault[0] = 0;
        close(file);
        if (!strncmp(fault, "block", 5)) continue;
        if (!strncmp(fault, "fail ", 5)) return atoi(fault + 5);
        if (!strncmp(fault, "delay ", 6)) sleep_ms(atol(fault + 6));
        return 0;
    }
}

/* The name of a call that concerns the target folder, otherwise NULL. */
static const char *call_name(int number, ucontext_t *context) {
    switch (number) {
#ifdef SYS_rename
    case SYS_rename:
        return is_in_target((const char *)ARG(context, 1)) ? "rename" : NULL;
#endif
    case SYS_renameat:
    case SYS_renameat2:
        return is_in_target((const char *)ARG(context, 3)) ? "rename" : NULL;
    }
    int fd = (int)ARG(context, 0);
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    if (!is_in_target(path)) return NULL;
    if (number == SYS_write || number == SYS_pwrite64) return "write";
    struct stat status;
    return !fstat(fd, &status) && S_ISDIR(status.st_mode) ? "fsync-folder" : "fsync";
}

static void handle_sigsys(int signal, siginfo_t *info, void *ucontext) {
    (void)signal;
    ucontext_t *context = ucontext;
    int saved_errno = errno, fault_errno = 0;
    const char *call = call_name(info->si_syscall, context);
    if (call) {
        log_call('+', call);
        fault_errno = apply_fault(call);
    }
    if (fault_errno) {
        RESULT(context) = -fault_errno;
    } else {
        long result = syscall(info->si_syscall, ARG(context, 0), ARG(context, 1), ARG(context, 2), ARG(context, 3),
                              ARG(context, 4), BYPASS);
        RESULT(context) = result < 0 ? -errno : result;
    }
    if (call) log_call('-', call);
    errno = saved_errno;
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define JUMP_IF(comparison, value, yes, no) BPF_JUMP(BPF_JMP | comparison | BPF_K, value, yes, no)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define TRAP_CALL(number) JUMP_IF(BPF_JEQ, number, 0, 1), RETURN(SECCOMP_RET_TRAP)

__attribute__((constructor)) static void install_filter(void) {
    fault_folder = getenv("FAULTY_DISK_FAULTS");
    target_folder = getenv("FAULTY_DISK_TARGET");
    struct sigaction action = {.sa_sigaction = handle_sigsys, .sa_flags = SA_SIGINFO | SA_RESTART};
    /* The filter reads the lower half of a 64-bit argument, which comes first on little-endian processors. */
    struct sock_filter filter[] = {
        LOAD(arch), JUMP_IF(BPF_JEQ, ARCH, 1, 0), RETURN(SECCOMP_RET_ALLOW),
        LOAD(args[5]), JUMP_IF(BPF_JEQ, BYPASS, 0, 1), RETURN(SECCOMP_RET_ALLOW),
        LOAD(nr),
        TRAP_CALL(SYS_pwrite64), TRAP_CALL(SYS_fsync), TRAP_CALL(SYS_fdatasync), TRAP_CALL(SYS_renameat), TRAP_CALL(SYS_renameat2),
#ifdef SYS_rename
        TRAP_CALL(SYS_rename),
#endif
        JUMP_IF(BPF_JEQ, SYS_write, 1, 0), RETURN(SECCOMP_RET_ALLOW),
        LOAD(args[2]), JUMP_IF(BPF_JGT, EVENTFD_WRITE_SIZE, 0, 1), RETURN(SECCOMP_RET_TRAP),
        RETURN(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (!fault_folder || !target_folder || sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        fputs("faulty_disk: cannot install the seccomp filter\n", stderr);
        _exit(1);
    }
}
