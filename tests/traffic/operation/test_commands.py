"""The commands in a real mitmweb, over its REST API as the command bar uses it."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wiremend.testing import steps
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import QUICK_RETRIES
from traffic.proxy import KEY, REPOSITORY, Proxy
from traffic.web import Web

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]
BROKEN = steps.streamed(good.stream_with_blocks_from_index(1).events)


@pytest.fixture
def web(authority: Authority, provider: ScriptedProvider, tmp_path: Path) -> Iterator[Web]:
    hosts = {HOST: provider.port}
    with Web(tmp_path, authority, hosts, configuration=QUICK_RETRIES) as web:
        yield web


def ask(web: Web, count: int = 1) -> str:
    """Make a call; return its flow as an argument of commands."""
    with model_call(web, ANTHROPIC, True) as call:
        call.response()
    rows = web.wait_for(
        lambda: web.flows, lambda rows: sum(bool(r["comment"]) for r in rows) == count
    )
    return f"@{rows[-1]['id']}"


def test_a_call_is_explained(web: Web, provider: ScriptedProvider) -> None:
    provider.script([faults.overloaded(ANTHROPIC), BROKEN])
    flow = ask(web)
    texts = {
        name: web.run_command(f"wiremend.{name}", flow).split("\n")
        for name in ("explain", "findings", "attempts")
    }
    assert texts["explain"][0] == "✓ retried: Overloaded (2 attempts)"
    assert "  stop: end_turn" in texts["explain"]
    assert any(line.startswith("S105 block-index: ") for line in texts["findings"])
    assert sum(line.startswith("attempt ") for line in texts["attempts"]) == 2
    text = "\n".join(texts["explain"])
    assert any(event["message"].endswith(text) for event in web.events)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed")
def test_the_command_line_of_the_readme_works(web: Web, provider: ScriptedProvider) -> None:
    provider.script([BROKEN])
    flow = ask(web)
    page = urllib.parse.urlsplit(web.page_url)
    [line] = re.findall(r"```\n(curl .*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    line = line.replace("127.0.0.1:8081", page.netloc).replace("@FLOWID", flow)
    environment = {**os.environ, "TOKEN": page.query.removeprefix("token="), "NO_PROXY": "*"}
    command = ["sh", "-c", line]
    answered = subprocess.run(command, capture_output=True, env=environment, timeout=30, check=True)
    assert json.loads(answered.stdout)["value"].startswith("✓ repaired: S105 block-index\n")


def test_rules_are_switched_off_and_on_again(web: Web, provider: ScriptedProvider) -> None:
    provider.script([BROKEN])
    answers = [web.run_command("wiremend.rules.off", "S105")]
    ask(web)
    answers.append(web.run_command("wiremend.rules.off"))
    answers.append(web.run_command("wiremend.rules.on", "S105"))
    ask(web, 2)
    answers.append(web.run_command("wiremend.rules.on"))
    assert answers == [
        "off until the proxy ends: S105 block-index",
        "off: S105 block-index",
        "on until the proxy ends: S105 block-index",
        "off: none",
    ]
    first, second = (row["comment"] for row in web.flows)
    assert "S105" not in first
    assert second == "repaired: block-index · claude-opus-5 · S105 (6)"


WRONG: list[tuple[str, list[str], str]] = [
    ("rules.off", ["S9999"], "no rule has the code 'S9999', or one that begins so"),
    ("forget", ["everything"], "'everything' is not one of all, breakers, budgets, keys, lessons."),
    ("forget", [], "Choose one of all, breakers, budgets, keys, lessons."),
    ("explain", ["~all"], "There is no call"),
    ("resend", ["~all"], "There is no call to send again"),
    ("repro", ["@all", "x"], "requires one flow"),
]


def test_a_wrong_argument_is_answered_with_the_reason(web: Web) -> None:
    for name, arguments, error in WRONG:
        answer = web.post(f"/commands/wiremend.{name}", {"arguments": arguments})
        assert error in answer["error"], name


def test_every_command_has_a_help_text(web: Web) -> None:
    commands = {name: entry for name, entry in web.commands.items() if name.startswith("wiremend.")}
    assert len(commands) >= 11
    assert not [name for name, entry in commands.items() if not entry["help"]]


def test_every_option_has_a_help_text_of_sentences(web: Web) -> None:
    helps = {
        name: option["help"] for name, option in web.options.items() if name.startswith("wiremend_")
    }
    assert len(helps) >= 18
    assert not [name for name, text in helps.items() if not text[0].isupper() or text[-1] != "."]
    assert not [name for name, text in helps.items() if not 20 < len(text) < 300]


REFUSED: list[tuple[str, Any, str]] = [
    ("wiremend_keep", "sometimes", "wiremend_keep is one of auto, always, never"),
    ("wiremend_flows", -1, "wiremend_flows cannot be negative"),
    ("wiremend_config", "missing.toml", "missing.toml"),
    ("wiremend_faults", "missing.toml", "missing.toml"),
    ("wiremend_replay", "x.mitm", "a recording is replayed from the start, or never"),
    ("wiremend_log", "missing/x", "cannot be written: its folder does not exist"),
    ("wiremend_metrics", 99_999, "wiremend_metrics"),
]


def test_a_refused_value_is_logged(web: Web) -> None:
    for option, value, reason in REFUSED:
        before = web.options[option]["value"]
        with pytest.raises(urllib.error.HTTPError):
            web.put("/options", {option: value})
        errors = [event["message"] for event in web.events if event["level"] == "error"]
        assert any(reason in message for message in errors), option
        assert web.options[option]["value"] == before


@pytest.mark.long
def test_the_state_is_shown_and_forgotten(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    configuration = """
[retry]
attempts = 2
backoff_initial = 0.01
[breaker]
failures = 1
[[models]]
match = "claude-haiku-*"
model = "kimi-k2.6"
fallback = ["glm-5"]
"""
    provider.script([faults.overloaded(ANTHROPIC)])
    hosts = {HOST: provider.port}
    with Web(tmp_path, authority, hosts, configuration=configuration) as web:
        ask(web)
        lines = web.run_command("wiremend.state").split("\n")
        target = f"https://{HOST}:443"
        [breaker] = [line for line in lines if line.startswith(f"  {target} claude-opus-5: open")]
        assert breaker.endswith(" (last: 529 retryable status)")
        assert f"  {target}: 29 left" in lines
        assert "  claude-haiku-* → the same provider/kimi-k2.6, then glm-5" in lines
        assert "keys in memory: those of 1 call, for wiremend.resend and Replay" in lines
        assert web.run_command("wiremend.forget", "all") == (
            "forgotten: 1 breakers, 1 budgets, 1 keys, 0 lessons"
        )
        lines = web.run_command("wiremend.state").split("\n")
        assert {"breakers: all closed", "retry budgets: full: 30 retries"} <= set(lines)


@pytest.mark.long
def test_a_repro_has_no_secret_and_is_run_by_check_replay_and_pytest(
    web: Web, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.script([faults.overloaded(ANTHROPIC), BROKEN])
    folder = tmp_path / "repro"
    written = web.run_command("wiremend.repro", ask(web), str(folder))
    recording, test = folder / "recording.mitm", folder / "test_repro.py"
    assert written == f"written: {recording}, {test}"
    assert KEY.encode() not in recording.read_bytes() + test.read_bytes()
    assert recording.stat().st_mode & 0o777 == 0o600
    checked = python("-m", "wiremend", "check", str(recording))
    assert checked.returncode == 1
    assert "S105" in checked.stdout
    tested = python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(test))
    assert "1 passed" in tested.stdout, tested.stdout
    test.write_text(test.read_text().replace("'S105'", "'S999'"))
    assert python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)).returncode == 1
    client = ["--", sys.executable, "-c", SEND_IT, str(recording)]
    replayed = python("-m", "wiremend", "replay", str(recording), *client)
    assert "200 message_stop" in replayed.stdout, replayed.stdout + replayed.stderr
    with pytest.raises(AssertionError, match="exists; name a folder that does not"):
        web.run_command("wiremend.repro", f"@{web.flows[0]['id']}", str(folder))


SEND_IT = """
import sys, urllib.request
from pathlib import Path
from wiremend.testing.repro import load_repro
sent = load_repro(Path(sys.argv[1])).request
request = urllib.request.Request(sent.url, sent.body.data, dict(sent.headers))
with urllib.request.urlopen(request) as response:
    print(response.status, response.read().decode().rpartition("event: ")[2].split()[0])
"""


def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = Proxy.inherited_environment() | {"PYTHONPATH": str(REPOSITORY / "addons")}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
