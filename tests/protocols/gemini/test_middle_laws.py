"""Requests and answers that are read into the middle form and written again are the same."""

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from strategies import gemini as gemini_streams
from strategies import gemini_requests
from strategies.mutations import chunked
from strategies.wire import values_of
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.gemini.grammar import Grammar
from wiremend.text import sse

ORIGIN = Origin(WireProtocol.GEMINI, "h", "m")
TARGET = Target(origin=ORIGIN)
TRANSLATION = GEMINI.translation
assert TRANSLATION is not None

type Json = dict[str, Any]


@given(request=gemini_requests.requests())
def test_a_request_is_restored(request: tuple[str, Json]) -> None:
    path, body = request
    losses = Losses()
    conversation = TRANSLATION.read_request(path, body)
    written = TRANSLATION.write_request(conversation, TARGET, losses)
    assert json.loads(written.body) == body
    assert written.path.partition("?")[0] == path.partition("?")[0]
    assert losses.taken() == []


@given(request=gemini_requests.requests())
def test_ids_are_unique_and_results_have_their_call(request: tuple[str, Json]) -> None:
    conversation = TRANSLATION.read_request(*request)
    calls: dict[str, str] = {}
    for turn in conversation.turns:
        for part in turn.parts:
            match type(part).__name__:
                case "Call":
                    assert part.id not in calls
                    calls[part.id] = part.name
                case "Result":
                    assert calls.pop(part.call_id) == part.name
    assert not calls


def events_of(pieces: Iterable[bytes]) -> list[sse.Event]:
    decoder = sse.Decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return [*events, *decoder.end()]


def written(pieces: Iterable[bytes], context: AnswerContext) -> bytes:
    """Return what a stream becomes in the same protocol."""
    losses = Losses()
    reader = TRANSLATION.make_reader(context, losses)
    writer = TRANSLATION.make_writer(context, losses)
    events = [one for event in events_of(pieces) for one in reader.feed(event)]
    return b"".join(map(writer.feed, [*events, *reader.end()]))


def folded(stream: bytes) -> Json:
    """Return all members of a stream, with the content of each candidate put together."""
    response: Json = {}
    candidates: dict[int, Json] = {}
    for _, value in values_of(stream):
        outer = {key: one for key, one in value.items() if key != "response"}
        response |= {"outer": outer} if "response" in value else {}
        inner = value.get("response", value)
        for candidate in inner.get("candidates", ()):
            one = candidates.setdefault(candidate.get("index", 0), {"parts": []})
            one["parts"] += candidate.get("content", {}).get("parts", ())
            one |= {key: candidate[key] for key in candidate if key not in ("content", "index")}
            if any(map(_is_content, candidate.get("content", {}).get("parts", ()))):
                reason = candidate.get("finishReason")
                one.pop("finishReason", None)
                one |= {"finishReason": reason} if reason else {}
        response |= {key: inner[key] for key in inner if key != "candidates"}
    for index, one in candidates.items():
        if not index:  # the others are not taken apart
            one["parts"] = list(_joined(one["parts"]))
    return response | {"candidates": candidates}


def _is_content(part: Json) -> bool:
    return bool(part.get("text")) or not part.keys() <= {"text", "thought", "thoughtSignature"}


def _joined(parts: Iterable[Json]) -> Iterable[Json]:
    """Join texts up to a signature, and the pieces of a call; drop what contains nothing."""
    last: Json | None = None
    args: Json | None = None
    for part in parts:
        call = part.get("functionCall")
        if call is not None and (args is not None or call.get("willContinue")):
            args = {"name": call["name"]} | {"args": {}} if args is None else args
            for piece in call.get("partialArgs", ()):
                args["args"][piece["jsonPath"].removeprefix("$.")] = piece["stringValue"]
            if not call.get("willContinue"):
                yield from [last] if last else []
                yield {"functionCall": args}
                last = args = None
        elif "text" in part and last is not None and _is_continued(last, part):
            last = {**last, **part, "text": last["text"] + part["text"]}
        else:
            yield from [last] if last else []
            last = None
            if part.keys() == {"thoughtSignature"}:
                part = {"text": "", **part}
            if "text" in part:
                last = part if part.keys() - {"text", "thought"} or part["text"] else None
            elif part:
                yield part
    yield from [last] if last else []


def _is_continued(last: Json, part: Json) -> bool:
    is_signed = "thoughtSignature" in last
    keys = {key: last.get(key) for key in last.keys() | part.keys() if key != "thoughtSignature"}
    return not is_signed and all(part.get(key) == keys[key] for key in keys if key != "text")


def _context(stream: bytes) -> AnswerContext:
    is_wrapped = any("response" in value for _, value in values_of(stream))
    return AnswerContext(ORIGIN, {"request": {}} if is_wrapped else {"contents": []})


@given(data=st.data())
def test_an_answer_is_restored(data: st.DataObject) -> None:
    stream = b"".join(data.draw(gemini_streams.valid_streams()))
    out = written(data.draw(chunked(stream)), _context(stream))
    if b'"error"' in stream:
        assert list(values_of(stream))[-1][1]["error"] == list(values_of(out))[-1][1]["error"]
    else:
        assert folded(out) == folded(stream)


def violations(stream: bytes) -> list[str]:
    grammar = Grammar(False)
    found = [one for event in events_of([stream]) for one in grammar.feed(event)]
    return found + grammar.end()


@given(data=st.data())
def test_a_written_answer_is_valid(data: st.DataObject) -> None:
    stream = b"".join(data.draw(gemini_streams.valid_streams()))
    assert violations(written([stream], _context(stream))) == []
