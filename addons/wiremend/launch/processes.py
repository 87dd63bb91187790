"""Running the proxy in the foreground, or one command with its own proxy."""

import contextlib
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wiremend.launch.environment import clients_environment
from wiremend.launch.locked_passwords import kept_password
from wiremend.launch.proxy_log import LINE_LIMIT_BYTES, ProxyLog
from wiremend.launch.proxy_password import VARIABLE, proxy_address
from wiremend.views.call_totals import PROVIDERS_PREFIX, SUMMARY_PREFIX
from wiremend.views.fault_report import REPORT_PREFIX

Process = subprocess.Popen[bytes]

_LISTENING = re.compile(r"HTTP\(S\) proxy.* listening at \S*?:(\d+)")
_WEB_LISTENING = re.compile(r"Web server listening at (\S+)")
_FAULTS = re.compile(rf"({re.escape(REPORT_PREFIX)}.+)")
_SUMMARY = re.compile(rf"{re.escape(SUMMARY_PREFIX)}(.+)")
_UNSAVED = re.compile(r"Error while writing to (.+?): \[Errno \d+\] ([\w' ]+)")
"""What mitmproxy prints before it ends, so that nothing passes that `-w` does not save."""
_SUMMARY_AREA_BYTES = 64 * 1024
"""How much of the end of the log is searched for the summary. Learnt lessons may follow it."""
PROXYS_UMASK = 0o077
"""The files that the proxy writes contain prompts, so only the user can read them."""
_QUIET_SECONDS = 5.0
"""Seconds after which the launcher prints what the end of the proxy waits for."""
_STOP_SECONDS = 10.0
"""How long calls that run when the command has ended may go on."""
_END_SECONDS = 5.0
"""How long the proxy may take to end them in an error before it is killed."""
_LOOK_SECONDS = 0.2
_LOG_SECONDS = 1.0
"""How long to wait for the end of the proxy's log."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command behind its own proxy ended."""

    status: int
    """The exit status for the user."""
    is_proxy_sound: bool = True
    """Whether the proxy outlived the command and then ended as it should."""
    has_run: bool = True
    """Whether the command was started."""


def run_alone(
    program: str, proxy: list[str], port: int, trust: Mapping[str, str], *, has_password: bool
) -> int:
    """Print how clients use the proxy, then replace this process by the proxy. Does not return.

    `program` is the name of this command in the text, `proxy` the proxy's command line, and `trust`
    contains the variables that make clients trust it. Its password is not printed, since the output
    may be kept as a log.
    """
    commands = export_commands(clients_environment(port, trust))
    if has_password:
        commands = f'eval "$({program} --env --port {port})"'
    print(f"wiremend: the proxy is {proxy_address(port)}; in another terminal:\n")
    print(textwrap.indent(commands, "  "))
    print(f"\nand start your agent there. To run one command: {program} -- COMMAND\n", flush=True)
    os.umask(PROXYS_UMASK)
    os.execv(proxy[0], proxy)


def export_commands(environment: Mapping[str, str]) -> str:
    """Return the lines that set these variables in a shell, without those in lower case."""
    return "\n".join(
        f"export {name}={shlex.quote(value)}"
        for name, value in environment.items()
        if name.isupper()
    )


def run_behind(
    program: str,
    proxy: list[str],
    command: list[str],
    trust: Mapping[str, str],
    directory: Path,
    *,
    web: bool,
    password: str,
    variables: Mapping[str, str] = {},
) -> Ended:
    """Run a command behind its own proxy, with its own password; return its exit status.

    `variables` are added to the environment of both.

    The status is 127 if the command does not exist, 1 if the proxy does not start, and 128 + n if
    signal n ends the command, or arrives before the command has started.
    """
    executable = shutil.which(command[0])
    if executable is None:
        print(f"{program}: {command[0]}: command not found", file=sys.stderr)
        return Ended(127, has_run=False)
    log = ProxyLog.of_run(directory)
    environment = {**os.environ, **variables}
    client = _Client([executable, *command[1:]], trust, directory, environment, password)
    ended = _run_with_proxy(program, proxy, client, log, web)
    if ended.has_run:
        _print_summary(log.path, command[0])
    return ended


@dataclass(frozen=True)
class _Client:
    """The command behind the proxy, and what gives it access."""

    command: list[str]
    trust: Mapping[str, str]
    directory: Path
    """Where the password is kept while the command runs, for `run --env`."""
    environment: Mapping[str, str] = field(repr=False)
    """Without the proxy."""
    password: str = field(repr=False)
    """Empty if the proxy demands none."""

    @contextlib.contextmanager
    def variables(self, port: int) -> Iterator[dict[str, str]]:
        """Yield the command's environment while the proxy listens on this port."""
        environment = {**self.environment, **clients_environment(port, self.trust, self.password)}
        if not self.password:
            yield environment
            return
        with kept_password(self.directory, port, self.password):
            yield environment


def _run_with_proxy(
    program: str, proxy: list[str], client: _Client, log: ProxyLog, web: bool
) -> Ended:
    """Start the proxy, run the command, stop the proxy."""
    signals = EndingSignals()
    with _following(log), _started(proxy, client, signals) as process:
        signals.send_to(process, in_foreground=False)
        listening, output = wait_until_listening(process, log, web=web)
        if signals.received:
            return Ended(128 + signals.received, has_run=False)
        if listening is None:
            print(f"{program}: the proxy did not start:\n{output}", file=sys.stderr)
            return Ended(1, has_run=False)
        assert process.stdout is not None
        log.follow(process.stdout)
        with client.variables(listening) as environment:
            child = subprocess.Popen(client.command, env=environment)
            signals.send_to(child, in_foreground=True)
            status = child.wait()
            if web and sys.stdin.isatty() and sys.stderr.isatty():
                _keep_open(process, signals)
        is_alive = process.poll() is None
    is_sound = is_alive and process.returncode == 0
    if not is_sound:
        how = "did not end as it should" if is_alive else "ended before the command"
        print(
            f"{program}: {reason_for_end(log) or f'the proxy {how}; see its log, {log.path}'}",
            file=sys.stderr,
        )
    return Ended(128 - status if status < 0 else status, is_sound)


def reason_for_end(log: ProxyLog) -> str:
    """Return why a proxy ended, if the user can do something about it; else ""."""
    for line in log.last_lines:
        if failed := _UNSAVED.search(line):
            return f"mitmproxy ended the proxy, because it could not write {failed[1]}: {failed[2]}"
    return ""


def _proxys_environment(environment: Mapping[str, str], password: str) -> dict[str, str]:
    """Return the environment of a proxy: with this password, or with none if it is empty."""
    others = {name: value for name, value in environment.items() if name != VARIABLE}
    return others | ({VARIABLE: password} if password else {})


def _print_summary(log: Path, command: str) -> None:
    """Print the summary in the proxy's log, and the report on injected faults, if there are any."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _SUMMARY_AREA_BYTES))
            end = file.read().decode(errors="replace")
    except OSError:
        return
    for line in _FAULTS.findall(end):
        print(line, file=sys.stderr)
    found = _SUMMARY.findall(end)
    if not found:
        return
    last = found[-2:] if found[-1].startswith(PROVIDERS_PREFIX) else found[-1:]
    text = "\n".join(f"wiremend: {line}" for line in last)
    if last == ["no calls"]:
        listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        text += f"; either {command} made none, or it does not use HTTPS_PROXY"
        text += f" for all hosts (NO_PROXY is {listed!r})" if listed else ""
    print(text, file=sys.stderr)


@contextlib.contextmanager
def _following(log: ProxyLog) -> Iterator[None]:
    try:
        yield
    finally:
        log.finish(_LOG_SECONDS)


@contextlib.contextmanager
def _started(proxy: list[str], client: _Client, signals: "EndingSignals") -> Iterator[Process]:
    process = subprocess.Popen(
        proxy,
        # Without PYTHONUNBUFFERED the line with the port stays in the proxy's buffer.
        env={**_proxys_environment(client.environment, client.password), "PYTHONUNBUFFERED": "1"},
        # `end_with_launcher` waits for the end of this pipe, which only this process holds open.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # In its own session the proxy receives no Ctrl-C from the terminal: it must end after the
        # command.
        start_new_session=True,
        umask=PROXYS_UMASK,
    )
    try:
        yield process
    finally:
        _stop(process, signals)


def _stop(process: Process, signals: "EndingSignals") -> None:
    """End the proxy. Calls of processes that the command left behind may finish first."""
    signals.forget()
    signals.send_to(process, in_foreground=False)
    process.terminate()
    if _has_ended(process, _QUIET_SECONDS):
        return
    print(
        f"wiremend: waiting for running calls, at most {_STOP_SECONDS:g} s; Ctrl-C ends them",
        file=sys.stderr,
    )
    if not _has_ended(process, _STOP_SECONDS - _QUIET_SECONDS):
        process.terminate()  # the second one ends the calls in the error of their protocol
        if not _has_ended(process, _END_SECONDS):
            process.kill()
            process.wait()


def _has_ended(process: Process, limit_seconds: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(limit_seconds)
    return process.poll() is not None


def _keep_open(process: Process, signals: "EndingSignals") -> None:
    """Keep mitmweb until the user presses Enter or Ctrl-C, so that its page can be read."""
    signals.forget()
    print("wiremend: the command has ended; press Enter to end mitmweb too", file=sys.stderr)
    while not signals.received and process.poll() is None:
        if select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
            sys.stdin.readline()
            return


class EndingSignals:
    """Forwards SIGINT, SIGTERM and SIGHUP to the process that this one waits for."""

    def __init__(self) -> None:
        self.received = 0
        self._process: Process | None = None
        self._in_foreground = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._receive)

    def forget(self) -> None:
        """Forward no signals until `send_to` is called, and none that was received before."""
        self.received = 0
        self._process = None

    def send_to(self, process: Process, *, in_foreground: bool) -> None:
        """Forward signals to this process from now on, and the last one received before.

        SIGINT is not forwarded to a process in the foreground: the terminal sends it.
        """
        self._process = process
        self._in_foreground = in_foreground
        if self.received:
            self._receive(self.received, None)

    def _receive(self, number: int, _: object) -> None:
        self.received = number
        if self._process is not None and not (number == signal.SIGINT and self._in_foreground):
            self._process.send_signal(number)


def wait_until_listening(process: Process, log: ProxyLog, *, web: bool) -> tuple[int | None, str]:
    """Copy the proxy's output to the log until it listens.

    Returns the port, None if the proxy ended, and the output so far. With `web` also wait for
    mitmweb's page, and print the page's address.
    """
    assert process.stdout is not None
    port = page = None
    output: list[str] = []
    while data := process.stdout.readline(LINE_LIMIT_BYTES):
        log.write(data)
        line = data.decode(errors="replace")
        output.append(line)
        if match := _LISTENING.search(line):
            port = int(match[1])
        if match := _WEB_LISTENING.search(line):
            page = match[1]
            print(f"wiremend: mitmweb is at {page}", file=sys.stderr)
        if port and (page or not web):
            return port, "".join(output)
    return None, "".join(output)
