"""Each part of the fast paths does what mitmproxy's own code does."""

import asyncio
import gc
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import h11
import pytest
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import exceptions, flow, hooks, http, log, options
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.onboarding import Onboarding
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.net import check as net_check
from mitmproxy.net.http import url, validate
from mitmproxy.net.http.http1 import read
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as layers_http
from mitmproxy.proxy.layers import tls
from mitmproxy.proxy.layers.http import HttpRequestHook
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO
from mitmproxy.test import tflow, tutils
from OpenSSL import SSL
from wiremend.seam.fast import paths as fast_paths
from wiremend.seam.fast.paths import PARTS, FastPaths, Part
from wiremend.seam.http1_trailers import TrailersReader
from wiremend.testing.certificates import Authority, Leaf

BY_NAME = {part.name: part for part in PARTS}


@contextmanager
def installed(*names: str) -> Iterator[None]:
    paths = FastPaths()
    assert paths.install([BY_NAME[name] for name in names]) == []
    try:
        yield
    finally:
        paths.remove()
        gc.freeze()  # as in conftest.py; to remove the parts unfreezes what exists


def both_ways[T](run: Callable[[], T], *names: str) -> tuple[T, T]:
    """Return the result with mitmproxy's own code, and with these parts."""
    own = run()
    with installed(*names):
        return own, run()


def attributes() -> dict[tuple[str, str], Any]:
    owners = {owner for part in PARTS for owner, _, _ in part.replacements()}
    return {
        (str(owner), name): value
        for owner in owners
        for name, value in vars(owner).items()
        if not name.startswith("__abstract") and name != "_abc_impl"
    }


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_installed_version_has_the_code_that_a_part_replaces(part: Part) -> None:
    assert part.is_applicable()


def test_removing_restores_every_attribute() -> None:
    before = attributes()
    with installed(*BY_NAME):
        assert attributes() != before
    assert attributes() == before


def test_a_part_whose_code_is_unknown_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_paths, "KNOWN_SOURCES", frozenset())
    before = attributes()
    paths = FastPaths()
    assert paths.install(PARTS) == list(BY_NAME)
    assert attributes() == before
    paths.remove()


# header_lookup

NAMES = st.sampled_from(["host", "Host", "HOST", "x-é", "x", "hos", "hostt", ""])
FIELDS = st.lists(st.tuples(NAMES, st.text(max_size=3)), max_size=5)


@given(FIELDS, NAMES, st.booleans())
def test_headers_are_found_as_before(
    fields: list[tuple[str, str]], name: str, as_bytes: bool
) -> None:
    headers = http.Headers([(n.encode(), v.encode()) for n, v in fields])
    key: Any = name.encode() if as_bytes else name

    def look() -> list[object]:
        try:
            item = headers[key]
        except KeyError as error:
            item = repr(error)
        return [
            item,
            headers.get(key),
            headers.get(key, "none"),
            key in headers,
            headers.get_all(key),
        ]

    own, fast = both_ways(look, "header_lookup")
    assert own == fast


def changed_in_place(headers: http.Headers) -> None:
    headers.fields = [(b"Host", b"a")]  # type: ignore[assignment]
    assert headers.get_all("host") == ["a"]
    headers.fields.append((b"host", b"b"))  # type: ignore[attr-defined]


CHANGES: dict[str, Callable[[http.Headers], object]] = {
    "set": lambda headers: headers.update({"host": "b"}),
    "add": lambda headers: headers.add("x", "1"),
    "removed": lambda headers: headers.pop("host"),
    "insert": lambda headers: headers.insert(0, "X", "1"),
    "other fields": lambda headers: setattr(headers, "fields", ((b"X", b"1"),)),
    "a list that grows": changed_in_place,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_headers_is_noticed(change: Callable[[http.Headers], object]) -> None:
    def look() -> list[object]:
        headers = http.Headers([(b"Host", b"a"), (b"y", b"2")])
        before = headers.get_all("host"), "x" in headers
        copy = headers.copy()
        change(headers)
        return [
            before,
            [(one.get_all("host"), one.get("x"), one.fields) for one in (headers, copy)],
            headers == copy,
        ]

    own, fast = both_ways(look, "header_lookup")
    assert own == fast


MADE: dict[str, Callable[[], http.Headers]] = {
    "nothing": http.Headers,
    "pairs": lambda: http.Headers([[b"a", b"b"]]),  # type: ignore[list-item]
    "a generator": lambda: http.Headers((name, b"1") for name in (b"a", b"b")),
    "other headers": lambda: http.Headers(http.Headers(a="b").fields),
    "names": lambda: http.Headers([(b"A-B", b"1")], a_b="2", c="3"),
    "text": lambda: http.Headers([("a", "b")]),  # type: ignore[list-item]
    "no value": lambda: http.Headers([(b"a",)]),  # type: ignore[list-item]
    "three parts": lambda: http.Headers([(b"a", b"b", b"c")]),  # type: ignore[list-item]
    "no pairs": lambda: http.Headers([1]),  # type: ignore[list-item]
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_headers_are_made_as_before(make: Callable[[], http.Headers]) -> None:
    def run() -> object:
        try:
            return make().fields
        except (TypeError, ValueError) as error:
            return type(error), str(error)

    own, fast = both_ways(run, "header_lookup")
    assert own == fast


@pytest.mark.parametrize("name", [1, None, ["host"]])
def test_a_header_name_that_is_no_text_is_the_same_error(name: Any) -> None:
    headers = http.Headers(host="a")

    def look() -> type[Exception]:
        with pytest.raises((TypeError, AttributeError)) as raised:
            headers.get(name)
        return raised.type

    own, fast = both_ways(look, "header_lookup")
    assert own is fast


# field_types

FIELD_VALUES: list[dict[str, Any]] = [
    {},
    {"status_code": "200"},
    {"status_code": True},
    {"reason": "text"},
    {"content": None},
    {"content": "text"},
    {"headers": {}},
    {"trailers": http.Headers()},
    {"trailers": b""},
    {"timestamp_start": 1},
    {"timestamp_start": "1"},
    {"timestamp_end": None},
    {"timestamp_end": 2},
]


@pytest.mark.parametrize("values", FIELD_VALUES, ids=repr)
def test_messages_accept_and_refuse_the_same_fields(values: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "http_version": b"HTTP/1.1",
        "status_code": 200,
        "reason": b"OK",
        "headers": http.Headers(),
        "content": b"",
        "trailers": None,
        "timestamp_start": 1.0,
        "timestamp_end": 2.0,
    }

    def make() -> str:
        try:
            return repr(http.ResponseData(**(fields | values)))
        except TypeError as error:
            return f"error: {error}"

    own, fast = both_ways(make, "field_types")
    assert own == fast


# plain_options


def test_options_have_the_same_values_and_lists_are_copies() -> None:
    opts = options.Options()
    opts.update(listen_port=5, ignore_hosts=["a"], listen_host="h")

    def read() -> dict[str, Any]:
        values = {name: getattr(opts, name) for name in opts.keys()}  # noqa: SIM118
        opts.ignore_hosts.append("not stored")
        return values

    own, fast = both_ways(read, "plain_options")
    assert own == fast
    assert opts.ignore_hosts == ["a"]


# hook_table and hook_fields


class Recorder:
    """An addon whose `request` hook records its name and then does something."""

    def __init__(
        self, name: str, seen: list[str], does: Callable[[], object] | None = None
    ) -> None:
        self.name = name
        self.addons: list[Any] = []
        self._seen = seen
        self._does = does

    def request(self, subject: object) -> object:
        self._seen.append(self.name)
        return self._does() if self._does is not None else None


def raising(exception: Exception) -> Callable[[], object]:
    def raise_it() -> object:
        raise exception

    return raise_it


def later(seen: list[str], then: Callable[[], object] | None = None) -> Callable[[], object]:
    """Return a function that returns a coroutine, which suspends once."""

    async def suspend() -> None:
        await asyncio.sleep(0)
        seen.append("later")
        if then is not None:
            then()

    return suspend


CHAINS: dict[str, Callable[[list[str]], list[Recorder]]] = {
    "in order": lambda seen: [Recorder("a", seen), Recorder("b", seen)],
    "an exception skips the rest of its entry": lambda seen: [
        nested(Recorder("a", seen, raising(ValueError("x"))), Recorder("a1", seen)),
        Recorder("b", seen),
    ],
    "a halt skips everything": lambda seen: [
        Recorder("a", seen, raising(exceptions.AddonHalt())),
        Recorder("b", seen),
    ],
    "an option error is raised": lambda seen: [
        Recorder("a", seen, raising(exceptions.OptionsError("x"))),
        Recorder("b", seen),
    ],
    "a coroutine is awaited before the next hook": lambda seen: [
        Recorder("a", seen, later(seen)),
        Recorder("b", seen),
    ],
    "an exception in a coroutine": lambda seen: [
        nested(Recorder("a", seen, later(seen, raising(ValueError("x")))), Recorder("a1", seen)),
        Recorder("b", seen),
    ],
    "a halt in a coroutine": lambda seen: [
        Recorder("a", seen, later(seen, raising(exceptions.AddonHalt()))),
        Recorder("b", seen),
    ],
}


def nested(outer: Recorder, *inner: Recorder) -> Recorder:
    outer.addons += inner
    return outer


class Master:
    """What an AddonManager needs of a master."""

    def __init__(self) -> None:
        self.options = options.Options()
        self.commands = self
        self.addons = AddonManager(self)

    def collect_commands(self, addon: object) -> None:
        pass


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{record.levelname} {record.message}" for record in caplog.records]


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_hooks_are_called_as_before(
    chain: Callable[[list[str]], list[Recorder]], caplog: pytest.LogCaptureFixture
) -> None:
    def run() -> tuple[list[str], list[str]]:
        caplog.clear()
        seen: list[str] = []
        manager = Master().addons
        manager.add(*chain(seen))
        try:
            asyncio.run(manager.handle_lifecycle(HttpRequestHook(tflow.tflow())))
        except exceptions.OptionsError:
            seen.append("raised")
        return seen, logged(caplog)

    own, fast = both_ways(run, "hook_table", "hook_fields")
    assert own == fast
    assert own[0]


def test_addons_that_come_and_go_are_noticed() -> None:
    async def play(manager: AddonManager, seen: list[str]) -> None:
        first, second = Recorder("a", seen), Recorder("b", seen)
        manager.add(first)
        for change in (
            lambda: None,
            lambda: manager.add(second),
            lambda: manager.remove(first),
            lambda: first.addons.append(Recorder("c", seen)),
            lambda: manager.add(first),
            manager.clear,
        ):
            change()
            seen.append("|")
            await manager.handle_lifecycle(HttpRequestHook(tflow.tflow()))

    def run() -> list[str]:
        seen: list[str] = []
        asyncio.run(play(Master().addons, seen))
        return seen

    own, fast = both_ways(run, "hook_table")
    assert own == fast


def test_updates_are_reported_to_addons_that_have_the_hook() -> None:
    class Updated:
        name = "updated"

        def __init__(self) -> None:
            self.flows: list[flow.Flow] = []

        def update(self, flows: Sequence[flow.Flow]) -> None:
            self.flows += flows

    def run() -> int:
        manager, addon = Master().addons, Updated()
        manager.add(addon)
        asyncio.run(manager.handle_lifecycle(HttpRequestHook(tflow.tflow())))
        return len(addon.flows)

    assert both_ways(run, "hook_table") == (1, 1)


def test_an_addon_with_a_hook_for_updates_may_come_later() -> None:
    class Updated:
        name = "updated"

        def __init__(self) -> None:
            self.flows: list[flow.Flow] = []

        def update(self, flows: Sequence[flow.Flow]) -> None:
            self.flows += flows

    def run() -> list[int]:
        manager, addon = Master().addons, Updated()
        seen = []
        for change in (lambda: None, lambda: None, lambda: manager.add(addon), lambda: None):
            change()
            asyncio.run(manager.handle_lifecycle(HttpRequestHook(tflow.tflow())))
            seen.append(len(addon.flows))
        return seen

    assert both_ways(run, "hook_table") == ([0, 0, 1, 2], [0, 0, 1, 2])


def test_a_triggered_event_reaches_its_hooks_and_a_new_hook_is_noticed() -> None:
    class Configured:
        """Gets a hook while it is configured."""

        name = "configured"

        def __init__(self, seen: list[object]) -> None:
            self._seen = seen

        def configure(self, updated: set[str]) -> None:
            self._seen.append(updated)
            self.update = self._seen.append

    def run() -> list[object]:
        seen: list[object] = []
        manager = Master().addons
        manager.add(Configured(seen))
        seen.clear()
        for event in (hooks.UpdateHook([]), hooks.ConfigureHook({"a"}), hooks.UpdateHook([])):
            manager.trigger(event)
        return seen

    own, fast = both_ways(run, "hook_table")
    assert own == fast
    assert own[-2:] == [{"a"}, []]


# log_entries


class Logged:
    """An addon that wants the deprecated log entries."""

    name = "logged"

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []

    def add_log(self, entry: log.LogEntry) -> None:
        self.entries.append((entry.level, entry.msg.partition("] ")[2]))


async def log_lines(addons: Sequence[object]) -> tuple[int, list[tuple[str, str]]]:
    """Log two lines; return how many callbacks were scheduled, and the entries that addons got."""
    master: Any = Master()
    loop = asyncio.get_running_loop()
    scheduled: list[object] = []

    class Loop:
        def call_soon_threadsafe(self, *call: Any) -> None:
            scheduled.append(call)
            loop.call_soon_threadsafe(*call)

    master.event_loop = Loop()
    master.addons.add(*addons)
    handler = log.LegacyLogEvents(master)
    for level in (logging.INFO, logging.WARNING):
        handler.handle(logging.LogRecord("a", level, "a.py", 1, "a %s", ("line",), None))
    await asyncio.sleep(0)
    return len(scheduled), [entry for addon in addons for entry in getattr(addon, "entries", [])]


def test_log_entries_are_made_for_addons_that_want_them() -> None:
    own, fast = both_ways(lambda: asyncio.run(log_lines([Logged()])), "hook_table", "log_entries")
    assert own == fast == (2, [("info", "a line"), ("warn", "a line")])


def test_no_log_entry_is_made_without_such_an_addon() -> None:
    own, fast = both_ways(lambda: asyncio.run(log_lines([])), "hook_table", "log_entries")
    assert own == (2, [])
    assert fast == (0, [])


# inline_hooks


class Script(layer.Layer):
    """Yields the commands of a script, and records what it receives."""

    def __init__(
        self, context: Context, script: Sequence[Callable[[Context], commands.Command]]
    ) -> None:
        super().__init__(context)
        self.seen: list[str] = []
        self._script = script

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        self.seen.append(type(event).__name__)
        if isinstance(event, events.Start):
            for number, make in enumerate(self._script):
                reply = yield make(self.context)
                self.seen.append(f"{number}: {reply}")


class Writer:
    """A stream writer that records."""

    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self._seen.append(f"write {data!r}")


class Handler(ProxyConnectionHandler):
    """A handler whose layer is a script; nothing is connected."""

    def __init__(
        self, master: Any, script: Sequence[Callable[[Context], commands.Command]]
    ) -> None:
        client = Client(
            peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), state=ConnectionState.OPEN
        )
        ConnectionHandler.__init__(self, Context(client, options.Options()))
        self.master = master
        script_layer = Script(Context(client, options.Options()), script)
        self.layer = script_layer
        self.seen = script_layer.seen
        self.transports[client] = ConnectionIO(writer=Writer(self.seen))  # type: ignore[arg-type]

    async def open_connection(self, command: commands.OpenConnection) -> None:
        self.seen.append("open")
        await self.server_event(events.OpenConnectionCompleted(command, "refused"))

    def close_connection(self, connection: Any, half_close: bool = False) -> None:
        self.seen.append(f"close {half_close}")


def hook(_: Context) -> commands.Command:
    return HttpRequestHook(tflow.tflow())


def background_hook(_: Context) -> commands.Command:
    started = HttpRequestHook(tflow.tflow())
    started.blocking = False
    return started


def intercepted(_: Context) -> commands.Command:
    held = tflow.tflow()
    held.intercept()
    asyncio.get_running_loop().call_later(0.01, held.resume)
    return HttpRequestHook(held)


SCRIPTS: dict[str, Sequence[Callable[[Context], commands.Command]]] = {
    "a hook": [hook],
    "hooks and writes": [
        hook,
        lambda c: commands.SendData(c.client, b"1"),
        hook,
        lambda c: commands.SendData(c.client, b"2"),
    ],
    "a hook that blocks nothing": [background_hook, lambda c: commands.SendData(c.client, b"1")],
    "an intercepted flow": [intercepted, lambda c: commands.SendData(c.client, b"1")],
    "a write to a closed connection": [
        lambda c: commands.SendData(Server(address=("a", 1)), b"1"),
        lambda c: commands.CloseConnection(Server(address=("a", 1))),
    ],
    "closing": [
        lambda c: commands.CloseTcpConnection(c.client, half_close=True),
        lambda c: commands.CloseConnection(c.client),
    ],
    "a timer": [lambda _: commands.RequestWakeup(0.01)],
    "a log line": [lambda _: commands.Log("line", logging.WARNING)],
    "opening a connection": [lambda _: commands.OpenConnection(Server(address=("a", 1)))],
    "an unknown command": [lambda _: commands.Command()],
}
ADDONS: dict[str, Callable[[list[str]], list[Recorder]]] = {"no addons": lambda _: [], **CHAINS}


async def play_script(handler: Handler) -> None:
    await handler.server_event(events.Start())
    while len(tasks := asyncio.all_tasks()) > 1:
        await asyncio.wait(tasks - {asyncio.current_task()}, timeout=1)  # type: ignore[arg-type]
    while handler.wakeup_timer:
        await asyncio.sleep(0)


@pytest.mark.parametrize("chain", ADDONS.values(), ids=ADDONS)
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_commands_are_executed_as_before(
    script: Sequence[Callable[[Context], commands.Command]],
    chain: Callable[[list[str]], list[Recorder]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def run() -> tuple[list[str], list[str], int]:
        caplog.clear()
        master = Master()
        with asyncio.Runner() as runner:
            runner.get_loop().set_task_factory(asyncio.eager_task_factory)
            runner.get_loop().set_exception_handler(lambda *_: None)
            handler = runner.run(made(master, script))
            master.addons.add(*chain(handler.seen))
            runner.run(play_script(handler))
        blocked = handler.timeout_watchdog.blocker
        return handler.seen, logged(caplog), blocked

    async def made(master: Master, script: Any) -> Handler:
        return Handler(master, script)

    own, fast = both_ways(run, "hook_table", "inline_hooks")
    assert own == fast
    assert own[0]


def test_a_timer_is_cancelled_with_the_connection() -> None:
    async def play() -> list[str]:
        handler = Handler(Master(), [lambda _: commands.RequestWakeup(60)])
        await handler.server_event(events.Start())
        (timer,) = handler.wakeup_timer
        timer.cancel()
        return handler.seen

    with installed("inline_hooks"):
        assert asyncio.run(play()) == ["Start", "0: None"]


# served_pages


def test_only_requests_for_mitmproxys_pages_are_awaited() -> None:
    app = Onboarding()
    own_page, other = tflow.tflow(), tflow.tflow()
    own_page.request.host = "mitm.it"
    with installed("served_pages"):
        assert app.request(other) is None
        coroutine = app.request(own_page)
        assert asyncio.iscoroutine(coroutine)
        coroutine.close()


# unseen_logs


@pytest.mark.parametrize(
    ("level", "shown"), [(logging.INFO, True), (logging.WARNING, False)], ids=["shown", "not shown"]
)
def test_a_log_line_is_made_if_a_handler_may_show_it(
    level: int, shown: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Kept(log.MitmLogHandler):
        def __init__(self) -> None:
            super().__init__(level)
            self.lines: list[str] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.lines.append(record.getMessage())

    root = logging.getLogger()
    others, root.handlers = root.handlers, []
    caplog.set_level(logging.DEBUG)
    kept = Kept()
    kept.install()
    handler = Handler(Master(), [])
    try:
        with installed("unseen_logs"):
            handler.log("line")
    finally:
        root.handlers = others
    assert kept.lines == (["line"] if shown else [])


# tls_records


@pytest.fixture(scope="module")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> Leaf:
    return Authority(tmp_path_factory.mktemp("tls"), "fast paths").leaf("localhost")


class Received(layer.Layer):
    """Records what arrives."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.data: list[bytes] = []
        self.ends = 0

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            self.data.append(event.data)
        self.ends += isinstance(event, events.ConnectionClosed)
        yield from ()


class TlsPeers:
    """A TLS layer of mitmproxy as the server, and a client without a socket."""

    def __init__(self, leaf: Leaf) -> None:
        client = Client(
            peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), state=ConnectionState.OPEN
        )
        context = Context(client, options.Options())
        self.layer = tls.TLSLayer(context, client)
        self.received = self.layer.child_layer = Received(context)
        settings = SSL.Context(SSL.TLS_METHOD)
        settings.use_certificate_file(str(leaf.certificate_file))
        settings.use_privatekey_file(str(leaf.key_file))
        self.layer.tls = SSL.Connection(settings)
        self.layer.tls.set_accept_state()
        self.peer = SSL.Connection(SSL.Context(SSL.TLS_METHOD))
        self.peer.set_connect_state()
        for _ in range(3):
            self._handshake(self.peer)
            self._move(self.peer, self.layer.tls)
            self._handshake(self.layer.tls)
            self._move(self.layer.tls, self.peer)

    @staticmethod
    def _handshake(side: SSL.Connection) -> None:
        with suppress(SSL.WantReadError):
            side.do_handshake()

    def _move(self, source: SSL.Connection, target: SSL.Connection) -> None:
        if data := pending_output(source):
            target.bio_write(data)

    def receive(self, pieces: Sequence[bytes]) -> tuple[list[bytes], int, list[str], bool]:
        """Return the data, the ends, the commands, and whether the connection can be read."""
        made = [str(command) for piece in pieces for command in self.layer.receive_data(piece)]
        state = self.layer.conn.state
        return self.received.data, self.received.ends, made, bool(state & ConnectionState.CAN_READ)

    def send(self, data: bytes) -> bytes:
        """Return what the layer writes, as its peer reads it."""
        for command in self.layer.send_data(data):
            assert isinstance(command, commands.SendData)
            self.peer.bio_write(command.data)
        parts = []
        try:
            while True:
                parts.append(self.peer.recv(65535))
        except SSL.WantReadError:
            return b"".join(parts)


def pending_output(side: SSL.Connection) -> bytes:
    parts = []
    try:
        while True:
            parts.append(side.bio_read(65535))
    except SSL.WantReadError:
        return b"".join(parts)


def split_at(data: bytes, places: Sequence[int]) -> list[bytes]:
    at = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(at) if a < b]


MESSAGES = {
    "one record": [b"x"],
    "three records": [b"a" * 10, b"b" * 100, b"c"],
    "full records": [b"x" * 40_000],
    "nothing": [],
}
PLACES = {"whole": (), "split": (1, 5, 6, 30), "every byte": range(400)}


@pytest.mark.parametrize("end", ["open", "closed", "garbage"])
@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("messages", MESSAGES.values(), ids=MESSAGES)
def test_tls_records_are_read_as_before(
    leaf: Leaf, messages: Sequence[bytes], places: Sequence[int], end: str
) -> None:
    def run() -> object:
        peers = TlsPeers(leaf)
        for message in messages:
            peers.peer.sendall(message)
        if end == "closed":
            peers.peer.shutdown()
        sent = pending_output(peers.peer) + (
            b"\x17\x03\x03\x00\x05junk!" if end == "garbage" else b""
        )
        data, ends, made, readable = peers.receive(split_at(sent, places))
        kinds = [line for line in made if not line.startswith("SendData")]  # an alert is random
        return data, ends, kinds, readable

    own, fast = both_ways(run, "tls_records", "tunnel_commands")
    assert own == fast


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 100_000])
def test_tls_records_are_written_completely(leaf: Leaf, size: int) -> None:
    data = b"x" * size
    own, fast = both_ways(lambda: TlsPeers(leaf).send(data), "tls_records", "tunnel_commands")
    assert own == fast == data


# The chunks of HTTP/1.1 bodies


def read_body(reader: ChunkedReader, pieces: Sequence[bytes]) -> tuple[bytes, str, bytes]:
    """Return the data, how it ended, and what is left."""
    buffer, data = ReceiveBuffer(), b""
    for piece in pieces:
        buffer += piece
        while True:
            try:
                event = reader(buffer)
            except h11.ProtocolError as error:
                return data, f"error: {error}", b""
            if event is None:
                break
            if isinstance(event, h11.EndOfMessage):
                return data, "end", bytes(buffer)
            data += bytes(event.data)
    return data, "incomplete", b""


CHUNKS = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=20),
        st.sampled_from(["%x", "%X", "00%x", "%x;name=value", "%x \t", "0%x"]),
    ),
    max_size=5,
).map(lambda chunks: b"".join(size.encode() % len(c) + b"\r\n" + c + b"\r\n" for c, size in chunks))
REST = st.sampled_from(
    [
        b"0\r\n\r\n",
        b"0\r\n\r\nnext",
        b"0\r\nname: value\r\n\r\n",
        b"000\r\n\r\n",
        b"",
        b"3\r\nabc",
        b"3\r\nabcd\r\n",
        b"0x3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"1_0\r\n" + b"a" * 16 + b"\r\n",
        b" 3\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"\r\n",
        b"g\r\n",
        b"ffffffffffffffff\r\n",
        b"fffffffffffffffffffffff\r\n",
    ]
)


@given(CHUNKS, REST, st.lists(st.integers(0, 200), max_size=6))
def test_chunks_are_read_as_h11_reads_them(body: bytes, rest: bytes, places: list[int]) -> None:
    pieces = split_at(body + rest, places)
    assert read_body(TrailersReader(), pieces) == read_body(ChunkedReader(), pieces)


def test_all_chunks_of_one_read_are_one_event() -> None:
    buffer, reader = ReceiveBuffer(), TrailersReader()
    buffer += b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
    event = reader(buffer)
    assert isinstance(event, h11.Data)
    assert bytes(event.data) == b"abc"
    assert isinstance(reader(buffer), h11.EndOfMessage)


# host_names

HOSTS: tuple[str | bytes, ...] = (
    *("api.example.com", "api.example.com:443", b"api.example.com:8443", "EXAMPLE.com", "a_b", ""),
    *("[::1]:80", "::1", b"[::1]", "a:b", "a:99999", "ü.example", "ü".encode(), b"\xff", "a b"),
    *("a" * 400, b"a." * 200, "a\0b", "user@host", "127.0.0.1:1"),
)


@pytest.mark.parametrize("name", HOSTS, ids=repr)
def test_host_names_are_read_as_before(name: str | bytes) -> None:
    def read() -> list[object]:
        found: list[object] = []
        for is_checked in (True, False, True, False):
            found.append(net_check.is_valid_host(name))
            try:
                found.append(url.parse_authority(name, check=is_checked))
            except ValueError as error:
                found.append(type(error))
        return found

    own, fast = both_ways(read, "host_names")
    assert own == fast


def test_only_some_short_host_names_are_remembered() -> None:
    with installed("host_names"):
        remembered: Any = url.parse_authority
        assert remembered("a.example", False) is remembered("a.example", False)
        assert remembered("a" * 400, False) is not remembered("a" * 400, False)


# head_lines, head_checks and urls


def outcome(run: Callable[[], object]) -> object:
    """Return the result, or the exception as text."""
    try:
        return run()
    except Exception as error:
        return repr(error)


LINES = st.lists(
    st.sampled_from(
        [b"a: 1", b"B:2 ", b" folded", b"\tfolded", b": no name", b"no colon", b"", b"c : 3", b"d:"]
    ),
    max_size=4,
)


@given(LINES)
def test_the_lines_of_a_head_are_read_as_before(lines: list[bytes]) -> None:
    def look() -> object:
        return outcome(lambda: read._read_headers(iter(lines)).fields)

    own, fast = both_ways(look, "head_lines")
    assert own == fast


HEAD_FIELDS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *(b"a", b"A-b", b"", b"a b", b"a\n", b"a\nb", b"\xc3"),
                *(b"Content-Length", b"content-length", b"Transfer-Encoding"),
            ]
        ),
        st.sampled_from([b"1", b"01", b"-1", b"x", b"chunked", b"Chunked", b"gzip", b"", b"1\n"]),
    ),
    max_size=4,
)


@given(HEAD_FIELDS, st.sampled_from([0, 100, 200, 204]), st.sampled_from(["HTTP/1.0", "HTTP/1.1"]))
def test_heads_are_accepted_and_refused_as_before(
    fields: list[tuple[bytes, bytes]], status: int, version: str
) -> None:
    """`status` 0: a request."""
    message: http.Message = tutils.tresp(status_code=status) if status else tutils.treq()
    message.headers = http.Headers(fields)
    message.http_version = version

    def look() -> tuple[object, object]:
        return (
            outcome(lambda: validate.validate_headers(message)),
            outcome(lambda: layers_http.validate_headers(message)),
        )

    own, fast = both_ways(look, "head_checks")
    assert own == fast


@pytest.mark.parametrize(
    "target",
    [b"http://a/b", "https://a:1/b", b"http://a/b?key=secret", b"http:///b", b"http://\xff/", "x"],
)
def test_urls_are_read_as_before(target: str | bytes) -> None:
    def look() -> object:
        return [outcome(lambda: url.parse(target)) for _ in range(2)]

    own, fast = both_ways(look, "urls")
    assert own == fast


# context_forks


def test_a_context_is_copied_as_before() -> None:
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
    context = Context(client, options.Options())
    context.layers.append(Received(Context(client, options.Options())))

    def look() -> dict[str, Any]:
        copy = context.fork()
        assert type(copy) is Context
        assert copy.layers is not context.layers
        return vars(copy)

    own, fast = both_ways(look, "context_forks")
    assert own == fast
