"""Do no harm, and mended means valid: for made-up streams of every protocol in made-up chunks.

`scripts/test --deep` runs these for long, and says how many broken events they saw.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import anthropic_messages as anthropic_streams
from strategies import chat_completions as chat_streams
from strategies import gemini as gemini_streams
from strategies import responses as responses_streams
from strategies.mutations import chunked
from wiremend import sse
from wiremend.engine.menders import make_mender
from wiremend.json_array import ArrayDecoder
from wiremend.protocols import anthropic_messages, chat_completions, gemini, responses
from wiremend.protocols.errors import make_error
from wiremend.protocols.names import WireProtocol
from wiremend.rules.catalogue import catalogue
from wiremend.rules.framing import StreamRepair
from wiremend.rules.mending import Decoder, Kind, Mended, StreamContext

type Streams = Callable[[], st.SearchStrategy[list[bytes]]]


@dataclass(frozen=True)
class Framing:
    """One kind of stream: who mends it, who judges it, and who makes it up."""

    protocol: WireProtocol
    grammar: Callable[[], Any]
    valid: Streams
    mutated: Streams
    clients: tuple[str, ...] = ("", "opencode", "openai-python")
    array: bool = False

    def context(self, **fields: Any) -> StreamContext:
        return StreamContext(**{"model": "m", "array": self.array, **fields})

    def decoder(self) -> Decoder:
        return ArrayDecoder() if self.array else sse.Decoder()


FRAMINGS = {
    "anthropic": Framing(
        WireProtocol.ANTHROPIC_MESSAGES,
        anthropic_messages.Grammar,
        anthropic_streams.valid_streams,
        anthropic_streams.mutated_streams,
        ("", "claude-code", "opencode"),
    ),
    "chat": Framing(
        WireProtocol.CHAT_COMPLETIONS,
        chat_completions.Grammar,
        chat_streams.valid_streams,
        chat_streams.mutated_streams,
    ),
    "responses": Framing(
        WireProtocol.RESPONSES,
        responses.Grammar,
        responses_streams.valid_streams,
        responses_streams.mutated_streams,
        ("", "codex", "opencode", "openai-python"),
    ),
    "gemini": Framing(
        WireProtocol.GEMINI,
        gemini.Grammar,
        gemini_streams.valid_streams,
        gemini_streams.mutated_streams,
        ("", "gemini-cli", "python-genai"),
    ),
    "gemini-array": Framing(
        WireProtocol.GEMINI,
        partial(gemini.Grammar, True),
        gemini_streams.valid_arrays,
        gemini_streams.mutated_arrays,
        array=True,
    ),
}
CODES = sorted(rule.code for rule in catalogue())
TOOLS = st.sampled_from([(), ("read",), ("read", "exec")])
FAILURE = make_error(status=502, message="the connection was reset")

each_framing = pytest.mark.parametrize("name", FRAMINGS)


def repair_of(framing: Framing, context: StreamContext) -> StreamRepair:
    return StreamRepair(make_mender(framing.protocol, context), context)


def mend(framing: Framing, chunks: list[bytes], context: StreamContext) -> list[Mended]:
    """What a client would be shown, once upstream closed."""
    repair = repair_of(framing, context)
    mended = [one for chunk in chunks for one in repair.feed(chunk)]
    mended += repair.end()
    assert not repair.gave_up, [str(f) for one in mended for f in one.findings]
    assert mended[-1].kind in (Kind.TERMINAL, Kind.ERROR)
    assert all((one.kind is Kind.ERROR) == (one.error is not None) for one in mended)
    return mended


def violations(framing: Framing, data: bytes) -> list[str]:
    grammar, decoder = framing.grammar(), framing.decoder()
    events = [*decoder.feed(data), *decoder.end()]
    return [problem for event in events for problem in grammar.feed(event)] + grammar.end()


def bytes_of(mended: list[Mended]) -> bytes:
    return b"".join(one.data for one in mended)


def codes_of(mended: list[Mended]) -> list[str]:
    return [finding.code for one in mended for finding in one.findings]


@each_framing
@given(data=st.data())
def test_a_valid_stream_passes_byte_for_byte_in_any_chunks(name: str, data: st.DataObject) -> None:
    framing = FRAMINGS[name]
    stream = b"".join(data.draw(framing.valid()))
    assert violations(framing, stream) == []
    mended = mend(framing, data.draw(chunked(stream)), framing.context())
    assert bytes_of(mended) == stream
    assert codes_of(mended) == []


@each_framing
@given(data=st.data())
def test_whatever_comes_in_what_goes_out_is_valid_and_stays_as_it_is(
    name: str, mutated_events: Counter[str], data: st.DataObject
) -> None:
    framing = FRAMINGS[name]
    events = data.draw(framing.mutated())
    mutated_events[name] += len(events)
    stream = b"".join(events)
    context = framing.context(
        client=data.draw(st.sampled_from(framing.clients)),
        tool_names=data.draw(TOOLS),
        shown_model=data.draw(st.sampled_from([None, None, "shown"])),
    )
    mended = mend(framing, [stream], context)
    out = bytes_of(mended)
    assert violations(framing, out) == [], out.decode("utf-8", "replace")
    in_chunks = mend(framing, data.draw(chunked(stream)), context)
    assert (bytes_of(in_chunks), codes_of(in_chunks)) == (out, codes_of(mended))
    again = mend(framing, [out], context)
    assert (bytes_of(again), codes_of(again)) == (out, [])


@each_framing
@given(data=st.data())
def test_a_stream_that_breaks_off_anywhere_ends_in_an_error_or_completed(
    name: str, mutated_events: Counter[str], data: st.DataObject
) -> None:
    framing = FRAMINGS[name]
    events = data.draw(framing.mutated())
    mutated_events[name] += len(events)
    whole = b"".join(events)
    repair = repair_of(framing, framing.context())
    shown = repair.feed(whole[: data.draw(st.integers(0, len(whole)))])
    if not any(one.kind in (Kind.TERMINAL, Kind.ERROR) for one in shown):
        ending = repair.fail(FAILURE)
        assert FAILURE.message.encode() in ending
        assert violations(framing, bytes_of(shown) + ending) == []


@each_framing
@given(data=st.data())
def test_rules_that_are_switched_off_find_nothing_and_break_no_other(
    name: str, mutated_events: Counter[str], data: st.DataObject
) -> None:
    framing = FRAMINGS[name]
    events = data.draw(framing.mutated())
    mutated_events[name] += len(events)
    disabled = data.draw(st.frozensets(st.sampled_from(CODES)) | st.just(frozenset(CODES)))
    mended = mend(framing, [b"".join(events)], framing.context(disabled=disabled))
    assert not {code for code in disabled if code[:2] != "S0"}.intersection(codes_of(mended))
    valid = b"".join(data.draw(framing.valid()))
    assert bytes_of(mend(framing, [valid], framing.context(disabled=disabled))) == valid


@each_framing
@given(stream=st.binary(max_size=200), data=st.data())
def test_no_bytes_are_too_odd(name: str, stream: bytes, data: st.DataObject) -> None:
    framing = FRAMINGS[name]
    mended = mend(framing, data.draw(chunked(stream)), framing.context())
    assert violations(framing, bytes_of(mended)) == []
