"""What a person reads of a call is the same live, from a file, and from another version."""

import io
import logging
from typing import Any

import pytest
from explain_flows import ExplainFlows
from load_configuration import Suite
from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow
from mitmproxy.tools.web.app import flow_to_json
from wiremend.config.current import CurrentConfig
from wiremend.engine.settings import Knowledge
from wiremend.rules.rule import AttemptPlace, BodyPlace, EventPlace, Finding
from wiremend.seam.flow_record import record_findings

FOUND = [
    Finding("R002", AttemptPlace(1), "reset", "trying again in 0.50 s"),
    Finding("S105", EventPlace(3), "block 3", "block 0"),
    Finding("S105", EventPlace(4), "block 3", "block 0"),
]
COMMENT = "repaired: block-index · S105 (2), M001, R002"
LOGGED = [
    "wiremend: address/path: repaired: address, "
    "M001 model-routed, R002 connection-lost, S105 block-index (2 times)"
]


@pytest.fixture
def shell() -> ExplainFlows:
    return ExplainFlows(Suite(CurrentConfig(), Knowledge()))


@pytest.fixture
def flow() -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    found = Finding("M001", BodyPlace(("tools", 3, "name")), "this", "that")
    record_findings(flow, request=[found], response=FOUND)
    return flow


def from_a_file(flow: http.HTTPFlow) -> http.HTTPFlow:
    file = io.BytesIO()
    FlowWriter(file).add(flow)
    [loaded] = FlowReader(io.BytesIO(file.getvalue())).stream()
    assert isinstance(loaded, http.HTTPFlow)
    return loaded


@pytest.mark.parametrize(
    ("way", "logged"),
    [("live", LOGGED), ("a copy", []), ("from a file", []), ("from a file of a file", [])],
)
def test_outcomes_are_shown_wherever_the_flow_comes_from_and_logged_once(
    shell: ExplainFlows,
    flow: http.HTTPFlow,
    way: str,
    logged: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    if way == "a copy":
        flow = flow.copy()
    for _ in range(way.count("file")):
        flow = from_a_file(flow)
    with caplog.at_level(logging.WARNING):
        shell.response(flow)
    assert (flow.comment, flow.marked) == (COMMENT, ":wrench:")
    assert caplog.messages == logged


@pytest.mark.parametrize("way", ["live", "from a file"])
@pytest.mark.parametrize(
    ("comment", "marked"), [("MY OWN NOTE", ":red_circle:"), ("MY OWN NOTE", ""), ("", ":eyes:")]
)
@pytest.mark.parametrize("hook", ["response", "error"])
def test_comments_and_marks_of_a_user_stay(
    shell: ExplainFlows, flow: http.HTTPFlow, way: str, comment: str, marked: str, hook: str
) -> None:
    flow.comment, flow.marked = comment, marked
    if way == "from a file":
        flow = from_a_file(flow)
    getattr(shell, hook)(flow)
    assert (flow.comment, flow.marked) == (comment, marked)


@pytest.mark.parametrize(
    "metadata", [{}, {"wiremend": 1}, {"wiremend": {"response_findings": "none"}}]
)
def test_what_is_no_record_of_findings_is_passed_over(
    shell: ExplainFlows, metadata: dict[str, Any]
) -> None:
    flow = tflow.tflow(resp=True)
    flow.metadata = metadata
    shell.response(flow)
    assert (flow.comment, flow.marked) == ("", "")


def test_mitmweb_can_send_a_flow_with_a_record_to_the_browser(flow: http.HTTPFlow) -> None:
    assert flow_to_json(from_a_file(flow))["id"] == flow.id
