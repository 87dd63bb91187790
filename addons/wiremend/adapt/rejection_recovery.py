"""The requests of a call, one for each target, and how a rejection by the target changes them.

Each target receives the request adapted to what is known about it. If a rejection identifies a
tool, a field, a value or a header value, only that is changed and the request is sent again, as
long as each rejection names something new. A lesson is stored once it is proven: the target accepts
the request, or rejects it for something else. If a rejection teaches no lesson and the request had
been changed, its tools are sent as the client wrote them, and then the whole request. So an
adaptation that has become wrong costs a round trip or two.
"""

from collections.abc import Callable, Hashable, Sequence, Set
from dataclasses import dataclass, field, replace

from wiremend.adapt.lessons import ABOUT_TOOLS, Lesson, LessonBook, is_lasting
from wiremend.adapt.passes import AdaptedRequest, adapt_request, configured_request
from wiremend.adapt.refused_fields import advice_on_kept_fields
from wiremend.adapt.rejections import REJECTING_STATUS, OfferedTools, explanation, read_rejection
from wiremend.adapt.sessions import (
    Sessions,
    Terms,
    has_bound_thinking,
    have_same_prefix,
    session_key,
)
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import CallPlace, Finding, Rule
from wiremend.secrets import masked, secret_values
from wiremend.text.patterns import text_pattern

_ALL = tuple(WireProtocol)

LEARNT = Rule(
    code="T301",
    name="learnt-from-rejection",
    detects="A provider rejects the request and names the tool, field or header value.",
    impact="Every turn fails until the user finds the cause among a hundred tools.",
    action="Adapts only that part and sends the request again, if nothing was sent to the client "
    "yet, and for as long as each rejection names something new (`[learning]` limits it). If two "
    "tools have the same fault, all tools are adapted. Once the request is accepted, or rejected "
    "for something else, the lesson is stored for that provider and model (`wiremend.lessons`).",
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
    action="Sends the client's tools unchanged, and if that is rejected too, the client's whole "
    "request. If the unchanged tools are accepted, they are sent unchanged for an hour.",
    protocols=_ALL,
)
SESSION_KEPT = Rule(
    code="T307",
    name="session-kept",
    detects="The history of a request contains signed thinking, and what was learnt or configured "
    "since the conversation began would change its tools, system prompt or messages.",
    impact="Newer Claude models check what their thinking was based on: the request is rejected, "
    "or the thinking is lost.",
    action="Adapts the request as at the beginning of its conversation. What has changed applies "
    "to conversations that begin later, and to this one if its provider rejects the request.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
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

_UNRELATED_TO_CHANGES = text_pattern(
    r"prompt is too long|context.?(?:length|window)|maximum context|too many tokens|credit|quota"
    r"|billing|api.?key|array too long|maximum tools|more than \d{1,9}+ tools|number of items",
    ignore_case=True,
)
"""Reasons for which the client's original request would be refused, too."""


@dataclass(frozen=True, slots=True)
class AmendmentLimits:
    """How long one request to one target is changed and sent again.

    There is progress with each change: none is tried twice.
    """

    count: int = 40
    elapsed_seconds: float = 120.0
    """Since the start of the call; 0: no limit."""

    def permit(self, count: int, elapsed_seconds: float) -> bool:
        """Return whether there may be one more change after this number, at this time."""
        is_late = 0 < self.elapsed_seconds < elapsed_seconds
        return count < self.count and not is_late


@dataclass(slots=True)
class _Sending:
    """The state of one target: the client's request, the adapted one, and the lessons applied."""

    original: OutgoingRequest
    terms: Terms
    """The target's traits, the lessons applied, and the disabled rules."""
    disabled: Set[str]
    """Codes of the rules that are disabled for this target."""
    keys: Sequence[str] = field(default=(), repr=False)
    """The keys with which the request may be sent."""
    session: Hashable | None = None
    """The conversation, if its beginning must not change."""
    adapted: AdaptedRequest | None = None
    """None until it is first needed. A fallback may never be used."""
    tried: set[Lesson] = field(default_factory=set)
    """Lessons that have been applied; they are not applied again."""
    on_trial: tuple[Lesson, ...] = ()
    """Lessons that are stored when the target accepts the request."""
    learnt: tuple[Lesson, ...] = ()
    """Lessons that were stored since the last acceptance."""
    words: str = ""
    """The words of the last rejection that taught a lesson."""
    refused_fields: tuple[str, ...] = ()
    """The fields that the last rejection names."""
    amendments: int = 0
    was_changed: bool = False
    """Whether the first request differed from the client's."""
    is_restored: bool = False
    """Whether changes were taken back; then no further change is tried."""


@dataclass
class AdaptedRequests:
    """The requests of one call. Targets are numbered in the order of the plan, from 0."""

    book: LessonBook = field(default_factory=LessonBook)
    disabled: Set[str] = frozenset()
    """Codes of the disabled rules."""
    limits: AmendmentLimits = field(default_factory=AmendmentLimits)
    sessions: Sessions = field(default_factory=Sessions)
    """Running conversations that must keep their beginning."""
    faults: list[Fault] = field(default_factory=list)
    """The faults that were contained here."""
    _sendings: list[_Sending] = field(default_factory=list)

    def add(
        self,
        request: OutgoingRequest,
        traits: TargetTraits,
        keys: Sequence[str] = (),
        disabled: frozenset[str] = frozenset(),
    ) -> None:
        """Add the next target: the client's request addressed to it, and its traits.

        `keys` are all keys with which it may be sent. `disabled` contains codes of rules that are
        disabled for it, besides those of the call.
        """
        places = dict.fromkeys((request.provider, request.host))
        lessons = tuple(lesson for place in places for lesson in self.book.of(place, request.model))
        off = self.disabled | disabled
        terms = Terms(traits, lessons, off)
        self._sendings.append(_Sending(request, terms, off, tried=set(lessons), keys=keys))

    def at(self, target: int) -> AdaptedRequest:
        """Return the request for this target in its present form."""
        return self._adapted(self._sendings[target])

    def is_amended(self, target: int) -> bool:
        """Return whether a rejection by this target has changed the request."""
        return self._sendings[target].amendments > 0

    def amend(
        self, target: int, error: ProviderError, elapsed_seconds: float = 0.0
    ) -> list[Finding]:
        """Change the request after this rejection; return findings, empty if it did not change.

        `elapsed_seconds` is the time since the start of the call.
        """
        return contain(
            "reading a rejection", self._without([]), self._amend, target, error, elapsed_seconds
        )

    def _amend(self, target: int, error: ProviderError, elapsed_seconds: float) -> list[Finding]:
        sending = self._sendings[target]
        if error.status not in REJECTING_STATUS:
            return []
        self._adapted(sending)
        lessons: tuple[Lesson, ...] = ()
        if LEARNT.code not in sending.disabled and not sending.is_restored:
            lessons = read_rejection(error, self._offered(sending))
            self._store_proven(sending, lessons)
        sending.refused_fields = tuple(it.value for it in lessons if it.kind == "field")
        if not self.limits.permit(sending.amendments, elapsed_seconds):
            return []
        findings = self._apply_lessons(sending, error, lessons)
        if not findings and error.status != _NOT_FOUND:
            findings = self._restore(sending, error)
        sending.amendments += bool(findings)
        return findings

    def accepted(self, target: int) -> tuple[Lesson, ...]:
        """The target accepted the request: store the lessons on trial.

        Returns all lessons that were stored since the last acceptance.
        """
        return contain("storing a lesson", self._without(()), self._accepted, target)

    def _accepted(self, target: int) -> tuple[Lesson, ...]:
        sending = self._sendings[target]
        self._store(sending, sending.on_trial)
        learnt, sending.learnt = sending.learnt, ()
        if sending.session is not None and learnt and not sending.is_restored:
            self.sessions.remember(sending.session, sending.terms)
        return learnt

    def _store(self, sending: _Sending, lessons: Sequence[Lesson]) -> None:
        """Store lessons that are on trial."""
        sending.on_trial = tuple(it for it in sending.on_trial if it not in lessons)
        lasting = tuple(filter(is_lasting, lessons))
        if lasting:
            original = sending.original
            self.book.learn(original.provider, original.model, lasting, sending.words)
            sending.learnt += lasting

    def _store_proven(self, sending: _Sending, named: Sequence[Lesson]) -> None:
        """Store those lessons on trial that a further rejection confirms.

        `named` are the lessons of that rejection. The others are confirmed, since the target now
        rejects something else.
        """
        if not named:
            return
        subjects = {lesson.subject for lesson in named} - {None}
        proven = [it for it in sending.on_trial if it not in named and it.subject not in subjects]
        self._store(sending, proven)

    def explain(self, target: int, message: str, error: ProviderError | None = None) -> str:
        """Return an error message, with the names of tools that it mentions by place appended.

        `error` is the error with this message, whose other parts may mention tools, too.
        """
        unexplained = self._without(message)
        return contain("explaining a rejection", unexplained, self._explain, target, message, error)

    def _explain(self, target: int, message: str, error: ProviderError | None) -> str:
        sending = self._sendings[target]
        if TOOL_NAMED.code in sending.disabled:
            return message
        document = self._adapted(sending).request.document
        meant = explanation(message, self._offered(sending), error)
        advice = advice_on_kept_fields(document, sending.terms.traits, sending.refused_fields)
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
            sending.adapted = contain(
                "adapting a request", self._unchanged(sending), self._adapt_first, sending
            )
            traits = sending.terms.traits
            is_same = sending.adapted.request is sending.original and not traits.changes
            sending.was_changed = not is_same and _differ(
                sending.adapted, self._as_configured(sending)
            )
        return sending.adapted

    def _adapt_first(self, sending: _Sending) -> AdaptedRequest:
        """Adapt a request; on the terms of its conversation, if its beginning must not change."""
        adapted = self._adapt(sending, sending.terms)
        if SESSION_KEPT.code in sending.disabled:
            return adapted
        sending.session = session_key(sending.original)
        if sending.session is None:
            return adapted
        if not has_bound_thinking(sending.original):
            self.sessions.remember(sending.session, sending.terms)
            return adapted
        earlier = self.sessions.terms(sending.session) or sending.terms
        self.sessions.remember(sending.session, earlier)
        if earlier == sending.terms:
            return adapted
        kept = self._adapt(sending, earlier)
        if have_same_prefix(kept.request, adapted.request):
            return adapted
        withheld = [it for it in sending.terms.lessons if it not in earlier.lessons]
        sending.terms, sending.tried = earlier, set(earlier.lessons)
        found = "signed thinking; changed since the conversation began: "
        found += ", ".join(map(str, withheld)) or "what is configured or known of the target"
        finding = Finding(
            SESSION_KEPT.code,
            CallPlace.REQUEST,
            _short(found),
            "adapted as before; the change applies to conversations that begin later",
        )
        return replace(kept, findings=(finding, *kept.findings))

    def _adapt(self, sending: _Sending, terms: Terms) -> AdaptedRequest:
        return contain(
            "adapting a request",
            self._unchanged(sending),
            adapt_request,
            sending.original,
            terms.traits,
            terms.lessons,
            disabled=terms.disabled,
            accepted=self.sessions.accepted_tools,
        )

    def _unchanged(self, sending: _Sending) -> Callable[[Fault], AdaptedRequest]:
        """Return a function that records a fault and returns the original request."""

        def unchanged(fault: Fault) -> AdaptedRequest:
            self.faults.append(fault)
            finding = Finding(FITTING_FAILED.code, CallPlace.REQUEST, str(fault), "passed on")
            configured = self._as_configured(sending)
            return AdaptedRequest(configured.request, (finding, *configured.findings))

        return unchanged

    def _as_configured(self, sending: _Sending) -> AdaptedRequest:
        """Return the client's request with nothing but the changes that the user configured."""
        original = sending.original
        unchanged = self._without(AdaptedRequest(original))
        return contain(
            "changing the configured fields",
            unchanged,
            configured_request,
            original,
            sending.terms.traits,
            disabled=sending.disabled,
        )

    def _offered(self, sending: _Sending) -> OfferedTools:
        return OfferedTools(self._adapted(sending).request.document)

    def _apply_lessons(
        self, sending: _Sending, error: ProviderError, lessons: tuple[Lesson, ...]
    ) -> list[Finding]:
        """Change the request by the first lessons that change it; return what was done.

        Lessons that were tried before are skipped. If `lessons` change nothing, their stricter
        forms are tried. Returns an empty list if the request is as it was.
        """
        for stricter in (lessons, tuple(map(_stricter, lessons))):
            new = [lesson for lesson in stricter if lesson not in sending.tried]
            if not new:
                continue
            sending.tried.update(new)
            new = _for_every_tool(new, sending.terms.lessons)
            sending.tried.update(new)
            terms = replace(
                sending.terms, lessons=(*_without_replaced(sending.terms.lessons, new), *new)
            )
            adapted = self._adapt(sending, terms)
            after, before = adapted.request, self._adapted(sending).request
            if (after.body, after.headers) == (before.body, before.headers):
                continue
            sending.terms, sending.adapted = terms, adapted
            sending.on_trial = (*_without_replaced(sending.on_trial, new), *new)
            secrets = {*secret_values(sending.original.headers, sending.original.path)}
            secrets |= {*sending.keys}
            sending.words = _short(masked(error.message, secrets))
            done = "sent once more: " + ", ".join(map(str, new))
            if sending.session is not None and has_bound_thinking(sending.original):
                done += " (for this conversation, and for those that begin later)"
            return [Finding(LEARNT.code, CallPlace.REQUEST, _short(error.message), done)]
        return []

    def _restore(self, sending: _Sending, error: ProviderError) -> list[Finding]:
        """Take back the changes: those of tools first, then all."""
        if ORIGINAL_SENT.code in sending.disabled or not sending.was_changed:
            return []
        if _UNRELATED_TO_CHANGES.search(f"{error.message} {error.code} {error.type}"):
            return []
        found = f"refused after a change: {_short(error.message)}"
        if not sending.is_restored and self._restore_tools(sending):
            done = "sent with the client's tools unchanged"
        elif _differ(self._adapted(sending), configured := self._as_configured(sending)):
            sending.adapted, sending.on_trial = configured, ()
            done = "sent as the client wrote it"
        else:
            return []
        sending.is_restored = True
        return [Finding(ORIGINAL_SENT.code, CallPlace.REQUEST, found, done)]

    def _restore_tools(self, sending: _Sending) -> bool:
        """Send the client's tools unchanged; False if they were not changed."""
        as_is = Lesson("as-is")
        lessons = (*(it for it in sending.terms.lessons if it.kind not in ABOUT_TOOLS), as_is)
        adapted = self._adapt(sending, replace(sending.terms, lessons=lessons))
        if adapted.request.body == self._adapted(sending).request.body:
            return False
        sending.adapted, sending.on_trial = adapted, (as_is,)
        return True


_NOT_FOUND = 404


def _differ(first: AdaptedRequest, second: AdaptedRequest) -> bool:
    """Return whether two forms of a request differ."""
    one, other = first.request, second.request
    return (one.body, one.headers) != (other.body, other.headers)


def _for_every_tool(new: Sequence[Lesson], applied: Sequence[Lesson]) -> list[Lesson]:
    """Return new lessons; if two tools need the same dialect, one for every tool instead."""
    tools_by_dialect: dict[str, set[str]] = {}
    for lesson in (*applied, *new):
        if lesson.kind == "schema-dialect" and lesson.tool:
            tools_by_dialect.setdefault(lesson.value, set()).add(lesson.tool)
    widened = [
        replace(lesson, tool="")
        if lesson.kind == "schema-dialect" and len(tools_by_dialect.get(lesson.value, ())) > 1
        else lesson
        for lesson in new
    ]
    return list(dict.fromkeys(widened))


def _stricter(lesson: Lesson) -> Lesson:
    """Return the lesson with the dialect `basic`, for a schema that is already in its dialect."""
    return replace(lesson, value="basic") if lesson.kind == "schema-dialect" else lesson


def _without_replaced(lessons: Sequence[Lesson], new: Sequence[Lesson]) -> list[Lesson]:
    """Return lessons without those that a new one of the same kind for the same tool replaces."""
    replaced = {n.subject for n in new if n.subject is not None}
    return [lesson for lesson in lessons if lesson.subject not in replaced]


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:297] + "..."
