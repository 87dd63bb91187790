"""`scripts/rules`: the page, new rules and accepted results, in a copy of the checkout."""

import ast
import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
BROKEN = "tests/corpus/anthropic_messages/broken"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the script reads and writes."""
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("addons/wiremend", "scripts", "tests/corpus"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for file in (
        "addons/RULES.md",
        "addons/TRANSLATION.md",
        "tests/corpus_streams.py",
        "pyproject.toml",
    ):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def rules(checkout: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "scripts/rules.py", *arguments],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=120,
    )


def contents(checkout: Path) -> dict[str, bytes]:
    files = (path for path in checkout.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(checkout)): path.read_bytes() for path in files}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.fixture(scope="module")
def new_rule() -> ModuleType:
    """scripts/new_rule.py."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return importlib.import_module("new_rule")
    finally:
        sys.path.remove(str(ROOT / "scripts"))


# The page


@pytest.mark.long
@pytest.mark.parametrize("name", ["RULES.md", "TRANSLATION.md"])
def test_the_pages_are_checked_and_written(checkout: Path, name: str) -> None:
    page = checkout / "addons" / name
    current = page.read_bytes()
    done = rules(checkout, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    page.write_bytes(current + b"More.\n")
    done = rules(checkout, "--check")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"addons/{name} is not current: run scripts/rules\n"
    assert page.read_bytes() != current
    done = rules(checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert page.read_bytes() == current


@pytest.mark.long
def test_a_page_that_is_missing_is_not_current(checkout: Path) -> None:
    (checkout / "addons" / "RULES.md").unlink()
    assert rules(checkout, "--check").returncode == 1


# New rules


@pytest.mark.long
def test_a_new_rule_gets_its_constant_in_code_order_and_a_stub(checkout: Path) -> None:
    before = contents(checkout)
    done = rules(checkout, "new", "S140", "anthropic", "made-up", "--module", "blocks")
    assert (done.returncode, done.stderr) == (0, "")
    module = "addons/wiremend/protocols/anthropic/blocks.py"
    stub = f"{BROKEN}/made-up.sse"
    assert changed(before, contents(checkout)) == {module, stub}
    source = (checkout / module).read_text()
    rest = source.replace(source[source.index("MADE_UP = ") : source.index("\nPROMOTED")], "")
    assert rest == before[module].decode()
    assert source.index('code="S122"') < source.index('code="S140"')
    for step in (module, stub, "grammar.py", f"scripts/rules accept {stub}", "CHANGELOG.md"):
        assert step in done.stdout
    lint = [sys.executable, "-m", "ruff", "check", "--quiet", module]
    assert subprocess.run(lint, cwd=checkout, check=False).returncode == 0
    layout = [sys.executable, "-m", "ruff", "format", "--check", "--quiet", module]
    assert subprocess.run(layout, cwd=checkout, check=False).returncode == 0
    again = rules(checkout, "new", "S140", "anthropic", "another-name")
    assert again.stderr == "scripts/rules new: S140 is made-up; the next free code is S141\n"


@pytest.mark.long
def test_a_stub_is_not_accepted_as_a_stream(checkout: Path) -> None:
    rules(checkout, "new", "S140", "anthropic", "made-up")
    before = contents(checkout)
    done = rules(checkout, "accept", f"{BROKEN}/made-up.sse")
    assert done.returncode == 1
    assert "made-up.sse has no stream yet" in done.stderr
    assert contents(checkout) == before


@pytest.mark.long
def test_a_rule_that_is_refused_changes_nothing(checkout: Path) -> None:
    before = contents(checkout)
    done = rules(checkout, "new", "S105", "anthropic", "made-up")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "scripts/rules new: S105 is block-index; the next free code is S1"
    )
    assert contents(checkout) == before
    (checkout / BROKEN / "made-up.sse").write_text("data: {}\n\n")
    before = contents(checkout)
    done = rules(checkout, "new", "S140", "anthropic", "made-up")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{BROKEN}/made-up.sse exists" in done.stderr
    assert contents(checkout) == before


@pytest.mark.first_row
@pytest.mark.parametrize(
    ("code", "protocol", "name", "module", "reason"),
    [
        ("S1", "anthropic", "made-up", None, "three digits as the code, got 'S1'"),
        ("s130", "anthropic", "made-up", None, "three digits as the code, got 's130'"),
        ("Z130", "anthropic", "made-up", None, "no family Z; the families are M (Models)"),
        ("S151", "anthropic", "made-up", None, "S151 is content-null; the next free code is S1"),
        ("S140", "mistral", "made-up", None, "anthropic-messages (or anthropic)"),
        ("S140", "chat", "made-up", None, "chat-completions have codes from S201 on"),
        ("S140", "all", "made-up", None, "all have codes from S001 on"),
        ("S090", "gemini", "made-up", None, "gemini have codes from S401 on"),
        ("S140", "anthropic", "Made_Up", None, "kebab case with at most 40 characters"),
        ("S140", "anthropic", "made-" + "up" * 20, None, "at most 40 characters"),
        ("S140", "anthropic", "block-index", None, "S105 has the name block-index"),
        ("R090", "all", "timed-out", None, "R004 has the name timed-out"),
        ("S140", "anthropic", "made-up", "bloks", "protocols/anthropic has answers"),
        ("S140", "anthropic", "made-up", "seam/flows", "there is no module seam/flows for rules"),
        ("S140", "anthropic", "made-up", "../../scripts/rules.py", "there is no module"),
    ],
)
def test_a_new_rule_is_refused(
    new_rule: ModuleType, code: str, protocol: str, name: str, module: str | None, reason: str
) -> None:
    with pytest.raises(new_rule.Refused) as refused:
        new_rule.NewRule.parse(code, protocol, name, module)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("code", "protocol", "module", "expected", "has_stream"),
    [
        ("S140", "anthropic", None, "protocols/anthropic/stream.py", True),
        ("S140", "anthropic-messages", "usage", "protocols/anthropic/usage.py", True),
        ("S260", "chat", None, "protocols/chat/body.py", False),
        ("S240", "chat-completions", "chat/choices.py", "protocols/chat/choices.py", True),
        ("S340", "responses", "protocols/responses/items", "protocols/responses/items.py", True),
        (
            "S440",
            "gemini",
            "addons/wiremend/protocols/gemini/array",
            "protocols/gemini/array.py",
            True,
        ),
        ("S090", "all", None, "repair/stream.py", False),
        ("Q190", "gemini", None, "protocols/gemini/history.py", False),
        ("Q190", "all", None, "protocols/base/history.py", False),
        ("Q290", "chat", None, "protocols/base/parameters.py", False),
        ("T090", "all", None, "adapt/tool_list.py", False),
        ("T390", "all", None, "adapt/rejection_recovery.py", False),
        ("M090", "all", None, "routing/model_name.py", False),
        ("E090", "all", None, "engine/rules.py", False),
        ("F090", "all", None, "routing/fire_and_forget.py", False),
    ],
)
def test_the_place_of_a_new_rule_follows_from_its_code(
    new_rule: ModuleType,
    code: str,
    protocol: str,
    module: str | None,
    expected: str,
    has_stream: bool,
) -> None:
    rule = new_rule.NewRule.parse(code, protocol, "made-up", module)
    assert rule.module == ROOT / "addons" / "wiremend" / expected
    assert rule.is_about_streams == has_stream
    source = rule.module.read_text()
    written = new_rule.with_constant(source, rule)
    codes = [
        str(ast.literal_eval(keyword.value))
        for node in ast.walk(ast.parse(written))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Rule"
        for keyword in node.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
    ]
    codes = [one for one in codes if one[0] == code[0]]
    assert codes.count(code) == 1
    at = codes.index(code)
    assert all(one < code for one in codes[:at][-1:])
    assert all(one > code for one in codes[at + 1 :])
    exec(compile(written, expected, "exec"), {"__name__": "made_up"})


def test_a_constant_that_the_module_has_is_refused(new_rule: ModuleType) -> None:
    rule = new_rule.NewRule.parse("S140", "anthropic", "promoted", "blocks")
    with pytest.raises(new_rule.Refused, match=r"blocks\.py defines PROMOTED"):
        new_rule.with_constant(rule.module.read_text(), rule)


# Results


def test_results_are_written_once_and_shown(checkout: Path) -> None:
    folder = checkout / BROKEN
    shutil.copy(folder / "block-left-open.sse", folder / "made-up.sse")
    for _ in range(2):
        before = contents(checkout)
        done = rules(checkout, "accept", f"{BROKEN}/made-up.sse")
        assert (done.returncode, done.stderr) == (0, "")
        if not changed(before, contents(checkout)):
            break
        assert "--- made-up.sse\n+++ made-up.mended.sse\n" in done.stdout
        assert "+S111\n" in done.stdout
        assert done.stdout.endswith("1 written, 0 unchanged, 0 rejected\n")
    assert done.stdout == "0 written, 1 unchanged, 0 rejected\n"
    for suffix in (".mended.sse", ".findings"):
        expected = (folder / f"block-left-open{suffix}").read_bytes()
        assert (folder / f"made-up{suffix}").read_bytes() == expected


@pytest.mark.long
def test_without_paths_all_results_are_compared(checkout: Path) -> None:
    before = contents(checkout)
    mended = checkout / BROKEN / "block-left-open.mended.sse"
    mended.write_text("event: ping\n\n")
    done = rules(checkout, "accept")
    assert (done.returncode, done.stderr) == (0, "")
    assert "-event: ping\n" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 written, ")
    assert contents(checkout) == before


FAULTS = {
    "the grammar rejects it": (
        "grammar",
        'Grammar.end = lambda self: ["an odd end"]\n',
        "the result is not valid: an odd end",
    ),
    "repairing it again changes it": (
        "stream",
        "_feed = AnthropicRepairer.feed\n"
        "def _grow(self, event):\n"
        "    repaired = _feed(self, event)\n"
        "    repaired.data += b': more\\n\\n'\n"
        "    return repaired\n"
        "AnthropicRepairer.feed = _grow\n",
        "the result is changed when it is repaired again",
    ),
    "the chunks change it": (
        "../../text/sse",
        "_feed = Decoder.feed\n"
        "def _shorten(self, data):\n"
        "    return _feed(self, data[:-3] if len(data) > 3 else data)\n"
        "Decoder.feed = _shorten\n",
        "the result depends on how the bytes are chunked",
    ),
}


@pytest.mark.first_row
@pytest.mark.parametrize(("module", "fault", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_a_result_that_is_not_right_is_rejected(
    module: str, fault: str, reason: str, checkout: Path
) -> None:
    source = checkout / "addons" / "wiremend" / "protocols" / "anthropic" / f"{module}.py"
    source.write_text(f"{source.read_text()}\n{fault}")
    (checkout / BROKEN / "block-left-open.findings").unlink()
    before = contents(checkout)
    done = rules(checkout, "accept", f"{BROKEN}/block-left-open.sse")
    assert done.returncode == 1
    assert f"anthropic_messages/broken/block-left-open: rejected: {reason}\n" == done.stderr
    assert contents(checkout) == before


def test_a_stream_without_a_fault_is_rejected(checkout: Path) -> None:
    folder = checkout / BROKEN
    shutil.copy(folder.parent / "clean" / "text.sse", folder / "made-up.sse")
    done = rules(checkout, "accept", f"{BROKEN}/made-up.sse")
    assert done.returncode == 1
    assert "rejected: nothing is wrong with this stream" in done.stderr


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"{BROKEN}/no-such.sse", "no such file or folder"),
        ("tests/corpus/anthropic_messages/clean/text.sse", "a stream in clean/ has no result"),
        ("addons", "expected a stream in tests/corpus/*/broken"),
        (f"{BROKEN}/block-left-open.findings", "expected a stream in tests/corpus/*/broken"),
    ],
)
def test_a_path_without_a_broken_stream_is_refused(path: str, reason: str, checkout: Path) -> None:
    done = rules(checkout, "accept", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"scripts/rules accept: {path}: {reason}" in done.stderr


@pytest.mark.parametrize("command", ["new", "accept"])
def test_each_command_explains_itself(command: str) -> None:
    done = rules(ROOT, command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: scripts/rules {command}")
