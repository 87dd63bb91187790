"""The command line of `check`."""

import argparse
import difflib
import io
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from wiremend.catalogue import render_rule
from wiremend.check.fixing import fix
from wiremend.check.problems import CheckedFlow, printable
from wiremend.check.progress import ProgressLine
from wiremend.check.reports.registry import FORMATS
from wiremend.check.reports.report import RULES_PAGE
from wiremend.check.reports.text import statistics, summary
from wiremend.check.runs import Run, Totals, Unusable, rules_by_code
from wiremend.check.secret_places import SECRET_RULES
from wiremend.check.selection import Selection
from wiremend.config.load import ConfigError, check_document, find_config, read_document
from wiremend.config.model import Config
from wiremend.config.settings import settings_of
from wiremend.engine.rules import ERROR_MID_STREAM
from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.exchange import UnusableRecording
from wiremend.text.counted import counted

HELP = """usage: {program} [options] FILE...    report faults in recorded traffic
       {program} --explain RULE     explain a rule: a code or a name

FILE is a flow file of mitmproxy or wiremend, a HAR file, JSON Lines of exchanges (also .xz), with
--protocol a body (events or JSON), a folder of these, or - for standard input. What a provider
sent is checked with the rules of the proxy, and what the client sent with those of its target.

options:
  --protocol NAME       the protocol of bodies: anthropic, chat, responses or gemini
  --select CODES        report only these rules: codes or prefixes, separated by commas
  --ignore CODES        do not report these rules; also repeated
  --output-format NAME  full (default), concise, json, json-lines, junit, github, gitlab or sarif
  --output-file FILE    write the report to FILE
  --statistics          print how often each rule was found, instead of the places
  --fix OUT             write a repaired copy of FILE to OUT, and report what remains in it
  --secrets             report where FILE contains secrets and identities, not their values
  --config FILE         use [check] and [rules] of FILE instead of ./wiremend.toml
  --exit-zero           exit with 0 even if something is found

The exit status is 0 if nothing is found, 1 if something is, and 2 if a file cannot be read or an
option is wrong.

examples:
  {program} recording.mitm
  {program} --select S,E --output-format junit --output-file report.xml recordings/
  curl -sN ... | {program} --protocol anthropic -
"""
USAGE = "{program} [options] FILE...\n       {program} --help"
_TEXT_FORMATS = ("full", "concise")


@dataclass(frozen=True, slots=True)
class _Problem(Exception):
    """A wrong option; the text is for the user."""

    text: str

    def __str__(self) -> str:
        return self.text


def main(program: str, arguments: list[str]) -> int:
    """Run the command with these arguments; return the exit status.

    `program` is the name of the command in messages.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # whatever a recording contains can be printed
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser(program).parse_args(arguments)
    if options.help:
        print(HELP.format(program=program), end="")
        return 0
    try:
        if options.explain:
            print(explanation(options.explain), end="")
            return 0
        run = _run(options)
        return _checked(program, options, run)
    except (_Problem, ConfigError) as problem:
        print(f"{program}: {problem}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # What reads the output has enough. Without this, Python reports the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, usage=USAGE.format(program=program), add_help=False, allow_abbrev=False
    )
    parser.add_argument("files", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--explain", metavar="RULE")
    parser.add_argument("--protocol", metavar="NAME")
    parser.add_argument("--select", action="append", default=[], metavar="CODES")
    parser.add_argument("--ignore", action="append", default=[], metavar="CODES")
    parser.add_argument("--output-format", default="full", metavar="NAME")
    parser.add_argument("--output-file", type=Path, metavar="FILE")
    parser.add_argument("--statistics", action="store_true")
    parser.add_argument("--fix", type=Path, metavar="OUT")
    parser.add_argument("--secrets", action="store_true")
    parser.add_argument("--config", default="", metavar="FILE")
    parser.add_argument("--exit-zero", action="store_true")
    return parser


def explanation(rule: str) -> str:
    """Return what the rule with this code, or name, is about. Raises an error for the user."""
    by_code = {**rules_by_code(), **{one.code: one for one in SECRET_RULES}}
    by_name = {one.name: one for one in by_code.values()}
    found = by_code.get(rule.upper()) or by_name.get(rule.lower())
    if found is not None:
        return render_rule(found)
    if os.path.exists(rule):
        raise _Problem(
            f"--explain explains a rule, such as S105; to check {rule!r}, leave out --explain"
        )
    raise _Problem(
        f"--explain: {_unknown(rule, [*by_code, *by_name])}; expected a code or a name, such as "
        f"S105 or block-index, from {RULES_PAGE}"
    )


def _unknown(code: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(code, list(known), 1)
    return f"there is no rule {code!r}" + (f"; did you mean {near[0]!r}?" if near else "")


# Options


def _run(options: argparse.Namespace) -> Run:
    if not options.files:
        raise _Problem("a FILE is required; - is standard input (--help shows all options)")
    if options.output_format not in FORMATS:
        known = ", ".join(FORMATS)
        raise _Problem(f"--output-format: expected one of {known}, got {options.output_format!r}")
    protocol = None
    if options.protocol is not None:
        try:
            protocol = WireProtocol.parse(options.protocol)
        except ValueError as problem:
            raise _Problem(f"--protocol: {problem}") from None
    if options.fix is not None:
        _check_fix(options)
    config = _config(options.config)
    return Run(
        settings=settings_of(config, list(rules_by_code())),
        selection=_selection(options, config),
        stdin=sys.stdin.buffer,
        protocol=protocol,
        seeks_secrets=options.secrets,
    )


def _check_fix(options: argparse.Namespace) -> None:
    if len(options.files) != 1 or options.secrets:
        raise _Problem("--fix takes one FILE, and no --secrets")
    same = options.fix.exists() and Path(options.files[0]).exists()
    if same and options.fix.samefile(options.files[0]):
        raise _Problem("--fix: OUT is the FILE itself; the recording would be lost")


def _config(option: str) -> Config:
    path = find_config(option, Path.cwd())
    return Config() if path is None else check_document(read_document(path), rules_by_code())


def _selection(options: argparse.Namespace, config: Config) -> Selection:
    select = _codes(options.select, "--select")
    ignore = _codes(options.ignore, "--ignore")
    if options.secrets:
        return Selection(select, ignore)
    check = config.check
    selection = Selection(
        select or check.select,
        ignore + check.ignore,
        check.ignore_in_files,
        check.ignore_from_hosts,
        check.select_in_files,
        check.select_from_hosts,
    )
    return replace(selection, select_in_files={}, select_from_hosts={}) if select else selection


def _codes(values: Sequence[str], option: str) -> tuple[str, ...]:
    """Return the codes and prefixes in the values of an option."""
    codes = tuple(code for value in values for code in value.replace(",", " ").split())
    known = [*rules_by_code(), *(rule.code for rule in SECRET_RULES)]
    for code in codes:
        if not any(name.startswith(code) for name in known):
            raise _Problem(f"{option}: {_unknown(code, known)}")
    return codes


# Running


def _checked(program: str, options: argparse.Namespace, run: Run) -> int:
    line = ProgressLine(sys.stderr) if sys.stderr.isatty() else None
    if line is not None:
        run = replace(run, progress=line.update)
    names, before = list(options.files), 0
    with ExitStack() as stack:
        out = sys.stdout if options.output_file is None else _opened(options.output_file, stack)
        if options.fix is not None:
            try:
                before = fix(run, names[0], options.fix)
            except UnusableRecording as reason:
                raise _Problem(f"{printable(names[0])}: {reason}") from None
            names = [str(options.fix)]
        totals = _report(program, options, run, names, out, line)
    if options.fix is not None:
        left = totals.problems.total()
        print(
            f"Fixed {max(0, before - left):,} of {counted(before, 'problem')}: {options.fix}",
            file=sys.stderr,
        )
        if cut := totals.problems[ERROR_MID_STREAM.code]:
            print(
                f"{counted(cut, 'incomplete stream')} in it: the rest is unknown, so each ends in "
                f"the error of its protocol ({ERROR_MID_STREAM.code})",
                file=sys.stderr,
            )
    if totals.unusable:
        return 2
    return 1 if totals.problems and not options.exit_zero else 0


def _opened(path: Path, stack: ExitStack) -> TextIO:
    try:
        return stack.enter_context(path.open("w", encoding="utf-8", errors="backslashreplace"))
    except OSError as reason:
        raise _Problem(f"--output-file: {path}: {(reason.strerror or '').lower()}") from None


def _report(
    program: str,
    options: argparse.Namespace,
    run: Run,
    names: Sequence[str],
    out: TextIO,
    line: ProgressLine | None,
) -> Totals:
    """Write the report; return the totals."""
    report = FORMATS[options.output_format](os.environ)
    totals, shows_places = Totals(), not options.statistics

    def write(text: str) -> None:
        if text:
            if line is not None:
                line.clear()
            out.write(text)

    def warn(text: str) -> None:
        if line is not None:
            line.clear()
        out.flush()
        print(f"{program}: {text}", file=sys.stderr)

    if shows_places:
        write(report.start())
    for checked in run.check(names):
        match checked:
            case CheckedFlow():
                totals.add(checked)
                if shows_places:
                    write(report.add(checked))
            case Unusable(file, reason):
                totals.unusable += 1
                warn(f"{printable(file)}: {reason}")
                if shows_places:
                    write(report.add_unusable(checked))
    if shows_places:
        write(report.end(totals))
    else:
        known = {**rules_by_code(), **{rule.code: rule for rule in SECRET_RULES}}
        write(statistics(totals, {code: rule.name for code, rule in known.items()}))
        write(summary(totals) + "\n")
    for note, count in totals.notes.items():
        warn(f"note: {counted(count, 'call')}: {printable(note)}")
    if not totals.calls and not totals.unusable:
        warn("warning: nothing to check: the files contain no call to a model")
    if line is not None:
        line.clear()
    return totals
