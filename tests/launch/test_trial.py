"""`--doctor -- COMMAND`: commands that reach wiremend, and the reasons why others do not."""

import datetime
import json
import os
import stat
import sys
from pathlib import Path

import pytest
from wiremend.launch.authority import make_authority
from wiremend.launch.examining import trial
from wiremend.launch.examining.trial import try_command
from wiremend.launch.verdicts import Line, Verdict
from wiremend.targets.hosts import PROVIDER_HOSTS

CLIENT = """
import json, ssl, sys, urllib.request
how = sys.argv[1]
body = b'{"model": "claude-opus-5", "max_tokens": 5, "messages": []}'
host = "llm.corp.example" if how == "another host" else "api.anthropic.com"
handlers = []
if how == "no proxy":
    handlers.append(urllib.request.ProxyHandler({}))
if how == "other certificates":
    handlers.append(urllib.request.HTTPSHandler(context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))
if how != "nothing":
    request = urllib.request.Request(f"https://{host}/v1/messages", body)
    request.add_header("content-type", "application/json")
    urllib.request.build_opener(*handlers).open(request, timeout=30).read()
"""


@pytest.fixture(autouse=True)
def same_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ca")
    make_authority(directory, PROVIDER_HOSTS, datetime.datetime.now(datetime.UTC))
    return directory


def tried(confdir: Path, *command: str) -> Line:
    line = try_command(confdir, PROVIDER_HOSTS, command)
    if "was not run: without user namespaces" in line.text:
        pytest.skip("this machine does not allow user namespaces")
    return line


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize(
    ("how", "text"),
    [
        (
            "as usual",
            ": 1 call intercepted, to api.anthropic.com/v1/messages; the first was retried after a "
            "reset",
        ),
        ("no proxy", "without a connection through the proxy\nits output: "),
        ("other certificates", ": it does not trust the CA for api.anthropic.com"),
        ("another host", ": it connected to llm.corp.example"),
        ("nothing", "and it ended with status 0 without a connection through the proxy"),
    ],
)
def test_a_command_is_run_without_reaching_a_provider(how: str, text: str, confdir: Path) -> None:
    line = tried(confdir, sys.executable, "-c", CLIENT, how)
    assert text in line.text
    assert line.verdict is (Verdict.OK if how == "as usual" else Verdict.PROBLEM)
    assert bool(line.remedy) is (how != "as usual")


def test_without_a_network_of_its_own_a_command_is_not_run(
    confdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos.__dict__.pop('unshare', None)\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONPATH", path)
    line = try_command(confdir, PROVIDER_HOSTS, ["touch", str(tmp_path / "made")])
    assert line.verdict is Verdict.WARNING
    assert line.text.startswith("touch was not run: without user namespaces")
    assert not (tmp_path / "made").exists()


@pytest.mark.long
def test_an_agent_gets_an_empty_home_and_no_valid_key(
    confdir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    agent = tmp_path / "claude"
    agent.write_text(
        "#!/bin/sh\n"
        f"""[ "$(ls -A "$HOME")" = "" ] && [ "$PWD" = "$HOME" ] || exit 7\n"""
        f"""echo "$CLAUDE_CONFIG_DIR" "$ANTHROPIC_API_KEY" > {tmp_path}/seen\n"""
    )
    agent.chmod(agent.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-mine-3c77")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    given = json.dumps(["run", str(confdir), list(PROVIDER_HOSTS), [str(agent)], 30.0])
    assert trial.main("shared", given) == 0
    verdict, text, _ = json.loads(capsys.readouterr().out)
    assert (verdict, "ended with status 0" in text) == ("problem", True), text
    assert (tmp_path / "seen").read_text() == " wiremend-doctor-no-real-key\n"


@pytest.mark.long
def test_a_command_that_does_not_end_is_ended(confdir: Path) -> None:
    line = try_command(confdir, PROVIDER_HOSTS, ["sleep", "1000"], limit_seconds=0.1)
    if "was not run" in line.text:
        pytest.skip("this machine does not allow user namespaces")
    assert "it was still running after the limit of 0.1 s" in line.text
