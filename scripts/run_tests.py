"""The tiers of `scripts/test`: runs the parts of a tier and prints a summary of them."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = "WIREMEND_RECORDINGS"
PYTEST = (sys.executable, "-m", "pytest")
NOTHING_SELECTED = 5
"""The exit status of pytest if it ran no test."""


class Outcome(Enum):
    """How a part ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Part:
    """A command of a tier, or the reason why it cannot run here."""

    name: str
    command: tuple[str, ...]
    why_skipped: str = ""


@dataclass(frozen=True)
class Result:
    """How a part ended, and how long it took."""

    part: Part
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""

    def __str__(self) -> str:
        if self.outcome is Outcome.SKIPPED:
            return f"{self.part.name:22} skipped: {self.reason}"
        return f"{self.part.name:22} {self.outcome.value} {self.seconds:6.0f} s"


def workers() -> tuple[str, ...]:
    """Return the options of pytest-xdist: a file is run by one worker, one per core, at most 4."""
    return ("-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile")


def marked(mark: str) -> tuple[str, ...]:
    """Return the command for the tests with a mark, without workers."""
    return (*PYTEST, "-m", mark)


CHECKS = Part("code checks", ("scripts/check-code",))
OLDER = Part("seam, mitmproxy 12.2", ("scripts/test", "--mitmproxy", "12.2", "-q"))


def short_tier() -> list[list[Part]]:
    """Return the parts of `scripts/test`; those of an inner list run at the same time."""
    return [[CHECKS, OLDER], [Part("core, seam, traffic", (*PYTEST, *workers()))]]


def whole_tier(recordings: str) -> list[list[Part]]:
    """Return the parts of `scripts/test --all`; `recordings` is a path, or empty."""
    every_row = ("-m", "not (agents or chromium or complexity)")
    laws = ("tests/laws", "tests/fuzzing", "--hypothesis-profile=thorough", "-m", "")
    return [
        [CHECKS, OLDER],
        [Part("core, seam, traffic", (*PYTEST, *workers(), *every_row))],
        [Part("laws, more examples", (*PYTEST, *workers(), "--dist", "load", *laws))],
        [Part("complexity", marked("complexity"))],
        [Part("Chromium", marked("chromium"), why_no_chromium())],
        [Part("agents", marked("agents"), why_no_agents())],
        [
            Part(
                "recordings",
                ("scripts/test", "--recordings", recordings),
                "" if recordings else f"no path was given, and {RECORDINGS} is not set",
            )
        ],
    ]


def why_no_chromium() -> str:
    """Return why tests with Chromium cannot run; empty if they can."""
    names = ("chromium", "chromium-browser")
    return "" if any(map(shutil.which, names)) else "no Chromium is installed"


def why_no_agents() -> str:
    """Return why tests with agents cannot run; empty if they can."""
    missing = [name for name in ("node", "npm") if not shutil.which(name)]
    return f"{' and '.join(missing)} not found; they need Node.js 20 or newer" if missing else ""


def run_parts(tier: Iterable[Sequence[Part]]) -> Iterator[Result]:
    """Run the parts; those of one inner sequence run at the same time."""
    for parts in tier:
        with ThreadPoolExecutor(len(parts)) as threads:
            yield from threads.map(partial(run_part, alone=len(parts) == 1), parts)


def run_part(part: Part, *, alone: bool = True) -> Result:
    """Run one part. The output of one that does not run alone is printed when it has ended."""
    if part.why_skipped:
        return Result(part, Outcome.SKIPPED, reason=part.why_skipped)
    start = time.monotonic()
    if alone:
        print(f"\n-- {part.name}", flush=True)
        status = subprocess.run(part.command, cwd=ROOT).returncode
    else:
        done = subprocess.run(
            part.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        status = done.returncode
        print(f"\n-- {part.name}\n{done.stdout}", end="", flush=True)
    seconds = time.monotonic() - start
    if status == NOTHING_SELECTED and "pytest" in part.command:
        return Result(part, Outcome.SKIPPED, seconds, "there is no such test")
    return Result(part, Outcome.FAILED if status else Outcome.PASSED, seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a tier and print the summary; return 1 if a part failed."""
    parser = argparse.ArgumentParser(prog="scripts/test", add_help=False)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("recordings", nargs="?", default=os.environ.get(RECORDINGS, ""))
    options = parser.parse_args(arguments)
    if options.recordings and not Path(options.recordings).is_file():
        # Recordings are the last part, an hour after the start.
        print(f"scripts/test: there is no file {options.recordings}", file=sys.stderr)
        return 2
    start = time.monotonic()
    results = list(run_parts(whole_tier(options.recordings) if options.all else short_tier()))
    print(f"\n{'scripts/test --all' if options.all else 'scripts/test'}")
    print(*results, sep="\n")
    print(f"{'together':22}        {time.monotonic() - start:6.0f} s")
    return int(any(result.outcome is Outcome.FAILED for result in results))


if __name__ == "__main__":
    sys.exit(main())
