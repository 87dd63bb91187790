"""Do no harm, and mended means valid: for made-up streams of every protocol in made-up chunks.

`scripts/test --deep` runs these for long, and says how many broken events they saw.
"""

from collections import Counter
from collections.abc import Callable

import pytest
from framings import FRAMINGS, bytes_of, codes_of
from hypothesis import given
from hypothesis import strategies as st
from strategies import anthropic_messages as anthropic_streams
from strategies import chat_completions as chat_streams
from strategies import gemini as gemini_streams
from strategies import responses as responses_streams
from strategies.mutations import chunked
from wiremend.catalogue import catalogue
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.repairer import Kind

type Streams = Callable[[], st.SearchStrategy[list[bytes]]]

STREAMS: dict[str, tuple[Streams, Streams]] = {
    "anthropic": (anthropic_streams.valid_streams, anthropic_streams.mutated_streams),
    "chat": (chat_streams.valid_streams, chat_streams.mutated_streams),
    "responses": (responses_streams.valid_streams, responses_streams.mutated_streams),
    "gemini": (gemini_streams.valid_streams, gemini_streams.mutated_streams),
    "gemini-array": (gemini_streams.valid_arrays, gemini_streams.mutated_arrays),
}
"""Who makes up valid and broken streams, one event an entry."""
CODES = sorted(rule.code for rule in catalogue())
TOOLS = st.sampled_from([(), ("read",), ("read", "exec")])
FAILURE = make_error(status=502, message="the connection was reset")

each_framing = pytest.mark.parametrize("name", STREAMS)


@each_framing
@given(data=st.data())
def test_a_valid_stream_passes_byte_for_byte_in_any_chunks(name: str, data: st.DataObject) -> None:
    framing = FRAMINGS[name]
    stream = b"".join(data.draw(STREAMS[name][0]()))
    assert framing.violations(stream) == []
    mended = framing.mend(data.draw(chunked(stream)), framing.context())
    assert bytes_of(mended) == stream
    assert codes_of(mended) == []


@each_framing
@given(data=st.data())
def test_whatever_comes_in_what_goes_out_is_valid_and_stays_as_it_is(
    name: str, mutated_events: Counter[str], data: st.DataObject
) -> None:
    framing = FRAMINGS[name]
    events = data.draw(STREAMS[name][1]())
    mutated_events[name] += len(events)
    stream = b"".join(events)
    context = framing.context(
        client=data.draw(st.sampled_from(framing.clients)),
        tool_names=data.draw(TOOLS),
        shown_model=data.draw(st.sampled_from([None, None, "shown"])),
    )
    mended = framing.mend([stream], context)
    out = bytes_of(mended)
    assert framing.violations(out) == [], out.decode("utf-8", "replace")
    in_chunks = framing.mend(data.draw(chunked(stream)), context)
    assert (bytes_of(in_chunks), codes_of(in_chunks)) == (out, codes_of(mended))
    again = framing.mend([out], context)
    assert (bytes_of(again), codes_of(again)) == (out, [])


@each_framing
@given(data=st.data())
def test_a_stream_that_breaks_off_anywhere_ends_in_an_error_or_completed(
    name: str, mutated_events: Counter[str], data: st.DataObject
) -> None:
    framing = FRAMINGS[name]
    events = data.draw(STREAMS[name][1]())
    mutated_events[name] += len(events)
    whole = b"".join(events)
    repair = framing.repair(framing.context())
    shown = repair.feed(whole[: data.draw(st.integers(0, len(whole)))])
    if not any(one.kind in (Kind.TERMINAL, Kind.ERROR) for one in shown):
        ending = repair.fail(FAILURE)
        assert FAILURE.message.encode() in ending
        assert framing.violations(bytes_of(shown) + ending) == []


@each_framing
@given(data=st.data())
def test_rules_that_are_switched_off_find_nothing_and_break_no_other(
    name: str, mutated_events: Counter[str], data: st.DataObject
) -> None:
    framing = FRAMINGS[name]
    events = data.draw(STREAMS[name][1]())
    mutated_events[name] += len(events)
    disabled = data.draw(st.frozensets(st.sampled_from(CODES)) | st.just(frozenset(CODES)))
    mended = framing.mend([b"".join(events)], framing.context(disabled=disabled))
    assert not {code for code in disabled if code[:2] != "S0"}.intersection(codes_of(mended))
    valid = b"".join(data.draw(STREAMS[name][0]()))
    assert bytes_of(framing.mend([valid], framing.context(disabled=disabled))) == valid


@each_framing
@given(stream=st.binary(max_size=200), data=st.data())
def test_no_bytes_are_too_odd(name: str, stream: bytes, data: st.DataObject) -> None:
    framing = FRAMINGS[name]
    mended = framing.mend(data.draw(chunked(stream)), framing.context())
    assert framing.violations(bytes_of(mended)) == []
