"""The choices of a Chat Completions stream: their deltas and finish reasons."""

from typing import Any

from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import EventKind, Repeatable, StreamContext
from wiremend.protocols.chat.answer import Answer
from wiremend.protocols.chat.chunks import CHUNK_INCOMPLETE, Chunks
from wiremend.protocols.chat.errors import REASON_KEYS
from wiremend.protocols.chat.grammar import (
    ANSWER_KEYS,
    CONTENT_KEYS,
    WHOLE_REASONS,
    continues_answer,
    finish_reason_of,
    is_limit,
)
from wiremend.protocols.chat.tool_calls import ToolCalls
from wiremend.rules.rule import Rule
from wiremend.text.json_value import JsonObject

_P = ("chat-completions",)

FINISH_REASON_CONTRADICTS = Rule(
    code="S208",
    name="finish-reason-contradicts",
    detects="The finish reason is `stop` although tools are called, or `tool_calls` although none "
    "is, or either although `native_finish_reason` reports that the output limit cut a call.",
    impact="The agent stops silently after its first call, or waits forever; a cut call is taken "
    "for a failure.",
    action="Sets the finish reason that matches the calls. `length`, `content_filter` and others "
    "are never changed, nor is `stop` after a call that the request forces by the tool's name.",
    protocols=_P,
    seen=("anomalyco/opencode#14972", "anomalyco/opencode#5139"),
)
FINISH_REASON_EMPTY = Rule(
    code="S209",
    name="finish-reason-empty",
    detects='A finish reason is an empty string (`""`) in a chunk that finishes nothing.',
    impact="Clients treat it as the end.",
    action="Replaces it with null.",
    protocols=_P,
)
FINISH_REASON_MISSING = Rule(
    code="S210",
    name="finish-reason-missing",
    detects="`[DONE]` arrives without a finish reason.",
    impact="The client never completes the message, or treats it as truncated.",
    action="Sets `tool_calls` or `stop`, depending on the content: `[DONE]` shows that the "
    "provider is done. After reasoning alone, which is no answer, and after data that is not JSON, "
    "which may have reported a failure, the stream ends in the protocol's error event.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#4745",),
)
FINISH_REASON_REPEATED = Rule(
    code="S211",
    name="finish-reason-repeated",
    detects="A choice has a second finish reason that differs from the first, without content "
    "between them.",
    impact="Clients see a second end: `stop` replaces `tool_calls`.",
    action="Replaces it with null. The same reason again, as OpenRouter writes it beside the "
    "usage, is not changed.",
    protocols=_P,
)
FINISH_REASON_EARLY = Rule(
    code="S224",
    name="finish-reason-early",
    detects="Content of a choice follows its finish reason.",
    impact="Clients stop reading and show half of the answer; if the stream breaks off then, half "
    "an answer looks complete.",
    action="Holds a finish reason back until the next event, one second at most, and replaces it "
    "with null if content follows. The last finish reason counts; a stream without a further one "
    "ends in the protocol's error event, or after `[DONE]` with the early one.",
    protocols=_P,
    seen=("open-webui/open-webui#16377",),
    before='data: {"choices":[{"delta":{"reasoning":"Hm"},"finish_reason":"stop"}]}',
    after='data: {"choices":[{"delta":{"reasoning":"Hm"},"finish_reason":null}]}',
)
ROLE_EMPTY = Rule(
    code="S215",
    name="role-empty",
    detects='A delta\'s role is `""` or not `assistant`.',
    impact="Schemas allow only `assistant`.",
    action="Sets it to `assistant`.",
    protocols=_P,
    seen=("anomalyco/opencode#28427",),
)
FINISH_REASON_FOREIGN = Rule(
    code="S220",
    name="finish-reason-foreign",
    detects="A finish reason has its name from another protocol (`tool_use`, `end_turn`, "
    "`max_tokens`), or is written in capitals.",
    impact="Clients do not recognise it: the agent stops after its first call or continues after "
    "its last message, and a truncated response looks complete.",
    action="Replaces it with this protocol's name.",
    protocols=_P,
    seen=("aws-samples/bedrock-access-gateway#11", "Tencent/WeKnora#1868"),
)


class Choice:
    """Repairs the parts of one choice in place."""

    def __init__(self, number: int, draft: Draft, chunks: Chunks, context: StreamContext) -> None:
        self._number = number
        self._draft = draft
        self._chunks = chunks
        self._is_forced = context.forced_tool
        self._calls = ToolCalls(draft, context)
        self._answer = Answer()
        self._received_reason: Any = None
        """The finish reason as received."""
        self._void_reason: str | None = None
        """The last finish reason that content followed."""
        self.finish_reason: str | None = None
        self.has_content = False
        """Whether there is any content, reasoning included."""

    @property
    def is_complete(self) -> bool:
        """Whether it has its finish reason, and its calls are complete."""
        if self.finish_reason not in WHOLE_REASONS:
            return bool(self.finish_reason)
        return self._calls.are_whole

    @property
    def has_answer(self) -> bool:
        """Whether it has more than reasoning: text, a refusal, a call or other output."""
        return self._answer.has_any or bool(self._calls) or self._calls.has_others

    def feed(self, data: JsonObject) -> EventKind:
        """Repair the delta of this choice in a chunk; return its kind. Raises ContentLost."""
        delta = self._delta_of(data)
        self._write_role(delta)
        kind = (
            EventKind.CONTENT if any(delta.get(key) for key in CONTENT_KEYS) else EventKind.PREAMBLE
        )
        if self.finish_reason is not None and continues_answer(delta):
            self._void_reason, self.finish_reason = self.finish_reason, None
        self._answer.feed(delta)
        if isinstance(delta.get("tool_calls"), list) and delta["tool_calls"]:
            kind = EventKind.CONTENT
            self._write_calls(delta)
        unknown = set(delta) - {"role", "tool_calls", *CONTENT_KEYS}
        if any(delta[key] not in (None, "", [], {}) for key in unknown):
            kind = EventKind.CONTENT
        self._calls.has_others |= isinstance(delta.get("function_call"), dict)
        self.has_content |= kind is EventKind.CONTENT
        return kind

    def pass_usual(self, data: JsonObject) -> Repeatable | None:
        """Take a delta with one text, or with a fragment of one call, and without a finish reason.

        All of it has its usual place. Nothing else can be wrong with it. Return None for others,
        which are not taken.
        """
        delta = data["delta"]
        if self.finish_reason is not None or any(data.get(key) for key in REASON_KEYS):
            return None
        if data.get("finish_reason") is not None or delta.get("role") not in (None, "assistant"):
            return None
        keys = [key for key, item in delta.items() if item and key != "role"]
        if len(keys) != 1:
            return None
        key = keys[0]
        if key == "tool_calls":
            passed = self._calls.pass_usual(delta[key])
        else:
            text = delta[key]
            passed = Repeatable(key, text) if isinstance(text, str) else None
        if passed is None:
            return None
        self._answer.feed(delta)
        self.has_content = True
        if key in ANSWER_KEYS and not self._answer.has_any:
            return Repeatable(key, "")  # what follows may still be reasoning in tags
        return passed

    # The finish reason

    def reads_reason(self, data: JsonObject) -> bool:
        """Return whether a chunk finishes this choice; it is then to be held back.

        An empty reason, or one after the finish reason, is repaired at once.
        """
        reason = data.get("finish_reason")
        if reason is None:
            return False
        if not isinstance(reason, str) or not reason:
            if self._draft.change(FINISH_REASON_EMPTY, repr(reason), "null"):
                data["finish_reason"] = None
            return False
        if self.finish_reason is None:
            return True
        self._write_repeated(data, reason)
        return False

    def void_reason(self, data: JsonObject) -> bool:
        """Remove the finish reason from a chunk that content follows; return whether it did."""
        reason = data["finish_reason"]
        if not self._draft.note(FINISH_REASON_EARLY, f"{reason!r}, then content", "null"):
            return False
        data["finish_reason"] = None
        self._void_reason = finish_reason_of(reason)
        return True

    def finish(self, data: JsonObject, before: list[bytes]) -> None:
        """Correct the finish reason of a chunk that finishes this choice. Raises ContentLost.

        Chunks to send before this one are appended to `before`.
        """
        reason = self._received_reason = data["finish_reason"]
        name = finish_reason_of(reason)
        if name != reason and self._draft.change(FINISH_REASON_FOREIGN, repr(reason), repr(name)):
            reason = data["finish_reason"] = name
        self.finish_reason = reason
        if reason in WHOLE_REASONS and not self._was_cut_at_limit(data):
            self._settle_at_finish(data, before)
        replacement = self._matching(data, reason)
        if replacement and self._draft.change(
            FINISH_REASON_CONTRADICTS, repr(reason), repr(replacement)
        ):
            self.finish_reason = data["finish_reason"] = replacement

    def finish_at_done(self) -> list[bytes]:
        """Return the chunks that complete the choice at `[DONE]`. Raises ContentLost.

        The choice must have a finish reason or an answer.
        """
        if self.finish_reason is None:
            return self._add_reason()
        return self._settle_calls() if self.finish_reason in WHOLE_REASONS else []

    # The delta

    def _delta_of(self, data: JsonObject) -> JsonObject:
        delta = data.get("delta")
        if isinstance(delta, dict):
            return delta
        delta = {}
        if self._draft.change(CHUNK_INCOMPLETE, "a choice without a delta", "filled in"):
            data["delta"] = delta
        return delta

    def _write_calls(self, delta: JsonObject) -> None:
        shown, changed = self._calls.repair(delta["tool_calls"], self._chunks.answer)
        if not changed:
            return
        self._draft.changed = True
        if shown:
            delta["tool_calls"] = shown
        else:
            del delta["tool_calls"]

    def _write_role(self, delta: JsonObject) -> None:
        role = delta.get("role")
        if role is None or role == "assistant":
            return
        if self._draft.change(ROLE_EMPTY, repr(role), "assistant"):
            delta["role"] = "assistant"

    # Correcting the finish reason

    def _write_repeated(self, data: JsonObject, reason: str) -> None:
        """Keep a finish reason that repeats the first one, as providers do beside the usage."""
        if reason == self.finish_reason:
            return
        if reason == self._received_reason:
            corrected = self.finish_reason
            if self._draft.change(FINISH_REASON_CONTRADICTS, repr(reason), repr(corrected)):
                data["finish_reason"] = corrected
        elif self._draft.change(FINISH_REASON_REPEATED, repr(reason), "null"):
            data["finish_reason"] = None

    def _was_cut_at_limit(self, data: JsonObject) -> bool:
        """Return whether the output limit, which OpenRouter reports natively, cut a call."""
        return is_limit(data.get("native_finish_reason")) and not self._calls.are_whole

    def _matching(self, data: JsonObject, reason: str) -> str | None:
        """Return the finish reason that matches the calls; None if this one does."""
        if reason in WHOLE_REASONS and self._was_cut_at_limit(data):
            return "length"
        if reason == "stop" and self._calls and not self._is_forced:
            return "tool_calls"
        if reason == "tool_calls" and not (self._calls or self._calls.has_others):
            return "stop"
        return None

    def _settle_at_finish(self, data: JsonObject, before: list[bytes]) -> None:
        """Complete the calls, in the finishing chunk itself or in chunks before it."""
        fragments = data["delta"].get("tool_calls") if isinstance(data.get("delta"), dict) else None
        if isinstance(fragments, list):
            self._draft.changed |= self._calls.fill_empty(fragments)
        added = self._settle_calls()
        if added and fragments:  # their indices precede those of the waiting calls
            before.append(self._chunks.write(self._number, data["delta"]))
            data["delta"] = {}
            self._draft.changed = True
        before += added

    def _settle_calls(self) -> list[bytes]:
        """Return chunks with the missing fragments of the calls."""
        missing = self._calls.settle(self._chunks.answer)
        return [self._chunks.write(self._number, {"tool_calls": [call]}) for call in missing]

    def _add_reason(self) -> list[bytes]:
        has_calls = bool(self._calls) or self._calls.has_others
        reason = self._void_reason
        if reason is None or reason in WHOLE_REASONS:
            reason = "tool_calls" if has_calls else "stop"
        if not self._draft.note(FINISH_REASON_MISSING, "[DONE] without one", repr(reason)):
            return []
        self.finish_reason = reason
        added = self._settle_calls() if reason in WHOLE_REASONS else []
        return [*added, self._chunks.write(self._number, {}, reason)]
