/* Origins that take their time, to the microsecond: an event loop in Python is itself as late as the balancers it measures.
 *
 * Each answers every request with a small 200 after its time, however many it has: slow, not overloaded. One thread, epoll,
 * one request at a time on each connection.
 *
 * slow PORT MILLISECONDS [PORT MILLISECONDS ...]
 * serves until it is ended. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ORIGINS 16
#define DESCRIPTORS 4096

/* A response that is due. Those of one origin fall due in the order in which they were asked for. */
struct answer {
    int descriptor;
    uint32_t generation;
    int64_t due;
};

struct origin {
    int listener;
    int64_t takes;
    struct answer queue[DESCRIPTORS];
    unsigned first, last;
};

/* What is known of a connection: its origin, how often its descriptor was used, how much of a head's end has come. */
struct connection {
    struct origin *origin;
    uint32_t generation;
    int matched;
};

static struct origin origins[ORIGINS];
static struct connection connections[DESCRIPTORS];
static int origin_count, poller;
static char response[256];

static void fail(const char *what) {
    fprintf(stderr, "slow: %s\n", what);
    exit(1);
}

/* Nanoseconds on the monotonic clock. */
static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void watch(int descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event);
}

static void open_origin(uint16_t port, int64_t takes) {
    struct origin *origin = &origins[origin_count++];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    origin->takes = takes;
    origin->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(origin->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(origin->listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(origin->listener, (struct sockaddr *)&address, sizeof address) < 0) fail("cannot bind");
    if (listen(origin->listener, 1024) < 0) fail("cannot listen");
    watch(origin->listener);
}

static void accept_all(struct origin *origin) {
    int descriptor;
    while ((descriptor = accept4(origin->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (descriptor >= DESCRIPTORS) fail("too many connections");
        struct connection *connection = &connections[descriptor];
        *connection = (struct connection){.origin = origin, .generation = connection->generation + 1};
        watch(descriptor);
    }
}

/* Take what has come; each end of a head is a request, as none here has a body. */
static void receive(int descriptor) {
    static const char end[] = "\r\n\r\n";
    struct connection *connection = &connections[descriptor];
    char bytes[4096];
    ssize_t count = recv(descriptor, bytes, sizeof bytes, 0);
    if (count <= 0) {
        connection->generation++;
        close(descriptor);
        return;
    }
    for (ssize_t i = 0; i < count; i++) {
        connection->matched = bytes[i] == end[connection->matched] ? connection->matched + 1 : bytes[i] == '\r';
        if (connection->matched < 4) continue;
        connection->matched = 0;
        struct origin *origin = connection->origin;
        if (origin->last - origin->first == DESCRIPTORS) fail("too many requests");
        origin->queue[origin->last++ % DESCRIPTORS] =
            (struct answer){descriptor, connection->generation, now() + origin->takes};
    }
}

/* Send what is due; how long until the next is, in nanoseconds. */
static int64_t answer_due(void) {
    int64_t next = 1000000000;
    for (int i = 0; i < origin_count; i++) {
        struct origin *origin = &origins[i];
        for (; origin->first != origin->last; origin->first++) {
            const struct answer *answer = &origin->queue[origin->first % DESCRIPTORS];
            int64_t left = answer->due - now();
            if (left > 0) {
                if (left < next) next = left;
                break;
            }
            if (connections[answer->descriptor].generation == answer->generation)
                send(answer->descriptor, response, strlen(response), MSG_NOSIGNAL);
        }
    }
    return next;
}

int main(int count, char **arguments) {
    if (count < 3 || count % 2 == 0 || count / 2 > ORIGINS) return 2;
    /* The default slack of 50 µs on every wait would be added to each answer. */
    prctl(PR_SET_TIMERSLACK, 1);
    snprintf(response, sizeof response, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n%0100d", 0);
    poller = epoll_create1(0);
    for (int i = 1; i < count; i += 2)
        open_origin((uint16_t)atoi(arguments[i]), atoll(arguments[i + 1]) * 1000000);
    for (;;) {
        int64_t wait = answer_due();
        struct timespec limit = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
        struct epoll_event events[64];
        int ready = epoll_pwait2(poller, events, 64, &limit, NULL);
        for (int i = 0; i < ready; i++) {
            struct origin *origin = NULL;
            for (int j = 0; j < origin_count; j++)
                if (origins[j].listener == events[i].data.fd) origin = &origins[j];
            if (origin) accept_all(origin);
            else receive(events[i].data.fd);
        }
    }
}
