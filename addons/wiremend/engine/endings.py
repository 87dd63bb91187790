"""How a failed call ends for its client: the form of the error, and its words.

The form depends on what the client has been sent (`Shown`):

    shown     form of the error
    -------   ----------------------------------------------------------------------------
    NOTHING   an HTTP error: the provider's own if it is readable, else in its envelope
    HEAD      the protocol's error event
    CONTENT   the protocol's error event; a body that is not understood is broken off, and a stream
              that lacks only its end is completed
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wiremend.adapt.rejection_recovery import TOOL_NAMED
from wiremend.call_record.outcomes import (
    ANSWERED,
    CUT,
    CallState,
    Outcome,
    http_error,
    stream_error,
)
from wiremend.engine.actions import CutResponse, FinishResponse, Head, Respond
from wiremend.engine.attempts import AttemptLog, describe_attempts
from wiremend.engine.call import Call
from wiremend.engine.client_response import Shown
from wiremend.engine.error_responses import (
    error_response,
    with_explained_message,
    with_some_message,
)
from wiremend.engine.fallback import TargetChoice, with_status_of_model
from wiremend.engine.response_reader import BodyMode, ResponseReading
from wiremend.engine.transport_errors import refused_error
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.rules.rule import Finding

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Ending:
    """The last bytes of a response, if any, and the action that ends it."""

    action: Respond | FinishResponse | CutResponse
    outcome: Outcome
    data: bytes = b""
    findings: Sequence[Finding] = ()

    @property
    def is_success(self) -> bool:
        """Return whether the client has a complete response without an error."""
        return self.outcome.state is CallState.ANSWERED


class Endings:
    """Writes the endings of one call. It changes nothing but the response's repair state."""

    def __init__(self, call: Call, choice: TargetChoice, log: AttemptLog) -> None:
        self._call = call
        self._choice = choice
        self._log = log

    def refusal(self) -> Ending:
        """Return the HTTP error for a call that every circuit breaker refused."""
        host, refused = self._choice.target.provider, self._choice.refused
        error = refused_error(
            host,
            refused.seconds if refused is not None else 0.0,
            refused.last_failure if refused is not None else None,
        )
        return _http_error(
            error_response(self._call.protocol, error, host=host, attempts=0, head=None)
        )

    def ending(self, error: ProviderError, shown: Shown, response: ResponseReading) -> Ending:
        """Return how a response ends in this error, in the form that the client can receive."""
        error = with_status_of_model(self._with_tries(error))
        if shown is Shown.NOTHING:
            return self._http_ending(error, response)
        if shown is Shown.HEAD:
            # Only keep-alives were sent: the events of the failed attempt were never seen.
            return self._stream_ending(error, response.fresh_repair().fail)
        if response.mode is BodyMode.UNTOUCHED:
            return Ending(CutResponse(error.message), CUT)
        return self._stream_ending(error, response.fail_stream)

    def completion(self, shown: Shown, response: ResponseReading) -> Ending | None:
        """Return how a stream is completed of which only the end is missing; None if more is."""
        if shown is not Shown.CONTENT or not (missing := response.missing_end()):
            return None
        data = b"".join(repaired.data for repaired in missing)
        response.count_tokens(data)
        findings = [finding for repaired in missing for finding in repaired.findings]
        return Ending(FinishResponse(), ANSWERED, data, findings)

    def _http_ending(self, error: ProviderError, response: ResponseReading) -> Ending:
        own = response.own_error()
        if own is not None and self._choice.number == 0:
            # After a fallback the client gets an account of every attempt instead.
            findings = response.take_label_findings()
            body = with_explained_message(
                own.body, lambda text: self._explain(text, findings, error)
            )
            head = response.whole_head(own.head, body)
            if error.status == _NOT_FOUND != head.status:
                head = Head(_NOT_FOUND, head.without((b"www-authenticate",)).fields)
            return _http_error(Respond(head, body), findings)
        error, findings = self._explained(error)
        if response.translation is not None:
            error = response.translation.error(error)
        answer = error_response(
            self._call.protocol,
            error,
            host=self._choice.target.provider,
            attempts=self._log.number,
            head=response.head,
        )
        return _http_error(answer, findings)

    def _stream_ending(
        self, error: ProviderError, fail: Callable[[ProviderError], bytes]
    ) -> Ending:
        error, findings = self._explained(error)
        host, attempts = self._choice.target.provider, self._log.number
        error = with_some_message(error, host=host, attempts=attempts)
        data = fail(error)
        action = FinishResponse() if data else CutResponse(error.message)
        return Ending(action, stream_error(error.status, is_own=error.is_own), data, findings)

    def _explained(self, error: ProviderError) -> tuple[ProviderError, list[Finding]]:
        findings: list[Finding] = []
        return error.with_message(self._explain(error.message, findings, error)), findings

    def _explain(self, message: str, findings: list[Finding], error: ProviderError) -> str:
        """Return the message, followed by the names of the tools it refers to by index."""
        if self._call.adapted is None:
            return message
        explained = self._call.adapted.explain(self._choice.number, message, error)
        if explained != message:
            findings.append(self._log.finding(TOOL_NAMED, message, "tools named"))
        return explained

    def _with_tries(self, error: ProviderError) -> ProviderError:
        """After a fallback, append all attempts to the message of the provider's own error."""
        if self._choice.number == 0:
            return error
        host, attempts = self._choice.target.provider, self._log.tries_here
        message = with_some_message(error, host=host, attempts=attempts).message
        return error.with_message(f"{message} {describe_attempts(self._log.records)}")


def _http_error(answer: Respond, findings: Sequence[Finding] = ()) -> Ending:
    return Ending(answer, http_error(answer.head.status), findings=findings)
