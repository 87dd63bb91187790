/* What the load client and the upstream server share: time, and bytes over TCP or TLS. */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Each delta contains this mark, followed by STAMP_DIGITS digits (the time at which the upstream
   server sent it, CLOCK_MONOTONIC in nanoseconds, or zeros) and a semicolon. */
#define MARK "@ns:"
#define MARK_LENGTH 4
#define STAMP_DIGITS 19

enum { WOULD_BLOCK = -1, FAILED = -2, ENDED = 0 };

static inline uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(2);
}

/* Allow as many sockets as the system permits, and report a closed one as an error. */
static inline void set_up_process(void) {
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static inline void prepare_socket(int socket_fd) {
    int on = 1;
    setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(socket_fd, F_SETFL, fcntl(socket_fd, F_GETFL) | O_NONBLOCK);
}

static inline struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline SSL_CTX *tls_context(const SSL_METHOD *method) {
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context)
        fail("SSL_CTX_new");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    return context;
}

static inline ssize_t tls_result(SSL *ssl, int result, int *wants_write) {
    int error = SSL_get_error(ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        *wants_write = error == SSL_ERROR_WANT_WRITE;
        return WOULD_BLOCK;
    }
    return error == SSL_ERROR_ZERO_RETURN ? ENDED : FAILED;
}

/* Each returns the number of bytes, ENDED, WOULD_BLOCK or FAILED. */
static inline ssize_t transport_read(int fd, SSL *ssl, void *data, size_t size, int *wants_write) {
    *wants_write = 0;
    if (ssl) {
        int result = SSL_read(ssl, data, (int)size);
        return result > 0 ? result : tls_result(ssl, result, wants_write);
    }
    ssize_t result = read(fd, data, size);
    if (result >= 0)
        return result;
    return errno == EAGAIN ? WOULD_BLOCK : FAILED;
}

static inline ssize_t transport_write(int fd, SSL *ssl, const void *data, size_t size,
                                      int *wants_write) {
    *wants_write = 0;
    if (ssl) {
        int result = SSL_write(ssl, data, size > 1 << 30 ? 1 << 30 : (int)size);
        return result > 0 ? result : tls_result(ssl, result, wants_write);
    }
    ssize_t result = write(fd, data, size);
    if (result >= 0)
        return result;
    if (errno != EAGAIN)
        return FAILED;
    *wants_write = 1;
    return WOULD_BLOCK;
}

/* Return the value of a header in a complete head, or NULL. `name` includes the colon. */
static inline const char *header(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, length) == 0) {
            const char *value = line + 2 + length;
            return value + strspn(value, " \t");
        }
    }
    return NULL;
}

/* Chunked coding: `chunk_step` consumes input and returns how many bytes of it are content. */
typedef struct {
    enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER, CHUNK_DONE } state;
    size_t left;
    size_t line; /* bytes of the trailer's current line */
} Chunks;

/* Consume from `*data` up to the next content; return its length, or 0 when all is consumed.
   The content stays at `*data`; the caller advances. */
static inline size_t chunk_step(Chunks *chunks, const char **data, const char *end) {
    while (*data < end && chunks->state != CHUNK_DONE) {
        char byte = **data;
        if (chunks->state == CHUNK_DATA) {
            size_t available = (size_t)(end - *data);
            size_t length = available < chunks->left ? available : chunks->left;
            chunks->left -= length;
            if (!chunks->left)
                chunks->state = CHUNK_END;
            return length;
        }
        ++*data;
        switch (chunks->state) {
        case CHUNK_SIZE:
            if (byte >= '0' && byte <= '9')
                chunks->left = chunks->left * 16 + (size_t)(byte - '0');
            else if ((byte | 32) >= 'a' && (byte | 32) <= 'f')
                chunks->left = chunks->left * 16 + (size_t)((byte | 32) - 'a' + 10);
            else if (byte == ';' || byte == ' ')
                chunks->state = CHUNK_EXTENSION;
            if (byte != '\n')
                break;
            /* fall through */
        case CHUNK_EXTENSION:
            if (byte == '\n') {
                chunks->state = chunks->left ? CHUNK_DATA : CHUNK_TRAILER;
                chunks->line = 0;
            }
            break;
        case CHUNK_END:
            if (byte == '\n')
                chunks->state = CHUNK_SIZE;
            break;
        case CHUNK_TRAILER:
            if (byte != '\r' && byte != '\n')
                chunks->line++;
            else if (byte == '\n') {
                if (!chunks->line)
                    chunks->state = CHUNK_DONE;
                chunks->line = 0;
            }
            break;
        default:
            break;
        }
    }
    return 0;
}

#endif
