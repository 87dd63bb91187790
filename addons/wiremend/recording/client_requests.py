"""What clients sent, keys included, in memory only: so that a call can be sent again.

A flow shows the request that went upstream, with `REDACTED` instead of the keys. Sent again, a call
begins as its client's request did, and the configuration in force decides what becomes of it. If a
user has edited the request, it is sent as it is shown, with the keys where they were.

A key is returned to the server only that it was sent to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from mitmproxy import http

from wiremend.call_record.load import load_record
from wiremend.call_record.schema import KeptRequest
from wiremend.protocols.registry import recognise
from wiremend.routing.providers import ProviderAddress
from wiremend.seam.flows import backup_of
from wiremend.secrets import REDACTED, is_secret_header, is_secret_parameter, redacted_credentials

REQUESTS_LIMIT = 1_000
"""How many requests are remembered; the oldest are forgotten."""
SIZE_LIMIT_BYTES = 64 * 2**20
"""The size of all remembered requests."""

type Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """One request as its client sent it."""

    method: str
    scheme: str
    host: str
    port: int
    authority: str
    path: str
    fields: Fields
    content: bytes | None
    """None: the record of the call has it."""
    started_at: float | None = None
    """The start of the call; a copy of its flow has it, too."""
    shown: int | None = None
    """The fingerprint of the request that the flow shows; None until the call has ended."""

    @classmethod
    def of(cls, request: http.Request) -> "ClientRequest":
        """Return this request."""
        return cls(
            method=request.method,
            scheme=request.scheme,
            host=request.host,
            port=request.port,
            authority=request.authority,
            path=request.path,
            fields=request.headers.fields,
            content=request.raw_content,
        )

    @classmethod
    def kept(cls, kept: KeptRequest) -> "ClientRequest | None":
        """Return a request from the record of a call; None if it is not whole."""
        url = urlsplit(kept.url)
        body = kept.body
        if not url.hostname or (body is not None and body.size > len(body.data)):
            return None
        return cls(
            method=kept.method,
            scheme=url.scheme,
            host=url.hostname,
            port=url.port or (443 if url.scheme == "https" else 80),
            authority="",
            path=(url.path or "/") + (f"?{url.query}" if url.query else ""),
            fields=tuple((n.encode("latin-1"), v.encode("latin-1")) for n, v in kept.headers),
            content=bytes(body.data) if body is not None else b"",
        )

    @property
    def server(self) -> tuple[str, str, int]:
        """What it was sent to."""
        return self.scheme, self.host.lower(), self.port

    @property
    def size_bytes(self) -> int:
        """What remembering it costs, about."""
        return len(self.path) + sum(map(len, sum(self.fields, ()))) + len(self.content or b"")

    def write_to(self, request: http.Request) -> None:
        """Overwrite a request with this one."""
        data = request.data
        data.host, data.port = self.host, self.port
        request.scheme, request.authority = self.scheme, self.authority
        request.method, request.path = self.method, self.path
        request.headers = http.Headers(self.fields)
        data.content = self.content


class ClientRequests:
    """The requests of the last calls by the id of their flow."""

    def __init__(self) -> None:
        self._requests: dict[str, ClientRequest] = {}
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._requests)

    def clear(self) -> int:
        """Forget all of them; return how many there were."""
        known = len(self._requests)
        self._requests.clear()
        self._size_bytes = 0
        return known

    def take(self, flow: http.HTTPFlow) -> None:
        """Remember the request of a call that begins, unless its key is missing."""
        request = flow.request
        if not redacted_credentials(request.headers.items(multi=True), request.path):
            self._put(flow.id, ClientRequest.of(request))

    def note_shown(self, flow: http.HTTPFlow) -> None:
        """Remember what the flow of a call shows at its end, and the body only if that has none."""
        known = self._requests.get(flow.id)
        if known is None:
            return
        record = load_record(flow.metadata)
        kept = record.client_request if record is not None else None
        has_body = kept is not None and kept.body is not None and kept.body.data == known.content
        self._put(
            flow.id,
            replace(
                known,
                content=None if has_body else known.content,
                started_at=record.started_at if record is not None else None,
                shown=_fingerprint(flow.request),
            ),
        )

    def copy(self, flow: http.HTTPFlow, duplicate: http.HTTPFlow) -> None:
        """Remember the request of a flow for its copy, which will have no record and no backup."""
        original = self._original(flow)
        if original is not None:
            unedited = backup_of(flow) or flow
            shown = original.shown or _fingerprint(unedited.request)
            self._put(duplicate.id, replace(original, shown=shown))

    def restore(self, flow: http.HTTPFlow, providers: Mapping[str, ProviderAddress]) -> None:
        """Make the request of a flow what its client sent.

        If a user has edited it, only its keys are filled in: those that the client sent to the same
        server, or that of the configured provider at this address. Redacted cookies are removed.
        """
        original = self._original(flow)
        if original is not None and not self._is_edited(flow, original):
            original.write_to(flow.request)
        _fill_in(flow.request, original, providers)

    def _original(self, flow: http.HTTPFlow) -> ClientRequest | None:
        """Return what the client of a flow sent, from memory, else without keys from its record."""
        record = load_record(flow.metadata)
        message = record.client_request if record is not None else None
        kept = ClientRequest.kept(message) if message is not None else None
        known = self._requests.get(flow.id)
        if known is None and record is not None and record.started_at is not None:
            same = (it for it in self._requests.values() if it.started_at == record.started_at)
            known = next(same, None)
        if known is None or known.content is not None:
            return known or kept
        content = kept.content if kept is not None else None
        return replace(known, content=content)

    def _is_edited(self, flow: http.HTTPFlow, original: ClientRequest) -> bool:
        if original.content is None:
            return True  # its body was dropped: what is shown is all there is
        if original.shown is not None:
            return _fingerprint(flow.request) != original.shown
        backup = backup_of(flow)
        return backup is not None and _fingerprint(backup.request) != _fingerprint(flow.request)

    def _put(self, flow_id: str, request: ClientRequest) -> None:
        if (before := self._requests.pop(flow_id, None)) is not None:
            self._size_bytes -= before.size_bytes
        self._requests[flow_id] = request
        self._size_bytes += request.size_bytes
        while len(self._requests) > REQUESTS_LIMIT or self._size_bytes > SIZE_LIMIT_BYTES:
            oldest = self._requests.pop(next(iter(self._requests)))
            self._size_bytes -= oldest.size_bytes


def _fingerprint(request: http.Request) -> int:
    return hash(
        (
            request.method,
            request.scheme,
            request.host,
            request.port,
            request.path,
            request.headers.fields,
            request.raw_content,
        )
    )


def _fill_in(
    request: http.Request,
    original: ClientRequest | None,
    providers: Mapping[str, ProviderAddress],
) -> None:
    """Replace what was redacted, where it is known."""
    server = (request.scheme, request.host.lower(), request.port)
    sent = original if original is not None and original.server == server else None
    keys = _keys_of_provider(request, providers) if sent is None else {}
    fields = []
    for name, value in request.headers.fields:
        lower = name.lower().decode("latin-1")
        if REDACTED.encode() in value and is_secret_header(lower):
            value = _sent_value(sent, name) or keys.get(lower, b"") or value
            if lower == "cookie" and REDACTED.encode() in value:
                continue
        fields.append((name, value))
    request.headers = http.Headers(fields)
    if sent is not None:
        request.path = _with_parameters(request.path, sent.path)


def _sent_value(sent: ClientRequest | None, name: bytes) -> bytes:
    fields = sent.fields if sent is not None else ()
    return next((value for other, value in fields if other.lower() == name.lower()), b"")


def _keys_of_provider(
    request: http.Request, providers: Mapping[str, ProviderAddress]
) -> dict[str, bytes]:
    """Return the headers of the configured provider that a request is addressed to."""
    server = (request.scheme, request.host.lower(), request.port)
    protocol = recognise(request.method, request.path, request.headers.get("content-type", ""))
    for provider in providers.values():
        url = urlsplit(provider.base_url)
        port = url.port or (443 if url.scheme == "https" else 80)
        if (url.scheme, (url.hostname or "").lower(), port) != server:
            continue
        keys = {name.lower(): value.encode() for name, value in provider.headers.items()}
        if protocol is not None and provider.api_key:
            header = protocol.key_header
            keys.setdefault(header.name.lower(), header.value(provider.api_key).encode())
        return keys
    return {}


def _with_parameters(path: str, sent_path: str) -> str:
    """Return a path whose redacted parameters are those of the path that was sent."""
    endpoint, mark, query = path.partition("?")
    sent = dict(_parameters(sent_path.partition("?")[2]))
    parts = [
        f"{name}={sent.get(name, value)}" if _is_redacted(name, value) else part
        for part, (name, value) in zip(query.split("&"), _parameters(query), strict=True)
    ]
    return endpoint + mark + "&".join(parts)


def _parameters(query: str) -> list[tuple[str, str]]:
    return [(part.partition("=")[0], part.partition("=")[2]) for part in query.split("&")]


def _is_redacted(name: str, value: str) -> bool:
    return value == REDACTED and is_secret_parameter(name)
