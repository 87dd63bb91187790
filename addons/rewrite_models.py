"""Request: another model than the one asked for, where `[[models]]` says so."""

from load_configuration import suite_of
from mitmproxy import http
from wiremend.calls import recognise
from wiremend.config.current import CurrentConfig
from wiremend.rules.models import MODEL_ROUTED, match_model, requested_model, rewrite_model
from wiremend.views.flow_notes import note_request_findings, notes_of


class RewriteModels:
    """Edits the bytes of the model's name and nothing else."""

    name = "wiremend.rewrite_models"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current

    def request(self, flow: http.HTTPFlow) -> None:
        """Put the routed model's name in the body, or in Gemini's URL."""
        request, config = flow.request, self.current.config
        if flow.response or flow.error or not config.models:
            return
        if MODEL_ROUTED.code in self.current.disabled:
            return
        protocol = recognise(request.method, request.path, request.headers.get("content-type", ""))
        body = request.get_content(strict=False) or b""
        model = requested_model(protocol, request.path, body) if protocol else None
        route = match_model(model, config.models) if model else None
        if protocol is None or model is None or route is None or route.model in (None, "", model):
            return
        rewritten = rewrite_model(protocol, request.path, body, route.model)
        request.path = rewritten.path
        if rewritten.body is not body:
            request.content = rewritten.body
        note_request_findings(flow, rewritten.findings)
        if rewritten.findings:
            notes_of(flow)["shown_model"] = model


addons = suite_of(RewriteModels)
