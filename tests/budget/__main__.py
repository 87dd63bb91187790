"""The command line of `scripts/budget`."""

import argparse
import gc
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from . import addons  # isort: skip - before any other import of wiremend
from .budget_file import read_budget, write_budget
from .counting import MEMORY, Counted, Counts
from .paths import count_all
from .report import problems, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Count the paths; return the exit status: 1 if they do not agree with the budget."""
    options = _parser().parse_args(arguments)
    assert addons  # loaded first
    gc.freeze()  # collections between the counts then have little to do
    counted = dict(count_all(options.only))
    if options.json:
        # `asdict` on the whole would damage the counters.
        found = {name: {**vars(one), "counts": asdict(one.counts)} for name, one in counted.items()}
        json.dump(found, sys.stdout)
        return 0
    allowed = read_budget().of(options.only)
    print("\n".join(table(counted, allowed, options.functions)))
    if options.command == "accept":
        if options.only:
            print("scripts/budget: accept writes all paths; leave out --only", file=sys.stderr)
            return 2
        write_budget({name: one.counts for name, one in counted.items()})
        return 0
    differing = list(problems(counted, allowed, MEMORY if options.only else ()))
    if differing:
        print("\n".join(["", *differing]))
        print("`scripts/budget accept` writes these counts as the new budget.")
    return 1 if differing else 0


def counted_from(text: str) -> dict[str, Counted]:
    """Return the counts that another process printed with `--json`."""
    return {
        name: Counted(
            Counts(**one["counts"]), Counter(one["instructions"]), Counter(one["c_bytes"])
        )
        for name, one in json.loads(text).items()
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/budget",
        description="Counts the work on the hot paths (instructions, calls, bytes, memory) and "
        "compares it with tests/budget/budget.toml.",
    )
    parser.add_argument(
        "command", nargs="?", choices=["check", "accept"], default="check", help="default: check"
    )
    parser.add_argument(
        "--functions", type=int, default=0, metavar="N", help="list the N most expensive functions"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="paths with TEXT in the name")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
