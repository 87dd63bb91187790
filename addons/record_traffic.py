"""Writes calls into the file of the option `recording_file`, for `scripts/record`."""

import logging

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader
from wiremend.call_record.schema import METADATA_KEY
from wiremend.identities import StandIns
from wiremend.protocols.registry import recognise
from wiremend.recording.recorder import Recorder
from wiremend.recording.this_machine import this_machine
from wiremend.routing.model_lists import is_model_list
from wiremend.routing.token_counts import recognise_count
from wiremend.seam.flows import is_dropped, is_replayed, name_of
from wiremend.views.redaction import secrets_of

logger = logging.getLogger("wiremend")


class RecordTraffic:
    """Records calls, token counts and model lists.

    Other requests, such as telemetry, are not recorded, and neither is what a recording answers.
    """

    name = "wiremend.record_traffic"

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.live: dict[str, http.HTTPFlow] = {}
        self.secrets: dict[str, frozenset[str]] = {}
        """The secrets of each live flow."""

    def load(self, loader: Loader) -> None:
        """Declare the option."""
        loader.add_option("recording_file", str, "", "The file that calls are appended to.")

    def configure(self, updated: set[str]) -> None:
        """Open the file, which exists: its owner created it for itself alone."""
        if "recording_file" in updated and ctx.options.recording_file:
            file = open(ctx.options.recording_file, "r+b")  # noqa: SIM115 - until the process ends
            self.recorder = Recorder(file, StandIns(this_machine()))

    def request(self, flow: http.HTTPFlow) -> None:
        """Register a flow, which is recorded even if it is still live when the proxy ends."""
        self.live[flow.id] = flow
        self.secrets[flow.id] = secrets_of(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        """Record a complete call."""
        self._record(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Record a call that failed or was cancelled."""
        self._record(flow)

    def done(self) -> None:
        """Record the calls that have not ended. Their secrets were removed before."""
        if ctx.master.should_exit.is_set():
            for flow in list(self.live.values()):
                self._record(flow)

    def _record(self, flow: http.HTTPFlow) -> None:
        self.live.pop(flow.id, None)
        secrets = self.secrets.pop(flow.id, frozenset())
        if self.recorder is None or is_dropped(flow) or is_replayed(flow):
            return
        if not _is_recorded(flow):
            return
        try:
            self.recorder.add(flow, secrets)
        except Exception as fault:
            # The exception may quote the flow.
            logger.error("wiremend: %s was not recorded (%s)", name_of(flow), type(fault).__name__)


def _is_recorded(flow: http.HTTPFlow) -> bool:
    request = flow.request
    content_type = request.headers.get("content-type", "")
    return (
        METADATA_KEY in flow.metadata
        or recognise(request.method, request.path, content_type) is not None
        or recognise_count(request.method, request.path) is not None
        or is_model_list(request.method, request.path)
    )


addons = [RecordTraffic()]
