"""`scripts/configuration`: write addons/CONFIGURATION.md and FAULTS.md from docstrings."""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "addons"))

from wiremend.config.fault_page import render_fault_page  # noqa: E402
from wiremend.config.page import Option, all_keys, render_page  # noqa: E402 - found by the line above

TYPES: Mapping[str, Any] = {"bool": bool, "int": int, "str": str, "Sequence[str]": tuple[str, ...]}
PAGE = ROOT / "addons" / "CONFIGURATION.md"
FAULT_PAGE = ROOT / "addons" / "FAULTS.md"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())
    FAULT_PAGE.write_text(render_fault_page())
    print(f"addons/CONFIGURATION.md: {len(all_keys())} keys")


def page() -> str:
    """Return the page, with the options that the shells declare."""
    return render_page(options())


def options() -> list[Option]:
    """Return the options that the `load` hooks of the shells add to mitmproxy.

    They are read from the source: calling `load` would change mitmproxy in this process. The
    option of `record_traffic`, which only scripts/record sets, is left out.
    """
    return [
        option
        for path in sorted((ROOT / "addons").glob("*.py"))
        for option in _options_in(path.read_text())
        if option.name.startswith("wiremend_")
    ]


def _options_in(source: str) -> Iterator[Option]:
    """Yield the arguments of every `add_option(name, type, default, help)`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_option"):
            name, kind, default, text = node.args
            values = map(ast.literal_eval, (name, default, text))
            yield Option(next(values), TYPES[ast.unparse(kind)], next(values), next(values))


if __name__ == "__main__":
    main()
