"""Faster versions of mitmproxy's hot spots, with the same behaviour.

A call spends most of its time in code of mitmproxy that does the same work for every event: it
looks for the hooks of all addons, copies options, checks types, and asks OpenSSL for bytes that are
not there. Each part here replaces one such spot:

    hook_table     which addons have a hook is determined once, not for each event
    log_entries    no deprecated log entry is made unless an addon wants it
    inline_hooks   hooks and timers run without a task, and the hooks of a call where it waits
    served_pages   only requests for mitmproxy's own pages are awaited
    idle_addons    addons that change flows as configured do nothing if nothing is configured
    crl_names      the name of the list of revoked certificates is made once for each CA
    log_lines      a log line is written at once, and its second is formatted once
    flow_lines     the lines on a flow are written without asking for the size of the terminal
    hook_fields    the arguments of a hook are read without `dataclasses.fields`
    plain_options  options with immutable values are not copied when they are read
    field_types    the types of a message's fields are read once, not for each message
    header_lookup  the fields of a head are compared as bytes, and their names are kept
    unseen_logs    no record is made for a log line that no handler would show
    head_lines     the lines of a head are read without exceptions
    head_checks    the names in a head are checked at once
    host_names     the last host names that were read are remembered
    large_reads    what has arrived from a client is read at once
    urls           the last URLs without a query that were read are remembered
    context_forks  a copied context makes no server that it drops
    tls_records    OpenSSL is asked for as many bytes as it has
    ended_timers   the timers of calls that have ended are cancelled
    open_tunnels   what is sent inside of a tunnel is not made into messages of HTTP
    tunnel_commands commands of other connections pass through a tunnel unexamined
    joined_events  a request, and what was read of a response, is one event
    unpaused_layers layers that do not wait for the reply to a command are entered directly
    direct_writes  a response is written without an event for the client's connection
    collector      what the start has created is left out of garbage collections

A part is installed only if it was written for the code that it replaces: `KNOWN_SOURCES` contains
digests of that code. So a new version of mitmproxy runs its own code. The option
`wiremend_fast_paths` disables all parts. Those on hooks are in `hooks.py`, those on messages in
`messages.py`, those on bodies in `bodies.py`, those on lines in `output.py`, those on the way of a
call through the layers in `calls.py`. The chunks of HTTP/1.1 bodies are read by
`seam/http1_trailers.py`, which replaces that code anyway.
"""

import gc
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from mitmproxy import addonmanager, flow, hooks, http, log, optmanager
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.asgiapp import ASGIApp
from mitmproxy.addons.dumper import Dumper
from mitmproxy.addons.maplocal import MapLocal
from mitmproxy.addons.modifyheaders import ModifyHeaders
from mitmproxy.addons.onboarding import Onboarding
from mitmproxy.addons.termlog import TermLogHandler
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.addons.update_alt_svc import UpdateAltSvc
from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.coretypes import multidict
from mitmproxy.net import check as net_check
from mitmproxy.net.http import url, validate
from mitmproxy.net.http.http1 import read
from mitmproxy.proxy import commands, events
from mitmproxy.proxy import server as proxy_server
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer, NextLayer
from mitmproxy.proxy.layers import tls
from mitmproxy.proxy.layers.http import HttpClient, HttpLayer, HttpStream
from mitmproxy.proxy.layers.http._http1 import Http1Connection, Http1Server
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionHandler, LiveConnectionHandler, TimeoutWatchdog
from mitmproxy.proxy.tunnel import TunnelLayer
from mitmproxy.utils import strutils, typecheck
from OpenSSL import SSL

from wiremend.seam.connections import Commands
from wiremend.seam.fast.bodies import large_reads
from wiremend.seam.fast.calls import (
    direct_writes,
    ended_timers,
    joined_events,
    open_tunnels,
    tunnel_commands,
    unpaused_layers,
)
from wiremend.seam.fast.hooks import (
    crl_names,
    hook_fields,
    hook_table,
    idle_addons,
    inline_hooks,
    log_entries,
    served_pages,
)
from wiremend.seam.fast.messages import (
    Replacement,
    context_forks,
    field_types,
    head_checks,
    head_lines,
    header_lookup,
    host_names,
    urls,
)
from wiremend.seam.fast.output import flow_lines, log_lines

KNOWN_SOURCES = frozenset(
    {
        "00676a887c456cec",
        "04776846f3cf761c",
        "0818e55becb894aa",
        "0b843c828ea391a6",
        "0ba4541fc6fa15ce",
        "1095f6e1581d1780",
        "119a33642637d420",
        "11ede598b3b37965",
        "13180532440359de",
        "14324bf81cea64a6",
        "1f256dc3d66394a0",
        "21e393b7aff8d256",
        "25431c611ea39d3f",
        "25ce1b89275c1ea2",
        "27b46f4337ba25c6",
        "2ac8db3e43ae743f",
        "2cb1077a21556ca9",
        "350b419ab7284091",
        "367b3317bc2ba45c",
        "38c97e792d1db5b7",
        "41d524143eb511ce",
        "482e7414c932e3e8",
        "493ac58359a0af39",
        "4c6bf038aa472f3e",
        "4d53696a5f9f6670",
        "4d8ace76d8488336",
        "4e9724eb64588ac2",
        "4f7a8f8411d51f35",
        "54cd27a492416379",
        "5bab95f7aa358e18",
        "5bff03c1afa25bb7",
        "602d253086c75a35",
        "62d6d57d43dd1a2e",
        "66807318a8b7a7b7",
        "6859c2d9c826806e",
        "6ba31883cc7a06b3",
        "6e42e075ee5fa3df",
        "6e89b0629e49021a",
        "706760d6eecf10cd",
        "76efad3bee98e9b5",
        "811403f1d7ddb4e3",
        "85c0e6b656c324e5",
        "8e68aed9b090eb93",
        "95c3f93e9824e527",
        "95c9f187c70d4d09",
        "97ffbfab9eb1e08e",
        "9ac7970160526268",
        "9f8b52fd798203c9",
        "a2b42657ebe8bf6d",
        "a333ab3b51300b44",
        "a6df32aba1ae251a",
        "a9041d305fde07b5",
        "aa59bc78ffbdcf54",
        "aece271029af36e4",
        "b19e37ceb2096421",
        "b60e47c7091fa795",
        "b763c59bc4992e33",
        "ba95afcdfe7033d4",
        "bad3d9f88bdf9269",
        "bc1cae775a49a4fe",
        "cc218a1337c0f5cf",
        "d808a4075a1f266d",
        "d8338265c05d8491",
        "db822ec74e0b4fd6",
        "dc5ed395ce4f0763",
        "dd52bbec90eacace",
        "dd59639eb7c46701",
        "e7647a94704363e7",
        "f2052c18340e99b0",
        "f31abfc72ed98d50",
        "f65088e210cd9cc1",
        "f6e48a4764c85df0",
        "faf0668e22579e8b",
        "fd88b0fb09ceddbb",
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


# plain_options


def _plain_options() -> Sequence[Replacement]:
    plain = frozenset({str, int, bool, float, type(None)})
    original = optmanager._Option.current

    def current(option: Any) -> Any:
        value = option._default if option.value is optmanager.unset else option.value
        return value if type(value) in plain else original(option)

    return [(optmanager._Option, "current", current)]


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
    Without them even a full one is quick. It must not be rare: connections are cycles, and those
    that lived through two collections are freed by a full one only.
    """

    def __init__(self) -> None:
        self._thresholds = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(5_000, 5, 2)

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
        hook_table,
    ),
    Part("log_entries", (log.LegacyLogEvents, log.AddLogHook), log_entries),
    Part(
        "inline_hooks",
        (
            ConnectionHandler.server_event,
            ConnectionHandler.hook_task,
            ConnectionHandler.wakeup,
            Layer.handle_event,
            TimeoutWatchdog,
            ProxyConnectionHandler.handle_hook,
            flow.Flow.wait_for_resume,
        ),
        inline_hooks,
    ),
    Part("served_pages", (Onboarding.request, ASGIApp.request, ASGIApp.should_serve), served_pages),
    Part(
        "idle_addons",
        (MapLocal.request, ModifyHeaders.run, UpdateAltSvc.responseheaders),
        idle_addons,
    ),
    Part("crl_names", (TlsConfig.crl_path,), crl_names),
    Part("log_lines", (log.MitmFormatter, TermLogHandler), log_lines),
    Part(
        "flow_lines",
        (
            Dumper.echo_flow,
            Dumper._echo_request_line,
            Dumper._echo_response_line,
            Dumper._fmt_client,
            Dumper.echo,
            Dumper.style,
            strutils.escape_control_characters,
        ),
        flow_lines,
    ),
    Part("hook_fields", (hooks.Hook.args,), hook_fields),
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
        field_types,
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
        header_lookup,
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
    Part("head_lines", (read._read_headers,), head_lines),
    Part("head_checks", (validate.validate_headers, validate.parse_content_length), head_checks),
    Part("urls", (url.parse,), urls),
    Part("context_forks", (Context,), context_forks),
    Part(
        "large_reads",
        (LiveConnectionHandler.__init__, ConnectionHandler.handle_connection),
        large_reads,
    ),
    Part(
        "tls_records",
        (
            tls.TLSLayer.tls_interact,
            tls.TLSLayer.receive_data,
        ),
        _tls_records,
    ),
    Part("ended_timers", (ConnectionHandler.wakeup, HttpLayer.event_to_child), ended_timers),
    Part(
        "open_tunnels",
        (
            HttpLayer._handle_event,
            HttpLayer.event_to_child,
            HttpStream.passthrough,
            Http1Connection.passthrough,
            Http1Server.send,
        ),
        open_tunnels,
    ),
    Part(
        "tunnel_commands",
        (TunnelLayer.event_to_child, TunnelLayer._handle_command, Connection.__eq__),
        tunnel_commands,
    ),
    Part("joined_events", (HttpLayer.event_to_child, Http1Connection.read_body), joined_events),
    Part(
        "unpaused_layers",
        (
            Layer.handle_event,
            NextLayer.handle_event,
            NextLayer._ask,
            HttpClient._handle_event,
            HttpLayer._handle_event,
            HttpLayer.event_to_child,
            Http1Connection._handle_event,
            TunnelLayer._handle_event,
            TunnelLayer._handle_command,
        ),
        unpaused_layers,
    ),
    Part(
        "direct_writes",
        (HttpLayer.event_to_child, Layer.handle_event, Http1Server.send, Http1Connection.mark_done),
        direct_writes,
    ),
)
