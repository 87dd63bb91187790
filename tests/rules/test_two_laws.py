"""Do no harm, and mended means valid: for made-up streams in made-up chunks."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import anthropic_messages as anthropic_streams
from strategies import chat_completions as chat_streams
from strategies.mutations import chunked
from wiremend import sse
from wiremend.protocols import anthropic_messages, chat_completions
from wiremend.protocols.errors import make_error
from wiremend.rules.anthropic_messages_stream import AnthropicMender
from wiremend.rules.chat_completions_stream import ChatMender
from wiremend.rules.framing import StreamRepair
from wiremend.rules.mending import Kind, Mended, Mender, StreamContext

PROTOCOLS = [
    pytest.param(AnthropicMender, anthropic_messages.Grammar, anthropic_streams, id="anthropic"),
    pytest.param(ChatMender, chat_completions.Grammar, chat_streams, id="chat"),
]
CONTEXT = StreamContext(model="m", tool_names=("read",))
Maker = Callable[[StreamContext], Mender]


def mend(make: Maker, chunks: list[bytes], context: StreamContext = CONTEXT) -> list[Mended]:
    """What a client would be shown, once upstream closed."""
    repair = StreamRepair(make(context))
    mended: list[Mended] = []
    for chunk in chunks:
        mended += repair.feed(chunk)
    if not mended or not {one.kind for one in mended} & {Kind.TERMINAL, Kind.ERROR}:
        mended += repair.end()
    assert not repair.gave_up, [str(f) for one in mended for f in one.findings]
    return mended


def violations(grammar: Any, data: bytes) -> list[str]:
    decoder = sse.Decoder()
    found = [problem for event in decoder.feed(data) for problem in grammar.feed(event)]
    assert decoder.end() == []
    return found + list(grammar.end())


def bytes_of(mended: list[Mended]) -> bytes:
    return b"".join(one.data for one in mended)


@pytest.mark.parametrize(("make", "grammar", "streams"), PROTOCOLS)
@given(data=st.data())
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_a_valid_stream_passes_byte_for_byte_in_any_chunks(
    make: Maker, grammar: Callable[[], Any], streams: Any, data: st.DataObject
) -> None:
    stream = b"".join(data.draw(streams.valid_streams()))
    assert violations(grammar(), stream) == []
    mended = mend(make, data.draw(chunked(stream)))
    assert bytes_of(mended) == stream
    assert [str(f) for one in mended for f in one.findings] == []
    assert mended[-1].kind in (Kind.TERMINAL, Kind.IDLE)


@pytest.mark.parametrize(("make", "grammar", "streams"), PROTOCOLS)
@given(data=st.data())
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_comes_in_what_comes_out_is_valid(
    make: Maker, grammar: Callable[[], Any], streams: Any, data: st.DataObject
) -> None:
    stream = b"".join(data.draw(streams.mutated_streams()))
    mended = mend(make, data.draw(chunked(stream)))
    out = bytes_of(mended)
    assert violations(grammar(), out) == [], out.decode("utf-8", "replace")
    again = mend(make, [out])
    assert bytes_of(again) == out


@pytest.mark.parametrize(("make", "grammar", "streams"), PROTOCOLS)
@given(data=st.data())
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_a_stream_that_breaks_off_anywhere_ends_in_an_error_or_completed(
    make: Maker, grammar: Callable[[], Any], streams: Any, data: st.DataObject
) -> None:
    events = data.draw(streams.valid_streams())
    shown = events[: data.draw(st.integers(0, len(events)))]
    repair = StreamRepair(make(CONTEXT))
    out = b"".join(one.data for event in shown for one in repair.feed(event))
    mended = repair.end()
    if mended[-1].kind is Kind.TERMINAL:
        out += bytes_of(mended)
    else:
        out += repair.fail(make_error(status=502, message="the connection was reset"))
    assert violations(grammar(), out) == []


@pytest.mark.parametrize(("make", "grammar", "streams"), PROTOCOLS)
@given(data=st.data())
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_with_every_rule_off_nothing_but_errors_is_touched(
    make: Maker, grammar: Callable[[], Any], streams: Any, data: st.DataObject
) -> None:
    from wiremend.rules.catalogue import catalogue

    off = StreamContext(model="m", disabled=frozenset(rule.code for rule in catalogue()))
    stream = b"".join(data.draw(streams.valid_streams()))
    assert bytes_of(mend(make, data.draw(chunked(stream)), off)) == stream
