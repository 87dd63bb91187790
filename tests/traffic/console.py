"""The console program `mitmproxy` in a pseudo-terminal, as a person uses it."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wiremend.launch.run import mitmproxy_program
from wiremend.testing.certificates import Authority

from .proxy import Proxy, ProxyFailed

_COLUMNS, _ROWS = 150, 45
_LIMIT_SECONDS = 60.0
_CONTROLS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-B]|[=>78])|[\x0e\x0f]")
"""What moves the cursor, changes colours and modes; see ECMA-48."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Console(Proxy):
    """`mitmproxy -s addons/`; `lines` is what it wrote to the terminal, at its end."""

    def __init__(
        self, directory: Path, authority: Authority, hosts: Mapping[str, int], **options: Any
    ) -> None:
        port = _free_port()
        program = Path(mitmproxy_program("mitmproxy"))
        arguments = ["--listen-port", str(port)]
        super().__init__(
            directory, authority, hosts, program=program, arguments=arguments, **options
        )
        self.host, self.port = "127.0.0.1", port
        self._terminal = -1
        self._written = ""
        self._changed = threading.Condition()

    def start(self) -> None:
        """Start the program and wait until its status bar has the address of the proxy."""
        self._terminal, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            self.command(),
            cwd=self.directory,
            env={**self._environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            text=True,
        )
        os.close(other)
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()
        try:
            self.wait_for_text(f"{self.host}:{self.port}")
        except ProxyFailed:
            self.stop()
            raise

    def stop(self) -> None:
        """End the program with SIGTERM."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join()
        os.close(self._terminal)
        self.lines = _CONTROLS.sub("", self._written).splitlines()

    def type(self, keys: str) -> int:
        """Press these keys; return how much had been written to the terminal before."""
        with self._changed:
            before = len(self._written)
        os.write(self._terminal, keys.encode())
        return before

    def wait_for_text(self, text: str, start: int = 0) -> None:
        """Wait until this text, on one line, was written to the terminal after `start`."""
        end = time.monotonic() + _LIMIT_SECONDS
        with self._changed:
            while text not in (shown := _CONTROLS.sub("", self._written[start:])):
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise ProxyFailed(f"no {text!r} in the terminal:\n{shown}")

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with contextlib.suppress(OSError):  # EIO: the program has ended
            while part := os.read(self._terminal, 1 << 16):
                with self._changed:
                    self._written += decoder.decode(part)
                    self._changed.notify_all()
