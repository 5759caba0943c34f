/* The floor: a relay that looks at no byte. One thread, epoll, edge-triggered, one buffer.
 *
 * What any proxy must pay at least: two reads and two writes per exchange, one wait, and the kernel's loopback.
 * It connects to the origin as soon as a client connects and copies what comes until either side closes. It is a
 * yardstick and not a proxy: no timeouts, and a side that does not read makes the relay wait for it.
 *
 * floor LISTEN_PORT ORIGIN_PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DESCRIPTORS 65536
#define LISTENER UINT32_MAX

static int peer_of[DESCRIPTORS];
static char buffer[64 * 1024];

static struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void watch(int poller, int descriptor, uint32_t tag) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u32 = tag};
    epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event);
}

static void admit(int poller, int listener, const struct sockaddr_in *origin) {
    int one = 1, client;
    while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        int upstream = socket(AF_INET, SOCK_STREAM, 0);
        /* Blocking on purpose: loopback answers a connect at once. */
        if (upstream < 0 || upstream >= DESCRIPTORS || client >= DESCRIPTORS
            || connect(upstream, (const struct sockaddr *)origin, sizeof *origin) < 0) {
            perror("connect");
            exit(1);
        }
        setsockopt(upstream, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        peer_of[client] = upstream;
        peer_of[upstream] = client;
        watch(poller, client, (uint32_t)client);
        watch(poller, upstream, (uint32_t)upstream);
    }
}

/* Copy what has come; false when the pair is done. A read shorter than the buffer means that the socket is empty. */
static int copy(int from, int to) {
    ssize_t got;
    do {
        got = recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0) return errno == EAGAIN;
        for (ssize_t sent = 0, n; sent < got; sent += n) {
            n = send(to, buffer + sent, (size_t)(got - sent), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN) return 0;
            if (n < 0) {
                struct pollfd room = {.fd = to, .events = POLLOUT};
                poll(&room, 1, 1000);
                n = 0;
            }
        }
    } while (got == (ssize_t)sizeof buffer);
    return got > 0;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    struct sockaddr_in own = loopback(arguments[1]), origin = loopback(arguments[2]);
    int one = 1, poller = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&own, sizeof own) < 0 || listen(listener, 4096) < 0) {
        perror("bind");
        return 1;
    }
    watch(poller, listener, LISTENER);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            uint32_t tag = events[i].data.u32;
            if (tag == LISTENER) {
                admit(poller, listener, &origin);
                continue;
            }
            int from = (int)tag, to = peer_of[from];
            if (to == 0 || copy(from, to)) continue;
            close(from);
            close(to);
            peer_of[from] = peer_of[to] = 0;
        }
    }
}
