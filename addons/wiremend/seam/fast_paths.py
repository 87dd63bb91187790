"""Faster versions of mitmproxy's hot spots, with the same behaviour.

A call spends most of its time in code of mitmproxy that does the same work for every event: it
looks for the hooks of all addons, copies options, checks types, and asks OpenSSL for bytes that are
not there. Each part here replaces one such spot:

    hook_table     which addons have a hook is determined once, not for each event
    hook_fields    the arguments of a hook are read without `dataclasses.fields`
    plain_options  options with immutable values are not copied when they are read
    field_types    the types of a message's fields are read once, not for each message
    unseen_logs    no record is made for a log line that no handler would show
    tls_records    OpenSSL is asked for as many bytes as it has
    collector      what the start has created is left out of garbage collections

A part is installed only if it was written for the code that it replaces: `KNOWN_SOURCES` contains
digests of that code. So a new version of mitmproxy runs its own code. The option
`wiremend_fast_paths` disables all parts. The chunks of HTTP/1.1 bodies are read by
`http1_trailers.py`, which replaces that code anyway.
"""

import dataclasses
import gc
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from types import UnionType
from typing import Any, get_args, get_origin

from mitmproxy import addonmanager, exceptions, flow, hooks, http, log, optmanager
from mitmproxy.addonmanager import AddonManager
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events
from mitmproxy.proxy import server as proxy_server
from mitmproxy.proxy.layers import tls
from mitmproxy.utils import typecheck
from OpenSSL import SSL

from wiremend.seam.connections import Commands

Replacement = tuple[object, str, Any]
"""An owner, the name of its attribute, and the new value."""


KNOWN_SOURCES = frozenset(
    {
        "38c97e792d1db5b7",
        "b763c59bc4992e33",
        "13180532440359de",
        "350b419ab7284091",
        "bad3d9f88bdf9269",
        "f2052c18340e99b0",
        "5bab95f7aa358e18",
        "6859c2d9c826806e",
        "f65088e210cd9cc1",
        "b60e47c7091fa795",
        "706760d6eecf10cd",
        "ffc1fb69904cbb84",
        "62d6d57d43dd1a2e",
        "85c0e6b656c324e5",
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
                self._originals.append((owner, name, getattr(owner, name)))
                setattr(owner, name, value)
        return left_out

    def remove(self) -> None:
        """Restore what was replaced, in reverse order."""
        for owner, name, value in reversed(self._originals):
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
    changing = ("clear", "register", "add", "remove", "trigger")
    return [
        (AddonManager, "handle_lifecycle", _handle_lifecycle),
        *((AddonManager, name, _forgetting(getattr(AddonManager, name))) for name in changing),
    ]


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
    args = event.args()
    await _trigger(manager, event, args)
    if isinstance(args[0], flow.Flow):
        update = hooks.UpdateHook([args[0]])
        if _hooks_named(manager, update):
            await _trigger(manager, update, [update.flows])


async def _trigger(manager: AddonManager, event: hooks.Hook, args: list[Any]) -> None:
    """Do as `AddonManager.trigger_event` does: an exception skips the rest of its chain entry."""
    for entry in _hooks_named(manager, event):
        try:
            for hook in entry:
                result = hook(*args)
                if result is not None and inspect.isawaitable(result):
                    await result
        except exceptions.AddonHalt:
            return
        except Exception:
            with addonmanager.safecall():
                raise


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


# unseen_logs


def _unseen_logs() -> Sequence[Replacement]:
    original = proxy_server.ConnectionHandler.log
    root = logging.getLogger()

    def is_seen(level: int) -> bool:
        """Return whether a handler may show a record; a handler of another program always may."""
        return not proxy_server.logger.propagate or any(
            level >= handler.level or not isinstance(handler, log.MitmLogHandler)
            for handler in (*root.handlers, *proxy_server.logger.handlers)
        )

    def log_line(
        handler: proxy_server.ConnectionHandler,
        message: str,
        level: int = logging.INFO,
        exc_info: Any = None,
    ) -> None:
        if is_seen(level):
            original(handler, message, level, exc_info)

    return [(proxy_server.ConnectionHandler, "log", log_line)]


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
            addonmanager.traverse,
            addonmanager.safecall,
        ),
        _hook_table,
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
        "unseen_logs",
        (
            proxy_server.ConnectionHandler.log,
            log.MitmLogHandler,
        ),
        _unseen_logs,
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
