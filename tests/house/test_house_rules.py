"""Checks that ruff does not have: import layers, declared dependencies, file names."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from wiremend.requirements import TESTED_VERSIONS

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "addons" / "wiremend"
SHELLS = sorted((ROOT / "addons").glob("*.py"))
MODULES = sorted(LIBRARY.rglob("*.py"))

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"value_class"}),
    frozenset({"text", "requirements"}),
    frozenset({"environment_check"}),
    frozenset({"rules"}),
    frozenset({"protocols/base"}),
    frozenset({"targets", "clients", "secrets", "identities", "call_record", "held_memory"}),
    frozenset({"body_secrets"}),
    frozenset(
        {
            "protocols/anthropic",
            "protocols/chat",
            "protocols/responses",
            "protocols/gemini",
        }
    ),
    frozenset({"protocols"}),
    frozenset({"repair", "adapt", "translate"}),
    frozenset({"routing"}),
    frozenset({"engine"}),
    frozenset({"faults"}),
    frozenset({"seam"}),
    frozenset({"views", "recording"}),
    frozenset({"catalogue", "check", "config", "launch", "testing"}),
    frozenset({"__main__"}),
)
"""From bottom to top. A part may import lower layers, but no other part of its own layer."""
ALL_PARTS = frozenset[str]().union(*LAYERS)
BESIDE_THE_SHELLS = {"catalogue", "check", "config", "launch", "testing"}
"""These parts share a layer and may import each other."""
MAY_IMPORT_MITMPROXY = {"seam", "views", "recording"}
PURE_VIEWS = LIBRARY / "views" / "content"
"""The text of views is built without mitmproxy."""
INSIDE_PROXY = LIBRARY / "testing" / "inside_proxy"
"""The scripts of mitmproxy that the pytest plugin loads."""
MAY_IMPORT_IO = {"launch", "testing"}
"""They start and monitor processes, so they need sockets, signals and threads."""
IO_MODULES = {
    "mitmproxy",
    "asyncio",
    "logging",
    "random",
    "socket",
    "subprocess",
    "threading",
    "time",
}
"""I/O, time and randomness; without them, the core is deterministic in tests."""


def imports(source: str) -> Iterator[str]:
    """Return the dotted names that `source` imports; `from a import b` yields `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str:
    """Return the part of the library that contains a module: `wiremend.engine.retry` → `engine`."""
    _, *names = module.split(".")
    if names[:1] == ["protocols"] and names[1:2] and f"protocols/{names[1]}" in ALL_PARTS:
        return f"protocols/{names[1]}"
    return names[0] if names else ""


def layer_of(part: str) -> int:
    return next(level for level, parts in enumerate(LAYERS) if part in parts)


def name_of(path: Path) -> str:
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import time", ["time"]),
        ("import wiremend.rules.rule as f, os", ["wiremend.rules.rule", "os"]),
        ("from wiremend import rules, text", ["wiremend.rules", "wiremend.text"]),
        ("from wiremend.protocols import gemini", ["wiremend.protocols.gemini"]),
        ("def later():\n    from time import sleep", ["time.sleep"]),
        ("from . import sse", ["..sse"]),
        ("from ..engine import plan", ["..engine.plan"]),
    ],
)
def test_every_form_of_an_import_is_found(source: str, expected: list[str]) -> None:
    assert list(imports(source)) == expected


each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY))
)


@each_module
def test_modules_import_only_lower_layers(path: Path) -> None:
    part = part_of(name_of(path))
    for name in imports(path.read_text()):
        assert not name.startswith("."), "a relative import"
        imported = part_of(name) if name.startswith("wiremend.") else part
        if imported == part or not part or {part, imported} <= BESIDE_THE_SHELLS:
            continue
        assert layer_of(imported) < layer_of(part), f"{part} imports {name}"


def test_every_module_belongs_to_a_layer() -> None:
    parts = {part_of(name_of(path)) for path in MODULES}
    assert parts - {""} <= ALL_PARTS


def test_no_folder_has_more_than_twenty_modules() -> None:
    modules = [*MODULES, *(ROOT / "tests").rglob("*.py")]
    counts = Counter(path.parent for path in modules if path.name != "__init__.py")
    assert max(counts.values()) <= 20


@each_module
def test_the_core_imports_neither_mitmproxy_nor_io(path: Path) -> None:
    is_pure_view = path.is_relative_to(PURE_VIEWS)
    if part_of(name_of(path)) in MAY_IMPORT_MITMPROXY and not is_pure_view:
        return
    if path.is_relative_to(INSIDE_PROXY):
        return
    imported = {name.split(".")[0] for name in imports(path.read_text())}
    forbidden = {"mitmproxy"} if part_of(name_of(path)) in MAY_IMPORT_IO else IO_MODULES
    assert not imported & forbidden


MAY_USE_REGULAR_EXPRESSIONS = {"text", "catalogue", "config", "launch", "testing", "__main__"}
"""Formats of bytes, in linear patterns; and text of the user and of wiremend itself."""


@each_module
def test_patterns_are_applied_to_foreign_text_through_one_module(path: Path) -> None:
    """`wiremend.text.patterns` bounds the text; tests/complexity attacks all patterns."""
    if part_of(name_of(path)) not in MAY_USE_REGULAR_EXPRESSIONS:
        assert "re" not in {name.split(".")[0] for name in imports(path.read_text())}


QUADRATIC_CALLS = {("pop", 0), ("insert", 0)}


@each_module
def test_lists_are_not_shifted(path: Path) -> None:
    """`list.pop(0)` moves all other items; a deque does not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            assert (node.func.attr, node.args[0].value) not in QUADRATIC_CALLS, node.lineno


def dependencies() -> dict[str, Requirement]:
    """Return the dependencies in pyproject.toml by normalised name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = map(Requirement, project["dependencies"])
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def test_every_imported_package_is_a_declared_dependency() -> None:
    """Transitive dependencies can disappear: mitmproxy 12.3 no longer requires zstandard."""
    own = {path.stem for path in SHELLS} | {"wiremend"}
    own.add("pytest")  # imported by the pytest plugin alone, which only pytest imports
    imported = {
        name.split(".")[0] for path in [*SHELLS, *MODULES] for name in imports(path.read_text())
    }
    external = imported - own - set(sys.stdlib_module_names) - EXTRAS.keys()
    distributions = packages_distributions()
    needed = {canonicalize_name(distributions[name][0]) for name in external}
    assert needed == set(dependencies())


EXTRAS = {"prometheus_client": "prometheus-client", "opentelemetry": "opentelemetry-sdk"}
"""Packages that an option needs, and the distributions in `optional-dependencies`."""


def test_extras_are_declared_and_never_imported_with_a_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = project["optional-dependencies"].values()
    declared = {canonicalize_name(Requirement(text).name) for names in lists for text in names}
    assert set(EXTRAS.values()) <= declared
    for path in [*SHELLS, *MODULES]:
        top = ast.parse(path.read_text()).body
        statements = "\n".join(ast.unparse(node) for node in top if isinstance(node, _IMPORT))
        assert not {name.split(".")[0] for name in imports(statements)} & EXTRAS.keys(), path


_IMPORT = (ast.Import, ast.ImportFrom)


def test_the_allowed_mitmproxy_versions_are_the_tested_ones() -> None:
    allowed = dependencies()["mitmproxy"].specifier
    versions = [f"{major}.{minor}" for major in range(11, 14) for minor in range(12)]
    assert tuple(v for v in versions if allowed.contains(f"{v}.1")) == TESTED_VERSIONS


def test_no_shell_shadows_a_standard_module() -> None:
    names = {path.stem for path in SHELLS} | {"wiremend"}
    assert not names & set(sys.stdlib_module_names)


def test_each_shell_defines_exactly_one_class() -> None:
    for path in SHELLS:
        if path.stem in ("__main__", "load_configuration"):
            continue
        classes = [
            node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)
        ]
        assert len(classes) == 1, path.name


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_has_a_meaningless_name() -> None:
    meaningless = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert not [path for path in tracked() if path.stem in meaningless]


def test_the_top_level_contains_only_the_allowed_names() -> None:
    allowed = {
        "addons",
        "tests",
        "scripts",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
    }
    top = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_the_files_that_the_guide_names_exist() -> None:
    guide = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    assert len(guide.splitlines()) <= 200
    for name in re.findall(r"`([\w./]+(?:/|\.py|\.md|\.sse))`", guide):
        places = (ROOT / name, LIBRARY / name, ROOT / "addons" / name)
        # `grammar.py` and the like: a file of each protocol's package
        assert any(place.exists() for place in places) or list(LIBRARY.rglob(name)), name


def rows_of_the_guide(head: str) -> list[str]:
    """Return the first cells of a table of the guide."""
    guide = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    table = guide.partition(head)[2].partition("\n\n")[0]
    assert table
    return re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)


def test_the_guide_lists_the_packages_from_the_bottom_to_the_top() -> None:
    rows = rows_of_the_guide("| package |")
    listed = [name.removesuffix(".py") for row in rows for name in re.findall(r"`([^`]+?)/?`", row)]
    layers = [layer_of(part.replace("<name>", "gemini")) for part in listed]
    assert layers == sorted(layers)
    top = {path.name for path in LIBRARY.iterdir() if (path / "__init__.py").exists()}
    assert top <= {part.split("/")[0] for part in listed}


def test_the_guide_lists_every_folder_of_tests() -> None:
    rows = rows_of_the_guide("| part of `tests/` |")
    listed = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in tracked_tests()}
    assert folders <= set(listed)


def tracked_tests() -> list[Path]:
    tests = [path for path in tracked() if path.is_relative_to(ROOT / "tests")]
    return [path for path in tests if len(path.relative_to(ROOT / "tests").parts) > 1]


def test_no_file_names_a_package_registry() -> None:
    hosts = [b"pypi" + b".org", b"pythonhosted" + b".org", b"registry.npmjs" + b".org/"]
    for path in tracked():
        if path.is_file() and path.suffix not in (".sse",):
            data = path.read_bytes()
            assert not [host for host in hosts if host in data], path
