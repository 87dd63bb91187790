"""Request: another model, or another provider, where `[[models]]` says so."""

from collections.abc import Mapping

from load_configuration import suite_of
from mitmproxy import http
from wiremend.config.current import CurrentConfig
from wiremend.config.model import ModelRoute
from wiremend.engine.error_responses import refused_key_response
from wiremend.protocols.registry import read_request, recognise
from wiremend.routing.match import match_model
from wiremend.routing.model_name import MODEL_ROUTED, requested_model, rewrite_model
from wiremend.routing.providers import PROVIDER_ROUTED, ProviderAddress, route, uses_key
from wiremend.routing.shape import shape_of
from wiremend.rules.rule import CallPlace, Finding, Notes
from wiremend.seam.flows import (
    answer,
    document_of,
    forget_document,
    outgoing_of,
    replace_content,
)
from wiremend.seam.stream_layer import PlannedCall
from wiremend.views.flow_findings import note_refusal, note_request_findings, notes_of


class RewriteModels:
    """Edits the bytes of the model's name; addresses and credentials change together."""

    name = "wiremend.rewrite_models"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current
        self.chosen: dict[str, tuple[ModelRoute, Mapping[str, ProviderAddress]]] = {}

    def request(self, flow: http.HTTPFlow) -> None:
        """Choose the route, once; put its model's name in the body, or in Gemini's URL."""
        request = flow.request
        if flow.response or flow.error or MODEL_ROUTED.code in self.current.disabled:
            return
        protocol = recognise(request.method, request.path, request.headers.get("content-type", ""))
        document = document_of(request, protocol) if protocol else None
        model = requested_model(document) if document else None
        if document is None or not model:
            return
        entry = match_model(
            model,
            self.current.config.models,
            lambda: shape_of(document, streaming=read_request(document).streaming),
        )
        if entry is None:
            return
        if uses_key(entry.provider, entry.fallback, self.current.providers):
            reason = self.current.key_refusal(request.headers.items(multi=True))
            if reason is not None:
                answer(flow, refused_key_response(document.protocol, reason))
                note_refusal(flow, reason)
                return
        self.chosen[flow.id] = entry, self.current.providers
        if entry.model in (None, model):
            return
        notes = Notes(self.current.disabled)
        rewritten = rewrite_model(document, entry.model, notes)
        request.path = rewritten.path
        if rewritten.body is not document.body:
            replace_content(request, rewritten.body)
        note_request_findings(flow, notes.findings)
        if notes.findings:
            notes_of(flow)["shown_model"] = model

    def wiremend_call(self, planned: PlannedCall) -> None:
        """Say where the call may be sent, and when its content is shown."""
        plan, request = planned.plan, planned.flow.request
        if plan.protocol is None or plan.facts is None:
            return
        asked = plan.shown_model or plan.facts.model
        if planned.flow.id not in self.chosen:
            return
        entry, providers = self.chosen.pop(planned.flow.id)
        plan.showing = entry.stream
        if not (entry.provider or entry.fallback):
            return
        own = outgoing_of(request, plan.protocol, plan.host, plan.facts.model)
        if entry.provider:
            found = f"{asked!r}, sent to {plan.host}"
            done = f"sent to {entry.provider} instead, with its key"
            note_request_findings(
                planned.flow, [Finding(PROVIDER_ROUTED.code, CallPlace.REQUEST, found, done)]
            )
        plan.shown_model = asked
        plan.requests = tuple(
            route(
                own,
                model=entry.model or asked,
                provider=entry.provider,
                fallback=entry.fallback,
                providers=providers,
            )
        )

    def response(self, flow: http.HTTPFlow) -> None:
        """Somebody else answered before the call was planned."""
        self.chosen.pop(flow.id, None)
        forget_document(flow.request)

    def error(self, flow: http.HTTPFlow) -> None:
        """The call ended before it was planned."""
        self.chosen.pop(flow.id, None)
        forget_document(flow.request)


addons = suite_of(RewriteModels)
