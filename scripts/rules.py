"""`scripts/rules`: writes the generated pages, adds a rule, accepts results of the corpus."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("addons", "tests", "scripts")]

import rules_page  # noqa: E402
import translation_page  # noqa: E402
from accept_results import accept  # noqa: E402 - found by the line above
from new_rule import NewRule, Refused, add_rule  # noqa: E402
from wiremend.catalogue import catalogue  # noqa: E402
from wiremend.protocols.base.names import valid_names  # noqa: E402

_PAGES = (rules_page, translation_page)


def main() -> int:
    """Run the command of the command line; return the exit status."""
    arguments = _parser().parse_args()
    if arguments.command == "new":
        return _new(arguments)
    if arguments.command == "accept":
        return accept(arguments.paths)
    return _check_pages() if arguments.check else _write_pages()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/rules")
    parser.add_argument("--check", action="store_true", help="exit 1 if a page is not current")
    commands = parser.add_subparsers(dest="command", metavar="new | accept")
    new = commands.add_parser(
        "new",
        help="add the constant and the corpus stub of a new rule",
        description="Adds a rule: its constant, in code order at the top of the module that will "
        "implement it, and an empty stream in the corpus if the rule is about streams. Prints what "
        "remains to be done.",
    )
    new.add_argument("code", metavar="CODE", help="a letter for the family and three digits: S126")
    new.add_argument("protocol", metavar="PROTOCOL", help=f"{valid_names()}, or all")
    new.add_argument("name", metavar="NAME", help="in kebab case: stop-reason-missing")
    new.add_argument(
        "--module",
        metavar="MODULE",
        help="the module that will implement it: a path in addons/wiremend, or a name in the "
        "folder of the default module, which follows from the code",
    )
    accept = commands.add_parser(
        "accept",
        help="write the results of broken corpus streams",
        description="Runs streams of tests/corpus/*/broken and writes NAME.mended.sse and "
        "NAME.findings where they are missing or differ, for review as a diff. A result that the "
        "grammar rejects, that changes when it is repaired again, or that depends on how the bytes "
        "are chunked, is refused.",
    )
    accept.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        type=Path,
        help="streams or folders; without any, all broken streams",
    )
    return parser


def _new(arguments: argparse.Namespace) -> int:
    try:
        rule = NewRule.parse(arguments.code, arguments.protocol, arguments.name, arguments.module)
        print(add_rule(rule))
    except Refused as refused:
        print(f"scripts/rules new: {refused}", file=sys.stderr)
        return 2
    return 0


def _write_pages() -> int:
    for page in _PAGES:
        page.PAGE.write_text(page.page())
    print(f"addons/RULES.md: {len(catalogue())} rules")
    return 0


def _check_pages() -> int:
    status = 0
    for page in _PAGES:
        if not page.PAGE.exists() or page.PAGE.read_bytes() != page.page().encode():
            name = page.PAGE.relative_to(ROOT).as_posix()
            print(f"{name} is not current: run scripts/rules", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
