"""Calls in a real mitmweb, live and from a file, and in mitmdump."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter
from wiremend.launch.probing import is_wiremend
from wiremend.launch.run import mitmproxy_program, web_arguments
from wiremend.testing import steps
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider
from wiremend.views.content.view_list import VIEWS

from traffic import faults, good
from traffic.clients import HTTP_VERSIONS, model_call
from traffic.conftest import QUICK_RETRIES
from traffic.proxy import KEY, SUITE, Proxy
from traffic.web import Web

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]
STREAM = good.text_stream(ANTHROPIC)
IMPATIENT = f"{QUICK_RETRIES}\n[timeouts]\nidle = 1.0\n"
HALF = STREAM.places["mid_content"]


@pytest.fixture
def web(authority: Authority, provider: ScriptedProvider, tmp_path: Path) -> Iterator[Web]:
    with Web(tmp_path, authority, {HOST: provider.port}, configuration=IMPATIENT) as web:
        yield web


def ask(proxy: Proxy) -> bytes:
    with model_call(proxy, ANTHROPIC, True) as call:
        return call.response().body


def wait_for_rows(web: Web, count: int) -> list[tuple[str, str]]:
    flows = web.wait_for(
        lambda: web.flows, lambda rows: sum(bool(row["comment"]) for row in rows) == count
    )
    return [(flow["comment"], flow["marked"]) for flow in flows]


BROKEN_CALLS = [
    (faults.none(ANTHROPIC), "ok · claude-opus-5", ""),
    (
        steps.streamed(good.stream_with_blocks_from_index(1).events),
        "repaired: block-index · claude-opus-5 · S105 (6)",
        "🔧",
    ),
    (
        faults.reset_mid_stream(ANTHROPIC),
        f"failed: connection lost after {HALF} events · claude-opus-5 · R002",
        "❌",
    ),
    (
        faults.stall_mid_stream(ANTHROPIC),
        f"timed out: nothing for 1 s (idle) after {HALF} events · claude-opus-5 · R004",
        "⏱",
    ),
]


def test_each_call_is_one_row_that_begins_with_its_outcome(
    web: Web, provider: ScriptedProvider
) -> None:
    provider.script([reply for reply, _, _ in BROKEN_CALLS])
    for _ in BROKEN_CALLS:
        ask(web)
    provider.script([faults.overloaded(ANTHROPIC), faults.none(ANTHROPIC)])
    ask(web)
    provider.script([faults.wrapped_error_first(ANTHROPIC)] * 4)
    ask(web)
    provider.script([late_error()])
    with model_call(web, ANTHROPIC, True) as call:
        call.read_until(STREAM.events[HALF - 1])
        provider.release()
        call.response()
    rows = wait_for_rows(web, len(BROKEN_CALLS) + 3)
    assert rows[: len(BROKEN_CALLS)] == [(comment, mark) for _, comment, mark in BROKEN_CALLS]
    assert rows[len(BROKEN_CALLS) :] == [
        ("retried: Overloaded (2 attempts) · claude-opus-5 · R005", "🔁"),
        ("failed: 500 server_error · claude-opus-5 · E001 (4)", "❌"),
        (f"failed: 529 Overloaded after {HALF} events · claude-opus-5 · E002", "❌"),
    ]


def paused(first: Sequence[bytes], rest: Sequence[bytes]) -> Reply:
    """Return a stream that goes on when the provider is released."""
    head = faults.head(headers=faults.EVENT_STREAM)
    steps = (head, faults.chunks(first), faults.stall, faults.chunks(rest), faults.end)
    return Reply("paused", steps)


def late_error() -> Reply:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    data = f"event: error\ndata: {json.dumps(error)}\n\n".encode()
    return paused(STREAM.events[:HALF], [data])


def test_a_cancelled_call_keeps_what_had_come(web: Web, provider: ScriptedProvider) -> None:
    provider.script([faults.stall_mid_stream(ANTHROPIC)])
    with model_call(web, ANTHROPIC, True) as call:
        call.read_until(STREAM.events[HALF - 1])
        call.cancel()
    [row] = wait_for_rows(web, 1)
    assert row == (f"cancelled after {HALF} events · claude-opus-5", "🔌")
    for message in ("request", "response"):
        assert web.text(0, message).startswith(f"✗ cancelled after {HALF} events")
    assert "  ✗ it ends here, incomplete" in web.text(0, "response").split("\n")
    assert web.text(0, "response", "raw").encode() == b"".join(STREAM.events[:HALF])


@pytest.mark.first_row
@pytest.mark.parametrize("message", ["request", "response"])
def test_every_view_is_shown_by_its_name(
    web: Web, provider: ScriptedProvider, message: str
) -> None:
    provider.script([steps.streamed(good.stream_with_blocks_from_index(1).events)])
    ask(web)
    wait_for_rows(web, 1)
    assert web.content(0, message)["view_name"] == "call"
    for view in VIEWS:
        shown = web.content(0, message, view.name)
        assert shown["view_name"] == view.name
        assert shown["text"].strip()
    assert "Hello, wide world" in web.text(0, message, "conversation")
    assert "index" in web.text(0, "response", "before and after")


def test_a_stream_is_shown_while_it_grows_without_the_clients_key(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    started = b"".join(STREAM.events[:HALF]).replace(b"Hello", b"Hello " + KEY.encode())
    provider.script([paused([started], STREAM.events[HALF:])])
    hosts = {HOST: provider.port}
    with (
        Web(tmp_path, authority, hosts) as web,
        model_call(web, ANTHROPIC, True) as call,
    ):
        call.read_until(KEY.encode())
        lines = web.wait_for(
            lambda: web.text(0, "response").split("\n"),
            lambda lines: "  … more is to come" in lines,
        )
        assert lines[0] == "… running"
        assert not web.flows[0]["comment"]
        assert KEY not in "\n".join(lines) + web.text(0, "response", "raw")
        assert any(line.startswith("  Hello ") for line in lines)
        provider.release()
        assert KEY.encode() in call.response().body
        assert wait_for_rows(web, 1) == [("ok · claude-opus-5", "")]
        assert "stop: end_turn" in web.text(0, "response")


def test_the_request_before_is_found(web: Web, provider: ScriptedProvider) -> None:
    provider.script([faults.none(ANTHROPIC)] * 2)
    ask(web)
    ask(web)
    wait_for_rows(web, 2)
    assert web.text(0, "request", "since last turn").startswith("No earlier request")
    assert web.text(1, "request", "since last turn").startswith("The messages are the same as in")


def recorded(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> tuple[Path, http.HTTPFlow]:
    path = tmp_path / "flows.mitm"
    provider.script([steps.streamed(good.stream_with_blocks_from_index(1).events)])
    arguments = ["-w", str(path)]
    with Proxy(
        tmp_path, authority, {HOST: provider.port}, configuration=IMPATIENT, arguments=arguments
    ) as proxy:
        ask(proxy)
    return path, flows_in(path)[0]


def flows_in(path: Path) -> list[http.HTTPFlow]:
    with path.open("rb") as file:
        return [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]


@pytest.mark.long
def test_saved_flows_are_shown_as_live_ones_and_keep_a_users_notes(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    path, flow = recorded(authority, provider, tmp_path)
    assert (flow.comment, flow.marked) == (BROKEN_CALLS[1][1], ":wrench:")
    noted = tmp_path / "noted.mitm"
    flow.comment, flow.marked = "MY OWN NOTE", ":red_circle:"
    with noted.open("wb") as file:
        FlowWriter(file).add(flow)
    arguments = ["-r", str(noted)]
    with Web(tmp_path / "web", authority, {}, arguments=arguments) as web:
        [row] = web.wait_for(lambda: web.flows, lambda rows: len(rows) == 1)
        assert (row["comment"], row["marked"]) == ("MY OWN NOTE", "🔴")
        assert web.text(0, "response").startswith("✓ repaired: S105 block-index")
        assert "@@ event 3 → 3" in web.text(0, "response", "before and after")
        assert not [line for line in web.lines if "S105" in line]
    rewritten = tmp_path / "rewritten.mitm"
    read_back(noted, "-w", str(rewritten))
    [copied] = flows_in(rewritten)
    assert (copied.comment, copied.marked) == ("MY OWN NOTE", ":red_circle:")
    printed = read_back(path, "--set", "flow_detail=3")
    assert "    ✓ repaired: S105 block-index" in printed
    assert "      Hello, wide world ✓" in printed


def read_back(path: Path, *arguments: str) -> list[str]:
    """Return what mitmdump prints when it reads a file."""
    command = [mitmproxy_program("mitmdump"), "-n", "-s", f"{SUITE}__main__.py", "-r", str(path)]
    ended = subprocess.run(
        [*command, "--set", f"confdir={path.parent / 'other'}", *arguments],
        capture_output=True,
        text=True,
        cwd=path.parent,
        env=Proxy.inherited_environment(),
        timeout=60,
        check=True,
    )
    return [line.rstrip() for line in ended.stdout.splitlines()]


@pytest.mark.long
def test_mitmdump_prints_a_live_call_as_text(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.script([faults.none(ANTHROPIC)])
    arguments = ["--set", "flow_detail=3"]
    with Proxy(tmp_path, authority, {HOST: provider.port}, arguments=arguments) as proxy:
        ask(proxy)
        proxy.wait_for_line("^    ✓ ok")
        proxy.wait_for_line("^      stop: end_turn")


@pytest.mark.long
def test_the_list_keeps_as_many_flows_as_the_option_allows(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.script([faults.none(ANTHROPIC)] * 5)
    arguments = ["--set", "wiremend_flows=2"]
    with Web(tmp_path, authority, {HOST: provider.port}, arguments=arguments) as web:
        for _ in range(5):
            ask(web)
        assert wait_for_rows(web, 2) == [("ok · claude-opus-5", "")] * 2


@pytest.mark.long
def test_a_list_with_the_options_of_scripts_run_has_calls_only(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.script([faults.none(ANTHROPIC), faults.status(404, "{}"), faults.none(ANTHROPIC)])
    with Web(tmp_path, authority, {HOST: provider.port}, arguments=web_arguments()) as web:
        ask(web)
        with HTTP_VERSIONS["HTTP/1.1"](web, HOST) as client:
            client.send("GET", "/v1/models", {"x-api-key": KEY}, b"")
            client.response()
        ask(web)
        assert wait_for_rows(web, 2) == [("ok · claude-opus-5", "")] * 2
        assert [row["request"]["path"] for row in web.flows] == ["/v1/messages"] * 2


@pytest.mark.long
def test_the_probe_of_run_env_does_not_stay_in_the_list(web: Web) -> None:
    assert is_wiremend(web.port)
    assert is_wiremend(web.port, admits=True)
    with contextlib.closing(HTTPConnection("127.0.0.1", web.port)) as other:
        other.request("GET", "/")
        assert other.getresponse().status == 400
    [row] = web.wait_for(lambda: web.flows, lambda rows: len(rows) == 1)
    assert row["comment"].startswith("refused")
    assert "".join(web.lines).count("It was sent to the proxy itself") == 1
