"""On SIGTERM: drains running calls, refuses new ones with 503, then stops the proxy.

Calls that still run then, and those that run on SIGINT, end in their protocol's error.
"""

import asyncio
import logging
import signal

from load_configuration import Shell, Suite, suite_of
from mitmproxy import ctx, http
from wiremend.engine.error_responses import stopping_response
from wiremend.protocols.registry import recognise
from wiremend.seam.call_options import CallOptions
from wiremend.seam.flow_record import record_refusal
from wiremend.seam.flows import answer
from wiremend.seam.process.listener import close_client_connections
from wiremend.seam.stopping import stop_calls
from wiremend.text.counted import counted

END_SECONDS = 1.0
"""How long clients have to take the ends of their calls."""
LAST_BYTES_SECONDS = 0.1

logger = logging.getLogger("wiremend")


class FinishCalls(Shell):
    """Stops at once on a second SIGTERM, or when the grace period of `[shutdown]` has ended."""

    name = "wiremend.finish_calls"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.running_calls: set[str] = set()
        self.is_stopping = False
        """New calls are refused."""
        self.is_ending = False
        """Running calls were ended."""
        self.is_closed = False
        self.loop: asyncio.AbstractEventLoop | None = None

    def running(self) -> None:
        """Install a handler for SIGTERM, and for SIGINT where mitmproxy would not prompt."""
        self.loop = asyncio.get_running_loop()
        try:
            self.loop.add_signal_handler(signal.SIGTERM, self._stop)
            if not hasattr(ctx.master, "prompt_for_exit"):
                self.loop.add_signal_handler(signal.SIGINT, self._shut_down)
        except (NotImplementedError, RuntimeError):
            self.loop = None  # unsupported on this platform: mitmproxy's handlers stay

    def done(self) -> None:
        """Restore mitmproxy's signal handlers."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.add_signal_handler(signal.SIGTERM, ctx.master.shutdown)
            if not hasattr(ctx.master, "prompt_for_exit"):
                self.loop.add_signal_handler(signal.SIGINT, ctx.master.shutdown)

    def request(self, flow: http.HTTPFlow) -> None:
        """Refuse a new call while the proxy is stopping."""
        if flow.response or flow.error or not self.is_stopping:
            return
        request = flow.request
        protocol = recognise(request.method, request.path, request.headers.get("content-type", ""))
        if protocol is not None:
            answer(flow, stopping_response(protocol))
            record_refusal(flow, protocol, "The proxy is stopping.")

    def wiremend_call(self, options: CallOptions) -> None:
        """Count a call that begins."""
        if options.protocol is not None:
            self.running_calls.add(options.flow.id)

    def response(self, flow: http.HTTPFlow) -> None:
        """Count a call that is complete."""
        self._ended(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Count a call that failed or was cancelled."""
        self._ended(flow)

    def _ended(self, flow: http.HTTPFlow) -> None:
        self.running_calls.discard(flow.id)
        if self.is_stopping and not self.running_calls and self.loop is not None:
            # The last bytes are written after this hook.
            self.loop.call_later(LAST_BYTES_SECONDS, self._close)

    def _stop(self) -> None:
        grace = self.current.config.shutdown.grace
        if self.is_stopping or not self.running_calls or not grace or self.loop is None:
            self._shut_down()
            return
        self.is_stopping = True
        logger.info(
            "wiremend: stopping; %s may finish within %g s; a second signal stops at once",
            counted(len(self.running_calls), "running call"),
            grace,
        )
        self.loop.call_later(grace, self._shut_down)

    def _shut_down(self) -> None:
        """End the running calls, then the proxy. A further signal ends it at once."""
        stopped = 0 if self.is_ending else stop_calls(ctx.master)
        if stopped:
            calls = counted(stopped, "running call")
            logger.info("wiremend: stopped; %s ended in an error", calls)
        if not stopped or self.loop is None:
            self._close()
            return
        self.is_stopping = self.is_ending = True
        self.loop.call_later(END_SECONDS, self._close)

    def _close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            close_client_connections(ctx.master)
            ctx.master.event_loop.call_later(LAST_BYTES_SECONDS, ctx.master.shutdown)


addons = suite_of(FinishCalls)
