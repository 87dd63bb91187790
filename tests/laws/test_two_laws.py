"""Two laws: valid streams are not changed, and repaired streams are valid.

Property tests with generated streams of every protocol in random chunks. `scripts/test --deep`
runs more examples, and reports the number of broken events.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from framings import FRAMINGS, assert_unchanged_without, bytes_of, codes_of
from hypothesis import given
from hypothesis import strategies as st
from rule_codes import codes_between
from strategies import anthropic_messages as anthropic_streams
from strategies import chat_completions as chat_streams
from strategies import gemini as gemini_streams
from strategies import responses as responses_streams
from strategies.mutations import chunked
from strategies.wire import ALL, BYTE_ORDER_MARK, MODEL, lines_of, values_of
from wiremend.catalogue import catalogue
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.repairer import EventKind

type Streams = Callable[[], st.SearchStrategy[list[bytes]]]

STREAMS: dict[str, tuple[Streams, Streams]] = {
    "anthropic": (anthropic_streams.valid_streams, anthropic_streams.mutated_streams),
    "chat": (chat_streams.valid_streams, chat_streams.mutated_streams),
    "responses": (responses_streams.valid_streams, responses_streams.mutated_streams),
    "gemini": (gemini_streams.valid_streams, gemini_streams.mutated_streams),
    "gemini-array": (gemini_streams.valid_arrays, gemini_streams.mutated_arrays),
}
"""The strategies for valid and for broken streams, as lists of events."""
STREAM_CODES = codes_between("S101", "S999")
"""Of the rules on events. Those on framing complete or drop a cut event even if disabled."""
CODES = sorted(rule.code for rule in catalogue())
TOOLS = st.sampled_from([(), ("read",), ("read", "exec")])
FAILURE = make_error(status=502, message="the connection was reset")

each_framing = pytest.mark.parametrize("name", STREAMS)


def renamed_model(stream: bytes, model: str) -> bytes:
    """Return the stream with another model name, in every spelling of the original one."""
    name = MODEL.encode()
    for written in (name, name.replace(b"/", b"\\/")):
        stream = stream.replace(b'"%s"' % written, b'"%s"' % model.encode())
    return stream


@each_framing
@given(data=st.data())
def test_a_valid_stream_is_unchanged_in_any_chunks(name: str, data: st.DataObject) -> None:
    framing = FRAMINGS[name]
    stream = b"".join(data.draw(STREAMS[name][0]()))
    assert framing.violations(stream) == []
    context = framing.context(shown_model=data.draw(st.sampled_from([None, MODEL])))
    repaired = framing.repaired(data.draw(chunked(stream)), context)
    assert bytes_of(repaired) == stream
    assert codes_of(repaired) == []


@each_framing
@given(data=st.data())
def test_restored_names_change_nothing_else(name: str, data: st.DataObject) -> None:
    framing = FRAMINGS[name]
    stream = b"".join(data.draw(STREAMS[name][0]()))
    model = data.draw(st.sampled_from([None, MODEL, "shown"]))
    tools = data.draw(st.sampled_from([{}, {"read": "the_client_s"}, {"of_another_call": "read"}]))
    context = framing.context(shown_model=model, tool_names_by_sent=tools)
    expected = stream if model in (None, MODEL) else renamed_model(stream, model)
    for wire_name, own_name in tools.items():
        expected = expected.replace(b'"%s"' % wire_name.encode(), b'"%s"' % own_name.encode())
    repaired = framing.repaired(data.draw(chunked(stream)), context)
    assert bytes_of(repaired) == expected
    assert codes_of(repaired) == []


@pytest.mark.parametrize("name", ["chat", "responses"])
@given(data=st.data())
def test_openai_python_gets_no_lines_that_it_cannot_read(name: str, data: st.DataObject) -> None:
    """The rule drops the lines that this SDK cannot read, and nothing else."""
    framing = FRAMINGS[name]
    events = data.draw(STREAMS[name][0]())
    context = framing.context(client="openai-python")
    repaired = framing.repaired(data.draw(chunked(b"".join(events))), context)
    expected = b"".join(map(for_openai_python, as_received(events)))
    assert bytes_of(repaired) == expected
    codes = {"S005"} if expected != b"".join(events) else set()
    assert set(codes_of(repaired)) == codes


def for_openai_python(event: bytes) -> bytes:
    """Return the event without `id` and `retry` lines, and without its type if it has no data."""
    mark = BYTE_ORDER_MARK if event.startswith(BYTE_ORDER_MARK) else b""
    lines = lines_of(event.removeprefix(mark))
    dropped = {b"id", b"retry"}
    if all(line.partition(b":")[0] != b"data" for line, _ in lines):
        dropped.add(b"event")
    return mark + rejoined([line for line in lines if line[0].partition(b":")[0] not in dropped])


def as_received(events: list[bytes]) -> list[bytes]:
    """Return the events as decoded: an event that ends in CR and a following LF are joined."""
    received: list[bytes] = []
    for event in events:
        if event == b"\n" and received and received[-1].endswith(b"\n\r"):
            received[-1] += event
        else:
            received.append(event)
    return received


def rejoined(lines: list[tuple[bytes, bytes]]) -> bytes:
    """Join the lines of an event; after a CR, the blank line is a CR too."""
    written = b""
    for line, end in lines:
        written += b"\r" if not line and written.endswith(b"\r") else line + end
    return written


@given(data=st.data())
def test_gemini_gets_only_data_lines(data: st.DataObject) -> None:
    """The rules drop the lines that Google's SDKs cannot read, and nothing else."""
    framing = FRAMINGS["gemini"]
    events = data.draw(gemini_streams.valid_streams(ALL))
    stream = b"".join(events)
    model = data.draw(st.sampled_from([None, MODEL, "shown"]))
    repaired = framing.repaired(data.draw(chunked(stream)), framing.context(shown_model=model))
    expected = b"".join(map(for_gemini, as_received(events)))
    if model == "shown":
        expected = renamed_model(expected, model)
    assert bytes_of(repaired) == expected
    is_changed = expected != stream if model != "shown" else None
    codes = set(codes_of(repaired))
    assert codes <= {"S401", "S410"}
    assert is_changed is None or bool(codes) == is_changed
    assert framing.violations(expected) == []


def for_gemini(event: bytes) -> bytes:
    """Return the data lines, each with a space after its colon, and the blank line."""
    kept = []
    for line, end in lines_of(event.removeprefix(BYTE_ORDER_MARK)):
        name, _, value = line.partition(b":")
        if not line:
            kept.append((line, end))
        elif name == b"data":
            kept.append((b"data: " + value.removeprefix(b" "), end))
    return rejoined(kept)


@pytest.mark.parametrize("client", ["gemini-cli", "python-genai"])
@given(data=st.data())
def test_the_values_for_google_s_clients_are_the_same(client: str, data: st.DataObject) -> None:
    framing = FRAMINGS["gemini"]
    stream = b"".join(data.draw(gemini_streams.valid_streams(ALL)))
    model = data.draw(st.sampled_from([None, MODEL, "shown"]))
    context = framing.context(client=client, shown_model=model)
    repaired = framing.repaired(data.draw(chunked(stream)), context)
    out = bytes_of(repaired)
    expected = stream if model != "shown" else renamed_model(stream, model)
    assert [value for _, value in values_of(out)] == [value for _, value in values_of(expected)]
    assert set(codes_of(repaired)) <= {"S401", "S410", "S413"}
    assert framing.violations(out) == []


@each_framing
@given(data=st.data())
def test_a_repaired_stream_is_valid_and_repairing_it_again_changes_nothing(
    name: str, mutated_events: Counter[str], data: st.DataObject
) -> None:
    framing = FRAMINGS[name]
    events = data.draw(STREAMS[name][1]())
    mutated_events[name] += len(events)
    stream = b"".join(events)
    context = framing.context(
        client=data.draw(st.sampled_from(framing.clients)),
        tool_names=data.draw(TOOLS),
        shown_model=data.draw(st.sampled_from([None, None, MODEL, "shown"])),
        tool_names_by_sent=data.draw(st.sampled_from([{}, {}, {"read": "the_client_s"}])),
    )
    repaired = framing.repaired([stream], context)
    out = bytes_of(repaired)
    assert framing.violations(out, context.client.family) == [], out.decode("utf-8", "replace")
    in_chunks = framing.repaired(data.draw(chunked(stream)), context)
    assert (bytes_of(in_chunks), codes_of(in_chunks)) == (out, codes_of(repaired))
    again = framing.repaired([out], replace(context, tool_names_by_sent={}))
    assert (bytes_of(again), codes_of(again)) == (out, [])


@each_framing
@given(data=st.data())
def test_a_stream_that_is_cut_anywhere_ends_in_an_error_or_is_complete(
    name: str, mutated_events: Counter[str], data: st.DataObject
) -> None:
    framing = FRAMINGS[name]
    events = data.draw(STREAMS[name][1]())
    mutated_events[name] += len(events)
    whole = b"".join(events)
    repair = framing.repair(framing.context())
    shown = repair.feed(whole[: data.draw(st.integers(0, len(whole)))])
    if not any(item.kind in (EventKind.TERMINAL, EventKind.ERROR) for item in shown):
        ending = repair.fail(FAILURE)
        assert FAILURE.message.encode() in ending
        assert framing.violations(bytes_of(shown) + ending) == []


@each_framing
@given(data=st.data())
def test_disabled_rules_find_nothing_and_change_no_valid_stream(
    name: str, mutated_events: Counter[str], data: st.DataObject
) -> None:
    framing = FRAMINGS[name]
    events = data.draw(STREAMS[name][1]())
    mutated_events[name] += len(events)
    disabled = data.draw(st.frozensets(st.sampled_from(CODES)) | st.just(frozenset(CODES)))
    repaired = framing.repaired([b"".join(events)], framing.context(disabled=disabled))
    assert not {code for code in disabled if code[:2] != "S0"}.intersection(codes_of(repaired))
    valid = b"".join(data.draw(STREAMS[name][0]()))
    assert bytes_of(framing.repaired([valid], framing.context(disabled=disabled))) == valid


@each_framing
@given(data=st.data())
def test_no_event_changes_if_all_rules_are_disabled(name: str, data: st.DataObject) -> None:
    framing = FRAMINGS[name]
    whole = b"".join(data.draw(STREAMS[name][1]()))
    stream = whole if framing.array else whole[: whole.rfind(b"\n\n") + 2]
    repaired = framing.repaired([stream], framing.context(disabled=frozenset(CODES)))
    assert_unchanged_without(STREAM_CODES, stream, repaired)


@each_framing
@given(stream=st.binary(max_size=200), data=st.data())
def test_any_bytes_become_a_valid_stream(name: str, stream: bytes, data: st.DataObject) -> None:
    framing = FRAMINGS[name]
    repaired = framing.repaired(data.draw(chunked(stream)), framing.context())
    assert framing.violations(bytes_of(repaired)) == []
