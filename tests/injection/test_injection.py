"""Whatever function raises: the call ends, at once and honestly, and other calls go on."""

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cache
from types import CodeType

import pytest
from seam.playbook import Playbook
from seam.shells import CONFIGURATION, Clock, full_playbook
from wiremend.engine.call_machine import CallMachine
from wiremend.protocols.base.names import WireProtocol
from wiremend.seam.stream_layer import CallStream

from injection.functions import Point, all_points, functions_run, injected
from injection.peers import Client, Crashing, Response, play
from injection.scenarios import Scenario, all_scenarios

# The finalizer of kept traffic calls `contain`, whose own faults nothing contains.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SCENARIOS = {scenario.name: scenario for scenario in all_scenarios()}
SIBLING = SCENARIOS["anthropic-messages: a stream"]
NEXT = SCENARIOS["chat-completions: JSON with a tool"]
OF_THE_CONNECTION = frozenset(
    {
        "seam.installation",
        "seam.connections",
        "seam.http1_trailers",
        "rules.containment",
    }
)
"""The modules that carry all calls of a connection, and containment itself: after a fault in one of
them, the connection may be closed."""
GUARDS = frozenset(
    {
        "seam.request_stream.RequestStream.__init__",
        "seam.contained_stream.ContainedStream.__init__",
        "seam.stream_layer.CallStream.__init__",
        "seam.stream_layer.CallStream._handle_event",
        "seam.http_clients.CallHttp1Client.__init__",
        "seam.http_clients.CallHttp1Client._handle_event",
        "seam.http_clients.CallHttp2Client.__init__",
        "seam.http_clients.CallHttp2Client._handle_event",
    }
)
"""What creates and guards a stream or an upstream connection; nothing contains their own faults."""
NOT_PLAYED = (
    "engine.machine",  # an interface
    "engine.unrepaired.passing",  # these three need a fault file
    "seam.faulty_stream",
    "seam.injected_faults",
    "seam.fast",  # these need mitmproxy's event loop, or the end of the proxy
    "seam.process",
    "seam.stopping",
)
"""The modules that these peers cannot run; they do not count for the share that is run."""
PAGE = b"<h1>502 Bad Gateway</h1>"
"""mitmproxy's own error, which is all that is left if no error can be written."""
TERMINAL = {
    WireProtocol.ANTHROPIC_MESSAGES: b"message_stop",
    WireProtocol.CHAT_COMPLETIONS: b"[DONE]",
    WireProtocol.RESPONSES: b"response.completed",
    WireProtocol.GEMINI: b"finishReason",
}


def playbook_of(scenario: Scenario) -> AbstractContextManager[tuple[Playbook, Clock]]:
    """Return a connection with the configuration of the scenario."""
    configuration = CONFIGURATION | {"rules": {"mode": "report"}} if scenario.reports else None
    return full_playbook(scenario.host, b"h2", Crashing, configuration)


def alone(scenario: Scenario) -> Response:
    with playbook_of(scenario) as (book, clock):
        return play(book, clock, Client(book, scenario.host), scenario)


@cache
def expected(name: str) -> Response:
    """Return the response to a scenario without a fault."""
    return alone(SCENARIOS[name])


@cache
def runs() -> dict[str, set[CodeType]]:
    """Return the code that each scenario runs."""
    return {name: functions_run(lambda s=s: alone(s)) for name, s in SCENARIOS.items()}  # type: ignore[misc]


@cache
def points() -> tuple[Point, ...]:
    """Return the functions that run in a scenario."""
    run = set[CodeType]().union(*runs().values())
    return tuple(point for code, point in all_points().items() if code in run)


def scenarios_for(point: Point, limit: int) -> list[Scenario]:
    """Return scenarios in which the function runs; those in which few functions run come first."""
    code = point.function.__code__
    names = [name for name, run in runs().items() if code in run]
    random.Random(point.name).shuffle(names)
    return [SCENARIOS[name] for name in names[:limit]]


@contextmanager
def beside_a_sibling(scenario: Scenario) -> Iterator[tuple[Playbook, Clock, Client, int]]:
    """Yield a connection on which another call is in the middle of its stream."""
    with playbook_of(scenario) as (book, clock):
        client = Client(book, scenario.host)
        stream = client.send(SIBLING)
        head, first, _, _ = SIBLING.answers[0].pieces
        book.server_sends(head + first, 0)
        client.read()
        assert client.responses[stream].status == 200
        yield book, clock, client, stream


def may_close(point: Point) -> bool:
    """Return whether a fault in the function may close the client's connection."""
    return point.module in OF_THE_CONNECTION or point.name in GUARDS


def has_crashed(book: Playbook) -> bool:
    return any(line.startswith("crashed") for line in book.logs)


def inject(point: Point, scenario: Scenario, *, once: bool) -> list[str]:
    """Play the scenario while the function raises; return what went wrong."""
    with (
        injected(point, once=once) as injection,
        beside_a_sibling(scenario) as (book, clock, client, sibling),
    ):
        injection.is_armed = True
        response = play(book, clock, client, scenario)
        injection.is_armed = False
        if not injection.raised:
            return []
        return [
            *problems_of_call(point, scenario, response, client, once=once),
            *problems_of_log(point, book),
            *problems_of_others(point, book, clock, client, sibling),
        ]


def problems_of_call(
    point: Point, scenario: Scenario, response: Response, client: Client, *, once: bool
) -> Iterator[str]:
    """The call has ended, and not in a success that it was not."""
    without = expected(scenario.name)
    if not response.end:
        yield "the call has not ended"
    if not client.is_open and not may_close(point):
        yield "the connection was closed"
    if response.end != "complete" or seen(response) == seen(without):
        return
    body, terminal = response.body, terminal_of(scenario.protocol)
    is_error = any(text in body for text in (b"error", b"could not be reached", b"internal fault"))
    if response.status >= 400 and not is_error and (once or PAGE not in body):
        yield f"an error without a message: {response.status} {body[:80]!r}"
    sent = terminal_of(scenario.provider_protocol or scenario.protocol)
    is_complete = terminal in body and sent in scenario.upstream
    is_complete |= scenario.sends_json and is_json(body)
    if response.status < 300 and scenario.is_streaming and not (is_error or is_complete):
        yield f"a success that it was not: {body[-80:]!r}"
    if response.status < 300 and not scenario.is_streaming and not is_error:
        bodies = [answer.pieces[-1] for answer in scenario.answers if answer.pieces]
        if body not in bodies and without_ids(body) != without_ids(without.body):
            yield f"neither an error nor what the provider sent: {body[:80]!r}"


def terminal_of(protocol: WireProtocol | None) -> bytes:
    """Return what is only in a complete answer of this protocol."""
    return TERMINAL.get(protocol or WireProtocol.GEMINI, b"")


def is_json(body: bytes) -> bool:
    """Return whether this is one complete JSON object."""
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


def without_ids(body: bytes) -> bytes:
    """Return a body without ids: those of recovered calls depend on the adapted request, and those
    of translated answers are random."""
    return re.sub(rb'"(?:call|toolu|fc|msg)_\w+"', b'""', body)


def seen(response: Response) -> Response:
    """Return the response without ids."""
    return replace(response, body=without_ids(response.body))


def problems_of_log(point: Point, book: Playbook) -> Iterator[str]:
    """The fault is on a line of the log, without a trace; no secret is kept."""
    if point.module == "rules.containment":
        return
    lines = [line for line in book.logs if "internal fault (Injected in " in line]
    if not lines and not (may_close(point) and has_crashed(book)):
        yield "no line in the log"
    if any("\n" in line for line in lines):
        yield "a line with a trace"
    for line in book.logs:
        if line.startswith("Addon error") or (line.startswith("crashed") and not may_close(point)):
            yield line
    # A flow whose connection is closed by a crash stays live; it is redacted when the proxy ends.
    flows = [flow for flow in book.flows if flow.error or flow.response or not may_close(point)]
    if "sk-secret" in repr([flow.get_state() for flow in flows]):
        yield "a secret in a flow"


def problems_of_others(
    point: Point, book: Playbook, clock: Clock, client: Client, sibling: int
) -> Iterator[str]:
    """The other call of the connection, a later one, and one of another client are complete."""
    if client.is_open:
        *_, rest, last = SIBLING.answers[0].pieces
        book.server_sends(rest + last, 0)
        client.read()
        if client.responses[sibling].body != expected(SIBLING.name).body:
            yield "the sibling is not complete"
        if play(book, clock, client, NEXT) != expected(NEXT.name):
            yield "the next call of the connection is not complete"
    other = Crashing(book.layer.context.options, book.plan, client.host, b"h2")
    other.at_hook = book.at_hook
    if play(other, clock, Client(other, client.host), NEXT) != expected(NEXT.name):
        yield "the call of another client is not complete"


def one_for_each_module() -> dict[str, list[Point]]:
    """Return a few functions of each module, always the same ones."""
    by_module: defaultdict[str, list[Point]] = defaultdict(list)
    for point in points():
        by_module[point.module].append(point)
    return {m: random.Random(m).sample(found, min(2, len(found))) for m, found in by_module.items()}


def problems_in(tried: list[tuple[Point, int]]) -> list[str]:
    found = []
    for point, limit in tried:
        for scenario in scenarios_for(point, limit):
            for once in (True, False):
                mode = "once" if once else "always"
                found += [
                    f"{point.name} {mode}, in {scenario.name!r}: {problem}"
                    for problem in inject(point, scenario, once=once)
                ]
    return found


def test_the_scenarios_end_as_they_do_without_a_sibling() -> None:
    for scenario in SCENARIOS.values():
        with beside_a_sibling(scenario) as (book, clock, client, _):
            played = play(book, clock, client, scenario)
            assert seen(played) == seen(expected(scenario.name)), scenario.name
            faults = [
                line for line in book.logs if re.match("crashed|Addon|.*internal fault", line)
            ]
            assert not faults


def test_the_scenarios_run_most_of_the_engine_and_the_seam() -> None:
    """Functions that never run are not tested here; a new one belongs into a scenario."""
    every, run = all_points().values(), {point.name for point in points()}
    for package, share in (("engine", 0.8), ("seam", 0.6), ("repair", 0.6)):
        names = [
            point.name
            for point in every
            if point.module.startswith(package + ".") and not point.module.startswith(NOT_PLAYED)
        ]
        assert sum(name in run for name in names) >= share * len(names), package


def test_faults_in_a_few_functions_of_each_module() -> None:
    sample = [(point, 1) for found in one_for_each_module().values() for point in found]
    assert len(sample) > 100
    assert problems_in(sample) == []


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
def test_faults_in_every_function(part: int) -> None:
    """About ten minutes in all."""
    assert problems_in([(point, 4) for point in points()[part::8]]) == []


def _without_containment(stream: CallStream, step: str, source: object) -> object:
    yield from source  # type: ignore[misc]


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (CallMachine.start, "the call has not ended"),
        (CallMachine.start, "no line in the log"),
        (CallMachine.body, "no line in the log"),  # it ends by its timeouts
    ],
)
def test_a_fault_that_is_not_contained_is_found(
    function: object, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CallStream, "_contained", _without_containment)
    for ending in ("_end_in_fault", "_break_off"):
        monkeypatch.setattr(CallStream, ending, lambda *_: iter(()))
    [point] = [p for p in points() if p.function is function]
    assert any(found.endswith(problem) for found in problems_in([(point, 4)]))
