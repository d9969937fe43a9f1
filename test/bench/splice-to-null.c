// The fastest reader of a pipe there is: splices standard input to /dev/null until it ends, without
// looking at a byte. What `agent verify` of a pipe is measured against.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>

int main(void) {
    int null = open("/dev/null", O_WRONLY);
    ssize_t got;
    while ((got = splice(0, NULL, null, NULL, 1 << 20, SPLICE_F_MOVE)) > 0)
        ;
    if (got < 0) perror("splice");
    return got < 0;
}
