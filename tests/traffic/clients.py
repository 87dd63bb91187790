"""The clients: the official SDKs in their usual set-up, and raw clients that see every byte.

The SDKs are configured only with HTTPS_PROXY, SSL_CERT_FILE and a key; they use their default
base URLs. Their retries are off, so every repair is done by the proxy.
"""

import base64
import contextlib
import json
import os
import socket
import ssl
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h11
from wiremend.protocols.base.names import WireProtocol

from . import good
from .proxy import KEY, Proxy

_LIMIT_SECONDS = 20.0
_PROMPT = "Say hello."


@dataclass
class Outcome:
    """The result of a call, as the calling program sees it."""

    text: str = ""
    """All text received, also from a stream that failed later."""
    tool_calls: tuple[tuple[str, Any], ...] = ()
    finished: bool = False
    """Whether the answer had a stop reason, or the protocol's status for completion."""
    error_class: str = ""
    status: int | None = None
    message: str = ""
    request_id: str | None = None

    @property
    def succeeded(self) -> bool:
        """Complete and without an error."""
        return self.finished and not self.error_class


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set these environment variables and remove others that would redirect an SDK."""
    before = dict(os.environ)
    for name in before:
        if name.upper().endswith(("_PROXY", "_API_KEY", "_BASE_URL")):
            del os.environ[name]
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def behind(proxy: Proxy, trusted: Path | None = None) -> dict[str, str]:
    """Return what a user exports: the proxy, its certificate, and keys."""
    return {
        "HTTPS_PROXY": proxy.url,
        "SSL_CERT_FILE": str(trusted or proxy.ca_file),
        "ANTHROPIC_API_KEY": KEY,
        "OPENAI_API_KEY": KEY,
        "GEMINI_API_KEY": KEY,
    }


def complete(
    protocol: WireProtocol,
    stream: bool,
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    timeout_seconds: float = _LIMIT_SECONDS,
    outcome: Outcome | None = None,
) -> Outcome:
    """Make one small call with the official SDK of the protocol, in the current environment.

    `tools` are passed to the SDK unchanged. `outcome` can be read while the call is running.
    """
    if outcome is None:
        outcome = Outcome()
    try:
        _SDK_CALLS[protocol, stream](outcome, [dict(tool) for tool in tools], timeout_seconds)
    except Warning:
        raise  # pytest turns warnings into errors; the provider did not cause it
    except Exception as error:
        outcome.error_class = type(error).__name__
        outcome.status = getattr(error, "status_code", None) or getattr(error, "code", None)
        outcome.message = getattr(error, "message", None) or str(error)
        outcome.request_id = getattr(error, "request_id", None)
    return outcome


def _offered(tools: list[dict[str, Any]]) -> dict[str, Any]:
    return {"tools": tools} if tools else {}


def _arguments(text: str) -> Any:
    return json.loads(text) if text else {}


def _call_anthropic(outcome: Outcome, tools: list[dict[str, Any]], timeout: float) -> None:
    import anthropic

    with anthropic.Anthropic(max_retries=0, timeout=timeout) as client:
        message: Any = client.messages.create(
            model=good.MODELS[good.ANTHROPIC],
            max_tokens=64,
            messages=[{"role": "user", "content": _PROMPT}],
            **_offered(tools),
        )
    outcome.text = "".join(block.text for block in message.content if block.type == "text")
    _take_anthropic(outcome, message)


def _stream_anthropic(outcome: Outcome, tools: list[dict[str, Any]], timeout: float) -> None:
    import anthropic

    with (
        anthropic.Anthropic(max_retries=0, timeout=timeout) as client,
        client.messages.stream(
            model=good.MODELS[good.ANTHROPIC],
            max_tokens=64,
            messages=[{"role": "user", "content": _PROMPT}],
            **_offered(tools),
        ) as events,
    ):
        for event in events:
            if event.type == "text":
                outcome.text += event.text
        _take_anthropic(outcome, events.get_final_message())


def _take_anthropic(outcome: Outcome, message: Any) -> None:
    calls = [block for block in message.content if block.type == "tool_use"]
    outcome.tool_calls = tuple((block.name, block.input) for block in calls)
    outcome.finished = message.stop_reason is not None


def _call_chat(outcome: Outcome, tools: list[dict[str, Any]], timeout: float) -> None:
    import openai

    with openai.OpenAI(max_retries=0, timeout=timeout) as client:
        completion: Any = client.chat.completions.create(
            model=good.MODELS[good.CHAT],
            messages=[{"role": "user", "content": _PROMPT}],
            **_offered(tools),
        )
    choice = completion.choices[0]
    outcome.text = choice.message.content or ""
    outcome.tool_calls = tuple(
        (call.function.name, _arguments(call.function.arguments))
        for call in choice.message.tool_calls or ()
    )
    outcome.finished = choice.finish_reason is not None


def _stream_chat(outcome: Outcome, tools: list[dict[str, Any]], timeout: float) -> None:
    import openai

    calls: dict[int, list[str]] = {}
    with openai.OpenAI(max_retries=0, timeout=timeout) as client:
        chunks: Any = client.chat.completions.create(
            model=good.MODELS[good.CHAT],
            messages=[{"role": "user", "content": _PROMPT}],
            stream=True,
            **_offered(tools),
        )
        with chunks:
            for chunk in chunks:
                for choice in chunk.choices or ():
                    outcome.text += choice.delta.content or ""
                    for call in choice.delta.tool_calls or ():
                        name_and_text = calls.setdefault(call.index, ["", ""])
                        name_and_text[0] += call.function.name or ""
                        name_and_text[1] += call.function.arguments or ""
                    outcome.finished |= choice.finish_reason is not None
    outcome.tool_calls = tuple((name, _arguments(text)) for name, text in calls.values())


def _call_responses(outcome: Outcome, tools: list[dict[str, Any]], timeout: float) -> None:
    import openai

    with openai.OpenAI(max_retries=0, timeout=timeout) as client:
        response: Any = client.responses.create(
            model=good.MODELS[good.RESPONSES],
            input=_PROMPT,
            **_offered(tools),
        )
    outcome.text = response.output_text
    _take_response(outcome, response)


def _stream_responses(outcome: Outcome, tools: list[dict[str, Any]], timeout: float) -> None:
    import openai

    with openai.OpenAI(max_retries=0, timeout=timeout) as client:
        events: Any = client.responses.create(
            model=good.MODELS[good.RESPONSES],
            input=_PROMPT,
            stream=True,
            **_offered(tools),
        )
        with events:
            for event in events:
                if event.type == "response.output_text.delta":
                    outcome.text += event.delta
                elif event.type == "response.completed":
                    _take_response(outcome, event.response)
                elif event.type == "response.failed":  # for which the SDK raises nothing
                    outcome.error_class = "response.failed"
                    outcome.message = event.response.error.message


def _take_response(outcome: Outcome, response: Any) -> None:
    calls = [item for item in response.output if item.type == "function_call"]
    outcome.tool_calls = tuple((item.name, _arguments(item.arguments)) for item in calls)
    outcome.finished = response.status == "completed"


def _gemini_options(
    tools: list[dict[str, Any]], timeout: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    declared = {"tools": [{"function_declarations": tools}]} if tools else {}
    return {"http_options": {"timeout": int(timeout * 1000)}}, {"config": declared or None}


def _call_gemini(outcome: Outcome, tools: list[dict[str, Any]], timeout: float) -> None:
    from google import genai

    client_options, call_options = _gemini_options(tools, timeout)
    with genai.Client(**client_options) as client:
        response: Any = client.models.generate_content(
            model=good.MODELS[good.GEMINI], contents=_PROMPT, **call_options
        )
    _take_gemini(outcome, response)


def _stream_gemini(outcome: Outcome, tools: list[dict[str, Any]], timeout: float) -> None:
    from google import genai

    client_options, call_options = _gemini_options(tools, timeout)
    with genai.Client(**client_options) as client:
        for response in client.models.generate_content_stream(
            model=good.MODELS[good.GEMINI], contents=_PROMPT, **call_options
        ):
            _take_gemini(outcome, response)


def _take_gemini(outcome: Outcome, response: Any) -> None:
    for candidate in response.candidates or ():
        for part in (candidate.content and candidate.content.parts) or ():
            outcome.text += part.text or ""
            if part.function_call:
                call = (part.function_call.name, part.function_call.args)
                outcome.tool_calls = (*outcome.tool_calls, call)
        outcome.finished |= candidate.finish_reason is not None


_SDK_CALLS: dict[
    tuple[WireProtocol, bool], Callable[[Outcome, list[dict[str, Any]], float], None]
] = {
    (good.ANTHROPIC, False): _call_anthropic,
    (good.ANTHROPIC, True): _stream_anthropic,
    (good.CHAT, False): _call_chat,
    (good.CHAT, True): _stream_chat,
    (good.RESPONSES, False): _call_responses,
    (good.RESPONSES, True): _stream_responses,
    (good.GEMINI, False): _call_gemini,
    (good.GEMINI, True): _stream_gemini,
}


# Raw clients.


def basic(password: str, user: str = "wiremend") -> str:
    """Return the value of `proxy-authorization`."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


Fields = tuple[tuple[bytes, bytes], ...]


@dataclass
class RawResponse:
    """A complete response, and how it ended."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    ended: str
    """`complete`, `closed` (too early), `reset`, `stream reset` or `timeout`."""
    trailers: Fields = ()

    def header(self, name: str) -> str | None:
        """Return the value of a header."""
        wanted = name.lower().encode()
        return next((v.decode() for n, v in self.headers if n.lower() == wanted), None)


class RawCall(ABC):
    """One request on its own connection, whose response can be read in parts or cancelled.

    `through` is the proxy. With `tunnel`, the request goes through CONNECT and TLS to `host`;
    without it (reverse mode), as plain HTTP to the proxy itself.
    """

    def __init__(
        self,
        through: Proxy,
        host: str,
        *,
        tunnel: bool = True,
        trusted: Path | None = None,
        timeout_seconds: float = _LIMIT_SECONDS,
    ) -> None:
        self.host = host
        self._password = through.password
        self._deadline = time.monotonic() + timeout_seconds
        self._socket: socket.socket = socket.create_connection(
            ("127.0.0.1", through.port), timeout_seconds
        )
        self.certificate = b""
        """The server certificate, in DER."""
        try:
            if tunnel:
                self._connect(trusted or through.ca_file)
        except BaseException:
            self._socket.close()
            raise

    alpn: Sequence[str] = ()
    pause_seconds = 0.0
    """How long a slow client waits before each read."""

    def _connect(self, trusted: Path) -> None:
        authority = f"{self.host}:443"
        head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
        if self._password:
            head += f"Proxy-Authorization: {basic(self._password)}\r\n"
        self._socket.sendall(f"{head}\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = self._socket.recv(1)  # must not consume bytes of the TLS handshake
            if not data:
                raise ConnectionError("the proxy closed during CONNECT")
            answer += data
        if b" 200 " not in answer.split(b"\r\n")[0]:
            raise ConnectionError(answer.decode())
        context = ssl.create_default_context(cafile=trusted)
        context.set_alpn_protocols(list(self.alpn))
        self._socket = context.wrap_socket(
            self._socket, server_hostname=self.host, suppress_ragged_eofs=False
        )
        certificate = self._socket.getpeercert(True)
        assert isinstance(certificate, bytes)
        self.certificate = certificate

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | bytes] = {},
        body: bytes = b"",
        trailers: Mapping[str, str | bytes] = {},
    ) -> None:
        """Send the whole request; in HTTP/1.1 it is chunked if it has trailers."""

    @abstractmethod
    def response(self) -> RawResponse:
        """Read the response to its end, however it ends."""

    @abstractmethod
    def head(self) -> int:
        """Wait for the response's head, and return its status."""

    @abstractmethod
    def read_until(self, text: bytes) -> bytes:
        """Read until the body contains `text`; return the body so far.

        Raises AssertionError if the response ends first.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Cancel this request: reset the stream in HTTP/2, close the connection in HTTP/1.1."""

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def reset(self) -> None:
        """Reset the connection: a TCP RST."""
        linger = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()

    def _receive(self) -> tuple[bytes, str]:
        """Return bytes, or how the connection ended; received bytes do not extend the deadline."""
        time.sleep(self.pause_seconds)
        self._socket.settimeout(max(0.01, self._deadline - time.monotonic()))
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return b"", "timeout"
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b"", "closed"
        except ConnectionError:
            return b"", "reset"
        return data, "" if data else "closed"


def _as_bytes(fields: Mapping[str, str | bytes]) -> list[tuple[bytes, bytes]]:
    return [(n.encode(), v if isinstance(v, bytes) else v.encode()) for n, v in fields.items()]


class Http1Call(RawCall):
    """An HTTP/1.1 client built on h11."""

    alpn = ("http/1.1",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reset_state()

    def _reset_state(self) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._head: h11.Response | None = None
        self._body = bytearray()
        self._trailers: Fields = ()
        self._ended = ""

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | bytes] = {},
        body: bytes = b"",
        trailers: Mapping[str, str | bytes] = {},
    ) -> None:
        if self._ended == "complete":  # the next request on the same connection
            self._reset_state()
        fields: dict[str, str | bytes] = {"host": self.host, **headers}
        if trailers:
            fields["transfer-encoding"] = "chunked"
        elif body or method == "POST":
            fields["content-length"] = str(len(body))
        request = h11.Request(method=method, target=path, headers=_as_bytes(fields))
        data = self._http.send(request)
        if body:
            data = (data or b"") + (self._http.send(h11.Data(body)) or b"")
        end = self._http.send(h11.EndOfMessage(headers=_as_bytes(trailers))) or b""
        self._socket.sendall((data or b"") + end)

    def head(self) -> int:
        while self._head is None and not self._ended:
            self._step()
        assert self._head is not None, f"no head: {self._ended}"
        return self._head.status_code

    def read_until(self, text: bytes) -> bytes:
        while text not in self._body:
            assert not self._ended, f"{self._ended} after {bytes(self._body)!r}"
            self._step()
        return bytes(self._body)

    def response(self) -> RawResponse:
        while not self._ended:
            self._step()
        status = self._head.status_code if self._head else 0
        headers = tuple(self._head.headers.raw_items()) if self._head else ()
        return RawResponse(status, headers, bytes(self._body), self._ended, self._trailers)

    def cancel(self) -> None:
        self.close()

    def _step(self) -> None:
        try:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                data, ended = self._receive()
                if ended in ("reset", "timeout"):
                    self._ended = ended
                    return
                self._http.receive_data(data)
                return
        except h11.RemoteProtocolError:
            self._ended = "closed"
            return
        if isinstance(event, h11.Response):
            self._head = event
        elif isinstance(event, h11.Data):
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            self._trailers = tuple(event.headers.raw_items())
            self._ended = "complete"
        elif isinstance(event, h11.ConnectionClosed):
            self._ended = "closed"


class Http2Call(RawCall):
    """An HTTP/2 client built on h2. `send` opens a new stream each time; `stream` selects one."""

    alpn = ("h2",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        config = h2.config.H2Configuration(client_side=True, header_encoding=False)
        self._http = h2.connection.H2Connection(config)
        self._http.initiate_connection()
        self.stream = 0
        self._heads: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._trailers: dict[int, Fields] = {}
        self._ends: dict[int, str] = {}
        self._ended = ""

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | bytes] = {},
        body: bytes = b"",
        trailers: Mapping[str, str | bytes] = {},
    ) -> None:
        self.stream = self._http.get_next_available_stream_id()
        pseudo = {":method": method, ":scheme": "https", ":authority": self.host, ":path": path}
        fields = [*pseudo.items(), *((name.lower(), value) for name, value in headers.items())]
        if body:
            fields.append(("content-length", str(len(body))))
        self._http.send_headers(self.stream, fields, end_stream=not (body or trailers))
        if body:
            assert len(body) <= self._http.local_flow_control_window(self.stream)
            size = self._http.max_outbound_frame_size
            for start in range(0, len(body), size):
                last = start + size >= len(body) and not trailers
                self._http.send_data(self.stream, body[start : start + size], end_stream=last)
        if trailers:
            self._http.send_headers(self.stream, list(trailers.items()), end_stream=True)
        self._socket.sendall(self._http.data_to_send())
        self._bodies[self.stream] = bytearray()

    def head(self) -> int:
        while self.stream not in self._heads and not self._end():
            self._step()
        assert self.stream in self._heads, f"no head: {self._end()}"
        return int(dict(self._heads[self.stream])[b":status"])

    def read_until(self, text: bytes) -> bytes:
        body = self._bodies[self.stream]
        while text not in body:
            assert not self._end(), f"{self._end()} after {bytes(body)!r}"
            self._step()
        return bytes(body)

    def response(self) -> RawResponse:
        while not self._end():
            self._step()
        head = self._heads.get(self.stream, ((b":status", b"0"),))
        headers = tuple((name, value) for name, value in head if not name.startswith(b":"))
        status = int(dict(head)[b":status"])
        body, trailers = bytes(self._bodies[self.stream]), self._trailers.get(self.stream, ())
        return RawResponse(status, headers, body, self._end(), trailers)

    def cancel(self) -> None:
        self._http.reset_stream(self.stream, h2.errors.ErrorCodes.CANCEL)
        self._socket.sendall(self._http.data_to_send())

    def _end(self) -> str:
        return self._ends.get(self.stream, "") or self._ended

    def _step(self) -> None:
        data, ended = self._receive()
        if ended:
            self._ended = ended
            return
        for event in self._http.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self._heads[event.stream_id] = tuple(event.headers)
            elif isinstance(event, h2.events.TrailersReceived):
                self._trailers[event.stream_id] = tuple(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self._bodies[event.stream_id] += event.data
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self._ends[event.stream_id] = "complete"
            elif isinstance(event, h2.events.StreamReset):
                self._ends[event.stream_id] = "stream reset"
            elif isinstance(event, h2.events.ConnectionTerminated):
                self._ended = "closed"
        self._socket.sendall(self._http.data_to_send())


HTTP_VERSIONS: dict[str, type[RawCall]] = {"HTTP/1.1": Http1Call, "HTTP/2": Http2Call}


def model_call(
    proxy: Proxy,
    protocol: WireProtocol,
    stream: bool,
    *,
    http_version: str = "HTTP/1.1",
    headers: Mapping[str, str | bytes] = {},
    body: bytes | None = None,
    trailers: Mapping[str, str | bytes] = {},
    **options: Any,
) -> RawCall:
    """Send a small model call with a raw client. `options` as for RawCall."""
    call = HTTP_VERSIONS[http_version](proxy, good.HOSTS[protocol], **options)
    if body is None:
        body = json.dumps(good.request_body(protocol, stream)).encode()
    fields = {"content-type": "application/json", "authorization": f"Bearer {KEY}", **headers}
    call.send("POST", good.PATHS[protocol, stream], fields, body, trailers)
    return call
