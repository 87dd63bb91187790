"""The command line of `scripts/test --recordings`."""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from .exceptions import UnusableExceptions, read_exceptions
from .exchanges import UnusableRecordings, read_exchanges
from .laws import check
from .report import Checked, as_exceptions, lines_of, report_on

VARIABLE = "WIREMEND_RECORDINGS"
EXCEPTIONS = Path(__file__).with_name("exceptions.toml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the laws and print the report; return the exit status.

    0: they hold, 1: something is changed without a reason, or an exception is unused,
    2: the recordings or the exceptions cannot be read.
    """
    options = _parser().parse_args(arguments)
    path = options.path or os.environ.get(VARIABLE)
    if not path:
        print(f"scripts/test: --recordings needs a PATH, or {VARIABLE}", file=sys.stderr)
        return 2
    try:
        exceptions = read_exceptions(options.exceptions)
        checked = check_all(Path(path), quick=options.quick)
    except (UnusableExceptions, UnusableRecordings) as reason:
        print(f"scripts/test: {reason}", file=sys.stderr)
        return 2
    report = report_on(checked, exceptions, quick=options.quick)
    print("\n".join(lines_of(report)))
    if options.write:
        options.write.write_text(as_exceptions(report.unexplained))
    return 0 if report.is_good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/test --recordings",
        description="Check the laws of the proxy on recorded exchanges.",
    )
    parser.add_argument(
        "path",
        nargs="?",
        help=f"recorded exchanges, JSON lines, .xz or not (default: ${VARIABLE})",
    )
    parser.add_argument("--quick", action="store_true", help="cut each answer in fewer places")
    parser.add_argument(
        "--exceptions", type=Path, default=EXCEPTIONS, help="a file like exceptions.toml"
    )
    parser.add_argument(
        "--write", type=Path, help="write entries for what has no reason yet to this file"
    )
    return parser


def check_all(path: Path, *, quick: bool) -> list[Checked]:
    """The verdicts on all exchanges of a file, in its order. Raises UnusableRecordings."""
    for _ in read_exchanges(path):
        pass  # a damaged file is reported before the work starts
    shares = os.cpu_count() or 1
    check_share = partial(_check_share, path, shares=shares, quick=quick)
    with ProcessPoolExecutor(shares) as pool:
        checked = [one for share in pool.map(check_share, range(shares)) for one in share]
    return sorted(checked, key=lambda one: one.line)


def _check_share(path: Path, share: int, *, shares: int, quick: bool) -> list[Checked]:
    return [
        Checked(
            exchange.line,
            exchange.id,
            exchange.source,
            exchange.protocol,
            exchange.host,
            tuple(check(exchange, quick=quick)),
        )
        for exchange in read_exchanges(path, share=share, shares=shares)
    ]


if __name__ == "__main__":
    sys.exit(main())
