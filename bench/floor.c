// floor: what the write system calls of a case cost by themselves, without any server around them.
// 250 sockets on loopback, --joined messages of --bytes in each write, a pause of --pause-ms between
// rounds; prints the CPU time of the writing process for one message, in us.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SOCKETS = 250, BYTES_MAX = 1 << 20 };
static char bytes[BYTES_MAX];

static void read_all(struct sockaddr_in place) {
  int poll = epoll_create1(0);
  for (int i = 0; i < SOCKETS; i++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&place, sizeof place) < 0) _exit(2);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
  }
  for (;;) {
    struct epoll_event events[512];
    int count = epoll_wait(poll, events, 512, 1);
    for (int i = 0; i < count; i++)
      if (recv(events[i].data.fd, bytes, sizeof bytes, 0) == 0) _exit(0);
  }
}

static double micros(struct timeval t) { return t.tv_sec * 1e6 + t.tv_usec; }
static double cpu(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return micros(used.ru_utime) + micros(used.ru_stime);
}
static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int count, char **args) {
  int size = 200, joined = 1, pause_ms = 0;
  double limit = 2;
  for (int i = 1; i + 1 < count; i += 2) {
    if (!strcmp(args[i], "--bytes")) size = atoi(args[i + 1]);
    if (!strcmp(args[i], "--joined")) joined = atoi(args[i + 1]);
    if (!strcmp(args[i], "--pause-ms")) pause_ms = atoi(args[i + 1]);
    if (!strcmp(args[i], "--seconds")) limit = atof(args[i + 1]);
  }
  if (size * joined > BYTES_MAX) return 2;
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, fds[SOCKETS];
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof place;
  if (bind(listener, (void *)&place, sizeof place) < 0 || listen(listener, SOCKETS) < 0) return 2;
  getsockname(listener, (void *)&place, &length);
  if (fork() == 0) read_all(place);
  for (int i = 0; i < SOCKETS; i++) {
    fds[i] = accept(listener, 0, 0);
    setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  double before = cpu(), end = seconds() + limit;
  long rounds = 0;
  for (; seconds() < end; rounds++) {
    for (int i = 0; i < SOCKETS; i++)
      if (write(fds[i], bytes, size * joined) < 0) return 2;
    if (pause_ms) usleep(pause_ms * 1000);
  }
  printf("%.3f\n", (cpu() - before) / rounds / SOCKETS / joined);
  return 0;
}
