"""Requests and responses: what their flows show, and what is on the wire."""

from dataclasses import dataclass

from mitmproxy import http

from wiremend.engine.content_coding import UndecodableBody, decode_whole
from wiremend.rules.routing import OutgoingRequest

DECODED_LIMIT_BYTES = 64 * 1024 * 1024
"""A coded body that is longer than this when it is decoded is not read."""


def body_of(message: http.Message) -> bytes | None:
    """A request's or response's body without its content codings, empty if there is none.

    None if it cannot be decoded: a coding is unknown, the body is not what the coding requires, or
    it expands too much. mitmproxy's `get_content` has no limits, and takes every codec of Python's
    for a content coding.
    """
    try:
        return decode_whole(
            message.headers.get("content-encoding", ""),
            message.raw_content or b"",
            DECODED_LIMIT_BYTES,
        )
    except UndecodableBody:
        return None


def replace_content(message: http.Message, body: bytes) -> None:
    """Give a message this body, without a content coding, and set its headers accordingly."""
    message.headers.pop("content-encoding", None)
    message.content = body


def outgoing_of(request: http.Request, provider: str, model: str) -> OutgoingRequest:
    """A request as its client wrote it, to be changed for where it shall go."""
    return OutgoingRequest(
        provider=provider,
        model=model,
        scheme=request.scheme,
        host=request.host,
        port=request.port,
        path=request.path,
        headers=tuple(request.headers.items(multi=True)),
        body=body_of(request) or b"",
    )


def address_request(request: http.Request, outgoing: OutgoingRequest) -> None:
    """Make a request that has not left yet the one that shall go out."""
    fields = [(name.encode(), value.encode()) for name, value in outgoing.headers]
    if request.is_http2:
        fields = [field for field in fields if field[0].lower() != b"host"]
    request.headers = http.Headers(fields)
    request.path = outgoing.path
    request.scheme = outgoing.scheme
    request.host = outgoing.host
    request.port = outgoing.port
    content = body_of(request)
    if content is not None and content != outgoing.body:
        replace_content(request, outgoing.body)


def ask_for_identity(request: http.Request) -> None:
    """Replace the content codings that a request accepts by `identity`.

    Nothing is added to a request without `accept-encoding`: servers then send no coding.
    """
    if "accept-encoding" in request.headers:
        request.headers["accept-encoding"] = "identity"


@dataclass
class _Hidden:
    """What a response has on the wire where its flow shows something else."""

    fields: list[tuple[bytes, bytes, bytes]]
    """Name, value shown, value on the wire; in the order of the head."""
    content: tuple[bytes | None, bytes | None]
    """The content shown, and the content on the wire."""


def show_response_as(
    response: http.Response, fields: list[tuple[bytes, bytes]], content: bytes | None
) -> None:
    """Let a flow show these headers and this content; its client gets what was there before.

    `fields` has the same names in the same order. What another addon changes later does count.
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
    """The response as its client shall get it; the same object where nothing is hidden."""
    hidden: _Hidden | None = response.__dict__.get("wiremend")
    if hidden is None:
        return response
    on_the_wire = response.copy()
    originals = list(hidden.fields)
    fields = []
    for name, value in response.headers.fields:
        found = next((one for one in originals if one[:2] == (name, value)), None)
        if found is not None:
            originals.remove(found)
        fields.append((name, found[2] if found else value))
    on_the_wire.headers = http.Headers(fields)
    shown, original = hidden.content
    if response.raw_content is shown:
        on_the_wire.data.content = original
    return on_the_wire


def forget_backup(flow: http.HTTPFlow) -> None:
    """Drop what a person's edit could be reverted to."""
    flow._backup = None
