"""Contract 32: a flow that is replayed is sent as it is, and can be reverted."""

import asyncio

from mitmproxy import http
from mitmproxy.addons.clientplayback import ClientPlayback, ReplayHandler
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.layers.http import HttpRequestHook
from mitmproxy.test import taddons, tflow


def test_replaying_backs_the_flow_up_and_marks_it() -> None:
    playback = ClientPlayback()
    flow = tflow.tflow(resp=True)
    flow.live = False
    with taddons.context(playback):
        playback.start_replay([flow])
        assert (flow.is_replay, flow.response, flow.modified()) == ("request", None, True)
        flow.revert()
    assert flow.response is not None
    assert flow.is_replay is None


def test_a_replay_has_the_flow_and_is_over_after_the_response() -> None:
    seen: list[http.HTTPFlow] = []

    class Answering(ReplayHandler):
        async def handle_hook(self, hook: StartHook) -> None:
            if isinstance(hook, HttpRequestHook):
                seen.append(hook.flow)
                hook.flow.response = http.Response.make(204)
            await super().handle_hook(hook)

    flow = tflow.tflow()
    flow.is_replay = "request"

    async def replay() -> None:
        with taddons.context(Proxyserver()) as context:
            await asyncio.wait_for(Answering(flow, context.options).replay(), 10)

    asyncio.run(replay())
    assert seen == [flow]
