"""`scripts/run`: the proxy, or one command behind it."""

import argparse
import contextlib
import datetime
import fcntl
import hashlib
import itertools
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from outgoing_proxy import mitmproxy_arguments

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "addons"))

from wiremend.authority import (  # noqa: E402 - found through the line above
    CERTIFICATE_FILE,
    certificates_in,
    make_authority,
    system_roots,
    unlimited,
    write_bundle,
)
from wiremend.config import ConfigError  # noqa: E402
from wiremend.config.current import CurrentConfig  # noqa: E402
from wiremend.config.user_directories import state_directory  # noqa: E402

FIRST_PORT = 8080
USAGE = """scripts/run [--port N] [--config FILE] [--allow] [--web] [-- COMMAND ...]
       scripts/run --help"""
REPLACING = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "CODEX_CA_CERTIFICATE")
"""Name the only certificates that a program trusts."""
ADDING = "NODE_EXTRA_CA_CERTS"
"""Names some that it trusts beside others."""
_LISTENING = re.compile(r"HTTP\(S\) proxy.* listening at \S*?:(\d+)")
_WEB_LISTENING = re.compile(r"Web server listening at (\S+)")


def main(arguments: list[str]) -> int:
    """The exit status."""
    command: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
        if not command:
            parser().error("a command must follow --")
    options = parser().parse_args(arguments)
    if options.demo:
        os.execv(sys.executable, [sys.executable, str(ROOT / "scripts" / "demo.py")])
    current = CurrentConfig()
    try:
        current.read(str(options.config or ""), Path.cwd(), allow=options.allow)
    except ConfigError as problems:
        print(problems, file=sys.stderr)
        return 1
    hosts = current.intercepted
    try:
        outgoing = mitmproxy_arguments(os.environ)
    except ValueError as problem:
        print(f"scripts/run: {problem}", file=sys.stderr)
        return 1
    directory = state_directory(os.environ)
    if make_authority(directory, hosts.globs, datetime.datetime.now(datetime.UTC)):
        print(f"wiremend: made a new CA in {directory}", file=sys.stderr)
    if limitless := unlimited(hosts.globs):
        print(
            f"wiremend: warning: the CA in {directory} may sign for every host on earth, because "
            f"[intercept] hosts has {', '.join(map(repr, limitless))}; name domains to limit it",
            file=sys.stderr,
        )
    trust = trusted_files(directory, os.environ)
    number = options.port or (0 if command else free_port(FIRST_PORT))
    proxy = [
        str(Path(sys.executable).parent / ("mitmweb" if options.web else "mitmdump")),
        *("-s", str(ROOT / "addons" / "__main__.py")),
        *("--listen-port", str(number)),
        *("--set", f"confdir={directory}"),
        # What the user trusts: a company's proxy may sign with a CA of its own.
        *("--set", f"ssl_verify_upstream_trusted_ca={trust['SSL_CERT_FILE']}"),
        *outgoing,
    ]
    if options.config:
        proxy += ["--set", f"wiremend_config={options.config.resolve()}"]
    if options.web:
        proxy += ["--web-port", str(free_port(max(FIRST_PORT, number) + 1))]
    if command:
        if options.web:
            proxy += ["--set", "web_open_browser=false"]  # its page is printed instead
        if current.path:  # the proxy's own line goes to its log
            print(f"wiremend: configuration from {current.source}", file=sys.stderr)
        return run_behind(proxy, command, trust, directory, web=options.web)
    return run_alone(proxy, clients_environment(number, trust))


def parser() -> argparse.ArgumentParser:
    """The options before `--`; `scripts/run` itself answers --help."""
    made = argparse.ArgumentParser(
        prog="scripts/run", usage=USAGE, add_help=False, allow_abbrev=False
    )
    made.add_argument("--port", type=port)
    made.add_argument("--config", type=Path)
    made.add_argument("--allow", action="store_true")
    made.add_argument("--web", action="store_true")
    made.add_argument("--demo", action="store_true")
    return made


def port(text: str) -> int:
    """A port number; argparse words the error."""
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError(f"{number} is no port (1 to 65535)")
    return number


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens on, or any free one."""
    for number in [*range(first, first + 20), 0]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", number))
            return int(probe.getsockname()[1])
    raise SystemExit("wiremend: no free port on 127.0.0.1")


def trusted_files(directory: Path, users: Mapping[str, str]) -> dict[str, str]:
    """The variables that make clients trust the proxy's CA beside what they trust already.

    `bundle.pem` holds the system's roots and the CA. Where the user's own environment names a
    file, the variable gets a copy of that file with the CA.
    """
    own = (directory / CERTIFICATE_FILE).read_bytes()
    bundle = write_bundle(directory / "bundle.pem", [*certificates_in(system_roots()), own])

    def with_own(name: str, file: str, otherwise: Path) -> str:
        try:
            certificates = certificates_in(Path(file)) if file else []
        except OSError as problem:
            print(f"wiremend: warning: {name} is not used: {problem}", file=sys.stderr)
            certificates = []
        if not certificates:
            return str(otherwise)
        code = hashlib.sha256(os.path.abspath(file).encode()).hexdigest()[:8]
        return str(write_bundle(directory / f"bundle-{code}.pem", [*certificates, own]))

    roots = with_own("SSL_CERT_FILE", users.get("SSL_CERT_FILE", ""), bundle)
    trust = {name: with_own(name, users.get(name, ""), Path(roots)) for name in REPLACING[1:]}
    extra = with_own(ADDING, users.get(ADDING, ""), directory / CERTIFICATE_FILE)
    return {REPLACING[0]: roots, **trust, ADDING: extra}


def clients_environment(proxy_port: int, trust: Mapping[str, str]) -> dict[str, str]:
    """What a client needs to go through the proxy and to trust it."""
    address = f"http://127.0.0.1:{proxy_port}"
    return {"HTTPS_PROXY": address, "https_proxy": address, **trust}


def run_alone(proxy: list[str], environment: Mapping[str, str]) -> int:
    """The proxy in the foreground, its use explained first."""
    print(f"wiremend: the proxy is {environment['HTTPS_PROXY']}; in another terminal:\n")
    for name, value in environment.items():
        if name.isupper():
            print(f"  export {name}={shlex.quote(value)}")
    print("\nand start your agent there. Or run one command: scripts/run -- COMMAND\n", flush=True)
    os.execv(proxy[0], proxy)


class EndingSignals:
    """Signals that end a program: sent on to the process that this one waits for."""

    def __init__(self) -> None:
        self.received = 0
        self._process: subprocess.Popen[str] | None = None
        self._in_foreground = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._receive)

    def send_to(self, process: "subprocess.Popen[str]", *, in_foreground: bool) -> None:
        """From now on, and what came already. In the foreground the terminal sends Ctrl-C."""
        self._process = process
        self._in_foreground = in_foreground
        if self.received:
            self._receive(self.received, None)

    def _receive(self, number: int, _: object) -> None:
        self.received = number
        if self._process is not None and not (number == signal.SIGINT and self._in_foreground):
            self._process.send_signal(number)


def run_behind(
    proxy: list[str], command: list[str], trust: Mapping[str, str], directory: Path, *, web: bool
) -> int:
    """One command behind a proxy of its own; the command's exit status."""
    program = shutil.which(command[0])
    if program is None:
        print(f"scripts/run: {command[0]}: no such command", file=sys.stderr)
        return 127
    log = own_log(directory)
    signals = EndingSignals()
    process = subprocess.Popen(
        proxy,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # Ctrl-C is for the command; the proxy ends after it.
        start_new_session=True,
    )
    try:
        signals.send_to(process, in_foreground=False)
        listening = wait_until_listening(process, log, web=web)
        if signals.received:
            return 128 + signals.received
        if listening is None:
            log.seek(0)
            print(f"scripts/run: the proxy did not start:\n{log.read()}", file=sys.stderr)
            return 1
        threading.Thread(target=log.writelines, args=(process.stdout,), daemon=True).start()
        environment = {**os.environ, **clients_environment(listening, trust)}
        child = subprocess.Popen([program, *command[1:]], env=environment, text=True)
        signals.send_to(child, in_foreground=True)
        status = child.wait()
        if process.poll() is not None:
            print(f"scripts/run: the proxy ended early; its log: {log.name}", file=sys.stderr)
        return 128 - status if status < 0 else status
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def own_log(directory: Path) -> TextIO:
    """The first of proxy.log, proxy-2.log, ... that no other run writes to, emptied."""
    for number in itertools.count(1):
        log = (directory / (f"proxy-{number}.log" if number > 1 else "proxy.log")).open("a+", 1)
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.close()
        else:
            log.truncate(0)
            return log
    raise AssertionError("the numbers do not end")


def wait_until_listening(process: "subprocess.Popen[str]", log: TextIO, *, web: bool) -> int | None:
    """The proxy's port, once it listens, and mitmweb's page too; None if it ends before."""
    assert process.stdout is not None
    port = page = None
    for line in process.stdout:
        print(line, end="", file=log)
        if match := _LISTENING.search(line):
            port = int(match[1])
        if match := _WEB_LISTENING.search(line):
            page = match[1]
            print(f"wiremend: mitmweb is at {page}", file=sys.stderr)
        if port and (page or not web):
            return port
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
