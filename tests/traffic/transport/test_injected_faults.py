"""Faults that are injected on purpose: with repairs, and without (`wiremend_off`)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from strategies import wire
from wiremend.call_record.outcomes import CallState
from wiremend.call_record.schema import CallRecord
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import RawCall, model_call
from traffic.conftest import SHARED
from traffic.proxy import Proxy

pytestmark = pytest.mark.long  # the short tier tests this kind in the core and through commands

ANTHROPIC, CHAT, GEMINI = good.ANTHROPIC, good.CHAT, good.GEMINI
CONFIGURATION = """
[breaker]
failures = 0

[retry]
budget = 0
attempts = 4
backoff_initial = 0.01
backoff_max = 0.05

[timeouts]
idle = 0.5
first_byte = 0.5
"""


@dataclass(frozen=True)
class Case:
    """One fault; calls for the model `name` get it."""

    name: str
    fault: str
    """The keys of the entry, in TOML."""
    plain: tuple[int, str]
    """Without repairs: the status (0: no head) and how the response ends."""
    mended: CallState
    """With repairs: the outcome of the call."""
    is_asked: bool = False
    """Whether the provider is asked in the attempt with the fault."""
    attempts: int = 1
    """Attempts with repairs."""
    tool: bool = False
    """Whether the provider's answer calls a tool."""

    @property
    def entry(self) -> str:
        return f'[[faults]]\nmodel = "{self.name}"\n{self.fault}\n'

    def __str__(self) -> str:
        return self.name


ANSWERED, FAILED = CallState.ANSWERED, CallState.FAILED
OK = (200, "complete")
CASES = (
    Case("reset-before", 'kind = "reset"', (0, "reset"), ANSWERED, attempts=2),
    Case("reset-after", 'kind = "reset"\nat = "after-head"', (200, "reset"), ANSWERED, attempts=2),
    Case(
        "reset-in",
        'kind = "reset"\nat = "in-event"\nafter_events = 4',
        (200, "reset"),
        FAILED,
        is_asked=True,
    ),
    Case("stall-before", 'kind = "stall"', (0, "timeout"), ANSWERED, attempts=2),
    Case(
        "stall-in",
        'kind = "stall"\nat = "in-event"\nafter_events = 4',
        (200, "timeout"),
        FAILED,
        is_asked=True,
    ),
    Case(
        "pause-in",
        'kind = "stall"\nat = "in-event"\nafter_events = 4\nseconds = 0.1',
        OK,
        ANSWERED,
        is_asked=True,
    ),
    Case("wrapped", 'kind = "wrapped-error"\nstatus = 529', OK, ANSWERED, attempts=2),
    Case("wrapped-late", 'kind = "wrapped-error"\nafter_events = 4', OK, FAILED, is_asked=True),
    Case(
        "http-error",
        'kind = "http-error"\nstatus = 529\nretry_after = 0',
        (529, "complete"),
        ANSWERED,
        attempts=2,
    ),
    Case("page", 'kind = "html-page"', (524, "complete"), ANSWERED, attempts=2),
    Case("index", 'kind = "wrong-index"', OK, ANSWERED, is_asked=True),
    Case("cut-tool", 'kind = "cut-tool-json"', OK, FAILED, is_asked=True, tool=True),
    Case(
        "drip", 'kind = "slow-drip"\npiece_bytes = 400\nseconds = 0.01', OK, ANSWERED, is_asked=True
    ),
    Case("trailers", 'kind = "trailers"', OK, ANSWERED, is_asked=True),
    Case("label", 'kind = "bad-label"', OK, ANSWERED, is_asked=True),
    Case("names", 'kind = "bad-label"\nevent_names = "drop"', OK, ANSWERED, is_asked=True),
)
CHANGE_NOTHING = {"pause-in", "drip", "trailers"}
"""Faults that leave the bytes of the body as they are."""
BY_NAME = {case.name: case for case in CASES}
each_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="session")
def fault_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faults") / "faults.toml"
    path.write_text("\n".join(case.entry for case in CASES))
    return path


@pytest.fixture
def faulty(start_proxy: Callable[..., Proxy], fault_file: Path) -> Proxy:
    """A proxy with repairs and all faults."""
    arguments = ("--set", f"wiremend_faults={fault_file}")
    proxy = start_proxy(scripts=SHARED, configuration=CONFIGURATION, arguments=arguments)
    proxy.forget()
    return proxy


@pytest.fixture
def plain(start_proxy: Callable[..., Proxy], fault_file: Path) -> Proxy:
    """A proxy with all faults and without repairs."""
    arguments = ("--set", f"wiremend_faults={fault_file}", "--set", "wiremend_off=true")
    proxy = start_proxy(scripts=SHARED, configuration=CONFIGURATION, arguments=arguments)
    proxy.forget()
    return proxy


def asking(proxy: Proxy, model: str, protocol: WireProtocol = ANTHROPIC, **options: Any) -> RawCall:
    body = {**good.request_body(protocol, True), "model": model}
    return model_call(proxy, protocol, True, body=json.dumps(body).encode(), **options)


def answers(case: Case) -> good.Stream:
    return good.tool_stream(ANTHROPIC) if case.tool else good.text_stream(ANTHROPIC)


def values(body: bytes) -> list[tuple[Any, str]]:
    """Return the value and the type of each event."""
    return [(json.loads(data), type) for type, data in wire.events_of(body)]


def the_call(proxy: Proxy) -> CallRecord:
    (call,) = proxy.calls
    return call


@each_case
def test_without_repairs_the_client_receives_the_fault(
    plain: Proxy, provider: ScriptedProvider, case: Case
) -> None:
    stream = answers(case)
    provider.script([faults.streamed(stream.events)])
    _, ended = case.plain
    limit = 0.7 if ended == "timeout" else 20.0
    with asking(plain, case.name, timeout_seconds=limit) as call:
        response = call.response()
    assert (response.status, response.ended) == case.plain
    assert (response.body == stream.data) == (case.name in (*CHANGE_NOTHING, "label"))
    assert len(provider.received) == case.is_asked
    (attempt,) = the_call(plain).attempts
    assert attempt.injected.startswith(f"fault {CASES.index(case) + 1}, ")


@each_case
def test_with_repairs_the_call_ends_as_after_a_real_fault(
    faulty: Proxy, provider: ScriptedProvider, case: Case
) -> None:
    stream = answers(case)
    provider.script([faults.streamed(stream.events)])
    with asking(faulty, case.name) as call:
        response = call.response()
    record = the_call(faulty)
    assert record.outcome is case.mended
    assert (response.status, response.ended) == OK
    assert (values(response.body) == values(stream.data)) == (case.mended is ANSWERED)
    assert len(record.attempts) == case.attempts
    assert [bool(attempt.injected) for attempt in record.attempts] == (
        [True] + [False] * (case.attempts - 1)
    )
    assert len(provider.received) == case.attempts - 1 + case.is_asked


@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
def test_an_injected_reset_cuts_the_answer_inside_an_event(
    plain: Proxy, provider: ScriptedProvider, http_version: str
) -> None:
    events = good.text_stream(ANTHROPIC).events
    provider.script([faults.streamed(events)])
    with asking(plain, "reset-in", http_version=http_version) as call:
        response = call.response()
    assert response.ended == ("stream reset" if http_version == "HTTP/2" else "reset")
    assert response.body == b"".join(events[:4]) + events[4][: len(events[4]) // 2]


@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
def test_an_injected_reset_before_the_head_reaches_the_client(
    plain: Proxy, http_version: str
) -> None:
    with asking(plain, "reset-before", http_version=http_version) as call:
        response = call.response()
    assert response.ended == ("stream reset" if http_version == "HTTP/2" else "reset")
    assert (response.status, response.body) == (0, b"")


def test_trailers_reach_a_client_without_repairs(plain: Proxy, provider: ScriptedProvider) -> None:
    body = good.json_body(ANTHROPIC)
    provider.script([faults.whole(body)])
    request = {**good.request_body(ANTHROPIC, False), "model": "trailers"}
    with model_call(plain, ANTHROPIC, False, body=json.dumps(request).encode()) as call:
        response = call.response()
    assert (response.body, response.ended) == (body, "complete")
    assert response.trailers == ((b"x-injected-trailer", b"wiremend"),)


def test_a_fault_without_a_place_in_the_answer_changes_nothing(
    faulty: Proxy, provider: ScriptedProvider
) -> None:
    stream = good.text_stream(ANTHROPIC)
    provider.script([faults.streamed(stream.events)])
    start = len(faulty.lines)
    with asking(faulty, "cut-tool") as call:
        assert call.response().body == stream.data
    (attempt,) = the_call(faulty).attempts
    assert attempt.injected == ""
    line = faulty.wait_for_line("was not injected: the answer has no tool call", start=start)
    assert line
