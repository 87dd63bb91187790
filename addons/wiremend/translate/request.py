"""A request, translated for a provider of another protocol."""

from collections.abc import Mapping, Set
from dataclasses import field
from types import MappingProxyType
from typing import Any

from wiremend.protocols.base.middle.conversation import Conversation
from wiremend.protocols.base.middle.interface import SentTool
from wiremend.protocols.base.middle.losses import Losses, LossKind, NotCarried
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import ProviderError, make_error
from wiremend.rules.rule import BodyPlace, Finding, Notes
from wiremend.translate.own_members import report_own
from wiremend.translate.rules import REFUSED, note_losses
from wiremend.translate.settle import settled
from wiremend.value_class import value_class


@value_class
class TranslatedRequest:
    """The request for the provider, or the reason why there is none."""

    path: str = ""
    """The path and query, without a prefix of the provider."""
    body: bytes = b""
    tools: Mapping[str, SentTool] = field(default_factory=lambda: MappingProxyType({}))
    """For the answer: `AnswerContext.tools`."""
    findings: tuple[Finding, ...] = ()
    refusal: ProviderError | None = None
    """Why the request cannot be translated: an error for the client, with status 400."""
    conversation: Conversation | None = None
    """The request as it was read."""
    asks_in_words: bool = False
    """For the answer: `AnswerContext.asks_in_words`."""
    think_tags: bool = False
    """For the answer: `AnswerContext.think_tags`."""


def translate_request(
    source: Protocol,
    path: str,
    body: Mapping[str, Any],
    provider: Protocol,
    target: Target,
    disabled: Set[str] = frozenset(),
) -> TranslatedRequest:
    """Translate a request of a client of `source` into the protocol of `provider`.

    `path` contains the query; `body` is the parsed JSON object and is not modified. Both protocols
    have a translation. The result depends on the arguments alone.
    """
    assert source.translation is not None
    assert provider.translation is not None
    notes = Notes(disabled)
    losses = Losses()
    conversation = source.translation.read_request(path, body)
    try:
        for need in conversation.needs:
            raise NotCarried(need.what, need.reason, need.path)
        report_own(conversation, losses)
        written = provider.translation.write_request(settled(conversation, losses), target, losses)
    except NotCarried as problem:
        notes.note(REFUSED, BodyPlace(problem.path), problem.what, "answered with status 400")
        error = _refusal(problem)
        findings = tuple(notes.findings)
        return TranslatedRequest(findings=findings, refusal=error, conversation=conversation)
    lost = losses.taken()
    note_losses(lost, notes)
    return TranslatedRequest(
        written.path,
        written.body,
        written.tools,
        tuple(notes.findings),
        conversation=conversation,
        asks_in_words=any(loss.kind is LossKind.FORMAT for loss in lost),
        think_tags=target.traits.think_tags,
    )


def _refusal(problem: NotCarried) -> ProviderError:
    code = ""
    if problem.what == "previous_response_id":
        code = "previous_response_not_found"
    return make_error(
        status=400,
        type="invalid_request_error",
        code=code,
        message=f"{problem.what} cannot be translated for this provider: {problem.reason}.",
    )
