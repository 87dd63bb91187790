"""The command `record`: run one command behind the proxy, and keep its calls in a file."""

import argparse
import contextlib
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from wiremend.call_record.outcomes import CallState
from wiremend.launch import run
from wiremend.launch.fault_options import HELP as FAULT_HELP
from wiremend.launch.fault_options import add_fault_options
from wiremend.launch.shells import shells_directory
from wiremend.recording.exchange import UnusableRecording
from wiremend.text.counted import counted

USAGE = """{program} [--force] [--port N] [--config FILE] [--allow] [--web]
           [--faults FILE] [--faults-report FILE] [--plain] FILE -- COMMAND ...
       {program} --help"""
HELP = """usage: {program} [options] FILE -- COMMAND ...   run one command and record its calls

FILE is a flow file of mitmproxy with both sides of each call: what the client sent and received,
and what went to the provider and came from it, attempt by attempt, with times. Keys, tokens and
cookies are replaced before anything is written, and so are the names of you and this machine, home
folders, e-mail addresses, and ids of accounts, organizations and sessions. Prompts, the contents of
files, and names that a model streams in pieces are kept: look at FILE before you publish it.

options:
  --force        replace an existing FILE
  --port N       listen on port N (default: any free port)
  --config FILE  use FILE instead of ./wiremend.toml and ~/.config/wiremend/wiremend.toml
  --allow        allow the present content of ./wiremend.toml
  --web          start mitmweb instead of mitmdump
{faults}
Only you can read FILE. It appears when COMMAND has ended; until then, and after a crash, the calls
so far are in FILE.*.partial. The exit status is that of COMMAND, or 1 if that is 0 but there is no
complete recording.

examples:
  {program} session.mitm -- claude -p "hello"
  {program} --force tests/session.mitm -- pytest tests/test_agent.py
"""


def main(program: str, arguments: list[str]) -> int:
    """Run the command with these arguments; return the exit status.

    `program` is the name of the command in messages.
    """
    options, command = parse(program, arguments)
    if options.help:
        print(HELP.format(program=program, faults=FAULT_HELP), end="")
        return 0
    if problem := problem_with(options.file, force=options.force):
        print(f"{program}: {problem}", file=sys.stderr)
        return 1
    try:
        partial = new_partial(options.file)
    except OSError as reason:
        print(f"{program}: {options.file} cannot be written: {reason.strerror}", file=sys.stderr)
        return 1
    try:
        ended = run.start(program, options, command, recording_arguments(partial))
    except BaseException:
        remove_if_empty(partial)
        raise
    if not ended.has_run:
        remove_if_empty(partial)
        return ended.status
    if not ended.is_proxy_sound and not remove_if_empty(partial):
        print(f"{program}: the recording is incomplete: {partial}", file=sys.stderr)
        return ended.status or 1
    is_complete = finish(program, partial, options.file, force=options.force)
    return ended.status if ended.status or is_complete else 1


def parse(program: str, arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and the command after `--`. Exits with status 2 on a wrong option."""
    options = argparse.ArgumentParser(
        prog=program, usage=USAGE.format(program=program), add_help=False, allow_abbrev=False
    )
    options.add_argument("-h", "--help", action="store_true")
    options.add_argument("--force", action="store_true")
    options.add_argument("--port", type=run.port)
    options.add_argument("--config", type=Path)
    options.add_argument("--allow", action="store_true")
    options.add_argument("--web", action="store_true")
    add_fault_options(options)
    options.set_defaults(no_password=False)
    options.add_argument("file", type=Path, nargs="?", metavar="FILE")
    at = arguments.index("--") if "--" in arguments else len(arguments)
    parsed, command = options.parse_args(arguments[:at]), arguments[at + 1 :]
    if not parsed.help:
        if parsed.file is None:
            options.error("a FILE to record into is required")
        if not command:
            options.error("a command must follow --")
    return parsed, command


def problem_with(file: Path, *, force: bool) -> str:
    """Return why the file cannot be recorded into; empty if it can."""
    if file.is_dir():
        return f"{file} is a folder"
    if not file.parent.is_dir():
        return f"there is no folder {file.parent}"
    if os.path.lexists(file) and not force:
        return f"{file} exists; use --force to replace it"
    return ""


def new_partial(file: Path) -> Path:
    """Create the file that is written while the command runs. Only its owner can read it."""
    handle, name = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".partial", dir=file.parent)
    os.close(handle)
    return Path(name).resolve()


def recording_arguments(partial: Path) -> list[str]:
    """Return the arguments that make the proxy write its calls into a file that exists."""
    shell = str(shells_directory() / "record_traffic.py")
    return ["-s", shell, "--set", f"recording_file={partial}", "--set", "wiremend_keep=always"]


def finish(program: str, partial: Path, file: Path, *, force: bool) -> bool:
    """Move a recording to its place and print what it contains. Return whether it is complete."""
    if remove_if_empty(partial):
        print(f"{program}: no calls were recorded; {file} was not written", file=sys.stderr)
        return False
    try:
        summary = summary_of(partial)
        publish(partial, file, force=force)
    except UnusableRecording as problem:
        print(f"{program}: the recording is damaged ({problem}): {partial}", file=sys.stderr)
        return False
    except OSError as reason:
        text = "it exists" if isinstance(reason, FileExistsError) else reason.strerror
        print(f"{program}: {file} was not written ({text}); see {partial}", file=sys.stderr)
        return False
    size = max(1, file.stat().st_size // 1000)
    print(f"wiremend: recorded {summary} in {file} ({size} kB)", file=sys.stderr)
    return True


def remove_if_empty(partial: Path) -> bool:
    """Remove the file if nothing was written. Return whether it was empty or is missing."""
    try:
        if partial.stat().st_size:
            return False
    except FileNotFoundError:
        return True
    partial.unlink()
    return True


def publish(partial: Path, file: Path, *, force: bool) -> None:
    """Give the recording its name, at once. Raises OSError; then the recording stays as it is.

    Without `force`, a file that was created in the meantime is not replaced.
    """
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    if force:
        os.replace(partial, file)
        return
    try:
        os.link(partial, file)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.rename(partial, file)
    else:
        with contextlib.suppress(OSError):
            partial.unlink()


def summary_of(recording: Path) -> str:
    """Return what a recording contains, such as `3 calls (1 failed; 5 attempts)`.

    Raises UnusableRecording and OSError.
    """
    # mitmproxy takes a while to load, and the command should start without delay.
    from wiremend.recording.flow_files import records_in

    with recording.open("rb") as file:
        records = list(records_in(file))
    outcomes = Counter(record.outcome for record in records if record is not None)
    bad = [
        f"{outcomes[state]} {state.value}"
        for state in (CallState.FAILED, CallState.CANCELLED, CallState.REFUSED)
        if outcomes[state]
    ]
    attempts = sum(len(record.attempts) for record in records if record is not None)
    details = "; ".join([*bad, counted(attempts, "attempt")])
    calls = counted(len(records), "call")
    return f"{calls} ({details})"
