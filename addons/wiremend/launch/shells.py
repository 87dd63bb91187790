"""Locating the shells, the files for `mitmdump -s`, in a checkout and in an installed wheel."""

import argparse
from pathlib import Path

_LIBRARY = Path(__file__).resolve().parents[1]
_IN_WHEEL = _LIBRARY / "_addons"
"""The shells import each other by plain names, so their folder contains no other modules."""


def main(program: str, arguments: list[str]) -> int:
    """Run the command `addons`: print the directory of the shells. Return the exit status.

    `program` is the name of the command in messages.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Print the directory of the addons.",
        epilog=f'example: mitmdump -s "$({program})"',
        allow_abbrev=False,
    )
    parser.parse_args(arguments)
    print(shells_directory())
    return 0


def shells_directory() -> Path:
    """Return the directory that contains `__main__.py` and the other shells."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else _LIBRARY.parent


def checkout_file(name: str) -> Path | None:
    """Return the path of a file in the checkout.

    `name` is relative to the checkout. Return None in an installed wheel, and for a missing file.
    """
    if _IN_WHEEL.is_dir():
        return None
    file = _LIBRARY.parents[1] / name
    return file if file.is_file() else None
