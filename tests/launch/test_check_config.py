"""`--check-config`: what it says about routes and providers, and the call of `--probe`."""

import contextlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from wiremend.config.current import CurrentConfig
from wiremend.launch.check_config import check_config

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sk-do-not-show-5d10"
ENVIRONMENT = {"KEY": SECRET, "OPENCODE_API_KEY": SECRET, "MOONSHOT_API_KEY": SECRET}


def checked(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, probe: bool = False
) -> tuple[int, list[str]]:
    """Return the exit status and the printed lines."""
    file = tmp_path / "team.toml"
    file.write_text(text)
    file.chmod(0o600)
    status = check_config(CurrentConfig(ENVIRONMENT), str(file), allow=False, probe=probe)
    printed = capsys.readouterr().out
    assert SECRET not in printed
    return status, printed.splitlines()


PROVIDERS = """
[providers.go]
base_url = "https://opencode.ai/zen/go"
protocol = { "minimax-*" = "anthropic", "*" = "chat" }
api_key = "${KEY}"
[providers.google]
base_url = "https://generativelanguage.googleapis.com/v1beta"
protocol = "gemini"
[providers.own]
base_url = "http://127.0.0.1:4000"
"""


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ('match = "claude-haiku-*"\nwhen = { background = true, tools_min = 2 }\n'
         'model = "kimi-k3"\nprovider = "go"\nfallback = ["minimax-m3", "google/gemini-3-pro"]',
         ["ok       models[0]: claude-haiku-* when tools_min = 2 and background = true",
          "         to kimi-k3 at go: https://opencode.ai/zen/go/v1/chat/completions",
          "         then minimax-m3 at go: https://opencode.ai/zen/go/v1/messages",
          "         then gemini-3-pro at google: https://generativelanguage.googleapis.com/v1beta"
          "/models/gemini-3-pro:generateContent"]),
        ('match = "claude-*"\nfallback = ["own/m"]',
         ["ok       models[0]: claude-*",
          "         to MODEL at the provider that the client addresses, with the client's key",
          "         then m at own: http://127.0.0.1:4000/v1/messages"]),
    ],
)  # fmt: skip
def test_a_route_is_explained(
    route: str, expected: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines = checked(f"{PROVIDERS}\n[[models]]\n{route}", tmp_path, capsys)
    assert status == 0
    start = lines.index(expected[0])
    assert lines[start : start + len(expected)] == expected


def test_a_provider_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = checked(PROVIDERS, tmp_path, capsys)
    assert status == 0
    assert lines[1:] == [
        "ok       providers.go: https://opencode.ai/zen/go",
        "         protocol: anthropic for minimax-*, chat for *; calls in other protocols are "
        "translated",
        "         with a key",
        "warning  providers.google: https://generativelanguage.googleapis.com/v1beta",
        "         protocol: gemini for *; calls in other protocols are translated",
        "         without a key",
        "         to do: set api_key, unless the provider needs none",
        "ok       providers.own: http://127.0.0.1:4000",
        "         protocol: that of the call; nothing is translated",
        "         without a key",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[retries]", "problem  team.toml: retries: unknown key; did you mean 'retry'?"),
        ('[providers.a]\nbase_url = "https://a.example"\napi_key = "${MISSING}"',
         "problem  team.toml: providers.a.api_key: "),
    ],
)  # fmt: skip
def test_a_configuration_that_is_refused_is_a_problem(
    text: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines = checked(text, tmp_path, capsys)
    assert status == 1
    assert lines[0].startswith(expected)


def test_a_suspicious_setting_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[[models]]\nmatch = "*"\nmodel = "a"\n[[models]]\nmatch = "b"\nmodel = "c"'
    status, lines = checked(text, tmp_path, capsys)
    assert status == 0
    assert any(line.startswith("warning  team.toml: warning: models[1]") for line in lines)


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_readme_are_accepted(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    examples = [block for block in blocks if "[providers." in block]
    status, lines = checked(examples[number], tmp_path, capsys)
    assert status == 0
    assert not [line for line in lines if line.startswith("warning")]


# --probe


@dataclass
class Answering:
    """A provider on loopback that answers every POST alike."""

    status: int
    body: bytes
    port: int = 0
    received: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@contextlib.contextmanager
def provider(status: int, body: bytes) -> Iterator[Answering]:
    answering = Answering(status, body)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            headers = {name.lower(): value for name, value in self.headers.items()}
            answering.received.append((self.path, headers, json.loads(self.rfile.read(length))))
            self.send_response(answering.status)
            if answering.status == 307:
                self.send_header("location", "/elsewhere")
            self.send_header("content-length", str(len(answering.body)))
            self.end_headers()
            self.wfile.write(answering.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    answering.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield answering
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def probed(port: int, protocol: str) -> str:
    return f"""
        [providers.p]
        base_url = "http://127.0.0.1:{port}"
        api_key = "${{KEY}}"
        {protocol}
        [[models]]
        match = "claude-*"
        provider = "p"
        model = "m"
    """


@pytest.mark.parametrize(
    ("protocol", "path", "key"),
    [
        ("", "/v1/messages", ("x-api-key", SECRET)),
        ('protocol = "anthropic"', "/v1/messages", ("x-api-key", SECRET)),
        ('protocol = "chat"', "/v1/chat/completions", ("authorization", f"Bearer {SECRET}")),
        ('protocol = "responses"', "/v1/responses", ("authorization", f"Bearer {SECRET}")),
        ('protocol = "gemini"', "/v1beta/models/m:generateContent", ("x-goog-api-key", SECRET)),
    ],
)
def test_a_probe_is_one_call_in_the_protocol_of_the_provider(
    protocol: str,
    path: str,
    key: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with provider(200, b"{}") as answering:
        status, lines = checked(probed(answering.port, protocol), tmp_path, capsys, probe=True)
    assert status == 0
    assert lines[-1].startswith("ok       providers.p: a call to m was answered in ")
    [(received_path, headers, body)] = answering.received
    assert received_path == path
    assert headers[key[0]] == key[1]
    assert body.get("model", "m") == "m"


@pytest.mark.parametrize(
    ("status", "body", "expected", "remedy"),
    [
        (401, f'{{"error": "the key {SECRET} is wrong"}}', "401: {", "check api_key"),
        (404, "no", "404: no", "check base_url, protocol and the name of the model"),
        (429, "slow down", "429: slow down", "check the quota of the account"),
        (307, "", "307:", "see what the provider says about the request"),
    ],
)
def test_a_refused_probe_is_a_problem_with_a_remedy(
    status: int,
    body: str,
    expected: str,
    remedy: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with provider(status, body.encode()) as answering:
        ended, lines = checked(probed(answering.port, ""), tmp_path, capsys, probe=True)
    assert ended == 1
    assert lines[-2].startswith(f"problem  providers.p: a call to m was answered with {expected}")
    assert lines[-1] == f"         to do: {remedy}"
    assert len(answering.received) == 1


def test_a_provider_that_cannot_be_reached_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with provider(200, b"") as answering:
        port = answering.port
    status, lines = checked(probed(port, ""), tmp_path, capsys, probe=True)
    assert status == 1
    assert "a call to m failed: " in lines[-2]


def test_a_provider_without_a_route_is_not_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[providers.p]\nbase_url = "http://127.0.0.1:9"'
    status, lines = checked(text, tmp_path, capsys, probe=True)
    assert status == 0
    assert lines[-1] == "warning  providers.p: no route names a model of it, so it is not called"
