"""Where the shells, the files for `mitmdump -s`, are: in a checkout, and in an installed wheel."""

import argparse
from pathlib import Path

_LIBRARY = Path(__file__).resolve().parents[1]
_IN_WHEEL = _LIBRARY / "_addons"
"""The shells import each other by plain names, so they have a folder without other modules."""


def main(program: str, arguments: list[str]) -> int:
    """The command `addons`: print the directory of the shells, for `mitmdump -s`."""
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
    """The directory with `__main__.py` and the other shells."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else _LIBRARY.parent


def checkout_file(name: str) -> Path | None:
    """A file of the checkout, by its path in it; None in an installed wheel or if it is missing."""
    if _IN_WHEEL.is_dir():
        return None
    file = _LIBRARY.parents[1] / name
    return file if file.is_file() else None
