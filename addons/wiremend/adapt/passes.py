"""The passes that adapt one request to one target, in their order.

A pass takes a document and returns it, changed or not; without a change, it returns the same
object. So a request that the target accepts keeps all its bytes.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace

from wiremend.adapt.configured_fields import change_configured_fields
from wiremend.adapt.learnable_traits import with_trait
from wiremend.adapt.lessons import ABOUT_TOOLS, Lesson
from wiremend.adapt.refused_betas import drop_refused_betas
from wiremend.adapt.refused_fields import drop_refused_fields
from wiremend.adapt.schemas import AcceptedTools, adapt_tools
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.history import adapt_history
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import Finding, Notes
from wiremend.targets.registry import NAMES_BY_DIALECT
from wiremend.value_class import value_class

type Pass = Callable[[RequestDocument, TargetTraits, Notes], RequestDocument]

PASSES: tuple[Pass, ...] = (
    # Q001-Q309: the protocol's passes over messages, then over parameters
    adapt_history,
    # T303, T304: fields and header values that this target has refused
    drop_refused_fields,
    drop_refused_betas,
    # T306: what the user has configured, whatever the other passes did
    change_configured_fields,
)
"""The passes after `adapt_tools`, in order. That one handles T001-T006, T101-T107 and T201-T208:
tools without a name and references to them; the root of each schema; names, and schemas in the
target's dialect."""


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
    accepted: AcceptedTools | None = None,
) -> AdaptedRequest:
    """Return the request adapted to a target with these traits, after these lessons.

    `disabled` contains the codes of disabled rules. A body that is not a JSON object is not
    changed. `accepted` remembers lists of tools from one request to the next.
    """
    notes = Notes(disabled)
    taught = with_lessons(traits, lessons)
    document = request.document
    if _adapts_tools(lessons):
        document = adapt_tools(document, taught, notes, accepted)
    for adapt in PASSES:
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
                pass  # handled by `_adapts_tools`
    return replace(
        traits,
        dialect_by_tool=dialects,
        refused_fields=tuple(fields),
        refused_betas=tuple(betas),
    )


def _adapts_tools(lessons: Sequence[Lesson]) -> bool:
    """Return whether tools are adapted: after `as-is` only with lessons on them."""
    kinds = {lesson.kind for lesson in lessons} if lessons else ()
    return "as-is" not in kinds or not ABOUT_TOOLS.isdisjoint(kinds)
