/* Requests at a fixed rate, whether or not answers keep up (open loop): what wrk and h2load cannot do.
 *
 * Arrivals are a Poisson process with a fixed seed, so that all contenders get the same bursts. Latency counts from the
 * moment a request was due, not from the moment it was sent: a stall of the proxy is paid by all requests that fell
 * due in it ("coordinated omission", Gil Tene). One thread, epoll, one request at a time on each connection.
 *
 * steady PORT CONNECTIONS REQUESTS_PER_SECOND REQUESTS
 * prints a latency in microseconds per line, and ends with 1 when a connection breaks or an answer is not a 200. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <math.h>
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

#define CONNECTIONS 1024
#define RESPONSE 4096

static const char request[] = "GET / HTTP/1.1\r\nHost: bench.example.com\r\n\r\n";

struct connection {
    int descriptor;
    size_t got;
    double due;
    char response[RESPONSE + 1];
};

static struct connection connections[CONNECTIONS];
static struct connection *idle[CONNECTIONS];
static int idle_count;

static void fail(const char *what) {
    fprintf(stderr, "steady: %s\n", what);
    exit(1);
}

/* Seconds on the monotonic clock. */
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void open_connection(int poller, struct connection *connection, uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection->descriptor, (struct sockaddr *)&address, sizeof address) < 0) fail("cannot connect");
    setsockopt(connection->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(poller, EPOLL_CTL_ADD, connection->descriptor, &event);
    idle[idle_count++] = connection;
}

static void send_request(struct connection *connection, double due) {
    connection->due = due;
    connection->got = 0;
    /* 46 bytes always fit into the empty send buffer of an idle connection. */
    if (send(connection->descriptor, request, sizeof request - 1, MSG_NOSIGNAL) < 0) fail("cannot send");
}

/* Take what has come; true when the response is whole. */
static int receive(struct connection *connection) {
    char *at = connection->response + connection->got;
    ssize_t count = recv(connection->descriptor, at, RESPONSE - connection->got, MSG_DONTWAIT);
    if (count <= 0) fail("a connection was closed, or a response is longer than 4096 bytes");
    connection->got += (size_t)count;
    connection->response[connection->got] = 0;
    const char *end = strstr(connection->response, "\r\n\r\n");
    if (end == NULL) return 0;
    if (strncmp(connection->response, "HTTP/1.1 200", 12) != 0) fail("an answer is not a 200");
    const char *length = strcasestr(connection->response, "\r\ncontent-length:");
    if (length == NULL || length > end) fail("a response has no Content-Length");
    return connection->got >= (size_t)(end + 4 - connection->response) + (size_t)atol(length + 17);
}

int main(int count, char **arguments) {
    if (count != 5) return 2;
    int opened = atoi(arguments[2]), requests = atoi(arguments[4]), sent = 0, done = 0, poller = epoll_create1(0);
    double rate = atof(arguments[3]);
    if (opened < 1 || opened > CONNECTIONS || requests < 1 || rate <= 0) return 2;
    float *latencies = calloc((size_t)requests, sizeof *latencies);
    /* The default slack of 50 µs on every wait would be most of the latency. */
    prctl(PR_SET_TIMERSLACK, 1);
    srand48(1);
    for (int i = 0; i < opened; i++) open_connection(poller, &connections[i], (uint16_t)atoi(arguments[1]));
    double due = now();
    while (done < requests) {
        double time = now();
        while (sent < requests && due <= time && idle_count > 0) {
            send_request(idle[--idle_count], due);
            sent++;
            due += -log(1 - drand48()) / rate;
        }
        /* With no connection idle or nothing left to send, only a response can change anything. */
        double wait = sent < requests && idle_count > 0 ? fmax(0, due - now()) : 10;
        struct timespec limit = {.tv_sec = (time_t)wait, .tv_nsec = (long)((wait - floor(wait)) * 1e9)};
        struct epoll_event events[64];
        int ready = epoll_pwait2(poller, events, 64, &limit, NULL);
        if (ready == 0 && wait == 10) fail("no answer for 10 seconds");
        time = now();
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!receive(connection)) continue;
            latencies[done++] = (float)((time - connection->due) * 1e6);
            idle[idle_count++] = connection;
        }
    }
    for (int i = 0; i < done; i++) printf("%.1f\n", (double)latencies[i]);
    return 0;
}
