"""The command line of `scripts/bench`, which prints the help."""

import argparse
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import orjson

from benchmarks import contenders, machine, peers, summary, table
from benchmarks.bench import SCHEMES, Bench, Place, Plan
from benchmarks.contenders import Contender
from benchmarks.metrics import Cell
from benchmarks.processes import BenchError
from benchmarks.workloads import Workload, all_workloads

_ROUNDS = 5
_QUICK_ROUNDS = 2


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line. Exits with status 2 if it is invalid."""
    parser = argparse.ArgumentParser(prog="scripts/bench", add_help=False, allow_abbrev=False)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--workload", action="append", choices=list(all_workloads()))
    parser.add_argument("--scheme", choices=SCHEMES)
    parser.add_argument("--only", type=_names)
    parser.add_argument("--peers", type=_names, default=[])
    variant = parser.add_mutually_exclusive_group()
    variant.add_argument("--floor-script", type=Path)
    variant.add_argument("--floor-program", type=shlex.split)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--install-peers", action="store_true")
    chosen = parser.parse_args(words)
    if chosen.rounds is not None and chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    if unknown := set(chosen.peers) - set(peers.all_peers()):
        parser.error(f"--peers: unknown: {', '.join(sorted(unknown))}")
    return chosen


def chosen_workloads(chosen: argparse.Namespace) -> list[Workload]:
    """Return the workloads to run, in the order of the table."""
    workloads = [
        workload
        for name, workload in all_workloads().items()
        if not chosen.workload or name in chosen.workload
    ]
    return [workload.quick() for workload in workloads] if chosen.quick else workloads


def chosen_contenders(chosen: argparse.Namespace) -> list[Contender]:
    """Return the contenders to compare. Raises BenchError if one is unknown or not installed."""
    found = [
        contenders.direct(),
        contenders.floor(),
        contenders.wiremend(),
        contenders.translating(),
        contenders.floor(contenders.AGAIN),
    ]
    if chosen.floor_script:
        found.append(contenders.floor_with_script(chosen.floor_script))
    if chosen.floor_program:
        found.append(contenders.floor_with_program(chosen.floor_program))
    known = peers.all_peers()
    found += [peers.installed_contender(known[name]) for name in chosen.peers]
    if not chosen.only:
        return found
    wanted = {contenders.FLOOR, *chosen.only}
    if unknown := wanted - {contender.name for contender in found}:
        raise BenchError(f"no such contender: {', '.join(sorted(unknown))}")
    return [contender for contender in found if contender.name in wanted]


def main(words: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    chosen = arguments(words)
    if chosen.list:
        for workload in all_workloads().values():
            print(f"{workload.name:<18}{workload.summary}")
        return 0
    if not sys.platform.startswith("linux"):
        raise BenchError("the bench reads CPU times from /proc and runs on Linux only")
    if chosen.install_peers:
        for name, peer in peers.all_peers().items():
            if not chosen.peers or name in chosen.peers:
                peers.install(peer)
        return 0
    plan = Plan(
        [chosen.scheme] if chosen.scheme else SCHEMES,
        chosen_workloads(chosen),
        chosen_contenders(chosen),
        chosen.rounds or (_QUICK_ROUNDS if chosen.quick else _ROUNDS),
    )
    return _run(plan, chosen.json)


def _run(plan: Plan, json_file: Path | None) -> int:
    """Measure, and report what was measured, even if the run is interrupted."""
    progress = _Progress(plan.cells)
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory(prefix="wiremend-bench-") as name:
        try:
            with Bench(plan, Path(name), progress.show) as bench:
                for cell in bench.cells():
                    cells.append(cell)
        finally:
            progress.clear()
            if cells:
                _report(plan, cells, json_file)
    own = {
        *(contenders.DIRECT, contenders.FLOOR, contenders.AGAIN),
        *(contenders.WIREMEND, contenders.TRANSLATING),
    }
    return int(any(cell.problem and cell.contender in own for cell in cells))


def _report(plan: Plan, cells: Sequence[Cell], json_file: Path | None) -> None:
    description = {
        **machine.description(),
        "rounds": str(plan.rounds),
        "command": shlex.join(["scripts/bench", *sys.argv[1:]]),
    }
    rows = summary.rows(cells, plan.workloads)
    conditions = summary.conditions(cells)
    if json_file:
        content = {"machine": description, "cells": cells, "rows": rows, "conditions": conditions}
        json_file.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    report = table.markdown(rows, conditions, cells, plan.contenders, plan.workloads, description)
    print(report, end="", flush=True)


class _Progress:
    """A line on the terminal; nothing elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = time.monotonic()
        self._shown = sys.stderr.isatty()

    def show(self, place: Place, made: int) -> None:
        """Show which measurement is made, and how long the rest will take."""
        passed = time.monotonic() - self._started
        left = f", {passed / made * (self._total - made) / 60:.0f} min left" if made else ""
        self._print(
            f"{made + 1}/{self._total}{left}: {place.scheme}, round {place.round + 1}, "
            f"{place.workload.name}, {place.contender.name}"
        )

    def clear(self) -> None:
        """Remove the line."""
        self._print("")

    def _print(self, text: str) -> None:
        if self._shown:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    try:
        status = main(sys.argv[1:])
    except BenchError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
