"""Answers calls from a recording: `--set wiremend_replay=FILE`.

Nothing is sent to the network, except with `wiremend_replay_misses=forward`.
"""

import asyncio
import logging
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from load_configuration import Shell, Suite, refuse_option, suite_of
from mitmproxy import ctx, http
from mitmproxy.connection import Server
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import TlsData
from OpenSSL import SSL
from wiremend.engine.error_responses import not_recorded_response
from wiremend.protocols.registry import recognise
from wiremend.seam.call_options import CallOptions
from wiremend.seam.flow_record import record_refusal
from wiremend.seam.flows import answer, body_of, mark_replayed
from wiremend.secrets import masked_in_place
from wiremend.text.counted import counted
from wiremend.views.flow_findings import report_refusal
from wiremend.views.redaction import secrets_of

if TYPE_CHECKING:
    from wiremend.recording.cassette import Cassette
    from wiremend.recording.normal_form import AskedRequest
    from wiremend.recording.recorded_calls import RecordedCall
    from wiremend.testing.origin import Origin

OPTIONS = frozenset(
    f"wiremend_replay{suffix}" for suffix in ("", "_match", "_misses", "_map", "_speed", "_report")
)
MISSES = ("refuse", "forward")
"""The values of `wiremend_replay_misses`; mitmproxy does not check the choices of an option."""
ALPN = (b"h2", b"http/1.1")
PLACE = ".replayed.invalid"
"""The end of the host names that stand for the origin. Each call has its own: mitmproxy shares
connections among the calls to one address, and other calls may go to the provider."""

logger = logging.getLogger("wiremend")


class ReplayRecording(Shell):
    """The recording is the provider. Without the option, it does nothing.

    Matching uses what the client sent. What the provider sent is served by an origin on loopback,
    so that the proxy retries and repairs as it did when the recording was made. Most proxies replay
    nothing, so the code for it is imported when there is a recording.
    """

    name = "wiremend.replay_recording"
    refuses_after_fault = frozenset({"request", "http_connect"})

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.cassette: Cassette | None = None
        self.origin: Origin | None = None
        self.directory: tempfile.TemporaryDirectory[str] | None = None
        self.tickets: dict[str, str] = {}
        """By flow id."""
        self.speed: float | None = None
        self.is_running = False

    def configure(self, updated: set[str]) -> None:
        """Read the recording. One that cannot be read stops the start."""
        if not updated & OPTIONS:
            return
        if self.is_running:
            if self.cassette is not None or ctx.options.wiremend_replay:
                problem = "wiremend: a recording is replayed from the start, or never"
                refuse_option(problem, is_running=True)
            return
        if not ctx.options.wiremend_replay:
            return
        if find_spec("fcntl") is None:
            logger.error("wiremend: replaying a recording needs a POSIX system")
            return
        from wiremend.recording.cassette import Cassette
        from wiremend.recording.exchange import UnusableRecording
        from wiremend.recording.normal_form import Level
        from wiremend.recording.path_maps import PathMap
        from wiremend.recording.this_machine import this_machine
        from wiremend.testing.recorded_replies import parse_speed

        path = Path(ctx.options.wiremend_replay).expanduser()
        try:
            self.speed = parse_speed(ctx.options.wiremend_replay_speed)
            if ctx.options.wiremend_replay_misses not in MISSES:
                raise ValueError(f"wiremend_replay_misses is not one of {', '.join(MISSES)}")
            self.cassette = Cassette.load(
                path,
                level=Level(ctx.options.wiremend_replay_match),
                maps=[PathMap.parse(text) for text in ctx.options.wiremend_replay_map],
                machine=this_machine(),
                forwards=ctx.options.wiremend_replay_misses == "forward",
            )
        except (UnusableRecording, ValueError) as problem:
            logger.error("wiremend: %s: %s", path, problem)

    def running(self) -> None:
        """Start the origin."""
        self.is_running = True
        if self.cassette is None:
            return
        from wiremend.testing.origin import Origin  # needs a POSIX system

        self.directory = tempfile.TemporaryDirectory(prefix="wiremend-replay-")
        self.origin = Origin(
            Path(self.directory.name),
            asyncio.get_running_loop(),
            self._report_mismatch,
            speed=self.speed,
        )
        self.origin.start()
        logger.info(
            "wiremend: replaying %s (%s); %s",
            self.cassette.name,
            counted(len(self.cassette.calls), "call"),
            "other requests are forwarded"
            if self.cassette.forwards
            else "nothing is sent to the network",
        )

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Refuse tunnels to other hosts than providers, unless misses are forwarded."""
        request = flow.request
        if self.cassette is None or self.cassette.forwards or flow.response:
            return
        if self.current.intercepted.matches(request.host):
            return
        self._refuse_side_request(flow, f"{request.host}:{request.port}")

    def request(self, flow: http.HTTPFlow) -> None:
        """Match a request with the recording, before other addons change it."""
        if self.cassette is None or flow.response or flow.error:
            return
        from wiremend.recording.cassette import Forwarded, Miss
        from wiremend.recording.normal_form import AskedRequest

        request = flow.request
        content_type = request.headers.get("content-type", "")
        protocol = recognise(request.method, request.path, content_type)
        body = masked_in_place(body_of(request) or b"", secrets_of(flow))
        asked = AskedRequest(request.method, request.host, request.path, body)
        if protocol is None:
            self._answer_side_request(flow, self.cassette, asked)
            return
        match = self.cassette.match(asked)
        if isinstance(match, Forwarded):
            logger.info("wiremend: forwarded: %s", match.text)
            return
        mark_replayed(flow)
        if isinstance(match, Miss):
            answer(flow, not_recorded_response(protocol, match.reason))
            record_refusal(flow, protocol, match.reason)
            report_refusal(flow, match.reason)
            logger.error("wiremend: %s", match.text)
            self._write_report()
        elif self.origin is not None:
            self.tickets[flow.id] = self.origin.issue(match.call)

    def wiremend_call(self, options: CallOptions) -> None:
        """Let the origin recognise the attempts of a call."""
        if self.cassette is not None and (ticket := self.tickets.get(options.flow.id)):
            from wiremend.recording.cassette import TICKET

            options.upstream_headers = ((TICKET, ticket),)
            options.connect_to = (f"{ticket}{PLACE}", 443)

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Connect to the origin for calls of the recording, and to nothing else."""
        if self.cassette is None:
            return
        host = data.server.address[0] if data.server.address else ""
        if self.origin is not None and host.endswith(PLACE):
            data.server.address = self.origin.address
        elif not self.cassette.forwards:
            data.server.error = "a recording is replayed: nothing is sent to the network"

    def tls_start_server(self, data: TlsData) -> None:
        """Trust the origin, whose certificate is for no provider; it is on loopback."""
        server = data.conn
        if self.origin is None or not isinstance(server, Server):
            return
        if server.address != self.origin.address:
            return
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if offers := [name for name in data.context.client.alpn_offers if name in ALPN]:
            context.set_alpn_protos(offers)
        data.ssl_conn = SSL.Connection(context)
        data.ssl_conn.set_connect_state()

    def response(self, flow: http.HTTPFlow) -> None:
        """Forget a call that is complete."""
        self._ended(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Forget a call that failed or was cancelled."""
        self._ended(flow)

    def done(self) -> None:
        """Stop the origin, and report what was and was not requested."""
        if self.cassette is not None and self.is_running:
            self._write_report()
            logger.info("wiremend: %s", self.cassette.report().lines()[-1])
        if self.origin is not None:
            self.origin.stop()
            self.origin = None
        if self.directory is not None:
            self.directory.cleanup()

    def _answer_side_request(
        self, flow: http.HTTPFlow, cassette: "Cassette", asked: "AskedRequest"
    ) -> None:
        """Answer a request that is no call: from the recording, else with 404.

        If misses are forwarded, so is this.
        """
        from wiremend.recording.recorded_calls import AnswerEnd

        call = cassette.match_side_request(asked)
        recorded = call.answers[-1] if call is not None and call.answers else None
        if recorded is None or recorded.status is None or recorded.end is not AnswerEnd.COMPLETE:
            if cassette.forwards:
                return
            self._refuse_side_request(flow, f"{flow.request.host}{asked.path.partition('?')[0]}")
            return
        mark_replayed(flow)
        fields = [(name.encode("latin-1"), v.encode("latin-1")) for name, v in recorded.headers]
        flow.response = http.Response.make(recorded.status, b"", http.Headers(fields))
        flow.response.raw_content = recorded.body
        flow.response.headers.pop("transfer-encoding", None)
        flow.response.headers["content-length"] = str(len(recorded.body))

    def _refuse_side_request(self, flow: http.HTTPFlow, place: str) -> None:
        assert self.cassette is not None
        self.cassette.note_side_request(flow.request.method, place)
        text = b"Not found: a recording is replayed, and this request is not in it.\n"
        flow.response = http.Response.make(404, text, {"content-type": "text/plain"})

    def _report_mismatch(self, call: "RecordedCall", problem: str) -> None:
        if self.cassette is not None:
            logger.error("wiremend: %s", self.cassette.note_mismatch(call, problem))
            self._write_report()

    def _ended(self, flow: http.HTTPFlow) -> None:
        ticket = self.tickets.pop(flow.id, None)
        if ticket is not None and self.origin is not None:
            self.origin.revoke(ticket)

    def _write_report(self) -> None:
        path = ctx.options.wiremend_replay_report
        if path and self.cassette is not None:
            with suppress(OSError):
                Path(path).write_text(self.cassette.report().model_dump_json())


addons = suite_of(ReplayRecording)
