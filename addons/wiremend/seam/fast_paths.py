"""Faster versions of mitmproxy's hot spots, with the same behaviour.

A call spends most of its time in code of mitmproxy that does the same work for every event: it
looks for the hooks of all addons, copies options, checks types, and asks OpenSSL for bytes that are
not there. Each part here replaces one such spot:

    hook_table     which addons have a hook is determined once, not for each event
    log_entries    no deprecated log entry is made unless an addon wants it
    inline_hooks   hooks and timers run without a task of their own
    served_pages   only requests for mitmproxy's own pages are awaited
    hook_fields    the arguments of a hook are read without `dataclasses.fields`
    plain_options  options with immutable values are not copied when they are read
    field_types    the types of a message's fields are read once, not for each message
    header_lookup  the fields of a head are compared as bytes, and their names are kept
    unseen_logs    no record is made for a log line that no handler would show
    host_names     the last host names that were read are remembered (`fast_hosts.py`)
    tls_records    OpenSSL is asked for as many bytes as it has
    collector      what the start has created is left out of garbage collections

A part is installed only if it was written for the code that it replaces: `KNOWN_SOURCES` contains
digests of that code. So a new version of mitmproxy runs its own code. The option
`wiremend_fast_paths` disables all parts. The chunks of HTTP/1.1 bodies are read by
`http1_trailers.py`, which replaces that code anyway.
"""

import asyncio
import dataclasses
import gc
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import chain
from operator import itemgetter
from types import UnionType
from typing import Any, cast, get_args, get_origin

from mitmproxy import addonmanager, exceptions, flow, hooks, http, log, optmanager
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.asgiapp import ASGIApp
from mitmproxy.addons.onboarding import Onboarding
from mitmproxy.connection import ConnectionState
from mitmproxy.coretypes import multidict
from mitmproxy.net import check as net_check
from mitmproxy.net.http import url
from mitmproxy.proxy import commands, events
from mitmproxy.proxy import server as proxy_server
from mitmproxy.proxy.layers import tls
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO, TimeoutWatchdog
from mitmproxy.utils import typecheck
from mitmproxy.utils.asyncio_utils import create_task
from OpenSSL import SSL

from wiremend.seam.connections import Commands
from wiremend.seam.fast_hosts import Replacement, host_names

Steps = Generator[Awaitable[Any], None, None]
"""Calls hooks, and yields what has to be awaited in between."""

KNOWN_SOURCES = frozenset(
    {
        "0ba4541fc6fa15ce",
        "13180532440359de",
        "1f256dc3d66394a0",
        "350b419ab7284091",
        "367b3317bc2ba45c",
        "38c97e792d1db5b7",
        "482e7414c932e3e8",
        "4d53696a5f9f6670",
        "4f7a8f8411d51f35",
        "54cd27a492416379",
        "5bab95f7aa358e18",
        "5bff03c1afa25bb7",
        "602d253086c75a35",
        "62d6d57d43dd1a2e",
        "6859c2d9c826806e",
        "6e42e075ee5fa3df",
        "706760d6eecf10cd",
        "76efad3bee98e9b5",
        "85c0e6b656c324e5",
        "95c9f187c70d4d09",
        "9ac7970160526268",
        "9f8b52fd798203c9",
        "a2b42657ebe8bf6d",
        "a333ab3b51300b44",
        "b19e37ceb2096421",
        "b60e47c7091fa795",
        "b763c59bc4992e33",
        "ba95afcdfe7033d4",
        "bad3d9f88bdf9269",
        "d808a4075a1f266d",
        "d8338265c05d8491",
        "dd59639eb7c46701",
        "f2052c18340e99b0",
        "f31abfc72ed98d50",
        "f65088e210cd9cc1",
        "f6e48a4764c85df0",
        "faf0668e22579e8b",
        "ffc1fb69904cbb84",
    }
)
"""Digests of the functions that parts replace, in mitmproxy 12.2.3 and 12.3.1."""


@dataclass(frozen=True)
class Part:
    """One hot spot, and what replaces it."""

    name: str
    replaces: tuple[Callable[..., Any], ...]
    """The functions that are replaced, and those whose work the replacements do."""
    replacements: Callable[[], Sequence[Replacement]]

    def is_applicable(self) -> bool:
        """Return whether this version of mitmproxy has the code that the part was written for."""
        return all(digest_of(function) in KNOWN_SOURCES for function in self.replaces)


def digest_of(function: Callable[..., Any]) -> str:
    """Return a digest of a function's source; "" if it has none."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return ""
    return sha256(source.encode()).hexdigest()[:16]


_INHERITED = object()


class FastPaths:
    """Installs and removes the parts."""

    def __init__(self) -> None:
        self._originals: list[Replacement] = []
        self._long_lived: LongLived | None = None

    def install(self, parts: Sequence[Part]) -> list[str]:
        """Install the applicable parts; return the names of the others."""
        left_out = []
        self._long_lived = LongLived()
        for part in parts:
            if not part.is_applicable():
                left_out.append(part.name)
                continue
            for owner, name, value in part.replacements():
                self._originals.append((owner, name, vars(owner).get(name, _INHERITED)))
                setattr(owner, name, value)
        return left_out

    def remove(self) -> None:
        """Restore what was replaced, in reverse order."""
        for owner, name, value in reversed(self._originals):
            if value is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
        self._originals.clear()
        if self._long_lived is not None:
            self._long_lived.release()
            self._long_lived = None


# hook_table

_TABLE = "wiremend_hook_table"
"""The attribute of an AddonManager with its hooks: by name of a hook, the functions of each entry
of the chain that has any."""


def _hook_table() -> Sequence[Replacement]:
    changing = ("clear", "register", "add", "remove")
    return [
        (AddonManager, "handle_lifecycle", _handle_lifecycle),
        (AddonManager, "trigger", _triggering(AddonManager.trigger)),
        *((AddonManager, name, _forgetting(getattr(AddonManager, name))) for name in changing),
    ]


def _triggering(original: Callable[..., Any]) -> Callable[..., Any]:
    """Trigger only events that an addon has a hook for.

    Hooks such as `configure` may change which hooks exist; those that only report do not.
    """
    forgetting = _forgetting(original)

    def trigger(manager: AddonManager, event: hooks.Hook) -> None:
        if not isinstance(event, hooks.UpdateHook | log.AddLogHook):
            forgetting(manager, event)
        elif _hooks_named(manager, event):
            original(manager, event)

    return trigger


def _forgetting(original: Callable[..., Any]) -> Callable[..., Any]:
    """Drop the table before and after a method that can change which hooks exist."""

    def method(manager: AddonManager, *args: Any) -> Any:
        manager.__dict__.pop(_TABLE, None)
        try:
            return original(manager, *args)
        finally:
            manager.__dict__.pop(_TABLE, None)

    return method


def _hooks_named(manager: AddonManager, event: hooks.Hook) -> list[list[Callable[..., Any]]]:
    table = manager.__dict__.setdefault(_TABLE, {})
    try:
        found: list[list[Callable[..., Any]]] = table[event.name]
    except KeyError:
        entries = [[hook for _, hook in manager._iter_hooks(a, event)] for a in manager.chain]
        found = table[event.name] = [entry for entry in entries if entry]
    return found


async def _handle_lifecycle(manager: AddonManager, event: hooks.Hook) -> None:
    """Do as `AddonManager.handle_lifecycle` does."""
    await _await_each(_lifecycle(manager, event, event.args()))


def _lifecycle(manager: AddonManager, event: hooks.Hook, args: list[Any]) -> Steps:
    """Call the hooks of an event; yield what has to be awaited before the next one."""
    yield from _trigger(manager, event, args)
    if isinstance(args[0], flow.Flow):
        update = hooks.UpdateHook([args[0]])
        yield from _trigger(manager, update, [update.flows])


def _trigger(manager: AddonManager, event: hooks.Hook, args: list[Any]) -> Steps:
    """Do as `AddonManager.trigger_event` does: an exception skips the rest of its chain entry."""
    for entry in _hooks_named(manager, event):
        try:
            for hook in entry:
                result = hook(*args)
                if result is not None and inspect.isawaitable(result):
                    yield result
        except exceptions.AddonHalt:
            return
        except Exception:
            with addonmanager.safecall():
                raise


async def _await_each(steps: Steps, first: Awaitable[Any] | None = None) -> None:
    """Await what the steps yield; `first` was yielded already."""
    waiting = first if first is not None else next(steps, None)
    while waiting is not None:
        try:
            await waiting
        except BaseException as exception:
            try:
                waiting = steps.throw(exception)
            except StopIteration:
                return
        else:
            waiting = next(steps, None)


# log_entries


def _log_entries() -> Sequence[Replacement]:
    """Replace `emit`, which wakes the event loop for each log line."""
    original = log.LegacyLogEvents.emit
    event = log.AddLogHook(log.LogEntry("", "info"))

    def emit(handler: log.LegacyLogEvents, record: logging.LogRecord) -> None:
        if _hooks_named(handler.master.addons, event):
            original(handler, record)

    return [(log.LegacyLogEvents, "emit", emit)]


# inline_hooks


def _inline_hooks() -> Sequence[Replacement]:
    """Replace `server_event`, which creates a task for each hook and for each timer.

    The task has to wait until `server_event` has ended. Most hooks complete at once, so the event
    that follows is handled here.
    """

    async def server_event(handler: ConnectionHandler, event: events.Event) -> None:
        async with handler._server_event_lock:
            handler.timeout_watchdog.register_activity()
            following = deque([event])
            try:
                while following:
                    for command in handler.layer.handle_event(following.popleft()):
                        if type(command) is commands.SendData:
                            _write(handler, command)
                        elif isinstance(command, commands.StartHook) and _has_own_hooks(handler):
                            if _run_hook(handler, command) and command.blocking:
                                following.append(events.HookCompleted(command))
                        else:
                            _execute(handler, command)
            except Exception:
                handler.log("mitmproxy has crashed!", logging.ERROR, exc_info=True)

    return [(ConnectionHandler, "server_event", server_event)]


def _write(handler: ConnectionHandler, command: commands.SendData) -> None:
    io = handler.transports.get(command.connection)
    if io is not None:  # else the connection has been closed
        assert io.writer
        if not io.writer.is_closing():
            io.writer.write(command.data)


def _has_own_hooks(handler: ConnectionHandler) -> bool:
    """Whether this is the handler of a client, and not for example that of a replay."""
    return type(handler).handle_hook is ProxyConnectionHandler.handle_hook


def _run_hook(handler: ConnectionHandler, hook: commands.StartHook) -> bool:
    """Call the hooks; return whether they have completed. If not, a task completes them."""
    args = hook.args()
    (data,) = args
    manager = cast("ProxyConnectionHandler", handler).master.addons
    steps = _resumed(_lifecycle(manager, hook, args), data)
    try:
        waiting = next(steps, None)
    except Exception as exception:
        # It ends a task that nothing waits for, as in mitmproxy.
        steps, waiting = _failing(exception), _nothing()
    if waiting is None:
        return True
    create_task(
        _complete_hook(handler, hook, steps, waiting),
        name=f"handle_hook({hook.name})",
        keep_ref=True,
        client=handler.client.peername,
    )
    return False


def _resumed(steps: Steps, data: Any) -> Steps:
    """Also wait until a flow that was intercepted is resumed."""
    yield from steps
    if isinstance(data, flow.Flow) and data.intercepted:
        yield data.wait_for_resume()


def _failing(exception: Exception) -> Steps:
    raise exception
    yield


async def _nothing() -> None:
    pass


async def _complete_hook(
    handler: ConnectionHandler, hook: commands.StartHook, steps: Steps, waiting: Awaitable[Any]
) -> None:
    with handler.timeout_watchdog.disarm():
        await _await_each(steps, waiting)
    if hook.blocking:
        await handler.server_event(events.HookCompleted(hook))


def _execute(handler: ConnectionHandler, command: commands.Command) -> None:
    """Do as `ConnectionHandler.server_event` does with a command."""
    match command:
        case commands.OpenConnection():
            assert command.connection not in handler.transports
            task = create_task(
                handler.open_connection(command),
                name=f"server connection handler {command.connection.address}",
                keep_ref=False,
                client=handler.client.peername,
            )
            handler.transports[command.connection] = ConnectionIO(handler=task)
        case commands.RequestWakeup():
            _start_timer(handler, command)
        case commands.ConnectionCommand() if command.connection not in handler.transports:
            pass  # the connection has been closed
        case commands.SendData():
            _write(handler, command)
        case commands.CloseTcpConnection():
            handler.close_connection(command.connection, command.half_close)
        case commands.CloseConnection():
            handler.close_connection(command.connection, False)
        case commands.StartHook():
            create_task(
                handler.hook_task(command),
                name=f"handle_hook({command.name})",
                keep_ref=True,
                client=handler.client.peername,
            )
        case commands.Log():
            handler.log(command.message, command.level)
        case _:
            raise RuntimeError(f"Unexpected command: {command}")


def _start_timer(handler: ConnectionHandler, command: commands.RequestWakeup) -> None:
    """Start a timer of the event loop. `handle_client` cancels what is in `wakeup_timer`."""

    def expire() -> None:
        timers.discard(timer)
        create_task(
            handler.server_event(events.Wakeup(command)),
            name="wakeup",
            keep_ref=True,
            client=handler.client.peername,
        )

    timers: set[Any] = handler.wakeup_timer
    timer = asyncio.get_running_loop().call_later(command.delay, expire)
    timers.add(timer)


# served_pages


def _served_pages() -> Sequence[Replacement]:
    """Replace a coroutine that `request` would have to await for every flow."""
    original = Onboarding.request

    def request(app: Onboarding, served: http.HTTPFlow) -> Awaitable[None] | None:
        return original(app, served) if app.should_serve(served) else None  # type: ignore[no-untyped-call]

    return [(Onboarding, "request", request)]


# hook_fields


def _hook_fields() -> Sequence[Replacement]:
    names: dict[type[hooks.Hook], tuple[str, ...]] = {}

    def args(hook: hooks.Hook) -> list[Any]:
        kind = type(hook)
        if kind not in names:
            names[kind] = tuple(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
        return [getattr(hook, name) for name in names[kind]]

    return [(hooks.Hook, "args", args)]


# plain_options


def _plain_options() -> Sequence[Replacement]:
    plain = frozenset({str, int, bool, float, type(None)})
    original = optmanager._Option.current

    def current(option: Any) -> Any:
        value = option._default if option.value is optmanager.unset else option.value
        return value if type(value) in plain else original(option)

    return [(optmanager._Option, "current", current)]


# field_types


def _field_types() -> Sequence[Replacement]:
    @cache
    def types_of(message: type) -> tuple[tuple[str, tuple[type, ...]], ...]:
        return tuple((field.name, _classes_of(field.type)) for field in dataclasses.fields(message))

    original = http.MessageData.__post_init__

    def __post_init__(data: http.MessageData) -> None:
        values = data.__dict__
        for name, classes in types_of(type(data)):
            if not isinstance(values[name], classes):
                original(data)  # type: ignore[no-untyped-call] # raises the error, or accepts an int for a float
                return

    return [(http.MessageData, "__post_init__", __post_init__)]


def _classes_of(annotation: Any) -> tuple[type, ...]:
    """Return the classes whose instances have this type; none if it is not that simple."""
    parts = get_args(annotation) if get_origin(annotation) is UnionType else (annotation,)
    return parts if all(isinstance(part, type) for part in parts) else ()


# header_lookup


_NAMES = "wiremend_names"
"""The attribute of Headers with the fields that were looked through last, and their names."""


def _header_lookup() -> Sequence[Replacement]:
    original = http.Headers.__init__
    pair, just_bytes, name_of = frozenset({2}), frozenset({bytes}), itemgetter(0)

    def __init__(headers: http.Headers, fields: Any = (), **named: Any) -> None:
        given = tuple(map(tuple, fields))
        are_pairs = pair.issuperset(map(len, given))
        if are_pairs and not named and just_bytes.issuperset(map(type, chain.from_iterable(given))):
            headers.fields = given
        else:
            original(headers, given, **named)

    def get_all(headers: http.Headers, name: str | bytes) -> list[str]:
        if type(name) is str:
            key = name.encode("utf-8", "surrogateescape").lower()
        else:
            key = http._always_bytes(name).lower()
        fields = headers.fields
        fields_and_names = headers.__dict__.get(_NAMES)
        if fields_and_names is None or fields_and_names[0] is not fields:
            fields_and_names = fields, set(map(bytes.lower, map(name_of, fields)))
            if type(fields) is tuple:  # what an addon may set does not change
                headers.__dict__[_NAMES] = fields_and_names
        if key not in fields_and_names[1]:
            return []  # as in most cases
        return [
            value.decode("utf-8", "surrogateescape")
            for field, value in fields
            if field.lower() == key
        ]

    def __getitem__(headers: http.Headers, name: str | bytes) -> str:
        values = headers.get_all(name)
        if not values:
            raise KeyError(name)
        return values[0] if len(values) == 1 else ", ".join(values)

    def __contains__(headers: http.Headers, name: object) -> bool:
        return bool(headers.get_all(name))  # type: ignore[arg-type]

    def get(headers: http.Headers, name: str | bytes, default: Any = None) -> Any:
        values = headers.get_all(name)
        if not values:
            return default
        return values[0] if len(values) == 1 else ", ".join(values)

    methods = (__init__, get_all, __getitem__, __contains__, get)
    return [(http.Headers, method.__name__, method) for method in methods]


# unseen_logs


def _unseen_logs() -> Sequence[Replacement]:
    original = ConnectionHandler.log
    root = logging.getLogger()

    def is_seen(level: int) -> bool:
        """Return whether a handler may show a record; a handler of another program always may."""
        return not proxy_server.logger.propagate or any(
            level >= handler.level or not isinstance(handler, log.MitmLogHandler)
            for handler in (*root.handlers, *proxy_server.logger.handlers)
        )

    def log_line(
        handler: ConnectionHandler,
        message: str,
        level: int = logging.INFO,
        exc_info: Any = None,
    ) -> None:
        if is_seen(level):
            original(handler, message, level, exc_info)

    return [(ConnectionHandler, "log", log_line)]


# tls_records

_READ_BYTES = 16384
"""The longest plaintext of one TLS record (RFC 8446, 5.1)."""


def _tls_records() -> Sequence[Replacement]:
    # The bindings have no types.
    ffi, size_of_memory = SSL._ffi, SSL._lib.BIO_get_mem_data  # type: ignore[attr-defined]
    scratch = ffi.new("char **")

    def tls_interact(layer: tls.TLSLayer) -> Commands:
        connection = layer.tls
        while size := size_of_memory(connection._from_ssl, scratch):
            yield commands.SendData(layer.conn, connection.bio_read(size))

    def receive_data(layer: tls.TLSLayer, data: bytes) -> Commands:
        connection: SSL.Connection = layer.tls
        if data:
            connection.bio_write(data)
        parts = []
        is_closed = False
        try:
            while True:
                parts.append(connection.recv(_READ_BYTES))
                if not connection.pending() and not size_of_memory(connection._into_ssl, scratch):
                    break
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            is_closed = True
        except SSL.Error as error:
            yield commands.Log(f"TLS Error: {error}", logging.WARNING)
        if size_of_memory(connection._from_ssl, scratch):
            yield from layer.tls_interact()
        if parts:
            plaintext = parts[0] if len(parts) == 1 else b"".join(parts)
            yield from layer.event_to_child(events.DataReceived(layer.conn, plaintext))
        if is_closed:
            layer.conn.state &= ~ConnectionState.CAN_READ
            if layer.debug:
                yield commands.Log(f"{layer.debug}[tls] close_notify {layer.conn}", logging.DEBUG)
            yield from layer.event_to_child(events.ConnectionClosed(layer.conn))

    return [
        (tls.TLSLayer, "tls_interact", tls_interact),
        (tls.TLSLayer, "receive_data", receive_data),
    ]


# collector


class LongLived:
    """Leaves the objects that exist now out of garbage collections, and collects less often.

    A collection looks at the objects that the start has created, some 200,000, again and again.
    """

    def __init__(self) -> None:
        self._thresholds = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)

    def release(self) -> None:
        """Collect as before."""
        gc.unfreeze()
        gc.set_threshold(*self._thresholds)


PARTS = (
    Part(
        "hook_table",
        (
            AddonManager.handle_lifecycle,
            AddonManager.trigger_event,
            AddonManager.invoke_addon,
            AddonManager._iter_hooks,
            AddonManager.trigger,
            addonmanager.traverse,
            addonmanager.safecall,
        ),
        _hook_table,
    ),
    Part("log_entries", (log.LegacyLogEvents, log.AddLogHook), _log_entries),
    Part(
        "inline_hooks",
        (
            ConnectionHandler.server_event,
            ConnectionHandler.hook_task,
            ConnectionHandler.wakeup,
            TimeoutWatchdog,
            ProxyConnectionHandler.handle_hook,
            flow.Flow.wait_for_resume,
        ),
        _inline_hooks,
    ),
    Part(
        "served_pages", (Onboarding.request, ASGIApp.request, ASGIApp.should_serve), _served_pages
    ),
    Part("hook_fields", (hooks.Hook.args,), _hook_fields),
    Part(
        "plain_options",
        (optmanager._Option.current,),
        _plain_options,
    ),
    Part(
        "field_types",
        (
            http.MessageData.__post_init__,
            typecheck.check_option_type,
        ),
        _field_types,
    ),
    Part(
        "header_lookup",
        (
            http.Headers.__init__,
            http.Headers.get_all,
            http.Headers._reduce_values,
            http.Headers._kconv,
            http._always_bytes,
            http._native,
            multidict.MultiDict.__init__,
            multidict._MultiDict.get_all,
            multidict._MultiDict.__getitem__,
        ),
        _header_lookup,
    ),
    Part(
        "unseen_logs",
        (
            ConnectionHandler.log,
            log.MitmLogHandler,
        ),
        _unseen_logs,
    ),
    Part(
        "host_names",
        (url.parse_authority, net_check.is_valid_host, net_check.is_valid_port),
        host_names,
    ),
    Part(
        "tls_records",
        (
            tls.TLSLayer.tls_interact,
            tls.TLSLayer.receive_data,
        ),
        _tls_records,
    ),
)
