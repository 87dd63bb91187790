"""The list of models that a provider answers with, and adding the names that routes answer to.

A list is recognised by its form alone: Anthropic's page (`has_more`), OpenAI's `list`, or
Gemini's `models`. Only bytes at the end of the array (and Anthropic's `last_id`) change.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import ModelList
from wiremend.protocols.registry import PROTOCOLS
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text.json_edits import Edit, Path, Spans, parse, splice

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
RULES = (ROUTED_NAMES_LISTED,)

_PATH = re.compile(r"/models/?\Z")
_GLOB = re.compile(r"[*?\[\]]")
_CONTEXT_SUFFIX = "[1m]"
"""Claude Code's mark for a larger context is no glob."""


@dataclass(frozen=True, slots=True)
class RoutedName:
    """A name that clients may ask for."""

    name: str
    model: str | None = None
    """What the client's own provider is asked for instead; None: another provider serves it."""


def is_model_list(method: str, path: str) -> bool:
    """Whether a request asks for a list of models; `path` may carry a query."""
    return method.upper() == "GET" and _PATH.search(path.split("?", 1)[0]) is not None


def is_literal(match: str) -> bool:
    """Whether a route's `match` is one model's name rather than a glob."""
    return not _GLOB.search(match.removesuffix(_CONTEXT_SUFFIX))


def extend_model_list(body: bytes, routed: Sequence[RoutedName], notes: Notes) -> bytes:
    """The last page of a list with the names that it lacks; any other body is returned as it is.

    A name that the client's own provider shall serve is added only if that provider lists the
    model that is asked for in its place.
    """
    try:
        answer = parse(body)
    except ValueError:
        return body
    form = _form_of(answer)
    if form is None:
        return body
    listed = {str(one.get(form.id_key, "")).lower() for one in answer[form.list_key]}
    added: list[str] = []
    for one in routed:
        is_served = one.model is None or form.listed_as(one.model).lower() in listed
        if is_served and form.listed_as(one.name).lower() not in listed:
            listed.add(form.listed_as(one.name).lower())
            added.append(one.name)
    place = BodyPlace((form.list_key,))
    if not added or not notes.note(ROUTED_NAMES_LISTED, place, "lacks routed names", _told(added)):
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


def _told(names: list[str]) -> str:
    return f"added {', '.join(repr(name) for name in names)}"


def _form_of(answer: Any) -> ModelList | None:
    """How this list is written; None if it is no list, or not the last page of one."""
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
