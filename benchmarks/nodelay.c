/*
 * Turns Nagle's algorithm off on every TCP connection a process opens; loaded with LD_PRELOAD.
 *
 * RivetKit's server leaves it on for its connection to the engine, which shows as steps of 40 ms. It has no setting for
 * that, and is measured at its best.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int connect(int fd, const struct sockaddr *address, socklen_t length) {
	static int (*next)(int, const struct sockaddr *, socklen_t);
	if (!next) next = dlsym(RTLD_NEXT, "connect");
	int on = 1;
	if (address->sa_family == AF_INET || address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return next(fd, address, length);
}
