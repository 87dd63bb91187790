"""Calls that a user sends again: mitmproxy's replay, with what the flow does not show."""

from mitmproxy import http

from wiremend.engine.actions import Respond
from wiremend.engine.call import AcknowledgedCall, Call
from wiremend.engine.error_responses import missing_key_response
from wiremend.protocols.base.protocol import Protocol
from wiremend.secrets import redacted_credentials


def missing_keys(request: http.Request, call: Call | AcknowledgedCall | None) -> tuple[str, ...]:
    """Return the names of credentials that were redacted in what would be sent upstream.

    A call that is routed to a configured provider has that provider's key, whatever its client
    sent.
    """
    if isinstance(call, Call):
        outgoing = call.request_for(0)
        return redacted_credentials(outgoing.headers, outgoing.path)
    return redacted_credentials(request.headers.items(multi=True), request.path)


def missing_key_refusal(protocol: Protocol | None, names: tuple[str, ...]) -> tuple[Respond, str]:
    """Return the response to a call that lacks these credentials, and the reason as a sentence."""
    reason = (
        f"Its key is not in memory ({', '.join(names)}): the flow was loaded from a file, or is "
        "too old. Put the key into that header with Edit, and replay it again. Revert brings "
        "back the first answer."
    )
    return missing_key_response(protocol, reason), reason
