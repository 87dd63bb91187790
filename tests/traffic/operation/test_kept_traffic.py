"""Both sides of each call in the flow file that `mitmdump -s addons/ -w FILE` writes."""

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader
from wiremend.call_record.load import load_record
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import CallRecord, KeptBody, KeptRequest, KeptResponse
from wiremend.check.command import main
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES
from traffic.proxy import KEY, Proxy

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]
OTHER_KEY = "sk-test-DO-NOT-LOG-kept-traffic"
CONFIGURATION = f"""{QUICK_RETRIES}
[[models]]
match = "*"
fallback = ["other/kimi-k3"]

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key = "{OTHER_KEY}"
"""


def flows_in(path: Path) -> list[http.HTTPFlow]:
    with path.open("rb") as file:
        flows = list(FlowReader(file).stream())
    assert all(isinstance(flow, http.HTTPFlow) for flow in flows)
    return [flow for flow in flows if isinstance(flow, http.HTTPFlow)]


def record_of(flow: http.HTTPFlow) -> CallRecord:
    CallRecord.model_validate(flow.metadata["wiremend"], extra="forbid")
    record = load_record(flow.metadata)
    assert record is not None
    return record


def body_of(message: KeptRequest | KeptResponse | None) -> bytes:
    return kept_body(message).data


def kept_body(message: KeptRequest | KeptResponse | None) -> KeptBody:
    assert message is not None
    assert message.body is not None
    return message.body


def responses_of(record: CallRecord) -> list[bytes | None]:
    return [None if one.response is None else body_of(one.response) for one in record.attempts]


def codes_in(path: Path, capsys: pytest.CaptureFixture[str]) -> set[str]:
    capsys.readouterr()
    main("scripts/check", [str(path), "--output-format", "concise"])
    return {
        word for word in capsys.readouterr().out.split() if word[:1] in "SER" and word[1:].isdigit()
    }


def paused(events: Sequence[bytes]) -> Reply:
    steps = (
        faults.head(headers=faults.EVENT_STREAM),
        faults.chunks(events[:3]),
        faults.stall,
        faults.chunks(events[3:]),
        faults.end,
    )
    return Reply("paused", steps)


def test_both_sides_of_every_kind_of_call_are_kept(
    authority: Authority,
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "flows.mitm"
    good_stream = good.text_stream(ANTHROPIC)
    broken = good.stream_with_blocks_from_index(3)
    half = good_stream.places["mid_content"]
    provider.script(
        [
            faults.stall_mid_stream(ANTHROPIC),
            paused(broken.events),
            faults.reset_after_head(ANTHROPIC),
            faults.overloaded(ANTHROPIC),
            faults.none(ANTHROPIC),
            faults.reset_mid_stream(ANTHROPIC),
            *[faults.unavailable(ANTHROPIC)] * 4,
        ]
    )
    origin.script([faults.none(ANTHROPIC)])
    hosts = {HOST: provider.port, ORIGIN_HOST: origin.port}
    with Proxy(
        tmp_path, authority, hosts, configuration=CONFIGURATION, arguments=["-w", str(path)]
    ) as proxy:
        received: list[bytes] = []
        with model_call(proxy, ANTHROPIC, True) as call:
            call.read_until(b"content_block_delta")
            call.cancel()
        assert provider.received[0].wait_until_closed(60)
        with model_call(proxy, ANTHROPIC, True) as call:
            call.read_until(b"content_block_start")
            provider.release()
            received.append(call.response().body)
        for _ in range(2):
            with model_call(proxy, ANTHROPIC, True) as call:
                received.append(call.response().body)
        with model_call(proxy, ANTHROPIC, True) as call:
            received.append(call.response().body)
    flows = flows_in(path)
    cancelled, repaired, retried, cut, fallback = map(record_of, flows)

    assert all(record.not_kept == "" for record in map(record_of, flows))
    assert {
        record.client_request.headers[0][0]
        for record in map(record_of, flows)
        if record.client_request
    }
    assert responses_of(repaired) == [broken.data]
    assert body_of(repaired.client_response) == received[0] != broken.data
    chunks = kept_body(repaired.attempts[0].response).chunks
    assert [seconds for seconds, _ in chunks] == sorted(seconds for seconds, _ in chunks)
    assert len(b"".join(broken.events[:3])) in [end for _, end in chunks]
    assert chunks[-1][1] == len(broken.data)
    sent = repaired.attempts[0].request
    assert kept_body(sent).same_as == "client_request"
    assert body_of(sent) == body_of(repaired.client_request) == provider.received[0].body
    assert sent is not None
    assert sent.url == f"https://{HOST}/v1/messages"
    assert ("authorization", "Bearer REDACTED") in sent.headers

    assert [one.outcome for one in retried.attempts] == [
        AttemptOutcome.FAILED,
        AttemptOutcome.FAILED,
        AttemptOutcome.ANSWERED,
    ]
    first, second, last = responses_of(retried)
    assert first == b""
    assert second is not None
    assert b"overloaded_error" in second
    assert last == received[1] == good_stream.data
    assert kept_body(retried.client_response).same_as == "attempts[2].response"
    assert [kept_body(one.request).same_as for one in retried.attempts] == ["client_request"] * 3

    upstream = b"".join(good_stream.events[:half])
    assert cut.outcome is CallState.FAILED
    assert responses_of(cut) == [upstream]
    assert body_of(cut.client_response) == received[2]
    assert b"event: error" in received[2]

    assert cancelled.outcome is CallState.CANCELLED
    assert responses_of(cancelled) == [upstream]
    assert body_of(cancelled.client_response) == upstream
    assert flows[0].response is not None
    assert flows[0].response.raw_content == upstream

    assert fallback.outcome is CallState.ANSWERED
    assert [one.provider for one in fallback.attempts] == [HOST] * 4 + ["other"]
    routed = fallback.attempts[-1].request
    assert routed is not None
    assert routed.url.startswith(f"https://{ORIGIN_HOST}/")
    assert body_of(routed) == origin.received[0].body != body_of(fallback.client_request)
    assert ("x-api-key", "REDACTED") in [(name.lower(), value) for name, value in routed.headers]

    for secret in (KEY, OTHER_KEY):
        assert secret.encode() not in path.read_bytes()
    assert {"S105", "R002"} <= codes_in(path, capsys)


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize(("keep", "is_kept"), [("never", False), ("always", True)])
def test_the_option_decides_what_is_kept(
    keep: str, is_kept: bool, authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    path = tmp_path / "flows.mitm"
    provider.script([faults.none(ANTHROPIC)])
    arguments = ["-w", str(path), "--set", f"wiremend_keep={keep}"]
    with (
        Proxy(tmp_path, authority, {HOST: provider.port}, arguments=arguments) as proxy,
        model_call(proxy, ANTHROPIC, True) as call,
    ):
        call.response()
    [record] = map(record_of, flows_in(path))
    assert (record.client_request is not None) is is_kept
    assert (record.attempts[0].response is not None) is is_kept


@pytest.mark.long
def test_a_call_that_runs_when_the_proxy_ends_is_kept(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    path = tmp_path / "flows.mitm"
    stream = good.text_stream(ANTHROPIC)
    provider.script([faults.stall_mid_stream(ANTHROPIC)])
    with (
        Proxy(
            tmp_path,
            authority,
            {HOST: provider.port},
            configuration="[shutdown]\ngrace = 0\n",
            arguments=["-w", str(path)],
        ) as proxy,
        model_call(proxy, ANTHROPIC, True) as call,
    ):
        call.read_until(b"content_block_delta")
        proxy.terminate()
        assert proxy.wait(10) == 0
    [record] = map(record_of, flows_in(path))
    assert responses_of(record) == [b"".join(stream.events[: stream.places["mid_content"]])]
    assert KEY.encode() not in path.read_bytes()


@pytest.mark.long
def test_each_attempt_is_checked_in_the_protocol_of_its_target(
    authority: Authority,
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The fallback has another protocol; the flow shows the request that was sent to it."""
    path = tmp_path / "flows.mitm"
    provider.script([faults.wrapped_error_first(ANTHROPIC, "meta frames")])
    broken = list(good.tool_stream(good.CHAT).events)
    broken[1] = broken[1].replace(b'"call_test"', b'""')
    origin.script([faults.streamed(broken)])
    hosts = {HOST: provider.port, ORIGIN_HOST: origin.port}
    other = CONFIGURATION + 'protocol = "chat"\n'
    body = good.request_body(ANTHROPIC, True)
    body["tools"] = [{"name": good.TOOL_NAME, "input_schema": {"type": "object"}}]
    with (
        Proxy(
            tmp_path, authority, hosts, configuration=other, arguments=["-w", str(path)]
        ) as proxy,
        model_call(proxy, ANTHROPIC, True, body=json.dumps(body).encode()) as call,
    ):
        assert b'"tool_use"' in call.response().body
    [record] = map(record_of, flows_in(path))
    assert record.protocol == ANTHROPIC
    sent = [urlsplit(it.request.url).path for it in record.attempts if it.request is not None]
    assert sent == ["/v1/messages"] * 4 + ["/v1/chat/completions"]
    live = {finding.code for finding in record.response_findings}
    in_stream = {code for code in live if code.startswith("S")}
    assert in_stream
    assert {code for code in codes_in(path, capsys) if code.startswith("S")} == in_stream
