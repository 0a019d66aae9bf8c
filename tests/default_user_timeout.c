// A library that is preloaded into the server. It ignores the option TCP_USER_TIMEOUT, so that the kernel does not close the
// connection of a client that reads nothing.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int setsockopt(int socket, int level, int name, const void *value, socklen_t length) {
    if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT) {
        return 0;
    }
    int (*next)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
    return next(socket, level, name, value, length);
}
