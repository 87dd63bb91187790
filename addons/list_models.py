"""Response: a list of models that also contains the names routed by `[[models]]`."""

from load_configuration import Shell, suite_of
from mitmproxy import http
from wiremend.engine.unrepaired.reporting import as_reported
from wiremend.routing.model_lists import (
    ROUTED_NAMES_LISTED,
    RoutedName,
    extend_model_list,
    is_literal,
    is_model_list,
)
from wiremend.rules.rule import Notes
from wiremend.seam.flow_record import record_findings
from wiremend.seam.flows import body_of, replace_content


class ListModels(Shell):
    """Adds routed names to model lists, so that clients offer them for selection."""

    name = "wiremend.list_models"

    def response(self, flow: http.HTTPFlow) -> None:
        """Append the names to the list. Errors and other bodies are not changed."""
        request, response = flow.request, flow.response
        if flow.error or response is None or response.status_code != 200 or response.stream:
            return
        routed = [] if self.current.is_off else self._routed()
        if not routed or not is_model_list(request.method, request.path):
            return
        if not self.current.intercepted.matches(request.pretty_host):
            return
        body = body_of(response)
        notes = Notes(self.current.settings.disabled)
        extended = extend_model_list(body, routed, notes) if body else None
        if extended is None or not notes.findings:
            return
        if self.current.settings.reports_only:
            findings = list(map(as_reported, notes.findings))
            record_findings(flow, response=findings, reports_only=True)
        else:
            replace_content(response, extended)
            record_findings(flow, response=notes.findings)

    def _routed(self) -> list[RoutedName]:
        if ROUTED_NAMES_LISTED.code in self.current.settings.disabled:
            return []
        return [
            RoutedName(entry.match, None if entry.provider else entry.model)
            for entry in self.current.settings.routes
            if is_literal(entry.match) and (entry.provider or entry.model)
        ]


addons = suite_of(ListModels)
