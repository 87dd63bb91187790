"""Removes keys, tokens and cookies from what is shown, logged and saved, not from traffic."""

import time
from collections.abc import Callable

from load_configuration import Shell, Suite, suite_of
from mitmproxy import ctx, http
from wiremend.protocols.base.document import RequestBody
from wiremend.rules.containment import Fault, contain
from wiremend.seam.addon_hooks import log_fault
from wiremend.seam.call_options import CallOptions
from wiremend.seam.flows import drop_content, is_dropped, mark_dropped, name_of
from wiremend.views.redaction import FlowSecrets, SecretNames


class RedactSecrets(Shell):
    """Runs before mitmproxy's addons that print, save and export flows."""

    name = "wiremend.redact_secrets"
    drops_after_fault = frozenset({"response", "error"})

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.live: dict[str, http.HTTPFlow] = {}
        self.fault_log = suite.knowledge.fault_log
        self.secrets: dict[str, FlowSecrets] = {}
        """Those of each live flow. Each provider that it is addressed to adds its own."""
        self.secret_names = SecretNames()

    def request(self, flow: http.HTTPFlow) -> None:
        """Register a flow, which is saved even if it is still live when the proxy ends."""
        self.live[flow.id] = flow

    def wiremend_call(self, options: CallOptions) -> None:
        """Redact the flow and the record of a call from the start."""
        contain("concealing", self._keep_nothing_of(options), self._conceal_call, options)

    def _conceal_call(self, options: CallOptions) -> None:
        options.conceal = self._conceal_request
        secrets = self._secrets(options.flow, options.content)
        options.mask = secrets.mask

    def _keep_nothing_of(self, options: CallOptions) -> Callable[[Fault], None]:
        def keep_nothing(fault: Fault) -> None:
            self._log(fault, options.flow)
            mark_dropped(options.flow)  # its request is still to be sent
            options.conceal = drop_content

        return keep_nothing

    def response(self, flow: http.HTTPFlow) -> None:
        """Redact a complete flow; its request has been sent."""
        self._conceal(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Redact a flow that failed or was cancelled."""
        self._conceal(flow)

    def done(self) -> None:
        """Redact flows that are live when the proxy ends, before mitmproxy saves them."""
        if ctx.master.should_exit.is_set():
            for flow in list(self.live.values()):
                self._conceal(flow)

    def _conceal_request(self, flow: http.HTTPFlow) -> None:
        self._secrets(flow).conceal_request(flow)

    def _conceal(self, flow: http.HTTPFlow) -> None:
        def drop(fault: Fault) -> None:
            self._log(fault, flow)
            drop_content(flow)

        if is_dropped(flow):
            drop_content(flow)
        else:
            contain("concealing", drop, self._conceal_whole, flow)
        self.live.pop(flow.id, None)
        self.secrets.pop(flow.id, None)

    def _conceal_whole(self, flow: http.HTTPFlow) -> None:
        self._secrets(flow).conceal(flow)

    def _log(self, fault: Fault, flow: http.HTTPFlow) -> None:
        call = contain("naming a call", lambda _: "a call", name_of, flow)
        line = self.fault_log.line(fault, call, "its flow is not kept", time.monotonic())
        log_fault(line, fault.trace)

    def _secrets(self, flow: http.HTTPFlow, content: RequestBody | None = None) -> FlowSecrets:
        secrets = self.secrets.get(flow.id)
        if secrets is None:  # the body is the client's: later it is redacted
            secrets = self.secrets[flow.id] = FlowSecrets(flow, content, self.secret_names)
        secrets.read(flow)
        secrets.add(self.current.secrets)
        return secrets


addons = suite_of(RedactSecrets)
