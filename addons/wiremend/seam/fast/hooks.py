"""Parts that replace how mitmproxy calls the hooks of addons; see `wiremend.seam.fast.paths`."""

import asyncio
import dataclasses
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, cast

from mitmproxy import addonmanager, exceptions, flow, hooks, http, log
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.maplocal import MapLocal
from mitmproxy.addons.modifyheaders import ModifyHeaders
from mitmproxy.addons.onboarding import Onboarding
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.addons.update_alt_svc import ALT_SVC, UpdateAltSvc
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO
from mitmproxy.utils.asyncio_utils import create_task

from wiremend.seam.connection_handler import handler_of
from wiremend.seam.connections import Flush, connections_of, http_layer_of
from wiremend.seam.fast.messages import Replacement
from wiremend.seam.http1_trailers import CallHttp1Server
from wiremend.seam.stream_layer import CallStream

Steps = Generator[Awaitable[Any], None, None]
"""Calls hooks, and yields what has to be awaited in between."""


# hook_table

_TABLE = "wiremend_hook_table"
"""The attribute of an AddonManager with its hooks: by name of a hook, the functions of each entry
of the chain that has any."""


def hook_table() -> Sequence[Replacement]:
    """Replace the methods that look for the hooks of all addons, and those that change them."""
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


def _may_have_hooks(manager: AddonManager, name: str) -> bool:
    """Return False if it is known that no addon has this hook."""
    return bool(manager.__dict__.get(_TABLE, {}).get(name, True))


def _is_flow(data: Any) -> bool:
    """Do as `isinstance` does, which takes longer for an abstract base class."""
    return type(data) is http.HTTPFlow or isinstance(data, flow.Flow)


async def _handle_lifecycle(manager: AddonManager, event: hooks.Hook) -> None:
    """Do as `AddonManager.handle_lifecycle` does."""
    await _await_each(_lifecycle(manager, event, event.args()))


def _lifecycle(manager: AddonManager, event: hooks.Hook, args: list[Any]) -> Steps:
    """Call the hooks of an event; yield what has to be awaited before the next one."""
    yield from _trigger(manager, event, args)
    if _is_flow(args[0]) and _may_have_hooks(manager, hooks.UpdateHook.name):
        update = hooks.UpdateHook([args[0]])
        yield from _trigger(manager, update, [update.flows])


def _trigger(manager: AddonManager, event: hooks.Hook, args: list[Any]) -> Steps:
    """Do as `AddonManager.trigger_event` does: an exception skips the rest of its chain entry."""
    subject = args[0]
    is_alone = len(args) == 1  # always; to pass a list of arguments takes longer
    for entry in _hooks_named(manager, event):
        try:
            for hook in entry:
                result = hook(subject) if is_alone else hook(*args)
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


def log_entries() -> Sequence[Replacement]:
    """Replace `emit`, which wakes the event loop for each log line."""
    original = log.LegacyLogEvents.emit
    event = log.AddLogHook(log.LogEntry("", "info"))

    def emit(handler: log.LegacyLogEvents, record: logging.LogRecord) -> None:
        if _hooks_named(handler.master.addons, event):
            original(handler, record)

    return [(log.LegacyLogEvents, "emit", emit)]


# inline_hooks


def inline_hooks() -> Sequence[Replacement]:
    """Replace `server_event`, which creates a task for each hook and for each timer.

    The task has to wait until `server_event` has ended. Most hooks complete at once, so the event
    that follows is handled here, and those of calls are called where the stream waits for them.
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

    return [
        (ConnectionHandler, "server_event", server_event),
        (CallStream, "run_hook", _run_hook_in_place),
    ]


def _write(handler: ConnectionHandler, command: commands.SendData) -> None:
    io = handler.transports.get(command.connection)
    if io is not None:  # else the connection has been closed
        assert io.writer
        if not io.writer.is_closing():
            io.writer.write(command.data)


def _has_own_hooks(handler: ConnectionHandler) -> bool:
    """Whether this is the handler of a client, and not for example that of a replay."""
    return type(handler).handle_hook is ProxyConnectionHandler.handle_hook


_BEGUN = "wiremend_begun"
"""The attribute of a hook whose functions were called: the rest, and what it waits for."""


def _run_hook_in_place(stream: CallStream, hook: commands.StartHook) -> CommandGenerator[bool]:
    """Call the hooks of a stream where it waits for them; return whether they have completed.

    mitmproxy returns from all layers to call them, and enters all layers with an event when they
    have completed. That is still so for hooks that wait for something, and for the first one of
    requests that a client sends at once, which would otherwise be handled in one stack.
    """
    handler = handler_of(stream.context.client)
    if (
        handler is None
        or not hook.blocking
        or stream.debug
        or not _has_own_hooks(handler)
        or (isinstance(hook, HttpRequestHeadersHook) and not _is_alone(stream))
    ):
        return False
    for layer in stream.context.layers:
        if isinstance(layer, HttpLayer) and connections_of(layer).unwritten:
            yield Flush()
            break
    steps, waiting = _begin_hook(handler, hook)
    if waiting is not None:
        hook.__dict__[_BEGUN] = steps, waiting
    return waiting is None


def _is_alone(stream: CallStream) -> bool:
    """Whether the request with this head certainly came neither with others nor behind one."""
    http_layer = http_layer_of(stream)
    server = http_layer.connections.get(stream.context.client)
    if not isinstance(server, CallHttp1Server) or len(http_layer.streams) != 1:
        return False
    length = stream.flow.request.headers.get("content-length", "")
    return length.isdecimal() and len(server.buf) <= int(length)


def _begin_hook(
    handler: ConnectionHandler, hook: commands.StartHook
) -> tuple[Steps, Awaitable[Any] | None]:
    """Call the hooks; return the rest and what it waits for, which is None if there is none."""
    args = hook.args()
    (data,) = args
    manager = cast("ProxyConnectionHandler", handler).master.addons
    steps = _resumed(_lifecycle(manager, hook, args), data)
    try:
        return steps, next(steps, None)
    except Exception as exception:
        # It ends a task that nothing waits for, as in mitmproxy.
        return _failing(exception), _nothing()


def _run_hook(handler: ConnectionHandler, hook: commands.StartHook) -> bool:
    """Call the hooks; return whether they have completed. If not, a task completes them."""
    steps, waiting = hook.__dict__.pop(_BEGUN, None) or _begin_hook(handler, hook)
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
    if _is_flow(data) and data.intercepted:
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
        case Flush():
            pass  # what was held back until now has been written
        case _:
            raise RuntimeError(f"Unexpected command: {command}")


_TIMER = "wiremend_timer"
"""The attribute of a command with its timer, until it expires."""


def _start_timer(handler: ConnectionHandler, command: commands.RequestWakeup) -> None:
    """Start a timer of the event loop. `handle_client` cancels what is in `wakeup_timer`."""

    def expire() -> None:
        timers.discard(timer)
        command.__dict__.pop(_TIMER, None)
        create_task(
            handler.server_event(events.Wakeup(command)),
            name="wakeup",
            keep_ref=True,
            client=handler.client.peername,
        )

    timers: set[Any] = handler.wakeup_timer
    timer = command.__dict__[_TIMER] = asyncio.get_running_loop().call_later(command.delay, expire)
    timers.add(timer)


def cancel_timer(handler: ConnectionHandler, command: commands.RequestWakeup) -> bool:
    """Cancel a timer that was started; False if there is none."""
    timer = command.__dict__.pop(_TIMER, None)
    if timer is None:
        return False
    timer.cancel()
    handler.wakeup_timer.discard(timer)
    return True


# served_pages


def served_pages() -> Sequence[Replacement]:
    """Replace a coroutine that `request` would have to await for every flow."""
    original = Onboarding.request

    def request(app: Onboarding, served: http.HTTPFlow) -> Awaitable[None] | None:
        return original(app, served) if app.should_serve(served) else None  # type: ignore[no-untyped-call]

    return [(Onboarding, "request", request)]


# idle_addons


def idle_addons() -> Sequence[Replacement]:
    """Replace hooks of addons that examine every flow, but only do something if so configured."""
    map_local, modify, update = MapLocal.request, ModifyHeaders.run, UpdateAltSvc.responseheaders

    def request(addon: MapLocal, flow: http.HTTPFlow) -> None:
        if addon.replacements:
            map_local(addon, flow)

    def run(addon: ModifyHeaders, flow: http.HTTPFlow, headers: http.Headers) -> None:
        if addon.replacements:
            modify(addon, flow, headers)

    def responseheaders(addon: UpdateAltSvc, flow: http.HTTPFlow) -> None:
        assert flow.response
        if ALT_SVC in flow.response.headers:
            update(addon, flow)

    return [
        (MapLocal, "request", request),
        (ModifyHeaders, "run", run),
        (UpdateAltSvc, "responseheaders", responseheaders),
    ]


# crl_names


def crl_names() -> Sequence[Replacement]:
    """Replace `crl_path`, which reads the serial number in the certificate of the CA each time."""
    original = TlsConfig.crl_path
    known: tuple[object, str] = None, ""

    def crl_path(addon: TlsConfig) -> str:
        nonlocal known
        authority = addon.certstore.default_ca
        if known[0] is not authority:
            known = authority, original(addon)
        return known[1]

    return [(TlsConfig, "crl_path", crl_path)]


# hook_fields


def hook_fields() -> Sequence[Replacement]:
    """Replace `args`, which examines the class of each hook."""
    names: dict[type[hooks.Hook], tuple[str, ...]] = {}

    def args(hook: hooks.Hook) -> list[Any]:
        kind = type(hook)
        if kind not in names:
            names[kind] = tuple(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
        return [getattr(hook, name) for name in names[kind]]

    return [(hooks.Hook, "args", args)]
