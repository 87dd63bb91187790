"""The shared rules on what one bad turn leaves in a conversation, and their passes.

The provider rejects every further request of such a conversation, since each contains the turn.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import HistoryPass
from wiremend.protocols.base.traits import MessageTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path
from wiremend.text.json_value import objects
from wiremend.text.patterns import linear_pattern

_ALL = tuple(WireProtocol)
_ANTHROPIC = WireProtocol.ANTHROPIC_MESSAGES
_CHAT = WireProtocol.CHAT_COMPLETIONS
_RESPONSES = WireProtocol.RESPONSES
_GEMINI = WireProtocol.GEMINI

REPEATED_CALL_ID = Rule(
    code="Q301",
    name="repeated-call-id",
    detects="Two tool calls in the conversation have the same id.",
    impact="Every further turn is rejected: `` `tool_use` ids must be unique ``, `Duplicate "
    "function_call_output for call_id`, `Duplicate item found with id`.",
    action="Drops a call that only repeats one of the same turn, with its result. Gives any other "
    "a new id, and its result too; the id is the same in every request.",
    protocols=(_ANTHROPIC, _CHAT, _RESPONSES),
    seen=(
        "anthropics/claude-code#20901",
        "anthropics/claude-code#28515",
        "BerriAI/litellm#23510",
        "NousResearch/hermes-agent#102629",
        "craft-ai-agents/craft-agents-oss#753",
    ),
    before='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"ls",'
    '"input":{}},{"type":"tool_use","id":"t","name":"ls","input":{}}]},{"role":"user","content":'
    '[{"type":"tool_result","tool_use_id":"t","content":"a"}]}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"ls",'
    '"input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":'
    '"a"}]}]}',
)
LONE_SURROGATE = Rule(
    code="Q302",
    name="lone-surrogate",
    detects="A text contains half of a surrogate pair, such as `\\ud83d` alone.",
    impact="Every further turn is rejected: `The request body is not valid JSON: no low surrogate "
    "in string`.",
    action="Replaces it with U+FFFD.",
    protocols=_ALL,
    seen=(
        "anthropics/claude-code#4503",
        "anthropics/claude-code#68325",
        "anthropics/claude-code#4599",
        "link-assistant/hive-mind#1324",
        "anomalyco/opencode#17758",
    ),
    before='{"messages":[{"role":"user","content":"Hello \\ud83d"}]}',
    after='{"messages":[{"role":"user","content":"Hello \\ufffd"}]}',
)
UNVERIFIED_REASONING = Rule(
    code="Q303",
    name="unverified-reasoning",
    detects="The conversation contains reasoning that the provider cannot verify: it was modified, "
    "or is from another account, model or provider.",
    impact="Every further turn is rejected. Anthropic: `` `thinking` or `redacted_thinking` blocks "
    "in the latest assistant message cannot be modified ``; OpenAI: `The encrypted content … could "
    "not be verified`; Gemini: `Corrupted thought signature`.",
    action="Sends the request once more without the reasoning. Nothing is stored, since the "
    "reasoning of other conversations is valid: each request of this one is rejected once, until "
    "the provider no longer checks that turn.",
    protocols=_ALL,
    seen=(
        "anthropics/claude-code#63203",
        "anthropics/claude-code#63574",
        "openai/codex#8119",
        "Wei-Shaw/sub2api#3038",
        "google-gemini/gemini-cli#13467",
        "decolua/9router#301",
    ),
    before='{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.",'
    '"signature":"s"},{"type":"text","text":"Hello"}]},{"role":"user","content":"Go on."}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"text","text":"Hello"}]},'
    '{"role":"user","content":"Go on."}]}',
)
PREFILL = Rule(
    code="Q308",
    name="prefill",
    detects="The conversation ends with a message of the assistant, and the model accepts no "
    "prefilled answer.",
    impact="`This model does not support assistant message prefill. The conversation must end with "
    "a user message.`; Mistral: `Expected last role User or Tool`.",
    action="Adds a user message that asks the model to continue.",
    protocols=(_ANTHROPIC, _CHAT, _GEMINI),
    seen=(
        "smallmain/vscode-unify-chat-provider#249",
        "Tarquinen/opencode-dynamic-context-pruning#520",
        "ericc-ch/copilot-api#261",
        "0xPlaygrounds/rig#708",
        "livekit/agents#7030",
        "anomalyco/opencode#36970",
    ),
    before='{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Well,"}]}',
    after='{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Well,"},'
    '{"role":"user","content":"Continue."}]}',
)
INVALID_ARGUMENTS = Rule(
    code="Q309",
    name="invalid-arguments",
    detects="The arguments of a tool call in the conversation are empty, or are not a JSON object.",
    impact="Every further turn is rejected. MiniMax: `invalid function arguments json string`; "
    "Anthropic: `tool_use.input: Input should be a valid dictionary`.",
    action="Replaces empty arguments with `{}`, and any others with an object that contains them.",
    protocols=(_ANTHROPIC, _CHAT, _RESPONSES),
    seen=(
        "ResearAI/DeepScientist#48",
        "MiniMax-AI/MiniMax-M2#43",
        "earendil-works/pi#5468",
        "HKUDS/nanobot#2858",
        "justrach/codegraff#752",
        "sgl-project/sglang#28035",
    ),
    before='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"ls",'
    '"input":""}]}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"ls",'
    '"input":{}}]}]}',
)
DEVELOPER_ROLE = Rule(
    code="Q113",
    name="developer-role",
    detects="A message has the role `developer`, or another role for instructions that the target "
    "does not know.",
    impact="DeepSeek: ``messages[0].role: unknown variant `developer` ``; vLLM: "
    "`Unexpected message role.`",
    action="Sets the role to the one that the target accepts: `system`, unless it has asked for "
    "another.",
    protocols=(_CHAT, _RESPONSES),
    seen=(
        "earendil-works/pi#7603",
        "losesky/ai-auto-trading#14",
        "QuantumNous/new-api#5330",
        "ogx-ai/ogx#6069",
        "peonist-ai/halogen-server#3",
    ),
    before='{"messages":[{"role":"developer","content":"Be brief."}]}',
    after='{"messages":[{"role":"system","content":"Be brief."}]}',
)

CONTINUE = "Continue."
"""The text of a user message behind a prefilled answer."""
INSTRUCTIONS = ("developer", "system")
_SURROGATE = linear_pattern(rb"\\u[dD][89a-fA-F]")
_ESCAPE = linear_pattern(rb"\\(?:u([0-9a-fA-F]{4})|.)")


def replace_lone_surrogates(
    _: dict[str, Any], edits: Edits, __: MessageTraits, notes: Notes
) -> None:
    """Replace the escapes of half surrogate pairs with U+FFFD."""
    spans = list(_lone_surrogates(edits.body)) if edits.may_have_lone_surrogates else []
    if spans and notes.note(
        LONE_SURROGATE, BodyPlace(), f"{len(spans)} lone surrogates", "replaced with U+FFFD"
    ):
        for start in spans:
            edits.splice(start, start + 6, rb"\ufffd")


def _lone_surrogates(body: bytes) -> Iterator[int]:
    """Yield where the escape of a half surrogate pair starts."""
    if _SURROGATE.search(body) is None:
        return
    waiting: int | None = None
    """The start of a high surrogate, which a low one may follow directly."""
    for match in _ESCAPE.finditer(body):
        unit = int(match[1], 16) if match[1] else 0
        is_pair = waiting is not None and waiting + 6 == match.start() and 0xDC00 <= unit < 0xE000
        if waiting is not None and not is_pair:
            yield waiting
        waiting = match.start() if 0xD800 <= unit < 0xDC00 else None
        if 0xDC00 <= unit < 0xE000 and not is_pair:
            yield match.start()
    if waiting is not None:
        yield waiting


@dataclass(frozen=True, slots=True)
class CallOrResult:
    """A tool call or a result in a conversation."""

    path: Path
    """The object that is removed if it only repeats another."""
    id_key: str
    call_id: str
    call: Any = None
    """For a call, what distinguishes it from others of the same id; None for a result."""


@dataclass(slots=True)
class _SameId:
    """What is known of one id."""

    occurrences: int = 0
    """How many calls with this id have been kept."""
    waiting: deque[tuple[str, bytes]] = field(default_factory=deque)
    """The new ids of the calls of this turn without a result, and the calls, in order."""
    calls: set[bytes] = field(default_factory=set)
    """The calls in `waiting`."""
    surplus: int = 0
    """How many calls of this turn were dropped, whose results must be dropped too."""

    def id_of_call(self, call_id: str, call: Any) -> str | None:
        """Return the id that a call gets; None if it repeats another and is dropped."""
        text = json_value.write_sorted(call)
        if text in self.calls:
            self.surplus += 1
            return None
        self.calls.add(text)
        self.occurrences += 1
        new = call_id
        if self.occurrences > 1:
            name = f"{call_id}#{self.occurrences}".encode("utf-8", "surrogatepass")
            new = f"call_{hashlib.sha256(name).hexdigest()[:24]}"
        self.waiting.append((new, text))
        return new

    def id_of_result(self, call_id: str) -> str | None:
        """Return the id that a result gets; None if it is dropped."""
        if self.waiting:
            new, text = self.waiting.popleft()
            self.calls.discard(text)
            return new
        if not self.surplus:
            return call_id  # the rules on calls and results decide about it
        self.surplus -= 1
        return None


def separate_call_ids(
    walk: Callable[[dict[str, Any]], Iterable[CallOrResult | None]],
) -> HistoryPass:
    """Create a pass that makes the ids of calls unique.

    `walk` yields calls and results in order, and None where a new turn of the model starts.
    """

    def separate(r: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
        by_id: dict[str, _SameId] = {}
        in_turn: set[str] = set()
        removed: list[Path] = []
        for entry in walk(r):
            if entry is None:
                for call_id in in_turn:
                    by_id[call_id] = _SameId(by_id[call_id].occurrences)
                in_turn.clear()
                continue
            known = by_id.setdefault(entry.call_id, _SameId())
            if entry.call is None:
                new = known.id_of_result(entry.call_id)
            else:
                in_turn.add(entry.call_id)
                new = known.id_of_call(entry.call_id, entry.call)
            if new == entry.call_id:
                continue
            done = "dropped" if new is None else f"replaced with {new!r}"
            place = BodyPlace(entry.path)
            if not notes.note(REPEATED_CALL_ID, place, f"{entry.call_id!r} again", done):
                continue
            if new is None:
                removed.append(entry.path)
            else:
                edits.replace((*entry.path, entry.id_key), json_value.write(new))
        remove_with_empty_owners(r, edits, removed)

    return separate


def remove_with_empty_owners(request: dict[str, Any], edits: Edits, paths: Iterable[Path]) -> None:
    """Remove items of lists; if a message loses all items of its content, remove the message."""
    by_list: dict[Path, list[Path]] = {}
    for path in paths:
        by_list.setdefault(path[:-1], []).append(path)
    for owner, items in by_list.items():
        value: Any = request
        for step in owner:
            value = value[step]
        if len(owner) > 2 and len(items) == len(value):
            edits.remove(owner[:-1])
            continue
        for path in items:
            edits.remove(path)


def complete_arguments(
    arguments_of: Callable[[dict[str, Any]], Iterable[tuple[Path, str]]], *, as_text: bool
) -> HistoryPass:
    """Create a pass that makes the arguments of calls JSON objects.

    `arguments_of` yields the path of each call and the key of its arguments, which are a text that
    contains JSON, or an object.
    """

    def complete(r: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
        for path, key in arguments_of(r):
            call: Any = r
            for step in path:
                call = call[step]
            value = call.get(key)
            valid = _object_of(value, as_text=as_text)
            if valid is None or not notes.note(
                INVALID_ARGUMENTS, BodyPlace((*path, key)), f"{value!r}", "made an object"
            ):
                continue
            text = json_value.write(valid)
            if as_text:
                text = json_value.write(text.decode())
            if key in call:
                edits.replace((*path, key), text)
            else:
                edits.append(path, b'"%s":' % key.encode() + text)

    return complete


def _object_of(value: Any, *, as_text: bool) -> dict[str, Any] | None:
    """Return the object that these arguments become; None if they are valid."""
    is_text = isinstance(value, str)
    if isinstance(value, dict):
        return value if as_text else None
    if value is None or (is_text and not value.strip()):
        return {}
    if not is_text:
        return {"arguments": value}
    try:
        parsed = json_value.read(value)
    except ValueError:
        return {"invalid_arguments": value}
    if isinstance(parsed, dict):
        return None if as_text else parsed
    return {"arguments": parsed}


def rename_instructions(list_key: str) -> HistoryPass:
    """Create a pass that sets the role of instructions in the list under this key."""

    def rename(r: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes) -> None:
        role = traits.instructions_role
        for path, message in objects(r.get(list_key), (list_key,)):
            old = message.get("role")
            is_other = old in INSTRUCTIONS and old != role
            if old == "system" and role == "developer":
                is_other = False  # every model with `developer` accepts `system`
            if is_other and notes.note(
                DEVELOPER_ROLE, BodyPlace((*path, "role")), f"{old!r}", f"{role!r}"
            ):
                edits.replace((*path, "role"), json_value.write(role))

    return rename
