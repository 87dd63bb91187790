"""A rule that raises: the response passes unchanged, and a cut stream is never a success."""

from pathlib import Path
from typing import Any

import pytest
from framings import FRAMINGS, bytes_of
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.registry import PROTOCOLS
from wiremend.repair.body import repair_body
from wiremend.repair.stream import StreamRepair, stream_repair
from wiremend.rules.containment import Fault
from wiremend.text import sse

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = {
    "anthropic": "anthropic_messages/clean/tool-use.sse",
    "chat": "chat_completions/clean/length.sse",
    "responses": "responses/clean/text.sse",
    "gemini": "gemini/clean/text.sse",
    "gemini-array": "gemini/clean/array-text.json",
}
RAISED: list[type[Exception]] = [
    ValueError,
    RecursionError,
    MemoryError,
    OverflowError,
    AssertionError,
    KeyError,
]
each_stream = pytest.mark.parametrize("name", FILES)


def stream_of(name: str) -> bytes:
    return (CORPUS / FILES[name]).read_bytes()


def failing(name: str, at: int, raised: type[BaseException] = ValueError) -> StreamRepair:
    """Return a repair whose rules raise on event number `at`; 0 is the end."""
    framing = FRAMINGS[name]
    repair = stream_repair(framing.protocol, framing.context(), parses_all=True)
    repairer: Any = repair._repairer
    original = {method: getattr(repairer, method) for method in ("feed", "end")}
    calls = 0

    def feed(event: sse.Event) -> Repaired:
        nonlocal calls
        calls += 1
        if calls == at:
            raise raised
        return original["feed"](event)

    def end() -> Repaired:
        if at == 0:
            raise raised
        return original["end"]()

    repairer.feed, repairer.end = feed, end
    return repair


def events_of(name: str) -> int:
    return len(FRAMINGS[name].decoder().feed(stream_of(name)))


@each_stream
@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_rule_that_raises_leaves_the_stream_unchanged(
    name: str, raised: type[Exception], where: str
) -> None:
    count, stream = events_of(name), stream_of(name)
    at = {"first": 1, "middle": count // 2, "last": count}[where]
    repair = failing(name, at, raised)
    repaired = repair.feed(stream) + repair.end()
    assert bytes_of(repaired) == stream
    assert repaired[-1].kind is EventKind.TERMINAL
    [finding] = [finding for item in repaired for finding in item.findings]
    assert (finding.code, finding.done) == ("S001", "passed on from here")
    assert finding.found.startswith(f"{raised.__name__} in test_containment.py:")


@each_stream
@pytest.mark.parametrize("size", [1, 7])
def test_the_bytes_are_the_same_for_every_size_of_the_reads(name: str, size: int) -> None:
    stream = stream_of(name)
    repair = failing(name, 2)
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    repaired = [item for chunk in chunks for item in repair.feed(chunk)] + repair.end()
    assert bytes_of(repaired) == stream
    assert repaired[-1].kind is EventKind.TERMINAL


@each_stream
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_cut_is_not_a_success_after_a_rule_has_raised(name: str, at: int) -> None:
    stream, framing = stream_of(name), FRAMINGS[name]
    is_array = framing.array
    events = [event.raw for event in framing.decoder().feed(stream)]
    last = next(i for i, raw in reversed(list(enumerate(events))) if ends(name, raw))
    repair = failing(name, at)
    repaired = repair.feed(b"".join(events[:last])) + repair.end()
    assert repaired[-1].kind is EventKind.ERROR
    assert repaired[-1].error is not None
    if repair.gave_up:
        assert bool(repaired[-1].data) is not is_array
    assert not repair.complete


def ends(name: str, raw: bytes) -> bool:
    framing = FRAMINGS[name]
    [*_, event] = [*framing.decoder().feed(raw), sse.Event(b"")][:1]
    return framing.protocol.is_terminal(event)


@each_stream
def test_a_fault_at_the_end_is_judged_by_the_events_before_it(name: str) -> None:
    repair, stream = failing(name, 0), stream_of(name)
    repaired = repair.feed(stream) + repair.end()
    assert repaired[-1].kind is EventKind.TERMINAL
    assert bytes_of(repaired) == stream


@each_stream
def test_an_error_can_be_written_if_the_repairer_cannot_write_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    framing = FRAMINGS[name]
    repair = framing.repair(framing.context())
    repair.feed(stream_of(name)[:400])
    monkeypatch.setattr(repair._repairer, "fail", raising)
    [end] = repair.end()[-1:]
    assert end.error is not None
    data = repair.fail(end.error)
    assert data == b"" if framing.array else data.startswith(b"event: error\ndata: {")


def raising(*_: Any) -> Any:
    raise ValueError


@each_stream
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_fault_passes(name: str, raised: type[BaseException]) -> None:
    with pytest.raises(raised):
        failing(name, 1, raised).feed(stream_of(name))


def test_events_that_were_held_back_are_not_lost() -> None:
    """The stop of a block whose JSON is cut is held back until the stop reason arrives."""
    stream = (CORPUS / "anthropic_messages/clean/max-tokens-inside-a-tool.sse").read_bytes()
    events = [event.raw for event in sse.Decoder().feed(stream)]
    for at in range(1, len(events) + 1):
        repair = failing("anthropic", at)
        assert bytes_of(repair.feed(stream) + repair.end()) == stream


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_a_body_on_which_a_rule_raises_passes_unchanged(
    protocol: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wiremend.repair.body._repair_body", raising)
    faults: list[Fault] = []
    repaired = repair_body(protocol, b'{"a": 1}', StreamContext(), faults)
    assert (repaired.data, repaired.error) == (b'{"a": 1}', None)
    assert [finding.code for finding in repaired.findings] == ["S001"]
    assert [str(fault) for fault in faults] == [repaired.findings[0].found]


def test_a_fault_in_restoring_tool_names_is_a_fault_in_a_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    framing = FRAMINGS["chat"]
    monkeypatch.setattr("wiremend.repair.tool_names.parse", raising_other)
    context = framing.context(tool_names_by_sent={"length": "other"})
    repair = stream_repair(framing.protocol, context)
    stream = stream_of("chat")
    repaired = repair.feed(stream) + repair.end()
    assert bytes_of(repaired) == stream
    assert "S001" in [finding.code for item in repaired for finding in item.findings]


def raising_other(*_: Any) -> Any:
    raise TypeError


@each_stream
def test_a_stream_that_is_too_long_to_repair_is_not_a_success_if_it_is_cut(name: str) -> None:
    framing, stream = FRAMINGS[name], stream_of(name)
    context = framing.context()
    repairer = framing.protocol.make_repairer(context)

    def of(data: bytes) -> list[Repaired]:
        repair = StreamRepair(repairer, context, 1, protocol=framing.protocol)
        return repair.feed(data[:200]) + repair.feed(data[200:]) + repair.end()

    assert of(stream)[-1].kind is EventKind.TERMINAL
    repairer = framing.protocol.make_repairer(context)
    assert of(stream[:300])[-1].kind is EventKind.ERROR
