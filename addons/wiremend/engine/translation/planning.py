"""Planning the translation of a call: which targets can be sent it, and how they are answered."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from wiremend.engine.actions import Head, Respond
from wiremend.engine.call import Call, Target
from wiremend.engine.error_responses import error_response
from wiremend.engine.translation.answers import TargetTranslation
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.middle.conversation import Conversation
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.protocol import RequestFacts
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.registry import read_request
from wiremend.routing.shape import CallShape
from wiremend.routing.translation import RoutedRequest
from wiremend.rules.rule import Finding
from wiremend.translate.answer import folded
from wiremend.translate.local_answers import unavailable_search, write_answer
from wiremend.value_class import copier

_changed = copier(Call)


def with_translations(
    call: Call,
    received: RequestDocument,
    facts: RequestFacts,
    routed: Sequence[RoutedRequest],
    disabled: frozenset[str],
) -> Call:
    """Return the call with the translations of its targets, without those that refuse it.

    `received` is the client's request, and `facts` are those of it; `disabled` contains the codes
    of disabled rules. If all targets refuse the call, it is answered with the reason of the first.
    """
    if all(target.translated is None for target in routed):
        return call
    kept = [target for target in routed if not target.is_refused]
    findings: list[Finding] = list(call.findings)
    for target in routed:
        if target.translated is not None and (target.is_refused or target is kept[0]):
            findings += target.translated.findings
    if not kept:
        first = routed[0].translated
        assert first is not None
        assert first.refusal is not None
        answer = _search_answer(call, received, facts, first.conversation) or error_response(
            call.protocol, first.refusal, host="wiremend", attempts=0, head=None
        )
        return replace(
            call,
            findings=tuple(findings),
            refusal=answer,
            refusal_reason=first.refusal.message,
        )
    targets = tuple(
        Target(
            it.request.provider,
            it.request.model,
            translation=_translation_of(it, received, facts, disabled),
        )
        for it in kept
    )
    # An answer can be translated only once it is known to be one, and not an error inside a 200.
    is_translated = any(target.translation is not None for target in targets)
    return _changed(
        call,
        findings=tuple(findings),
        targets=targets,
        raise_errors=call.raise_errors or is_translated,
    )


def _search_answer(
    call: Call,
    received: RequestDocument,
    facts: RequestFacts,
    conversation: Conversation | None,
) -> Respond | None:
    """Return the answer of a search that is unavailable; None for a request of another kind.

    Its id is derived from the request: planning has no random numbers.
    """
    events = None if conversation is None else unavailable_search(conversation)
    if events is None:
        return None
    answer_id = hashlib.sha256(received.body).hexdigest()[:24]
    context = AnswerContext(
        Origin(call.protocol.name), received.fields or {}, facts.model, answer_id
    )
    body, content_type = write_answer(call.protocol, events, context), b"text/event-stream"
    if not facts.streaming:
        whole = folded(call.protocol, Repaired(body, EventKind.TERMINAL))
        body, content_type = whole.data, b"application/json"
    length = b"%d" % len(body)
    return Respond(Head(200, ((b"content-type", content_type), (b"content-length", length))), body)


def _translation_of(
    routed: RoutedRequest,
    received: RequestDocument,
    facts: RequestFacts,
    disabled: frozenset[str],
) -> TargetTranslation | None:
    direction, translated, request = routed.direction, routed.translated, routed.request
    if direction is None or translated is None:
        return None
    sent = read_request(request.document)
    return TargetTranslation(
        direction=direction,
        context=StreamContext(
            model=request.model,
            tool_names=sent.tool_names,
            disabled=disabled,
            array=sent.array,
            forced_tool=sent.forced_tool,
            compacts=sent.compacts,
            is_compaction=sent.is_compaction,
            numeric_enums=sent.numeric_enums,
            in_wrapper=sent.in_wrapper,
        ),
        answer=AnswerContext(
            origin=Origin(direction.provider.name, request.host, request.model),
            request=received.fields or {},
            model=facts.model,
            input_tokens=CallShape(received, streaming=facts.streaming).input_tokens,
            tools=translated.tools,
            path=received.path,
            asks_in_words=translated.asks_in_words,
            think_tags=translated.think_tags,
        ),
        is_array=facts.array,
        findings=translated.findings,
    )
