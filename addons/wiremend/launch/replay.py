"""The command `replay`: run one command offline, with a recording as the provider."""

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from wiremend.launch import run
from wiremend.launch.fault_options import HELP as FAULT_HELP
from wiremend.launch.fault_options import add_fault_options
from wiremend.recording.exchange import UnusableRecording
from wiremend.recording.path_maps import PathMap
from wiremend.recording.replay_report import ReplayReport

LEVELS = ("messages", "strict", "order")
USAGE = """{program} [--match LEVEL] [--map OLD=NEW] [--speed N] [--port N] [--config FILE]
              [--allow] [--web] [--faults FILE] [--faults-report FILE] [--plain]
              FILE -- COMMAND ...
       {program} --help"""
HELP = """usage: {program} [options] FILE -- COMMAND ...   run one command offline

Calls of COMMAND are answered from FILE: a flow file of mitmproxy, such as scripts/record writes, a
HAR file, or JSON Lines of exchanges (also .xz). Nothing is sent to the network. What the provider
sent is served again, attempt by attempt, so the proxy retries and repairs as it did then.

A call is answered if its model and messages are in FILE, apart from ids, dates and folders. Equal
calls are answered in recorded order. A call that is not in FILE gets a 400, and the nearest
recorded one is printed with the differences. Other requests, such as telemetry, get a 404.

options:
  --match LEVEL  what must be equal: messages (default; with the model); strict (also the system
                 prompt, tools and parameters); or order (the model, and how many answers the
                 conversation contains: for prompts that change with the version of the client)
  --map OLD=NEW  the folder OLD in recorded tool calls is NEW now; also repeated
  --speed N      keep the recorded times of chunks, divided by N (1: as recorded); by default they
                 are sent as fast as possible
  --port N       listen on port N (default: any free port)
  --config FILE  use FILE instead of ./wiremend.toml and ~/.config/wiremend/wiremend.toml
  --allow        allow the present content of ./wiremend.toml
  --web          start mitmweb instead of mitmdump
{faults}
The exit status is that of COMMAND; 1 if that is 0 but a call was not in FILE, or COMMAND made none;
2 if FILE cannot be read.

examples:
  {program} session.mitm -- claude -p "hello"
  {program} --map /home/name1/app=$PWD session.mitm -- pytest tests/test_agent.py
"""


def main(program: str, arguments: list[str]) -> int:
    """Run the command with these arguments; return the exit status.

    `program` is the name of the command in messages.
    """
    options, command = parse(program, arguments)
    if options.help:
        print(HELP.format(program=program, faults=FAULT_HELP), end="")
        return 0
    # mitmproxy takes a while to load, and --help should not.
    from wiremend.recording.recorded_calls import load_calls

    try:
        load_calls(options.file)
    except UnusableRecording as problem:
        print(f"{program}: {options.file}: {problem}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="wiremend-replay-") as directory:
        report_file = Path(directory, "report.json")
        more = replay_arguments(
            options.file,
            match=options.match,
            maps=options.map,
            speed=options.speed or "",
            report_file=report_file,
        )
        ended = run.start(program, options, command, more, is_offline=True)
        report = read_report(report_file)
    if not ended.has_run:
        return ended.status
    if report is None:
        print(f"{program}: the proxy did not report what was replayed", file=sys.stderr)
        return ended.status or 1
    for line in report_lines(program, options, report):
        print(line if line.startswith(" ") else f"wiremend: {line}", file=sys.stderr)
    is_replayed = ended.is_proxy_sound and not report.misses and report.hits > 0
    return ended.status if ended.status or is_replayed else 1


def parse(program: str, arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and the command after `--`. Exits with status 2 on a wrong option."""
    options = argparse.ArgumentParser(
        prog=program, usage=USAGE.format(program=program), add_help=False, allow_abbrev=False
    )
    options.add_argument("-h", "--help", action="store_true")
    options.add_argument("--match", choices=LEVELS, default=LEVELS[0])
    options.add_argument("--map", type=path_map, action="append", default=[])
    options.add_argument("--speed", type=speed)
    options.add_argument("--port", type=run.port)
    options.add_argument("--config", type=Path)
    options.add_argument("--allow", action="store_true")
    options.add_argument("--web", action="store_true")
    options.set_defaults(no_password=False)
    add_fault_options(options)
    options.add_argument("file", type=Path, nargs="?", metavar="FILE")
    at = arguments.index("--") if "--" in arguments else len(arguments)
    parsed, command = options.parse_args(arguments[:at]), arguments[at + 1 :]
    if not parsed.help:
        if parsed.file is None:
            options.error("a FILE to replay is required")
        if not command:
            options.error("a command must follow --")
    return parsed, command


def path_map(text: str) -> str:
    """Return a valid OLD=NEW. Raises ArgumentTypeError for argparse."""
    try:
        PathMap.parse(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    return text


def speed(text: str) -> str:
    """Return a valid factor. Raises ArgumentTypeError for argparse."""
    from wiremend.testing.recorded_replies import parse_speed

    try:
        parse_speed(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    return text


def replay_arguments(
    file: Path,
    *,
    match: str,
    maps: Iterable[str] = (),
    speed: str = "",
    report_file: Path | None = None,
    forwards_misses: bool = False,
) -> list[str]:
    """Return the arguments that make the proxy replay a recording; `maps` are OLD=NEW.

    `forwards_misses`: requests that are not in it are sent to their providers.
    """
    pairs = [
        ("wiremend_replay", str(file.resolve())),
        ("wiremend_replay_match", match),
        ("wiremend_replay_misses", "forward" if forwards_misses else "refuse"),
        ("wiremend_replay_speed", speed),
        ("wiremend_replay_report", str(report_file or "")),
        *(("wiremend_replay_map", text) for text in maps),
    ]
    return [word for name, value in pairs for word in ("--set", f"{name}={value}")]


def read_report(file: Path) -> ReplayReport | None:
    """Return the report that the proxy wrote; None if there is none."""
    try:
        return ReplayReport.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None


def report_lines(program: str, options: argparse.Namespace, report: ReplayReport) -> list[str]:
    """Return what is printed when the command has ended."""
    lines = report.lines()
    if report.misses:
        record = program.replace("replay", "record")
        lines.append(f"to record again, on purpose: {record} --force {options.file} -- COMMAND")
    return lines
