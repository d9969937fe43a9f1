// echo-server SOCKET: sends back whatever comes, over epoll. What one exchange costs in C when a
// server does nothing with it.

#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static char bytes[65536];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct epoll_event events[256], event = {.events = EPOLLIN};
  int listener = socket(AF_UNIX, SOCK_STREAM, 0), epoll = epoll_create1(0);
  if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 128)) {
    perror("echo-server");
    return 1;
  }
  event.data.fd = listener;
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int count = epoll_wait(epoll, events, 256, -1);
    for (int index = 0; index < count; index++) {
      int fd = events[index].data.fd;
      if (fd == listener) {
        event.data.fd = accept(listener, NULL, NULL);
        epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
        continue;
      }
      ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
      if (got > 0) got = send(fd, bytes, got, MSG_NOSIGNAL);
      if (got <= 0) close(fd);
    }
  }
}
