"""The choices of a Chat Completions stream: their deltas and finish reasons."""

from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import EventKind
from wiremend.protocols.chat.chunks import CHUNK_INCOMPLETE, Chunks
from wiremend.protocols.chat.grammar import CONTENT_KEYS, WHOLE_REASONS, finish_reason_of
from wiremend.protocols.chat.tool_calls import ToolCalls
from wiremend.rules.rule import Rule
from wiremend.text.json_value import JsonObject

_P = ("chat-completions",)

FINISH_REASON_CONTRADICTS = Rule(
    code="S208",
    name="finish-reason-contradicts",
    detects="The finish reason is `stop` although tools are called, or `tool_calls` although none "
    "is.",
    impact="The agent stops silently after its first call, or waits forever.",
    action="Sets the finish reason that matches the calls. `length`, `content_filter` and others "
    "are never changed.",
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
    "provider is done. After data that is not JSON, which may have reported a failure, the stream "
    "ends in the protocol's error event.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#4745",),
)
FINISH_REASON_REPEATED = Rule(
    code="S211",
    name="finish-reason-repeated",
    detects="A choice has a second finish reason although no call arrived after the first.",
    impact="Clients see a second end: calls are duplicated, or `stop` replaces `tool_calls`.",
    action="Replaces it with null.",
    protocols=_P,
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

    def __init__(
        self, number: int, draft: Draft, chunks: Chunks, tool_names: tuple[str, ...]
    ) -> None:
        self._number = number
        self._draft = draft
        self._chunks = chunks
        self._calls = ToolCalls(draft, tool_names)
        self._calls_at_finish = 0
        self.finish_reason: str | None = None
        self.has_content = False

    @property
    def is_complete(self) -> bool:
        """Whether it has its finish reason, and the calls after it are complete."""
        if self.finish_reason not in WHOLE_REASONS:
            return bool(self.finish_reason)
        return self._calls.are_whole

    @property
    def has_output(self) -> bool:
        """Whether it has content, or a call of a kind that is forwarded unchanged."""
        return self.has_content or self._calls.has_others

    def feed(self, data: JsonObject, before: list[bytes]) -> EventKind:
        """Repair the part of this choice in a chunk; return its kind.

        Chunks to send before this one are appended to `before`. Raises ContentLost.
        """
        delta = self._delta_of(data)
        self._write_role(delta)
        kind = (
            EventKind.CONTENT if any(delta.get(key) for key in CONTENT_KEYS) else EventKind.PREAMBLE
        )
        if isinstance(delta.get("tool_calls"), list) and delta["tool_calls"]:
            kind = EventKind.CONTENT
            self._write_calls(delta)
        unknown = set(delta) - {"role", "tool_calls", *CONTENT_KEYS}
        if any(delta[key] not in (None, "", [], {}) for key in unknown):
            kind = EventKind.CONTENT
        self._calls.has_others |= isinstance(delta.get("function_call"), dict)
        self.has_content |= kind is EventKind.CONTENT
        if data.get("finish_reason") is not None and self._finish(data, before):
            kind = EventKind.CONTENT
        return kind

    def finish_at_done(self) -> list[bytes]:
        """Return the chunks that complete the choice at `[DONE]`. Raises ContentLost.

        The choice must have a finish reason or content.
        """
        if self.finish_reason is None:
            return self._add_reason()
        if self.finish_reason in WHOLE_REASONS:
            return [*self._settle_calls(), *self.correct_reason()]
        return []

    def correct_reason(self) -> list[bytes]:
        """Return a chunk with the finish reason for calls after `stop`; none if there are none."""
        if not self._has_late_calls or not self._draft.note(
            FINISH_REASON_CONTRADICTS, "'stop', then a call", "'tool_calls'"
        ):
            return []
        self.finish_reason = "tool_calls"
        return [self._chunks.write(self._number, {}, "tool_calls")]

    @property
    def _has_late_calls(self) -> bool:
        """Whether calls arrived after the finish reason `stop`."""
        return self.finish_reason == "stop" and self._calls.shown > self._calls_at_finish

    # The delta

    def _delta_of(self, data: JsonObject) -> JsonObject:
        delta = data.get("delta")
        if isinstance(delta, dict):
            return delta
        message = data.get("message")
        has_message = isinstance(message, dict)
        found = "a message in place of a delta" if has_message else "a choice without a delta"
        delta = message if isinstance(message, dict) else {}
        if self._draft.change(CHUNK_INCOMPLETE, found, "filled in"):
            data["delta"] = delta
            if has_message:
                del data["message"]
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

    # The finish reason

    def _finish(self, data: JsonObject, before: list[bytes]) -> bool:
        """Correct a finish reason; return False if the chunk does not finish its choice."""
        reason = data["finish_reason"]
        if not isinstance(reason, str) or not reason:
            if self._draft.change(FINISH_REASON_EMPTY, repr(reason), "null"):
                data["finish_reason"] = None
            return False
        if self.finish_reason is not None and not self._has_late_calls:
            if self._draft.change(FINISH_REASON_REPEATED, repr(reason), "null"):
                data["finish_reason"] = None
            return True
        name = finish_reason_of(reason)
        if name != reason and self._draft.change(FINISH_REASON_FOREIGN, repr(reason), repr(name)):
            reason = data["finish_reason"] = name
        self.finish_reason = reason
        self._calls_at_finish = self._calls.shown
        if reason in WHOLE_REASONS:
            self._settle_at_finish(data, before)
        replacement = None
        if reason == "stop" and self._calls:
            replacement = "tool_calls"
        elif reason == "tool_calls" and not (self._calls or self._calls.has_others):
            replacement = "stop"
        if replacement and self._draft.change(
            FINISH_REASON_CONTRADICTS, repr(reason), repr(replacement)
        ):
            self.finish_reason = data["finish_reason"] = replacement
        return True

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
        reason = "tool_calls" if self._calls or self._calls.has_others else "stop"
        if not self._draft.note(FINISH_REASON_MISSING, "[DONE] without one", repr(reason)):
            return []
        self.finish_reason = reason
        return [*self._settle_calls(), self._chunks.write(self._number, {}, reason)]
