"""The page about translation, addons/TRANSLATION.md: what each direction carries.

Each cell is the result of translating a request, or an answer, with the feature.
"""

import itertools
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "addons"))

from translation_answers import ANSWERS, BASE_ANSWERS, HEADS  # noqa: E402
from translation_features import BASES, REQUESTS, Feature  # noqa: E402
from wiremend.protocols.base.middle.interface import AnswerContext  # noqa: E402
from wiremend.protocols.base.middle.state import Origin  # noqa: E402
from wiremend.protocols.base.middle.target import Target  # noqa: E402
from wiremend.protocols.base.protocol import Protocol  # noqa: E402
from wiremend.protocols.registry import PROTOCOLS  # noqa: E402
from wiremend.targets.registry import translation_traits  # noqa: E402
from wiremend.translate.answer import Direction, translate_body  # noqa: E402
from wiremend.translate.request import translate_request  # noqa: E402

PAGE = ROOT / "addons" / "TRANSLATION.md"
CARRIED, REFUSED, NO_WORD, SILENT = "yes", "400", "", "left out"
PATHS = {
    "anthropic": "/v1/messages",
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/m:generateContent",
}
TARGETS = {
    "anthropic": ("api.anthropic.com", "claude-opus-4-6"),
    "chat": ("provider.example", "m"),
    "responses": ("api.openai.com", "gpt-5"),
    "gemini": ("generativelanguage.googleapis.com", "gemini-2.5-pro"),
}
_SHORT = {"anthropic": "A", "chat": "C", "responses": "R", "gemini": "G"}
_BY_NAME: dict[str, Protocol] = dict(
    zip(("anthropic", "chat", "responses", "gemini"), PROTOCOLS.values(), strict=True)
)
DIRECTIONS = list(itertools.permutations(_SHORT, 2))
"""The protocol of the client, and that of the provider."""
_INTRODUCTION = """\
# What translation carries

This page is written by `scripts/rules`: each cell is the result of translating a request, or an
answer, that has the feature. A = Anthropic Messages, C = Chat Completions, R = Responses,
G = Gemini. A→C is a client of Anthropic Messages whose call is served by a provider of Chat
Completions.

- **yes**: it is carried, and nothing is reported.
- **X105** and others: it is carried in another form, or left out; [RULES.md](RULES.md) describes
  what the rule does. Each of them is a finding of the call.
- **400**: the meaning of the request would change. The client gets this status, with a message that
  names what cannot be carried, and nothing is sent.
- **left out**: not sent, without a finding, since nothing is lost; the reason is below the table.
- empty: the client's protocol (for answers: the provider's) has no word for it.

The targets are {targets}.
Of the provider of Chat Completions nothing is known. What wiremend knows of other ones changes
their column: images, efforts, formats.
"""


def page() -> str:
    """Return the page."""
    targets = ",\n".join(f"`{model}` at `{host}`" for host, model in TARGETS.values())
    lines = [_INTRODUCTION.format(targets=targets), "## Requests", "", *_header()]
    lines += [_row(one, [request_cell(one, *way) for way in DIRECTIONS]) for one in REQUESTS]
    lines += _notes(REQUESTS)
    lines += ["", "## Answers", "", *_header()]
    lines += [_row(one, [answer_cell(one, *way) for way in DIRECTIONS]) for one in ANSWERS]
    lines += _notes(ANSWERS)
    return "\n".join(lines) + "\n"


def _header() -> list[str]:
    names = [f"{_SHORT[client]}→{_SHORT[provider]}" for client, provider in DIRECTIONS]
    return [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]


def _row(feature: Feature, cells: list[str]) -> str:
    return f"| {feature.name} | {' | '.join(cells)} |"


def _notes(features: tuple[Feature, ...]) -> list[str]:
    notes = [f"- {one.name}: {one.is_harmless}." for one in features if one.is_harmless]
    return ["", "Left out without a finding:", "", *notes] if notes else []


def request_cell(feature: Feature, client: str, provider: str) -> str:
    """Return what becomes of a feature of requests in this direction."""
    if client not in feature.by_protocol:
        return NO_WORD
    base, _, _ = _request(BASES[client], client, provider)
    body, codes, is_refused = _request(
        {**BASES[client], **feature.by_protocol[client]}, client, provider
    )
    if is_refused:
        return REFUSED
    return _cell(feature, base, body, codes)


def _request(body: dict[str, Any], client: str, provider: str) -> tuple[bytes, set[str], bool]:
    source, target = _BY_NAME[client], _BY_NAME[provider]
    host, model = TARGETS[provider]
    origin = Origin(target.name, host, model)
    traits = translation_traits(target.name, host, model)
    result = translate_request(
        source, PATHS[client], body, target, Target(origin=origin, traits=traits)
    )
    return result.body, {one.code for one in result.findings}, result.refusal is not None


def answer_cell(feature: Feature, client: str, provider: str) -> str:
    """Return what becomes of a feature of answers in this direction."""
    if provider not in feature.by_protocol:
        return NO_WORD
    base, _ = _answer(BASE_ANSWERS[provider], client, provider)
    body, codes = _answer(feature.by_protocol[provider], client, provider)
    return _cell(feature, base, body, codes)


def _answer(members: dict[str, Any], client: str, provider: str) -> tuple[bytes, set[str]]:
    body = {**HEADS[provider], **members}
    host, model = TARGETS[provider]
    context = AnswerContext(
        Origin(_BY_NAME[provider].name, host, model), {}, "asked", "answer1", input_tokens=7
    )
    direction = Direction(_BY_NAME[provider], _BY_NAME[client])
    result = translate_body(direction, body, context)
    return result.data, {one.code for one in result.findings}


def _cell(feature: Feature, base: bytes, body: bytes, codes: set[str]) -> str:
    if codes:
        return " ".join(sorted(codes))
    if body != base and feature.marker.encode() in body:
        return CARRIED
    if feature.is_harmless:
        return SILENT
    raise AssertionError(f"{feature.name} is lost without a finding: {body!r}")
