// Runs programs from start to exit and measures them from outside, as the benches want it:
//
//   run-pairs time COUNT FEED FILE -- PROGRAM... [-- PROGRAM...]   alternating, COUNT times each
//   run-pairs memory FEED FILE -- PROGRAM...                       once
//
// FEED is what a program's standard input is: none (/dev/null), or a pipe of 1 MiB that a process
// of ours fills with FILE by write (read and write, as a saver does) or splice (the pipe gets the
// pages of the file, nothing is copied: as fast as a writer can be).
//
// time prints "PROGRAM_INDEX NANOSECONDS STATUS" a run. memory stops the program as it exits, when
// its memory is still there, and prints its lines of /proc/PID/status.

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIPE_BYTES = 1 << 20, PROGRAMS_MAX = 8 };

static void die(const char *what) {
    perror(what);
    exit(125);
}

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void feed(int out, const char *how, const char *path) {
    static char buffer[PIPE_BYTES];
    int in = open(path, O_RDONLY);
    ssize_t got;
    if (in < 0) die(path);
    signal(SIGPIPE, SIG_DFL); // A reader that has seen enough ends us.
    if (strcmp(how, "splice") == 0) {
        while ((got = splice(in, NULL, out, NULL, PIPE_BYTES, 0)) > 0)
            ;
    } else {
        while ((got = read(in, buffer, sizeof buffer)) > 0)
            for (ssize_t put, done = 0; done < got; done += put)
                if ((put = write(out, buffer + done, got - done)) < 0) die("write");
    }
    if (got < 0) die(how);
    _exit(0);
}

// The pid of a process that feeds what it returns in `input`; 0 where nothing is fed.
static pid_t start_feed(const char *how, const char *path, int *input) {
    int ends[2];
    if (strcmp(how, "none") == 0) {
        *input = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return 0;
    }
    if (pipe2(ends, O_CLOEXEC) < 0) die("pipe2");
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES); // Whatever we get, both programs get.
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) {
        close(ends[0]);
        feed(ends[1], how, path);
    }
    close(ends[1]);
    *input = ends[0];
    return pid;
}

static pid_t start_program(char **program, int input, int traced) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid > 0) return pid;
    int quiet = open("/dev/null", O_WRONLY);
    dup2(input, 0);
    dup2(quiet, 1);
    if (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) die("ptrace");
    execvp(program[0], program);
    die(program[0]);
    return 0;
}

static int wait_for(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) < 0) die("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void time_once(int index, char **program, const char *how, const char *path) {
    int input;
    long long start = now_ns();
    pid_t feeder = start_feed(how, path, &input);
    pid_t pid = start_program(program, input, 0);
    close(input);
    int status = wait_for(pid);
    long long end = now_ns();
    if (feeder > 0) wait_for(feeder);
    printf("%d %lld %d\n", index, end - start, status);
}

static void memory_once(char **program, const char *how, const char *path) {
    int input, status;
    char line[256], name[64];
    pid_t feeder = start_feed(how, path, &input);
    pid_t pid = start_program(program, input, 1);
    close(input);
    if (waitpid(pid, &status, 0) < 0) die("waitpid"); // Stopped behind its exec.
    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL));
    ptrace(PTRACE_CONT, pid, NULL, NULL);
    for (;;) {
        if (waitpid(pid, &status, 0) < 0) die("waitpid");
        if (!WIFSTOPPED(status)) exit(124); // It went away without its exit having been seen.
        if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8))) break;
        ptrace(PTRACE_CONT, pid, NULL, (void *)(long)WSTOPSIG(status));
    }
    snprintf(name, sizeof name, "/proc/%d/status", pid);
    FILE *file = fopen(name, "r");
    if (file == NULL) die(name);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "Vm", 2) == 0 || strncmp(line, "Rss", 3) == 0) fputs(line, stdout);
    ptrace(PTRACE_CONT, pid, NULL, NULL);
    if (waitpid(pid, &status, 0) < 0) die("waitpid");
    printf("Status: %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (feeder > 0) wait_for(feeder);
}

int main(int count, char **words) {
    char **programs[PROGRAMS_MAX];
    int known = 0;
    for (int word = 1; word < count; word++) {
        if (strcmp(words[word], "--") != 0) continue;
        words[word] = NULL;
        if (known < PROGRAMS_MAX) programs[known++] = words + word + 1;
    }
    setvbuf(stdout, NULL, _IONBF, 0); // Nothing that a fork would copy and print twice.
    if (known > 0 && strcmp(words[1], "memory") == 0 && count > 5) {
        memory_once(programs[0], words[2], words[3]);
    } else if (known > 0 && strcmp(words[1], "time") == 0 && count > 6) {
        for (int left = atoi(words[2]); left > 0; left--)
            for (int index = 0; index < known; index++)
                time_once(index, programs[index], words[3], words[4]);
    } else {
        fprintf(stderr, "usage: see the head of run-pairs.c\n");
        return 2;
    }
    return 0;
}
