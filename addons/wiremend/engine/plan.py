"""Planning a call: decides once what is done with one request, in the order of `STEPS`.

Each step takes the call returned by the step before and returns it, possibly changed. A step has no
effect unless its feature is requested. So every addon works alone, and the order in which addons
are loaded does not matter.
"""

import operator
from collections.abc import Callable, Sequence, Set
from dataclasses import replace

from wiremend.adapt.passes import configured_request
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.body_secrets import credentials_in
from wiremend.clients import client_of
from wiremend.engine.call import AcknowledgedCall, Call, PassingCall, Target
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.error_responses import refused_key_response
from wiremend.engine.machine import Machine
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import (
    Feature,
    Heartbeat,
    Knowledge,
    Settings,
    TargetFacts,
    Timeouts,
    changed,
)
from wiremend.engine.translation.answers import TargetTranslation
from wiremend.engine.translation.planning import with_translations
from wiremend.engine.unrepaired.fire_and_forget import Acknowledgement
from wiremend.engine.unrepaired.passing import PassingMachine
from wiremend.engine.unrepaired.reporting import ReportingMachine
from wiremend.held_memory import CallMemory
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.protocols.base.protocol import RequestFacts
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.base.traits import FieldChanges, TargetTraits
from wiremend.protocols.registry import read_request
from wiremend.repair.leaked_calls import LEAKED_CALL
from wiremend.routing.access import key_refusal
from wiremend.routing.limits import NO_CHANGES
from wiremend.routing.match import Route, match_model
from wiremend.routing.model_name import MODEL_ROUTED, requested_model, rewrite_model
from wiremend.routing.provider_keys import conversation_of
from wiremend.routing.providers import PROVIDER_ROUTED, ProviderAddress, uses_key
from wiremend.routing.shape import CallShape, ends_in_tool_result
from wiremend.routing.translation import RoutedRequest, route
from wiremend.rules.rule import BodyPlace, CallPlace, Finding, Notes
from wiremend.translate.returned_state import has_envelopes, without_envelopes
from wiremend.value_class import copier, value_class

ONE_ATTEMPT = RetryPolicy(attempts=1)
CONCERNS_ANY_CALL = frozenset(Feature) - {Feature.ACKNOWLEDGE, Feature.ROUTE}
"""Features that concern every call. A route concerns the calls that it changes."""


@value_class
class Planning:
    """The input of each step: the received request, and the configuration that applies to it."""

    received: OutgoingRequest
    """The unchanged request; its provider is the server that it would be sent to."""
    facts: RequestFacts
    features: Set[Feature]
    settings: Settings
    knowledge: Knowledge

    def has(self, feature: Feature) -> bool:
        """Return whether an addon requests this feature."""
        return feature in self.features

    def is_on(self, code: str) -> bool:
        """Return whether the rule with this code is enabled."""
        return code not in self.settings.disabled


type Step = Callable[[Call, Planning], Call]

_changed = copier(Call)
_changed_context = copier(StreamContext)


def plan_call(
    received: OutgoingRequest, features: Set[Feature], settings: Settings, knowledge: Knowledge
) -> Call | None:
    """Plan a model call that is about to go upstream. Returns None if no feature applies to it.

    `received` is the unchanged request. Its `provider` is the name of the server that it would be
    sent to; its `model` is not used.
    """
    if not features & (CONCERNS_ANY_CALL | {Feature.ROUTE}):
        return None
    facts = read_request(received.document)
    received = received.for_model(facts.model)
    planning = Planning(received, facts, features, settings, knowledge)
    call = _set_up(planning, Call)
    for step in STEPS:
        call = step(call, planning)
        if call.refusal is not None:
            return call
    if not features & CONCERNS_ANY_CALL and call.requests == (received,):
        return None
    return call


def plan_passing(received: OutgoingRequest, settings: Settings) -> PassingCall:
    """Plan a model call that passes unchanged; `received` as in `plan_call`."""
    facts = read_request(received.document)
    received = received.for_model(facts.model)
    planning = Planning(received, facts, frozenset(), settings, Knowledge())
    return _set_up(planning, PassingCall)


def plan_acknowledgement(
    method: str, path: str, host: str, features: Set[Feature], settings: Settings
) -> AcknowledgedCall | None:
    """Plan the acknowledgement of a request to `host`; None if it is not fire-and-forget."""
    is_match = settings.fire_and_forget.matches(method, path)
    if Feature.ACKNOWLEDGE not in features or not is_match:
        return None
    return AcknowledgedCall(host, settings.ack_after_seconds, settings.timeouts.answer)


def make_machine(
    call: Call | AcknowledgedCall,
    *,
    random: Callable[[], float],
    wall_clock: Callable[[], float],
    memory: CallMemory | None = None,
) -> Machine:
    """Return the machine that carries out a call.

    `random` returns numbers from 0 to below 1, `wall_clock` seconds since the epoch. `memory` is
    what the call may hold, by default anything.
    """
    if isinstance(call, AcknowledgedCall):
        return Acknowledgement(
            host=call.host,
            ack_after_seconds=call.ack_after_seconds,
            limit_seconds=call.limit_seconds,
        )
    if isinstance(call, PassingCall):
        return ReportingMachine(call, memory) if call.observed else PassingMachine(call)
    return CallMachine(call, random=random, wall_clock=wall_clock, memory=memory)


def _set_up[C: Call](planning: Planning, kind: type[C]) -> C:
    """Return the call with the client's request, and with how its response is processed.

    Without any feature it is one attempt with unchanged bytes.
    """
    received, facts, settings = planning.received, planning.facts, planning.settings
    protocol = received.document.protocol
    repairs, retries = planning.has(Feature.REPAIR), planning.has(Feature.RETRY)
    return kind(
        protocol=protocol,
        targets=(Target(received.provider, facts.model),),
        streaming=facts.streaming,
        is_kind_known=facts.streaming or _asks_for_json(planning),
        requests=(received,),
        context=StreamContext(
            client=client_of(received.headers),
            model=facts.model,
            tool_names=facts.tool_names,
            disabled=settings.disabled if repairs else settings.disabled | settings.stream_codes,
            array=facts.array,
            host_deviations=settings.deviations_at(protocol.name, received.host),
            forced_tool=facts.forced_tool,
            compacts=facts.compacts,
            is_compaction=facts.is_compaction,
            numeric_enums=facts.numeric_enums,
            in_wrapper=facts.in_wrapper,
        ),
        raise_errors=planning.has(Feature.RAISE),
        retry=settings.retry if retries else ONE_ATTEMPT,
        wants_answer=retries and _wants_answer(planning),
        timeouts=settings.timeouts if repairs or retries else Timeouts(),
        heartbeat=settings.heartbeat if repairs else Heartbeat(after=0.0),
    )


def _wants_answer(planning: Planning) -> bool:
    """Return whether a response without text or call is taken for a mistake."""
    offers_tools = bool(planning.facts.tool_names) and not planning.facts.is_compaction
    return offers_tools and not ends_in_tool_result(planning.received.document)


# The steps


def choose_targets(call: Call, planning: Planning) -> Call:
    """Choose the targets by the first entry of `[[models]]` that matches."""
    return _without_envelopes(_routed(call, planning), planning)


def _routed(call: Call, planning: Planning) -> Call:
    entry = _route_of(planning)
    if entry is None:
        return call
    if entry.sets_anything:
        call = replace(
            call,
            showing=entry.stream,
            changes=entry.changes,
            limits=entry.limits,
            disabled=entry.disabled,
        )
    disabled = planning.settings.disabled | entry.disabled
    providers, requested = planning.settings.providers, planning.facts.model
    if entry.model in (None, requested) and not (entry.provider or entry.fallback):
        return call
    if uses_key(entry.provider, entry.fallback, providers):
        reason = key_refusal(planning.received.headers, planning.settings.origins)
        if reason is not None:
            refusal = refused_key_response(call.protocol, reason)
            return replace(call, refusal=refusal, refusal_reason=reason)
    routed = route(
        planning.received,
        model=entry.model or requested,
        provider=entry.provider,
        fallback=entry.fallback,
        providers=providers,
        disabled=disabled,
        traits=planning.settings.translation_traits,
    )
    received, facts = planning.received.document, planning.facts
    call = with_translations(call, received, facts, routed, disabled)
    if call.refusal is not None:
        return call
    return _changed(
        call,
        requests=tuple(it.request for it in routed if not it.is_refused),
        context=_changed_context(
            call.context,
            shown_model=requested,
            model=requested,
            host_deviations=frozenset(),
        ),
        findings=(
            *call.findings,
            *_route_findings(entry, planning),
            *_withheld_findings(routed, planning),
        ),
    )


def _without_envelopes(call: Call, planning: Planning) -> Call:
    """Remove the state of translated providers from requests that are not translated.

    Whether a provider is configured that translates does not matter: a session may be older than
    the configuration.
    """
    if not has_envelopes(planning.received.document):
        return call
    requests, findings = [], list(call.findings)
    for number, request in enumerate(call.requests):
        off = _disabled_at(_facts_of(request, planning), call)
        notes = Notes(planning.settings.disabled | off)
        if _translation_at(call, number) is None:
            document = without_envelopes(request.document, notes)
            request = replace(request, document=document)
        requests.append(request)
        findings += notes.findings if number == 0 else ()
    return replace(call, requests=tuple(requests), findings=tuple(findings))


def request_identity(call: Call, planning: Planning) -> Call:
    """Replace the value of `accept-encoding` by `identity`, for every target.

    A request without this header is not changed: servers then send no coding.
    """
    if not planning.has(Feature.REPAIR):
        return call
    requests = tuple(map(_with_identity, call.requests))
    is_same = all(map(operator.is_, requests, call.requests))
    return call if is_same else _changed(call, requests=requests)


def adapt_requests(call: Call, planning: Planning) -> Call:
    """Change each request so that its target accepts it, and complete the targets."""
    if not planning.has(Feature.ADAPT):
        call = _with_configured_requests(call, planning)
        return _with_keys(replace(call, targets=_targets(call, planning)), planning)
    settings, lessons = planning.settings, planning.knowledge.lessons
    lessons.configure(settings.lessons)
    adapted = AdaptedRequests(
        lessons, settings.disabled, settings.amendments, planning.knowledge.sessions
    )
    for request in call.requests:
        facts = _facts_of(request, planning)
        traits = _with_configured_fields(facts.traits, facts.provider, call.changes)
        keys = facts.provider.api_keys if facts.provider else ()
        adapted.add(request, traits, keys, _disabled_at(facts, call))
    findings = (*call.findings, *adapted.at(0).findings)
    targets = _targets(call, planning)
    call = _changed(call, adapted=adapted, findings=findings, targets=targets)
    return _with_keys(call, planning)


def _with_configured_requests(call: Call, planning: Planning) -> Call:
    """Return the call with nothing adapted but the fields that the configuration names."""
    if not planning.has(Feature.ROUTE):
        return call
    settings, findings, requests = planning.settings, list(call.findings), []
    for request in call.requests:
        facts = _facts_of(request, planning)
        traits = _with_configured_fields(TargetTraits(), facts.provider, call.changes)
        disabled = settings.disabled | _disabled_at(facts, call)
        changed = configured_request(request, traits, disabled=disabled)
        requests.append(changed.request)
        findings += changed.findings
    return replace(call, requests=tuple(requests), findings=tuple(findings))


def _with_configured_fields(
    traits: TargetTraits, provider: ProviderAddress | None, of_route: FieldChanges
) -> TargetTraits:
    """Return the traits with what the configuration says about fields: the route's last."""
    if provider is None:
        return replace(traits, changes=(of_route,)) if of_route else traits
    changes = tuple(filter(None, (provider.changes, of_route)))
    if not changes and provider.drops_refused == traits.drops_refused:
        return traits
    return replace(traits, changes=changes, drops_refused=provider.drops_refused)


def _targets(call: Call, planning: Planning) -> tuple[Target, ...]:
    """Return the targets of these requests, in the same order.

    Each has its health, its limits, and how it writes calls as text.
    """
    looks_for_calls = bool(call.context.tool_names) and (
        LEAKED_CALL.code not in call.context.disabled
    )
    return tuple(
        [
            _target(number, request, call, planning, looks_for_calls=looks_for_calls)
            for number, request in enumerate(call.requests)
        ]
    )


def _target(
    number: int,
    request: OutgoingRequest,
    call: Call,
    planning: Planning,
    *,
    looks_for_calls: bool,
) -> Target:
    limits, retry, timeouts = planning.settings.health, None, None
    facts = _facts_of(request, planning)
    provider, off = facts.provider, _disabled_at(facts, call)
    for changes in (provider.limits if provider is not None else NO_CHANGES, call.limits):
        if changes is not NO_CHANGES:
            limits = changed(limits, changes)
            retry = changed(retry or call.retry, changes)
            timeouts = changed(timeouts or call.timeouts, changes)
    retries = planning.has(Feature.RETRY)
    health = planning.knowledge.health
    return Target(
        request.provider,
        request.model,
        health.of(request.identity, request.model, limits) if retries else None,
        facts.leaked_formats if looks_for_calls else (),
        _translation_for(call, number, off),
        disabled=off,
        retry=retry if retries else None,
        timeouts=timeouts if retries or planning.has(Feature.REPAIR) else None,
    )


def _with_keys(call: Call, planning: Planning) -> Call:
    """Return the call with the keys of those targets whose providers have several."""
    keys, providers = planning.knowledge.keys, planning.settings.providers
    if not providers:
        return call
    keys.configure(providers)
    if not any(request.is_configured and keys.has(request.provider) for request in call.requests):
        return call
    conversation = conversation_of(planning.received)
    targets = [
        replace(target, keys=keys.of(request.provider, conversation))
        if request.is_configured
        else target
        for target, request in zip(call.targets, call.requests, strict=True)
    ]
    return replace(call, targets=tuple(targets))


STEPS: tuple[Step, ...] = (
    choose_targets,
    request_identity,
    adapt_requests,
)
"""The order of planning. Targets are chosen before requests are adapted to them; the headers of
every target's request are final before it is adapted."""


def _translation_at(call: Call, number: int) -> TargetTranslation | None:
    """Return how answers to a request are translated. Only then are its targets known earlier."""
    return call.targets[number].translation if number < len(call.targets) else None


def _facts_of(request: OutgoingRequest, planning: Planning) -> TargetFacts:
    return planning.settings.facts_of(
        request.document.protocol.name, request.provider, request.host, request.model
    )


def _translation_for(call: Call, number: int, off: frozenset[str]) -> TargetTranslation | None:
    """Return the translation with the rules that are disabled for the target, too."""
    translation = _translation_at(call, number)
    if translation is None or not off:
        return translation
    context = translation.context
    return replace(translation, context=replace(context, disabled=context.disabled | off))


def _disabled_at(facts: TargetFacts, call: Call) -> frozenset[str]:
    """Return the codes that the entry of `[[models]]` and the provider of a target disable."""
    configured = facts.provider
    return call.disabled if configured is None else call.disabled | configured.disabled


def _asks_for_json(planning: Planning) -> bool:
    """Return whether a request certainly asks for JSON.

    It does not if its body cannot be read, if `stream` is a value that only some servers take for
    true, or if Gemini's query asks for events.
    """
    document = planning.received.document
    if document.protocol.model_in_path is not None:
        return "alt=sse" not in document.path
    return planning.facts.valid and not (document.fields or {}).get("stream")


def _route_of(planning: Planning) -> Route | None:
    if not planning.settings.routes:
        return None
    if not planning.has(Feature.ROUTE) or not planning.is_on(MODEL_ROUTED.code):
        return None
    document, streaming = planning.received.document, planning.facts.streaming
    model = requested_model(document)
    if not model:
        return None
    return match_model(
        model, planning.settings.routes, lambda: CallShape(document, streaming=streaming)
    )


def _route_findings(entry: Route, planning: Planning) -> list[Finding]:
    requested, notes = planning.facts.model, Notes(planning.settings.disabled)
    rewrite_model(planning.received.document, entry.model or requested, notes)
    if entry.provider:
        found = f"{requested!r}, sent to {planning.received.provider}"
        done = f"sent to {entry.provider} instead, with its key"
        notes.note(PROVIDER_ROUTED, CallPlace.REQUEST, found, done)
    return notes.findings


def _withheld_findings(routed: Sequence[RoutedRequest], planning: Planning) -> list[Finding]:
    """Return a finding for each credential in the body that other providers do not receive."""
    received, notes = planning.received, Notes(planning.settings.disabled)
    if any(it.request.host != received.host for it in routed):
        for credential in credentials_in(received.document.fields):
            done = "not sent to another provider than the client's"
            notes.note(PROVIDER_ROUTED, BodyPlace(credential.path), credential.what, done)
    return notes.findings


def _with_identity(request: OutgoingRequest) -> OutgoingRequest:
    for name, value in request.headers:
        if value != "identity" and name.lower() == "accept-encoding":
            break
    else:
        return request
    headers = tuple(
        [
            (name, "identity" if name.lower() == "accept-encoding" else value)
            for name, value in request.headers
        ]
    )
    return request.with_document(request.document.with_headers(headers))
