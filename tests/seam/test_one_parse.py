"""Planning a call parses its request body once, and once more after each edit.

To replace the name of the model, it need not be parsed.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from count_tokens import CountTokens
from load_configuration import Suite
from mitmproxy import http
from mitmproxy.test import tflow
from wiremend.config.current import CurrentConfig
from wiremend.engine.call import Call
from wiremend.engine.plan import make_machine, plan_call
from wiremend.engine.settings import Feature, Knowledge
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.registry import recognise
from wiremend.seam.flows import outgoing_of

MARK = "a text that occurs only in the request"
CONFIG = """
[providers.go]
base_url = "https://opencode.ai/zen/go"
api_key = "k"

[[models]]
match = "claude-haiku-*"
when = { tools_min = 1 }
provider = "go"
model = "kimi-k3"
fallback = ["qwen3"]

[[models]]
match = "claude-sonnet-*"
provider = "go"
"""
FINE = {"type": "object", "properties": {}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}


class Parses:
    """Counts how often a text that contains `MARK` is parsed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for module in (orjson, json):
            monkeypatch.setattr(module, "loads", self._counting(module.loads))

    def _counting(self, loads: Callable[..., Any]) -> Callable[..., Any]:
        def counted(text: bytes | str, **options: Any) -> Any:
            data = text.encode() if isinstance(text, str) else text
            self.count += MARK.encode() in data
            return loads(text, **options)

        return counted


@pytest.fixture
def current(tmp_path: Path) -> CurrentConfig:
    path = tmp_path / "wiremend.toml"
    path.write_text(CONFIG)
    current = CurrentConfig({})
    current.read(str(path), tmp_path)
    return current


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> Parses:
    return Parses(monkeypatch)


def flow_of(body: dict[str, Any], path: str = "/v1/messages") -> http.HTTPFlow:
    content = orjson.dumps({"system": MARK, "stream": True, **body})
    flow = tflow.tflow()
    flow.request = http.Request.make(
        "POST",
        f"https://api.anthropic.com{path}",
        content,
        {"content-type": "application/json", "x-api-key": "client"},
    )
    return flow


def planned(flow: http.HTTPFlow, current: CurrentConfig) -> Call:
    """Plan a call as the seam does."""
    protocol = recognise("POST", flow.request.path, "application/json")
    assert protocol is not None
    received = outgoing_of(flow.request, protocol)
    call = plan_call(received, set(Feature), current.settings, Knowledge())
    assert call is not None
    make_machine(call, random=lambda: 0.0, wall_clock=lambda: 0.0)
    return call


def tools(*schemas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": f"tool_{number}", "input_schema": schema} for number, schema in enumerate(schemas)
    ]


CASES: dict[str, tuple[dict[str, Any], int, list[str]]] = {
    # the request, the number of successive edits, and the codes of the findings
    "nothing is changed": ({"model": "claude-opus-5", "tools": tools(FINE)}, 0, []),
    "the root of schemas": (
        {"model": "claude-opus-5", "tools": tools({}, FINE, {})},
        1,
        ["T102", "T102"],
    ),
    "the tools, then the history": (
        {
            "model": "claude-opus-5",
            "tools": tools({}),
            "messages": [{"role": "assistant", "content": [USE]}],
        },
        2,
        ["T102", "Q001"],
    ),
    "the same model at another provider": (
        {"model": "claude-sonnet-5", "tools": tools(FINE)},
        0,
        ["M002"],
    ),
    "another model at another provider": (
        {"model": "claude-haiku-5", "tools": tools(FINE)},
        0,
        ["M001", "M002"],
    ),
    "another model and a tool": (
        {"model": "claude-haiku-5", "tools": tools({})},
        1,
        ["M001", "M002", "T102"],
    ),
    "a route whose condition fails": ({"model": "claude-haiku-5"}, 0, []),
}


@pytest.mark.parametrize(("body", "edits", "codes"), CASES.values(), ids=CASES)
def test_a_body_is_parsed_once_and_once_per_edit(
    body: dict[str, Any],
    edits: int,
    codes: list[str],
    current: CurrentConfig,
    parses: Parses,
) -> None:
    call = planned(flow_of(body), current)
    assert [finding.code for finding in call.findings] == codes
    assert parses.count == 1 + edits


def test_a_fallback_is_parsed_when_it_is_needed(current: CurrentConfig, parses: Parses) -> None:
    call = planned(flow_of({"model": "claude-haiku-5", "tools": tools({})}), current)
    assert call.adapted is not None
    assert parses.count == 2
    assert (call.adapted.at(1).request.model, parses.count) == ("qwen3", 3)
    call.adapted.at(1)
    assert parses.count == 3


def test_a_rejection_needs_no_further_parsing(current: CurrentConfig, parses: Parses) -> None:
    call = planned(flow_of({"model": "claude-opus-5", "tools": tools(FINE)}), current)
    assert call.adapted is not None
    message = "tools.0.custom.input_schema: JSON schema is invalid"
    assert "tool_0" in call.adapted.explain(0, message)
    assert call.adapted.amend(0, make_error(status=400, message=message)) == []
    assert parses.count == 1


@pytest.mark.parametrize("model", ["claude-sonnet-5", "claude-haiku-5", "claude-opus-5"])
def test_a_count_of_tokens_is_parsed_once(
    model: str, current: CurrentConfig, parses: Parses
) -> None:
    flow = flow_of({"model": model, "tools": tools(FINE)}, "/v1/messages/count_tokens")
    shell = CountTokens(Suite(current, Knowledge()))
    shell.request(flow)
    flow.response = http.Response.make(404)
    shell.response(flow)
    assert parses.count == 1
