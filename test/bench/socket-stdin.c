// socket-stdin FILE PROGRAM...: runs PROGRAM with a socket as its standard input, which a process of
// ours fills with FILE, as a peer over the network does.

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words) {
    static char buffer[1 << 18];
    int ends[2], in;
    ssize_t got;
    if (count < 3 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) return 125;
    if (fork() == 0) {
        close(ends[0]);
        in = open(words[1], O_RDONLY);
        while ((got = read(in, buffer, sizeof buffer)) > 0)
            for (ssize_t put, done = 0; done < got; done += put)
                if ((put = write(ends[1], buffer + done, got - done)) < 0) return 125;
        return 0;
    }
    close(ends[1]);
    dup2(ends[0], 0);
    close(ends[0]);
    execvp(words[2], words + 2);
    perror(words[2]);
    return 125;
}
