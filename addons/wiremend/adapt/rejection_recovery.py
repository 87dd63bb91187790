"""The requests of a call, one for each target, and how a rejection by the target changes them.

Each target receives the request adapted to what is known about it. If a rejection identifies a
tool, a field or a header value, only that is changed and the request is sent again; once it is
accepted, the lesson is stored. If a rejection teaches no lesson and the request had been changed,
the client's original request is sent once. So an adaptation that has become wrong costs one round
trip.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace

from wiremend.adapt.lessons import Lesson, LessonBook
from wiremend.adapt.passes import AdaptedRequest, adapt_request, configured_request
from wiremend.adapt.refused_fields import advice_on_kept_fields
from wiremend.adapt.rejections import REJECTING_STATUS, OfferedTools, explanation, read_rejection
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import CallPlace, Finding, Rule
from wiremend.text.patterns import text_pattern

_ALL = tuple(WireProtocol)

LEARNT = Rule(
    code="T301",
    name="learnt-from-rejection",
    detects="A provider rejects the request and names the tool, field or header value.",
    impact="Every turn fails until the user finds the cause among a hundred tools.",
    action="Adapts only that part and sends the request again, if nothing was sent to the client "
    "yet. Once the request is accepted, the lesson is stored for that provider and model "
    "(`wiremend.lessons`).",
    protocols=_ALL,
    seen=("MoonshotAI/kimi-code#1610", "anomalyco/opencode#47543", "anthropics/claude-code#70563"),
    before="HTTP 400, tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or "
    "anyOf at the top level",
    after="HTTP 200",
)
ORIGINAL_SENT = Rule(
    code="T302",
    name="original-sent",
    detects="A provider rejects a request that wiremend changed, and no lesson can be learnt from "
    "the message.",
    impact="Providers change: a repair that was required yesterday may be rejected today.",
    action="Sends the client's original request once.",
    protocols=_ALL,
)
TOOL_NAMED = Rule(
    code="E006",
    name="tool-named-in-error",
    detects="An error sent to the client identifies a tool only by its position in the request.",
    impact="Users count to `tools.78` by hand to find the MCP server that they must disable.",
    action="Appends the name of the tool and of its MCP server to the provider's message.",
    protocols=_ALL,
    seen=("mobile-next/mobile-mcp#344", "anthropics/claude-code#7365"),
    before="tools.78.custom.input_schema: JSON schema is invalid",
    after='tools.78.custom.input_schema: JSON schema is invalid (tools.78 is tool "mcp__notion__c'
    'reate" (MCP server "notion"))',
)
FITTING_FAILED = Rule(
    code="T305",
    name="fitting-failed",
    detects="A rule raised an exception on this request: a bug in wiremend, not a fault in the "
    "request.",
    impact="The call would fail although the provider might have accepted it.",
    action="Sends the client's original request.",
    protocols=_ALL,
)

AMENDMENTS_LIMIT = 4
"""How often one request to one target is changed. Providers report one bad tool at a time."""

_UNRELATED_TO_CHANGES = text_pattern(
    r"prompt is too long|context.?(?:length|window)|maximum context|too many tokens|credit|quota"
    r"|billing|api.?key|array too long|maximum tools|more than \d{1,9}+ tools|number of items",
    ignore_case=True,
)
"""Reasons for which the client's original request would be refused, too."""


@dataclass(slots=True)
class _Sending:
    """The state of one target: the client's request, the adapted one, and the lessons applied."""

    original: OutgoingRequest
    traits: TargetTraits
    lessons: tuple[Lesson, ...]
    adapted: AdaptedRequest | None = None
    """None until it is first needed. A fallback may never be used."""
    tried: set[Lesson] = field(default_factory=set)
    """Lessons that have been applied; they are not applied again."""
    on_trial: tuple[Lesson, ...] = ()
    """Lessons that are stored when the target accepts the request."""
    refused_fields: tuple[str, ...] = ()
    """The fields that the last rejection names."""
    amendments: int = 0
    original_tried: bool = False


@dataclass
class AdaptedRequests:
    """The requests of one call. Targets are numbered in the order of the plan, from 0."""

    book: LessonBook = field(default_factory=LessonBook)
    disabled: Set[str] = frozenset()
    """Codes of the disabled rules."""
    faults: list[Fault] = field(default_factory=list)
    """The faults that were contained here."""
    _sendings: list[_Sending] = field(default_factory=list)

    def add(self, request: OutgoingRequest, traits: TargetTraits) -> None:
        """Add the next target: the client's request addressed to it, and its traits."""
        places = dict.fromkeys((request.provider, request.host))
        lessons = tuple(lesson for place in places for lesson in self.book.of(place, request.model))
        self._sendings.append(_Sending(request, traits, lessons, tried=set(lessons)))

    def at(self, target: int) -> AdaptedRequest:
        """Return the request for this target in its present form."""
        return self._adapted(self._sendings[target])

    def is_amended(self, target: int) -> bool:
        """Return whether a rejection by this target has changed the request."""
        return self._sendings[target].amendments > 0

    def amend(self, target: int, error: ProviderError) -> list[Finding]:
        """Change the request after this rejection; return findings, empty if it did not change."""
        return contain("reading a rejection", self._without([]), self._amend, target, error)

    def _amend(self, target: int, error: ProviderError) -> list[Finding]:
        sending = self._sendings[target]
        if error.status not in REJECTING_STATUS or sending.amendments >= AMENDMENTS_LIMIT:
            return []
        findings = self._apply_lessons(sending, error) or self._restore_original(sending, error)
        sending.amendments += bool(findings)
        return findings

    def accepted(self, target: int) -> tuple[Lesson, ...]:
        """The target accepted the request: store the lessons on trial, and return them."""
        return contain("storing a lesson", self._without(()), self._accepted, target)

    def _accepted(self, target: int) -> tuple[Lesson, ...]:
        sending = self._sendings[target]
        learnt, sending.on_trial = sending.on_trial, ()
        self.book.learn(sending.original.provider, sending.original.model, learnt)
        return learnt

    def explain(self, target: int, message: str) -> str:
        """Return an error message, with the names of tools that it mentions by place appended."""
        unexplained = self._without(message)
        return contain("explaining a rejection", unexplained, self._explain, target, message)

    def _explain(self, target: int, message: str) -> str:
        if TOOL_NAMED.code in self.disabled:
            return message
        sending = self._sendings[target]
        document = self._adapted(sending).request.document
        meant = explanation(message, self._offered(sending))
        advice = advice_on_kept_fields(document, sending.traits, sending.refused_fields)
        additions = "; ".join(filter(None, (meant, advice)))
        return f"{message} ({additions})" if additions else message

    def _without[T](self, result: T) -> Callable[[Fault], T]:
        """Return a function that records a fault and returns `result`."""

        def otherwise(fault: Fault) -> T:
            self.faults.append(fault)
            return result

        return otherwise

    def _adapted(self, sending: _Sending) -> AdaptedRequest:
        if sending.adapted is None:
            sending.adapted = self._adapt(sending, sending.lessons)
        return sending.adapted

    def _adapt(self, sending: _Sending, lessons: Sequence[Lesson]) -> AdaptedRequest:
        original = sending.original

        def unchanged(fault: Fault) -> AdaptedRequest:
            self.faults.append(fault)
            finding = Finding(FITTING_FAILED.code, CallPlace.REQUEST, str(fault), "passed on")
            configured = self._as_configured(sending)
            return AdaptedRequest(configured.request, (finding, *configured.findings))

        return contain(
            "adapting a request",
            unchanged,
            adapt_request,
            original,
            sending.traits,
            lessons,
            disabled=self.disabled,
        )

    def _as_configured(self, sending: _Sending) -> AdaptedRequest:
        """Return the client's request with nothing but the changes that the user configured."""
        original = sending.original
        unchanged = self._without(AdaptedRequest(original))
        return contain(
            "changing the configured fields",
            unchanged,
            configured_request,
            original,
            sending.traits,
            disabled=self.disabled,
        )

    def _offered(self, sending: _Sending) -> OfferedTools:
        return OfferedTools(self._adapted(sending).request.document)

    def _apply_lessons(self, sending: _Sending, error: ProviderError) -> list[Finding]:
        if LEARNT.code in self.disabled or sending.original_tried:
            return []
        lessons = read_rejection(error, self._offered(sending))
        sending.refused_fields = tuple(it.value for it in lessons if it.kind == "field")
        for stricter in (lessons, tuple(map(_stricter, lessons))):
            new = [lesson for lesson in stricter if lesson not in sending.tried]
            if not new:
                continue
            sending.tried.update(new)
            lessons_then = (*_without_replaced(sending.lessons, new), *new)
            adapted = self._adapt(sending, lessons_then)
            after, before = adapted.request, self._adapted(sending).request
            if (after.body, after.headers) == (before.body, before.headers):
                continue
            sending.lessons, sending.adapted = lessons_then, adapted
            sending.on_trial = (*_without_replaced(sending.on_trial, new), *new)
            done = "sent once more: " + ", ".join(map(str, new))
            return [Finding(LEARNT.code, CallPlace.REQUEST, _short(error.message), done)]
        return []

    def _restore_original(self, sending: _Sending, error: ProviderError) -> list[Finding]:
        adapted, original = self._adapted(sending).request, self._as_configured(sending)
        sent = original.request
        is_changed = (adapted.body, adapted.headers) != (sent.body, sent.headers)
        if ORIGINAL_SENT.code in self.disabled or sending.original_tried or not is_changed:
            return []
        if _UNRELATED_TO_CHANGES.search(f"{error.message} {error.code} {error.type}"):
            return []
        sending.original_tried = True
        sending.adapted = original
        sending.on_trial = (Lesson("as-is"),)
        found = f"refused after a change: {_short(error.message)}"
        return [
            Finding(ORIGINAL_SENT.code, CallPlace.REQUEST, found, "sent as the client wrote it")
        ]


def _stricter(lesson: Lesson) -> Lesson:
    """Return the lesson with the dialect `basic`, for a schema that is already in its dialect."""
    return replace(lesson, value="basic") if lesson.kind == "schema-dialect" else lesson


def _without_replaced(lessons: Sequence[Lesson], new: Sequence[Lesson]) -> list[Lesson]:
    """Return lessons without those that a new one of the same kind for the same tool replaces."""
    replaced = {(n.kind, n.tool) for n in new if n.kind in ("schema-dialect", "tool-names")}
    return [lesson for lesson in lessons if (lesson.kind, lesson.tool) not in replaced]


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:297] + "..."
