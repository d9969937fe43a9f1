// Reads a mapping of a whole file once, a word at a time as the compiler makes the best of it. What
// `agent inspect --contents` is measured against.

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
    struct stat stat;
    int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
    if (fd < 0 || fstat(fd, &stat) < 0) return 1;
    size_t words = stat.st_size / sizeof(uint64_t);
    const uint64_t *mapping = mmap(NULL, stat.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED) return 1;
    uint64_t sum = 0; // Printed, or nothing would be read.
    for (size_t word = 0; word < words; word++) sum ^= mapping[word];
    printf("%llx\n", (unsigned long long)sum);
    return 0;
}
