"""The seam: the one place that touches what mitmproxy does not document.

mitmproxy shows a response head to the client as soon as it may stream, and gives a flow up
as soon as upstream fails. So calls are carried here, one layer further in:

    stream_layer.py   one call: `MendedHttpStream` takes over from mitmproxy's `HttpStream` at the
                      moment it would connect upstream, lets a machine decide, and turns its
                      actions into mitmproxy's commands
    upstream.py       the HTTP clients, less what makes them lose a call
    http1_trailers.py HTTP/1.1 with trailers, on both sides
    connections.py    what the calls of one client connection share
    sockets.py        what opens and reads those connections
    installation.py   puts it all in place, and takes it back
    flows.py          requests and responses: what they show, and what is on the wire
    flow_record.py    what is recorded of a call, with its flow
    servers.py        what the proxy itself listens on

Everything else keeps to the original code path. What it relies on (mitmproxy 12.2 and 12.3,
`mitmproxy/proxy/layers/http/__init__.py`); each has a contract test in `tests/seam`, which run
with both versions (`scripts/test --mitmproxy 12.2` for the older one):

1. `HttpStream.make_server_connection` is called once, after the `request` hook, when no addon
   answered; returning False stops the original code.
2. `HttpLayer.make_stream` looks `HttpStream` up by its name in the module.
3. `HttpLayer.streams` maps stream ids to layers, and events for an unknown id are dropped.
   Each attempt gets a stream id of its own (negative, so never the client's), and late events
   of an abandoned attempt go nowhere; HTTP/1 and HTTP/2 clients take any integer.
4. A command whose `blocking` is a layer does not pause its sender, and its reply is routed back
   by `HttpLayer.command_sources`. So connecting does not make the stream deaf.
5. `HttpLayer.get_connection(..., reuse=False)` opens a fresh connection.
6. `RequestProtocolError` sent upstream closes an HTTP/1 connection and resets one HTTP/2 stream.
7. `RequestWakeup` comes back as `Wakeup` to the layer that asked.
8. A `StartHook` of ours is awaited like a built-in one and takes exactly one argument.
9. `Proxyserver.connections` holds the clients' connections, each with a task that reads from it.
10. A response that an addon may still edit in the `response` hook goes out after it, in one
    `ResponseHeaders` event, which is serialised at once; so a copy may go out in its place.
11. `Flow._backup` is what a person's edit in mitmweb can be reverted to, and is saved.
12. Scripts load while the task `setup_servers` is about to bind: one step too late for an option
    that names the address, so that task is cancelled and its work done once scripts are loaded.
13. `HttpLayer._handle_event` gets one `DataReceived` for each network read and hands everything
    that was in it to the streams before it returns; each `SendData` is one write.
14. `Http1Client` and `Http2Client` are looked up by their names in the module. HTTP/1's reads
    interim responses as final; HTTP/2's keeps requests beyond the server's stream limit in
    `stream_queue`, drops them when the connection closes, and closes it at every GOAWAY.
15. A `ConnectionHandler` opens as many connections to one host as its `max_conns` allows, and a
    further one waits. Its `handle_connection` takes a connection out of `transports` once its end
    was told, and is cancelled when a write to that connection fails. Its `open_connection` raises
    AssertionError for a connection that has no peer any more.
16. `HttpStream.state_wait_for_request_headers` of a forward proxy gets an HTTP/1 request in origin
    form without a host, takes the host from its Host header, and empties `authority` of every
    request before the `requestheaders` hook. `HttpLayer.mode` is `regular` or `upstream` only
    outside of CONNECT tunnels. `state_consume_request_body` gets the body of a request that is not
    streamed.
17. `Http1Server` is looked up by its name in the module. `read_headers` sets `body_reader` and then
    calls `read_body`, both looked up on the connection; at the end of a chunked body with trailers
    `read_body` raises NotImplementedError. `send` writes the end of a chunked body as one
    `SendData`, and asserts that it gets no trailers. `HttpStream` keeps trailers with the flow and
    sends them before the end of the message.
18. `Http1Connection.mark_done` sets `request` to None when both messages are over and the
    connection may be used again.
19. `Headers.items(multi=True)` has names and values in order, decoded as UTF-8 with
    `surrogateescape`.
20. An exception in a layer is logged and leaves the client's connection open; an exception in an
    addon's hook is logged, and the hook completes.
21. `HttpStream.send_response` sends the flow's response, calls the `response` hook and drops the
    stream, also when it is called by `make_server_connection`, which then returns False.
"""
