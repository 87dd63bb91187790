"""Runs agents, each with its own provider, proxy, home and working directory."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from traffic import faults, good
from traffic.proxy import Proxy
from wiremend.launch.proxy_password import new_password
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Received
from wiremend.testing.provider import ScriptedProvider

from agents.clis import Agent, streams
from agents.scenarios import Scenario

_CONFIGURATION = """
[retry]
attempts = 4
backoff_initial = 0.05
backoff_max = 0.2

[timeouts]
idle = 3.0

[heartbeat]
after = {heartbeat}
interval = {heartbeat}
"""
PROMPT = "say hi"

_INHERITED = ("PATH", "LANG", "LC_ALL", "TERM")
_SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, eq=False)
class Cell:
    """One agent in one scenario."""

    agent: Agent
    scenario: Scenario
    limit_seconds: float
    """The limit of the turn."""
    heartbeat_seconds: float
    """Silence before each keep-alive of the proxy."""
    arguments: tuple[str, ...] = ()
    """Arguments behind the prompt."""
    scripts: tuple[str, ...] | None = None
    """Other scripts for mitmdump than the suite."""

    def __str__(self) -> str:
        return f"{self.agent}: {self.scenario}"


@dataclass(frozen=True)
class Run:
    """The result of a run."""

    status: int | None
    """The exit status of the agent; None if it was still running and was killed."""
    stdout: str
    stderr: str
    requests: tuple[Received, ...] = ()
    """All requests to the provider."""
    log: tuple[str, ...] = ()
    """The log of the proxy."""

    @property
    def text(self) -> str:
        """The output of the agent."""
        return f"{self.stdout}\n{self.stderr}"

    def __str__(self) -> str:
        end = "still running" if self.status is None else f"exit status {self.status}"
        log = "\n".join(self.log)
        return f"{end}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}\n--- proxy\n{log}"


class Runner:
    """Runs agents; `close` kills those still running with their child processes."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self.authority = Authority(directory / "authority")
        self._leaf = self.authority.leaf(*dict.fromkeys(good.HOSTS.values()))
        self._programs = programs
        self._directory = directory
        self._lock = threading.Lock()
        self._numbers = 0
        self._running: set[subprocess.Popen[str]] = set()
        self._closed = False

    def close(self) -> None:
        """Kill all running agents; later runs raise RuntimeError."""
        with self._lock:
            self._closed = True
            for process in self._running:
                _kill(process)

    def new_directory(self) -> Path:
        """Create an empty directory for one run."""
        with self._lock:
            self._numbers += 1
            directory = self._directory / str(self._numbers)
        directory.mkdir()
        return directory

    def play(self, cell: Cell) -> Run:
        """Run one turn of the agent; its streaming calls get the replies of the scenario."""
        agent, protocol = cell.agent, cell.agent.protocol
        directory = self.new_directory()
        with ScriptedProvider(self._leaf, directory) as provider:
            provider.script(cell.scenario.replies(protocol), when=agent.is_streaming_call)
            provider.script([faults.none(protocol, stream=False)], when=agent.is_call)
            provider.script([lambda r: faults.none(protocol, streams(r))], when=agent.is_side_call)
            with Proxy(
                directory / "proxy",
                self.authority,
                dict.fromkeys(good.HOSTS.values(), provider.port),
                configuration="" if cell.scripts else _configuration(cell),
                scripts=cell.scripts,
                refusals_file=provider.refusals_file,
                # As with scripts/run; scripts other than the suite know no password.
                password="" if cell.scripts else new_password(),
            ) as proxy:
                run = self.turn(
                    agent, proxy, directory, cell.limit_seconds, arguments=cell.arguments
                )
                requests, log = tuple(provider.received), tuple(proxy.lines)
        return Run(run.status, run.stdout, run.stderr, requests, log)

    def turn(
        self,
        agent: Agent,
        proxy: Proxy,
        directory: Path,
        limit_seconds: float,
        prompt: str = PROMPT,
        arguments: Sequence[str] = (),
    ) -> Run:
        """Run one turn of the agent behind the proxy; kill it after `limit_seconds`."""
        home, work = directory / "home", directory / "work"
        work.mkdir(exist_ok=True)
        for name, text in {"bundle.pem": _bundle(proxy), **agent.files}.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text)
        program, *rest = agent.command
        command = [str(self._programs / program), *rest, prompt, *arguments]
        process = self._start(command, work, _environment(agent, proxy, home))
        status: int | None = None
        try:
            stdout, stderr = process.communicate(timeout=limit_seconds)
            status = process.returncode
        except subprocess.TimeoutExpired:
            _kill(process)
            stdout, stderr = process.communicate()
        finally:
            _kill(process)
            with self._lock:
                self._running.discard(process)
        return Run(status, stdout, stderr)

    def _start(
        self, command: list[str], directory: Path, environment: dict[str, str]
    ) -> "subprocess.Popen[str]":
        with self._lock:
            if self._closed:
                raise RuntimeError("no more runs")
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # so that killing the group includes its children
            )
            self._running.add(process)
            return process


def _configuration(cell: Cell) -> str:
    return _CONFIGURATION.format(heartbeat=cell.heartbeat_seconds)


def _kill(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _bundle(proxy: Proxy) -> str:
    roots = next((Path(name).read_text() for name in _SYSTEM_ROOTS if Path(name).exists()), "")
    return proxy.ca_file.read_text() + roots


def _environment(agent: Agent, proxy: Proxy, home: Path) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        "HOME": str(home),
        "TMPDIR": str(home),  # Gemini CLI writes reports there
        "HTTPS_PROXY": proxy.url,
        "SSL_CERT_FILE": str(home / "bundle.pem"),
        "NODE_EXTRA_CA_CERTS": str(proxy.ca_file),
        **agent.environment,
    }
