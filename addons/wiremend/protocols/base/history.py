"""The shared rules on the messages of requests, and the runner of the passes.

Each rule is enabled only for targets that need it. Rules of one protocol are in that protocol's
`history`, rules on parameters in `wiremend.protocols.base.parameters`.
"""

from collections import deque
from collections.abc import Iterable
from functools import lru_cache

from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import HistoryStep, Protocol
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import Notes, Rule

NO_RESULT = "The tool call has no result: it was interrupted."
RESULT_DROPPED = "(a tool result was dropped: its call is not in the conversation)"
NO_CONTENT = "(no content)"

_ALL = tuple(WireProtocol)
_ANTHROPIC = WireProtocol.ANTHROPIC_MESSAGES
_CHAT = WireProtocol.CHAT_COMPLETIONS
_GEMINI = WireProtocol.GEMINI

CALL_WITHOUT_RESULT = Rule(
    code="Q001",
    name="call-without-result",
    detects="A tool call in the history has no result at the position where the provider expects "
    "it.",
    impact="Every further turn is rejected: `tool_use ids were found without tool_result blocks "
    "immediately after`.",
    action="Adds a result that states that there is none, marked as an error where the protocol "
    "allows it.",
    protocols=_ALL,
    seen=(
        "anthropics/claude-code#6836",
        "anthropics/claude-code#5989",
        "QwenLM/qwen-code#606",
        "langgenius/dify#32222",
        "google-gemini/gemini-cli#16415",
    ),
    before='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1",'
    '"name":"Bash","input":{}}]},{"role":"user","content":[{"type":"text","text":"Go on."}]}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1",'
    '"name":"Bash","input":{}}]},{"role":"user","content":[{"type":"tool_result",'
    '"tool_use_id":"toolu_1","is_error":true,"content":"The tool call has no result: it was '
    'interrupted."},{"type":"text","text":"Go on."}]}]}',
)
RESULT_WITHOUT_CALL = Rule(
    code="Q002",
    name="result-without-call",
    detects="A tool result belongs to no call of the previous turn, or is repeated.",
    impact="Every further turn is rejected: `unexpected tool_use_id found in tool_result blocks`, "
    "`No tool call found for function call output`.",
    action="Drops the result, and an image that is repeated with it. A message that is empty "
    "afterwards gets a text that states this.",
    protocols=_ALL,
    seen=(
        "anthropics/claude-code#6836",
        "continuedev/continue#10092",
        "leookun/cursor-byok#307",
        "MiniMax-AI/MiniMax-M2#76",
    ),
    before='{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_0",'
    '"content":"ok"},{"type":"text","text":"Hello"}]}]}',
    after='{"messages":[{"role":"user","content":[{"type":"text","text":"Hello"}]}]}',
)
RESULTS_NOT_FIRST = Rule(
    code="Q003",
    name="results-not-first",
    detects="Other content is placed between a tool call and its result.",
    impact="The call counts as one without a result: `tool_result blocks immediately after`.",
    action="Moves the results to the front. Nothing is dropped.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=("anthropics/claude-code#6836", "leookun/cursor-byok#307"),
    before='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1",'
    '"name":"Bash","input":{}}]},{"role":"user","content":[{"type":"text","text":"Go on."},'
    '{"type":"tool_result","tool_use_id":"toolu_1","content":"ok"}]}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1",'
    '"name":"Bash","input":{}}]},{"role":"user","content":[{"type":"tool_result",'
    '"tool_use_id":"toolu_1","content":"ok"},{"type":"text","text":"Go on."}]}]}',
)
EMPTY_TEXT = Rule(
    code="Q004",
    name="empty-text",
    detects="A text block is empty, or a message of Anthropic contains nothing but white space.",
    impact="Anthropic: `text content blocks must be non-empty`; Vertex AI: `it has an empty text "
    "parameter`. White space next to other content is accepted.",
    action="Drops the block.",
    protocols=(_ANTHROPIC, _GEMINI),
    seen=(
        "anthropics/claude-code#59812",
        "anthropics/anthropic-sdk-python#461",
        "54xzh/FLIT#70",
        "LibreChat-AI/agents#124",
        "Portkey-AI/gateway#462",
    ),
    before='{"messages":[{"role":"user","content":[{"type":"text","text":""},'
    '{"type":"text","text":"Hello"}]}]}',
    after='{"messages":[{"role":"user","content":[{"type":"text","text":"Hello"}]}]}',
)
EMPTY_MESSAGE = Rule(
    code="Q005",
    name="empty-message",
    detects="A message has no content, or a part of a Gemini message is `{}`.",
    impact="Anthropic: `all messages must have non-empty content`; Gemini: `contents.parts must "
    "not be empty`, `required oneof field 'data' must have one initialized field`.",
    action="Drops an assistant message, or the part; sets a user message to `(no content)`.",
    protocols=(_ANTHROPIC, _CHAT, _GEMINI),
    seen=(
        "anthropics/claude-code#6774",
        "corespeed-io/zypher-agent#122",
        "vercel/ai#3775",
        "QuantumNous/new-api#1060",
    ),
    before='{"messages":[{"role":"user","content":"Hello"},{"role":"assistant","content":[]},'
    '{"role":"user","content":"Hello?"}]}',
    after='{"messages":[{"role":"user","content":"Hello"},{"role":"user","content":"Hello?"}]}',
)


class _Steps:
    """Those steps of a protocol whose rules are enabled, in order."""

    def __init__(self, steps: Iterable[HistoryStep]) -> None:
        self.passes = [step.adapt for step in steps]
        self._by_word: dict[str, list[int]] = {}
        for number, step in enumerate(steps):
            for word in step.words:
                self._by_word.setdefault(word, []).append(number)

    def concerning(self, words: frozenset[str], after: int) -> list[int]:
        """Return the numbers of the passes after one that concern a request with these words."""
        found = self._by_word.keys() & words
        if not found:
            return []
        return sorted({n for word in found for n in self._by_word[word] if n > after})


@lru_cache(maxsize=256)
def _steps_of(protocol: Protocol, on: frozenset[str], disabled: frozenset[str]) -> _Steps:
    codes = on - disabled
    return _Steps([step for step in protocol.history_passes if step.rule.code in codes])


def adapt_history(document: RequestDocument, traits: TargetTraits, notes: Notes) -> RequestDocument:
    """Return the request with messages and parameters adapted to a target with these traits.

    The protocol's passes run in their order, each on the output of the one before it. Those that
    concern nothing in the request are left out.
    """
    if document.fields is None:
        return document
    steps = _steps_of(document.protocol, traits.messages.rules, frozenset(notes.disabled))
    waiting = deque(steps.concerning(document.words, -1))
    edits = document.content.edits() if waiting else None
    while waiting and edits is not None and document.fields is not None:
        number = waiting.popleft()
        steps.passes[number](document.fields, edits, traits.messages, notes)
        if not edits.is_empty:  # else the next pass continues with what this one has computed
            document = document.edited(edits)
            waiting = deque(steps.concerning(document.words, number))
            edits = document.content.edits()
    return document
