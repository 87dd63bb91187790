"""Runs a real mitmdump as users start it, and reads its log."""

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .certificates import Authority

REPOSITORY = Path(__file__).resolve().parents[2]
SUITE = str(REPOSITORY / "addons") + os.sep
"""`-s addons/`, as typed."""
STREAM_RESPONSES = str(Path(__file__).with_name("stream_responses.py"))
"""The baseline: a proxy that repairs nothing."""
LIFT_LIMITS = str(Path(__file__).with_name("lift_limits.py"))
"""No retry budget and no circuit breaker, for tests that share a proxy."""
_ANSWER_FROM_LOOPBACK = str(Path(__file__).with_name("answer_from_loopback.py"))

KEY = "sk-test-DO-NOT-LOG-4c5bd8e1"
"""The key of all clients; it must not appear in a log."""

_LISTENING = re.compile(r"listening at (?:https?://)?(?P<host>\S*?):(?P<port>\d+)")
_START_LIMIT_SECONDS = 30.0
_STOP_LIMIT_SECONDS = 10.0
_NEVER_LOGGED = (KEY, "sk-test-DO-NOT-LOG")
_NEVER_PRINTED = ("Traceback (most recent call last)", "mitmproxy has crashed", "has crashed:")


class ProxyFailed(AssertionError):
    """The proxy did not start, or its log is not as expected."""


class Proxy:
    """`mitmdump -s addons/` as a subprocess; use as a context manager.

    `hosts` maps host names to ports on loopback; no other name is reachable. `configuration`
    is written to `wiremend.toml` in the proxy's working directory; its path is passed as
    `wiremend_config`, unless it is to be `discovered`. `scripts` are passed as `-s`, by default the
    suite; `()` is plain mitmdump. `arguments` are appended. `program` is the mitmdump to run, by
    default that of this environment.
    """

    def __init__(
        self,
        directory: Path,
        authority: Authority,
        hosts: Mapping[str, int],
        *,
        configuration: str = "",
        discovered: bool = False,
        scripts: Sequence[str] = (SUITE,),
        arguments: Sequence[str] = (),
        upstream_alpn: Sequence[str] = ("h2", "http/1.1"),
        refusals_file: Path | None = None,
        environment: Mapping[str, str] | None = None,
        program: Path = Path(sys.executable).parent / "mitmdump",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.lines: list[str] = []
        self.host = ""
        self.port = 0
        self._authority = authority
        self._arguments = list(arguments)
        self._program = program
        self._scripts = [_loadable(script) for script in scripts]
        self._printed = threading.Condition()
        self._ended = False
        self._process: subprocess.Popen[str] | None = None
        self._names_configuration = bool(configuration) and not discovered
        if configuration:
            self.configuration_file.write_text(configuration)
        self._environment = {
            name: value
            for name, value in os.environ.items()
            # mitmproxy behaves differently when it detects pytest in the environment.
            if not name.upper().startswith("PYTEST_")
            and not name.upper().endswith(("_PROXY", "_API_KEY"))
        }
        self._environment |= {
            "PYTHONUNBUFFERED": "1",
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_STATE_HOME": str(directory / "state"),
            "WIREMEND_TEST_HOSTS": json.dumps(dict(hosts)),
            "WIREMEND_TEST_ALPN": json.dumps(list(upstream_alpn)),
            "WIREMEND_TEST_REFUSALS": str(refusals_file or os.devnull),
            **(environment or {}),
        }

    @property
    def configuration_file(self) -> Path:
        """The path of the configuration file."""
        return self.directory / "wiremend.toml"

    @property
    def confdir(self) -> Path:
        """The `confdir` of mitmproxy, with its CA."""
        return self.directory / "confdir"

    @property
    def ca_file(self) -> Path:
        """The CA certificate for clients."""
        return self.confdir / "mitmproxy-ca-cert.pem"

    @property
    def url(self) -> str:
        """The value for HTTPS_PROXY, or the base URL in reverse mode."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

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
        scripts = [*self._scripts, _ANSWER_FROM_LOOPBACK]
        command = [str(self._program), "--listen-port", "0"]
        for script in scripts:
            command += ["-s", script]
        if not any(_is_suite(script) for script in self._scripts):
            command += ["--listen-host", "127.0.0.1", "--set", "connection_strategy=lazy"]
        elif self._names_configuration:
            command += ["--set", f"wiremend_config={self.configuration_file}"]
        command += ["--set", f"confdir={self.confdir}"]
        command += ["--set", f"ssl_verify_upstream_trusted_ca={self._authority.file}"]
        return command + self._arguments

    def start(self) -> None:
        """Start the proxy and wait until it listens. Raises ProxyFailed if it does not."""
        self._process = subprocess.Popen(
            self.command(),
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
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
        for text in (*_NEVER_PRINTED, *_NEVER_LOGGED):
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


def _loadable(script: str) -> str:
    """Return the entry file for a directory if the start-up hook is not installed."""
    hook = importlib.util.find_spec("mitmdump_accepts_directories")
    if hook is None and os.path.isdir(script):
        return os.path.join(script, "__main__.py")
    return script


def _is_suite(script: str) -> bool:
    return Path(script).is_relative_to(REPOSITORY / "addons")
