"""Token counts: asked of whom the call itself would go to, or estimated where that fails."""

from dataclasses import replace

from load_configuration import Shell, Suite, suite_of
from mitmproxy import http
from wiremend.engine.error_responses import refused_key_response
from wiremend.protocols.base.document import RequestDocument
from wiremend.routing.access import key_refusal
from wiremend.routing.match import match_model
from wiremend.routing.model_name import MODEL_ROUTED, requested_model
from wiremend.routing.providers import redirect, uses_key
from wiremend.routing.shape import shape_of
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
    """Counts go mitmproxy's own way: nobody waits for them, so they are not tried again."""

    name = "wiremend.count_tokens"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.routed: dict[str, tuple[RequestDocument, list[Finding]]] = {}
        """By the flow's id: what was sent instead of the client's request, and why."""

    def request(self, flow: http.HTTPFlow) -> None:
        """Send it where the model's streaming calls go; a count does not say what it is for."""
        request = flow.request
        protocol = recognise_count(request.method, request.path)
        if flow.response or flow.error or protocol is None:
            return
        document = document_of(request, protocol)
        model = requested_model(document)
        if model is None or MODEL_ROUTED.code in self.current.settings.disabled:
            return
        entry = match_model(
            model,
            self.current.settings.routes,
            lambda: shape_of(document, streaming=True),
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
        asked = entry.model or model
        notes = Notes(self.current.settings.disabled)
        rewritten = rewrite_counted_model(document, asked, notes)
        record_findings(flow, protocol, request=notes.findings)
        own = outgoing_of(request, protocol, request.pretty_host, asked)
        outgoing = replace(own, document=rewritten)
        if entry.provider:
            outgoing = redirect(outgoing, self.current.settings.providers[entry.provider])
        address_request(request, outgoing)
        self.routed[flow.id] = (outgoing.document, notes.findings)

    def response(self, flow: http.HTTPFlow) -> None:
        """Answer in the provider's place if it has no such endpoint."""
        routed = self.routed.pop(flow.id, None)
        response = flow.response
        if (
            routed is None
            or response is None
            or COUNT_ESTIMATED.code in self.current.settings.disabled
        ):
            return
        if response.status_code in CANNOT_COUNT:
            document, findings = routed
            answer, finding = estimated_answer(document)
            flow.response = http.Response.make(200, answer, {"content-type": "application/json"})
            record_findings(flow, document.protocol, request=findings, response=[finding])

    def error(self, flow: http.HTTPFlow) -> None:
        """A count was given up."""
        self.routed.pop(flow.id, None)


addons = suite_of(CountTokens)
