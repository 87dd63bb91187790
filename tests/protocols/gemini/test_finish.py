"""When a Gemini stream has ended: at a finish reason that nothing follows and that is the last."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from wiremend.protocols.base.repairer import EventKind, StreamContext
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.gemini.stream import GeminiRepairer
from wiremend.repair.stream import StreamRepair, stream_repair

type Json = dict[str, Any]

COUNTS = {"promptTokenCount": 8, "candidatesTokenCount": 4, "totalTokenCount": 12}
CODE = {"executableCode": {"language": "PYTHON", "code": "print(42)"}}
RESULT = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}}
THOUGHT = {"text": "Hm.", "thought": True}
CALL = {"functionCall": {"name": "f", "args": {}}}


def event(*parts: Any, reason: Any = None, counts: Json | None = None, **fields: Any) -> Json:
    """One response; a text stands for its part. `fields` are those of the candidate."""
    shown = [{"text": part} if isinstance(part, str) else part for part in parts]
    candidate: Json = {"content": {"parts": shown, "role": "model"}, "index": 0, **fields}
    if reason is not None:
        candidate["finishReason"] = reason
    usage = {"usageMetadata": counts} if counts else {}
    return {"candidates": [candidate], **usage}


def counted(*parts: Any, reason: Any = None, tokens: int = 4) -> Json:
    counts = {**COUNTS, "candidatesTokenCount": tokens, "totalTokenCount": 8 + tokens}
    return event(*parts, reason=reason, counts=counts)


METADATA: Json = {"usageMetadata": COUNTS, "modelVersion": "gemini-2.5-flash"}
OLD = {"modelVersion": "gemini-1.5-flash-002"}

# What a stream is once it is here: `over` whatever the connection does, over only if upstream
# `closes` it, or still `open`.
STREAMS: dict[str, tuple[str, list[Json]]] = {
    "the end": ("over", [event("Hel"), event("lo", reason="STOP")]),
    "one event with its counts": ("over", [counted("Hello", reason="STOP")]),
    "counts behind the reason": ("over", [event("Hello", reason="STOP"), METADATA]),
    "a message beside the reason": (
        "over",
        [event(CALL, reason="STOP", finishMessage="Model generated function call(s).")],
    ),
    "a refusal": ("over", [event(reason="SAFETY")]),
    "the token limit": ("over", [event("Hel", reason="MAX_TOKENS")]),
    "the token limit inside of code": ("over", [event(CODE, reason="MAX_TOKENS")]),
    "a blocked prompt": ("over", [{"promptFeedback": {"blockReason": "SAFETY"}}]),
    "an empty part behind the reason": ("over", [counted("Hi", reason="STOP"), event("")]),
    "a signature behind the reason": (
        "over",
        [counted("Hi", reason="STOP"), event({"text": "", "thoughtSignature": "c2ln"})],
    ),
    "grounding behind the reason": (
        "over",
        [counted("Hi", reason="STOP"), {"candidates": [{"groundingMetadata": {}}]}],
    ),
    "a reason without counts in the first event": ("closes", [event("Hel", reason="STOP")]),
    "a reason in every event": (
        "closes",
        [event("Hel", reason="STOP"), event("lo", reason="STOP"), METADATA],
    ),
    "counts and a reason in every event": (
        "closes",
        [counted("Hel", reason="STOP"), counted("lo", reason="STOP", tokens=5)],
    ),
    "an old model in its first event": ("closes", [counted("Hel", reason="STOP") | OLD]),
    "an early reason and another one": (
        "closes",
        [event("H"), event("el", reason="STOP"), event("lo"), event(".", reason="STOP")],
    ),
    "no reason": ("open", [event("Hel"), METADATA]),
    "text behind the reason": ("open", [counted("Hel", reason="STOP"), event("lo")]),
    "text behind the token limit": ("open", [event("Hel", reason="MAX_TOKENS"), event("lo")]),
    "a call behind the reason": ("open", [counted("Hm", reason="STOP"), event(CALL)]),
    "a thought behind the reason": ("open", [counted("Hm", reason="STOP"), event(THOUGHT)]),
    "a new part behind the reason": ("open", [counted("Hm", reason="STOP"), event({"new": 1})]),
    "code with the reason": ("open", [counted(CODE, reason="STOP")]),
    "code, then the reason alone": ("open", [event(CODE), event(reason="STOP"), METADATA]),
    "the result of code": ("open", [counted(CODE, reason="STOP"), event(RESULT)]),
    "text behind code": ("open", [counted(CODE, reason="STOP"), event(RESULT), event("It")]),
    "another run of code": (
        "open",
        [event(CODE, reason="STOP"), event(RESULT), counted("Then", CODE, reason="STOP")],
    ),
    "the answer behind code": (
        "over",
        [event(CODE, reason="STOP"), event(RESULT), counted("42", reason="STOP", tokens=9)],
    ),
    "the answer behind code without counts": (
        "over",
        [event("I run it:", CODE, reason="STOP"), event(RESULT), event("42", reason="STOP")],
    ),
    "thoughts alone": ("open", [event(THOUGHT), event(THOUGHT), METADATA]),
    "one of two candidates": (
        "open",
        [counted("a", reason="STOP"), {"candidates": [{"index": 1}]}],
    ),
    "metadata alone": ("open", [METADATA]),
}


def framed(events: Sequence[Json], *, array: bool) -> bytes:
    texts = list(map(orjson.dumps, events))
    if array:
        return b"[" + b",\r\n".join(texts)
    return b"".join(b"data: " + text + b"\n\n" for text in texts)


def fed(events: Sequence[Json], **fields: Any) -> StreamRepair:
    context = StreamContext(**fields)
    repair = StreamRepair(GeminiRepairer(context))
    data = framed(events, array=context.array)
    assert b"".join(one.data for one in repair.feed(data)) == data
    return repair


@pytest.mark.parametrize("name", STREAMS)
def test_what_ends_a_stream(name: str) -> None:
    state, events = STREAMS[name]
    repair = fed(events)
    assert (repair.complete, repair.may_break_off) == (state == "over",) * 2
    ending = repair.end()[-1].kind
    assert ending is (EventKind.ERROR if state == "open" else EventKind.TERMINAL)


@pytest.mark.parametrize("name", STREAMS)
def test_an_array_ends_with_its_bracket(name: str) -> None:
    state, events = STREAMS[name]
    cut = fed(events, array=True)
    assert cut.complete == (state == "over")
    assert (cut.end()[-1].kind is EventKind.TERMINAL) == (state == "over")
    closed = fed(events, array=True)
    closed.feed(b"]")
    assert closed.complete == (state != "open")
    assert (closed.end()[-1].kind is EventKind.TERMINAL) == (state != "open")


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("array", [False, True])
def test_the_framing_that_arrives_decides(name: str, array: bool) -> None:
    """`array`: the client's framing; the provider sends the other one."""
    state, events = STREAMS[name]
    repair = stream_repair(GEMINI, StreamContext(array=array), is_reframed=True)
    repair.feed(framed(events, array=not array) + (b"" if array else b"]"))
    assert (repair.end()[-1].kind is EventKind.TERMINAL) == (state != "open")


def test_the_requested_model_counts_until_a_response_names_one() -> None:
    events = [counted("Hello", reason="STOP")]
    for model in ("gemini-1.5-pro", "models/gemini-1.0-pro", "gemini-pro", "gemini-pro-vision"):
        assert not fed(events, model=model).complete
    for model in ("gemini-2.5-pro", "gemini-pro-latest", "gemini-10-pro", ""):
        assert fed(events, model=model).complete
    assert fed([events[0] | {"modelVersion": "gemini-2.0-flash"}], model="gemini-1.5-pro").complete


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([counted("a"), counted("b", reason="STOP"), counted("b", reason="STOP")], 2),
        ([event("a"), event("b", reason="STOP"), event("b", reason="STOP")], 2),
        ([event("a"), *[event("b", reason="MAX_TOKENS")] * 3], 2),
        ([counted("b", reason="STOP"), METADATA, counted("b", reason="STOP")], 2),
        ([event({"functionCall": {"name": "f", "id": "1"}}, reason="STOP")] * 2, 1),
        ([event(CALL, reason="STOP", finishMessage="Called.")] * 2, 1),
        ([counted({"thoughtSignature": "c2ln"}, reason="STOP")] * 2, 1),
        # These may be new content: nothing counts it, and each of these events has a reason.
        ([event("ha", reason="STOP")] * 3, 3),
        ([event(CALL, reason="STOP")] * 2, 2),
        ([counted("b", reason="STOP"), counted("b", reason="STOP", tokens=5)], 2),
        ([counted("b", reason="STOP"), counted("c"), counted("b", reason="STOP")], 3),
        ([counted("b"), counted("b")], 2),
    ],
)
@pytest.mark.parametrize("array", [False, True])
def test_a_final_event_is_shown_once(events: list[Json], shown: int, array: bool) -> None:
    repair = StreamRepair(GeminiRepairer(StreamContext(array=array)))
    repaired = repair.feed(framed(events, array=array))
    assert len([one for one in repaired if one.data.strip()]) == shown
    codes = [finding.code for one in repaired for finding in one.findings]
    assert codes == ["S419"] * (len(events) - shown)
