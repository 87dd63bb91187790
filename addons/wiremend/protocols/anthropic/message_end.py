"""The end of an Anthropic Messages stream: the `message_delta` with the stop reason.

Theory of operation. It is held back until the next event, which may prove it premature (content
follows) or incomplete (another `message_delta`, with the final counts). A stop reason that content
followed is kept: `message_stop` behind the content shows that the message is complete after all.
"""

from collections.abc import Callable
from dataclasses import dataclass

from wiremend.protocols.anthropic.blocks import PROMOTED, Blocks
from wiremend.protocols.anthropic.content_block import Send, has_content, source_of
from wiremend.protocols.anthropic.errors import error_status
from wiremend.protocols.anthropic.grammar import stop_reason_of
from wiremend.protocols.anthropic.misplaced import move_final
from wiremend.protocols.anthropic.usage import fill_final_usage, merge_final
from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.rules.rule import Rule
from wiremend.text.json_value import JsonObject
from wiremend.text.sse import Event

_P = ("anthropic-messages",)

STOP_REASON_MISSING = Rule(
    code="S114",
    name="stop-reason-missing",
    detects="`message_stop` arrives without a `message_delta`, or the stop reason is null or "
    "empty.",
    impact="Clients wait for a stop reason or treat the turn as failed.",
    action="Sets `tool_use` or `end_turn`, depending on the blocks: `message_stop` shows that the "
    "message is complete.",
    protocols=_P,
)
MESSAGE_DELTA_REPEATED = Rule(
    code="S115",
    name="message-delta-repeated",
    detects="A second `message_delta` with a stop reason arrives.",
    impact="The last one wins: `tool_use` after a tool call becomes `end_turn`.",
    action="Keeps the first reason, or the second one if only that is more than `end_turn`, with "
    "the larger counts of both.",
    protocols=_P,
    seen=("routatic/proxy#133",),
)
STOP_REASON_CONTRADICTS = Rule(
    code="S116",
    name="stop-reason-contradicts",
    detects="The stop reason is `end_turn` although a tool was called, or `tool_use` although none "
    "was.",
    impact="The agent stops silently after its first call, or waits for a call that never arrives.",
    action="Sets the stop reason that matches the blocks. `max_tokens`, `refusal` and others are "
    "never changed.",
    protocols=_P,
    seen=("anomalyco/opencode#14972", "maximhq/bifrost#3638"),
    before='{"delta":{"stop_reason":"end_turn"}} after a tool_use block',
    after='{"delta":{"stop_reason":"tool_use"}}',
)
STOP_REASON_FOREIGN = Rule(
    code="S125",
    name="stop-reason-foreign",
    detects="A stop reason has its Chat Completions name (`tool_calls`, `stop`, `length`), or is "
    "written in capitals.",
    impact="Clients do not recognise it: the tool is not run, or a truncated response is treated "
    "as complete.",
    action="Replaces it with this protocol's name. A reason that reports a failure (`abort`, "
    "`network_error`, `malformed_function_call`) ends the stream in the protocol's error event.",
    protocols=_P,
)
MESSAGE_DELTA_WITHOUT_REASON = Rule(
    code="S127",
    name="message-delta-without-reason",
    detects="There are several `message_delta` events, and one has counts but no stop reason: "
    "before the blocks, between or inside them, or behind the stop reason.",
    impact="Clients take the last one for the end of the message: they lose the stop reason or "
    "the final counts, or close the open block.",
    action="Adds its counts to the `message_delta` with the stop reason.",
    protocols=_P,
    seen=("LibreChat-AI/agents#150", "use-agent-os/agent-os#1854"),
)
STOP_REASON_TOO_EARLY = Rule(
    code="S128",
    name="stop-reason-too-early",
    detects="Content follows the stop reason, or the stop of an open block.",
    impact="Clients have closed the message and lose the content, or take half of it for a "
    "complete answer.",
    action="Moves the stop reason behind the content if `message_stop` or another stop reason "
    "follows; otherwise the stream ends in the protocol's error event.",
    protocols=_P,
    seen=("open-webui/open-webui#16377",),
)


@dataclass(slots=True)
class _Final:
    """A `message_delta` with a stop reason, not written yet."""

    place: int
    """The number of its event."""
    event: Event | None
    data: JsonObject
    changed: bool

    @property
    def reason(self) -> str:
        return str(self.data["delta"]["stop_reason"])


class MessageEnd:
    """Takes each `message_delta`, and writes the only one that the client is sent."""

    def __init__(
        self, draft: Draft, blocks: Blocks, send: Send, ensure_began: Callable[[], None]
    ) -> None:
        self._draft = draft
        self._blocks = blocks
        self._send = send
        self._ensure_began = ensure_began
        self._final: _Final | None = None
        self._behind: list[bytes] = []
        """The bytes behind the `message_delta` that is held back."""
        self._early: _Final | None = None
        """A stop reason that content followed."""
        self._has_more = False
        """Whether that was content that a client shows, runs or keeps."""
        self._without_reason: tuple[Event, JsonObject] | None = None
        """A `message_delta` without a stop reason, withheld until another one or the end."""
        self.is_sent = False
        """Whether the stop reason was sent."""
        self.has_arrived = False
        """Whether a `message_delta` has arrived: what follows it is not usual."""

    @property
    def is_held(self) -> bool:
        """Whether the stop reason has arrived and is held back."""
        return self._final is not None

    @property
    def is_waiting(self) -> bool:
        """Whether a stop reason has arrived and is not written yet."""
        return self._final is not None or self._early is not None

    def put_behind(self, raw: bytes) -> None:
        """Hold these bytes back behind the stop reason."""
        self._behind.append(raw)

    # Other events

    def settle(self, data: JsonObject, *, began: bool) -> None:
        """Write the stop reason that is held back, or take it back, because of this event.

        `began`: whether `message_start` has arrived. Raises ContentLost.
        """
        kind = data["type"]
        if self._final is not None and kind == "content_block_stop":
            self._let_pass(data)
        elif self._final is not None and kind not in ("message_delta", "message_stop"):
            is_more = kind == "content_block_start" or has_content(data)
            if is_more or (kind == "message_start" and not began):
                self._take_back()
            else:
                self.write()
        if self._early is not None:
            self._has_more = self._has_more or has_content(data)

    def _let_pass(self, data: JsonObject) -> None:
        """Let the stop of an open block go before the stop reason that is held back."""
        found, done = "the stop of a block behind it", "moved behind the block"
        if not self._draft.is_on(STOP_REASON_TOO_EARLY):
            self.write()
        elif self._blocks.find(source_of(data)) is not None:
            self._draft.note(STOP_REASON_TOO_EARLY, found, done)

    def _take_back(self) -> None:
        assert self._final is not None
        reason = self._final.reason
        if not self._draft.note(STOP_REASON_TOO_EARLY, repr(reason), "moved behind the content"):
            self.write()
            return
        if self._early is not None:
            merge_final(self._final.data, self._early.data)
        self._early, self._final = self._final, None
        self._write_behind()

    # The event itself

    def check_reason(self, holder: JsonObject) -> bool:
        """Give the stop reason its name in this protocol; return whether that changed it.

        Raises ContentLost for a reason that reports a failure.
        """
        reason = holder.get("stop_reason")
        if not isinstance(reason, str):
            return False
        status = error_status(reason)
        if status is not None:
            raise ContentLost(f"The provider gave up: stop reason {reason!r}.", status)
        name = stop_reason_of(reason)
        if name == reason or not self._draft.note(STOP_REASON_FOREIGN, repr(reason), repr(name)):
            return False
        holder["stop_reason"] = name
        return True

    def take_counts(self, event: Event, data: JsonObject) -> bool:
        """Keep the counts of a `message_delta` without a stop reason; return False for others."""
        rule, found = MESSAGE_DELTA_WITHOUT_REASON, "counts behind the stop reason"
        can_wait = self.is_held or self._draft.is_on(STOP_REASON_MISSING)
        if _reason_in(data) or not self._draft.is_on(rule) or not can_wait:
            return False
        if self.is_sent:
            self._draft.note(rule, found, "dropped: the stop reason was sent")
        elif self._final is not None:
            self._draft.note(rule, found, "added to it")
            self._final.changed = merge_final(self._final.data, data) or self._final.changed
        else:
            if self._without_reason is not None:
                merge_final(data, self._without_reason[1])
            self._without_reason = event, data
        return True

    def take(self, place: int, event: Event | None, data: JsonObject, *, changed: bool) -> None:
        """Hold a `message_delta` back. Raises ContentLost for a reason that reports a failure."""
        self.has_arrived = True
        delta = data.get("delta")
        if isinstance(delta, dict) and not self.is_sent:
            changed = self.check_reason(delta) or changed
        if self.is_sent:
            if not self._draft.note(MESSAGE_DELTA_REPEATED, "a second one", "dropped"):
                self._send(event, data, changed)
        elif not _reason_in(data):
            self.write()
            self._ensure_began()
            self._send(event, data, changed)
        elif self._final is None:
            self._final = _Final(place, event, data, changed)
        elif self._draft.note(MESSAGE_DELTA_REPEATED, "a second one", "merged with the first"):
            self._merge(self._final, data)
        else:
            self.write()
            self._send(event, data, changed)

    def _merge(self, final: _Final, second: JsonObject) -> None:
        """Merge a second `message_delta` with a stop reason into the first one."""
        reason = second["delta"]["stop_reason"]
        final.changed = merge_final(final.data, second) or final.changed
        if final.reason in PROMOTED and reason not in PROMOTED | {"tool_use"}:
            final.data["delta"]["stop_reason"] = reason
            final.changed = True

    # Writing it

    def write(self) -> None:
        """Write the `message_delta` that is held back, with stop reason and usage corrected.

        Raises ContentLost for a tool that ends inside its JSON, unless the reason explains it.
        """
        final, self._final = self._final, None
        if final is None:
            return
        early, self._early = self._early, None
        if early is not None and early is not final:
            final.changed = merge_final(final.data, early.data) or final.changed
        with self._draft.at(final.place):
            self._ensure_began()
            self._blocks.close_all(final.reason)
            self.is_sent = True
            changed = self._correct(final.data) or final.changed
            self._send(final.event, final.data, changed)
        self._write_behind()

    def write_at_end(self) -> None:
        """Write the stop reason after upstream closed, unless content followed it."""
        if self._early is not None and not self._has_more:
            self._final = self._early
        self.write()

    def complete(self, place: int, stop: JsonObject) -> None:
        """Write a stop reason before `message_stop`. Raises ContentLost without an answer."""
        self.has_arrived = True
        given = self._early or self._given_in(place, stop)
        if given is not None:
            self._final = given
            self.write()
        if given is not None or not self._draft.is_on(STOP_REASON_MISSING):
            return
        if not self._blocks.has_answer:
            what = "thinking alone, without a stop reason" if self._blocks.shown else "no content"
            raise ContentLost(f"The provider sent {what}.")
        self._blocks.close_all(None)
        reason = "tool_use" if self._blocks.called_tool else "end_turn"
        self._draft.note(STOP_REASON_MISSING, "message_stop without one", reason)
        event, data = self._without_reason or (None, {"type": "message_delta"})
        self._without_reason = None
        delta = data.get("delta")
        data["delta"] = {
            "stop_sequence": None,
            **(delta if isinstance(delta, dict) else {}),
            "stop_reason": reason,
        }
        self._final = _Final(place, event, data, True)
        self.write()

    def _given_in(self, place: int, stop: JsonObject) -> _Final | None:
        """Return a `message_delta` with the stop reason that `message_stop` itself has."""
        final = {**stop, "type": "message_delta"}
        if not move_final(final, self._draft) or not _reason_in(final):
            return None
        self.check_reason(final["delta"])
        kept: JsonObject = {
            "type": "message_delta",
            "delta": {"stop_sequence": None, **final["delta"]},
        }
        if "usage" in final:
            kept["usage"] = final["usage"]
        return _Final(place, None, kept, True)

    def _correct(self, data: JsonObject) -> bool:
        """Correct the stop reason and the usage; return whether anything changed."""
        changed = False
        delta = data["delta"]
        reason = delta["stop_reason"]
        replacement = None
        if self._blocks.called_tool and reason in PROMOTED:
            replacement = "tool_use"
        elif reason == "tool_use" and not self._blocks.used_tool:
            replacement = "end_turn"
        if replacement and self._draft.note(
            STOP_REASON_CONTRADICTS, repr(reason), repr(replacement)
        ):
            delta["stop_reason"] = replacement
            changed = True
        if self._without_reason is not None:
            self._draft.note(
                MESSAGE_DELTA_WITHOUT_REASON, "counts before the stop reason", "added to it"
            )
            changed = merge_final(data, self._without_reason[1]) or changed
        return fill_final_usage(data, self._draft) or changed

    def _write_behind(self) -> None:
        behind, self._behind = self._behind, []
        for raw in behind:
            self._blocks.put(raw)


def _reason_in(data: JsonObject) -> str:
    """Return the stop reason of a `message_delta`; empty if it has none."""
    delta = data.get("delta")
    reason = delta.get("stop_reason") if isinstance(delta, dict) else None
    return reason if isinstance(reason, str) else ""
