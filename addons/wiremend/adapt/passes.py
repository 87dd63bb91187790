"""One request as one target accepts it: what is known of the target, applied in order.

Every repair that depends on the target is a step here: the plain repairs of tools, their
dialect and names, messages and parameters, header values and fields that were refused. A step
takes a body and gives one back, the same object where it changed nothing; so an accepted request
keeps every byte.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType

from wiremend.adapt.history import mend_messages
from wiremend.adapt.lessons import ABOUT_TOOLS, Lesson
from wiremend.adapt.refused_fields import drop_fields
from wiremend.adapt.schemas import FittedTools, fit_tools
from wiremend.adapt.tool_list import sanitize_tools
from wiremend.protocols.base.document import Headers, OutgoingRequest
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import Finding, HeaderPlace, Rule
from wiremend.targets.registry import NAMES_BY_DIALECT

BETA_REFUSED = Rule(
    code="T304",
    name="beta-refused",
    finds="The `anthropic-beta` header has a value that this target is known to refuse.",
    hurts="The whole request is refused: ``Unexpected value(s) `prompt-caching-scope-2026-01-05` "
    "for the `anthropic-beta` header``; MiniMax streams tool names in pieces.",
    mends="That value is dropped. Nothing is dropped at api.anthropic.com that it did not refuse.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
    seen=("QuantumNous/new-api#2975", "gsd-build/gsd-2#4538", "BerriAI/litellm#36736"),
    before="anthropic-beta: prompt-caching-scope-2026-01-05,interleaved-thinking-2025-05-14",
    after="anthropic-beta: interleaved-thinking-2025-05-14",
)
RULES = (BETA_REFUSED,)

BETA_HEADER = "anthropic-beta"


@dataclass(frozen=True, slots=True)
class FittedRequest:
    """A request as it shall leave, and what was done for that."""

    request: OutgoingRequest
    """The very same object where nothing changed."""
    findings: tuple[Finding, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The client's name of each tool that goes under another one."""


def fit_request(
    protocol: Protocol,
    request: OutgoingRequest,
    traits: TargetTraits,
    lessons: Sequence[Lesson] = (),
    *,
    disabled: Set[str] = frozenset(),
) -> FittedRequest:
    """The request as a target with these traits accepts it, after these lessons.

    `disabled` holds codes of rules that are off. A body that is no JSON object stays as it is.
    """
    by_kind: dict[str, list[Lesson]] = {}
    for lesson in lessons:
        by_kind.setdefault(lesson.kind, []).append(lesson)
    body, findings, renamed = request.body, list[Finding](), dict[str, str]()
    if "as-is" not in by_kind or not by_kind.keys().isdisjoint(ABOUT_TOOLS):
        plain = sanitize_tools(
            protocol,
            body,
            disabled=disabled,
            strip_custom_type=traits.strip_custom_type or "custom-type" in by_kind,
        )
        fitted = _fit_tools(protocol, plain.body, traits, by_kind, disabled)
        body, renamed = fitted.body, fitted.renamed
        findings += plain.findings + fitted.findings
    if "as-is" not in by_kind:
        mended = mend_messages(protocol, body, traits.messages, disabled=disabled)
        body = mended.body
        findings += mended.findings
    if refused := [lesson.value for lesson in by_kind.get("field", ())]:
        body, dropped = drop_fields(body, refused, disabled=disabled)
        findings += dropped
    headers = request.headers
    betas = (*traits.refused_betas, *(lesson.value for lesson in by_kind.get("beta", ())))
    if betas and BETA_REFUSED.code not in disabled:
        headers, dropped = _without_betas(headers, betas)
        findings += dropped
    if body is not request.body or headers is not request.headers:
        request = replace(request, body=body, headers=headers)
    return FittedRequest(request, tuple(findings), renamed)


def _fit_tools(
    protocol: Protocol,
    body: bytes,
    traits: TargetTraits,
    lessons: Mapping[str, Sequence[Lesson]],
    disabled: Set[str],
) -> FittedTools:
    dialects = {lesson.tool: lesson.value for lesson in lessons.get("schema-dialect", ())}
    names = traits.names
    for lesson in lessons.get("tool-names", ()):
        names = NAMES_BY_DIALECT.get(lesson.value, names)
    unique = traits.unique_names or "unique-names" in lessons
    usual = dialects.get("", traits.dialect)
    if usual == "plain" and not (dialects or names or unique):
        return FittedTools(body)
    return fit_tools(
        protocol,
        body,
        lambda name: dialects.get(name, usual),
        names=names,
        unique=unique,
        disabled=disabled,
    )


def _without_betas(headers: Headers, refused: Sequence[str]) -> tuple[Headers, list[Finding]]:
    """The headers without these beta values; the same object if they have none of them."""
    kept: list[tuple[str, str]] = []
    findings: list[Finding] = []
    for name, value in headers:
        if name.lower() != BETA_HEADER:
            kept.append((name, value))
            continue
        stated = [one.strip() for one in value.split(",")]
        dropped = [one for one in stated if any(fnmatchcase(one, glob) for glob in refused)]
        findings += (
            Finding(BETA_REFUSED.code, HeaderPlace(BETA_HEADER), f"{one!r} is refused", "dropped")
            for one in dropped
        )
        left = [one for one in stated if one not in dropped]
        if left:
            kept.append((name, ",".join(left) if dropped else value))
    return (tuple(kept), findings) if findings else (headers, findings)
