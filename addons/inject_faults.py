"""Upstream: injects the faults of a fault file into answers, and reports how the calls ended."""

import logging
import os
from pathlib import Path

from load_configuration import Shell, Suite, refuse_option, suite_of
from mitmproxy import ctx, http
from wiremend.call_record.load import load_record
from wiremend.config.fault_file import load_faults
from wiremend.config.load import ConfigError
from wiremend.faults.schedule import FaultSchedule
from wiremend.seam.call_options import CallOptions
from wiremend.text.counted import counted
from wiremend.views.fault_report import REPORT_PREFIX, FaultLedger

logger = logging.getLogger("wiremend")


class InjectFaults(Shell):
    """Does nothing without the option `wiremend_faults`."""

    name = "wiremend.inject_faults"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.schedule: FaultSchedule | None = None
        self.ledger = FaultLedger()
        self.live: dict[str, http.HTTPFlow] = {}
        self.is_running = False

    def configure(self, updated: set[str]) -> None:
        """Read the fault file. An invalid one stops the start; a running proxy keeps the other."""
        if "wiremend_faults" not in updated:
            return
        name = ctx.options.wiremend_faults
        try:
            schedule = load_faults(Path.cwd() / os.path.expanduser(name)) if name else None
        except ConfigError as problems:
            refuse_option(str(problems), is_running=self.is_running)
            return
        self.schedule, self.ledger = schedule, FaultLedger()
        if schedule is not None:
            logger.warning(
                "wiremend: injecting %s from %s", counted(len(schedule.planned), "fault"), name
            )

    def running(self) -> None:
        """From now on, an invalid file is refused without ending the proxy."""
        self.is_running = True

    def wiremend_call(self, options: CallOptions) -> None:
        """Request the faults of a call."""
        if self.schedule is not None:
            options.faults = self.schedule
            self.live[options.flow.id] = options.flow

    def response(self, flow: http.HTTPFlow) -> None:
        """Count a complete call."""
        self._add(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Count a call that failed or was cancelled."""
        self._add(flow)

    def done(self) -> None:
        """Log the report, and write it."""
        if self.schedule is None:
            return
        for flow in list(self.live.values()):
            self._add(flow)
        report = self.ledger.report(self.schedule)
        for line in report.lines():
            logger.info("%s%s", REPORT_PREFIX, line)
        if name := ctx.options.wiremend_faults_report:
            try:
                Path(os.path.expanduser(name)).write_text(report.model_dump_json(indent=2) + "\n")
            except OSError as reason:
                logger.error("wiremend: %s was not written: %s", name, reason.strerror)

    def _add(self, flow: http.HTTPFlow) -> None:
        self.live.pop(flow.id, None)
        record = load_record(flow.metadata) if self.schedule is not None else None
        if record is not None:
            self.ledger.add(record, flow.request.pretty_host, flow.request.path)


addons = suite_of(InjectFaults)
