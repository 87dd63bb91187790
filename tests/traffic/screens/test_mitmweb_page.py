"""mitmweb in a real Chromium while calls are made: what a person sees of broken ones.

Skipped without Chromium, and run by `scripts/test --all`; `operation/test_mitmweb.py` reads the
same page through its JSON.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from wiremend.launch.run import web_arguments
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults
from traffic.broken_calls import (
    ANTHROPIC,
    BROKEN_CALLS,
    CONFIGURATION,
    HOSTS,
    IDLE_SECONDS,
    BrokenCall,
    answer,
    growing,
    partly,
    request,
)
from traffic.browser import CHROMIUM, Browser
from traffic.clients import model_call
from traffic.mitmweb_page import MitmwebPage
from traffic.proxy import KEY
from traffic.web import Web

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

COLUMN_CHARACTERS = 16
"""What the column of comments shows at least."""
FIRST_SCREEN = {
    "wrapped error, retried": (
        "🔁",
        "retried: server_error (2 attempts) · claude-opus-5 · E001",
        ["E001 error-in-stream: server_error → trying again in", "attempt 2  answered"],
    ),
    "reset": (
        "❌",
        "failed: connection lost after 4 events · claude-opus-5 · R002",
        ["the client received 4 events, then an error that wiremend wrote", "R002 connection-lost"],
    ),
    "cut": (
        "❌",
        "failed: ended early after 9 events · claude-opus-5 · R003",
        ["Connection lost: the stream ended before its stop reason.", "R003 early-end"],
    ),
    "bad index": (
        "🔧",
        "repaired: block-index · claude-opus-5 · S105 (11)",
        ["S105 block-index: block 1 → block 0 (6 events, 2 to 7)"],
    ),
    "refused schema": (
        "🔁",
        "retried: request refused: tools.3.custom.input_schema: JSON schema is invalid.",
        ["T301 learnt-from-rejection", "'mcp__notion__create_page'"],
    ),
    "fallback": (
        "🔀",
        "fell back: minimax-m3 status 404 (2 attempts) · claude-haiku-4-5 → qwen3.7-plus",
        ["attempt 1  failed: status 404: model: minimax-m3", "M003 fell-back: minimax-m3 failed"],
    ),
    "stall": (
        "⏱",
        "timed out: nothing for 1.5 s (idle) after 4 events · claude-opus-5",
        ["the client received 4 events, then an error that wiremend wrote", "R004 timed-out"],
    ),
    "cancelled": (
        "🔌",
        "cancelled after 4 events · claude-opus-5",
        ["── timeline", "try 1"],
    ),
}
"""By call: marker, the beginning of the comment, and lines of the screen after a click on the
row, which are on the tab of the request."""


@pytest.fixture(scope="module")
def shown_provider(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScriptedProvider]:
    with ScriptedProvider(authority.leaf(*HOSTS), tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest.fixture
def idle_seconds(request: pytest.FixtureRequest) -> float:
    """How long the provider may be silent. Tests that look at a running stream are `patient`."""
    return getattr(request, "param", IDLE_SECONDS)


patient = pytest.mark.parametrize("idle_seconds", [300.0], indirect=True)


@pytest.fixture
def web(
    authority: Authority, shown_provider: ScriptedProvider, tmp_path: Path, idle_seconds: float
) -> Iterator[Web]:
    hosts = dict.fromkeys(HOSTS, shown_provider.port)
    shown_provider.clear()
    with Web(
        tmp_path / "web",
        authority,
        hosts,
        configuration=CONFIGURATION.replace(f"idle = {IDLE_SECONDS}", f"idle = {idle_seconds}"),
        arguments=web_arguments(),
    ) as web:
        yield web


@pytest.fixture
def page(web: Web, tmp_path: Path) -> Iterator[MitmwebPage]:
    with Browser(tmp_path / "browser") as browser:
        yield MitmwebPage(browser, web, width=1280)
        assert browser.faults == []


def make(web: Web, provider: ScriptedProvider, *calls: BrokenCall) -> None:
    for call in calls:
        provider.script(call.replies)
        call.make(web)


def named(name: str) -> BrokenCall:
    return next(call for call in BROKEN_CALLS if call.name == name)


def test_the_first_screen_of_every_broken_call(
    web: Web, page: MitmwebPage, shown_provider: ScriptedProvider
) -> None:
    make(web, shown_provider, *BROKEN_CALLS)
    rows = page.wait_for_rows(len(BROKEN_CALLS))
    beginnings = {row["comment"][:COLUMN_CHARACTERS] for row in rows}
    assert len(beginnings) == len(BROKEN_CALLS)
    for call, row in zip(BROKEN_CALLS, rows, strict=True):
        marker, comment, lines = FIRST_SCREEN[call.name]
        assert row["path"].split("\n")[0] == marker
        assert row["comment"].startswith(comment)
        page.select(comment)
        shown = "\n".join(page.wait_for_line(lines[-1]))
        glyph = "✗" if marker in "❌⏱🔌" else "✓"
        assert shown.startswith(f"{glyph} {comment[:9]}")
        assert [line for line in lines if line not in shown] == []
        assert page.lines_out_of_sight == []


def test_the_response_of_a_repaired_call_in_several_views(
    web: Web, page: MitmwebPage, shown_provider: ScriptedProvider
) -> None:
    make(web, shown_provider, named("bad index"))
    page.wait_for_rows(1)
    page.select("repaired")
    page.tab("Response")
    lines = page.wait_for_line("✓ repaired: S105 block-index")
    assert '      "new": "return next(csv.reader([line]))"' in lines
    assert "  stop: tool_use" in lines
    changed = page.view("before and after")
    assert changed[:3] == ["--- api.anthropic.com, attempt 1", "+++ the client", "@@ event 2 → 2"]
    assert changed[3].startswith('- {"type":"content_block_start","index":1,')
    assert changed[4].startswith('+ {"type":"content_block_start","index":0,')
    assert page.lines_out_of_sight == []
    timeline = page.view("timeline")
    assert timeline[0] == "attempt 1  answered  (api.anthropic.com · claude-opus-5)"
    assert any(line.startswith("client    ") and "█" in line for line in timeline)
    assert page.lines_out_of_sight == []


def test_the_list_is_filtered_by_outcome(
    web: Web, page: MitmwebPage, shown_provider: ScriptedProvider
) -> None:
    make(web, shown_provider, named("cut"), named("bad index"), named("fallback"))
    page.wait_for_rows(3)
    for search, found in [
        ('~comment "^(failed|timed out)"', ["failed: ended ea"]),
        ("~comment S105", ["repaired: block-"]),
        ("~comment qwen", ["fell back: minim"]),
        ("~marked & ~c 200", ["failed: ended ea", "repaired: block-", "fell back: minim"]),
    ]:
        page.search(search)
        page.wait_for_comments(found)
        assert not page.refuses_the_filter


def test_a_call_is_sent_again_and_reverted(
    web: Web, page: MitmwebPage, shown_provider: ScriptedProvider
) -> None:
    make(web, shown_provider, named("bad index"))
    page.wait_for_comments(["repaired: block-"])
    page.select("repaired")
    page.tab("Response")
    shown_provider.script(named("wrapped error, retried").replies)
    page.press("r")
    page.wait_for_comments(["retried: server_error (2 attempts)"])
    assert page.wait_for_line("answered")[0] == "✓ retried: server_error (2 attempts)"
    page.press("v")
    page.wait_for_comments(["repaired: block-"])
    assert page.wait_for_line("block 1 → block 0")[0].startswith("✓ repaired: S105")
    shown_provider.script(named("bad index").replies)
    result = page.run_command(f"wiremend.resend @{web.flows[0]['id']}")
    page.wait_for_comments(["repaired: block-", "repaired: block-"])
    assert f"sent again: {web.flows[1]['id']}" in result
    sent = [(one.header("authorization"), one.body) for one in shown_provider.received]
    assert len(sent) == 4
    assert set(sent) == {(f"Bearer {KEY}", request())}


@patient
def test_an_open_view_grows_with_its_stream(
    web: Web, page: MitmwebPage, shown_provider: ScriptedProvider
) -> None:
    shown_provider.script([growing(4)])
    with model_call(web, ANTHROPIC, True, body=request()) as call:
        call.read_until(b"The module")
        page.select("")
        page.tab("Response")
        lines = page.wait_for_line("… more is to come")
        assert lines[0] == "… running"
        assert not any("return next(csv" in line for line in lines)
        shown_provider.release()
        assert b"message_stop" in call.response().body
    lines = page.wait_for_line("stop: tool_use")
    assert lines[0] == "✓ ok"
    assert any("return next(csv" in line for line in lines)


@patient
def test_a_call_that_is_cancelled_while_it_is_open_keeps_its_text(
    web: Web, page: MitmwebPage, shown_provider: ScriptedProvider
) -> None:
    shown_provider.script([partly(4, faults.stall)])
    with model_call(web, ANTHROPIC, True, body=request()) as call:
        call.read_until(b"The module")
        page.select("")
        page.tab("Response")
        page.wait_for_line("… more is to come")
        call.cancel()
    lines = page.wait_for_line("✗ it ends here, incomplete")
    assert lines[0] == "✗ cancelled after 4 events"
    assert any("`split` breaks a quoted field" in line for line in lines)
    raw = "\n".join(page.view("raw"))
    assert all(event.decode().strip() in raw for event in answer()[:4])
