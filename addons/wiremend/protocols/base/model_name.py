"""Replacing the model name in a response by the requested one; no other byte changes."""

from wiremend.text import json_value
from wiremend.text.json_edits import Path, value_span


def with_model(text: bytes, path: Path, shown_model: str | None) -> bytes:
    """Return the JSON text with `shown_model` at `path`; the same object if nothing changes.

    A missing name is not added. An equal name that is written with other escapes keeps its
    bytes. Text that is not strict JSON is not changed.
    """
    if shown_model is None:
        return text
    try:
        span = value_span(text, path)
        existing = json_value.read(text[span.start : span.end]) if span is not None else None
    except ValueError:
        return text
    if span is None or not isinstance(existing, str) or existing == shown_model:
        return text
    return text[: span.start] + json_value.write(shown_model) + text[span.end :]
