"""A real mitmdump as users start it; its calls and its log."""

import contextlib
import importlib.util
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter

from wiremend.call_record.schema import CallRecord, StoredAttempt
from wiremend.config.fault_file import load_faults
from wiremend.launch.authority import CERTIFICATE_FILE, system_roots
from wiremend.launch.environment import clients_environment, trusted_files
from wiremend.launch.outgoing_proxy import mitmproxy_arguments
from wiremend.launch.proxy_password import VARIABLE, proxy_address
from wiremend.launch.run import mitmproxy_program
from wiremend.launch.shells import shells_directory
from wiremend.recording.replay_report import ReplayReport
from wiremend.rules.rule import Finding
from wiremend.testing.call_checks import failed_calls, finding_line, lines_of, unexpected_findings
from wiremend.testing.certificates import Authority

_INSIDE_PROXY = Path(__file__).with_name("inside_proxy")
_ANSWER_FROM_LOOPBACK = str(_INSIDE_PROXY / "answer_from_loopback.py")
_REPORT_CALLS = str(_INSIDE_PROXY / "report_calls.py")

_LISTENING = re.compile(r"(?<!Web server )listening at (?:https?://)?(?P<host>\S*?):(?P<port>\d+)")
"""The line of the proxy; mitmweb prints one for its page, too."""
_START_LIMIT_SECONDS = 30.0
_STOP_LIMIT_SECONDS = 10.0
_REPORT_LIMIT_SECONDS = 30.0
_RECORDS = TypeAdapter(list[CallRecord])
_NEVER_PRINTED = ("Traceback (most recent call last)", "mitmproxy has crashed", "has crashed:")


class ProxyFailed(AssertionError):
    """The proxy did not start or does not answer, or its log is not as expected."""


def suite() -> str:
    """Return the directory of all addons, for `-s`."""
    return str(shells_directory()) + os.sep


class Proxy:
    """`mitmdump -s addons/` as a subprocess; use as a context manager.

    With an `authority`, it trusts only servers with certificates of that authority, and reaches
    only loopback: `hosts` maps host names to ports, `provider_port` is the port for all other hosts
    that the addons intercept. Without an authority it uses the network as mitmproxy does.

    `configuration` is written to `wiremend.toml` in the proxy's working directory; its path is
    passed as `wiremend_config`, unless it is to be `discovered`. `scripts` are passed as `-s`, by
    default the suite; `()` is plain mitmdump. `arguments` are appended. `program` is the mitmdump
    to run, by default that of this environment. `confdir` is a directory for the proxy's CA that
    other proxies can share. `reports_calls` keeps all flows in memory, for `calls` and what derives
    from it. `never_logged` are texts that must not be in the log. `password` is demanded from
    clients, as from the COMMAND of `scripts/run`; it must not be in the log either.
    """

    def __init__(
        self,
        directory: Path,
        authority: Authority | None = None,
        hosts: Mapping[str, int] | None = None,
        *,
        provider_port: int = 0,
        configuration: str = "",
        discovered: bool = False,
        scripts: Sequence[str] | None = None,
        arguments: Sequence[str] = (),
        upstream_alpn: Sequence[str] = ("h2", "http/1.1"),
        refusals_file: Path | None = None,
        environment: Mapping[str, str] | None = None,
        program: Path | None = None,
        confdir: Path | None = None,
        reports_calls: bool = True,
        never_logged: Sequence[str] = (),
        password: str = "",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.confdir = confdir or directory / "confdir"
        """The `confdir` of mitmproxy, with its CA."""
        self.lines: list[str] = []
        """The log."""
        self.host = ""
        self.port = 0
        self._authority = authority
        self._arguments = list(arguments)
        self._program = program or Path(mitmproxy_program("mitmdump"))
        self._scripts = [
            _loadable(script) for script in ([suite()] if scripts is None else scripts)
        ]
        self.password = password
        """The password for clients; empty if they need none."""
        self._never_logged = (*never_logged, *([password] if password else []))
        self._printed = threading.Condition()
        self._ended = False
        self._process: subprocess.Popen[str] | None = None
        self._reports_calls = reports_calls
        self._reports: _Reports | None = None
        self._forgotten_lines = 0
        self._names_configuration = bool(configuration) and not discovered
        if configuration:
            self.configuration_file.write_text(configuration)
        self._environment = {
            **self.inherited_environment(),
            "PYTHONUNBUFFERED": "1",
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_STATE_HOME": str(directory / "state"),
            "WIREMEND_TESTING_HOSTS": json.dumps(dict(hosts or {})),
            "WIREMEND_TESTING_PROVIDER": str(provider_port),
            "WIREMEND_TESTING_ALPN": json.dumps(list(upstream_alpn)),
            "WIREMEND_TESTING_REFUSALS": str(refusals_file or os.devnull),
            **({VARIABLE: password} if password else {}),
            **(environment or {}),
        }

    @staticmethod
    def inherited_environment() -> dict[str, str]:
        """Return the variables of this process that the proxy inherits."""
        return {
            name: value
            for name, value in os.environ.items()
            # mitmproxy behaves differently when it detects pytest in the environment.
            if not name.upper().startswith("PYTEST_") and not _names_proxy(name)
        }

    @property
    def configuration_file(self) -> Path:
        """The path of the configuration file."""
        return self.directory / "wiremend.toml"

    @property
    def ca_file(self) -> Path:
        """The CA certificate for clients."""
        return self.confdir / CERTIFICATE_FILE

    @property
    def url(self) -> str:
        """The value for HTTPS_PROXY, or the base URL in reverse mode."""
        return proxy_address(self.port, self.password)

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def env(self) -> dict[str, str]:
        """The variables that make a client use this proxy and trust its CA."""
        return clients_environment(
            self.port, trusted_files(self.confdir, os.environ), self.password
        )

    @property
    def calls(self) -> list[CallRecord]:
        """What was done with each call so far, also with those that are running, in their order.

        A call whose response was read to its end has its final record. Raises ProxyFailed if the
        proxy has ended.
        """
        return self._ask_for_calls("calls")

    @property
    def attempts(self) -> list[StoredAttempt]:
        """The attempts of all calls so far."""
        return [attempt for call in self.calls for attempt in call.attempts]

    @property
    def findings(self) -> list[Finding]:
        """What rules found in all calls so far."""
        return [finding for call in self.calls for finding in call.findings]

    def forget(self) -> None:
        """Forget the calls so far, and do not show the log so far: a new test starts."""
        self._forgotten_lines = len(self.lines)
        self._ask_for_calls("forget")

    def assert_clean(self, ignore: Sequence[str] = ()) -> None:
        """Raise AssertionError if a rule found anything, except by `ignore`.

        `ignore` lists codes or prefixes of codes, such as `M001` or `T`.
        """
        __tracebackhide__ = True
        if found := unexpected_findings(self.calls, ignore):
            lines = [finding_line(number, finding) for number, finding in found]
            raise AssertionError("\n".join([f"{len(lines)} findings:", *lines]))

    def assert_no_failures(self) -> None:
        """Raise AssertionError if a call failed, was cancelled or was refused.

        A call that was answered after a retry did not fail.
        """
        __tracebackhide__ = True
        calls = self.calls
        if failed := failed_calls(calls):
            total = f"{len(failed)} of {len(calls)} calls failed; all calls:"
            raise AssertionError("\n".join([total, *lines_of(calls)]))

    def report(self) -> str:
        """Return the calls and the log as text, for the report of a failed test."""
        try:
            calls = list(lines_of(self.calls)) or ["no calls"]
        except ProxyFailed as failure:
            calls = [str(failure).partition("\n")[0]]
        return "\n".join([*calls, "", *self.lines[self._forgotten_lines :]])

    def replay_report(self) -> ReplayReport:
        """Return what was requested from the recording that is replayed, and what was not.

        Raises ProxyFailed if none is replayed, or the proxy has ended.
        """
        answer = self._ask("replay")
        if answer == b"null\n":
            raise ProxyFailed("the proxy replays no recording")
        return ReplayReport.model_validate_json(answer)

    def _ask_for_calls(self, command: str) -> list[CallRecord]:
        return _RECORDS.validate_json(self._ask(command))

    def _ask(self, command: str) -> bytes:
        if self._reports is None:
            raise ProxyFailed("the proxy was not started, or without reports_calls")
        try:
            return self._reports.ask(command)
        except OSError as problem:
            log = "\n".join(self.lines)
            raise ProxyFailed(f"the proxy does not report its calls: {problem}\n{log}") from None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if type is None:
            self.assert_log_is_clean()

    def command(self) -> list[str]:
        """Return the command line of the proxy."""
        scripts = list(self._scripts)
        if self._authority is not None:
            scripts.append(_ANSWER_FROM_LOOPBACK)
        if self._reports_calls:
            scripts.append(_REPORT_CALLS)
        command = [str(self._program), "--listen-port", "0"]
        for script in scripts:
            command += ["-s", script]
        if not any(_is_suite(script) for script in self._scripts):
            command += ["--listen-host", "127.0.0.1", "--set", "connection_strategy=lazy"]
        elif self._names_configuration:
            command += ["--set", f"wiremend_config={self.configuration_file}"]
        command += ["--set", f"confdir={self.confdir}"]
        if self._authority is not None:
            command += ["--set", f"ssl_verify_upstream_trusted_ca={self._authority.file}"]
        return command + self._arguments

    def start(self) -> None:
        """Start the proxy and wait until it listens. Raises ProxyFailed if it does not."""
        self._reports = _Reports() if self._reports_calls else None
        descriptors = [self._reports.descriptor] if self._reports else []
        reporting = {"WIREMEND_TESTING_REPORTS": str(descriptors[0])} if descriptors else {}
        self._process = subprocess.Popen(
            self.command(),
            cwd=self.directory,
            env={**self._environment, **reporting},
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if self._reports is not None:
            self._reports.started()
        self._reader = threading.Thread(target=self._read, name="proxy log", daemon=True)
        self._reader.start()
        try:
            match = self.wait_for_line(_LISTENING.pattern, _START_LIMIT_SECONDS)
            self._assert_scripts_loaded()
        except ProxyFailed:
            self.stop()
            raise
        self.host, self.port = match["host"], int(match["port"])

    def _assert_scripts_loaded(self) -> None:
        # mitmdump listens for a moment even when a script failed to load.
        if any("error in script" in line for line in self.lines):
            raise ProxyFailed("a script did not load:\n" + "\n".join(self.lines))

    def terminate(self) -> None:
        """Send SIGTERM and do not wait."""
        if self._process is not None:
            self._process.terminate()

    def wait(self, timeout_seconds: float) -> int:
        """Wait for the process to end; return its exit status."""
        assert self._process is not None
        return self._process.wait(timeout_seconds)

    def stop(self) -> None:
        """End the process with SIGTERM, or SIGKILL after a timeout."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join()
        if self._reports is not None:
            self._reports.close()
        assert process.stdout is not None
        process.stdout.close()

    def wait_for_line(
        self, pattern: str, timeout_seconds: float = 5.0, start: int = 0
    ) -> re.Match[str]:
        """Wait for a line that matches `pattern`; return the match. Searches from line `start`.

        Raises ProxyFailed with the log if there is none in time.
        """
        wanted = re.compile(pattern)
        seen = start

        def find_match() -> re.Match[str] | bool:
            nonlocal seen
            while seen < len(self.lines):
                seen += 1
                if match := wanted.search(self.lines[seen - 1]):
                    return match
            return self._ended

        with self._printed:
            match = self._printed.wait_for(find_match, timeout_seconds)
        if isinstance(match, re.Match):
            return match
        raise ProxyFailed(f"no line like {pattern!r} in the log:\n" + "\n".join(self.lines[start:]))

    def assert_log_is_clean(self, start: int = 0) -> None:
        """Raise ProxyFailed if the log contains a traceback, a crash or a key."""
        log = "\n".join(self.lines[start:])
        for text in (*_NEVER_PRINTED, *self._never_logged):
            if text in log:
                raise ProxyFailed(f"{text!r} in the log:\n{log}")

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self._process.stdout:
                with self._printed:
                    self.lines.append(line.rstrip("\n"))
                    self._printed.notify_all()
        with self._printed:
            self._ended = True
            self._printed.notify_all()


class _Reports:
    """The test's end of the socket on which `report_calls.py` answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own, self._others = socket.socketpair()
        self._own.settimeout(_REPORT_LIMIT_SECONDS)

    @property
    def descriptor(self) -> int:
        """The number of the proxy's end."""
        return self._others.fileno()

    def started(self) -> None:
        """Close the proxy's end in this process, so that the end of the proxy is noticed."""
        self._others.close()

    def ask(self, command: str) -> bytes:
        """Return the proxy's answer. Raises OSError if there is none."""
        with self._lock:
            self._own.sendall(f"{command}\n".encode())
            answer = bytearray()
            while not answer.endswith(b"\n"):
                part = self._own.recv(1 << 20)
                if not part:
                    raise ConnectionError("the proxy has ended")
                answer += part
        return bytes(answer)

    def close(self) -> None:
        """Close the socket."""
        self._own.close()
        self._others.close()


def _loadable(script: str) -> str:
    """Return the entry file for a directory if the start-up hook is not installed."""
    hook = importlib.util.find_spec("mitmdump_accepts_directories")
    if hook is None and os.path.isdir(script):
        return os.path.join(script, "__main__.py")
    return script


def fault_settings(directory: Path, faults: str, *, is_plain: bool = False) -> list[str]:
    """Return the arguments of a proxy that injects faults; `faults` is TOML, empty for none.

    They are written into a file in `directory`. Raises ValueError for invalid ones. `is_plain`:
    nothing is repaired and retried.
    """
    arguments = ["--set", "wiremend_off=true"] if is_plain else []
    if faults:
        file = directory / "faults.toml"
        file.write_text(faults)
        load_faults(file)
        arguments += ["--set", f"wiremend_faults={file}"]
    return arguments


def network_settings(environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and variables of a proxy that reaches providers as in `environment`.

    It uses the outgoing proxy of HTTPS_PROXY and the certificates of SSL_CERT_FILE, by default the
    system's, as `wiremend run` does. Raises ValueError, with a message for the user, if mitmproxy
    cannot use the proxy.
    """
    named = environment.get("SSL_CERT_FILE", "")
    roots = named if os.path.isfile(named) else system_roots()
    arguments = ["--set", f"ssl_verify_upstream_trusted_ca={roots}"]
    proxies = {name: value for name, value in environment.items() if _names_proxy(name)}
    return mitmproxy_arguments(environment) + arguments, proxies


def _names_proxy(variable: str) -> bool:
    return variable.upper().endswith("_PROXY")


def _is_suite(script: str) -> bool:
    return Path(script).is_relative_to(shells_directory())
