"""The command `run`: start the proxy, or run one command behind it."""

import argparse
import contextlib
import datetime
import os
import shlex
import socket
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

import wiremend
from wiremend.config.current import CurrentConfig
from wiremend.config.load import ConfigError
from wiremend.config.presets import table_in_text
from wiremend.config.user_directories import state_directory
from wiremend.launch.authority import CERTIFICATE_FILE, Made, make_authority, unlimited
from wiremend.launch.bypassed import no_proxy_warning
from wiremend.launch.environment import clients_environment, trusted_files
from wiremend.launch.fault_options import HELP as FAULT_HELP
from wiremend.launch.fault_options import add_fault_options, fault_arguments
from wiremend.launch.importing.command import import_config
from wiremend.launch.locked_passwords import remove_leftovers
from wiremend.launch.mitmproxy_options import HELP as MITMPROXY_HELP
from wiremend.launch.mitmproxy_options import add_mitmproxy_options, merged, mitmproxy_options
from wiremend.launch.outgoing_proxy import mitmproxy_arguments, outgoing_warning
from wiremend.launch.probing import is_wiremend
from wiremend.launch.processes import Ended, export_commands, run_alone, run_behind
from wiremend.launch.proxy_password import (
    VARIABLE,
    new_password,
    password_file,
    read_password,
)
from wiremend.launch.running_proxies import globs_of_running, register_proxy
from wiremend.launch.shells import checkout_file, shells_directory

FIRST_PORT = 8080
PORTS = 20
"""How many ports, from the first one, are tried."""
DEMO = "scripts/demo.py"
"""It uses the provider and clients of the tests, so it needs a checkout."""
HELP = """usage: {program} [options]                  start the proxy
       {program} [options] -- COMMAND ...   run one command behind it
{demo}
options:
  --port N       listen on port N (default: without a COMMAND 8080 or the next free port, with one
                 any free port)
  --config FILE  use FILE instead of ./wiremend.toml and ~/.config/wiremend/wiremend.toml
  --allow        allow the present content of ./wiremend.toml, which can send calls and secrets to
                 the hosts that it names; later starts use it until it changes
  --web          start mitmweb instead of mitmdump
  --no-password  let everyone on this machine use the proxy of COMMAND; by default only COMMAND has
                 its password, in HTTPS_PROXY
  --env          print the variables for clients of a running proxy, on port N if --port is given,
                 as shell commands: eval "$({program} --env)"
  --fake-provider
                 answer the calls of COMMAND on this machine, with a short text, instead of sending
                 them to providers; no key, no network. Try it with --faults
  --presets      print the providers that `preset` in [providers.NAME] can name
{options}  --check-config explain what the configuration does with calls; --probe also sends each
                 provider a tiny one
  --doctor       check versions, ports, certificates, variables and agents, and make a call to a
                 provider on loopback; --doctor -- COMMAND also runs COMMAND against that provider,
                 to see whether its calls are intercepted
  --import-config FILE
                 print the wiremend.toml for a configuration of oc-go-cc or claude-code-router;
                 -o OUT writes it to a new file
  --version      print the version

HTTPS_PROXY and the variables that make a client trust the proxy's CA are set for COMMAND only.
The exit status is that of COMMAND. If your environment names a proxy or certificates, they are
used too.

$XDG_STATE_HOME/wiremend (by default ~/.local/state/wiremend) contains the CA, which can only sign
for the intercepted hosts and whose key only you can read; a record of the contents that you
allowed; and proxy.log, the log of the proxy of the last COMMAND.

examples:
  {program} -- claude -p "hello"
  {program} --web --port 9000
  {program} --config team.toml -- codex exec "hello"
"""
DEMO_HELP = "       {program} --demo                     show what it does; no key, no network\n"
WEB_COLUMNS = ("icon", "comment", "path", "status", "size", "time")
"""The columns of mitmweb: without the comment, calls to one provider look the same."""
WEB_FILTER = '~u "/messages|/completions|/responses|enerateContent" | ~marked | ~e'
"""What mitmweb lists: model calls, and whatever failed or is marked."""

USAGE = """{program} [--port N] [--config FILE] [--allow] [--web] [--no-password]
           [--faults FILE] [--faults-report FILE] [--plain] [--fake-provider]
           [OPTION OF MITMPROXY ...] [-- COMMAND ...]
       {program} [--port N] --env
       {program} [--config FILE] [--allow] --check-config [--probe]
       {program} [--port N] [--config FILE] --doctor [-- COMMAND ...]
       {program} --import-config FILE [-o OUT]
       {program} --presets | --help | --version"""


def main(program: str, arguments: list[str]) -> int:
    """Run the command with these arguments; return the exit status.

    `program` is the name of the command in messages. Without a COMMAND, or with --demo, another
    program replaces this process.
    """
    options, command = parse(program, arguments)
    if options.help:
        print(help_text(program), end="")
        return 0
    if options.demo:
        return run_demo(program)
    if options.presets:
        return print_presets()
    if options.env:
        return print_environment(program, options.port)
    if options.import_config:
        return import_config(program, options.import_config, options.output)
    if options.check_config or options.doctor:
        return inspect(program, options, command)
    try:
        passed = mitmproxy_options(options, has_password=bool(command) and not options.no_password)
    except ValueError as problem:
        print(f"{program}: {problem}", file=sys.stderr)
        return 1
    if not options.fake_provider:
        return start(program, options, command, passed).status
    if not command:
        print(f"{program}: --fake-provider needs -- COMMAND", file=sys.stderr)
        return 1
    # A start without it does not need what it imports.
    from wiremend.launch.examining.fake_provider import fake_provider

    with fake_provider(os.environ) as fake:
        passed += fake.arguments
        ended = start(program, options, command, passed, is_offline=True, variables=fake.variables)
    return ended.status


def start(
    program: str,
    options: argparse.Namespace,
    command: list[str],
    more: Iterable[str] = (),
    *,
    is_offline: bool = False,
    variables: Mapping[str, str] = {},
) -> Ended:
    """Start the proxy, with more arguments, and the command behind it; return how it ended.

    Without a command the proxy replaces this process. With `is_offline` the proxy of the user's
    environment is not used. `variables` are added to the environment of proxy and command.
    """
    try:
        current = configuration(options)
        number = options.port or (0 if command else free_port(FIRST_PORT))
        outgoing = [] if is_offline else mitmproxy_arguments(os.environ, number)
        outgoing += fault_arguments(options)
    except ConfigError as problems:
        print(problems, file=sys.stderr)
        return Ended(1, has_run=False)
    except ValueError as problem:
        print(f"{program}: {problem}", file=sys.stderr)
        return Ended(1, has_run=False)
    try:
        directory = state_directory(os.environ)
        prepare_authority(directory, current.intercepted.globs)
        remove_leftovers(directory)
        trust = trusted_files(directory, os.environ)
    except (OSError, RuntimeError) as problem:
        print(f"{program}: {state_problem(problem)}", file=sys.stderr)
        return Ended(1, has_run=False)
    if not is_offline and (warning := outgoing_warning(os.environ, number)):
        print(f"wiremend: warning: {warning}", file=sys.stderr)
    own = [*proxy_command(options, number, directory, trust["SSL_CERT_FILE"]), *outgoing]
    proxy = merged(own, list(more))
    if command:
        proxy += ["-s", str(shells_directory() / "end_with_launcher.py")]
        if options.web:
            proxy += ["--set", "web_open_browser=false"]  # its address is printed instead
        if current.path:  # the line that the proxy prints is only in its log
            print(f"wiremend: configuration from {current.source}", file=sys.stderr)
        for warning in current.warnings:
            print(warning, file=sys.stderr)
        if bypass := no_proxy_warning(os.environ, current.intercepted.globs):
            print(f"wiremend: warning: {bypass}", file=sys.stderr)
        password = "" if options.no_password else new_password()
        return run_behind(
            program,
            proxy,
            command,
            trust,
            directory,
            web=options.web,
            password=password,
            variables=variables,
        )
    has_password = current.config.access.require_password or VARIABLE in os.environ
    return Ended(run_alone(program, proxy, number, trust, has_password=has_password))


def parse(program: str, arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and the command after `--`. Exits with status 2 on a wrong option."""
    command: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
        if not command:
            parser(program).error("a command must follow --")
    options, unknown = parser(program).parse_known_args(arguments)
    if unknown and not command and not unknown[0].startswith("-"):
        parser(program).error(f"a command follows --: {program} -- {shlex.join(unknown)}")
    if unknown:
        parser(program).error(f"unrecognized arguments: {shlex.join(unknown)}")
    return options, command


def parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the options before `--`."""
    options = argparse.ArgumentParser(
        prog=program, usage=USAGE.format(program=program), add_help=False, allow_abbrev=False
    )
    options.add_argument("-h", "--help", action="store_true")
    options.add_argument("--version", action="version", version=f"wiremend {wiremend.__version__}")
    options.add_argument("--port", type=port)
    options.add_argument("--config", type=Path)
    options.add_argument("--allow", action="store_true")
    options.add_argument("--web", action="store_true")
    options.add_argument("--demo", action="store_true")
    options.add_argument("--env", action="store_true")
    options.add_argument("--presets", action="store_true")
    add_fault_options(options)
    add_mitmproxy_options(options)
    options.add_argument("--fake-provider", action="store_true")
    options.add_argument("--no-password", action="store_true")
    options.add_argument("--check-config", action="store_true")
    options.add_argument("--probe", action="store_true")
    options.add_argument("--doctor", action="store_true")
    options.add_argument("--import-config", type=Path)
    options.add_argument("-o", "--output", type=Path)
    return options


def port(text: str) -> int:
    """Return the port number in a text. Raises ValueError or ArgumentTypeError for argparse."""
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {number}")
    return number


def help_text(program: str) -> str:
    """Return the text of --help."""
    demo = DEMO_HELP if checkout_file(DEMO) else ""
    options = FAULT_HELP + MITMPROXY_HELP
    return HELP.format(program=program, options=options, demo=demo.format(program=program))


def inspect(program: str, options: argparse.Namespace, command: list[str]) -> int:
    """Carry out --check-config or --doctor. Return the exit status."""
    # A start needs none of this; the second also imports mitmproxy, which may be missing.
    from wiremend.launch.check_config import check_config
    from wiremend.launch.examining.doctor import examine

    try:
        state_directory(os.environ)
    except RuntimeError as reason:
        print(f"{program}: {state_problem(reason)}", file=sys.stderr)
        return 1
    current, file = CurrentConfig(), str(options.config or "")
    if options.check_config:
        return check_config(current, file, allow=options.allow, probe=options.probe)
    return examine(
        program,
        current,
        file,
        command,
        options.port or FIRST_PORT,
        is_wiremend=is_wiremend,
        prepare=prepare_authority,
    )


def run_demo(program: str) -> int:
    """Replace this process by the demo. Return only if there is no demo, with exit status 1."""
    demo = checkout_file(DEMO)
    if demo is None:
        print(f"{program}: --demo needs a checkout of wiremend, with its tests", file=sys.stderr)
        return 1
    os.execv(sys.executable, [sys.executable, str(demo)])


def print_presets() -> int:
    """Print the table of presets. Return the exit status."""
    try:
        print(table_in_text(), flush=True)
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def print_environment(program: str, number: int | None) -> int:
    """Print the shell commands that make clients use a running proxy. Return the exit status.

    `number` is its port; None for the first port on which `run` would have started it.
    """
    ports = [number] if number else range(FIRST_PORT, FIRST_PORT + PORTS)
    found = next((port for port in ports if is_wiremend(port)), None)
    try:
        directory = state_directory(os.environ)
    except RuntimeError as problem:
        print(f"{program}: {state_problem(problem)}", file=sys.stderr)
        return 1
    password = ""
    if found is not None and not is_wiremend(found, admits=True):
        known = [os.environ.get(VARIABLE, "")]
        known += [read_password(password_file(directory, which)) for which in (found, None)]
        fits = (one for one in known if one and is_wiremend(found, admits=True, password=one))
        password = next(fits, "")
        if not password:
            text = f"{program}: the proxy on port {found} has a password that you do not have"
            print(text, file=sys.stderr)
            return 1
    if found is None or not (directory / CERTIFICATE_FILE).is_file():
        place = f"port {ports[0]}" if number else f"the ports {ports[0]} to {ports[-1]}"
        print(
            f"{program}: no proxy of {program} listens on {place} of 127.0.0.1; start one with "
            f"{program}, or give its port with --port",
            file=sys.stderr,
        )
        return 1
    try:
        trust = trusted_files(directory, os.environ)
    except OSError as problem:
        print(f"{program}: {state_problem(problem)}", file=sys.stderr)
        return 1
    print(export_commands(clients_environment(found, trust, password)))
    return 0


def configuration(options: argparse.Namespace) -> CurrentConfig:
    """Read the configuration that the proxy will read. Raises ConfigError."""
    current = CurrentConfig()
    current.read(str(options.config or ""), Path.cwd(), allow=options.allow)
    return current


def prepare_authority(directory: Path, globs: Iterable[str]) -> None:
    """Ensure that the directory contains a CA for these host globs; warn if it has no limits.

    It also covers the hosts of the proxies that run at present. Raises OSError.
    """
    globs = list(globs)
    with contextlib.suppress(OSError):  # a full disk; an existing CA can be used nevertheless
        register_proxy(directory, globs)
    needed = [*globs, *globs_of_running(directory)]
    if make_authority(directory, needed, datetime.datetime.now(datetime.UTC)) is Made.NEW:
        print(f"wiremend: created a new CA in {directory}", file=sys.stderr)
    if limitless := unlimited(globs):
        print(
            f"wiremend: warning: the CA in {directory} can sign for every host, because "
            f"[intercept] hosts contains {', '.join(map(repr, limitless))}; to limit the CA, list "
            "domains instead",
            file=sys.stderr,
        )


def state_problem(problem: Exception) -> str:
    """Return a sentence about a state directory that cannot be used."""
    if not isinstance(problem, OSError):
        return f"{problem}; set HOME, or XDG_STATE_HOME, to a directory that can be written"
    reason = (problem.strerror or str(problem)).lower()
    return (
        f"the state directory cannot be written ({problem.filename}: {reason}); make room there, "
        "or set XDG_STATE_HOME to a directory that can be written"
    )


def free_port(first: int) -> int:
    """Return the first free port of the twenty that start at `first`; if none is, any free port."""
    for number in [*range(first, first + PORTS), 0]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", number))
            return int(probe.getsockname()[1])
    raise SystemExit("wiremend: no free port on 127.0.0.1")


def proxy_command(
    options: argparse.Namespace, number: int, directory: Path, trusted_file: str
) -> list[str]:
    """Return the command line of mitmdump or mitmweb with all addons, listening on port `number`.

    `directory` contains the CA. `trusted_file` contains the roots that the user trusts, since a
    company's proxy may sign with its own CA.
    """
    command = [
        mitmproxy_program("mitmweb" if options.web else "mitmdump"),
        *("-s", str(shells_directory() / "__main__.py")),
        # Without it, mitmproxy may bind to all addresses before the addons choose one; the servers
        # then start again, on another port if any free one was asked for.
        *("--listen-host", "127.0.0.1"),
        *("--listen-port", str(number)),
        *("--set", f"confdir={directory}"),
        *("--set", f"ssl_verify_upstream_trusted_ca={trusted_file}"),
    ]
    if options.config:
        command += ["--set", f"wiremend_config={options.config.resolve()}"]
    if options.web:
        command += ["--web-port", str(free_port(max(FIRST_PORT, number) + 1))]
        command += web_arguments()
    return command


def web_arguments() -> list[str]:
    """Return the arguments with which mitmweb lists calls by their outcome."""
    columns = [word for column in WEB_COLUMNS for word in ("--set", f"web_columns={column}")]
    return [*columns, "--set", f"view_filter={WEB_FILTER}"]


def mitmproxy_program(name: str) -> str:
    """Return the path of one of mitmproxy's programs in the environment of this Python.

    PATH is not searched: a program there may belong to a Python without wiremend. Raises
    SystemExit, with a message for the user, if the program is not installed.
    """
    user = sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts")), Path(user)):
        if (folder / name).is_file():
            return str(folder / name)
    raise SystemExit(
        f"wiremend: there is no {name} beside {sys.executable}; install mitmproxy into the same "
        "environment"
    )
