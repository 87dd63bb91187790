"""The targets of a call, each with the request for it, translated where its protocol differs.

A translated request has none of the client's headers but those that describe the message: the
others, such as `anthropic-beta`, belong to the client's protocol.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace

from wiremend.protocols.base.document import Headers, OutgoingRequest, RequestDocument
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.middle.target import Target, TranslationTraits
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.chat.history import REASONING_MISSING, REASONING_NOT_PASSED_BACK
from wiremend.protocols.registry import PROTOCOLS
from wiremend.routing.model_name import rewrite_model
from wiremend.routing.provider_keys import conversation_of
from wiremend.routing.providers import ProviderAddress, destinations, redirect
from wiremend.rules.rule import Notes
from wiremend.targets.registry import session_header_at, traits_of, translation_traits
from wiremend.translate.answer import Direction
from wiremend.translate.request import TranslatedRequest, translate_request
from wiremend.value_class import value_class

_KEPT_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "user-agent",
    }
)
_ADDED_HEADERS: Mapping[WireProtocol, Headers] = {
    WireProtocol.ANTHROPIC_MESSAGES: (("anthropic-version", "2023-06-01"),),
}
_SESSION_BYTES = 16
_REASONING_CODES = frozenset({REASONING_MISSING.code, REASONING_NOT_PASSED_BACK.code})

_NO_OBJECT = make_error(
    status=400,
    type="invalid_request_error",
    message="The request cannot be translated for this provider: its body is not a JSON object.",
)


type TraitsOf = Callable[[WireProtocol, ProviderAddress, str], TranslationTraits]


@value_class
class RoutedRequest:
    """The request for one target."""

    request: OutgoingRequest
    direction: Direction | None = None
    """The two protocols of a translated request; None for one in the client's protocol."""
    translated: TranslatedRequest | None = None
    """The result of the translation, which may be a refusal: `request` is then the client's."""

    @property
    def is_refused(self) -> bool:
        """Whether this target cannot be sent the request."""
        return self.translated is not None and self.translated.refusal is not None


def route(
    request: OutgoingRequest,
    *,
    model: str,
    provider: str | None,
    fallback: Sequence[str],
    providers: Mapping[str, ProviderAddress],
    disabled: Set[str] = frozenset(),
    traits: TraitsOf | None = None,
) -> list[RoutedRequest]:
    """Return the requests for all targets of a call, in the order in which they are tried.

    `request` is the client's; `disabled` contains the codes of disabled rules; `traits` may
    remember what `translation_traits_of` returns. See `destinations` for the other arguments.
    """
    routed = []
    for provider_name, model_name in destinations(model, provider, fallback, providers):
        document = rewrite_model(request.document, model_name, Notes())
        outgoing = request.with_document(document).for_model(model_name)
        if provider_name is None:
            routed.append(RoutedRequest(outgoing))
            continue
        address = providers[provider_name]
        spoken = address.protocol_for(model_name)
        if spoken is None or spoken is document.protocol.name:
            target = RoutedRequest(redirect(outgoing, address))
        else:
            off = disabled | address.disabled
            known = (traits or translation_traits_of)(spoken, address, model_name)
            target = _translated(outgoing, address, PROTOCOLS[spoken], known, off)
        routed.append(_with_session(target, request, address))
    return routed


def _with_session(
    routed: RoutedRequest, received: OutgoingRequest, address: ProviderAddress
) -> RoutedRequest:
    """Return the request with the id of the session in the header that the provider requires.

    It is the client's, or one that is derived from the conversation, and therefore the same in each
    turn. One that the configuration sets is kept.
    """
    name = session_header_at(address.facts_host)
    document = routed.request.document
    if not name or routed.is_refused or name in {key.lower() for key, _ in document.headers}:
        return routed
    session = next((value for key, value in received.headers if key.lower() == name), "")
    session = session or conversation_of(received)[:_SESSION_BYTES].hex()
    if not session:
        return routed
    document = replace(document, headers=(*document.headers, (name, session)))
    return replace(routed, request=replace(routed.request, document=document))


def _translated(
    request: OutgoingRequest,
    address: ProviderAddress,
    protocol: Protocol,
    traits: TranslationTraits,
    disabled: Set[str],
) -> RoutedRequest:
    document = request.document
    direction = Direction(protocol, document.protocol)
    if document.fields is None:
        return RoutedRequest(request, direction, TranslatedRequest(refusal=_NO_OBJECT))

    target = Target(
        origin=Origin(protocol.name, address.host, request.model),
        traits=traits,
    )
    translated = translate_request(
        document.protocol, document.path, document.fields, protocol, target, disabled
    )
    if translated.refusal is not None:
        return RoutedRequest(request, direction, translated)
    headers = _headers(document.headers, protocol.name)
    sent = RequestDocument.of(protocol, translated.path, translated.body, headers)
    return RoutedRequest(redirect(request.with_document(sent), address), direction, translated)


def _headers(received: Headers, protocol: WireProtocol) -> Headers:
    kept = tuple((name, value) for name, value in received if name.lower() in _KEPT_HEADERS)
    return (*kept, *_ADDED_HEADERS.get(protocol, ()))


def translation_traits_of(
    protocol: WireProtocol, address: ProviderAddress, model: str
) -> TranslationTraits:
    """Return what is known of a target, as far as it concerns translation.

    The request is adapted to the target afterwards, which changes what is not known here.
    """
    known = translation_traits(protocol, address.facts_host, model)
    traits = traits_of(
        protocol,
        address.facts_host,
        model,
        dialect=address.schema_dialect,
        rules=address.message_rules,
        max_output_tokens=address.max_output_tokens,
    )
    messages = traits.messages
    wants_reasoning = "reasoning_content" if _REASONING_CODES & messages.rules else ""
    return replace(
        known,
        names=traits.names or known.names,
        max_output_tokens=messages.max_output_tokens,
        returned_reasoning=known.returned_reasoning or wants_reasoning,
    )
