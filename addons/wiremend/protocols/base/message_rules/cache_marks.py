"""The shared rules and passes on `cache_control`: number, order and place of the marks.

The provider reads the marks in the order of tools, system prompt and messages.

https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
"""

from collections.abc import Iterator
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import MessageTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path
from wiremend.text.json_value import is_blank, objects

_BOTH = (WireProtocol.ANTHROPIC_MESSAGES, WireProtocol.CHAT_COMPLETIONS)

CACHE_CONTROL = Rule(
    code="Q101",
    name="cache-control",
    detects="Messages, system prompt or tools contain `cache_control`.",
    impact="Kimi: `Extra inputs are not permitted, field: messages[0].cache_control`.",
    action="Removes it for targets that reject it.",
    protocols=_BOTH,
    seen=("routatic/proxy#53", "can1357/oh-my-pi#11812"),
    before='{"messages":[{"role":"user","content":"Hello","cache_control":{"type":"ephemeral"}}]}',
    after='{"messages":[{"role":"user","content":"Hello"}]}',
)
TOO_MANY_CACHE_MARKS = Rule(
    code="Q110",
    name="too-many-cache-marks",
    detects="The request contains more `cache_control` than the provider accepts.",
    impact="Anthropic: `A maximum of 4 blocks with cache_control may be provided. Found 5.`",
    action="Keeps the last mark of tools and system prompt, and the last marks of the messages.",
    protocols=_BOTH,
    seen=(
        "Wei-Shaw/sub2api#176",
        "griffinmartin/opencode-claude-auth#121",
        "ObservedObserver/async-code#34",
        "VicBilibily/GCMP#83",
    ),
    before='{"system":[{"type":"text","text":"a","cache_control":{}},{"type":"text","text":"b",'
    '"cache_control":{}}],"messages":[{"role":"user","content":"c","cache_control":{}},{"role":'
    '"user","content":"d","cache_control":{}},{"role":"user","content":"e","cache_control":{}}]}',
    after='{"system":[{"type":"text","text":"a"},{"type":"text","text":"b",'
    '"cache_control":{}}],"messages":[{"role":"user","content":"c","cache_control":{}},{"role":'
    '"user","content":"d","cache_control":{}},{"role":"user","content":"e","cache_control":{}}]}',
)
CACHE_MARK_ORDER = Rule(
    code="Q111",
    name="cache-mark-order",
    detects="A `cache_control` for one hour follows one for five minutes.",
    impact="Anthropic: `a ttl='1h' cache_control block must not come after a ttl='5m' "
    "cache_control block`.",
    action="Removes the `ttl` of the later one, which makes it one for five minutes.",
    protocols=_BOTH,
    seen=(
        "headroomlabs-ai/headroom#2939",
        "cnighswonger/claude-code-cache-fix#44",
        "vellum-ai/vellum-assistant#22191",
    ),
    before='{"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":'
    '{"type":"ephemeral"}},{"type":"text","text":"b","cache_control":{"type":"ephemeral",'
    '"ttl":"1h"}}]}]}',
    after='{"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":'
    '{"type":"ephemeral"}},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]}]}',
)
CACHE_MARK_PLACE = Rule(
    code="Q112",
    name="cache-mark-place",
    detects="A `cache_control` is inside the content of a tool result, on an empty text, or on a "
    "tool with deferred loading.",
    impact="`cache_control may not be specified within tool_result.content`; `cache_control cannot "
    "be set for empty text blocks`; `cannot have both defer_loading=true and cache_control set`.",
    action="Moves a mark inside a tool result to the result; removes the others.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
    seen=("caozhiyuan/copilot-api#241", "router-for-me/CLIProxyAPI#4561"),
    before='{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t",'
    '"content":[{"type":"text","text":"ok","cache_control":{"type":"ephemeral"}}]}]}]}',
    after='{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t",'
    '"content":[{"type":"text","text":"ok"}],"cache_control":{"type":"ephemeral"}}]}]}',
)

_KEY = "cache_control"


def _marked(request: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the objects with a mark, in order; not those in schemas and arguments of tools."""
    for path, tool in objects(request.get("tools"), ("tools",)):
        if _KEY in tool:
            yield path, tool
        function = tool.get("function")
        if isinstance(function, dict) and _KEY in function:
            yield (*path, "function"), function
    yield from _marked_in(request.get("system"), ("system",))
    for path, message in objects(request.get("messages"), ("messages",)):
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            if isinstance(block, dict):
                inner = block.get("content")
                if isinstance(inner, list):
                    yield from _marked_in(inner, (*path, "content", index, "content"))
                if _KEY in block:
                    yield (*path, "content", index), block
        if _KEY in message:
            yield path, message
    if _KEY in request:
        yield (), request


def _marked_in(value: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the objects with a mark in the list at `path`."""
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict) and _KEY in item:
            yield (*path, index), item


def _marks(request: dict[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
    """Return the marks that are not null, in order, each with the path of its owner."""
    return [
        (path, owner[_KEY]) for path, owner in _marked(request) if isinstance(owner[_KEY], dict)
    ]


def strip_cache_control(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Remove every `cache_control`."""
    for path, _owner in _marked(request):
        if notes.note(CACHE_CONTROL, BodyPlace(path), _KEY, "removed"):
            edits.remove((*path, _KEY))


def drop_surplus_marks(
    request: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes
) -> None:
    """Keep the last mark before the messages and the last marks of the messages."""
    most = traits.max_cache_marks
    paths = [path for path, _ in edits.once(_marks, request)]
    if len(paths) <= most:
        return
    fixed = [path for path in paths if path and path[0] in ("tools", "system")]
    others = paths[len(fixed) :]
    kept_fixed = min(len(fixed), max(most - len(others), 1 if most > 1 else 0))
    surplus = fixed[: len(fixed) - kept_fixed] + others[: len(others) - (most - kept_fixed)]
    for path in surplus:
        found = f"{len(paths)} marks, at most {most} are accepted"
        if notes.note(TOO_MANY_CACHE_MARKS, BodyPlace((*path, _KEY)), found, "removed"):
            edits.remove((*path, _KEY))


def order_marks(request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
    """Shorten the marks for one hour that follow one for five minutes."""
    is_short = False
    for path, mark in edits.once(_marks, request):
        if mark.get("ttl") != "1h":
            is_short = True
        elif is_short and notes.note(
            CACHE_MARK_ORDER, BodyPlace((*path, _KEY, "ttl")), "1h after 5m", "removed"
        ):
            edits.remove((*path, _KEY, "ttl"))


def place_marks(request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
    """Move marks out of the content of tool results; remove them where none may be."""
    for path, tool in objects(request.get("tools"), ("tools",)):
        if _KEY in tool and tool.get("defer_loading") is True:
            _remove(edits, notes, path, "on a tool with deferred loading")
    for path, message in objects(request.get("messages"), ("messages",)):
        for block_path, block in objects(message.get("content"), (*path, "content")):
            if block.get("type") == "text" and _KEY in block and is_blank(block.get("text")):
                _remove(edits, notes, block_path, "on an empty text")
            if block.get("type") == "tool_result":
                _place_in_result(edits, notes, block_path, block)


def _place_in_result(edits: Edits, notes: Notes, path: Path, result: dict[str, Any]) -> None:
    moved = None
    for inner, block in objects(result.get("content"), (*path, "content")):
        if _KEY in block and _remove(edits, notes, inner, "inside a tool result"):
            moved = block[_KEY]
    if isinstance(moved, dict) and _KEY not in result:
        edits.append(path, b'"cache_control":' + json_value.write(moved))


def _remove(edits: Edits, notes: Notes, owner: Path, found: str) -> bool:
    if not notes.note(CACHE_MARK_PLACE, BodyPlace((*owner, _KEY)), found, "removed"):
        return False
    edits.remove((*owner, _KEY))
    return True
