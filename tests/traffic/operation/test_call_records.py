"""What is recorded of calls in a flow file, as mitmproxy itself reads it."""

import json
from pathlib import Path
from typing import Any

from mitmproxy import http
from mitmproxy.io import FlowReader
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import CallRecord, Usage
from wiremend.rules.rule import AttemptPlace, BodyPlace, CallPlace, EventPlace
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import HTTP_VERSIONS, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES
from traffic.proxy import KEY, Proxy

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]
CONFIGURATION = f"""{QUICK_RETRIES}
[[models]]
match = "claude-opus-*"
model = "kimi-k3"
provider = "other"

[[models]]
match = "claude-routed"
provider = "other"

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key = "sk-test-DO-NOT-LOG-records"
"""


def ask(proxy: Proxy, method: str, path: str, body: Any = None, origin: str = "") -> int:
    headers = {"x-api-key": KEY, "content-type": "application/json"}
    headers |= {"origin": origin} if origin else {}
    with HTTP_VERSIONS["HTTP/1.1"](proxy, HOST) as client:
        client.send(method, path, headers, json.dumps(body).encode() if body else b"")
        return client.response().status


def records_in(path: Path) -> list[CallRecord]:
    with path.open("rb") as file:
        flows = list(FlowReader(file).stream())
    records = []
    for flow in flows:
        assert isinstance(flow, http.HTTPFlow)
        assert json.dumps(flow.metadata, default=len)  # except for bytes, plain data
        records.append(CallRecord.model_validate(flow.metadata["wiremend"], extra="forbid"))
    return records


def test_a_flow_file_contains_what_was_done_to_each_call(
    authority: Authority, provider: ScriptedProvider, origin: ScriptedProvider, tmp_path: Path
) -> None:
    flows = tmp_path / "flows.mitm"
    hosts = {HOST: provider.port, ORIGIN_HOST: origin.port}
    broken = good.stream_with_blocks_from_index(3)
    request = good.request_body(ANTHROPIC, True)
    origin.script(
        [
            faults.reset_before_head(),
            faults.streamed(broken.events),
            faults.status(404, {"error": {"type": "not_found_error", "message": "no"}}),
        ]
    )
    provider.script([faults.whole(b'{"data":[{"type":"model","id":"m"}],"has_more":false}')])
    with Proxy(
        tmp_path, authority, hosts, configuration=CONFIGURATION, arguments=["-w", str(flows)]
    ) as proxy:
        headers = {"user-agent": "claude-cli/2.1"}
        with model_call(proxy, ANTHROPIC, True, headers=headers) as call:
            assert call.response().status == 200
        assert ask(proxy, "POST", "/v1/messages/count_tokens", request) == 200
        assert ask(proxy, "GET", "/v1/models") == 200
        assert ask(proxy, "POST", "/v1/messages", request, origin="https://web.example") == 403
    repaired, counted, listed, refused = records_in(flows)

    assert (repaired.outcome, repaired.detail) == (CallState.ANSWERED, "ok")
    assert (repaired.protocol, repaired.client) == ("anthropic-messages", "claude-code")
    assert (repaired.model_asked, repaired.model_used) == (good.MODELS[ANTHROPIC], "kimi-k3")
    assert (repaired.provider, repaired.host) == ("other", ORIGIN_HOST)
    assert repaired.usage == Usage(input_tokens=9, output_tokens=7)
    places = [(finding.code, finding.place) for finding in repaired.findings]
    assert places[:3] == [
        ("M001", BodyPlace(("model",))),
        ("M002", CallPlace.REQUEST),
        ("R002", AttemptPlace(1)),
    ]
    assert ("S105", EventPlace(3)) in places[3:]
    first, second = repaired.attempts
    assert (first.outcome, second.outcome) == (AttemptOutcome.FAILED, AttemptOutcome.ANSWERED)
    assert {(one.provider, one.model) for one in repaired.attempts} == {("other", "kimi-k3")}
    assert first.end_seconds is not None
    assert second.end_seconds is not None
    assert first.start_seconds <= first.end_seconds <= second.start_seconds <= second.end_seconds
    assert repaired.end_seconds is not None
    assert repaired.end_seconds >= second.end_seconds

    assert (counted.outcome, counted.protocol) == (CallState.PASSED, "anthropic-messages")
    assert [finding.code for finding in counted.findings] == ["M001", "M005"]

    assert (listed.outcome, listed.host) == (CallState.PASSED, HOST)
    assert [finding.code for finding in listed.findings] == ["M004"]

    assert refused.outcome is CallState.REFUSED
    assert "https://web.example" in refused.detail
    assert refused.attempts == []
