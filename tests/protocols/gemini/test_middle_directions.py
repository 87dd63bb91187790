"""Gemini requests that go to another protocol and back, and sessions that grow."""

import json
import re
from dataclasses import replace
from itertools import pairwise, zip_longest
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st
from strategies import anthropic_requests, chat_requests, gemini_requests
from wiremend.protocols.base.middle.content import Call, Media, MediaKind, Part, Result, Text
from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Conversation,
    ToolChoice,
    ToolName,
)
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.middle.target import Target, TranslationTraits
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.registry import PROTOCOLS
from wiremend.translate.request import TranslatedRequest, translate_request
from wiremend.translate.settle import settled

PATH = "/v1beta/models/asked:generateContent"
ANY_PATH = "/v1/responses"
"""Only Gemini has facts in the path."""
TAKES_ALL = TranslationTraits(media=frozenset(MediaKind), efforts=("low", "medium", "high"))

NOTES = re.compile(
    r"\[from the result of [^]]*\]|The content is attached\.|\(see the next message\)"
    r"|\Adocument(?:\.pdf)?\Z"
)
"""What writers add: names of documents, and what replaces media in results."""
FAILED = re.compile(r"\AError(?::? ?\n?)")
"""What Chat Completions and Responses have instead of an error flag."""
OTHERS = [
    name
    for name, protocol in PROTOCOLS.items()
    if name is not GEMINI.name and protocol.translation is not None
]

type Json = dict[str, Any]


def target_of(protocol: Protocol, traits: TranslationTraits = TAKES_ALL) -> Target:
    return Target(origin=Origin(protocol.name, "h", "m"), traits=traits)


def translated(source: Protocol, body: Json, provider: Protocol, path: str = PATH) -> Json:
    result = translate_request(source, path, body, provider, target_of(provider))
    assert result.refusal is None
    value: Json = json.loads(result.body)
    return value


def read(body: Json) -> Conversation:
    assert GEMINI.translation is not None
    return settled(GEMINI.translation.read_request(PATH, body), Losses())


def essence(conversation: Conversation) -> Json:
    """Return what every protocol carries: of messages, those of equal roles together."""
    turns: list[Json] = []
    for turn in conversation.turns:
        if not turns or turns[-1]["role"] is not turn.role:
            turns.append({"role": turn.role, "text": "", "others": [], "media": []})
        for part in turn.parts:
            _add(turns[-1], part)
    tools = [(tool.name, tool.description) for tool in conversation.tools]
    system = "".join(text.text for text in conversation.system).replace("\n", "")
    return {"turns": turns, "tools": tools, "system": system}


def _add(turn: Json, part: Part) -> None:
    match part:
        case Text():
            turn["text"] += NOTES.sub("", part.text).replace("\n", "")
        case Call():
            turn["others"].append((part.name, json.loads(part.arguments or "{}")))
        case Result():
            texts = [one.text for one in part.parts if isinstance(one, Text)]
            text = NOTES.sub("", "\n".join(texts))
            turn["others"].append((part.name, FAILED.sub("", text)))
            for one in part.parts:
                if isinstance(one, Media):
                    _add(turn, one)
        case Media():
            turn["media"] = sorted([*turn["media"], repr(part.source)])


def simple(body: Json) -> Json:
    """Return a request without blank text, and what only Gemini has: its tools, unknown parts."""
    kept = ("text", "functionCall", "functionResponse", "inlineData", "fileData")
    turns = []
    for content in body["contents"]:
        parts = [
            part
            for part in content["parts"]
            if any(key in part for key in kept)
            and not part.get("thought")
            and part.get("text", "-").strip()
        ]
        turns.append({**content, "parts": parts or [{"text": "so"}]})
    return {**body, "contents": turns}


@pytest.mark.parametrize("other", OTHERS)
@given(data=st.data())
def test_there_and_back(other: WireProtocol, data: st.DataObject) -> None:
    body = simple(data.draw(gemini_requests.conversations())[-1])
    there = translated(GEMINI, body, PROTOCOLS[other])
    back = translated(PROTOCOLS[other], there, GEMINI, ANY_PATH)
    expected, found = essence(read(body)), essence(read(back))
    differing = [
        (before, after)
        for before, after in zip_longest(expected["turns"], found["turns"])
        if before != after
    ]
    assert differing == []
    assert found == expected


@pytest.mark.parametrize("source", OTHERS)
@given(data=st.data())
def test_a_longer_session_begins_with_the_same_bytes(
    source: WireProtocol, data: st.DataObject
) -> None:
    """The sessions of other protocols are those of Gemini's strategy, translated."""
    sessions = data.draw(gemini_requests.conversations())
    protocol = PROTOCOLS[source]
    bodies = [translated(GEMINI, simple(body), protocol) for body in sessions]
    results = [
        translate_request(protocol, ANY_PATH, body, GEMINI, target_of(GEMINI)) for body in bodies
    ]
    written = [_contents_start(result) for result in results]
    for shorter, longer in pairwise(written):
        assert longer.startswith(shorter)


def _contents_start(result: TranslatedRequest) -> bytes:
    """Return the request up to the end of its last content, without the brackets behind it."""
    contents = json.dumps(json.loads(result.body)["contents"][-1], ensure_ascii=False)
    assert contents
    rest = result.body.partition(b',"generationConfig"')[0].partition(b',"toolConfig"')[0]
    return rest.rstrip(b"]}")


@given(data=st.data())
def test_a_longer_session_of_gemini_begins_with_the_same_messages(data: st.DataObject) -> None:
    sessions = data.draw(gemini_requests.conversations())
    turns = [read(body).turns for body in sessions]
    for shorter, longer in pairwise(turns):
        assert [replace(one, at=()) for one in longer[: len(shorter)]] == list(shorter)


REQUESTS = {
    WireProtocol.ANTHROPIC_MESSAGES: anthropic_requests.requests,
    WireProtocol.CHAT_COMPLETIONS: chat_requests.requests,
}


@pytest.mark.parametrize("source", REQUESTS)
@given(data=st.data())
def test_written_requests_have_the_types_of_the_sdk(
    source: WireProtocol, data: st.DataObject
) -> None:
    body = data.draw(REQUESTS[source]())
    result = translate_request(PROTOCOLS[source], ANY_PATH, body, GEMINI, target_of(GEMINI))
    if result.refusal is not None:
        assert result.refusal.status == 400
        return
    written = json.loads(result.body)
    contents = [types.Content.model_validate(one) for one in written["contents"]]
    roles = ["user", "model"] * len(contents)
    assert [one.role for one in contents] == roles[: len(contents)]
    assert contents[-1].role == "user"
    for tool in written.get("tools", ()):
        types.Tool.model_validate(tool)
    types.ToolConfig.model_validate(written.get("toolConfig", {}))
    types.GenerationConfig.model_validate(written.get("generationConfig", {}))
    types.Content.model_validate(written.get("systemInstruction", {}))
    assert set(written) <= {
        "systemInstruction", "tools", "contents", "toolConfig", "generationConfig"
    }  # fmt: skip


@pytest.mark.parametrize("source", REQUESTS)
@given(data=st.data())
def test_a_plain_request_survives_the_way_to_gemini_and_back(
    source: WireProtocol, data: st.DataObject
) -> None:
    body = data.draw(REQUESTS[source](is_plain=True))
    protocol = PROTOCOLS[source]
    assert protocol.translation is not None
    there = translated(protocol, body, GEMINI)
    back = translated(GEMINI, there, protocol)
    before, after = (
        settled(protocol.translation.read_request(ANY_PATH, one), Losses()) for one in (body, back)
    )
    assert essence(after) == essence(before)
    assert after.parameters.stops == before.parameters.stops[:5]
    assert after.parameters.temperature == before.parameters.temperature
    assert _choice(after) == (_choice(before) if before.tools else _choice(read({})))


def _choice(conversation: Conversation) -> tuple[ChoiceMode, ToolName | None]:
    choice = conversation.choice or ToolChoice()
    return choice.mode, choice.forced
