"""An HTTP/2 client and scripted providers, which act on a playbook."""

from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import events
from seam.playbook import Playbook
from seam.shells import Clock

from injection.scenarios import Scenario

STEPS_LIMIT = 60
"""Every call ends within so many events."""


@dataclass
class Response:
    """What the client has received of one response."""

    status: int = 0
    body: bytes = b""
    end: str = ""
    """"complete", "reset" or "closed"; empty while it runs."""


@dataclass
class Client:
    """A client with one HTTP/2 connection."""

    book: Playbook
    host: str
    responses: dict[int, Response] = field(default_factory=dict)
    _read: int = 0

    def __post_init__(self) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self._http = h2.connection.H2Connection(config)
        self._http.initiate_connection()
        self._flush()

    def send(self, scenario: Scenario) -> int:
        """Send a request; return the number of its stream."""
        stream = self._http.get_next_available_stream_id()
        self.responses[stream] = Response()
        fields = [
            (":method", scenario.method),
            (":scheme", "http"),
            (":authority", self.host),
            (":path", scenario.path),
            ("content-type", "application/json"),
            ("x-api-key", "sk-secret-0123456789"),
            ("accept-encoding", "gzip"),
            *scenario.fields,
        ]
        self._http.send_headers(stream, fields, end_stream=not scenario.body)
        if scenario.body:
            self._http.send_data(stream, scenario.body, end_stream=True)
        self._flush()
        return stream

    def leave(self, stream: int) -> None:
        """Reset one stream."""
        if not self.responses[stream].end and self.is_open:
            self._http.reset_stream(stream, 8)
            self.responses[stream].end = "left"
            self._flush()

    @property
    def is_open(self) -> bool:
        """Whether the proxy has not closed the connection."""
        return self.book.client.state is not ConnectionState.CLOSED

    def read(self) -> None:
        """Read what the proxy has sent."""
        shown = self.book.shown
        data, self._read = shown[self._read :], len(shown)
        for event in self._http.receive_data(data) if data else ():
            match event:
                case h2.events.ResponseReceived():
                    self.responses[event.stream_id].status = int(dict(event.headers)[":status"])
                case h2.events.DataReceived():
                    self.responses[event.stream_id].body += event.data
                    size, stream = event.flow_controlled_length, event.stream_id
                    self._http.acknowledge_received_data(size, stream)
                case h2.events.StreamEnded():
                    self.responses[event.stream_id].end = "complete"
                case h2.events.StreamReset():
                    self.responses[event.stream_id].end = "reset"
        if self.is_open:
            self._flush()
        else:
            for response in self.responses.values():
                response.end = response.end or "closed"

    def _flush(self) -> None:
        if data := self._http.data_to_send():
            self.book.client_sends(data)


class Crashing(Playbook):
    """A playbook that treats an exception in a layer as mitmproxy does: it is logged."""

    def receive(self, event: events.Event) -> None:
        """Handle one event; the next one is handled as if nothing had happened."""
        try:
            super().receive(event)
        except Exception as exception:
            self.logs.append(f"crashed: {exception!r}")


def play(book: Playbook, clock: Clock, client: Client, scenario: Scenario) -> Response:
    """Let a call run to its end. Other calls of the connection receive no event meanwhile."""
    others = {id(timer) for timer in book.timers}
    first = servers = len(book.servers)
    stream = client.send(scenario)
    client.read()
    response = client.responses[stream]
    for _ in range(STEPS_LIMIT):
        own = [timer for timer in book.timers if id(timer) not in others]
        if servers < len(book.servers):
            _answer(book, scenario, servers, servers - first)
            servers += 1
        elif scenario.client_leaves and not response.end:
            client.leave(stream)
        elif own:
            clock.now += max(timer.delay for timer in own)
            book.timers = [timer for timer in book.timers if id(timer) in others]
            for timer in own:
                book.receive(events.Wakeup(timer))
        else:
            break
        client.read()
        if response.end and not own:
            break
    return response


def _answer(book: Playbook, scenario: Scenario, number: int, attempt: int) -> None:
    """Send the answer of this attempt on the connection with this number."""
    server = book.servers[number]
    answer = scenario.answers[min(attempt, len(scenario.answers) - 1)]
    for piece in answer.pieces:
        if server.state is not ConnectionState.CLOSED and piece:
            book.server_sends(piece, number)
    if answer.closes and server.state is not ConnectionState.CLOSED:
        book.closes(server)
