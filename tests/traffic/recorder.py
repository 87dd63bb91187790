"""`scripts/record` and `scripts/replay` as subprocesses, and the client that they run."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import good
from traffic.proxy import KEY, REPOSITORY

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]
USER = "alicia"
ACCOUNT = "3f2c1a9e-1111-2222-3333-444455556666"
REQUEST_ID = "req_011CSHoEeqs5C35K2UUqR7Fy"
CLIENT = """
import json, os, ssl, sys, urllib.request
home = os.environ["HOME"]
body = json.loads(os.environ["BODY"])
body["metadata"] = {"user_id": json.dumps({"account_uuid": os.environ["ACCOUNT"]})}
body["messages"][0]["content"] = os.environ.get("PROMPT") or (
    f"I am {os.environ['USER']} <alicia@corp.acme.io>, in {home}/project on {os.uname().nodename}")
headers = {"content-type": "application/json", "x-api-key": os.environ["KEY"]}
for _ in range(int(sys.argv[1])):
    request = urllib.request.Request(os.environ["URL"], json.dumps(body).encode(), headers)
    sys.stdout.buffer.write(urllib.request.urlopen(request).read())
sys.exit(int(sys.argv[2]))
"""


class Recorder:
    """Runs `record` in a subprocess whose proxy reaches only the scripted provider."""

    def __init__(self, directory: Path, authority: Authority, provider: ScriptedProvider) -> None:
        self.directory = directory
        self.home = directory / USER
        self.home.mkdir()
        inside = REPOSITORY / "addons/wiremend/testing/inside_proxy/answer_from_loopback.py"
        code = (
            "import sys\n"
            "from wiremend.launch import record, run\n"
            "original = run.proxy_command\n"
            f"run.proxy_command = lambda *a: [*original(*a), '-s', {str(inside)!r}]\n"
            "sys.exit(record.main('scripts/record', sys.argv[1:]))\n"
        )
        self._command = [sys.executable, "-P", "-c", code]
        self._environment = {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "PYTHONPATH": str(REPOSITORY / "addons"),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_STATE_HOME": str(directory / "state"),
            "HOME": str(self.home),
            "USER": USER,
            "SSL_CERT_FILE": str(authority.file),
            "WIREMEND_TESTING_HOSTS": json.dumps({HOST: provider.port}),
            "WIREMEND_TESTING_PROVIDER": str(provider.port),
            "WIREMEND_TESTING_ALPN": json.dumps(["http/1.1"]),
            "WIREMEND_TESTING_REFUSALS": os.devnull,
            "BODY": json.dumps(good.request_body(ANTHROPIC, True)),
            "ACCOUNT": ACCOUNT,
            "KEY": KEY,
            "URL": f"https://{HOST}{good.PATHS[ANTHROPIC, True]}",
        }
        self._environment.pop("PYTEST_CURRENT_TEST", None)

    def run(self, *arguments: str, command: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
        return self._start([*self._command, *arguments, "--", *command])

    def replay(
        self, *arguments: str, command: Sequence[str]
    ) -> "subprocess.CompletedProcess[bytes]":
        code = (
            "import sys; from wiremend.launch import replay; "
            "sys.exit(replay.main('scripts/replay', sys.argv[1:]))"
        )
        return self._start([sys.executable, "-P", "-c", code, *arguments, "--", *command])

    def become(self, user: str, home: Path) -> None:
        """Make later commands those of another user."""
        home.mkdir(parents=True)
        self.home = home
        self._environment |= {"HOME": str(home), "USER": user}

    def change_prompt(self, text: str) -> None:
        """Make the client of later commands send another prompt."""
        self._environment["PROMPT"] = text

    def _start(self, command: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
        )


def calling(times: int, status: int = 0) -> list[str]:
    return [sys.executable, "-c", CLIENT, str(times), str(status)]
