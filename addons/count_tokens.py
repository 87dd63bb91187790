"""Token counts: requested from the provider that the call would be sent to, else estimated."""

from dataclasses import replace

from load_configuration import Shell, Suite, suite_of
from mitmproxy import http
from wiremend.engine.error_responses import refused_key_response
from wiremend.engine.unrepaired.reporting import as_reported
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.routing.access import key_refusal
from wiremend.routing.match import match_model
from wiremend.routing.model_name import MODEL_ROUTED, requested_model
from wiremend.routing.provider_keys import conversation_of
from wiremend.routing.providers import redirect, uses_key
from wiremend.routing.shape import CallShape
from wiremend.routing.token_counts import (
    CANNOT_COUNT,
    COUNT_ESTIMATED,
    estimated_answer,
    recognise_count,
    rewrite_counted_model,
)
from wiremend.rules.rule import Finding, Notes
from wiremend.seam.flow_record import record_findings, record_refusal
from wiremend.seam.flows import address_request, answer, document_of, outgoing_of
from wiremend.views.flow_findings import report_refusal


class CountTokens(Shell):
    """Leaves counts on mitmproxy's default path: they are not worth a retry."""

    name = "wiremend.count_tokens"
    refuses_after_fault = frozenset({"request"})

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.keys = suite.knowledge.keys
        self.routed: dict[str, tuple[RequestDocument, list[Finding]]] = {}
        """By flow id: the document that was sent instead of the client's, and the findings."""

    def request(self, flow: http.HTTPFlow) -> None:
        """Route a count as a streaming call; the request does not contain the kind of call."""
        request = flow.request
        protocol = recognise_count(request.method, request.path)
        if flow.response or flow.error or protocol is None or self.current.is_off:
            return
        document = document_of(request, protocol)
        model = requested_model(document)
        if model is None or MODEL_ROUTED.code in self.current.settings.disabled:
            return
        entry = match_model(
            model,
            self.current.settings.routes,
            lambda: CallShape(document, streaming=True),
        )
        if entry is None or not (entry.model or entry.provider):
            return
        if uses_key(entry.provider, (), self.current.settings.providers):
            reason = key_refusal(request.headers.items(multi=True), self.current.settings.origins)
            if reason is not None:
                answer(flow, refused_key_response(protocol, reason))
                record_refusal(flow, protocol, reason)
                report_refusal(flow, reason)
                return
        target_model = entry.model or model
        notes = Notes(self.current.settings.disabled)
        rewritten = rewrite_counted_model(document, target_model, notes)
        record_findings(flow, protocol, request=notes.findings)
        own = outgoing_of(request, protocol, target_model)
        outgoing = replace(own, document=rewritten)
        if entry.provider:
            provider = self.current.settings.providers[entry.provider]
            if provider.protocol_for(target_model) not in (None, protocol.name):
                self._estimate(flow, document, notes.findings)  # it counts in other requests
                return
            outgoing = self._with_key(redirect(outgoing, provider), own)
        address_request(request, outgoing)
        self.routed[flow.id] = (outgoing.document, notes.findings)

    def _with_key(self, request: OutgoingRequest, own: OutgoingRequest) -> OutgoingRequest:
        """Return the request with the key that calls of its conversation have.

        `own` is the client's request.
        """
        self.keys.configure(self.current.settings.providers)
        if not self.keys.has(request.provider):
            return request
        keys = self.keys.of(request.provider, conversation_of(own))
        return request if keys is None else keys.applied_to(request)

    def response(self, flow: http.HTTPFlow) -> None:
        """Replace the response of a provider that cannot count by an estimate."""
        routed = self.routed.pop(flow.id, None)
        response = flow.response
        if (
            routed is None
            or response is None
            or COUNT_ESTIMATED.code in self.current.settings.disabled
        ):
            return
        if response.status_code not in CANNOT_COUNT:
            return
        if self.current.settings.reports_only:
            document, findings = routed
            _, finding = estimated_answer(document)
            reported = [as_reported(finding)]
            record_findings(
                flow, document.protocol, request=findings, response=reported, reports_only=True
            )
        else:
            self._estimate(flow, *routed)

    def _estimate(
        self, flow: http.HTTPFlow, document: RequestDocument, findings: list[Finding]
    ) -> None:
        answer, finding = estimated_answer(document)
        flow.response = http.Response.make(200, answer, {"content-type": "application/json"})
        record_findings(flow, document.protocol, request=findings, response=[finding])

    def error(self, flow: http.HTTPFlow) -> None:
        """Drop the state of a count that failed."""
        self.routed.pop(flow.id, None)


addons = suite_of(CountTokens)
