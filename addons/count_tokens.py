"""Token counts: asked of whom the call itself would go to, or estimated where that fails."""

from dataclasses import replace

from load_configuration import suite_of
from mitmproxy import http
from wiremend.config.current import CurrentConfig
from wiremend.engine.error_responses import refused_key_response
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
from wiremend.seam.flows import address_request, answer, body_of, outgoing_of
from wiremend.views.flow_findings import note_refusal, note_request_findings


class CountTokens:
    """Counts go mitmproxy's own way: nobody waits for them, so they are not tried again."""

    name = "wiremend.count_tokens"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current
        self.routed: set[str] = set()

    def request(self, flow: http.HTTPFlow) -> None:
        """Send it where the model's streaming calls go; a count does not say what it is for."""
        request = flow.request
        protocol = recognise_count(request.method, request.path)
        if flow.response or flow.error or protocol is None:
            return
        body = body_of(request) or b""
        model = requested_model(protocol, request.path, body)
        if model is None or MODEL_ROUTED.code in self.current.disabled:
            return
        entry = match_model(
            model,
            self.current.config.models,
            lambda: shape_of(protocol, body, streaming=True),
        )
        if entry is None or not (entry.model or entry.provider):
            return
        if uses_key(entry.provider, (), self.current.providers):
            reason = self.current.key_refusal(request.headers.items(multi=True))
            if reason is not None:
                answer(flow, refused_key_response(protocol, reason))
                note_refusal(flow, reason)
                return
        asked = entry.model or model
        rewritten = rewrite_counted_model(protocol, request.path, body, asked)
        note_request_findings(flow, rewritten.findings)
        own = outgoing_of(request, request.pretty_host, asked)
        outgoing = replace(own, path=rewritten.path, body=rewritten.body)
        if entry.provider:
            outgoing = redirect(protocol, outgoing, self.current.providers[entry.provider])
        address_request(request, outgoing)
        self.routed.add(flow.id)

    def response(self, flow: http.HTTPFlow) -> None:
        """Answer in the provider's place if it has no such endpoint."""
        is_routed = flow.id in self.routed
        self.routed.discard(flow.id)
        response, request = flow.response, flow.request
        protocol = recognise_count(request.method, request.path)
        if not is_routed or protocol is None or response is None:
            return
        if COUNT_ESTIMATED.code in self.current.disabled:
            return
        if response.status_code in CANNOT_COUNT:
            answer, finding = estimated_answer(protocol, body_of(request) or b"")
            flow.response = http.Response.make(200, answer, {"content-type": "application/json"})
            note_request_findings(flow, [finding])

    def error(self, flow: http.HTTPFlow) -> None:
        """A count was given up."""
        self.routed.discard(flow.id)


addons = suite_of(CountTokens)
