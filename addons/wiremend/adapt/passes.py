"""The passes that adapt one request to one target, in their order.

A pass takes a document and returns it, changed or not; without a change, it returns the same
object. So a request that the target accepts keeps all its bytes.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import Literal

from wiremend.adapt.configured_fields import change_configured_fields
from wiremend.adapt.learnable_traits import with_trait
from wiremend.adapt.lessons import ABOUT_TOOLS, Lesson
from wiremend.adapt.refused_betas import drop_refused_betas
from wiremend.adapt.refused_fields import drop_refused_fields
from wiremend.adapt.schemas import AcceptedSchemas, adapt_names_and_schemas
from wiremend.adapt.tool_list import adapt_tool_list
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.history import adapt_history
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import Finding, Notes
from wiremend.targets.registry import NAMES_BY_DIALECT
from wiremend.value_class import value_class

type Pass = Callable[[RequestDocument, TargetTraits, Notes], RequestDocument]
type Subject = Literal["tools", "messages", "refusals", "configured"]

PASSES: tuple[tuple[Subject, Pass], ...] = (
    # T001-T004, T101-T107: tools without a name and references to them; the root of each schema
    ("tools", adapt_tool_list),
    # T005, T006, T201-T208: names, and schemas in the target's dialect
    ("tools", adapt_names_and_schemas),
    # Q001-Q309: the protocol's passes over messages, then over parameters
    ("messages", adapt_history),
    # T303, T304: fields and header values that this target has refused
    ("refusals", drop_refused_fields),
    ("refusals", drop_refused_betas),
    # T306: what the user has configured, whatever the other passes did
    ("configured", change_configured_fields),
)
"""Every pass and its subject. Each receives the result of the one before it."""


@value_class
class AdaptedRequest:
    """A request adapted to one target, and the findings of the passes."""

    request: OutgoingRequest
    """The original object if no pass changed it."""
    findings: tuple[Finding, ...] = ()

    @property
    def tool_names_by_sent(self) -> Mapping[str, str]:
        """For each renamed tool, the client's name by the name that is sent."""
        return self.request.document.tool_names_by_sent


def adapt_request(
    request: OutgoingRequest,
    traits: TargetTraits,
    lessons: Sequence[Lesson] = (),
    *,
    disabled: Set[str] = frozenset(),
    accepted: AcceptedSchemas | None = None,
) -> AdaptedRequest:
    """Return the request adapted to a target with these traits, after these lessons.

    `disabled` contains the codes of disabled rules. A body that is not a JSON object is not
    changed. `accepted` remembers schemas from one request to the next.
    """
    notes = Notes(disabled)
    taught = with_lessons(traits, lessons)
    subjects = _subjects(lessons)
    document = request.document
    for subject, adapt in PASSES:
        if subject in subjects:
            if adapt is adapt_names_and_schemas:
                adapt = partial(adapt_names_and_schemas, accepted=accepted)
            document = adapt(document, taught, notes)
    if document is not request.document:
        request = replace(request, document=document)
    return AdaptedRequest(request, tuple(notes.findings))


def configured_request(
    request: OutgoingRequest, traits: TargetTraits, *, disabled: Set[str] = frozenset()
) -> AdaptedRequest:
    """Return the client's request with the fields that the user has configured for the target."""
    notes = Notes(disabled)
    document = change_configured_fields(request.document, traits, notes)
    if document is not request.document:
        request = replace(request, document=document)
    return AdaptedRequest(request, tuple(notes.findings))


def with_lessons(traits: TargetTraits, lessons: Sequence[Lesson]) -> TargetTraits:
    """Return a target's traits with these lessons applied; later lessons replace earlier ones."""
    if not lessons:
        return traits
    dialects: dict[str, str] = dict(traits.dialect_by_tool)
    fields, betas = list(traits.refused_fields), list(traits.refused_betas)
    for lesson in lessons:
        match lesson.kind:
            case "schema-dialect" if lesson.tool:
                dialects[lesson.tool] = lesson.value
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
                fields.append(lesson.value)
            case "trait":
                traits = with_trait(traits, lesson.value)
            case "beta":
                betas.append(lesson.value)
            case "as-is":
                pass  # handled by `_subjects`
    return replace(
        traits,
        dialect_by_tool=dialects,
        refused_fields=tuple(fields),
        refused_betas=tuple(betas),
    )


def _subjects(lessons: Sequence[Lesson]) -> Set[Subject]:
    """Return the subjects of the passes to run: after `as-is` tools only with lessons on them."""
    kinds = {lesson.kind for lesson in lessons}
    subjects: Set[Subject] = {"tools", "messages", "refusals", "configured"}
    if "as-is" in kinds and kinds.isdisjoint(ABOUT_TOOLS):
        return subjects - {"tools"}
    return subjects
