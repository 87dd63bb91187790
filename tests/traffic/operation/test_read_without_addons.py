"""Files that `mitmdump -s addons/ -w FILE` wrote, in mitmproxy without the addons."""

import subprocess
from pathlib import Path

import pytest
from wiremend.launch.run import mitmproxy_program
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic.broken_calls import BROKEN_CALLS, CONFIGURATION, HOSTS
from traffic.proxy import KEY, Proxy
from traffic.web import Web

BEGINNINGS = (
    "retried: server_error",
    "failed: connection lost",
    "failed: ended early",
    "repaired: block-index",
    "retried: request refused",
    "fell back: minimax-m3",
    "timed out: nothing for",
    "cancelled after 4 events",
)
"""Of the comments of the calls, in their order."""


@pytest.fixture(scope="module")
def written(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a call of each broken kind."""
    folder = tmp_path_factory.mktemp("written")
    path = folder / "flows.mitm"
    with (
        ScriptedProvider(authority.leaf(*HOSTS), tmp_path_factory.mktemp("provider")) as provider,
        Proxy(
            folder / "proxy",
            authority,
            dict.fromkeys(HOSTS, provider.port),
            configuration=CONFIGURATION,
            arguments=["-w", str(path)],
        ) as proxy,
    ):
        for call in BROKEN_CALLS:
            provider.script(call.replies)
            call.make(proxy)
    return path


@pytest.mark.parametrize("detail", [1, 3, pytest.param(4, marks=pytest.mark.long)])
def test_mitmdump_prints_every_call(written: Path, tmp_path: Path, detail: int) -> None:
    har = tmp_path / "flows.har"
    options = (f"flow_detail={detail}", f"hardump={har}", f"confdir={tmp_path / 'confdir'}")
    arguments = [word for option in options for word in ("--set", option)]
    ended = subprocess.run(
        [mitmproxy_program("mitmdump"), "-n", "-r", str(written), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=Proxy.inherited_environment(),
        timeout=60,
        check=True,
    )
    printed = ended.stdout + ended.stderr
    assert printed.count("/v1/messages") >= len(BROKEN_CALLS)
    assert "cancelled by client" in printed
    assert ("`split` breaks a quoted field" in printed) == (detail > 1)
    assert [text for text in ("Traceback", "rror in", "orrupt", KEY) if text in printed] == []
    assert KEY not in har.read_text()


@pytest.mark.long
def test_mitmweb_lists_and_shows_every_call(
    written: Path, authority: Authority, tmp_path: Path
) -> None:
    arguments = ["-r", str(written)]
    with Web(tmp_path, authority, {}, scripts=(), arguments=arguments) as web:
        rows = web.wait_for(lambda: web.flows, lambda rows: len(rows) == len(BROKEN_CALLS))
        for number, (row, beginning) in enumerate(zip(rows, BEGINNINGS, strict=True)):
            assert row["comment"].startswith(beginning)
            assert row["marked"]
            assert web.content(number, "request")["view_name"] == "JSON"
            assert "event: message_start" in web.text(number, "response")
