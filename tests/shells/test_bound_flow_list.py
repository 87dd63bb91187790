"""The flow list with a limit."""

import asyncio

import pytest
from bound_flow_list import BoundFlowList
from load_configuration import Suite
from mitmproxy import http
from mitmproxy.addons.view import View
from mitmproxy.test import taddons, tflow
from wiremend.config.current import CurrentConfig
from wiremend.engine.settings import Knowledge


class Listed:
    """A flow list, and the flows that pass through it."""

    def __init__(self, context: taddons.context, limit: int) -> None:
        self.view = View()
        self.shell = BoundFlowList(Suite(CurrentConfig(), Knowledge()))
        context.master.addons.add(self.view)
        context.options.add_option("wiremend_flows", int, limit, "")
        self.shell.configure({"wiremend_flows"})

    def begins(self) -> http.HTTPFlow:
        flow = tflow.tflow(resp=True)
        self.view.requestheaders(flow)
        self.shell.requestheaders(flow)
        return flow

    def ends(self, flow: http.HTTPFlow) -> None:
        flow.live = False
        self.shell.response(flow)


@pytest.fixture
def context() -> taddons.context:
    async def inside() -> taddons.context:
        return taddons.context()

    return asyncio.run(inside())


@pytest.mark.parametrize(
    ("limit", "kept"), [(0, [0, 1, 2, 3, 4]), (3, [2, 3, 4]), (9, [0, 1, 2, 3, 4])]
)
def test_the_oldest_flows_are_removed(
    context: taddons.context, limit: int, kept: list[int]
) -> None:
    listed = Listed(context, limit)
    flows = [listed.begins() for _ in range(5)]
    for flow in flows:
        listed.ends(flow)
    assert [flows.index(flow) for flow in listed.view] == kept


def test_flows_that_run_are_kept_until_they_have_ended(context: taddons.context) -> None:
    listed = Listed(context, 1)
    running = listed.begins()
    others = [listed.begins() for _ in range(3)]
    for flow in others:
        listed.ends(flow)
    assert list(listed.view) == [running]
    assert running.live
    latest = listed.begins()
    listed.ends(running)
    assert list(listed.view) == [latest]
