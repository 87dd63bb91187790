"""A recording as the provider: what the client gets is what it got when it was made."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from wiremend.call_record.outcomes import CallState
from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.cassette import TICKET
from wiremend.recording.replay_report import ReplayReport
from wiremend.testing import steps
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import HTTP_VERSIONS, Http2Call, RawResponse, model_call
from traffic.conftest import QUICK_RETRIES
from traffic.proxy import Proxy

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]


@dataclass(frozen=True)
class Received:
    """What a client received for one call, and what the proxy found in it."""

    status: int
    content_type: str | None
    body: bytes
    codes: tuple[str, ...]


def make_calls(
    proxy: Proxy,
    protocol: WireProtocol,
    text: str,
    count: int,
    http_version: str = "HTTP/1.1",
    *,
    stream: bool = True,
) -> list[Received]:
    """Make equal calls with this prompt, one after the other."""
    body = json.dumps(good.request_body(protocol, stream)).replace("Say hello.", text)
    made = []
    for _ in range(count):
        with model_call(
            proxy, protocol, stream, http_version=http_version, body=body.encode()
        ) as call:
            response = call.response()
        codes = tuple(finding.code for finding in proxy.calls[-1].findings)
        content_type = response.header("content-type")
        made.append(Received(response.status, content_type, response.body, codes))
    return made


type Script = Callable[[WireProtocol], Sequence[Reply]]

SCRIPTS: dict[str, tuple[Script, int]] = {
    "good": (lambda p: [faults.none(p)], 1),
    "a tool call, then a text": (
        lambda p: [faults.streamed(good.tool_stream(p).events), faults.none(p)],
        2,
    ),
    "reset before the head": (lambda p: [faults.reset_before_head(), faults.none(p)], 1),
    "reset after the head": (lambda p: [faults.reset_after_head(p), faults.none(p)], 1),
    "error in the stream": (lambda p: [faults.wrapped_error_first(p), faults.none(p)], 1),
    "overloaded": (lambda p: [faults.overloaded(p), faults.none(p)], 1),
    "an HTML page": (lambda p: [faults.html_524(), faults.none(p)], 1),
    "reset in the middle": (lambda p: [faults.reset_mid_stream(p), faults.none(p)], 2),
    "cut in the middle": (lambda p: [faults.cut_without_terminal_event(p)], 1),
    "always an error": (lambda p: [faults.overloaded(p)], 1),
}
"""What the provider sends while it is recorded, and how many calls are made."""


NOT_STREAMED = "not streamed"


def recording(
    directory: Path, authority: Authority, provider: ScriptedProvider, protocol: WireProtocol
) -> Proxy:
    """Return a proxy that writes `session.mitm` into the directory."""
    return Proxy(
        directory / "recording",
        authority,
        {good.HOSTS[protocol]: provider.port},
        configuration=QUICK_RETRIES,
        arguments=["-w", str(directory / "session.mitm")],
        reports_calls=True,
    )


def replaying(
    directory: Path,
    file: Path,
    *arguments: str,
    authority: Authority | None = None,
    hosts: Mapping[str, int] | None = None,
) -> Proxy:
    """Return a proxy without any provider but the recording, or with these hosts."""
    directory.mkdir(parents=True, exist_ok=True)
    return Proxy(
        directory / "replay",
        authority,
        hosts,
        configuration=QUICK_RETRIES,
        arguments=[
            *("--set", f"wiremend_replay={file}"),
            *("--set", f"wiremend_replay_report={directory / 'report.json'}"),
            *arguments,
        ],
        reports_calls=True,
    )


def report_in(directory: Path) -> ReplayReport:
    return ReplayReport.model_validate_json((directory / "report.json").read_bytes())


@pytest.mark.first_row
@pytest.mark.parametrize("protocol", good.PROTOCOLS, ids=str)
def test_the_client_gets_what_it_got(
    protocol: WireProtocol, authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """Retries and repairs are made again, since the provider's side is served."""
    made: dict[str, list[Received]] = {}
    with recording(tmp_path, authority, provider, protocol) as proxy:
        for text, (replies, count) in SCRIPTS.items():
            provider.script(replies(protocol))
            made[text] = make_calls(proxy, protocol, text, count)
        provider.script([faults.none(protocol, stream=False)])
        made[NOT_STREAMED] = make_calls(proxy, protocol, NOT_STREAMED, 1, stream=False)
    asked = len(provider.received)
    total = sum(map(len, made.values()))
    for http_version in HTTP_VERSIONS:
        with replaying(tmp_path / http_version, tmp_path / "session.mitm") as proxy:
            for text, (_, count) in reversed(SCRIPTS.items()):
                assert make_calls(proxy, protocol, text, count, http_version) == made[text], text
            again = make_calls(proxy, protocol, NOT_STREAMED, 1, http_version, stream=False)
            assert again == made[NOT_STREAMED]
        report = report_in(tmp_path / http_version)
        assert (report.calls, report.hits) == (total, total)
        assert (report.misses, report.unused) == (0, [])
    assert len(provider.received) == asked


@pytest.fixture
def session(authority: Authority, provider: ScriptedProvider, tmp_path: Path) -> Path:
    """A recording of one call."""
    provider.script([faults.none(ANTHROPIC)])
    with recording(tmp_path, authority, provider, ANTHROPIC) as proxy:
        make_calls(proxy, ANTHROPIC, "Say hello.", 1)
    return tmp_path / "session.mitm"


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize("http_version", HTTP_VERSIONS)
def test_a_call_that_was_not_recorded_gets_a_400_with_the_reason(
    http_version: str, session: Path, tmp_path: Path
) -> None:
    body = good.request_body(ANTHROPIC, True)
    body["messages"][0]["content"] = "Say goodbye."
    with replaying(tmp_path, session) as proxy:
        with model_call(
            proxy, ANTHROPIC, True, http_version=http_version, body=json.dumps(body).encode()
        ) as call:
            response = call.response()
        [record] = proxy.calls
    error = json.loads(response.body)
    assert (response.status, error["error"]["type"]) == (400, "invalid_request_error")
    assert "not in the recording session.mitm" in error["error"]["message"]
    assert "messages[0].content" in error["error"]["message"]
    assert record.outcome is not None
    assert (record.outcome.value, record.attempts) == ("refused", [])
    report = report_in(tmp_path)
    assert (report.misses, report.hits) == (1, 0)
    assert report.miss_texts[0].splitlines()[1:] == [
        "  the nearest recorded one is call 1; it differs in:",
        "    messages[0].content",
        "      - Say hello.",
        "      + Say goodbye.",
    ]


def test_requests_that_are_no_calls_get_a_404_and_never_reach_the_network(
    session: Path, tmp_path: Path
) -> None:
    with replaying(tmp_path, session) as proxy:
        call = HTTP_VERSIONS["HTTP/1.1"](proxy, HOST)
        with call:
            call.send("POST", "/api/event_logging/batch", {}, b"{}")
            assert call.response().status == 404
        with pytest.raises(OSError, match="404"):
            HTTP_VERSIONS["HTTP/1.1"](proxy, "telemetry.example.com")
    assert report_in(tmp_path).side_requests == [
        f"POST {HOST}/api/event_logging/batch",
        "CONNECT telemetry.example.com:443",
    ]
    assert not report_in(tmp_path).misses


@pytest.mark.long
def test_a_call_that_is_now_sent_in_another_protocol_is_not_served(
    session: Path, tmp_path: Path
) -> None:
    """The recorded answer would make no sense to the proxy."""
    configuration = """
[[models]]
match = "*"
model = "gpt-5"
provider = "other"
[providers.other]
base_url = "https://api.openai.com/v1"
protocol = "chat"
api_key = "none"
"""
    proxy = replaying(tmp_path, session)
    proxy.configuration_file.write_text(configuration)
    with proxy, model_call(proxy, ANTHROPIC, True) as call:
        response = call.response()
    assert response.status == 400
    assert b"recorded in the protocol anthropic-messages" in response.body
    assert report_in(tmp_path).misses == 1


FORWARDING = ("--set", "wiremend_replay_misses=forward")
BETWEEN_HITS = [text for number in range(6) for text in ("Say hello.", f"Say {number}.")]


def answers_on_one_connection(proxy: Proxy, texts: Sequence[str]) -> list[RawResponse]:
    """Make calls with these prompts at once; return their answers, in order."""
    template = json.dumps(good.request_body(ANTHROPIC, True))
    headers = {"content-type": "application/json", "x-api-key": "sk-test"}
    with Http2Call(proxy, HOST) as call:
        streams = []
        for text in texts:
            body = template.replace("Say hello.", text).encode()
            call.send("POST", good.PATHS[ANTHROPIC, True], headers, body)
            streams.append(call.stream)
        answers = []
        for call.stream in streams:
            answers.append(call.response())
    return answers


@pytest.mark.long
@pytest.mark.parametrize("alpn", ["h2", "http/1.1"])
def test_misses_are_forwarded_on_connections_of_their_own(
    alpn: str, authority: Authority, provider: ScriptedProvider, session: Path, tmp_path: Path
) -> None:
    """mitmproxy shares a connection among the calls to one host. Hits have another server."""
    provider.clear()
    provider.alpn = (alpn,)
    provider.script([faults.streamed(good.tool_stream(ANTHROPIC).events)])
    hosts = {HOST: provider.port}
    with replaying(tmp_path, session, *FORWARDING, authority=authority, hosts=hosts) as proxy:
        answers = answers_on_one_connection(proxy, BETWEEN_HITS)
        assert all(call.outcome is CallState.ANSWERED for call in proxy.calls)
    assert [answer.body for answer in answers] == [
        good.text_stream(ANTHROPIC).data,
        good.tool_stream(ANTHROPIC).data,
    ] * (len(BETWEEN_HITS) // 2)
    report = report_in(tmp_path)
    assert (report.hits, report.forwarded, report.misses) == (6, 6, 0)
    assert len(provider.received) == 6
    assert not any(received.header(TICKET) for received in provider.received)


@pytest.mark.long
def test_a_forwarded_request_that_is_no_call_reaches_its_host(
    authority: Authority, provider: ScriptedProvider, session: Path, tmp_path: Path
) -> None:
    provider.clear()
    provider.script([steps.whole(b"{}")])
    hosts = {HOST: provider.port}
    with (
        replaying(tmp_path, session, *FORWARDING, authority=authority, hosts=hosts) as proxy,
        HTTP_VERSIONS["HTTP/1.1"](proxy, HOST) as call,
    ):
        call.send("POST", "/api/event_logging/batch", {}, b"{}")
        assert call.response().status == 200
    assert [received.path for received in provider.received] == ["/api/event_logging/batch"]
    assert report_in(tmp_path).side_requests == []


@pytest.mark.long
def test_the_certificate_of_a_provider_is_verified_while_a_recording_is_replayed(
    provider: ScriptedProvider, session: Path, tmp_path: Path
) -> None:
    provider.clear()
    provider.script([faults.none(ANTHROPIC)])
    other = Authority(tmp_path / "other")
    hosts = {HOST: provider.port}
    with replaying(tmp_path, session, *FORWARDING, authority=other, hosts=hosts) as proxy:
        hit, miss = answers_on_one_connection(proxy, ["Say hello.", "Say goodbye."])
    assert (hit.status, miss.status) == (200, 502)
    assert b"ertificate" in miss.body
    assert provider.received == []


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda data: b"", "it is empty"),
    "cut": (lambda data: data[:-100], "the file ends inside flow 1"),
    "foreign": (lambda data: b"\x89PNG\r\n", "it is a PNG image, not a recording"),
}


@pytest.mark.first_row
@pytest.mark.parametrize("kind", DAMAGED)
def test_a_recording_that_cannot_be_read_stops_the_start(
    kind: str, session: Path, tmp_path: Path
) -> None:
    damage, reason = DAMAGED[kind]
    session.write_bytes(damage(session.read_bytes()))
    proxy = replaying(tmp_path, session)
    with pytest.raises(AssertionError, match=f"session.mitm: {reason}"):
        proxy.start()
