/* UDP: an endpoint that sends every datagram back, and clients that wait for theirs.
 *
 * datagrams echo PORT
 * datagrams load PORT CLIENTS BYTES WINDOW SECONDS
 *
 * Each client has a socket of its own and WINDOW datagrams on their way at once: a closed loop, so that nothing is lost for
 * want of room unless the relay loses it. A datagram that has not come back within half a second is lost and replaced.
 * The load prints the exchanges, the lost datagrams, and the seconds. Both use batches, so that they take little of
 * the core that they share. */
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

static int bound(uint16_t port, int room) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    return descriptor;
}

static void echo(uint16_t port) {
    int descriptor = bound(port, 16 << 20);
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            pieces[i] = (struct iovec){bytes[i], LARGEST};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &pieces[i], .msg_iovlen = 1};
        }
        int count = recvmmsg(descriptor, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++) pieces[i].iov_len = messages[i].msg_len;
        if (count > 0) sendmmsg(descriptor, messages, (unsigned)count, 0);
    }
}

int main(int count, char **arguments) {
    if (count == 3 && strcmp(arguments[1], "echo") == 0) echo((uint16_t)atoi(arguments[2]));
    if (count != 7 || strcmp(arguments[1], "load") != 0) return 2;
    static int sockets[CLIENTS], outstanding[CLIENTS];
    static double asked[CLIENTS];
    int clients = atoi(arguments[3]), size = atoi(arguments[4]), window = atoi(arguments[5]);
    int poller = epoll_create1(0);
    long exchanges = 0, lost = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[2]))};
    if (clients < 1 || clients > CLIENTS || size < 1 || size > LARGEST || window < 1 || window > BATCH) return 2;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    double began = now(), ends = began + atof(arguments[6]), looked = began;
    for (int i = 0; i < clients; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        sockets[i] = bound(0, 1 << 20);
        if (connect(sockets[i], (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
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
