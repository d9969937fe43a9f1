/* A guest's side of xenstore, for the jobs of test/dom0: speaks the wire protocol to the kernel's
 * /dev/xen/xenbus (or /proc/xen/xenbus).
 *
 *   store-probe read PATH            prints "PATH: value" or "PATH: ERROR name"
 *   store-probe write PATH VALUE     prints "PATH: OK" or "PATH: ERROR name"
 *   store-probe ping PATH [US]       reads without rest, or with one of so many microseconds
 *                                    after each read; every two seconds a line
 *                                    "probe: N reads, longest M us, errors E, altogether N M E"
 *
 * The kernel multiplexes request numbers, so that replies come in order on one descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { READ = 2, WRITE = 11, ERROR_REPLY = 16, PAYLOAD_MAX = 4096 };

struct header {
	uint32_t type, request, transaction, bytes;
};

static int bus;
static char payload[PAYLOAD_MAX + 1];

static void must(int is_true, const char *what)
{
	if (is_true)
		return;
	printf("probe: FAILED: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(1);
}

static void read_all(void *to, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t got = read(bus, (char *)to + done, bytes - done);
		must(got > 0, "read");
		done += got;
	}
}

/* The reply's payload is in `payload`, with a NUL behind it; gives its type. */
static uint32_t ask(uint32_t type, const void *body, uint32_t bytes)
{
	struct header header = { type, 1, 0, bytes };
	char message[sizeof header + PAYLOAD_MAX];

	memcpy(message, &header, sizeof header);
	memcpy(message + sizeof header, body, bytes);
	must(write(bus, message, sizeof header + bytes) == (ssize_t)(sizeof header + bytes), "write");
	read_all(&header, sizeof header);
	must(header.bytes <= PAYLOAD_MAX, "length of a reply");
	read_all(payload, header.bytes);
	payload[header.bytes] = 0;
	return header.type;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void ping(const char *path, unsigned rest_us)
{
	uint64_t all = 0, all_longest = 0, all_errors = 0, reads = 0, longest = 0, errors = 0;
	uint64_t told = now_us(), last = told;

	for (;;) {
		if (ask(READ, path, strlen(path) + 1) != READ)
			errors++;
		reads++;
		uint64_t now = now_us();
		if (now - last > longest)
			longest = now - last;
		last = now;
		if (rest_us > 0) {
			usleep(rest_us);
			last = now_us();
		}
		if (now - told < 2000000)
			continue;
		all += reads;
		all_errors += errors;
		if (longest > all_longest)
			all_longest = longest;
		printf("probe: %llu reads, longest %llu us, errors %llu, altogether %llu %llu %llu\n",
		       (unsigned long long)reads, (unsigned long long)longest,
		       (unsigned long long)errors, (unsigned long long)all,
		       (unsigned long long)all_longest, (unsigned long long)all_errors);
		fflush(stdout);
		reads = longest = errors = 0;
		told = last = now_us(); /* The console is slow: its time is not the store's. */
	}
}

int main(int argc, char **argv)
{
	char body[PAYLOAD_MAX];

	must(argc >= 3, "usage: store-probe read|write|ping PATH [VALUE]");
	bus = open("/dev/xen/xenbus", O_RDWR);
	if (bus < 0)
		bus = open("/proc/xen/xenbus", O_RDWR);
	must(bus >= 0, "open xenbus");
	if (!strcmp(argv[1], "ping"))
		ping(argv[2], argc > 3 ? atoi(argv[3]) : 0);
	if (!strcmp(argv[1], "read")) {
		uint32_t type = ask(READ, argv[2], strlen(argv[2]) + 1);
		printf("probe: %s: %s%s\n", argv[2], type == ERROR_REPLY ? "ERROR " : "", payload);
		return 0;
	}
	must(argc >= 4, "write needs a value");
	size_t path_bytes = strlen(argv[2]) + 1, value_bytes = strlen(argv[3]);
	must(path_bytes + value_bytes <= PAYLOAD_MAX, "length of the request");
	memcpy(body, argv[2], path_bytes);
	memcpy(body + path_bytes, argv[3], value_bytes);
	uint32_t type = ask(WRITE, body, path_bytes + value_bytes);
	printf("probe: %s: %s%s\n", argv[2], type == ERROR_REPLY ? "ERROR " : "", payload);
	return 0;
}
