"""Tests that real SDKs complete their calls through `mitmdump -s addons/` despite faults.

The retries of the SDKs are off. The tests check what a user sees (the answer or the error of the
SDK) and the number of requests to the provider.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import ConnectionFault, Framing, Reply, Script, Step
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import Outcome, complete, model_call
from traffic.conftest import ATTEMPTS
from traffic.proxy import Proxy

every_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)
every_kind = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])

MadeFor = Callable[[WireProtocol], Script]


def same_bytes(provider: ScriptedProvider) -> bool:
    """Return whether all requests to the provider are identical."""
    requests = [(r.method, r.path, r.headers, r.body) for r in provider.received]
    return all(request == requests[0] for request in requests)


def reset_after_json_head() -> Reply:
    """The head of a JSON answer, then a reset before its body."""
    headers = (*faults.JSON, ("content-length", "200"))
    return Reply("reset after head", (faults.head(200, headers, Framing.LENGTH), faults.reset))


def reset_inside_json(protocol: WireProtocol) -> Reply:
    """Half of a JSON answer, then a reset."""
    body = good.json_body(protocol)
    headers = (*faults.JSON, ("content-length", str(len(body))))
    first_half = faults.chunks([body[: len(body) // 2]])
    return Reply(
        "reset in body", (faults.head(200, headers, Framing.LENGTH), first_half, faults.reset)
    )


BROKEN: dict[str, MadeFor] = {
    "reset before head": lambda p: faults.reset_before_head(),
    "close before head": lambda p: faults.close_before_head(),
    "cut before head": lambda p: faults.cut_before_head(),
    "refused": lambda p: ConnectionFault.REFUSE,
    "TLS failure": lambda p: ConnectionFault.TLS_FAILURE,
    "reset on accept": lambda p: ConnectionFault.RESET,
    "429 with Retry-After": faults.rate_limited,
    "503": faults.unavailable,
    "529": faults.overloaded,
    "HTML 524": lambda p: faults.html_524(),
    "error inside 200": faults.error_inside_200,
}
BROKEN_STREAMS: dict[str, MadeFor] = {
    "reset after head": faults.reset_after_head,
    "close after head": faults.close_after_head,
    "empty stream": lambda p: faults.empty_stream(),
    **{
        f"wrapped error after {name}": lambda p, name=name: faults.wrapped_error_first(p, name)  # type: ignore[misc]
        for name in faults.PRECEDING
    },
}
BROKEN_BODIES: dict[str, MadeFor] = {
    "reset after head": lambda p: reset_after_json_head(),
    "reset in body": reset_inside_json,
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
@every_kind
@every_protocol
def test_a_call_that_fails_twice_completes(
    proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    stream: bool,
    fault: MadeFor,
) -> None:
    provider.script([fault(protocol), fault(protocol), faults.none(protocol, stream)])
    outcome = complete(protocol, stream)
    assert (outcome.text, outcome.finished, outcome.error_class) == (good.TEXT, True, "")
    assert same_bytes(provider)


@pytest.mark.parametrize("fault", BROKEN_STREAMS.values(), ids=BROKEN_STREAMS)
@every_protocol
def test_a_stream_that_fails_twice_before_its_content_completes(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, fault: MadeFor
) -> None:
    provider.script([fault(protocol), fault(protocol), faults.none(protocol)])
    outcome = complete(protocol, True)
    assert (outcome.text, outcome.finished, outcome.error_class) == (good.TEXT, True, "")
    assert (len(provider.received), same_bytes(provider)) == (3, True)


@pytest.mark.parametrize("fault", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
@every_protocol
def test_a_json_answer_that_breaks_twice_completes(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, fault: MadeFor
) -> None:
    provider.script([fault(protocol), fault(protocol), faults.none(protocol, False)])
    outcome = complete(protocol, False)
    assert (outcome.text, outcome.finished, outcome.error_class) == (good.TEXT, True, "")
    assert (len(provider.received), same_bytes(provider)) == (3, True)


@every_protocol
def test_a_tool_call_is_complete_after_two_failures(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    reset = faults.reset_after_head(protocol)
    provider.script([reset, reset, faults.streamed(good.tool_stream(protocol).events)])
    outcome = complete(protocol, True)
    assert (outcome.tool_calls, outcome.succeeded) == (good.TOOL_CALLS, True)


def test_refusals_are_real_refused_connections(proxy: Proxy, provider: ScriptedProvider) -> None:
    refuse = ConnectionFault.REFUSE
    provider.script([refuse, refuse, faults.none(good.ANTHROPIC)])
    assert complete(good.ANTHROPIC, True).succeeded
    assert (provider.refused, provider.connections) == (2, 1)


REQUEST_ID = "req_from_the_provider"
SDK_ERROR = {
    # protocol: the class that the SDK raises for status 500, and whether it shows a request id
    good.ANTHROPIC: ("InternalServerError", True),
    good.CHAT: ("InternalServerError", True),
    good.RESPONSES: ("InternalServerError", True),
    good.GEMINI: ("ServerError", False),
}


@pytest.mark.parametrize("preceded_by", faults.PRECEDING)
@every_protocol
def test_a_persistent_wrapped_error_becomes_an_error_of_the_sdk(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, preceded_by: str
) -> None:
    events = faults.PRECEDING[preceded_by](protocol)
    headers = (*faults.EVENT_STREAM, ("request-id", REQUEST_ID), ("x-request-id", REQUEST_ID))
    error = b"data: " + faults.WRAPPED_ERROR + b"\n\n"
    provider.script([faults.streamed((*events, error), headers)])
    outcome = complete(protocol, True)
    error_class, shows_request_id = SDK_ERROR[protocol]
    assert (outcome.error_class, outcome.status, outcome.text) == (error_class, 500, "")
    assert good.HOSTS[protocol] in outcome.message
    assert outcome.request_id == (REQUEST_ID if shows_request_id else None)
    assert (len(provider.received), same_bytes(provider)) == (ATTEMPTS, True)


LASTING: dict[str, tuple[MadeFor, int]] = {
    "429 with Retry-After": (faults.rate_limited, 429),
    "503": (faults.unavailable, 503),
    "529": (faults.overloaded, 529),
    "HTML 524": (lambda p: faults.html_524(), 524),
    "error inside 200": (faults.error_inside_200, 500),
}


@pytest.mark.parametrize(("fault", "status"), LASTING.values(), ids=LASTING)
@every_kind
@every_protocol
def test_a_persistent_error_keeps_its_status(
    proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    stream: bool,
    fault: MadeFor,
    status: int,
) -> None:
    provider.script([fault(protocol)])
    outcome = complete(protocol, stream)
    assert (outcome.status, outcome.text) == (status, "")
    assert outcome.message
    assert "<html" not in outcome.message
    assert (len(provider.received), same_bytes(provider)) == (ATTEMPTS, True)


@pytest.mark.parametrize("fault", ["reset before head", "refused", "TLS failure"])
@every_kind
@every_protocol
def test_a_persistent_connection_failure_becomes_an_error_of_the_sdk(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, stream: bool, fault: str
) -> None:
    provider.script([BROKEN[fault](protocol)])
    outcome = complete(protocol, stream)
    error_class, _ = SDK_ERROR[protocol]
    assert (outcome.error_class, outcome.status) == (error_class, 502)
    assert good.HOSTS[protocol] in outcome.message
    assert provider.refused + provider.connections == ATTEMPTS


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413])
@every_protocol
def test_an_error_caused_by_the_request_is_forwarded_at_once(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, code: int
) -> None:
    error = faults.native_error(protocol, code, "invalid_request_error", "prompt is too long")
    provider.script([faults.status(code, error)])
    outcome = complete(protocol, True)
    assert (outcome.status, len(provider.received)) == (code, 1)
    assert "prompt is too long" in outcome.message


ERROR_MID_STREAM = {
    # The error of the SDK for an error event of its protocol.
    good.ANTHROPIC: "APIStatusError",
    good.CHAT: "APIError",
    good.RESPONSES: "response.failed",
    good.GEMINI: "ServerError",
}
MID_STREAM: dict[str, Step] = {
    "reset": faults.reset,
    "close": faults.close,
    "no terminal event": faults.end,
    "wrapped error": faults.wrapped_error,
}


def broken_mid_stream(protocol: WireProtocol, *fault: Step) -> Reply:
    """Half of the text, then the fault."""
    stream = good.text_stream(protocol)
    return faults.broken(stream, stream.places["mid_content"], *fault)


@pytest.mark.parametrize("fault", MID_STREAM.values(), ids=MID_STREAM)
@every_protocol
def test_a_failure_mid_stream_is_an_error_of_the_sdk_and_repeats_no_text(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, fault: Step
) -> None:
    outcome = Outcome()
    text_was_read = faults.wait_until(lambda: bool(outcome.text))
    provider.script([broken_mid_stream(protocol, text_was_read, fault), faults.none(protocol)])
    complete(protocol, True, outcome=outcome)
    assert outcome.error_class == ERROR_MID_STREAM[protocol]
    assert outcome.message
    assert good.TEXT.startswith(outcome.text)
    assert len(provider.received) == 1


@pytest.mark.parametrize("fault", MID_STREAM.values(), ids=MID_STREAM)
@every_protocol
def test_a_failure_mid_stream_ends_the_body_properly(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, fault: Step
) -> None:
    provider.script([broken_mid_stream(protocol, faults.stall, fault)])
    first = good.text_stream(protocol).events[0]
    with model_call(proxy, protocol, True) as call:
        call.read_until(first)
        provider.release()
        response = call.response()
    assert (response.status, response.ended) == (200, "complete")
    assert response.body.startswith(first)


@pytest.mark.parametrize("fault", MID_STREAM.values(), ids=MID_STREAM)
@every_protocol
def test_a_failure_read_together_with_content_is_retried_or_an_error(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, fault: Step
) -> None:
    """Depending on what one read contains, the client gets the answer or one error."""
    provider.script([broken_mid_stream(protocol, fault), faults.none(protocol)])
    outcome = complete(protocol, True)
    if len(provider.received) == 1:
        assert outcome.error_class == ERROR_MID_STREAM[protocol]
    else:
        assert (outcome.text, outcome.succeeded) == (good.TEXT, True)


AFTER_THE_END: dict[str, Callable[[WireProtocol], Reply]] = {
    "held open": faults.hold_open_after_end,
    "reset": faults.reset_after_end,
}


@pytest.mark.parametrize("fault", AFTER_THE_END.values(), ids=AFTER_THE_END)
@pytest.mark.parametrize("protocol", [p for p in good.PROTOCOLS if p is not good.GEMINI])
def test_a_stream_is_complete_with_its_terminal_event(
    proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    fault: Callable[[WireProtocol], Reply],
) -> None:
    provider.script([fault(protocol)])
    with model_call(proxy, protocol, True) as call:
        response = call.response()
    assert (response.body, response.ended) == (good.text_stream(protocol).data, "complete")
    assert len(provider.received) == 1


WITHOUT_TERMINAL_EVENT = {
    # The number of terminal events; Gemini has none, its last event has the finish reason.
    good.ANTHROPIC: 1,
    good.CHAT: 1,
    good.GEMINI: 0,
}
ENDS = {"clean end": faults.end, "close": faults.close, "reset": faults.reset}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("protocol", WITHOUT_TERMINAL_EVENT)
def test_a_stream_with_a_stop_reason_is_completed_however_it_ends(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, end: Step
) -> None:
    stream = good.text_stream(protocol)
    count = len(stream.events) - WITHOUT_TERMINAL_EVENT[protocol]
    provider.script([faults.broken(stream, count, end)])
    outcome = complete(protocol, True)
    assert (outcome.text, outcome.finished, outcome.error_class) == (good.TEXT, True, "")


def peak_memory_bytes(proxy: Proxy) -> int:
    """Return the peak resident memory of the proxy."""
    status = Path(f"/proc/{proxy.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) * 1024


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("coding", faults.CODINGS)
def test_an_answer_that_expands_too_much_is_an_error_and_uses_little_memory(
    proxy: Proxy, provider: ScriptedProvider, coding: str
) -> None:
    megabyte = 1024 * 1024
    provider.script([faults.expanding(good.ANTHROPIC, coding, 100 * megabyte)])
    before = peak_memory_bytes(proxy)
    with model_call(proxy, good.ANTHROPIC, True) as call:
        response = call.response()
    assert response.status == 502
    message = json.loads(response.body)["error"]["message"]
    assert re.search(rf"content coding '{coding}' expands .* \(limit: 150\)", message)
    assert len(provider.received) == ATTEMPTS
    assert peak_memory_bytes(proxy) - before < 40 * megabyte
