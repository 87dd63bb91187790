"""The repair of the response object in the lifecycle events of a Responses stream."""

from typing import Any

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.responses.errors import response_object
from wiremend.protocols.responses.grammar import COMPLETE, COMPLETED, CREATED, UNFINISHED
from wiremend.protocols.responses.usage import no_usage, repaired_usage
from wiremend.rules.rule import Rule, start_of
from wiremend.text.json_value import JsonObject, dicts_in

_P = ("responses",)

OUTPUT_MISSING = Rule(
    code="S308",
    name="output-missing",
    detects="The terminal event's `output` lacks items that were streamed.",
    impact="Clients that read the final response lose the text or the tool call.",
    action="Rebuilds the list from the `output_item.done` events.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#1004",),
    before='{"type":"response.completed","response":{"output":[]}}',
    after='{"type":"response.completed","response":{"output":[{"type":"message",…}]}}',
)
USAGE_INCOMPLETE = Rule(
    code="S313",
    name="usage-incomplete",
    detects="The terminal event's `usage` lacks one of its counts, or is missing.",
    impact="If a count is missing, Codex fails to parse the event and repeats the prompt. The "
    "Vercel AI SDK skips an event without usage, and OpenCode repeats the request endlessly.",
    action="Computes missing counts from the others, or sets them to 0. Usage without any count "
    "becomes null, or zeros for OpenCode. Missing usage is legal; it is filled in for OpenCode "
    "only.",
    protocols=_P,
    seen=("maximhq/bifrost#891",),
    before='{"usage":{"input_tokens":10,"output_tokens":2}}',
    after='{"usage":{"input_tokens":10,"output_tokens":2,"total_tokens":12}}',
)
RESPONSE_INCOMPLETE = Rule(
    code="S326",
    name="response-incomplete",
    detects="A response object lacks id, time or model; in a terminal event, also status or "
    "output.",
    impact="SDKs and Codex fail to parse the event; the official SDK rejects an id that changes.",
    action="Copies them from earlier events, or fills them in. The first id is kept.",
    protocols=_P,
    before='{"type":"response.completed","response":{}}',
    after='{"type":"response.completed","response":{"id":"resp_1","status":"completed", …}}',
)

_IDENTIFYING = frozenset({"id", "object", "created_at", "status", "model"})
"""The fields that a response object in any event needs. The others may be long."""


class ResponseObject:
    """Repairs the response objects of one stream in place; tracks the fields that were sent."""

    def __init__(self, context: StreamContext, draft: Draft) -> None:
        self._context = context
        self._draft = draft
        self.fields: JsonObject = {}
        """The fields of the response that the client has received."""

    @property
    def id(self) -> str:
        """Its id; empty if it is unknown."""
        return str(self.fields.get("id") or "")

    def begin(self, data: JsonObject) -> JsonObject:
        """Return the object of a missing `response.created`, with fields of the first event."""
        first = data.get("response")
        first = first if isinstance(first, dict) else {}
        existing = {
            key: first[key]
            for key, types in (("id", str), ("created_at", (int, float)), ("model", str))
            if first.get(key) and isinstance(first[key], types)
        }
        self.fields = response_object({"model": self._context.model, **existing})
        if self._context.shown_model is not None:
            self.fields["model"] = self._context.shown_model
        return self.fields

    def repair(self, data: JsonObject, kind: str) -> None:
        """Fill in the missing fields of the response object in an event."""
        raw = data.get("response")
        response = raw if isinstance(raw, dict) else {}
        missing = self._missing(response, kind)
        if missing and self._draft.change(
            RESPONSE_INCOMPLETE, f"{kind}: {', '.join(missing)}", "filled in"
        ):
            if not response:
                response = {
                    key: value
                    for key, value in self.fields.items()
                    if key in _IDENTIFYING or (kind in COMPLETE and key not in ("output", "usage"))
                }
            response = data["response"] = {**response, **missing}
        shown = self._context.shown_model
        if shown is not None and response.get("model") not in (None, shown):
            # A string is replaced in the text; any other value requires serialising the event.
            self._draft.changed |= not isinstance(response["model"], str)
            response["model"] = shown
        self.fields.update(response)

    def _missing(self, response: JsonObject, kind: str) -> JsonObject:
        missing: JsonObject = {}
        identity, first_id = response.get("id"), self.fields.get("id")
        if not isinstance(identity, str) or not identity:
            missing["id"] = first_id or "resp_unknown"
        elif first_id not in (None, identity) and not self._context.accepts(Deviation.CHANGING_ID):
            missing["id"] = first_id
        if kind == CREATED and not isinstance(response.get("created_at"), int | float):
            missing["created_at"] = 0
        if kind == CREATED and not isinstance(response.get("model"), str):
            missing["model"] = self._context.model
        status = response.get("status")
        if kind in COMPLETE and (not isinstance(status, str) or status in UNFINISHED):
            missing["status"] = kind.removeprefix("response.")
        return missing

    def repair_output(
        self, response: JsonObject, output: list[JsonObject], streamed: list[JsonObject]
    ) -> bool:
        """Set the output of a terminal event to the streamed items; return False if it is kept."""
        if len(output) < len(streamed):
            is_read = response.get("output") == [] and self._context.accepts(Deviation.NO_OUTPUT)
            found = f"{len(output)} of {len(streamed)} items"
            if not is_read and self._draft.change(OUTPUT_MISSING, found, "rebuilt"):
                response["output"] = streamed
            return True
        if response.get("output") != output and self._draft.change(
            OUTPUT_MISSING, "no list of items", f"a list of {len(output)}"
        ):
            response["output"] = output
        return False

    def repair_usage(self, response: JsonObject) -> None:
        """Fill in the missing counts of a terminal event."""
        usage = response.get("usage")
        replacement = repaired_usage(usage)
        if replacement is None and self._context.client.needs_usage:
            replacement = no_usage()
        if replacement != usage and self._draft.change(
            USAGE_INCOMPLETE, f"usage {start_of(repr(usage).encode())}", "filled in"
        ):
            response["usage"] = replacement

    def completed(self, output: list[JsonObject]) -> JsonObject:
        """Return the data of a missing `response.completed` with these items."""
        response: JsonObject = {**self.fields, "status": "completed", "output": output}
        fallback = None if self._context.client.accepts_null_usage else no_usage()
        response["usage"] = repaired_usage(response.get("usage")) or fallback
        return {"type": COMPLETED, "response": response}


def items_in(response: JsonObject) -> list[JsonObject]:
    """Return the items of a response's output that have a type."""
    output: Any = response.get("output")
    return [item for item in dicts_in(output) if isinstance(item.get("type"), str)]
