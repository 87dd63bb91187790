"""`--doctor -- COMMAND`: run the command for one turn against a provider on loopback.

It shows whether calls of the command are intercepted. Nothing is sent to a real provider: this
runs in a process whose network has only a loopback device, where the machine allows that. Elsewhere
only agents of `AGENTS` are run, with keys that are not valid. An agent gets an empty home, so that
it cannot use, refresh or lose a login; its settings are examined by `doctor`.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wiremend.launch.examining.agents import AGENTS
from wiremend.launch.examining.own_network import separate_network
from wiremend.launch.verdicts import Line, Verdict, ok, problem, warning
from wiremend.text.counted import counted

if TYPE_CHECKING:
    from wiremend.protocols.base.names import WireProtocol
    from wiremend.testing.exchange import Received, Reply
    from wiremend.testing.plays import Play

LIMIT_SECONDS = 60.0
"""How long a command may run."""
_AFTER_CALL_SECONDS = 5.0
"""How long it may go on when a call was answered and no other one follows."""
_LOOK_SECONDS = 0.2
_NO_SEPARATE_NETWORK = 3
"""The exit status of this module then."""
_SHOWN_LINES = 3
_SHOWN_CHARACTERS = 160
_KEY = "wiremend-doctor-no-real-key"
KEYS = (
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
)
"""The variables without which agents make no call."""
_OF_HOME = (
    "CLAUDE_CONFIG_DIR",
    "CODEX_HOME",
    "GEMINI_CLI_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
)
"""Variables that name folders with settings or logins instead of HOME."""
_TOOLS = {"PYENV_ROOT": ".pyenv", "VOLTA_HOME": ".volta", "ASDF_DATA_DIR": ".asdf"}
"""Programs may be started by these tools, which look for their folders in HOME."""
_RESET: "Play" = {"events": [], "ending": "reset"}
"""The first call loses its connection, so that a retry can be seen."""
_UNTRUSTED = re.compile(r"does not trust the proxy's certificate for (\S+)")
_REFUSED = re.compile(r"'?([\w.-]+) is not part of this test")


def try_command(
    confdir: Path,
    hosts: Sequence[str],
    command: Sequence[str],
    limit_seconds: float = LIMIT_SECONDS,
    *,
    program: str = "wiremend run",
) -> Line:
    """Run a command behind a proxy with the CA in `confdir`, which intercepts these host globs.

    `program` is the name of the command `run` in messages.
    """
    agent = AGENTS.get(Path(command[0]).name)
    if agent is not None and len(command) == 1:
        command = [*command, *agent.one_turn]
    given = json.dumps([program, str(confdir), list(hosts), list(command), limit_seconds])
    for network in ("separate", "shared"):
        if network == "shared" and agent is None:
            return warning(
                f"{command[0]} was not run: without user namespaces, which this machine does not "
                "allow, a call that passes wiremend by would reach its provider"
            )
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__, network, given],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode != _NO_SEPARATE_NETWORK:
            break
    try:
        verdict, text, remedy = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return problem(f"{command[0]} could not be tried:\n{done.stderr[-2000:].strip()}")
    return Line(Verdict(verdict), text, remedy)


def main(network: str, given: str) -> int:
    """Try a command in this process; print the result as JSON. Return the exit status."""
    if network == "separate" and not separate_network():
        return _NO_SEPARATE_NETWORK
    program, confdir, hosts, command, limit_seconds = json.loads(given)
    line = _tried(program, Path(confdir), hosts, command, limit_seconds)
    print(json.dumps([line.verdict, line.text, line.remedy]))
    return 0


def _tried(
    program: str, confdir: Path, hosts: list[str], command: list[str], limit_seconds: float
) -> Line:
    # Its threads may start only in the network of its own.
    from wiremend.testing.certificates import Authority, LeafPerName
    from wiremend.testing.provider import ScriptedProvider
    from wiremend.testing.proxy import Proxy, ProxyFailed

    with tempfile.TemporaryDirectory(prefix="wiremend-doctor-") as name:
        directory = Path(name)
        authority = Authority(directory / "authority")
        try:
            with ScriptedProvider(LeafPerName(authority), directory) as provider:
                provider.script([reply_to])
                provider.script([_RESET, reply_to], when=_is_call)
                with Proxy(
                    directory / "proxy",
                    authority,
                    provider_port=provider.port,
                    configuration=f"[intercept]\nhosts = {json.dumps(hosts)}\n",
                    confdir=confdir,
                ) as proxy:
                    environment = _environment(command[0], proxy.env, directory / "home")
                    run = _Run(program, command, environment, directory, limit_seconds)
                    run.wait(provider.received)
                    retried = sum(len(call.attempts) > 1 for call in proxy.calls)
                    return _judged(run, _calls(provider.received), retried, proxy.lines)
        except ProxyFailed as failed:
            return problem(f"the proxy does not start:\n{failed}")


def _environment(program: str, proxy: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the command's variables: those of `run -- COMMAND`, and for an agent an empty home."""
    variables = {**os.environ, **proxy}
    agent = AGENTS.get(Path(program).name)
    if agent is None:
        return dict.fromkeys(KEYS, _KEY) | variables
    home.mkdir()
    tools = {name: str(Path.home() / folder) for name, folder in _TOOLS.items()}
    own = {name: value for name, value in variables.items() if name not in _OF_HOME}
    return {**tools, **own, **dict.fromkeys(KEYS, _KEY), "HOME": str(home)}


class _Run:
    """The running command. It is an own process group, so that its children end with it."""

    def __init__(
        self,
        program: str,
        command: list[str],
        environment: dict[str, str],
        directory: Path,
        limit_seconds: float,
    ) -> None:
        is_agent = Path(command[0]).name in AGENTS
        self.name = Path(command[0]).name
        self.trial = f"{program} --doctor -- {shlex.join(command)}"
        self.limit_seconds = limit_seconds
        self._output = directory / "output"
        self.is_over_limit = False
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=environment["HOME"] if is_agent else None,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, received: "list[Received]") -> None:
        """Wait until the command ends, or has made its calls, or the limit; then end it."""
        now = time.monotonic()
        end, quiet_since, seen = now + self.limit_seconds, now, 0
        while self.process.poll() is None:
            now = time.monotonic()
            calls = _calls(received)
            if len(calls) != seen or not all(call.finished.is_set() for call in calls):
                seen, quiet_since = len(calls), now
            if seen and now - quiet_since > _AFTER_CALL_SECONDS:
                break
            if now > end:
                self.is_over_limit = True
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_LOOK_SECONDS)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_AFTER_CALL_SECONDS)

    def last_lines(self) -> list[str]:
        """Return the last lines of its output, shortened."""
        text = self._output.read_bytes()[-10_000:].decode(errors="replace")
        printable = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
        lines = [line.strip()[:_SHOWN_CHARACTERS] for line in printable.splitlines()]
        return [line for line in lines if line][-_SHOWN_LINES:]


def _judged(run: _Run, attempts: "list[Received]", retried: int, log: Sequence[str]) -> Line:
    if attempts:
        calls = len(attempts) - retried
        places = dict.fromkeys(_place(attempt) for attempt in attempts)
        return ok(
            f"{run.name} was run against a provider on loopback: "
            f"{counted(calls, 'call')} intercepted, to {', '.join(places)}"
            + ("; the first was retried after a reset" if retried else "")
        )
    text = f"{run.name} was run against a provider on loopback: no call was intercepted"
    if untrusted := _hosts_in(log, _UNTRUSTED):
        return problem(
            f"{text}: it does not trust the CA for {', '.join(untrusted)}",
            "look for an option of it that names certificates",
        )
    if refused := _hosts_in(log, _REFUSED):
        return problem(
            f"{text}: it connected to {', '.join(refused)}",
            "if that is its provider, add the host to hosts in [intercept]",
        )
    how = f"it was still running after the limit of {run.limit_seconds:g} s"
    if not run.is_over_limit:
        how = f"it ended with status {run.process.returncode}"
    lines = [f"its output: {line}" for line in run.last_lines()]
    return problem(
        "\n".join([f"{text}, and {how} without a connection through the proxy", *lines]),
        f"give it a prompt, such as {run.trial} -p hello; "
        "if it has one, it does not use HTTPS_PROXY",
    )


def _is_call(request: "Received") -> bool:
    return _protocol_of(request) is not None


def _calls(received: "list[Received]") -> "list[Received]":
    return [it for it in list(received) if _is_call(it)]


def _place(call: "Received") -> str:
    return call.header("host") + call.path.partition("?")[0]


def _protocol_of(request: "Received") -> "WireProtocol | None":
    from wiremend.protocols.registry import recognise

    protocol = recognise(request.method, request.path, request.header("content-type"))
    return protocol.name if protocol is not None else None


def reply_to(request: "Received") -> "Reply":
    """Answer a call with a short text, and any other request with a 404."""
    from wiremend.testing.exchange import Reply
    from wiremend.testing.plays import Play, reply_from

    play: Play = {"status": 404, "json": {}}
    if protocol := _protocol_of(request):
        play = {"answer": protocol, "stream": _streams(request)}
    reply = reply_from(play)
    assert isinstance(reply, Reply)
    return reply


def _streams(request: "Received") -> bool:
    is_stream = "streamGenerateContent" in request.path
    with contextlib.suppress(ValueError):
        body = request.json()
        is_stream = is_stream or (isinstance(body, dict) and body.get("stream") is True)
    return is_stream


def _hosts_in(log: Sequence[str], pattern: re.Pattern[str]) -> list[str]:
    return list(dict.fromkeys(match[1] for line in log if (match := pattern.search(line))))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
