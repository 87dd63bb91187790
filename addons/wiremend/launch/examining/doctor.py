"""`--doctor`: whether wiremend can work here, and what to do if it cannot."""

import datetime
import importlib.metadata
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

import wiremend
from wiremend.config.current import CurrentConfig
from wiremend.config.load import ConfigError
from wiremend.config.user_directories import state_directory
from wiremend.launch.authority import CERTIFICATE_FILE, system_roots
from wiremend.launch.bypassed import BASE_URLS, bypassing_entries, other_addresses
from wiremend.launch.check_config import refusals, warnings_of
from wiremend.launch.environment import ADDING, REPLACING
from wiremend.launch.examining.agents import AGENTS, Agent
from wiremend.launch.examining.trial import try_command
from wiremend.launch.outgoing_proxy import outgoing_warning
from wiremend.launch.verdicts import Line, Verdict, ok, print_lines, problem, warning
from wiremend.requirements import TESTED_VERSIONS

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
OLDEST_PYTHON = (3, 12)
VERSION_SECONDS = 20.0
"""How long an agent may take to print its version."""


def examine(
    program: str,
    current: CurrentConfig,
    option: str,
    command: Sequence[str],
    port: int,
    *,
    is_wiremend: Callable[[int], bool],
    prepare: Callable[[Path, Sequence[str]], None],
) -> int:
    """Check everything that a call needs. Return the exit status: 1 if there is a problem.

    `program` is the name of this command in messages, `option` the file of --config. `command` is
    the agent, or [] for all that are installed; `port` the first that `run` would use.
    `is_wiremend` returns whether one listens on a port, `prepare` creates the CA for host globs in
    a directory.
    """
    return print_lines(
        _Examination(program, current, option, command, port, is_wiremend, prepare).lines()
    )


class _Examination:
    def __init__(
        self,
        program: str,
        current: CurrentConfig,
        option: str,
        command: Sequence[str],
        port: int,
        is_wiremend: Callable[[int], bool],
        prepare: Callable[[Path, Sequence[str]], None],
    ) -> None:
        self._program = program
        self._current = current
        self._option = option
        self._command = command
        self._port = port
        self._is_wiremend = is_wiremend
        self._prepare = prepare
        self._directory = state_directory(os.environ)

    def lines(self) -> Iterator[Line]:
        can_start = True
        for line in (*_versions(), *self._authority()):
            can_start = can_start and line.verdict is not Verdict.PROBLEM
            yield line
        yield from self._configuration()
        yield self._first_port()
        yield from _stores(self._directory, os.environ, self._usage())
        yield from _variables(os.environ, self._current, self._port, self._usage())
        yield from self._agents()
        if can_start:
            # It needs packages that mitmproxy brings.
            from wiremend.launch.examining.round_trip import round_trip

            yield round_trip(self._directory)
            if self._command and shutil.which(self._command[0]):
                hosts = self._current.intercepted.globs
                yield try_command(self._directory, hosts, self._command, program=self._program)

    def _usage(self) -> str:
        """Return the two ways to use the proxy, as the user types them."""
        installed = next((name for name in AGENTS if shutil.which(name)), next(iter(AGENTS)))
        command = shlex.join(self._command or [installed])
        return f'{self._program} -- {command}, or eval "$({self._program} --env)"'

    def _configuration(self) -> Iterator[Line]:
        try:
            self._current.read(self._option, Path.cwd())
        except ConfigError as refused:
            yield from refusals(refused)
            return
        yield ok(
            f"configuration: {self._current.source}; {self._program} --check-config explains it"
        )
        yield from warnings_of(self._current)

    def _authority(self) -> Iterator[Line]:
        try:
            self._prepare(self._directory, self._current.intercepted.globs)
            certificate = x509.load_pem_x509_certificate(
                (self._directory / CERTIFICATE_FILE).read_bytes()
            )
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            yield problem(
                f"no CA in {self._directory}: {reason}",
                "set XDG_STATE_HOME to a folder that you can write to",
            )
            return
        left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        yield ok(f"CA: {self._directory / CERTIFICATE_FILE}, valid for {left.days} days")

    def _first_port(self) -> Line:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", self._port))
            except OSError:
                pass
            else:
                return ok(f"port {self._port} is free")
        if self._is_wiremend(self._port):
            return ok(f"port {self._port}: a wiremend is running")
        return warning(
            f"port {self._port} is used by another program",
            "nothing: the next free port is used, and printed; --port chooses one",
        )

    def _agents(self) -> Iterator[Line]:
        if self._command:
            yield from self._agent(self._command[0], is_asked=True)
            return
        installed = [name for name in AGENTS if shutil.which(name)]
        if not installed:
            yield warning(f"none of these agents is installed: {', '.join(AGENTS)}")
        for name in installed:
            yield from self._agent(name, is_asked=False)

    def _agent(self, command: str, *, is_asked: bool) -> Iterator[Line]:
        program = shutil.which(command)
        if program is None:
            yield problem(f"{command}: command not found", "install it, or correct its name")
            return
        agent = AGENTS.get(Path(command).name)
        if agent is None:
            yield warning(
                f"{command}: not measured; most programs use HTTPS_PROXY, and SSL_CERT_FILE or "
                "NODE_EXTRA_CA_CERTS"
            )
            return
        version = f" {_version(program)}".rstrip() if is_asked else ""
        text = f"{command}: {agent.name}{version} trusts {' or '.join(agent.trusts)}"
        text += " or the system's store" if agent.uses_system_store else ""
        yield ok(text)
        yield from self._interception(command, agent)
        yield from _settings(agent)

    def _interception(self, command: str, agent: Agent) -> Iterator[Line]:
        for host in agent.hosts:
            if not self._current.intercepted.matches(host):
                yield problem(
                    f"{command}: calls to {host} are not intercepted",
                    f'add hosts = ["{host}"] to [intercept]',
                )
            elif not bypassing_entries(os.environ, [host]):
                yield ok(f"{command}: calls to {host} would be intercepted")


def _versions() -> Iterator[Line]:
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield problem(f"Python {python} is too old", "install Python 3.12 or newer")
    else:
        yield ok(f"Python {python}: {sys.executable}")
    try:
        found = importlib.metadata.version("mitmproxy")
    except importlib.metadata.PackageNotFoundError:
        yield problem("mitmproxy is not installed", "run scripts/environment, or pip install .")
        return
    if ".".join(found.split(".")[:2]) in TESTED_VERSIONS:
        yield ok(f"wiremend {wiremend.__version__}, mitmproxy {found}")
    else:
        yield problem(
            f"mitmproxy {found} is not supported",
            f"install one of {', '.join(f'{version}.*' for version in TESTED_VERSIONS)}",
        )


def _stores(directory: Path, environment: Mapping[str, str], usage: str) -> Iterator[Line]:
    """Say where the CA is trusted without `run -- COMMAND`, which sets all variables itself."""
    try:
        own = (directory / CERTIFICATE_FILE).read_bytes().strip()
    except OSError:
        return
    roots = system_roots()
    if _contains(roots, own):
        yield ok(f"the CA is in the system's store, {roots}")
    else:
        yield ok(f"the CA is not in the system's store, {roots}; clients need the variables")
    named = [(name, environment[name]) for name in (*REPLACING, ADDING) if environment.get(name)]
    for name, file in named:
        if _contains(Path(file), own):
            yield ok(f"{name}: {file} contains the CA")
    without = [name for name, file in named if not _contains(Path(file), own)]
    if without:
        yield warning(
            f"{', '.join(without)}: the file does not contain the CA",
            f"start the agent with a file that contains it: {usage}",
        )


def _contains(file: Path, certificate: bytes) -> bool:
    try:
        return certificate in file.read_bytes()
    except OSError:
        return False


def _variables(
    environment: Mapping[str, str], current: CurrentConfig, port: int, usage: str
) -> Iterator[Line]:
    entries = bypassing_entries(environment, current.intercepted.globs)
    if entries:
        yield problem(
            f"NO_PROXY contains {', '.join(map(repr, entries))}: clients call these hosts without "
            "wiremend",
            "remove the entry for the agent",
        )
    try:
        outgoing = outgoing_warning(environment, port)
    except ValueError as refused:
        yield problem(str(refused))
    else:
        if outgoing:
            yield warning(outgoing)
    for name, host in other_addresses(environment, BASE_URLS):
        yield _other_address(name, host, current)
    named = next((n for n in ("https_proxy", "HTTPS_PROXY") if environment.get(n)), "")
    if not named and not entries:
        yield ok(f"HTTPS_PROXY is not set here: use {usage}")
    elif named:
        yield ok(f"{named} is set: {_without_user(environment[named])}")


def _other_address(name: str, host: str, current: CurrentConfig) -> Line:
    if host and current.intercepted.matches(host):
        return ok(f"{name} names {host}, which is intercepted")
    remedy = f"unset {name}"
    if host and host not in _THIS_MACHINE:
        remedy += f', or add hosts = ["{host}"] to [intercept]'
    return problem(
        f"{name} names {host or 'no host'}: calls do not go to a host that is intercepted", remedy
    )


def _without_user(address: str) -> str:
    """Return a proxy's address without user name and password."""
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "an address that is malformed"


def _settings(agent: Agent) -> Iterator[Line]:
    """Look for another address of the provider in the agent's own settings."""
    for name in agent.settings:
        file = Path.home() / name
        try:
            value = json.loads(file.read_bytes())
        except (OSError, ValueError):
            continue
        variables = value.get("env") if isinstance(value, dict) else None
        if not isinstance(variables, dict):
            continue
        for variable in BASE_URLS:
            if variables.get(variable):
                yield problem(
                    f"~/{name} sets {variable}: {agent.name} does not call its provider",
                    f"remove {variable} from the file",
                )


def _version(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.strip().splitlines() or [""])[0][:60]
