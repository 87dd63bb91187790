"""Ending the calls that run when the proxy stops, before their connections are closed."""

import asyncio
from collections.abc import Iterable
from inspect import isawaitable
from itertools import pairwise
from typing import Any

from mitmproxy.master import Master
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream

from wiremend.seam.stream_layer import CallStream


def stop_calls(master: Master) -> int:
    """End each running call in its protocol's error; return how many were running.

    Their last bytes are written by the tasks that this starts.
    """
    proxyserver: Any = master.addons.get("proxyserver")
    handlers = {handler.client: handler for handler in proxyserver.connections.values()}
    carried: Iterable[CallStream] = getattr(http_layers.HttpStream, "carried", ())
    stopped = 0
    for stream in list(carried):
        handler = handlers.get(stream.context.client)
        if handler is None or stream.machine is None or stream.machine.answered:
            continue
        stream.is_stopping = True
        stopped += 1
        _wake(handler, stream)
    return stopped


def _wake(handler: Any, stream: CallStream) -> None:
    """Deliver a wake-up to this stream, through all layers above it.

    mitmproxy delivers one to the stream that requested it: each HTTP layer remembers its own.
    """
    command = commands.RequestWakeup(0.0)
    streams = [it for it in stream.context.layers if isinstance(it, HttpLayer | HttpStream)]
    for layer, below in pairwise([*streams, stream]):
        if isinstance(layer, HttpLayer) and isinstance(below, HttpStream):
            layer.command_sources[command] = below
    delivered = handler.server_event(events.Wakeup(command))
    if isawaitable(delivered):
        task = asyncio.ensure_future(delivered)
        handler.wakeup_timer.add(task)
        task.add_done_callback(handler.wakeup_timer.discard)
