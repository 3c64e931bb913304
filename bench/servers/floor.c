// The floor: what the kernel asks for one message to many sockets, with as little around it as C allows. One send(2) for
// each socket and message, no coalescing. Speaks with the bench in lines on stdin and stdout.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 65536

static int clients[CLIENTS_MAX];
static int count = 0;
static int control = -1;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int listen_on_loopback(unsigned short *port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) || listen(fd, 4096)) fail("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &length)) fail("getsockname");
  *port = ntohs(address.sin_port);
  return fd;
}

// Reads an upgrade request and answers it. The clients of the bench do not look at the accept key.
static void accept_client(int listener) {
  static const char answer[] =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
  char request[4096];
  size_t have = 0;
  int one = 1;
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) fail("accept");
  if (count == CLIENTS_MAX) exit(1);
  do {
    ssize_t got = read(fd, request + have, sizeof request - 1 - have);
    if (got <= 0) {
      close(fd);
      return;
    }
    have += (size_t)got;
    request[have] = 0;
  } while (!strstr(request, "\r\n\r\n") && have < sizeof request - 1);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (write(fd, answer, sizeof answer - 1) < 0) fail("write");
  fcntl(fd, F_SETFL, O_NONBLOCK);
  clients[count++] = fd;
}

static void send_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      bytes += sent;
      length -= (size_t)sent;
    } else if (errno == EAGAIN) {
      struct pollfd full = {.fd = fd, .events = POLLOUT};
      poll(&full, 1, 1000);
    } else return;
  }
}

static double cpu_ms(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
}

static void run(long events, long burst, long window, const char *message) {
  static char frame[65536 + 4];
  size_t length = strlen(message), header = length < 126 ? 2 : 4;
  frame[0] = (char)0x81;
  if (header == 2) frame[1] = (char)length;
  else {
    frame[1] = 126;
    frame[2] = (char)(length >> 8);
    frame[3] = (char)length;
  }
  memcpy(frame + header, message, length);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  double before = cpu_ms();
  long acknowledged = 0, sent = 0;
  for (long bursts = 0; sent < events; bursts++) {
    for (long i = 0; i < burst; i++, sent++)
      for (int c = 0; c < count; c++) send_all(clients[c], frame, header + length);
    while (control >= 0 && bursts + 1 - acknowledged >= window) {
      char marks[4096];
      ssize_t got = read(control, marks, sizeof marks);
      if (got <= 0) break;
      acknowledged += got;
    }
  }
  printf("%.3f %.3f\n", now.tv_sec * 1e3 + now.tv_nsec / 1e6, cpu_ms() - before);
  fflush(stdout);
}

int main(void) {
  unsigned short port, control_port;
  int listener = listen_on_loopback(&port), control_listener = listen_on_loopback(&control_port);
  struct pollfd watched[] = {{.fd = 0, .events = POLLIN},
                             {.fd = listener, .events = POLLIN},
                             {.fd = control_listener, .events = POLLIN}};
  static char line[66000], message[65536];
  setvbuf(stdin, NULL, _IONBF, 0);
  printf("%u %u\n", port, control_port);
  fflush(stdout);
  for (;;) {
    if (poll(watched, 3, -1) < 0) fail("poll");
    if (watched[1].revents & POLLIN) accept_client(listener);
    if (watched[2].revents & POLLIN) {
      if (control >= 0) close(control);
      control = accept(control_listener, NULL, NULL);
    }
    if (watched[0].revents & (POLLIN | POLLHUP)) {
      long events, burst, window;
      if (!fgets(line, sizeof line, stdin)) return 0;
      if (sscanf(line, "%ld %ld %ld %65535[^\n]", &events, &burst, &window, message) == 4)
        run(events, burst, window, message);
    }
  }
}
