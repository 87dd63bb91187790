"""Shown, logged, saved: without keys, tokens and cookies. What goes upstream keeps them."""

from functools import partial

from load_configuration import Shell, Suite, suite_of
from mitmproxy import ctx, http
from wiremend.seam.call_options import CallOptions
from wiremend.views.redaction import conceal, conceal_request, masked_record, secrets_of


class RedactSecrets(Shell):
    """Comes before mitmproxy's own addons that print, save and export flows."""

    name = "wiremend.redact_secrets"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.live: dict[str, http.HTTPFlow] = {}
        self.secrets: dict[str, set[str]] = {}
        """The secrets of each live flow; they grow as it is addressed to further providers."""

    def request(self, flow: http.HTTPFlow) -> None:
        """A flow begins; it may still be live when the proxy ends, and is saved then."""
        self.live[flow.id] = flow

    def wiremend_call(self, options: CallOptions) -> None:
        """A call is shown and recorded without its secrets from the start."""
        options.conceal = self._conceal_request
        options.mask = partial(masked_record, values=self._secrets(options.flow))

    def response(self, flow: http.HTTPFlow) -> None:
        """A flow is complete, its request long sent."""
        self._conceal(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """A flow was given up or cancelled."""
        self._conceal(flow)

    def done(self) -> None:
        """At the proxy's end, before mitmproxy saves what is still live."""
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
        known = self.secrets.setdefault(flow.id, set())
        known |= secrets_of(flow) | self.current.secrets
        return known


addons = suite_of(RedactSecrets)
