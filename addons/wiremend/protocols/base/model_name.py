"""Giving an answer the model's name that its client asked for, by editing only those bytes."""

import orjson

from wiremend.text.json_edits import Path, value_span


def with_model(text: bytes, path: Path, shown_model: str | None) -> bytes:
    """The JSON text with `shown_model` at `path`; the same object if nothing is to be replaced.

    A name that is missing is not added. Text that is no strict JSON is left alone.
    """
    if shown_model is None:
        return text
    try:
        span = value_span(text, path)
    except ValueError:
        return text
    if span is None or text[span.start : span.start + 1] != b'"':
        return text
    name = orjson.dumps(shown_model)
    if text[span.start : span.end] == name:
        return text
    return text[: span.start] + name + text[span.end :]
