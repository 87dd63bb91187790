"""Drives mitmproxy's HttpLayer, with the seam, without sockets: the test acts as both peers."""

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
    """One client connection, to a forward proxy or in a tunnel to `host`.

    `sent` has what each peer received; `timers` has pending wake-ups.
    """

    def __init__(self, options: Any, plan: Plan, host: str = "", alpn: bytes | None = None) -> None:
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
        """Functions to call with the flow, by the name of the hook."""
        self.logs: list[str] = []
        self.flows: list[Any] = []
        self.timers: list[commands.RequestWakeup] = []
        self.refuse_connections = 0
        self.hold_connections = False
        self.opening: list[commands.OpenConnection] = []
        self.client.alpn = alpn
        inner = context.Context(self.client, options)
        if host:
            inner.server.address = (host, 80)
        self.layer = HttpLayer(inner, HTTPMode.transparent if host else HTTPMode.regular)
        self.receive(events.Start())

    @property
    def shown(self) -> bytes:
        """All bytes that were sent to the client."""
        return self.sent[self.client]

    def receive(self, event: events.Event) -> None:
        """Handle one event and all commands that follow from it."""
        for command in self.layer.handle_event(event):
            self._execute(command)

    def client_sends(self, data: bytes) -> None:
        """Receive bytes from the client."""
        self.receive(events.DataReceived(self.client, data))

    def server_sends(self, data: bytes, number: int = -1) -> None:
        """Receive bytes from an upstream connection, by default the last one."""
        self.receive(events.DataReceived(self.servers[number], data))

    def closes(self, connection: Connection) -> None:
        """Receive the end of this connection, closed by the peer."""
        connection.state &= ~ConnectionState.CAN_READ
        self.receive(events.ConnectionClosed(connection))

    def wake(self) -> None:
        """Let all timers expire, in order."""
        timers, self.timers = self.timers, []
        for timer in timers:
            self.receive(events.Wakeup(timer))

    def _execute(self, command: commands.Command) -> None:
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
                self.receive(events.HookCompleted(command))
            case commands.StartHook():
                self.hooks.append(command.name)
                if command.name == "requestheaders":
                    self.flows.append(command.args()[0])
                if action := self.at_hook.get(command.name):
                    action(command.args()[0])
                if command.blocking:
                    self.receive(events.HookCompleted(command))
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
            self.receive(events.OpenConnectionCompleted(command, "Connection refused"))
            return
        command.connection.state = ConnectionState.OPEN
        self.receive(events.OpenConnectionCompleted(command, None))

    def _close(self, connection: Connection) -> None:
        if connection.state is not ConnectionState.CLOSED:
            connection.state = ConnectionState.CLOSED
            if connection is not self.client:
                self.receive(events.ConnectionClosed(connection))
        for command in [opening for opening in self.opening if opening.connection is connection]:
            self.opening.remove(command)
            command.connection.error = "connection cancelled"
            self.receive(events.OpenConnectionCompleted(command, "connection cancelled"))


@contextmanager
def playing(
    plan: Plan, host: str = "", alpn: bytes | None = None, book: type[Playbook] = Playbook
) -> Iterator[Playbook]:
    """Yield a playbook with the seam installed; see `Playbook`."""
    seam = Seam()
    seam.install()
    try:
        with taddons.context(Proxyserver()) as addons:
            addons.options.connection_strategy = "lazy"
            yield book(addons.options, plan, host, alpn)
    finally:
        seam.remove()
