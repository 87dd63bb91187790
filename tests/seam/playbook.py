"""Drives mitmproxy's HttpLayer, seam included, without sockets: the test plays both peers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from mitmproxy.test import taddons
from wiremend.seam.call_options import CallOptions, WiremendCallHook
from wiremend.seam.installation import Seam

Plan = Callable[[CallOptions], None]


class Playbook:
    """One client connection. What was sent to whom is in `sent`; wake-ups wait in `timers`."""

    def __init__(self, options: Any, plan: Plan) -> None:
        self.client = Client(
            peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0.0
        )
        self.client.state = ConnectionState.OPEN
        self.plan = plan
        self.sent: dict[Connection, bytes] = {self.client: b""}
        self.writes: list[tuple[Connection, bytes]] = []
        self.servers: list[Server] = []
        self.hooks: list[str] = []
        self.at_hook: dict[str, Callable[[Any], None]] = {}
        """What an addon does at a hook: its name, and what is called with the flow."""
        self.logs: list[str] = []
        self.flows: list[Any] = []
        self.timers: list[commands.RequestWakeup] = []
        self.refuse_connections = 0
        self.hold_connections = False
        self.opening: list[commands.OpenConnection] = []
        self.layer = HttpLayer(context.Context(self.client, options), HTTPMode.regular)
        self.hear(events.Start())

    @property
    def shown(self) -> bytes:
        """Everything that was sent to the client."""
        return self.sent[self.client]

    def hear(self, event: events.Event) -> None:
        """One event, and everything that follows from it at once."""
        for command in self.layer.handle_event(event):
            self._carry_out(command)

    def client_sends(self, data: bytes) -> None:
        """Bytes from the client."""
        self.hear(events.DataReceived(self.client, data))

    def server_sends(self, data: bytes, number: int = -1) -> None:
        """Bytes from one of the upstream connections, the last one unless told."""
        self.hear(events.DataReceived(self.servers[number], data))

    def closes(self, connection: Connection) -> None:
        """The peer closes this connection."""
        connection.state &= ~ConnectionState.CAN_READ
        self.hear(events.ConnectionClosed(connection))

    def wake(self) -> None:
        """All timers run out, in order."""
        timers, self.timers = self.timers, []
        for timer in timers:
            self.hear(events.Wakeup(timer))

    def _carry_out(self, command: commands.Command) -> None:
        match command:
            case commands.SendData(connection=connection, data=data):
                self.sent[connection] += data
                self.writes.append((connection, data))
            case commands.OpenConnection():
                assert isinstance(command.connection, Server)
                self.servers.append(command.connection)
                self.sent[command.connection] = b""
                if self.hold_connections:
                    self.opening.append(command)
                else:
                    self._open(command)
            case commands.CloseConnection(connection=connection):
                self._close(connection)
            case WiremendCallHook(options=options):
                self.hooks.append(command.name)
                self.plan(options)
                self.hear(events.HookCompleted(command))
            case commands.StartHook():
                self.hooks.append(command.name)
                if command.name == "requestheaders":
                    self.flows.append(command.args()[0])
                if action := self.at_hook.get(command.name):
                    action(command.args()[0])
                if command.blocking:
                    self.hear(events.HookCompleted(command))
            case commands.RequestWakeup():
                self.timers.append(command)
            case commands.Log(message=message):
                self.logs.append(message)
            case _:
                raise AssertionError(f"unexpected command {command}")

    def _open(self, command: commands.OpenConnection) -> None:
        if self.refuse_connections:
            self.refuse_connections -= 1
            command.connection.error = "Connection refused"
            self.hear(events.OpenConnectionCompleted(command, "Connection refused"))
            return
        command.connection.state = ConnectionState.OPEN
        self.hear(events.OpenConnectionCompleted(command, None))

    def _close(self, connection: Connection) -> None:
        if connection.state is not ConnectionState.CLOSED:
            connection.state = ConnectionState.CLOSED
            if connection is not self.client:
                self.hear(events.ConnectionClosed(connection))
        for command in [one for one in self.opening if one.connection is connection]:
            self.opening.remove(command)
            command.connection.error = "connection cancelled"
            self.hear(events.OpenConnectionCompleted(command, "connection cancelled"))


@contextmanager
def playing(plan: Plan) -> Iterator[Playbook]:
    """A playbook with the seam in place."""
    seam = Seam()
    seam.install()
    try:
        with taddons.context(Proxyserver()) as addons:
            addons.options.connection_strategy = "lazy"
            yield Playbook(addons.options, plan)
    finally:
        seam.remove()
