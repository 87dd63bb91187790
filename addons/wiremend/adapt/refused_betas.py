"""Removing values of the `anthropic-beta` header that a target refuses."""

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import HeaderPlace, Notes, Rule

BETA_REFUSED = Rule(
    code="T304",
    name="beta-refused",
    detects="The `anthropic-beta` header contains a value that this target is known to reject.",
    impact="The whole request is rejected: ``Unexpected value(s) `prompt-caching-scope-2026-01-05` "
    "for the `anthropic-beta` header``; MiniMax streams tool names in pieces.",
    action="Removes that value. For api.anthropic.com, removes only values that it has rejected.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
    seen=("QuantumNous/new-api#2975", "gsd-build/gsd-2#4538", "BerriAI/litellm#36736"),
    before="anthropic-beta: prompt-caching-scope-2026-01-05,interleaved-thinking-2025-05-14",
    after="anthropic-beta: interleaved-thinking-2025-05-14",
)

BETA_HEADER = "anthropic-beta"


def drop_refused_betas(
    document: RequestDocument, traits: TargetTraits, notes: Notes
) -> RequestDocument:
    """Return the request without the values of `anthropic-beta` that this target refuses."""
    if not traits.refused_betas or not traits.drops_refused:
        return document
    headers = tuple(_accepted(document, traits, notes))
    return document if headers == document.headers else replace(document, headers=headers)


def _accepted(
    document: RequestDocument, traits: TargetTraits, notes: Notes
) -> Iterator[tuple[str, str]]:
    for name, value in document.headers:
        if name.lower() != BETA_HEADER:
            yield name, value
            continue
        betas = [beta.strip() for beta in value.split(",")]
        dropped = {
            beta
            for beta in betas
            if any(fnmatchcase(beta, glob) for glob in traits.refused_betas)
            and notes.note(
                BETA_REFUSED, HeaderPlace(BETA_HEADER), f"{beta!r} is rejected", "dropped"
            )
        }
        kept = [beta for beta in betas if beta not in dropped]
        if kept:
            yield name, ",".join(kept) if dropped else value
