"""Removes keys, tokens and cookies from what is shown, logged and saved, not from traffic."""

from functools import partial

from load_configuration import Shell, Suite, suite_of
from mitmproxy import ctx, http
from wiremend.seam.call_options import CallOptions
from wiremend.views.redaction import conceal, conceal_request, masked_record, secrets_of


class RedactSecrets(Shell):
    """Runs before mitmproxy's addons that print, save and export flows."""

    name = "wiremend.redact_secrets"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.live: dict[str, http.HTTPFlow] = {}
        self.secrets: dict[str, set[str]] = {}
        """The secrets of each live flow. Each provider that it is addressed to adds its own."""

    def request(self, flow: http.HTTPFlow) -> None:
        """Register a flow, which is saved even if it is still live when the proxy ends."""
        self.live[flow.id] = flow

    def wiremend_call(self, options: CallOptions) -> None:
        """Redact the flow and the record of a call from the start."""
        options.conceal = self._conceal_request
        options.mask = partial(masked_record, values=self._secrets(options.flow))

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
        conceal_request(flow, self._secrets(flow))

    def _conceal(self, flow: http.HTTPFlow) -> None:
        conceal(flow, self._secrets(flow))
        self.live.pop(flow.id, None)
        self.secrets.pop(flow.id, None)

    def _secrets(self, flow: http.HTTPFlow) -> set[str]:
        secrets = self.secrets.setdefault(flow.id, set())
        secrets |= secrets_of(flow) | self.current.secrets
        return secrets


addons = suite_of(RedactSecrets)
