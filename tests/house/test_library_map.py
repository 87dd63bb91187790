"""The map of the library, the docstring of `wiremend/__init__.py`: it must match the files."""

import re
from pathlib import Path

import wiremend

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "addons" / "wiremend"
MAP = wiremend.__doc__ or ""


def test_the_map_lists_every_package_and_top_level_module() -> None:
    listed = set(re.findall(r"^    ([\w/]+?)(?:/|\.py) ", MAP, re.MULTILINE))
    modules = {path.relative_to(LIBRARY).parts[0] for path in LIBRARY.rglob("*.py")}
    assert {name.removesuffix(".py") for name in modules} - {"__init__"} <= listed


def test_every_file_on_the_map_exists() -> None:
    files = set(re.findall(r"\b(?:\w+/)+\w+\.py\b", MAP)) - {"targets/X.py"}
    assert len(files) > 20
    assert not [name for name in files if not any((d / name).is_file() for d in (LIBRARY, ROOT))]
