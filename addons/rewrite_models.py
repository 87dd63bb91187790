"""Request: another model, or another provider, where `[[models]]` says so."""

from load_configuration import suite_of
from mitmproxy import http
from wiremend.calls import recognise
from wiremend.config import ModelRoute
from wiremend.config.current import CurrentConfig
from wiremend.engine.stream_layer import PlannedCall
from wiremend.rules.finding import Finding
from wiremend.rules.models import MODEL_ROUTED, match_model, requested_model, rewrite_model
from wiremend.rules.routing import PROVIDER_ROUTED, OutgoingRequest, route
from wiremend.views.flow_notes import note_request_findings, notes_of


class RewriteModels:
    """Edits the bytes of the model's name; addresses and credentials change together."""

    name = "wiremend.rewrite_models"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current

    def request(self, flow: http.HTTPFlow) -> None:
        """Put the routed model's name in the body, or in Gemini's URL."""
        request = flow.request
        if flow.response or flow.error:
            return
        protocol = recognise(request.method, request.path, request.headers.get("content-type", ""))
        body = request.get_content(strict=False) or b""
        model = requested_model(protocol, request.path, body) if protocol else None
        entry = self._entry_for(model)
        if protocol is None or model is None or entry is None or entry.model in (None, model):
            return
        rewritten = rewrite_model(protocol, request.path, body, entry.model)
        request.path = rewritten.path
        if rewritten.body is not body:
            request.content = rewritten.body
        note_request_findings(flow, rewritten.findings)
        if rewritten.findings:
            notes_of(flow)["shown_model"] = model

    def wiremend_call(self, planned: PlannedCall) -> None:
        """Say where the call may be sent, and when its content is shown."""
        plan, request = planned.plan, planned.flow.request
        if plan.protocol is None or plan.facts is None:
            return
        asked = plan.shown_model or plan.facts.model
        entry = self._entry_for(asked)
        if entry is None:
            return
        plan.showing = entry.stream
        if not (entry.provider or entry.fallback):
            return
        own = OutgoingRequest(
            provider=plan.host,
            model=plan.facts.model,
            scheme=request.scheme,
            host=request.host,
            port=request.port,
            path=request.path,
            headers=tuple(request.headers.items(multi=True)),
            body=request.get_content(strict=False) or b"",
        )
        if entry.provider:
            found = f"{asked!r}, sent to {plan.host}"
            done = f"sent to {entry.provider} instead, with its key"
            note_request_findings(
                planned.flow, [Finding(PROVIDER_ROUTED.code, "request", found, done)]
            )
        plan.shown_model = asked
        plan.requests = tuple(
            route(
                plan.protocol,
                own,
                model=entry.model or asked,
                provider=entry.provider,
                fallback=entry.fallback,
                providers=self.current.providers,
            )
        )

    def _entry_for(self, model: str | None) -> ModelRoute | None:
        if not model or MODEL_ROUTED.code in self.current.disabled:
            return None
        return match_model(model, self.current.config.models)


addons = suite_of(RewriteModels)
