"""The seam: the only package that uses undocumented parts of mitmproxy.

mitmproxy sends a response head to the client as soon as the response may be streamed, and ends a
flow as soon as upstream fails. The seam therefore carries calls inside mitmproxy's HTTP layer:

    stream_layer.py       one call: `CallStream` replaces mitmproxy's `HttpStream` from the moment
                          when it would connect upstream; it passes events to a machine and executes
                          the machine's actions
    contained_stream.py   its base: internal faults end one call and no other
    request_stream.py     the base of that: a request before it is known whether it is a call
    faulty_stream.py      one call whose provider is made to fail on purpose
    injected_faults.py    the faults of its attempts
    call_options.py       what the addons request for a call, and the hook for it
    upstream_side.py      the attempts of a call
    client_side.py        the response of a call, as its client receives it
    http_clients.py       mitmproxy's HTTP clients, changed so that they do not lose calls
    fast/                 faster versions of hot spots of mitmproxy
    head_limits.py        bounds on the heads and trailers of responses
    http1_trailers.py     HTTP/1.1 messages with trailers, on both sides
    addon_hooks.py        hooks of our addons that do not raise
    connections.py        state that the calls of one client connection share
    connection_handler.py patches to the code that opens and reads those connections
    installation.py       installs and removes all of this
    flows.py              requests and responses: what flows show, and what is on the wire
    flow_record.py        writes the record of a call into its flow
    resent.py             calls that a user sends again
    stopping.py           ending the calls that run when the proxy stops
    shown/                what the screens of mitmproxy and mitmweb show
    process/              the process: its listener, memory, open files, event loop, loaded code

Requests that are not calls take mitmproxy's default path.

This is the contract with mitmproxy 12.2 and 12.3: the behaviour that the seam relies on. The names
are those of `mitmproxy/proxy/layers/http/__init__.py` unless another module is given. Every number
is mentioned in a file of `tests/seam` whose tests fail if the behaviour changes. They run with both
versions (`scripts/test --mitmproxy 12.2` for the older one).

 1. `HttpStream.make_server_connection` is called once, after the `request` hook, if no addon has
    set a response. If it returns False, `HttpStream` does nothing further with the request.
 2. `HttpLayer.make_stream` looks up `HttpStream` by its name in the module.
 3. `HttpLayer.streams` maps stream ids to layers, and events for an unknown id are dropped. Each
    attempt has a stream id of its own, so late events of an abandoned attempt have no effect. The
    id is negative, so it differs from every id of the client; HTTP/1 and HTTP/2 clients accept any
    integer.
 4. A command whose `blocking` is a layer does not pause the layer that yields it, and
    `HttpLayer.command_sources` routes the reply back to that layer. So a stream still receives
    events while it connects.
 5. `HttpLayer.get_connection(..., reuse=False)` opens a new connection.
 6. `RequestProtocolError` sent upstream closes an HTTP/1 connection and resets one HTTP/2 stream.
 7. `RequestWakeup` returns as `Wakeup` to the layer that yielded it, which every `HttpLayer` above
    it finds in `command_sources`.
 8. A `StartHook` that is defined outside mitmproxy is awaited like a built-in one and takes exactly
    one argument.
 9. `Proxyserver.connections` contains the connection handlers of the clients. The transport of each
    client has a task (`handler`) that reads from it.
10. A response that an addon may edit in the `response` hook is sent after the hook, in one
    `ResponseHeaders` event that is serialised at once. So a copy can be sent in its place.
11. `Flow._backup` contains the state to which mitmweb can revert a user's edit. It is saved with
    the flow.
12. While scripts load, the task `setup_servers` is about to bind. That is too late for the option
    `listen_host`, so the task is cancelled and repeated once scripts are loaded.
13. `HttpLayer._handle_event` receives one `DataReceived` for each network read and passes all
    events in it to the streams before it returns. Each `SendData` is one write.
14. `Http1Client` and `Http2Client` are looked up by their names in the module. `Http1Client`
    treats an interim response as the final one. `Http2Client` keeps requests beyond the server's
    stream limit in `stream_queue`, drops them when the connection closes, and closes the connection
    at every GOAWAY.
15. `ConnectionHandler` opens as many connections to one host as `max_conns` allows, and further
    ones wait. `handle_connection` removes a connection from `transports` after it has reported the
    end of the connection, and is cancelled when a write to that connection fails. `open_connection`
    raises AssertionError for a connection that has no peer any more.
16. In a forward proxy, `HttpStream.state_wait_for_request_headers` receives an HTTP/1 request in
    origin form without a host, takes the host from its Host header, and empties `authority` of
    every request before the `requestheaders` hook. `HttpLayer.mode` is `regular` or `upstream` only
    outside of CONNECT tunnels. `state_consume_request_body` receives the body of a request that is
    not streamed.
17. `Http1Server` is looked up by its name in the module. `read_headers` sets `body_reader` and then
    calls `read_body`, both as attributes of the connection. At the end of a chunked body with
    trailers, `read_body` raises NotImplementedError. `send` writes the end of a chunked body as one
    `SendData`, whatever the status of the response, and asserts that there are no trailers. The
    response is in `response` until `mark_done`. `HttpStream` stores trailers in the flow and sends
    them before the end of the message.
18. `Http1Connection.mark_done` sets `request` to None when both messages have ended and the
    connection can be used again.
19. `Headers.items(multi=True)` returns names and values in order, decoded as UTF-8 with
    `surrogateescape`.
20. An exception in a layer is logged and leaves the client's connection open. An exception in an
    addon's hook is logged, and the hook completes.
21. `HttpStream.send_response` sends the flow's response, calls the `response` hook and drops the
    stream, also when `make_server_connection` calls it and then returns False.
22. Inside a tunnel, `HttpLayer.get_connection` verifies the certificate of the tunnel's address for
    the server name in `context.server.sni`, else in the client's hello, else for the address. For
    any other address it verifies that address.
23. `Script.reloadtask` loads a script within itself, and then looks at its file each second: it
    loads the script again when the file has become newer, and removes it when there is no file.
    Cancelled, it does nothing further. `AddonManager.lookup` has every `Script` before it loads.
24. `Http1Connection.buf` is h11's `ReceiveBuffer`, and the readers of chunks and trailers use it
    too. The reader of a body with a length counts the bytes that are missing, in `_remaining`. The
    size of a head is not limited. `read_body` reports an `h11.ProtocolError` of a reader as a
    failure of the stream and closes the connection.
25. `Http2Client` closes the connection, with all its streams, when a decoded header block is longer
    than h2's `decoder.max_header_list_size`. h2 reads frames from `incoming_buffer`, which collects
    up to 64 CONTINUATION frames in `_headers_buffer`.
26. `HttpLayer.connections` keeps closed upstream connections and the layers behind them until the
    client disconnects. Each event of a connection is passed to the layer that is found there, and
    `ConnectionClosed` is the last one. Streams send to the connection in `context.server` only. If
    a connection leads through an upstream proxy, that proxy's connection has the same layer.
27. A failure to accept a connection is reported to the loop's exception handler, with the `socket`
    in its context, up to a hundred times a second. mitmproxy sets its handler before the `running`
    hook and removes it when the proxy ends.
28. `ConnectionHandler.handle_connection` reads no more while `drain_writers` waits for any peer of
    the client's connections to read. `transports` has the client's transport as `writer.transport`.
29. For a `ResponseProtocolError` with the code `KILL`, `Http1Server` closes the client's connection
    and `Http2Server` resets the stream. Both write no error, even before a head. `ClientTLSLayer`
    sends no close_notify when the connection is closed.
30. A `Wakeup` given to `ConnectionHandler.server_event`, whose result is awaitable in 12.3, reaches
    a stream in a tunnel if `command_sources` of every `HttpLayer` above it has its command: in
    `context.layers` of a stream, each of them is followed by its own stream.
31. `contentviews.registry.on_change` is sent when a view is replaced. The console connects
    `FlowDetails.contentview_changed` to it, which drops the texts in `_get_content_view`. The
    console's master has a `window`, the others have none.
32. The command `replay.client` makes a backup of the flow, sets `is_replay` to `request` and sends
    the flow's request through a `ReplayHandler`, whose stream has that flow as its own. It is over
    after the `response` or `error` hook, and its connections are closed. `Flow.revert` restores the
    backup.
33. `TlsConfig` has no `certstore` until its `running` hook, unless the user set `confdir`. It then
    calls `CertStore.from_store` with `confdir`, and an exception is logged with a traceback.
"""
