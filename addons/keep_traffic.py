"""Keeps both sides of each call in its flow, where flows are shown or saved."""

import logging
from datetime import datetime
from pathlib import Path

from load_configuration import Shell, Suite, suite_of
from mitmproxy import ctx
from wiremend.call_record.kept_traffic import TrafficStore
from wiremend.config.suspicious import saved_file_warning
from wiremend.seam.call_options import CallOptions

logger = logging.getLogger("wiremend")


class KeepTraffic(Shell):
    """Keeps nothing in mitmdump without `-w`, where the traffic could not be viewed."""

    name = "wiremend.keep_traffic"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.store = TrafficStore()
        self.is_kept = False
        self.saved_file = ""
        """The value of mitmproxy's option whose file was last examined."""

    def configure(self, updated: set[str]) -> None:
        """Decide whether traffic is kept."""
        if updated & {"wiremend_keep", "save_stream_file"}:
            self._decide()

    def running(self) -> None:
        """Decide it when all addons of mitmproxy are loaded."""
        self._decide()

    def wiremend_call(self, options: CallOptions) -> None:
        """Keep the traffic of a call if somebody looks at it."""
        if self.is_kept:
            options.traffic = self.store

    def done(self) -> None:
        """Write what is kept of running calls: mitmproxy saves their flows when it ends."""
        self.store.write_running()

    def _decide(self) -> None:
        is_saved = bool(ctx.options.save_stream_file)
        is_shown = ctx.master.addons.get("view") is not None
        keep = ctx.options.wiremend_keep
        if is_saved and ctx.options.save_stream_file != self.saved_file:
            self.saved_file = ctx.options.save_stream_file
            # mitmproxy has opened it: its own addons are configured first.
            file = Path(datetime.now().strftime(self.saved_file.removeprefix("+"))).expanduser()
            if warning := saved_file_warning(file):
                logger.warning("wiremend: warning: %s", warning)
        self.is_kept = keep == "always" or (keep == "auto" and (is_saved or is_shown))


addons = suite_of(KeepTraffic)
