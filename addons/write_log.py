"""Writes each call that has ended as a line of JSON into the file of `wiremend_log`."""

import logging
import os
from pathlib import Path

from load_configuration import Shell, Suite, refuse_option, suite_of
from mitmproxy import ctx, http
from wiremend.call_record.load import load_record
from wiremend.call_record.log_entry import log_entry
from wiremend.catalogue import rule_names
from wiremend.recording.line_file import LineFile

logger = logging.getLogger("wiremend")


class WriteLog(Shell):
    """Does nothing without the option. The schema is `wiremend.call_record.log_entry.LogEntry`."""

    name = "wiremend.write_log"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.file: LineFile | None = None
        self.is_running = False

    def configure(self, updated: set[str]) -> None:
        """Open the file. An impossible one stops the start, or is refused while running."""
        if "wiremend_log" not in updated:
            return
        name = ctx.options.wiremend_log
        path = Path.cwd() / os.path.expanduser(name) if name else None
        problem = _problem_with(path) if path is not None else ""
        if problem:
            text = f"wiremend_log: {path} cannot be written: {problem}"
            refuse_option(f"wiremend: {text}", is_running=self.is_running)
            return
        self._close()
        if path is not None:
            self.file = LineFile(path, lambda text: logger.warning("wiremend: %s", text))

    def running(self) -> None:
        """From now on, an impossible file is refused without ending the proxy."""
        self.is_running = True

    def response(self, flow: http.HTTPFlow) -> None:
        """Write a complete call."""
        self._write(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Write a call that failed or was cancelled."""
        self._write(flow)

    def done(self) -> None:
        """Write what is waiting."""
        self._close()

    def _write(self, flow: http.HTTPFlow) -> None:
        record = load_record(flow.metadata) if self.file is not None and flow.live else None
        if self.file is None or record is None:
            return
        entry = log_entry(
            record,
            rule_names(),
            flow_id=flow.id,
            path=flow.request.path.partition("?")[0],
            status=flow.response.status_code if flow.response is not None else None,
        )
        self.file.add(entry.model_dump_json().encode())

    def _close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


def _problem_with(path: Path) -> str:
    """Return why a file cannot be appended to; empty if it probably can."""
    if path.is_dir():
        return "it is a folder"
    if not path.parent.is_dir():
        return "its folder does not exist"
    target = path if path.exists() else path.parent
    return "" if os.access(target, os.W_OK) else "permission denied"


addons = suite_of(WriteLog)
