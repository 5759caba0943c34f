/* UDP: endpoints that send every datagram back, and clients that wait for theirs.
 *
 * datagrams echo PORT [ENDPOINTS]
 * datagrams load PORT CLIENTS BYTES WINDOW SECONDS
 * datagrams steady PORT CLIENTS BYTES RATE SECONDS
 * datagrams flows PORT FIRST COUNT
 *
 * The endpoints are 127.0.0.1, 127.0.0.2 and so on.
 *
 * Each client has a socket of its own and WINDOW datagrams on their way at once: a closed loop, so that nothing is lost for
 * want of room unless the relay loses it. A datagram that has not come back within half a second is lost and replaced.
 * The load prints the exchanges, the lost datagrams, and the seconds. All use batches, so that they take little of
 * the core that they share.
 *
 * `steady` sends RATE datagrams a second, whatever comes back, and waits a second for the last ones: it prints how many it
 * sent, and how many did not come back. `flows` sends one datagram from each of COUNT ports, of 127.1.0.1, 127.1.0.2 and so
 * on, the FIRST-th first: it prints how many came back within a second. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define LARGEST 2048
#define CLIENTS 4096
#define AT_ONCE 2000
/* From 10000 on, below those that the relay's own sockets take. */
#define PORTS 20000

static char bytes[BATCH][LARGEST];
static struct sockaddr_in peers[BATCH];
static struct iovec pieces[BATCH];
static struct mmsghdr messages[BATCH];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int bound(uint32_t ip, uint16_t port, int room) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    if (descriptor < 0) fail("socket");
    address.sin_addr.s_addr = htonl(ip);
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    return descriptor;
}

static void expect(void) {
    for (int i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){bytes[i], LARGEST};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &pieces[i], .msg_iovlen = 1};
    }
}

static void echo(uint16_t port, int endpoints) {
    int poller = epoll_create1(0);
    for (int i = 0; i < endpoints; i++) {
        struct epoll_event event = {.events = EPOLLIN};
        event.data.fd = bound(INADDR_LOOPBACK + (uint32_t)i, port, 16 << 20);
        epoll_ctl(poller, EPOLL_CTL_ADD, event.data.fd, &event);
    }
    for (;;) {
        struct epoll_event events[64];
        int ready = epoll_wait(poller, events, 64, -1);
        for (int e = 0; e < ready; e++) {
            expect();
            int count = recvmmsg(events[e].data.fd, messages, BATCH, MSG_DONTWAIT, NULL);
            for (int i = 0; i < count; i++) pieces[i].iov_len = messages[i].msg_len;
            if (count > 0) sendmmsg(events[e].data.fd, messages, (unsigned)count, 0);
        }
    }
}

static int connected(uint32_t ip, uint16_t port, const struct sockaddr_in *to) {
    int descriptor = bound(ip, port, 1 << 20);
    if (connect(descriptor, (const struct sockaddr *)to, sizeof *to) < 0) fail("connect");
    return descriptor;
}

/* What has come to these sockets, until `wanted` did or `ends`. */
static long drain(int poller, long wanted, double ends) {
    struct epoll_event events[256];
    long came = 0;
    do {
        double left = ends - now();
        int ready = epoll_wait(poller, events, 256, left > 0 ? (int)(left * 1000) : 0);
        for (int e = 0; e < ready; e++) {
            expect();
            int count = recvmmsg(events[e].data.fd, messages, BATCH, MSG_DONTWAIT, NULL);
            if (count > 0) came += count;
        }
    } while (came < wanted && now() < ends);
    return came;
}

static void steady(const struct sockaddr_in *to, int clients, int size, double rate, double seconds) {
    static int sockets[CLIENTS];
    int poller = epoll_create1(0);
    for (int i = 0; i < clients; i++) {
        struct epoll_event event = {.events = EPOLLIN};
        event.data.fd = sockets[i] = connected(INADDR_LOOPBACK, 0, to);
        epoll_ctl(poller, EPOLL_CTL_ADD, sockets[i], &event);
    }
    long sent = 0, came = 0;
    double began = now(), ends = began + seconds;
    for (double moment = began; moment < ends; moment = now()) {
        /* What is due, but never a burst: a load that was held up must not blame the relay for what comes at once. */
        long due = (long)((moment - began) * rate);
        for (int burst = 0; sent < due && burst < BATCH; burst++, sent++)
            if (send(sockets[sent % clients], bytes[0], (size_t)size, 0) < 0) fail("send");
        came += drain(poller, 0, moment + 0.0002);
    }
    came += drain(poller, sent - came, now() + 1);
    printf("%ld %ld\n", sent, sent - came);
}

static void flows(const struct sockaddr_in *to, long first, long count) {
    static int sockets[AT_ONCE];
    long came = 0;
    for (long flow = first; flow < first + count; flow += AT_ONCE) {
        int poller = epoll_create1(0), at_once = 0;
        long answered = 0;
        for (; at_once < AT_ONCE && flow + at_once < first + count; at_once++) {
            long number = flow + at_once;
            struct epoll_event event = {.events = EPOLLIN};
            uint32_t ip = 0x7f010001u + (uint32_t)(number / PORTS);
            event.data.fd = sockets[at_once] = connected(ip, (uint16_t)(10000 + number % PORTS), to);
            epoll_ctl(poller, EPOLL_CTL_ADD, sockets[at_once], &event);
            if (send(sockets[at_once], bytes[0], 64, 0) < 0) fail("send");
            if (at_once % BATCH == 0) answered += drain(poller, 0, now());
        }
        answered += drain(poller, at_once - answered, now() + 1);
        came += answered;
        for (int i = 0; i < at_once; i++) close(sockets[i]);
        close(poller);
    }
    printf("%ld\n", came);
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[2]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (count <= 4 && strcmp(arguments[1], "echo") == 0)
        echo((uint16_t)atoi(arguments[2]), count == 4 ? atoi(arguments[3]) : 1);
    if (count == 5 && strcmp(arguments[1], "flows") == 0) {
        flows(&address, atol(arguments[3]), atol(arguments[4]));
        return 0;
    }
    if (count == 7 && strcmp(arguments[1], "steady") == 0) {
        int clients = atoi(arguments[3]), size = atoi(arguments[4]);
        if (clients < 1 || clients > CLIENTS || size < 1 || size > LARGEST) return 2;
        steady(&address, clients, size, atof(arguments[5]), atof(arguments[6]));
        return 0;
    }
    if (count != 7 || strcmp(arguments[1], "load") != 0) return 2;
    static int sockets[CLIENTS], outstanding[CLIENTS];
    static double asked[CLIENTS];
    int clients = atoi(arguments[3]), size = atoi(arguments[4]), window = atoi(arguments[5]);
    int poller = epoll_create1(0);
    long exchanges = 0, lost = 0;
    if (clients < 1 || clients > CLIENTS || size < 1 || size > LARGEST || window < 1 || window > BATCH) return 2;
    double began = now(), ends = began + atof(arguments[6]), looked = began;
    for (int i = 0; i < clients; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        sockets[i] = connected(INADDR_LOOPBACK, 0, &address);
        epoll_ctl(poller, EPOLL_CTL_ADD, sockets[i], &event);
        for (int j = 0; j < window; j++) send(sockets[i], bytes[0], (size_t)size, 0);
        outstanding[i] = window;
        asked[i] = began;
    }
    while (now() < ends) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, 100);
        double moment = now();
        for (int e = 0; e < ready; e++) {
            int i = (int)events[e].data.u32;
            for (int j = 0; j < BATCH; j++) {
                pieces[j] = (struct iovec){bytes[j], LARGEST};
                messages[j].msg_hdr = (struct msghdr){.msg_iov = &pieces[j], .msg_iovlen = 1};
            }
            int came = recvmmsg(sockets[i], messages, BATCH, MSG_DONTWAIT, NULL);
            if (came <= 0) continue;
            exchanges += came;
            for (int j = 0; j < came; j++) pieces[j].iov_len = (size_t)size;
            sendmmsg(sockets[i], messages, (unsigned)came, 0);
            asked[i] = moment;
        }
        if (moment - looked < 0.1) continue;
        looked = moment;
        for (int i = 0; i < clients; i++) {
            if (moment - asked[i] < 0.5) continue;
            lost += outstanding[i];
            for (int j = 0; j < window; j++) send(sockets[i], bytes[0], (size_t)size, 0);
            asked[i] = moment;
        }
    }
    printf("%ld %ld %f\n", exchanges, lost, now() - began);
    return 0;
}
