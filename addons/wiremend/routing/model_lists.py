"""Adding the names of routes to a provider's list of models.

A list is recognised by its form: Anthropic's page (`has_more`), OpenAI's `list`, or Gemini's
`models`. Only bytes at the end of the array, and Anthropic's `last_id`, change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import ModelList
from wiremend.protocols.registry import PROTOCOLS
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text.json_edits import Edit, Path, Spans, parse, splice
from wiremend.text.patterns import text_pattern

ROUTED_NAMES_LISTED = Rule(
    code="M004",
    name="routed-names-listed",
    detects="A list of models lacks names that `[[models]]` routes.",
    impact="A client's model picker offers only the names that the provider lists.",
    action="Appends the names to the list. Errors and other bodies are not changed.",
    protocols=tuple(WireProtocol),
    seen=("anthropics/claude-code#55794", "raine/claude-code-proxy#60"),
    before='{"object":"list","data":[]}',
    after='{"object":"list","data":[{"id":"kimi-k3","object":"model","created":0,'
    '"owned_by":"wiremend"}]}',
)

_PATH = text_pattern(r"/models/?\Z")
_GLOB = text_pattern(r"[*?\[\]]")
_CONTEXT_SUFFIX = "[1m]"
"""Claude Code's mark for a larger context; its brackets are not a glob."""


@dataclass(frozen=True, slots=True)
class RoutedName:
    """A model name that clients may request."""

    name: str
    model: str | None = None
    """The model that the client's provider is asked for instead; None if another provider serves
    the name."""


def is_model_list(method: str, path: str) -> bool:
    """Return whether a request asks for a list of models. A query in `path` is ignored."""
    return method.upper() == "GET" and _PATH.search(path.split("?", 1)[0]) is not None


def is_literal(match: str) -> bool:
    """Return whether a route's `match` is the name of one model and not a glob."""
    return not _GLOB.search(match.removesuffix(_CONTEXT_SUFFIX))


def extend_model_list(body: bytes, routed: Sequence[RoutedName], notes: Notes) -> bytes:
    """Return the last page of a model list with the missing names added; other bodies unchanged.

    A name that the client's provider serves under another model is added only if the list contains
    that model.
    """
    try:
        answer = parse(body)
    except ValueError:
        return body
    form = _form_of(answer)
    if form is None:
        return body
    listed = {str(model.get(form.id_key, "")).lower() for model in answer[form.list_key]}
    added: list[str] = []
    for route in routed:
        is_served = route.model is None or form.listed_as(route.model).lower() in listed
        if is_served and form.listed_as(route.name).lower() not in listed:
            listed.add(form.listed_as(route.name).lower())
            added.append(route.name)
    place = BodyPlace((form.list_key,))
    done = f"added {', '.join(map(repr, added))}"
    if not added or not notes.note(ROUTED_NAMES_LISTED, place, "lacks routed names", done):
        return body
    edits = _appended(body, (form.list_key,), [orjson.dumps(form.entry(name)) for name in added])
    last = Spans(body).span(("last_id",))
    if last is not None:
        edits.append(Edit(*last, orjson.dumps(added[-1])))
    return splice(body, edits)


def _appended(body: bytes, path: Path, entries: list[bytes]) -> list[Edit]:
    spans = Spans(body)
    items, array = spans.items(path), spans.span(path)
    assert array is not None
    added = b",".join(entries)
    if items:
        return [Edit(items[-1].end, items[-1].end, b"," + added)]
    return [Edit(array.start + 1, array.start + 1, added)]


def _form_of(answer: Any) -> ModelList | None:
    """Return the form of a model list; None for anything else, and for a page with a next page."""
    if not isinstance(answer, dict):
        return None
    for protocol in PROTOCOLS.values():
        form = protocol.model_list
        models = answer.get(form.list_key)
        if (
            isinstance(models, list)
            and all(isinstance(model, dict) and form.id_key in model for model in models)
            and form.is_last_page(answer)
        ):
            return form
    return None
