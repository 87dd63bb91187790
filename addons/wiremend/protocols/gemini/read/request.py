"""A Gemini request as a conversation.

https://ai.google.dev/api/generate-content
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from wiremend.protocols.base.middle.content import (
    Call,
    Media,
    Part,
    Result,
    Text,
)
from wiremend.protocols.base.middle.conversation import Conversation, Need, Role, Turn
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.gemini.own_form import own_of, with_form
from wiremend.protocols.gemini.read.pairing import Pairing
from wiremend.protocols.gemini.read.parameters import read_generation_config
from wiremend.protocols.gemini.read.parts import read_part
from wiremend.protocols.gemini.read.spelling import in_camel_case
from wiremend.protocols.gemini.read.tools import read_choice, read_tools
from wiremend.protocols.gemini.request import read_request as read_facts
from wiremend.protocols.gemini.request import request_path
from wiremend.text.json_edits import Path

_G = WireProtocol.GEMINI
_ROLES: Mapping[str, Role] = {"user": Role.USER, "model": Role.ASSISTANT}


def read_request(path: str, body: Mapping[str, Any]) -> Conversation:
    """Return the conversation in the parsed body of a request; `path` contains the query."""
    facts = read_facts(path, body)
    at = request_path(body)
    wrapper = {key: value for key, value in body.items() if key != "request"} if at else None
    request = in_camel_case(body["request"] if at else body)
    members = Members(request)
    system, original = _system(members, at)
    turns = _turns(members, at)
    entries = members.list("tools")
    tools = tuple(read_tools(entries, (*at, "tools")))
    choice = read_choice(members, at)
    config = read_generation_config(members, at)
    session = members.peek("session_id")  # of Code Assist
    members.drop("model")
    own = own_of(
        members,
        wrapper=wrapper,
        systemInstruction=original,
        model=request.get("model"),
        tools=entries if entries is not None and not tools else None,
    )
    return Conversation(
        source=_G,
        model=facts.model,
        system=system,
        turns=turns,
        tools=tools,
        choice=choice,
        format=config.format,
        reasoning=config.reasoning,
        parameters=config.parameters,
        session=session if isinstance(session, str) else "",
        stream=facts.streaming,
        needs=(*_needs(members, at), *config.needs),
        own=own,
    )


def _needs(members: Members, at: Path) -> Iterator[Need]:
    if members.peek("cachedContent"):
        reason = "it is content that only the client's provider has"
        yield Need("cachedContent", reason, (*at, "cachedContent"))


def _system(members: Members, at: Path) -> tuple[tuple[Text, ...], Any]:
    """Take the system text; return it, and the instruction where its texts do not restore it."""
    instruction = members.peek("systemInstruction")
    place = (*at, "systemInstruction")
    if isinstance(instruction, str) and instruction:
        members.drop("systemInstruction")
        return (Text(instruction, at=place),), instruction
    if not isinstance(instruction, dict) or not isinstance(instruction.get("parts"), list):
        return (), None
    parts = instruction["parts"]
    texts = [
        read
        for number, part in enumerate(parts)
        if isinstance(part, dict)
        for read in read_part(part, (*place, "parts", number))
        if isinstance(read, Text)
    ]
    if not texts:
        return (), None
    members.drop("systemInstruction")
    rest = {key: value for key, value in instruction.items() if key not in ("parts", "role")}
    left = [part for part in parts if not isinstance(part, dict) or "text" not in part]
    if rest or left:
        members.keep("systemInstruction", {**rest, **({"parts": left} if left else {})})
    is_plain = not left and instruction.keys() == {"parts"} and len(texts) == len(parts)
    return tuple(texts), None if is_plain else instruction


def _turns(members: Members, at: Path) -> tuple[Turn, ...]:
    contents = members.list("contents") or []
    pairing = Pairing()
    return tuple(
        _turn(content, (*at, "contents", number), pairing)
        for number, content in enumerate(contents)
        if isinstance(content, dict)
    )


def _turn(content: Mapping[str, Any], at: Path, pairing: Pairing) -> Turn:
    members = Members(content)
    word = members.word("role", _ROLES)
    role = _ROLES.get(word, Role.USER)
    pairing.begin(role)
    parts = members.peek("parts")
    if isinstance(parts, list) and parts and all(isinstance(part, dict) for part in parts):
        members.drop("parts")
        read = tuple(_with_ids(_parts(parts, at), role, at, pairing))
    else:
        read = ()
    has_role = bool(word) or "role" in content
    return Turn(role, read, own=own_of(members, no_role=None if has_role else True), at=at)


def _parts(parts: list[dict[str, Any]], at: Path) -> Iterator[Part]:
    """Yield the parts; media directly behind a result are part of it, as in Gemini CLI."""
    result: Result | None = None
    siblings: list[Media] = []
    for number, part in enumerate(parts):
        for read in read_part(part, (*at, "parts", number)):
            if result is not None and isinstance(read, Media):
                siblings.append(replace(read, own=with_form(read.own, sibling=True)))
                continue
            if result is not None:
                yield _with_siblings(result, siblings)
                siblings = []
            result = read if isinstance(read, Result) else None
            if result is None:
                yield read
    if result is not None:
        yield _with_siblings(result, siblings)


def _with_siblings(result: Result, siblings: list[Media]) -> Result:
    if not siblings:
        return result
    return replace(result, parts=(*result.parts, *siblings), is_plain=False)


def _with_ids(parts: Iterator[Part], role: Role, at: Path, pairing: Pairing) -> Iterator[Part]:
    turn = at[-1]
    for number, part in enumerate(parts):
        position = f"{turn}_{number}"
        if isinstance(part, Call) and role is Role.ASSISTANT:
            yield pairing.call(part, position)
        elif isinstance(part, Result) and role is not Role.ASSISTANT:
            yield pairing.result(part, position)
        else:
            yield part
