"""Removing envelopes from requests that are not translated.

A session may return from a translated provider to the client's own one. Its history then contains
envelopes where that provider expects its own signatures, and would reject every further turn.
"""

from collections.abc import Iterator
from typing import Any

from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.middle.losses import Loss, LossKind
from wiremend.protocols.base.middle.state import is_sealed
from wiremend.protocols.base.middle.wording import NO_CONTENT
from wiremend.protocols.responses.read.items import summary_text
from wiremend.protocols.responses.read.kinds import COMPACTION
from wiremend.rules.rule import Notes
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path
from wiremend.translate.rules import note_losses

_STATE_KEYS = frozenset(
    {
        "signature",  # Anthropic
        "data",  # Anthropic's redacted thinking, OpenRouter's details
        "encrypted_content",  # Responses
        "thoughtSignature",  # Gemini
        "thought_signature",
    }
)
_TOOL_DATA = frozenset({"input", "args", "response"})
"""Members whose objects are arguments or results of tools, in which a name means anything. A list
in `input` contains the items of Responses."""
_TOOLS = "tools"
"""The member with the definitions of tools, which are the client's."""
_HOLDERS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning.encrypted"})
"""The types of the objects that are nothing without their state, and are removed with it."""


def has_envelopes(document: RequestDocument) -> bool:
    """Return whether a request contains envelopes. Iterative: values may nest deeply."""
    if _STATE_KEYS.isdisjoint(document.words):
        return False
    waiting: list[Any] = [document.fields]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += [item for item in value if isinstance(item, list | dict)]
        elif isinstance(value, dict):
            if not _STATE_KEYS.isdisjoint(value) and any(
                is_sealed(value.get(key)) for key in _STATE_KEYS
            ):
                return True
            waiting += [
                item
                for key, item in value.items()
                if isinstance(item, list | dict) and key != _TOOLS
            ]
    return False


def without_envelopes(document: RequestDocument, notes: Notes) -> RequestDocument:
    """Return the request without envelopes; the same object if it has none.

    Reasoning that came from a translated provider is removed with its envelope. A signature that is
    bound to other content is removed alone. The summary of a compacted conversation becomes a
    message.
    """
    removed = list(_removed(document.fields))
    if not removed:
        return document
    edits = Edits(document.body)
    for path, replacement in removed:
        if replacement is None:
            edits.remove(path)
        else:
            edits.replace(path, json_value.write(replacement))
        if isinstance(replacement, dict):
            loss = Loss(LossKind.CONTENT, "compaction of another provider", "sent as text", path)
        else:
            loss = Loss(LossKind.REASONING, "reasoning of another provider", "not sent", path)
        note_losses([loss], notes)
    return document.edited(edits)


def _removed(fields: Any) -> Iterator[tuple[Path, Any]]:
    """Yield the paths to remove, or to replace by a value. Iterative: values may nest deeply."""
    waiting: list[tuple[Path, Any]] = [((), fields)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, list):
            held = [at for at, item in enumerate(value) if _is_holder(item)]
            if held and len(held) == len(value) and path[-1:] == ("content",):
                yield path, [{"type": "text", "text": NO_CONTENT}]
                continue
            yield from (((*path, at), None) for at in held)
            gone = set(held)
            for at, item in enumerate(value):
                if isinstance(item, list | dict) and at not in gone:
                    waiting.append(((*path, at), item))
        elif isinstance(value, dict):
            if value.get("type") == COMPACTION and (summary := summary_text(value)):
                yield path, {"type": "message", "role": "user", "content": summary}
                continue
            if not _STATE_KEYS.isdisjoint(value):
                state = [key for key in value if key in _STATE_KEYS and is_sealed(value[key])]
                yield from (((*path, key), None) for key in state)
            for key, item in value.items():
                if isinstance(item, list):
                    if key != _TOOLS:
                        waiting.append(((*path, key), item))
                elif isinstance(item, dict) and key not in _TOOL_DATA:
                    waiting.append(((*path, key), item))


def _is_holder(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    is_holder = isinstance(kind, str) and kind in _HOLDERS
    return is_holder and any(is_sealed(item.get(key)) for key in _STATE_KEYS)
