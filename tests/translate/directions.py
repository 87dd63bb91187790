"""What the tests of translation share: targets, contexts, and whole ways through the code."""

from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import settings
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.middle.interface import AnswerContext, Translation
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.middle.target import Target, TranslationTraits
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import Repaired, StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.repair.stream import stream_repair
from wiremend.text import json_value, sse
from wiremend.translate.answer import Direction, StreamTranslation
from wiremend.translate.request import TranslatedRequest, translate_request

fewer = settings(max_examples=settings.default.max_examples // 3)
"""For laws whose examples are whole conversations."""

PROTOCOLS: dict[str, Protocol] = {"anthropic": ANTHROPIC, "chat": CHAT}
A_TO_C = Direction(CHAT, ANTHROPIC)
"""A client of Anthropic's protocol at a provider of Chat Completions."""
C_TO_A = Direction(ANTHROPIC, CHAT)
DIRECTIONS = {"anthropic-to-chat": A_TO_C, "chat-to-anthropic": C_TO_A}


def translation_of(protocol: Protocol) -> Translation:
    assert protocol.translation is not None
    return protocol.translation


def target_of(protocol: Protocol, model: str = "m", **traits: Any) -> Target:
    return Target(
        origin=Origin(protocol.name, "provider.example", model),
        traits=TranslationTraits(**traits),
    )


def translated(
    source: Protocol, body: dict[str, Any], provider: Protocol, target: Target | None = None
) -> TranslatedRequest:
    path = "/v1/messages" if source is ANTHROPIC else "/v1/chat/completions"
    return translate_request(source, path, body, provider, target or target_of(provider))


def sent(
    source: Protocol, body: dict[str, Any], provider: Protocol, **traits: Any
) -> dict[str, Any]:
    """The body that the provider receives."""
    result = translated(source, body, provider, target_of(provider, **traits))
    assert result.refusal is None, result.refusal
    value: dict[str, Any] = orjson.loads(result.body)
    return value


def reread(protocol: Protocol, body: dict[str, Any]) -> dict[str, Any]:
    """A request after reading and writing it in its own protocol."""
    translation = translation_of(protocol)
    conversation = translation.read_request("", body)
    target = Target(origin=Origin(protocol.name, model=body["model"]))
    written = translation.write_request(conversation, target, Losses())
    value: dict[str, Any] = orjson.loads(written.body)
    return value


def context_of(direction: Direction, **more: Any) -> AnswerContext:
    facts: dict[str, Any] = {
        "origin": Origin(direction.provider.name, "provider.example", "m"),
        "request": {"stream": True, "stream_options": {"include_usage": True}},
        "model": "asked-model",
        "answer_id": "abc123",
        "created": 7,
        "input_tokens": 11,
    }
    return AnswerContext(**{**facts, **more})


def through(
    direction: Direction, chunks: Sequence[bytes], **more: Any
) -> tuple[bytes, list[Repaired]]:
    """What the client receives of a stream that the provider sends in these chunks."""
    repair = stream_repair(direction.provider, StreamContext(model="m"))
    translation = StreamTranslation(direction, context_of(direction, **more))
    repaired = [one for chunk in chunks for one in repair.feed(chunk)]
    repaired += repair.end()
    results = [translation.feed(one) for one in repaired]
    return b"".join(one.data for one in results), results


def own_answer(protocol: Protocol, stream: bytes) -> bytes:
    """A stream after reading and writing it in its own protocol."""
    direction = Direction(protocol, protocol)
    return through(direction, [stream])[0]


def violations(protocol: Protocol, stream: bytes) -> list[str]:
    grammar = protocol.make_grammar(StreamContext())
    found = [problem for event in events_of(stream) for problem in grammar.feed(event)]
    return found + grammar.end()


def events_of(stream: bytes) -> list[sse.Event]:
    decoder = sse.Decoder()
    return [*decoder.feed(stream), *decoder.end()]


def values_of(stream: bytes) -> list[dict[str, Any]]:
    """The JSON objects in the events of a stream."""
    datas = [event.data for event in events_of(stream) if event.data]
    return [json_value.read(data) for data in datas if data.strip().startswith(b"{")]


def whole(protocol: Protocol, stream: bytes) -> dict[str, Any]:
    """The answer in a stream."""
    folded = protocol.fold(values_of(stream))
    assert folded is not None
    return folded


def stream_of(protocol: Protocol, body: dict[str, Any]) -> bytes:
    """The stream with this answer."""
    return b"".join(protocol.unfold(body))
