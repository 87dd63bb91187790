"""The parts that shorten the way of a call change neither its bytes nor its hooks.

Each conversation is played through a connection handler whose sockets are recorded, with
mitmproxy's own way and with these parts.
"""

import asyncio
import gc
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from engine.test_call_machine import GOOD
from mitmproxy import http
from mitmproxy.addonmanager import AddonManager, Loader
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO
from wiremend.engine.settings import Feature, Timeouts
from wiremend.seam.call_options import CallOptions
from wiremend.seam.fast.paths import PARTS, FastPaths
from wiremend.seam.installation import Seam

from seam.test_stream_layer import HEAD, LAST, SETTINGS, call, chunk

SHORT = (
    *("inline_hooks", "ended_timers", "open_tunnels", "joined_events"),
    *("unpaused_layers", "direct_writes"),
)
TRAILERS = b"0\r\nx-cost: 1\r\n\r\n"
ERROR = b"HTTP/1.1 500 No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
BAD = b"HTTP/1.1 400 No\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nno"
JSON = b'{"type":"message","content":[]}'
NO_CONTENT = b"HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n"
FAILING = HEAD + chunk(b'event: error\ndata: {"type":"error","error":{"type":"api_error"}}\n\n')


class Plan:
    """An addon that requests a machine for each call."""

    def wiremend_call(self, wanted: CallOptions) -> None:
        wanted.features |= {Feature.REPAIR, Feature.RAISE, Feature.RETRY}
        wanted.settings = replace(SETTINGS, timeouts=Timeouts(first_byte=60.0))


class Inside:
    """An addon that expects HTTP inside of tunnels."""

    def next_layer(self, next_layer: NextLayer) -> None:
        next_layer.layer = HttpLayer(next_layer.context, HTTPMode.transparent)


class Recorder:
    """An addon with all hooks of a flow; `does` is called in each."""

    def __init__(self, seen: list[str], does: Callable[[str, http.HTTPFlow], object]) -> None:
        self._seen, self._does = seen, does

    def _note(self, name: str, flow: http.HTTPFlow) -> object:
        status = flow.response.status_code if flow.response else None
        size = len(flow.response.raw_content or b"") if flow.response else None
        self._seen.append(f"{name} {status} {size} {flow.live}")
        return self._does(name, flow)

    def requestheaders(self, flow: http.HTTPFlow) -> object:
        return self._note("requestheaders", flow)

    def request(self, flow: http.HTTPFlow) -> object:
        return self._note("request", flow)

    def responseheaders(self, flow: http.HTTPFlow) -> object:
        return self._note("responseheaders", flow)

    def response(self, flow: http.HTTPFlow) -> object:
        return self._note("response", flow)

    def error(self, flow: http.HTTPFlow) -> object:
        return self._note("error", flow)


class Writer:
    """A stream writer that records."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self._name, self._seen = name, seen

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self._seen.append(f"{self._name} < {data!r}")


class Master:
    """What an AddonManager needs of a master."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.commands = self
        self.addons = AddonManager(self)

    def collect_commands(self, addon: object) -> None:
        pass


class Handler(ProxyConnectionHandler):
    """The handler of a client; its connections are recorded."""

    def __init__(self, master: Any) -> None:
        client = Client(
            peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), state=ConnectionState.OPEN
        )
        context = Context(client, master.options)
        ConnectionHandler.__init__(self, context)
        self.master = master
        self.layer = HttpLayer(context, HTTPMode.regular)
        self.seen: list[str] = []
        self.servers: list[Server] = []
        self.transports[client] = ConnectionIO(writer=Writer("client", self.seen))  # type: ignore[arg-type]

    async def open_connection(self, command: commands.OpenConnection) -> None:
        connection = command.connection
        assert isinstance(connection, Server)
        await asyncio.sleep(0)  # the handler registers the connection when this suspends
        self.servers.append(connection)
        connection.state = ConnectionState.OPEN
        writer = Writer(f"server {len(self.servers)}", self.seen)
        self.transports[connection] = ConnectionIO(writer=writer)  # type: ignore[arg-type]
        await self.server_event(events.OpenConnectionCompleted(command, None))

    def close_connection(self, connection: Connection, half_close: bool = False) -> None:
        name = "client" if connection is self.client else "server"
        self.seen.append(f"close {name}")
        connection.state = ConnectionState.CLOSED
        self.transports.pop(connection, None)

    def log(self, message: str, level: int = 0, exc_info: Any = None) -> None:
        self.seen.append(f"log {message}{traceback.format_exc() if exc_info else ''}")

    async def play(self, steps: Sequence[tuple[str, bytes]]) -> None:
        await self.server_event(events.Start())
        for peer, data in steps:
            if peer == "server" and not self.servers:
                continue  # the call was answered without it
            connection = self.client if peer == "client" else self.servers[-1]
            if data:
                await self.server_event(events.DataReceived(connection, data))
            else:
                connection.state &= ~ConnectionState.CAN_READ
                await self.server_event(events.ConnectionClosed(connection))
            while tasks := asyncio.all_tasks() - self._waiting():
                await asyncio.wait(tasks, timeout=1)

    def _waiting(self) -> set[Any]:
        """Return the tasks that are not waited for: this one, and mitmproxy's timers."""
        return {asyncio.current_task(), *self.wakeup_timer}


CALLED = ("client", call())
CONNECT = ("client", b"CONNECT api.example.com:80 HTTP/1.1\r\nhost: api.example.com:80\r\n\r\n")
INSIDE = ("client", call().replace(b"http://api.example.com", b"", 1))
CONVERSATIONS: dict[str, Sequence[tuple[str, bytes]]] = {
    "at once": [CALLED, ("server", HEAD + chunk(GOOD) + LAST)],
    "head, then body": [CALLED, ("server", HEAD), ("server", chunk(GOOD) + LAST)],
    "in pieces": [
        CALLED,
        ("server", HEAD[:40]),
        ("server", HEAD[40:] + chunk(GOOD)[:300]),
        ("server", chunk(GOOD)[300:500]),
        ("server", chunk(GOOD)[500:]),
        ("server", LAST[:2]),
        ("server", LAST[2:]),
    ],
    "two chunks": [CALLED, ("server", HEAD + chunk(GOOD[:500]) + chunk(GOOD[500:]) + LAST)],
    "trailers": [CALLED, ("server", HEAD + chunk(GOOD) + TRAILERS)],
    "an end later": [CALLED, ("server", HEAD + chunk(GOOD)), ("server", LAST)],
    "two calls": [
        CALLED,
        ("server", HEAD + chunk(GOOD) + LAST),
        CALLED,
        ("server", HEAD + chunk(GOOD) + LAST),
    ],
    "requests in pieces": [
        ("client", call()[:50]),
        ("client", call()[50:-3]),
        ("client", call()[-3:]),
        ("server", HEAD + chunk(GOOD) + LAST),
    ],
    "requests sent at once": [
        ("client", call() + call() + call()),
        ("server", HEAD + chunk(GOOD) + LAST),
        ("server", HEAD + chunk(GOOD) + LAST),
        ("server", HEAD + chunk(GOOD) + LAST),
    ],
    "interim": [CALLED, ("server", b"HTTP/1.1 100 Go\r\n\r\n" + HEAD + chunk(GOOD) + LAST)],
    "an error": [CALLED, ("server", BAD)],
    "an error that is retried": [CALLED, ("server", ERROR), ("server", HEAD + chunk(GOOD) + LAST)],
    "an error in the stream": [CALLED, ("server", FAILING + LAST), ("server", BAD)],
    "an early end": [CALLED, ("server", HEAD + chunk(GOOD[:500])), ("server", b"")],
    "a lost connection": [CALLED, ("server", b""), ("server", HEAD + chunk(GOOD) + LAST)],
    "a broken chunk": [CALLED, ("server", HEAD + chunk(GOOD[:500]) + b"x\r\n")],
    "a broken head": [CALLED, ("server", b"HTTP/1.1 x\r\n\r\n"), ("server", BAD)],
    "a client that goes": [CALLED, ("server", HEAD + chunk(GOOD[:500])), ("client", b"")],
    "no content": [CALLED, ("server", NO_CONTENT), CALLED],
    "not streamed": [
        ("client", call(body=b'{"model":"m"}')),
        ("server", b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(JSON), JSON)),
    ],
    "no call": [
        ("client", b"GET http://api.example.com/x HTTP/1.1\r\nhost: api.example.com\r\n\r\n"),
        ("server", HEAD + chunk(b"abc") + LAST),
    ],
    "in a tunnel": [
        CONNECT,
        INSIDE,
        ("server", HEAD + chunk(GOOD[:500])),
        ("server", chunk(GOOD[500:]) + LAST),
        INSIDE,
        ("server", HEAD + chunk(GOOD) + LAST),
        ("server", b""),
        INSIDE,
        ("client", b""),
    ],
    "a tunnel that the client closes": [CONNECT, INSIDE, ("server", HEAD), ("client", b"")],
    "a tunnel with nonsense": [CONNECT, ("client", b"nonsense\r\n\r\n")],
    "a tunnel and more at once": [("client", CONNECT[1] + INSIDE[1]), ("server", BAD)],
    "behind the end": [CALLED, ("server", HEAD + chunk(GOOD) + LAST + b"HTTP/1.1 200 OK\r\n\r\n")],
}


def nothing(name: str, flow: http.HTTPFlow) -> object:
    return None


def suspending(name: str, flow: http.HTTPFlow) -> object:
    return asyncio.sleep(0)


def raising(name: str, flow: http.HTTPFlow) -> object:
    raise ValueError(name)


def intercepting(name: str, flow: http.HTTPFlow) -> object:
    flow.intercept()
    asyncio.get_running_loop().call_soon(flow.resume)
    return None


def killing(wanted: str) -> Callable[[str, http.HTTPFlow], object]:
    def kill(name: str, flow: http.HTTPFlow) -> object:
        return flow.kill() if name == wanted and flow.killable else None

    return kill


def answering(name: str, flow: http.HTTPFlow) -> object:
    if name == "request":
        flow.response = http.Response.make(418, b"tea")
    return None


ADDONS: dict[str, Callable[[str, http.HTTPFlow], object]] = {
    "quick": nothing,
    "suspending": suspending,
    "raising": raising,
    "intercepting": intercepting,
    "killing at the request": killing("request"),
    "killing at the head": killing("responseheaders"),
    "killing at the end": killing("response"),
    "answering": answering,
}


@contextmanager
def installed(*names: str) -> Iterator[None]:
    paths = FastPaths()
    assert paths.install([part for part in PARTS if part.name in names]) == []
    try:
        yield
    finally:
        paths.remove()
        gc.freeze()  # as in conftest.py


def played(
    steps: Sequence[tuple[str, bytes]], does: Callable[[str, http.HTTPFlow], object]
) -> tuple[Handler, int]:
    """Play a conversation; return its handler, and how many timers were left."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(asyncio.eager_task_factory)

        async def made() -> Handler:
            master = Master(Options())
            Proxyserver().load(Loader(master))
            handler = Handler(master)
            master.addons.add(Plan(), Inside(), Recorder(handler.seen, does))
            return handler

        handler = runner.run(made())
        runner.run(handler.play(steps))
        return handler, len(handler.wakeup_timer)


@pytest.fixture(autouse=True)
def seam() -> Iterator[None]:
    installed_seam = Seam()
    installed_seam.install()
    yield
    installed_seam.remove()


@pytest.mark.parametrize("does", ADDONS.values(), ids=ADDONS)
@pytest.mark.parametrize("steps", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_a_conversation_is_the_same(
    steps: Sequence[tuple[str, bytes]], does: Callable[[str, http.HTTPFlow], object]
) -> None:
    """Contracts 4, 7, 9, 13, 17 and 18."""
    own, _ = played(steps, does)
    for names in (SHORT, *((name,) for name in SHORT if does is nothing)):
        with installed(*names):
            short, _ = played(steps, does)
        assert not [line for line in short.seen if "crashed" in line]
        assert joined(short.seen) == joined(own.seen), names


def joined(seen: list[str]) -> dict[str, list[str]]:
    """Return what hooks and each peer saw, with consecutive writes as one.

    When something happens at the server, compared with the hooks, is of no consequence.
    """
    lines: dict[str, list[str]] = {"log": [], "server": [], "": []}
    for line in seen:
        name, sign, data = line.partition(" < ")
        kind = next((kind for kind in ("log", "server") if kind in name), "")
        kept = lines[kind]
        if sign and kept and kept[-1].startswith(f"{name} < "):
            kept[-1] = kept[-1][:-1] + data[2:]
        else:
            kept.append(line.replace(' < b"', " < b'"))
    return {kind: [it.replace('"', "'") for it in kept] for kind, kept in lines.items()}


def test_a_call_that_has_ended_leaves_no_timer() -> None:
    steps = CONVERSATIONS["two calls"]
    with installed("inline_hooks"):
        assert played(steps, nothing)[1]
    with installed("inline_hooks", "ended_timers"):
        handler, left = played(steps, nothing)
    assert left == 0
    assert not handler.layer.command_sources  # type: ignore[attr-defined]


def test_a_call_that_runs_keeps_its_timer() -> None:
    with installed(*SHORT):
        assert played([CALLED, ("server", HEAD + chunk(GOOD[:500]))], nothing)[1] == 1


def test_many_requests_that_a_client_sends_at_once_are_answered() -> None:
    """Each would otherwise be handled in the stack of the one before it."""
    count = 300
    with installed(*SHORT):
        handler, _ = played([("client", call() * count)], answering)
    assert sum(line.startswith("request ") for line in handler.seen) == count
    assert not any("crashed" in line for line in handler.seen)


def test_a_request_and_a_response_that_is_read_at_once_are_one_write_each() -> None:
    with installed(*SHORT):
        handler, _ = played(CONVERSATIONS["at once"], nothing)
    writes = [line.partition(" < ")[0] for line in handler.seen if " < " in line]
    assert writes.count("server 1") == 1
