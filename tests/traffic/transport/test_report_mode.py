"""`[rules] mode = "report"`: every byte passes, and the findings are those of the checker."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from corpus_streams import CorpusStream, broken_streams, clean_streams
from wiremend.call_record.outcomes import CallState
from wiremend.call_record.schema import CallRecord
from wiremend.check.checker import Checked, check_exchange
from wiremend.config.model import Config
from wiremend.config.settings import settings_of
from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.exchange import Ending, Exchange, RecordedResponse
from wiremend.rules.rule import Finding
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Headers, Received, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import Http1Call, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import KEY, Proxy

pytestmark = pytest.mark.long  # the short tier tests this kind in the core and through commands

REPORT = f"""{QUICK_RETRIES}
[rules]
mode = "report"

[heartbeat]
after = 0.05

[fire_and_forget]
paths = ["/fire"]
"""
OTHER_KEY = "sk-test-DO-NOT-LOG-other-provider"
ROUTED = f"""{REPORT}
[[models]]
match = "*"
model = "kimi-k3"
provider = "other"
fallback = ["glm-5"]
stream = "buffered"
set = {{ temperature = 0.2 }}

[providers.other]
base_url = "https://{ORIGIN_HOST}/zen/go"
api_key = "${{OTHER_API_KEY}}"
"""
NO_ROOT_TYPE = {"properties": {"x": {"type": "string"}}}
TOOLS = ("a", "b", "get_weather", "get_time")
REPORTED = "not changed: rules only report"

every_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)


@pytest.fixture
def report(start_proxy: Callable[..., Proxy]) -> Proxy:
    proxy = start_proxy(scripts=SHARED, configuration=REPORT)
    proxy.forget()
    return proxy


def request_body(protocol: WireProtocol) -> bytes:
    """Return the body of a request whose tools need to be adapted."""
    match protocol:
        case WireProtocol.ANTHROPIC_MESSAGES:
            tools: list[object] = [{"name": name, "input_schema": NO_ROOT_TYPE} for name in TOOLS]
        case WireProtocol.CHAT_COMPLETIONS:
            functions = ({"name": name, "parameters": NO_ROOT_TYPE} for name in TOOLS)
            tools = [{"type": "function", "function": function} for function in functions]
        case WireProtocol.RESPONSES:
            tools = [
                {"type": "function", "name": name, "parameters": NO_ROOT_TYPE} for name in TOOLS
            ]
        case WireProtocol.GEMINI:
            functions = ({"name": name, "parameters": NO_ROOT_TYPE} for name in TOOLS)
            tools = [{"functionDeclarations": list(functions)}]
    return json.dumps({**good.request_body(protocol, True), "tools": tools}).encode()


def checked(
    protocol: WireProtocol,
    received: Received,
    status: int,
    headers: Headers,
    body: bytes,
    ending: Ending = Ending.COMPLETE,
) -> Checked:
    """Return what the checker finds in an exchange."""
    exchange = Exchange(
        host=good.HOSTS[protocol],
        path=received.path,
        headers=tuple((name.decode(), value.decode()) for name, value in received.headers),
        body=received.body,
        response=RecordedResponse(status, headers, body),
        ending=ending,
        error="",
    )
    found = check_exchange(exchange, settings_of(Config(), ()))
    assert found is not None
    return found


def what(findings: tuple[Finding, ...] | list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.code, str(finding.place), finding.found) for finding in findings]


def assert_only_reported(record: CallRecord) -> None:
    assert record.reports_only
    assert len(record.attempts) == 1
    assert all(finding.done.startswith(REPORTED) for finding in record.findings)


@pytest.mark.parametrize("streams", [clean_streams, broken_streams])
@every_protocol
def test_every_stream_of_the_corpus_passes_with_the_findings_of_the_checker(
    report: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    streams: Callable[[WireProtocol], list[CorpusStream]],
) -> None:
    corpus, expected = streams(protocol), []
    assert corpus
    body = request_body(protocol)
    for stream in corpus:
        data = stream.path.read_bytes()
        headers = faults.JSON if stream.context.array else faults.EVENT_STREAM
        provider.script([faults.streamed([data], headers)])
        with model_call(report, protocol, True, body=body) as call:
            response = call.response()
        assert (response.status, response.ended) == (200, "complete"), str(stream)
        assert response.body == data, str(stream)
        received = provider.received[-1]
        assert received.body == body
        expected.append(checked(protocol, received, 200, headers, data))
    calls = report.calls
    assert len(calls) == len(corpus)
    for stream, record, found in zip(corpus, calls, expected, strict=True):
        assert_only_reported(record)
        request = [one.finding() for one in record.request_findings]
        response_findings = [one.finding() for one in record.response_findings]
        assert what(request) == what(found.request), str(stream)
        assert what(response_findings) == what(found.response), str(stream)
    if streams is broken_streams:
        assert any(record.response_findings for record in calls)


@every_protocol
def test_the_findings_do_not_depend_on_the_chunks(
    report: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    for stream in [one for one in broken_streams(protocol) if not one.context.array][:12]:
        data = stream.path.read_bytes()
        pieces = [data[at : at + 7] for at in range(0, len(data), 7)]
        provider.script([faults.streamed(pieces)])
        with model_call(report, protocol, True) as call:
            assert call.response().body == data, str(stream)
        found = checked(protocol, provider.received[-1], 200, faults.EVENT_STREAM, data)
        record = report.calls[-1]
        recorded = [one.finding() for one in record.response_findings]
        assert what(recorded) == what(found.response), str(stream)


@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
@every_protocol
def test_a_request_that_would_be_adapted_keeps_its_bytes_and_headers(
    report: Proxy, provider: ScriptedProvider, protocol: WireProtocol, http_version: str
) -> None:
    provider.script([faults.none(protocol)])
    body = request_body(protocol)
    headers = {"accept-encoding": "gzip, br", "x-own": "1"}
    with model_call(
        report, protocol, True, body=body, headers=headers, http_version=http_version
    ) as call:
        assert call.response().status == 200
    (received,) = provider.received
    assert received.body == body
    assert (received.header("accept-encoding"), received.header("x-own")) == ("gzip, br", "1")
    (record,) = report.calls
    assert_only_reported(record)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_coded_stream_passes_coded_and_is_read(
    report: Proxy, provider: ScriptedProvider, coding: str
) -> None:
    (broken,) = [one for one in broken_streams(good.CHAT) if one.codes][:1]
    data = faults.encode(broken.path.read_bytes(), coding)
    headers = (*faults.EVENT_STREAM, ("content-encoding", coding))
    provider.script([faults.streamed([data], headers)])
    with model_call(report, good.CHAT, True) as call:
        response = call.response()
    assert (response.body, response.header("content-encoding")) == (data, coding)
    (record,) = report.calls
    assert_only_reported(record)
    found = checked(good.CHAT, provider.received[-1], 200, headers, data)
    assert what(record.findings) == what(found.response)
    assert record.findings


@pytest.mark.parametrize(
    ("reply", "status", "ended", "code"),
    [
        (faults.overloaded(good.ANTHROPIC), 529, "complete", "R005"),
        (faults.html_524(), 524, "complete", "E004"),
        (faults.error_inside_200(good.ANTHROPIC), 200, "complete", "E005"),
        (faults.wrapped_error_first(good.ANTHROPIC), 200, "complete", "E001"),
        (faults.reset_after_head(good.ANTHROPIC), 200, "closed", "R002"),
        (faults.reset_mid_stream(good.ANTHROPIC), 200, "closed", "R002"),
        (faults.cut_without_terminal_event(good.ANTHROPIC), 200, "complete", "R003"),
        (faults.reset_before_head(), 502, "complete", "R002"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_failure_is_reported_and_not_repeated(
    report: Proxy, provider: ScriptedProvider, reply: Reply, status: int, ended: str, code: str
) -> None:
    provider.script([reply, faults.none(good.ANTHROPIC)])
    with model_call(report, good.ANTHROPIC, True) as call:
        response = call.response()
    assert (response.status, response.ended) == (status, ended)
    assert len(provider.received) == 1
    (record,) = report.calls
    assert_only_reported(record)
    assert code in [finding.code for finding in record.findings]


def test_the_first_event_passes_at_once_and_silence_is_not_filled(
    report: Proxy, provider: ScriptedProvider
) -> None:
    stream = good.text_stream(good.ANTHROPIC)
    steps = (
        faults.head(),
        faults.chunks(stream.events[:1]),
        faults.stall,
        faults.chunks(stream.events[1:]),
        faults.end,
    )
    provider.script([Reply("stalls after its first event", steps)])
    with model_call(report, good.ANTHROPIC, True) as call:
        assert call.read_until(b"message_start") == stream.events[0]
        provider.release()
        assert call.response().body == stream.data
    (record,) = report.calls
    assert (record.outcome, record.findings) == (CallState.ANSWERED, [])
    assert record.usage is not None


def test_what_wiremend_answers_itself_is_passed_on(
    report: Proxy, provider: ScriptedProvider
) -> None:
    body = b'{"data": [{"id": "m"}], "object": "list"}'
    provider.script([faults.whole(body)])
    for method, path, headers in (
        ("GET", "/v1/models", {}),
        ("POST", "/fire", {}),
        ("GET", "/v1/responses", {"upgrade": "websocket", "connection": "upgrade"}),
    ):
        with Http1Call(report, good.HOSTS[good.RESPONSES]) as call:
            call.send(method, path, headers)
            assert call.response().body == body, path


@every_protocol
def test_a_route_and_its_key_apply(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    protocol: WireProtocol,
) -> None:
    proxy = start_proxy(
        scripts=SHARED, configuration=ROUTED, environment={"OTHER_API_KEY": OTHER_KEY}
    )
    proxy.forget()
    (broken,) = [one for one in broken_streams(protocol) if not one.context.array][:1]
    data = broken.path.read_bytes()
    origin.script([faults.streamed([data])])
    body = request_body(protocol)
    with model_call(proxy, protocol, True, body=body) as call:
        assert call.response().body == data
    assert provider.received == []
    (received,) = origin.received
    assert OTHER_KEY in str(received.headers)
    assert KEY not in str(received.headers)
    sent, received_body = json.loads(body), received.json()
    assert received_body["tools"] == sent["tools"]
    assert received_body["temperature"] == 0.2
    assert "kimi-k3" in received.path + received_body.get("model", "")
    (record,) = proxy.calls
    done = {finding.code: finding.done for finding in record.findings}
    assert not done["M001"].startswith(REPORTED)
    assert not done["M002"].startswith(REPORTED)
    assert not done["T306"].startswith(REPORTED)
    rest = [one for one in record.findings if one.code not in ("M001", "M002", "T306")]
    assert rest
    assert all(finding.done.startswith(REPORTED) for finding in rest)


def test_a_call_that_a_route_translates_is_repaired(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    proxy = start_proxy(
        scripts=SHARED,
        configuration=ROUTED + 'protocol = "chat"\n',
        environment={"OTHER_API_KEY": OTHER_KEY},
    )
    proxy.forget()
    cut = good.text_stream(good.CHAT)
    origin.script([faults.streamed([b"".join(cut.events[:-1])])])
    with model_call(proxy, good.ANTHROPIC, True) as call:
        assert b"message_stop" in call.response().body
    (record,) = proxy.calls
    assert not record.reports_only
    assert not any(finding.done.startswith(REPORTED) for finding in record.findings)


def test_a_count_that_the_provider_refuses_is_not_estimated(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    proxy = start_proxy(
        scripts=SHARED, configuration=ROUTED, environment={"OTHER_API_KEY": OTHER_KEY}
    )
    proxy.forget()
    origin.script([faults.status(404, b'{"error":"no such page"}')])
    with Http1Call(proxy, good.HOSTS[good.ANTHROPIC]) as call:
        body = json.dumps(good.request_body(good.ANTHROPIC, False)).encode()
        call.send("POST", "/v1/messages/count_tokens", {"content-type": "application/json"}, body)
        response = call.response()
    assert (response.status, response.body) == (404, b'{"error":"no such page"}')


def test_model_lists_are_not_extended(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    configuration = f'{REPORT}\n[[models]]\nmatch = "listed-name"\nmodel = "m"\n'
    proxy = start_proxy(scripts=SHARED, configuration=configuration)
    proxy.forget()
    body = b'{"data": [{"id": "m", "object": "model"}], "object": "list"}'
    provider.script([faults.whole(body)])
    with Http1Call(proxy, good.HOSTS[good.CHAT]) as call:
        call.send("GET", "/v1/models")
        assert call.response().body == body


@pytest.fixture
def reloading(authority: Authority, provider: ScriptedProvider, tmp_path: Path) -> Iterator[Proxy]:
    hosts = {good.HOSTS[good.ANTHROPIC]: provider.port}
    with Proxy(tmp_path, authority, hosts, configuration=REPORT, reports_calls=True) as running:
        yield running


def test_a_reload_switches_the_mode_for_new_calls(
    reloading: Proxy, provider: ScriptedProvider
) -> None:
    reloading.wait_for_line(r'\[rules\] mode = "report"')
    stream = good.text_stream(good.ANTHROPIC)
    cut = b"".join(stream.events[:-1])
    steps = (
        faults.head(),
        faults.chunks(stream.events[:1]),
        faults.stall,
        faults.chunks(stream.events[1:-1]),
        faults.end,
    )
    provider.script([Reply("cut", steps), faults.streamed([cut]), faults.streamed([cut])])
    with model_call(reloading, good.ANTHROPIC, True) as running:
        running.read_until(b"message_start")
        start = len(reloading.lines)
        reloading.configuration_file.write_text(REPORT.replace('"report"', '"repair"'))
        reloading.wait_for_line(r'\[rules\] mode = "repair"', start=start)
        provider.release()
        assert running.response().body == cut
    with model_call(reloading, good.ANTHROPIC, True) as call:
        repaired = call.response().body.lstrip(b"\n")  # perhaps behind keep-alives
        assert repaired.startswith(cut + b"event: message_stop")
    start = len(reloading.lines)
    reloading.configuration_file.write_text(REPORT)
    reloading.wait_for_line(r'\[rules\] mode = "report"', start=start)
    with model_call(reloading, good.ANTHROPIC, True) as call:
        assert call.response().body == cut
    assert [record.reports_only for record in reloading.calls] == [True, False, True]
    reloading.wait_for_line(r"only reported", start=start)
