/* TLS 1.3 handshakes, one after the other on each client, and nothing else: no request follows.
 *
 * handshakes PORT CLIENTS SECONDS full|resumed
 *
 * A handshake is over for the client when its first session ticket has come; only then has the server done all of its work.
 * The client then ends the connection in order (close_notify, FIN). "resumed" begins each handshake with the ticket of the one
 * before; the first of each client is full. The load prints the handshakes and the seconds.
 *
 * A thread for each client keeps the code straight; nobody measures what the load takes. Version, cipher and group come of
 * openssl.cnf and are checked. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 256

struct client {
    pthread_t thread;
    long handshakes;
    /* What the next handshake begins with, and whether this one's ticket has come. */
    SSL_SESSION *session;
    int has_ticket;
};

static struct client clients[CLIENTS];
static SSL_CTX *context;
static struct sockaddr_in address;
static int resumes;
static double end;

static void fail(const char *what) {
    fprintf(stderr, "handshakes: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* True when the session is kept and so is ours to free. */
static int take_ticket(SSL *connection, SSL_SESSION *session) {
    struct client *client = SSL_get_app_data(connection);
    client->has_ticket = 1;
    if (!resumes) return 0;
    SSL_SESSION_free(client->session);
    client->session = session;
    return 1;
}

static int connected(void) {
    struct timeval patience = {.tv_sec = 10};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0) fail("cannot connect");
    return descriptor;
}

static void shake_hands(struct client *client) {
    char byte;
    int descriptor = connected(), was_known = client->session != NULL;
    SSL *connection = SSL_new(context);
    SSL_set_app_data(connection, client);
    SSL_set_fd(connection, descriptor);
    SSL_set_tlsext_host_name(connection, "bench.example.com");
    if (was_known) SSL_set_session(connection, client->session);
    client->has_ticket = 0;
    if (SSL_connect(connection) != 1) fail("a handshake failed");
    if (SSL_read(connection, &byte, 1) > 0 || !client->has_ticket) fail("no session ticket came");
    if (SSL_session_reused(connection) != was_known) fail(was_known ? "a session was not resumed" : "nothing to resume");
    if (SSL_version(connection) != TLS1_3_VERSION || SSL_get_negotiated_group(connection) != NID_X25519 ||
        strcmp(SSL_get_cipher_name(connection), "TLS_AES_128_GCM_SHA256") != 0)
        fail("not the version, group or cipher of openssl.cnf");
    SSL_shutdown(connection);
    SSL_free(connection);
    close(descriptor);
    client->handshakes++;
}

static void *run(void *argument) {
    do shake_hands(argument);
    while (now() < end);
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 5) return 2;
    int opened = atoi(arguments[2]);
    if (opened < 1 || opened > CLIENTS) return 2;
    resumes = strcmp(arguments[4], "resumed") == 0;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    signal(SIGPIPE, SIG_IGN);
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) fail("no TLS");
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, take_ticket);
    /* A read then returns after a ticket, instead of waiting for an answer that nobody asked for. */
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    /* Takes the second ticket out of the socket as well: a socket closed with bytes unread sends a reset. */
    SSL_CTX_set_read_ahead(context, 1);
    double began = now();
    end = began + atof(arguments[3]);
    for (int i = 0; i < opened; i++)
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0) fail("no thread");
    long handshakes = 0;
    for (int i = 0; i < opened; i++) {
        pthread_join(clients[i].thread, NULL);
        handshakes += clients[i].handshakes;
    }
    printf("%ld %.6f\n", handshakes, now() - began);
    return 0;
}
