"""The chunks of a Chat Completions stream: their required fields, and writing new chunks."""

from typing import Any

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.chat.grammar import CHUNK, OBJECTS, is_filter_result
from wiremend.rules.rule import Rule
from wiremend.text import json_value, sse
from wiremend.text.json_value import JsonObject, dicts_in, is_integer

_P = ("chat-completions",)

CHUNK_INCOMPLETE = Rule(
    code="S214",
    name="chunk-incomplete",
    detects="`choices`, `delta`, `object` or an index is missing or "
    "null, or `created` is not an integer.",
    impact="Zod, serde and pydantic schemas reject the chunk.",
    action="Fills them in.",
    protocols=_P,
    seen=("anomalyco/opencode#28427",),
)
ERROR_NULL = Rule(
    code="S219",
    name="error-null",
    detects='A chunk contains `"error": null` next to its choices.',
    impact="@ai-sdk/openai-compatible treats every chunk with that key as an error and drops its "
    "text.",
    action="Removes the key.",
    protocols=_P,
)


class Chunks:
    """Repairs chunks in place; writes further chunks of the same response."""

    def __init__(self, draft: Draft, context: StreamContext) -> None:
        self._draft = draft
        self._shown_model = context.shown_model
        self._needs_object = not context.accepts(Deviation.NO_OBJECT)
        self._last: JsonObject = {}
        """The latest values of the fields that every chunk of the response has."""

    @property
    def answer(self) -> str:
        """Identifies this response, for generated ids."""
        return f"{self._last.get('id')} {self._last.get('created')}"

    def take_whole(self, chunk: JsonObject) -> bool:
        """Take a chunk that has all of its fields; return False for another, which is not taken.

        Its choices are objects.
        """
        created = chunk.get("created")
        is_whole = (created is None or is_integer(created)) and not self._lacks_object(chunk)
        if not is_whole or "error" in chunk:
            return False
        self._remember(chunk)
        return True

    def fill(self, chunk: JsonObject) -> None:
        """Fill in the missing fields of a chunk, except inside its choices."""
        missing: JsonObject = {}
        choices = chunk.get("choices")
        if not isinstance(choices, list) or len(choices) != len(dicts_in(choices)):
            missing["choices"] = dicts_in(choices)
        if self._lacks_object(chunk):
            missing["object"] = CHUNK
        created = chunk.get("created")
        if created is not None and not is_integer(created):
            missing["created"] = _integer(created)
        is_null = "error" in chunk and not chunk["error"]
        if is_null and self._draft.change(ERROR_NULL, repr(chunk["error"]), "removed"):
            del chunk["error"]
        if missing and self._draft.change(
            CHUNK_INCOMPLETE, f"no {', '.join(missing)}", "filled in"
        ):
            chunk |= missing
        self._remember(chunk)

    def _remember(self, chunk: JsonObject) -> None:
        for key in ("id", "object", "created", "model"):
            if chunk.get(key):  # in Azure's first chunk they are empty
                self._last[key] = chunk[key]

    def _lacks_object(self, chunk: JsonObject) -> bool:
        name = chunk.get("object")
        if name in OBJECTS or is_filter_result(chunk):
            return False
        return self._needs_object or bool(name)

    def write(self, number: int, delta: JsonObject, reason: str | None = None) -> bytes:
        """Return a further chunk of one choice."""
        data = {"index": number, "delta": delta, "finish_reason": reason}
        chunk = json_value.write({"object": CHUNK, **self._last, "choices": [data]})
        return sse.encode(with_model(chunk, ("model",), self._shown_model))


def _integer(value: Any) -> int:
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0
    return number if -(2**63) <= number < 2**63 else 0
