"""Requests and responses: their documents, and what flows show instead of what is on the wire."""

import ipaddress
from collections import deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from operator import itemgetter

from mitmproxy import http

from wiremend.call_record.schema import METADATA_KEY
from wiremend.engine.actions import Respond
from wiremend.protocols.base.document import OutgoingRequest, RequestBody, RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.text.content_coding import UndecodableBody, decode_whole

_CODING = b"content-encoding"
_name_of = itemgetter(0)
DECODED_LIMIT_BYTES = 64 * 1024 * 1024
"""A coded body that is longer than this when it is decoded is not read."""


type Fields = Sequence[tuple[bytes, bytes]]
"""Header fields as mitmproxy stores them, in order."""


def body_of(message: http.Message) -> bytes | None:
    """Return a message's body without its content codings, empty if it has none.

    None if it cannot be decoded: a coding is unknown, the body is not what the coding requires, or
    it expands too much. mitmproxy's `get_content` has no limits, and accepts every Python codec
    as a content coding.
    """
    if not is_coded(message):
        return message.raw_content or b""
    try:
        return decode_whole(
            message.headers.get("content-encoding", ""),
            message.raw_content or b"",
            DECODED_LIMIT_BYTES,
        )
    except UndecodableBody:
        return None


def is_coded(message: http.Message) -> bool:
    """Return whether a message has a header with content codings."""
    return _CODING in map(bytes.lower, map(_name_of, message.headers.fields))


def copy_of[M: http.Message](message: M, fields: Fields | None = None) -> M:
    """Return a copy of a request or response, with these header fields unless they are None.

    mitmproxy validates each field of a new message. For a field that is None this raises and
    catches an exception, which keeps all frames of the stack, and the bodies in them, until the
    next garbage collection. This does not.
    """
    duplicate, data = _shallow_copy(message), _shallow_copy(message.data)
    data.headers = http.Headers(data.headers.fields if fields is None else fields)
    data.trailers = data.trailers and http.Headers(data.trailers.fields)
    duplicate.data = data
    return duplicate


def _shallow_copy[T](original: T) -> T:
    """Do what `copy.copy` does for an object without slots, in less time."""
    duplicate = object.__new__(type(original))
    duplicate.__dict__.update(original.__dict__)
    return duplicate


def replace_content(message: http.Message, body: bytes) -> None:
    """Set the body of a message, without a content coding, and the headers that describe it."""
    message.headers.pop("content-encoding", None)
    message.content = body


def content_of(request: http.Request) -> RequestBody:
    """Return the body of a request, to be parsed. It is empty if it cannot be decoded."""
    return RequestBody(body_of(request) or b"")


def document_of(
    request: http.Request, protocol: Protocol, content: RequestBody | None = None
) -> RequestDocument:
    """Return the document of a request; `content` is what `content_of` returned for it."""
    headers = tuple(
        [
            (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
            for name, value in request.headers.fields  # as mitmproxy decodes them
        ]
    )
    return RequestDocument(protocol, request.path, headers, content or content_of(request))


def outgoing_of(
    request: http.Request,
    protocol: Protocol,
    model: str = "",
    tls_name: str = "",
    content: RequestBody | None = None,
) -> OutgoingRequest:
    """Return the unchanged request of a client, as input of routing.

    `content` is what `content_of` returned for it. `tls_name` is the server name that TLS to the
    request's address verifies, if it is not that of the address. The `Host` header is the client's
    own words, and names nothing here.
    """
    return OutgoingRequest(
        provider=server_name(request, tls_name),
        model=model,
        scheme=request.scheme,
        host=request.host,
        port=request.port,
        document=document_of(request, protocol, content),
        tls_name=tls_name,
    )


def server_name(request: http.Request, tls_name: str = "") -> str:
    """Return the name for the server that this request is sent to: its host.

    An address without a name is called by the name that TLS verifies for it, if there is one.
    """
    return tls_name if tls_name and is_address(request.host) else request.host


def is_address(host: str) -> bool:
    """Whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def address_request(request: http.Request, outgoing: OutgoingRequest) -> None:
    """Overwrite `request` in place with `outgoing`.

    A body that is unchanged and goes to the address that the client chose keeps its bytes and its
    coding. Any other body is sent without a coding, which every server accepts. A body that cannot
    be decoded is never changed. Trailers are dropped if the body or the address changes.
    """
    content = body_of(request)
    is_elsewhere = _is_elsewhere(request, outgoing)
    if is_elsewhere:
        request.scheme, request.host, request.port = outgoing.scheme, outgoing.host, outgoing.port
    request.headers = http.Headers(_fields_of(request, outgoing))
    _set_body(request, outgoing, content, is_elsewhere=is_elsewhere)


def addressed_copy(request: http.Request, outgoing: OutgoingRequest) -> http.Request:
    """Return a copy of a request on which `address_request` was called."""
    if _is_elsewhere(request, outgoing):
        duplicate = copy_of(request)
        address_request(duplicate, outgoing)
    else:  # as for most calls: each list of headers costs time
        duplicate = copy_of(request, _fields_of(request, outgoing))
        _set_body(duplicate, outgoing, body_of(request), is_elsewhere=False)
    return duplicate


def _is_elsewhere(request: http.Request, outgoing: OutgoingRequest) -> bool:
    destination = (outgoing.scheme, outgoing.host, outgoing.port)
    return destination != (request.scheme, request.host, request.port)


def _fields_of(request: http.Request, outgoing: OutgoingRequest) -> Fields:
    """Return the header fields of `outgoing` for the HTTP version of `request`."""
    # mitmproxy decodes header fields in the same way, so this restores any bytes.
    fields = [
        (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape"))
        for name, value in outgoing.headers
    ]
    return (
        [field for field in fields if field[0].lower() != b"host"] if request.is_http2 else fields
    )


def _set_body(
    request: http.Request, outgoing: OutgoingRequest, content: bytes | None, *, is_elsewhere: bool
) -> None:
    """Set path and body of a request whose headers are those of `outgoing`.

    `content` is its body without content codings, None if it cannot be decoded.
    """
    request.path = outgoing.path
    is_changed = content is not None and content != outgoing.body
    if is_elsewhere or is_changed:
        request.trailers = None
    if is_changed or (is_elsewhere and content is not None and is_coded(request)):
        replace_content(request, outgoing.body)


def answer(flow: http.HTTPFlow, respond: Respond) -> None:
    """Set the flow's response, instead of the provider's; call it before the request is sent."""
    flow.request.stream = False  # mitmproxy cannot stream a request that already has a response
    flow.response = http.Response.make(
        respond.head.status, respond.body, http.Headers(respond.head.fields)
    )


def mark_direct(request: http.Request) -> None:
    """Record that this request is addressed to the forward proxy itself; see `is_direct`."""
    request.__dict__["wiremend_direct"] = True


def is_direct(request: http.Request) -> bool:
    """Whether this request was sent to a forward proxy as if the proxy were the server.

    By the `requestheaders` hook, mitmproxy has given such a request the destination in its Host
    header, so it can no longer be distinguished from others.
    """
    return "wiremend_direct" in request.__dict__


@dataclass
class _Hidden:
    """The parts of a response that differ between its flow and the wire."""

    fields: list[tuple[bytes, bytes, bytes]]
    """Name, value in the flow, value on the wire; in the order of the head."""
    content: tuple[bytes | None, bytes | None]
    """The content in the flow, and the content on the wire."""


def show_response_as(
    response: http.Response, fields: list[tuple[bytes, bytes]], content: bytes | None
) -> None:
    """Replace headers and content in the flow, but not in what the client receives.

    `fields` must have the same names in the same order. A value that another addon changes later is
    sent as changed.
    """
    before, original = response.headers.fields, response.raw_content
    pairs = zip(before, fields, strict=True)
    hidden = [(name, shown, value) for (name, value), (_, shown) in pairs if shown != value]
    if not hidden and content is original:
        return
    response.__dict__["wiremend"] = _Hidden(hidden, (content, original))
    response.headers = http.Headers(fields)
    response.data.content = content


def response_on_the_wire(response: http.Response) -> http.Response:
    """Return the response that the client receives; `response` itself if no part differs."""
    hidden: _Hidden | None = response.__dict__.get("wiremend")
    if hidden is None:
        return response
    on_the_wire = copy_of(response)
    originals: dict[tuple[bytes, bytes], deque[bytes]] = {}
    for name, shown_value, original_value in hidden.fields:
        originals.setdefault((name, shown_value), deque()).append(original_value)
    fields = []
    for name, value in response.headers.fields:
        same = originals.get((name, value))
        fields.append((name, same.popleft() if same else value))
    on_the_wire.headers = http.Headers(fields)
    shown, original = hidden.content
    if response.raw_content is shown:
        on_the_wire.data.content = original
    return on_the_wire


def drop_content(flow: http.HTTPFlow) -> None:
    """Drop what the flow shows of the request and the response; both peers still receive them.

    For a flow whose secrets cannot be removed. It stays dropped: see `is_dropped`. Call it only
    when the flow's request is not the object that is sent any more.
    """
    mark_dropped(flow)
    request, response = flow.request, flow.response
    request.headers = http.Headers()
    request.path = "/"
    request.trailers = None
    request.data.content = b""
    if response is not None:
        on_the_wire = response_on_the_wire(response)
        fields = [(name, b"", value) for name, value in on_the_wire.headers.fields]
        content = on_the_wire.raw_content
        # mitmproxy sends no body for a flow that shows an empty one.
        shown = b"not shown" if content else content
        response.__dict__["wiremend"] = _Hidden(fields, (shown, content))
        response.headers = http.Headers([(name, b"") for name, _, _ in fields])
        response.data.content = shown
    if flow.error is not None:
        flow.error.msg = "not shown"
    flow.comment = "Not shown: wiremend failed to remove the secrets of this flow."
    flow.metadata.pop(METADATA_KEY, None)
    forget_backup(flow)


def mark_dropped(flow: http.HTTPFlow) -> None:
    """Record that the flow's secrets cannot be removed, so that nothing of it may be kept."""
    flow.__dict__["wiremend_dropped"] = True


def is_dropped(flow: http.HTTPFlow) -> bool:
    """Whether nothing of this flow may be kept."""
    return "wiremend_dropped" in flow.__dict__


def mark_replayed(flow: http.HTTPFlow) -> None:
    """Record that the flow is answered from a recording, so that it is not recorded again."""
    flow.__dict__["wiremend_replayed"] = True


def is_replayed(flow: http.HTTPFlow) -> bool:
    """Whether the flow is answered from a recording."""
    return "wiremend_replayed" in flow.__dict__


def name_of(flow: http.HTTPFlow) -> str:
    """Return method, host and path for a line of the log; escaped, since the client chose them."""
    request = flow.request
    return ascii(f"{request.method} {request.pretty_host}{request.path.partition('?')[0]}"[:200])


def forget_backup(flow: http.HTTPFlow) -> None:
    """Drop the copy to which mitmweb can revert a user's edit."""
    flow._backup = None


def change_backup(flow: http.HTTPFlow, change: Callable[[http.HTTPFlow], None]) -> None:
    """Change the flow to which mitmweb can revert this one, if there is any."""
    if (backup := backup_of(flow)) is not None:
        change(backup)
        flow._backup = backup.get_state()


def backup_of(flow: http.HTTPFlow) -> http.HTTPFlow | None:
    """Return a copy of the flow to which mitmweb can revert this one; None if there is none."""
    if not flow._backup:
        return None
    backup: http.HTTPFlow = flow.copy()
    backup.set_state(deepcopy(flow._backup))
    return backup
