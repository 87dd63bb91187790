"""A request's messages and parameters as its target wants them: the rules in their order.

Each rule looks at what the one before it left. A request that needs nothing is parsed once and
returned as the same bytes; one that does is edited by spans, rule by rule.
"""

from collections.abc import Set
from dataclasses import dataclass, field

from wiremend.protocols.base.document import RequestMending
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.traits import MessageTraits
from wiremend.rules.rule import Finding
from wiremend.text.json_edits import Edits, parse


@dataclass(slots=True)
class MendedRequest:
    """What a request body became; the same object where nothing changed."""

    body: bytes
    findings: list[Finding] = field(default_factory=list)


def mend_messages(
    protocol: Protocol, body: bytes, traits: MessageTraits, *, disabled: Set[str] = frozenset()
) -> MendedRequest:
    """The request as a target with these traits wants it; untouched if it is no JSON object.

    `disabled` holds codes of rules that are off whatever the traits say.
    """
    mended = MendedRequest(body)
    on = traits.rules - disabled
    mends = [mend for rule, mend in protocol.history_passes if rule.code in on]
    if not mends:
        return mended
    try:
        request = parse(body)
    except ValueError:
        return mended
    if not isinstance(request, dict):
        return mended
    for mend in mends:
        mending = RequestMending(Edits(mended.body))
        mend(mending, request, traits)
        mended.findings += mending.findings
        changed = mending.edits.apply()
        if changed is not mended.body:
            mended.body = changed
            request = parse(changed)
    return mended
