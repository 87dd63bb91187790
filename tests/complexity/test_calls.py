"""The time of everything around a call grows linearly: seam, machine, errors, records, secrets."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from engine.test_call_machine import BLOCK_START, DELTA, GOOD, MESSAGE_START, Conversation
from fuzzing.targets import seeds
from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.proxy import commands
from mitmproxy.test import tflow
from seam.playbook import Playbook, playing
from seam.test_stream_layer import HEAD, LAST, call, chunk, plan_everything
from wiremend.adapt.lessons import LessonBook
from wiremend.call_record.load import load_record
from wiremend.call_record.schema import METADATA_KEY
from wiremend.clients import client_of
from wiremend.engine.actions import Head
from wiremend.engine.error_responses import (
    error_response,
    html_error,
    is_html,
    request_id_of,
    with_explained_message,
)
from wiremend.engine.retry import read_retry_after
from wiremend.engine.transport_errors import error_of_status
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.provider_error import error_from, make_error, read_error
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.protocols.registry import PROTOCOLS, recognise
from wiremend.repair.body import repair_body
from wiremend.routing.access import key_refusal
from wiremend.routing.fire_and_forget import FireAndForget
from wiremend.routing.match import Route, match_model
from wiremend.routing.model_lists import RoutedName, extend_model_list, is_model_list
from wiremend.routing.shape import CallShape
from wiremend.routing.token_counts import recognise_count
from wiremend.rules.rule import BodyPlace, Finding, Notes
from wiremend.seam.connections import in_one_write
from wiremend.seam.flow_record import record_findings
from wiremend.seam.flows import response_on_the_wire
from wiremend.targets.registry import traits_of
from wiremend.views.call_line import call_line
from wiremend.views.outcome import comment_of, summary_of
from wiremend.views.redaction import conceal, masked_record, secrets_of

from complexity.amplify import LISTS, MOST_CHANGES, SCALARS
from complexity.growth import Sizes, Work, assert_linear

pytestmark = pytest.mark.complexity

SIZES = Sizes(first=128, last=1 << 14, seconds=0.1)
BYTES = Sizes(first=1 << 12, last=1 << 21, seconds=0.06)
CHANGES = LISTS | SCALARS


# Bodies

BODIES = {
    str(protocol): (protocol, next(body for body in seeds(f"body-{protocol}") if body[:1] == b"{"))
    for protocol in PROTOCOLS
}


@pytest.mark.parametrize("variant", CHANGES)
@pytest.mark.parametrize("name", BODIES)
def test_repairing_a_body(name: str, variant: str) -> None:
    protocol, body = BODIES[name]
    context = StreamContext(
        model="m", shown_model="shown", tool_names_by_sent={"read_0123abcd": "read"}
    )

    def prepare(size: int) -> Work:
        data = CHANGES[variant](body, size)
        return lambda: repair_body(PROTOCOLS[protocol], data, context)

    assert_linear(prepare, replace(SIZES, last=1 << 15))


# Errors

ERRORS = {
    "envelope": b'{"error":{"type":"x","code":"y","message":"z","details":[{"retryDelay":"3s"}]}}',
    "bare": b'{"code":"x","message":"y","request_id":"z"}',
    "text": b'{"error":"x","message":"y"}',
    "wrapped": b'{"error":{"message":"{\\"message\\":\\"x\\"}","metadata":{"raw":"{}"}}}',
    "list": b'[{"error":{"message":"x"}}]',
    "unknown": b'{"type":"error","x":[{"a":1}]}',
}


@pytest.mark.parametrize("variant", MOST_CHANGES)
@pytest.mark.parametrize("name", ERRORS)
def test_reading_an_error(name: str, variant: str) -> None:
    def prepare(size: int) -> Work:
        body = CHANGES[variant](ERRORS[name], size)

        def work() -> None:
            error = error_of_status(Head(400), body)
            read_error(orjson.loads(body))
            for protocol in PROTOCOLS.values():
                error_response(protocol, error, host="h", attempts=1, head=None)
            with_explained_message(body, lambda message: message + " explained")

        return work

    assert_linear(prepare, replace(SIZES, last=1 << 17))


PAGES: dict[str, Callable[[int], bytes]] = {
    "titles": lambda n: b"<html>" + b"<title>" * (n // 7),
    "titles with attributes": lambda n: b"<html>" + b"<title a" * (n // 8),
    "an open title": lambda n: b"<html><title>" + b"a" * n,
    "a title of space": lambda n: b"<html><title>" + b" " * n + b"</title>",
    "ends": lambda n: b"<html><title>" + b"</title" * (n // 7),
    "brackets": lambda n: b"<html>" + b"<" * n,
    "space": lambda n: b" " * n + b"<html>",
}


@pytest.mark.parametrize("name", PAGES)
def test_reading_a_web_page(name: str) -> None:
    def prepare(size: int) -> Work:
        page = PAGES[name](size)

        def work() -> None:
            is_html(Head(502), page)
            html_error(Head(502), page, "h")

        return work

    assert_linear(prepare, BYTES)


MESSAGES = {
    "waits": "try again in ",
    "short waits": "try again in 1h2m3.5s ",
    "digits": "try again in 1" + "1" * 50,
    "models": "model ",
    "capitals": "aB",
    "spaces": " ",
    "brackets": '{"message":',
}


@pytest.mark.parametrize("name", MESSAGES)
def test_long_names_and_messages_of_errors(name: str) -> None:
    def prepare(size: int) -> Work:
        text = MESSAGES[name] * (size // len(MESSAGES[name]))

        def work() -> None:
            error_from({"message": text, "type": text, "code": text, "status": text})
            make_error(message=text, type=text, code=text)

        return work

    assert_linear(prepare, BYTES)


# Requests and their heads

PATH_UNITS = ["/v1/messages", "/models/", "/models/x:", ":generateContent", "%3a", "/", "?a=b&",
              "&key=abcdefghij", "/v1", "/responses", "/a%20"]  # fmt: skip


@pytest.mark.parametrize("end", ["", ":generateContent", "?", "/v1/messages", "/models"])
@pytest.mark.parametrize("unit", PATH_UNITS)
def test_long_paths(unit: str, end: str) -> None:
    def prepare(size: int) -> Work:
        path = "/v1beta/models/" + unit * (size // len(unit)) + end

        def work() -> None:
            recognise("POST", path, "application/json")
            recognise_count("POST", path)
            is_model_list("GET", path)
            FireAndForget(["/*/metrics", "/*/*/*"]).matches("POST", path)
            for protocol in PROTOCOLS.values():
                protocol.read_request(path, {})
                if protocol.model_in_path is not None:
                    protocol.model_in_path.read(path)
                    protocol.model_in_path.write(path, "m")

        return work

    assert_linear(prepare, BYTES)


def test_many_headers_and_long_ones() -> None:
    def prepare(size: int) -> Work:
        headers = [(f"x-{i}", "y") for i in range(size)] + [("user-agent", "codex" * size)]
        headers += [("origin", f"https://{i}.example") for i in range(size)]
        fields = tuple((name.encode(), value.encode()) for name, value in headers)
        head = Head(429, (*fields, (b"retry-after", b"1" * min(size, 4000))))

        def work() -> None:
            client_of(headers)
            key_refusal(headers, frozenset())
            request_id_of(head)
            read_retry_after(head, 0.0)
            head.without((b"x-1",))

        return work

    assert_linear(prepare, SIZES)


EMPTY = CallShape(RequestDocument.of(CHAT, "/", b"{}"), streaming=False)


def test_long_model_names_and_globs() -> None:
    routes = [Route("*a*b*c*d*"), Route("claude-*-[0-9]*"), Route("*" * 40 + "x")]

    def prepare(size: int) -> Work:
        def work() -> None:
            for unit in ("abcd", "claude-", "-", "a", "x"):
                model = unit * (size // len(unit))
                match_model(model, routes, lambda: EMPTY)
                LessonBook().of("p", model)
                for protocol in PROTOCOLS:
                    traits_of(protocol, "openrouter.ai", model)

        return work

    assert_linear(prepare, BYTES)


def test_a_long_list_of_models() -> None:
    def prepare(size: int) -> Work:
        body = orjson.dumps(
            {"object": "list", "data": [{"id": f"model-{i}", "x": [{}]} for i in range(size)]}
        )
        routed = [RoutedName(f"name-{i}", f"model-{i}") for i in range(size)]
        return lambda: extend_model_list(body, routed, Notes())

    assert_linear(prepare, SIZES)


# Secrets and records


def flow_with(size: int, *, headers: int = 1, body: int = 1, cookies: int = 1) -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    flow.request.headers = http.Headers(
        [(b"authorization", b"Bearer sk-secret-0123456789")]
        + [(b"x-api-key", b"secret-value-%d" % i) for i in range(headers)]
        + [(b"cookie", b"; ".join(b"name%d=value-of-%d" % (i, i) for i in range(cookies)))]
    )
    flow.request.path = "/v1/messages?" + "&".join(f"key=value-{i}-long" for i in range(headers))
    assert flow.response is not None
    flow.response.headers = http.Headers(
        [(b"set-cookie", b"session=secret-%d" % i) for i in range(headers)]
    )
    flow.request.content = flow.response.content = b"value-of-0123 text; " * body
    return flow


SECRETS = {
    "headers": {"headers": 1},
    "cookies": {"cookies": 1},
    "the body": {"body": 64},
    "headers and the body": {"headers": 1, "body": 4},
    "cookies and the body": {"cookies": 1, "body": 4},
}


@pytest.mark.parametrize("name", SECRETS)
def test_concealing_secrets(name: str) -> None:
    def prepare(size: int) -> Work:
        counts = {key: factor * size for key, factor in SECRETS[name].items()}
        flow = flow_with(size, **counts)

        def work() -> None:
            copy = flow.copy()
            conceal(copy, secrets_of(copy))
            assert copy.response is not None
            response_on_the_wire(copy.response)

        return work

    assert_linear(prepare, SIZES)


def test_a_record_with_many_findings() -> None:
    def prepare(size: int) -> Work:
        findings = [
            Finding("S101", BodyPlace(("a", i, "b")), "found " * 5, "done") for i in range(size)
        ]
        flow = tflow.tflow(resp=True)
        values = {f"secret-value-{i}" for i in range(8)}

        def work() -> None:
            record_findings(flow, request=findings, response=findings)
            flow.metadata[METADATA_KEY] = masked_record(flow.metadata[METADATA_KEY], values)
            record = load_record(flow.metadata)
            assert record is not None
            summary = summary_of(record)
            comment_of(record, summary)
            call_line("host/path", record, summary, {})

        return work

    assert_linear(prepare, SIZES)


@pytest.mark.parametrize("wrong", [None, 3, [], {"kind": "x"}])
def test_a_record_with_many_invalid_values(wrong: Any) -> None:
    def prepare(size: int) -> Work:
        metadata = {
            METADATA_KEY: {
                "version": 1,
                "response_findings": [
                    {"code": wrong, "found": wrong, "place": wrong} for _ in range(size)
                ],
                "attempts": [wrong] * size,
            }
        }
        return lambda: load_record(metadata)

    assert_linear(prepare, replace(SIZES, last=1 << 13))


def test_a_record_with_long_texts() -> None:
    def prepare(size: int) -> Work:
        record = {"detail": "secret-value " * size, "x": [{"y": "z" * size}]}
        values = {f"secret-value-{i}" for i in range(50)}
        return lambda: masked_record(record, values)

    assert_linear(prepare, replace(SIZES, last=1 << 19))


# The machine and the seam


def test_many_chunks_of_a_call() -> None:
    def prepare(size: int) -> Work:
        def work() -> None:
            conversation = Conversation()
            conversation.begin()
            conversation.body(0.0, MESSAGE_START + BLOCK_START)
            for number in range(size):
                conversation.body(number / 100, DELTA)
            conversation.body(1e6, GOOD[-300:])

        return work

    assert_linear(prepare, SIZES)


def test_many_chunks_of_a_body() -> None:
    def prepare(size: int) -> Work:
        def work() -> None:
            conversation = Conversation(streaming=False)
            conversation.begin(head=Head(200, ((b"content-type", b"application/json"),)))
            for _ in range(size):
                conversation.body(0.0, b" " * 500)
            conversation.body_end(0.0)

        return work

    assert_linear(prepare, SIZES)


def test_many_commands_are_joined() -> None:
    """TLS sends a large request in a command for each record."""
    server = Server(address=("example.com", 443))

    def prepare(size: int) -> Work:
        record = b"x" * 16384
        return lambda: list(
            in_one_write(iter([commands.SendData(server, record) for _ in range(size)]))
        )

    assert_linear(prepare, Sizes(first=64, last=1 << 13, seconds=0.3))


class Wire(Playbook):
    """A playbook that does not keep what is sent."""

    def _execute(self, command: commands.Command) -> None:
        if isinstance(command, commands.SendData):
            self.writes.append((command.connection, command.data))
        else:
            super()._execute(command)


def exchanged(reads: Callable[[int], list[bytes]], body: Callable[[int], bytes]) -> Any:
    def prepare(size: int) -> Work:
        request, response = call(body=body(size)), reads(size)
        parts = [request[start : start + 4096] for start in range(0, len(request), 4096)]

        def work() -> None:
            with playing(plan_everything) as original:
                book = Wire(original.layer.context.options, plan_everything)
                for part in parts:
                    book.client_sends(part)
                for data in response:
                    book.server_sends(data)
                assert book.hooks[-1] == "response"

        return work

    return prepare


STARTS = MESSAGE_START + BLOCK_START
END = chunk(GOOD[GOOD.index(b"event: content_block_stop") :]) + LAST
READS: dict[str, Callable[[int], list[bytes]]] = {
    "many reads": lambda n: [HEAD + chunk(MESSAGE_START + BLOCK_START), *[chunk(DELTA)] * n, END],
    "many chunks in a read": lambda n: [
        HEAD + chunk(MESSAGE_START + BLOCK_START) + chunk(DELTA) * n + END
    ],
    "chunks of a byte": lambda n: [
        b"".join([HEAD, *(chunk(bytes([one])) for one in STARTS + DELTA * (n // 99)), END])
    ],
    "a slow head": lambda n: [
        *[bytes([one]) for one in HEAD[:-2] + b"x-y: " + b"z" * n + b"\r\n\r\n"],
        chunk(GOOD) + LAST,
    ],
    "many headers": lambda n: [
        HEAD[:-2] + b"".join(b"x-%d: y\r\n" % i for i in range(n)) + b"\r\n" + chunk(GOOD) + LAST
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_responses_on_the_wire(name: str) -> None:
    sizes = replace(SIZES, last=1 << 12)  # mitmproxy or wiremend may refuse longer heads
    assert_linear(exchanged(READS[name], lambda _: b'{"model":"m","stream":true}'), sizes)


def test_a_large_request_on_the_wire() -> None:
    def body(size: int) -> bytes:
        return b'{"model":"m","stream":true,"x":"' + b"y" * size + b'"}'

    assert_linear(
        exchanged(lambda _: [HEAD + chunk(GOOD) + LAST], body),
        Sizes(first=1 << 16, last=1 << 24, seconds=0.2),
    )
