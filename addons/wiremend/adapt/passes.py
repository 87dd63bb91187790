"""One request as one target accepts it: all passes over a request, in their order.

A pass takes a document and returns one, the same object where it changed nothing. So a request
that the target accepts keeps every byte.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

from wiremend.adapt.lessons import ABOUT_TOOLS, Lesson
from wiremend.adapt.refused_betas import drop_refused_betas
from wiremend.adapt.refused_fields import drop_refused_fields
from wiremend.adapt.schemas import adapt_names_and_schemas
from wiremend.adapt.tool_list import adapt_tool_list
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.history import adapt_history
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import Finding, Notes
from wiremend.targets.registry import NAMES_BY_DIALECT

type Pass = Callable[[RequestDocument, TargetTraits, Notes], RequestDocument]
type Subject = Literal["tools", "messages", "refusals"]

PASSES: tuple[tuple[Subject, Pass], ...] = (
    # T001-T004, T101-T107: nameless tools and what depends on them; the root of each schema
    ("tools", adapt_tool_list),
    # T005, T006, T201-T208: names, and schemas in the target's dialect
    ("tools", adapt_names_and_schemas),
    # Q001-Q109, then Q201-Q204: the protocol's own passes over messages, then over parameters
    ("messages", adapt_history),
    # T303, T304: what this target refused before
    ("refusals", drop_refused_fields),
    ("refusals", drop_refused_betas),
)
"""Every pass, and what it is about. Each looks at what the one before it left."""


@dataclass(frozen=True, slots=True)
class AdaptedRequest:
    """A request as one target accepts it, and what was done for that."""

    request: OutgoingRequest
    """The very same object where nothing changed."""
    findings: tuple[Finding, ...] = ()

    @property
    def tool_names_by_sent(self) -> Mapping[str, str]:
        """The client's name of each tool that is sent under another one."""
        return self.request.document.tool_names_by_sent


def adapt_request(
    request: OutgoingRequest,
    traits: TargetTraits,
    lessons: Sequence[Lesson] = (),
    *,
    disabled: Set[str] = frozenset(),
) -> AdaptedRequest:
    """The request as a target with these traits accepts it, after these lessons.

    `disabled` holds codes of rules that are off. A body that is not a JSON object stays as it is.
    """
    notes = Notes(disabled)
    known = with_lessons(traits, lessons)
    subjects = _subjects(lessons)
    document = request.document
    for subject, adapt in PASSES:
        if subject in subjects:
            document = adapt(document, known, notes)
    if document is not request.document:
        request = replace(request, document=document)
    return AdaptedRequest(request, tuple(notes.findings))


def with_lessons(traits: TargetTraits, lessons: Sequence[Lesson]) -> TargetTraits:
    """The traits of a target that also taught these lessons; a later one replaces an earlier."""
    for lesson in lessons:
        match lesson.kind:
            case "schema-dialect" if lesson.tool:
                dialects = {**traits.dialect_by_tool, lesson.tool: lesson.value}
                traits = replace(traits, dialect_by_tool=dialects)
            case "schema-dialect":
                traits = replace(traits, dialect=lesson.value)
            case "tool-names":
                names = NAMES_BY_DIALECT.get(lesson.value, traits.names)
                traits = replace(traits, names=names)
            case "unique-names":
                traits = replace(traits, unique_names=True)
            case "custom-type":
                traits = replace(traits, strip_custom_type=True)
            case "field":
                traits = replace(traits, refused_fields=(*traits.refused_fields, lesson.value))
            case "beta":
                traits = replace(traits, refused_betas=(*traits.refused_betas, lesson.value))
            case "as-is":
                pass  # decides which passes run
    return traits


def _subjects(lessons: Sequence[Lesson]) -> Set[Subject]:
    """What may be changed: after `as-is`, only what other lessons are about."""
    kinds = {lesson.kind for lesson in lessons}
    if "as-is" not in kinds:
        return {"tools", "messages", "refusals"}
    return {"refusals"} if kinds.isdisjoint(ABOUT_TOOLS) else {"tools", "refusals"}
