/* The load client of the bench: HTTP/1.1 calls on many connections to loopback, with one thread.

   usage: load OPTION=VALUE ...

   port         where to connect, on 127.0.0.1
   connect      HOST:PORT for a CONNECT request on each new connection; empty for none
   tls          the host name for TLS; empty for plain TCP
   request      a file with the bytes of the request, head and body
   connections  calls at the same time
   calls        how many calls to measure; 0 for as many as `seconds` allows
   seconds      no call starts after this time
   limit        seconds after which running calls are given up
   warmup       calls on each connection before the measurement
   fresh        1: a new connection for each call
   ramp         seconds over which the first calls start
   settled      if not 0: one call on each connection; so many seconds after all responses have
                begun, print "settled", measure events for `seconds`, and break off the calls
   marks        how often the mark has to occur in each response

   It prints "ready" when the warm-up is done, starts when it reads a line, and prints the result as
   JSON: times are nanoseconds. `first` is the time from the start of a call (with a new connection:
   from connecting) to its first mark, `total` to the end of its response, `event` from the time
   stamp in an event to its arrival. Certificates are not verified. */
#include "transport.h"

enum { MOST_EVENTS = 512, HEAD_LIMIT = 32768, READ_SIZE = 262144 };

typedef enum { CLOSED, IDLE, CONNECTING, TUNNEL_SEND, TUNNEL_READ, HANDSHAKE, SEND, HEAD, BODY } State;
typedef enum { LENGTH, CHUNKED, UNTIL_CLOSE } Framing;

typedef struct {
    int fd, watching_output, status, keeps_open, reused;
    SSL *ssl;
    State state;
    size_t sent, head_size;
    char *head;
    Framing framing;
    size_t body_left, body_size;
    Chunks chunks;
    int matched;
    uint64_t stamp;
    long marks, warm;
    uint64_t started;
    int measured, streams; /* whether its call counts; whether its response has begun */
} Connection;

typedef struct {
    uint64_t *values;
    size_t count, space;
} Series;

static struct {
    int port, connections, fresh;
    char connect[512], tls[256], request[4096];
    long calls, warmup, marks;
    double seconds, limit, ramp, settled;
} options = {.connections = 1, .seconds = 1, .limit = 60};

static Connection *connections;
static SSL_CTX *context;
static int poller, measuring, streaming, given_up;
static char *request, tunnel_request[1200], read_buffer[READ_SIZE];
static size_t request_size, tunnel_size;
static uint64_t begin, finish, settled_from, settled_until, started_calls, running, warming;
static uint64_t done, failed_calls, reconnects, body_bytes, all_marks;
static char first_problem[400];
static Series first_times, total_times, event_times;

static void issue(Connection *connection);
static void open_connection(Connection *connection);
static int send_again(Connection *connection);

static void record(Series *series, uint64_t value) {
    if (series->count == series->space) {
        series->space = series->space ? 2 * series->space : 4096;
        series->values = realloc(series->values, series->space * sizeof *series->values);
    }
    series->values[series->count++] = value;
}

static void watch(Connection *connection, int output) {
    if (connection->watching_output == output)
        return;
    connection->watching_output = output;
    struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0u),
                                .data.ptr = connection};
    epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event);
}

static void shut(Connection *connection) {
    if (connection->ssl) {
        SSL_shutdown(connection->ssl);
        SSL_free(connection->ssl);
        connection->ssl = NULL;
    }
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    connection->state = CLOSED;
}

static int may_start(void) {
    if (given_up)
        return 0;
    if (options.calls)
        return started_calls < (uint64_t)options.calls;
    return (double)(now_ns() - begin) < options.seconds * 1e9;
}

static void next_call(Connection *connection) {
    if (!measuring) {
        if (connection->warm < options.warmup)
            issue(connection);
        else
            warming--;
    } else if (may_start())
        issue(connection);
}

static void end_call(Connection *connection, const char *problem) {
    uint64_t now = now_ns();
    if (connection->streams) {
        connection->streams = 0;
        streaming--;
    }
    if (problem && !first_problem[0])
        snprintf(first_problem, sizeof first_problem, "%s; status %d, %ld marks: %.200s", problem,
                 connection->status, connection->marks, connection->head);
    if (!connection->measured)
        connection->warm++;
    else {
        running--;
        finish = now;
        if (problem)
            failed_calls++;
        else {
            done++;
            body_bytes += connection->body_size;
            all_marks += (uint64_t)connection->marks;
            record(&total_times, now - connection->started);
        }
    }
    if (problem || options.fresh || !connection->keeps_open)
        shut(connection);
    else
        connection->state = IDLE;
    if (failed_calls > 200)
        given_up = 1;
    next_call(connection);
}

static void take_mark(Connection *connection, uint64_t now) {
    if (settled_until)
        all_marks++;
    if (++connection->marks == 1) {
        if (connection->measured)
            record(&first_times, now - connection->started);
        connection->streams = 1;
        streaming++;
    }
    if (!connection->measured || !connection->stamp || connection->stamp > now)
        return;
    if (options.settled && !settled_until)
        return;
    record(&event_times, now - connection->stamp);
}

static void find_marks(Connection *connection, const char *data, size_t size, uint64_t now) {
    const char *end = data + size;
    connection->body_size += size;
    while (data < end) {
        if (!connection->matched && !(data = memchr(data, MARK[0], (size_t)(end - data))))
            return;
        char byte = *data++;
        if (connection->matched < MARK_LENGTH) {
            int expected = byte == MARK[connection->matched];
            connection->matched = expected ? connection->matched + 1 : byte == MARK[0];
            connection->stamp = 0;
        } else if (byte >= '0' && byte <= '9' &&
                   connection->matched < MARK_LENGTH + STAMP_DIGITS) {
            connection->stamp = connection->stamp * 10 + (uint64_t)(byte - '0');
            connection->matched++;
        } else {
            if (byte == ';' && connection->matched == MARK_LENGTH + STAMP_DIGITS)
                take_mark(connection, now);
            connection->matched = 0;
        }
    }
}

static void end_response(Connection *connection) {
    const char *problem = NULL;
    if (connection->status != 200)
        problem = "not a 200";
    else if (connection->marks != options.marks)
        problem = "events are missing";
    end_call(connection, problem);
}

static void take_body(Connection *connection, const char *data, size_t size, uint64_t now) {
    const char *end = data + size;
    switch (connection->framing) {
    case UNTIL_CLOSE:
        find_marks(connection, data, size, now);
        break;
    case LENGTH:
        if (size > connection->body_left)
            size = connection->body_left;
        find_marks(connection, data, size, now);
        connection->body_left -= size;
        if (!connection->body_left)
            end_response(connection);
        break;
    case CHUNKED:
        for (size_t length; (length = chunk_step(&connection->chunks, &data, end));) {
            find_marks(connection, data, length, now);
            data += length;
        }
        if (connection->chunks.state == CHUNK_DONE)
            end_response(connection);
    }
}

/* Return the number of bytes of `data` that belong to the head, or 0 if the head is incomplete. */
static size_t take_head(Connection *connection, const char *data, size_t size) {
    size_t before = connection->head_size, room = HEAD_LIMIT - 1 - before;
    size_t copied = size < room ? size : room;
    memcpy(connection->head + before, data, copied);
    connection->head_size += copied;
    connection->head[connection->head_size] = 0;
    char *end = strstr(connection->head, "\r\n\r\n");
    return end ? (size_t)(end + 4 - connection->head) - before : 0;
}

static void begin_body(Connection *connection) {
    const char *head = connection->head;
    const char *length = header(head, "content-length:"), *coding = header(head, "transfer-encoding:");
    const char *persistence = header(head, "connection:");
    sscanf(head, "HTTP/1.%*d %d", &connection->status);
    connection->keeps_open = !(persistence && strncasecmp(persistence, "close", 5) == 0);
    connection->chunks = (Chunks){0};
    connection->body_left = 0;
    connection->state = BODY;
    if (coding && strncasecmp(coding, "chunked", 7) == 0)
        connection->framing = CHUNKED;
    else if (length) {
        connection->framing = LENGTH;
        connection->body_left = strtoul(length, NULL, 10);
    } else {
        connection->framing = UNTIL_CLOSE;
        connection->keeps_open = 0;
    }
}

static void send_bytes(Connection *connection, const char *data, size_t size, State then) {
    int wants_write = 0;
    while (connection->sent < size) {
        ssize_t written = transport_write(connection->fd, connection->ssl, data + connection->sent,
                                          size - connection->sent, &wants_write);
        if (written == WOULD_BLOCK) {
            watch(connection, 1);
            return;
        }
        if (written <= 0) {
            if (!send_again(connection))
                end_call(connection, "the connection failed while the request was sent");
            return;
        }
        connection->sent += (size_t)written;
    }
    connection->sent = 0;
    connection->state = then;
    watch(connection, 0);
}

/* Send the request again if the server closed an idle connection at the moment when it was used, as
   all HTTP clients do. Return whether it is sent again. */
static int send_again(Connection *connection) {
    if (!connection->reused || connection->head_size)
        return 0;
    connection->reused = 0;
    connection->sent = 0;
    shut(connection);
    open_connection(connection);
    return 1;
}

static void shake_hands(Connection *connection) {
    int wants_write = 0, result = SSL_connect(connection->ssl);
    if (result == 1) {
        connection->state = SEND;
        send_bytes(connection, request, request_size, HEAD);
    } else if (tls_result(connection->ssl, result, &wants_write) == WOULD_BLOCK)
        watch(connection, wants_write);
    else
        end_call(connection, "the TLS handshake failed");
}

static void begin_request(Connection *connection) {
    connection->head_size = 0;
    if (!options.tls[0]) {
        connection->state = SEND;
        send_bytes(connection, request, request_size, HEAD);
        return;
    }
    static const unsigned char http1[] = "\x08http/1.1";
    connection->ssl = SSL_new(context);
    SSL_set_fd(connection->ssl, connection->fd);
    SSL_set_tlsext_host_name(connection->ssl, options.tls);
    SSL_set_alpn_protos(connection->ssl, http1, sizeof http1 - 1);
    connection->state = HANDSHAKE;
    shake_hands(connection);
}

static void on_connected(Connection *connection) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        end_call(connection, strerror(error));
        return;
    }
    watch(connection, 0);
    if (options.connect[0]) {
        connection->state = TUNNEL_SEND;
        send_bytes(connection, tunnel_request, tunnel_size, TUNNEL_READ);
    } else
        begin_request(connection);
}

static void open_connection(Connection *connection) {
    struct sockaddr_in address = loopback(options.port);
    reconnects++;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        fail("socket");
    prepare_socket(connection->fd);
    connection->state = CONNECTING;
    connection->watching_output = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = connection};
    epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        end_call(connection, "connecting failed");
}

static void issue(Connection *connection) {
    connection->measured = measuring > 0;
    connection->marks = connection->matched = 0;
    connection->status = 0;
    connection->body_size = connection->head_size = connection->sent = 0;
    connection->head[0] = 0;
    connection->started = now_ns();
    if (connection->measured) {
        started_calls++;
        running++;
    }
    connection->reused = connection->state == IDLE;
    if (connection->state == CLOSED)
        open_connection(connection);
    else {
        connection->state = SEND;
        send_bytes(connection, request, request_size, HEAD);
    }
}

static void take(Connection *connection, const char *data, size_t size) {
    uint64_t now = now_ns();
    if (connection->state == TUNNEL_READ || connection->state == HEAD) {
        size_t used = take_head(connection, data, size);
        if (!used)
            return;
        if (connection->state == TUNNEL_READ) {
            if (strncmp(connection->head, "HTTP/1.1 200", 12))
                end_call(connection, "CONNECT was refused");
            else
                begin_request(connection);
            return;
        }
        begin_body(connection);
        data += used;
        size -= used;
        if (connection->framing == LENGTH && !connection->body_left) {
            end_response(connection);
            return;
        }
    }
    if (connection->state == BODY && size)
        take_body(connection, data, size, now);
}

static void on_end(Connection *connection, ssize_t result) {
    if (connection->state == IDLE)
        shut(connection);
    else if (connection->state == BODY && connection->framing == UNTIL_CLOSE && result == ENDED)
        end_response(connection);
    else if (!send_again(connection))
        end_call(connection, "the connection ended early");
}

static void serve(Connection *connection, uint32_t events) {
    int wants_write;
    if (connection->state == CLOSED)
        return;
    if (connection->state == CONNECTING) {
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
            return;
        on_connected(connection);
    } else if (connection->state == HANDSHAKE)
        shake_hands(connection);
    else if (connection->state == SEND && (events & EPOLLOUT))
        send_bytes(connection, request, request_size, HEAD);
    else if (connection->state == TUNNEL_SEND && (events & EPOLLOUT))
        send_bytes(connection, tunnel_request, tunnel_size, TUNNEL_READ);
    int fd = connection->fd;
    /* an answer can complete in the loop, and the next call can start on another socket */
    while (connection->fd == fd && connection->state != CLOSED && connection->state != CONNECTING &&
           connection->state != HANDSHAKE) {
        ssize_t size = transport_read(connection->fd, connection->ssl, read_buffer, READ_SIZE,
                                      &wants_write);
        if (size == WOULD_BLOCK)
            return;
        if (size <= 0) {
            on_end(connection, size);
            return;
        }
        take(connection, read_buffer, (size_t)size);
    }
}

static void poll_once(int timeout_ms) {
    struct epoll_event events[MOST_EVENTS];
    int count = epoll_wait(poller, events, MOST_EVENTS, timeout_ms);
    for (int index = 0; index < count; index++)
        serve(events[index].data.ptr, events[index].events);
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void print_series(const char *name, Series *series) {
    static const double SHARES[] = {0.5, 0.9, 0.99, 1};
    static const char *const NAMES[] = {"p50", "p90", "p99", "max"};
    if (series->count)
        qsort(series->values, series->count, sizeof *series->values, compare);
    printf(", \"%s\": {\"count\": %zu", name, series->count);
    for (int index = 0; index < 4 && series->count; index++) {
        size_t place = (size_t)(SHARES[index] * (double)(series->count - 1) + 0.5);
        printf(", \"%s\": %llu", NAMES[index], (unsigned long long)series->values[place]);
    }
    putchar('}');
}

static void print_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        if ((unsigned char)*text >= ' ' && (unsigned char)*text < 127)
            putchar(*text);
        else
            fputs(*text == '\n' ? "\\n" : "?", stdout);
    }
    putchar('"');
}

static void print_result(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"done\": %llu, \"failed\": %llu, \"unfinished\": %llu, \"marks\": %llu, "
           "\"body_bytes\": %llu, \"connects\": %llu, \"elapsed\": %llu, \"cpu_seconds\": %.6f",
           (unsigned long long)done, (unsigned long long)failed_calls, (unsigned long long)running,
           (unsigned long long)all_marks, (unsigned long long)body_bytes,
           (unsigned long long)reconnects, (unsigned long long)(finish > begin ? finish - begin : 0),
           cpu);
    print_series("first", &first_times);
    print_series("total", &total_times);
    print_series("event", &event_times);
    fputs(", \"problem\": ", stdout);
    print_text(first_problem);
    puts("}");
    fflush(stdout);
}

static void warm_up(void) {
    uint64_t until = now_ns() + (uint64_t)(options.limit * 1e9);
    warming = (uint64_t)options.connections;
    for (int index = 0; index < options.connections; index++)
        next_call(&connections[index]);
    while (warming && now_ns() < until)
        poll_once(100);
    if (warming && !first_problem[0])
        strcpy(first_problem, "the warm-up took too long");
}

static void measure(void) {
    int started = 0;
    begin = finish = now_ns();
    measuring = 1;
    uint64_t until = begin + (uint64_t)(options.limit * 1e9);
    while ((started < options.connections || running) && now_ns() < until) {
        double passed = (double)(now_ns() - begin) / 1e9;
        while (started < options.connections &&
               passed * options.connections >= options.ramp * started) {
            Connection *connection = &connections[started++];
            if (may_start())
                issue(connection);
        }
        poll_once(started < options.connections || options.settled ? 1 : 100);
        if (!options.settled)
            continue;
        if (streaming < options.connections)
            settled_from = 0;
        else if (!settled_from)
            settled_from = now_ns() + (uint64_t)(options.settled * 1e9);
        if (!settled_until && settled_from && now_ns() >= settled_from) {
            begin = now_ns();
            settled_until = begin + (uint64_t)(options.seconds * 1e9);
            puts("settled");
            fflush(stdout);
        } else if (settled_until && now_ns() >= settled_until) {
            finish = now_ns();
            break;
        }
    }
    if (settled_until) {
        done = (uint64_t)streaming;
        running -= (uint64_t)streaming;
    } else if (options.settled && !first_problem[0])
        snprintf(first_problem, sizeof first_problem, "only %d calls were answered at once",
                 streaming);
}

static void read_option(const char *option) {
    const char *value = strchr(option, '=');
    if (!value++)
        fail(option);
#define TEXT(name)                                                                                 \
    if (strncmp(option, #name "=", sizeof #name) == 0) {                                           \
        snprintf(options.name, sizeof options.name, "%s", value);                                  \
        return;                                                                                    \
    }
#define NUMBER(name, parse)                                                                        \
    if (strncmp(option, #name "=", sizeof #name) == 0) {                                           \
        options.name = parse(value);                                                               \
        return;                                                                                    \
    }
    TEXT(connect) TEXT(tls) TEXT(request)
    NUMBER(port, atoi) NUMBER(connections, atoi) NUMBER(fresh, atoi)
    NUMBER(calls, atol) NUMBER(warmup, atol) NUMBER(marks, atol)
    NUMBER(seconds, atof) NUMBER(limit, atof) NUMBER(ramp, atof)
    NUMBER(settled, atof)
    fail(option);
}

int main(int argc, char **argv) {
    char line[16];
    for (int index = 1; index < argc; index++)
        read_option(argv[index]);
    set_up_process();
    FILE *file = fopen(options.request, "rb");
    if (!file)
        fail(options.request);
    fseek(file, 0, SEEK_END);
    request_size = (size_t)ftell(file);
    rewind(file);
    request = malloc(request_size + 1);
    if (fread(request, 1, request_size, file) != request_size)
        fail(options.request);
    tunnel_size = (size_t)snprintf(tunnel_request, sizeof tunnel_request,
                                   "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", options.connect,
                                   options.connect);
    context = tls_context(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)options.connections, sizeof *connections);
    for (int index = 0; index < options.connections; index++) {
        connections[index].fd = -1;
        connections[index].head = calloc(1, HEAD_LIMIT);
    }
    warm_up();
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 2;
    measure();
    print_result();
    return 0;
}
