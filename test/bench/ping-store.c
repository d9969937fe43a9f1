/*
 * ping-store.c - a client of a xenstore daemon that asks without rest, and notes how long it waits.
 *
 *   ping-store SOCKET CONNECTIONS
 *
 * Holds CONNECTIONS idle connections, then asks READ /tool on one more, each request after the
 * answer to the one before, until its standard input ends. Prints a line "FROM TO" for each wait
 * above 50 us, in nanoseconds of CLOCK_MONOTONIC, and "ready" before the first request. Status 1
 * where a connection breaks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NOTED_NS 50000
#define LOOK_EVERY 64

struct head { uint32_t type, request, transaction, length; };

static void die(const char *what)
{
	fprintf(stderr, "ping-store: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		die("socket");
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	return fd;
}

static void get(int fd, void *to, size_t bytes)
{
	for (size_t got = 0; got < bytes;) {
		ssize_t part = read(fd, (char *)to + got, bytes - got);

		if (part == 0)
			errno = ECONNRESET;
		if (part <= 0 && !(part < 0 && errno == EINTR))
			die("read");
		got += part > 0 ? part : 0;
	}
}

static void ask(int fd)
{
	struct { struct head head; char path[6]; } request = { { 2, 1, 0, 6 }, "/tool" };
	struct head head;
	char body[4096];

	if (send(fd, &request, sizeof(request.head) + 6, MSG_NOSIGNAL) < 0)
		die("send");
	get(fd, &head, sizeof(head));
	if (head.length > sizeof(body))
		die("an answer that is too long");
	get(fd, body, head.length);
}

int main(int argc, char **argv)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	int fd;

	if (argc != 3)
		return 2;
	for (int left = atoi(argv[2]); left > 0; left--)
		dial(argv[1]);
	fd = dial(argv[1]);
	ask(fd);
	puts("ready");
	fflush(stdout);
	for (unsigned count = 0; count % LOOK_EVERY || poll(&in, 1, 0) == 0; count++) {
		uint64_t from = now_ns(), to;

		ask(fd);
		to = now_ns();
		if (to - from >= NOTED_NS)
			printf("%llu %llu\n", (unsigned long long)from, (unsigned long long)to);
	}
	return 0;
}
