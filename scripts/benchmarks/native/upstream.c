/* The scripted provider of the bench: HTTP/1.1 over TCP and TLS on loopback.

   usage: upstream CERTIFICATE KEY

   Prints "ready PLAIN_PORT TLS_PORT", then reads commands from its standard input and answers each
   with a line:

   play SUFFIX COUNT INTERVAL_NS DIRECTORY
       Answer requests whose path ends in SUFFIX with the bytes of the files `prologue`, COUNT times
       `delta`, and `epilogue` in DIRECTORY: at once if INTERVAL_NS is 0, otherwise one delta per
       interval, the first one with the prologue and the last one with the epilogue. In a paced
       answer, the digits after the mark in a delta are replaced by the time at which it is sent.
   stats
       "stats REQUESTS UNMATCHED": counts since the start.

   It ends when its standard input is closed. */
#include "transport.h"
#include <sys/timerfd.h>

enum { MOST_PLAYS = 16, MOST_EVENTS = 256, HEAD_LIMIT = 65536, READ_SIZE = 262144 };

typedef struct {
    char suffix[128];
    char *whole, *prologue, *delta, *epilogue;
    size_t whole_size, prologue_size, delta_size, epilogue_size, stamp;
    unsigned count;
    uint64_t interval;
} Play;

typedef struct Connection {
    int fd, handshaking, watching_output, in_body, gone;
    SSL *ssl;
    char *head;
    size_t head_size;
    int chunked;
    Chunks chunks;
    size_t body_left;
    const Play *play; /* of the answer that is being sent */
    unsigned sent_deltas;
    uint64_t started, due;
    long place; /* in the heap of timers, or -1 */
    char *out;
    size_t out_size, out_sent, out_space;
    const char *shared; /* the rest of a burst */
    size_t shared_left;
} Connection;

static Play *plays[MOST_PLAYS];
static int play_count, poller, timer;
static SSL_CTX *context;
static Connection **heap;
static long heap_size, heap_space;
static unsigned long requests, unmatched;
static char read_buffer[READ_SIZE];
static Connection *closed[MOST_EVENTS * 4];
static int closed_count;
static const char NOT_FOUND[] = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
static const char CONTINUE[] = "HTTP/1.1 100 Continue\r\n\r\n";

static char *file_content(const char *directory, const char *name, size_t *size) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *content = malloc(*size + 1);
    if (fread(content, 1, *size, file) != *size)
        fail(path);
    fclose(file);
    return content;
}

static void load_play(const char *suffix, unsigned count, uint64_t interval, const char *directory) {
    Play *play = calloc(1, sizeof *play);
    snprintf(play->suffix, sizeof play->suffix, "%s", suffix);
    play->count = count;
    play->interval = interval;
    play->prologue = file_content(directory, "prologue", &play->prologue_size);
    play->delta = file_content(directory, "delta", &play->delta_size);
    play->epilogue = file_content(directory, "epilogue", &play->epilogue_size);
    char *mark = memmem(play->delta, play->delta_size, MARK, MARK_LENGTH);
    play->stamp = mark ? (size_t)(mark - play->delta) + MARK_LENGTH : 0;
    play->whole_size = play->prologue_size + count * play->delta_size + play->epilogue_size;
    char *at = play->whole = malloc(play->whole_size + 1);
    at = mempcpy(at, play->prologue, play->prologue_size);
    for (unsigned number = 0; number < count; number++)
        at = mempcpy(at, play->delta, play->delta_size);
    memcpy(at, play->epilogue, play->epilogue_size);
    for (int index = 0; index < play_count; index++) {
        if (strcmp(plays[index]->suffix, suffix) == 0) {
            plays[index] = play; /* answers that are being sent keep the old one */
            return;
        }
    }
    if (play_count == MOST_PLAYS)
        fail("too many plays");
    plays[play_count++] = play;
}

static void heap_set(long place, Connection *connection) {
    heap[place] = connection;
    connection->place = place;
}

static void heap_lift(long place) {
    Connection *connection = heap[place];
    while (place && heap[(place - 1) / 2]->due > connection->due) {
        heap_set(place, heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    heap_set(place, connection);
}

static void heap_sink(long place) {
    Connection *connection = heap[place];
    for (;;) {
        long child = 2 * place + 1;
        if (child >= heap_size)
            break;
        if (child + 1 < heap_size && heap[child + 1]->due < heap[child]->due)
            child++;
        if (heap[child]->due >= connection->due)
            break;
        heap_set(place, heap[child]);
        place = child;
    }
    heap_set(place, connection);
}

static void heap_add(Connection *connection) {
    if (heap_size == heap_space) {
        heap_space = heap_space ? 2 * heap_space : 64;
        heap = realloc(heap, (size_t)heap_space * sizeof *heap);
    }
    heap[heap_size] = connection;
    heap_lift(heap_size++);
}

static void heap_remove(Connection *connection) {
    long place = connection->place;
    connection->place = -1;
    Connection *last = heap[--heap_size];
    if (last == connection)
        return;
    heap_set(place, last);
    heap_lift(place);
    heap_sink(last->place);
}

static void arm_timer(void) {
    struct itimerspec when = {0};
    if (heap_size) {
        when.it_value.tv_sec = (time_t)(heap[0]->due / 1000000000u);
        when.it_value.tv_nsec = (long)(heap[0]->due % 1000000000u);
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Freed after the current batch of events, which may still name the connection. */
static void drop(Connection *connection) {
    if (connection->gone)
        return;
    connection->gone = 1;
    if (connection->place >= 0)
        heap_remove(connection);
    if (connection->ssl)
        SSL_free(connection->ssl);
    close(connection->fd);
    free(connection->head);
    free(connection->out);
    if (closed_count < (int)(sizeof closed / sizeof *closed))
        closed[closed_count++] = connection;
}

static void watch(Connection *connection, int output) {
    if (connection->watching_output == output)
        return;
    connection->watching_output = output;
    struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0u),
                                .data.ptr = connection};
    epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event);
}

static void queue(Connection *connection, const char *data, size_t size) {
    if (connection->out_size + size > connection->out_space) {
        connection->out_space = 2 * (connection->out_size + size);
        connection->out = realloc(connection->out, connection->out_space);
    }
    memcpy(connection->out + connection->out_size, data, size);
    connection->out_size += size;
}

static void flush(Connection *connection) {
    int wants_write = 0;
    for (;;) {
        int from_queue = connection->out_sent < connection->out_size;
        const char *data = from_queue ? connection->out + connection->out_sent : connection->shared;
        size_t size =
            from_queue ? connection->out_size - connection->out_sent : connection->shared_left;
        if (!size)
            break;
        ssize_t written = transport_write(connection->fd, connection->ssl, data, size, &wants_write);
        if (written == WOULD_BLOCK) {
            watch(connection, 1);
            return;
        }
        if (written <= 0) {
            drop(connection);
            return;
        }
        if (from_queue)
            connection->out_sent += (size_t)written;
        else {
            connection->shared += written;
            connection->shared_left -= (size_t)written;
        }
    }
    connection->out_size = connection->out_sent = 0;
    watch(connection, 0);
}

static void send_delta(Connection *connection) {
    const Play *play = connection->play;
    size_t at = connection->out_size;
    queue(connection, play->delta, play->delta_size);
    if (play->stamp) {
        char digits[STAMP_DIGITS + 1];
        snprintf(digits, sizeof digits, "%0*llu", STAMP_DIGITS, (unsigned long long)now_ns());
        memcpy(connection->out + at + play->stamp, digits, STAMP_DIGITS);
    }
    if (++connection->sent_deltas == play->count)
        queue(connection, play->epilogue, play->epilogue_size);
    flush(connection);
}

static void send_due_deltas(void) {
    uint64_t now = now_ns();
    while (heap_size && heap[0]->due <= now) {
        Connection *connection = heap[0];
        send_delta(connection);
        if (connection->gone)
            continue;
        if (connection->sent_deltas >= connection->play->count)
            heap_remove(connection);
        else {
            connection->due =
                connection->started + connection->sent_deltas * connection->play->interval;
            heap_sink(0);
        }
    }
    arm_timer();
}

static void answer(Connection *connection, const char *path, size_t length) {
    requests++;
    for (int index = 0; index < play_count; index++) {
        const Play *play = plays[index];
        size_t suffix = strlen(play->suffix);
        if (suffix > length || memcmp(path + length - suffix, play->suffix, suffix))
            continue;
        connection->play = play;
        if (!play->interval || !play->count) {
            connection->shared = play->whole;
            connection->shared_left = play->whole_size;
            flush(connection);
            return;
        }
        connection->started = now_ns();
        connection->sent_deltas = 0;
        queue(connection, play->prologue, play->prologue_size);
        send_delta(connection);
        if (!connection->gone && play->count > 1) {
            connection->due = connection->started + play->interval;
            heap_add(connection);
            if (heap[0] == connection)
                arm_timer();
        }
        return;
    }
    unmatched++;
    fprintf(stderr, "no play for %.*s\n", (int)length, path);
    queue(connection, NOT_FOUND, sizeof NOT_FOUND - 1);
    flush(connection);
}

static void end_request(Connection *connection) {
    const char *path = strchr(connection->head, ' ');
    size_t length = path ? strcspn(path + 1, " ?\r\n") : 0;
    connection->in_body = 0;
    connection->head_size = 0;
    answer(connection, path ? path + 1 : "", length);
}

static void take_body(Connection *connection, const char *data, size_t size) {
    if (!connection->chunked) {
        connection->body_left -= size < connection->body_left ? size : connection->body_left;
        if (!connection->body_left)
            end_request(connection);
        return;
    }
    const char *end = data + size;
    for (size_t length; (length = chunk_step(&connection->chunks, &data, end));)
        data += length;
    if (connection->chunks.state == CHUNK_DONE)
        end_request(connection);
}

static void take(Connection *connection, const char *data, size_t size) {
    if (connection->in_body) {
        take_body(connection, data, size);
        return;
    }
    size_t before = connection->head_size, room = HEAD_LIMIT - 1 - before;
    size_t copied = size < room ? size : room;
    memcpy(connection->head + before, data, copied);
    connection->head_size += copied;
    connection->head[connection->head_size] = 0;
    char *end = strstr(connection->head, "\r\n\r\n");
    if (!end) {
        if (copied == room)
            drop(connection);
        return;
    }
    end[2] = 0; /* the head alone */
    size_t rest = size - ((size_t)(end + 4 - connection->head) - before);
    const char *length = header(connection->head, "content-length:");
    const char *coding = header(connection->head, "transfer-encoding:");
    const char *expectation = header(connection->head, "expect:");
    connection->chunked = coding && strncasecmp(coding, "chunked", 7) == 0;
    connection->chunks = (Chunks){0};
    connection->body_left = length ? strtoul(length, NULL, 10) : 0;
    connection->in_body = 1;
    if (expectation && strncasecmp(expectation, "100-", 4) == 0)
        queue(connection, CONTINUE, sizeof CONTINUE - 1);
    if (!connection->chunked && !connection->body_left)
        end_request(connection);
    else if (rest)
        take_body(connection, data + size - rest, rest);
}

static void serve(Connection *connection, uint32_t events) {
    int wants_write = 0;
    if (connection->gone)
        return;
    if (connection->handshaking) {
        int result = SSL_accept(connection->ssl);
        if (result != 1) {
            if (tls_result(connection->ssl, result, &wants_write) == WOULD_BLOCK)
                watch(connection, wants_write);
            else
                drop(connection);
            return;
        }
        connection->handshaking = 0;
        watch(connection, 0);
    }
    if (events & EPOLLOUT)
        flush(connection);
    while (!connection->gone) {
        ssize_t size = transport_read(connection->fd, connection->ssl, read_buffer, READ_SIZE,
                                      &wants_write);
        if (size == WOULD_BLOCK)
            return;
        if (size <= 0) {
            drop(connection);
            return;
        }
        take(connection, read_buffer, (size_t)size);
    }
}

static void accept_all(int listener, int secure) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        prepare_socket(fd);
        Connection *connection = calloc(1, sizeof *connection);
        connection->fd = fd;
        connection->place = -1;
        connection->head = malloc(HEAD_LIMIT);
        if (secure) {
            connection->ssl = SSL_new(context);
            SSL_set_fd(connection->ssl, fd);
            connection->handshaking = 1;
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static int start_listening(int *port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096))
        fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    return listener;
}

static void obey(char *line) {
    char suffix[128], directory[4096];
    unsigned count;
    unsigned long long interval;
    if (sscanf(line, "play %127s %u %llu %4095[^\n]", suffix, &count, &interval, directory) == 4) {
        load_play(suffix, count, interval, directory);
        puts("ok");
    } else if (strncmp(line, "stats", 5) == 0)
        printf("stats %lu %lu\n", requests, unmatched);
    else
        puts("unknown command");
    fflush(stdout);
}

static void read_commands(void) {
    static char line[8192];
    static size_t size;
    ssize_t got = read(STDIN_FILENO, line + size, sizeof line - size - 1);
    if (got <= 0)
        exit(0);
    size += (size_t)got;
    line[size] = 0;
    for (char *end; (end = strchr(line, '\n'));) {
        *end = 0;
        obey(line);
        size -= (size_t)(end + 1 - line);
        memmove(line, end + 1, size + 1);
    }
}

static int select_http1(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                        const unsigned char *in, unsigned in_size, void *unused) {
    static const unsigned char http1[] = "\x08http/1.1";
    (void)ssl, (void)unused;
    return SSL_select_next_proto((unsigned char **)out, out_size, http1, sizeof http1 - 1, in,
                                 in_size) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}

int main(int argc, char **argv) {
    static char plain_place, secure_place, timer_place, command_place;
    int plain_port, secure_port;
    struct epoll_event events[MOST_EVENTS];
    if (argc != 3) {
        fputs("usage: upstream CERTIFICATE KEY\n", stderr);
        return 2;
    }
    set_up_process();
    context = tls_context(TLS_server_method());
    SSL_CTX_set_alpn_select_cb(context, select_http1, NULL);
    if (SSL_CTX_use_certificate_chain_file(context, argv[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) != 1)
        fail("certificate");
    poller = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int plain = start_listening(&plain_port), secure = start_listening(&secure_port);
    int sources[] = {plain, secure, timer, STDIN_FILENO};
    char *places[] = {&plain_place, &secure_place, &timer_place, &command_place};
    for (int index = 0; index < 4; index++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = places[index]};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, sources[index], &event))
            fail("epoll_ctl");
    }
    printf("ready %d %d\n", plain_port, secure_port);
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poller, events, MOST_EVENTS, -1);
        for (int index = 0; index < count; index++) {
            void *place = events[index].data.ptr;
            if (place == &plain_place)
                accept_all(plain, 0);
            else if (place == &secure_place)
                accept_all(secure, 1);
            else if (place == &command_place)
                read_commands();
            else if (place == &timer_place)
                send_due_deltas();
            else
                serve(place, events[index].events);
        }
        while (closed_count)
            free(closed[--closed_count]);
    }
}
