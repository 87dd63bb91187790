"""`scripts/run`: the proxy, or one command behind it."""

import argparse
import contextlib
import datetime
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

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
from wiremend.calls import InterceptedHosts  # noqa: E402
from wiremend.config import ConfigError, find_config, load_config  # noqa: E402
from wiremend.rules.catalogue import catalogue  # noqa: E402

FIRST_PORT = 8080
USAGE = """scripts/run [options]                  start the proxy
       scripts/run [options] -- COMMAND ...   run one command behind it
       scripts/run --demo                     see what it does; no key, no network"""
EPILOGUE = """
HTTPS_PROXY and the trust in the proxy's CA are set for COMMAND alone, and its exit status is
passed on. The CA is kept in $XDG_STATE_HOME/wiremend (by default ~/.local/state/wiremend), its key
readable by you only; name constraints limit it to the intercepted hosts.

examples:
  scripts/run -- claude -p "hello"
  scripts/run --web --port 9000
  scripts/run --config team.toml -- codex exec "hello"
"""
_LISTENING = re.compile(r"listening at (?:https?://)?\S*?:(\d+)")


def main(arguments: list[str]) -> int:
    """The exit status."""
    command: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
        if not command:
            parser().error("a command must follow --")
    options = parser().parse_args(arguments)
    try:
        option = str(options.config or "")
        config = load_config(
            find_config(option, Path.cwd()), known_codes=[rule.code for rule in catalogue()]
        )
    except ConfigError as problems:
        print(problems, file=sys.stderr)
        return 1
    provider_hosts = [provider.host for provider in config.providers.values()]
    hosts = InterceptedHosts([*provider_hosts, *config.intercept.hosts])
    directory = state_directory()
    if make_authority(directory, hosts.globs, datetime.datetime.now(datetime.UTC)):
        print(f"wiremend: made a new CA in {directory}", file=sys.stderr)
    if limitless := unlimited(hosts.globs):
        print(
            f"wiremend: warning: the CA in {directory} may sign for every host on earth, because "
            f"[intercept] hosts has {', '.join(map(repr, limitless))}; name domains to limit it",
            file=sys.stderr,
        )
    own = (directory / CERTIFICATE_FILE).read_bytes()
    bundle = write_bundle(directory / "bundle.pem", [*certificates_in(system_roots()), own])
    tool = "mitmweb" if options.web else "mitmdump"
    proxy = [
        str(Path(sys.executable).parent / tool),
        "-s",
        str(ROOT / "addons" / "__main__.py"),
        "--set",
        f"confdir={directory}",
    ]
    if options.config:
        proxy += ["--set", f"wiremend_config={options.config.resolve()}"]
    if command:
        return run_behind(proxy, options.port, command, directory, bundle)
    return run_alone(proxy, options.port or free_port(FIRST_PORT), directory, bundle)


def parser() -> argparse.ArgumentParser:
    """The options before `--`."""
    made = argparse.ArgumentParser(
        prog="scripts/run",
        usage=USAGE,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "--port", type=port, metavar="N", help=f"listen there (default: {FIRST_PORT} or the next)"
    )
    made.add_argument("--config", type=Path, metavar="FILE", help="instead of ./wiremend.toml")
    made.add_argument("--web", action="store_true", help="mitmweb instead of mitmdump")
    made.add_argument("--demo", action="store_true", help="an unreliable provider, before/after")
    return made


def port(text: str) -> int:
    """A port number; argparse words the error."""
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError(f"{number} is no port (1 to 65535)")
    return number


def state_directory() -> Path:
    """Where the CA and the log are kept."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "wiremend"


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens on, or any free one."""
    for number in [*range(first, first + 20), 0]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", number))
            return int(probe.getsockname()[1])
    raise SystemExit("wiremend: no free port on 127.0.0.1")


def environment(proxy_port: int, directory: Path, bundle: Path) -> dict[str, str]:
    """What a client needs to go through the proxy and to trust it."""
    certificate = str(directory / CERTIFICATE_FILE)
    address = f"http://127.0.0.1:{proxy_port}"
    return {
        "HTTPS_PROXY": address,
        "https_proxy": address,
        "SSL_CERT_FILE": str(bundle),
        "CODEX_CA_CERTIFICATE": str(bundle),
        "NODE_EXTRA_CA_CERTS": certificate,
    }


def run_alone(proxy: list[str], proxy_port: int, directory: Path, bundle: Path) -> int:
    """The proxy in the foreground, its use explained first."""
    print(f"wiremend: listening on 127.0.0.1:{proxy_port}; in another terminal:\n")
    for name, value in environment(proxy_port, directory, bundle).items():
        if name.isupper():
            print(f"  export {name}={value}")
    print("\nand start your agent there. Or run one command: scripts/run -- COMMAND\n", flush=True)
    os.execv(proxy[0], [*proxy, "--listen-port", str(proxy_port)])


def run_behind(
    proxy: list[str], proxy_port: int | None, command: list[str], directory: Path, bundle: Path
) -> int:
    """One command behind a proxy of its own; the command's exit status."""
    program = shutil.which(command[0])
    if program is None:
        print(f"scripts/run: {command[0]}: no such command", file=sys.stderr)
        return 127
    log_path = directory / "proxy.log"
    with log_path.open("w+") as log:
        process = subprocess.Popen(
            [*proxy, "--listen-port", str(proxy_port or 0)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C is for the command; the proxy ends after it.
            start_new_session=True,
        )
        try:
            listening = wait_until_listening(process, log)
            if listening is None:
                print(
                    f"scripts/run: the proxy did not start:\n{log_path.read_text()}",
                    file=sys.stderr,
                )
                return 1
            return run_child(
                [program, *command[1:]], environment(listening, directory, bundle), process, log
            )
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_until_listening(process: "subprocess.Popen[str]", log: "object") -> int | None:
    """The port, once the proxy says that it listens; None if it ends before."""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", file=log, flush=True)  # type: ignore[call-overload]
        if match := _LISTENING.search(line):
            return int(match[1])
    return None


def run_child(
    command: list[str],
    additions: dict[str, str],
    process: "subprocess.Popen[str]",
    log: "object",
) -> int:
    """Run the command to its end while the proxy's log is written to its file."""
    import threading

    def copy() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", file=log, flush=True)  # type: ignore[call-overload]

    threading.Thread(target=copy, daemon=True).start()
    child = subprocess.Popen(command, env={**os.environ, **additions})
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: child.send_signal(received))
    # The terminal sends Ctrl-C to the child too, which decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = child.wait()
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
