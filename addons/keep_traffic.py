"""Keeps both sides of each call in its flow, where flows are shown or saved."""

from load_configuration import Shell, Suite, suite_of
from mitmproxy import ctx
from mitmproxy.addonmanager import Loader
from wiremend.call_record.kept_traffic import TrafficStore
from wiremend.seam.call_options import CallOptions

_OPTION = "wiremend_keep"


class KeepTraffic(Shell):
    """Costs nothing where nobody looks: in mitmdump without `-w`."""

    name = "wiremend.keep_traffic"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.store = TrafficStore()

    def load(self, loader: Loader) -> None:
        """Declare the option."""
        loader.add_option(
            _OPTION,
            str,
            "auto",
            "Keep what client and provider sent, attempt by attempt, in the metadata of flows: "
            "auto (in mitmweb and mitmproxy, and with -w), always, never.",
            choices=("auto", "always", "never"),
        )

    def wiremend_call(self, options: CallOptions) -> None:
        """Keep the traffic of a call if somebody looks at it."""
        keep = ctx.options.wiremend_keep
        if keep == "always" or (keep == "auto" and self._is_looked_at()):
            options.traffic = self.store

    def done(self) -> None:
        """Write what is kept of running calls: mitmproxy saves their flows when it ends."""
        self.store.write_running()

    def _is_looked_at(self) -> bool:
        return bool(ctx.options.save_stream_file) or ctx.master.addons.get("view") is not None


addons = suite_of(KeepTraffic)
