"""The page of the configuration: it contains every key, and its content matches the code."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, Field
from wiremend.catalogue import catalogue
from wiremend.config.consent import HARMLESS_KEYS, HARMLESS_SECTIONS, VARIABLE, Kind
from wiremend.config.load import load_config
from wiremend.config.model import HEADINGS, SECTIONS, Config
from wiremend.config.page import (
    INSTEAD_OF,
    Option,
    all_keys,
    full_example,
    render_page,
    type_in_words,
)
from wiremend.config.routes import ModelRoute, When
from wiremend.config.values import InWords, Seconds
from wiremend.engine.response_reader import GUARDED_BYTES, GUARDED_SECONDS
from wiremend.protocols.base.usage import BYTES_PER_TOKEN
from wiremend.routing.shape import TOKENS_PER_IMAGE
from wiremend.routing.thinking import BUDGETS
from wiremend.targets.registry import PRESETS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """The module scripts/configuration.py."""
    spec = importlib.util.spec_from_file_location("page", ROOT / "scripts" / "configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(generator: ModuleType) -> str:
    made = generator.page()
    assert isinstance(made, str)
    return made


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that values of a type contain."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def paths(model: type[BaseModel], start: str = "") -> Iterator[str]:
    """Yield every key below a model, without using the tables that the page is made from."""
    for name, field in model.model_fields.items():
        inner = [*models_in(field.annotation)]
        kind = get_origin(field.annotation)
        entry = "[N]" if kind is tuple else ".NAME" if kind is not None and not start else ""
        if not inner or start:
            yield f"{start}{name}"
        for nested in inner:
            yield from paths(nested, f"{start}{name}{entry}.")


EVERY_PATH = [*paths(Config)]


def test_the_page_in_the_repository_is_up_to_date(generator: ModuleType) -> None:
    """When this fails, run `scripts/configuration`."""
    assert generator.PAGE.read_bytes() == generator.page().encode()


def test_all_keys_are_listed() -> None:
    assert sorted(key.path for key in all_keys()) == sorted(EVERY_PATH)
    assert {"retry.attempts", "models[N].when.thinking", "providers.NAME.api_key"} <= {*EVERY_PATH}


@pytest.mark.parametrize("path", EVERY_PATH)
def test_every_key_has_a_row_with_type_default_and_meaning(path: str, page: str) -> None:
    (row,) = re.findall(rf"^\| `{re.escape(path)}` \| (.+) \| (.+) \| (.+) \|$", page, re.MULTILINE)
    kind, default, meaning = row
    assert kind
    assert re.fullmatch(r"required|unset|`.+`", default)
    assert re.fullmatch(r"[A-Z`\[].*\.( Example: `.+`)?", meaning)


def values(model: BaseModel, start: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from values(value, f"{start}{name}.")
        elif start:
            yield f"{start}{name}", value


def test_the_defaults_on_the_page_are_the_defaults(page: str) -> None:
    for path, value in values(Config()):
        shown = re.search(rf"^\| `{re.escape(path)}` \| .+? \| `(.+?)` \|", page, re.MULTILINE)
        assert shown is not None, path
        (read,) = tomllib.loads(f"value = {shown[1]}").values()
        assert (tuple(read) if isinstance(read, list) else read) == value


@pytest.mark.parametrize("name", SECTIONS)
def test_the_link_to_every_section_matches_its_title(name: str, page: str) -> None:
    assert page.count(f"\n## `{HEADINGS[name]}`\n") == 1
    (anchor,) = re.findall(rf"^- \[`{re.escape(HEADINGS[name])}`\]\(#(\S+)\): ", page, re.MULTILINE)
    # GitHub's anchors are lower case, without punctuation other than "-" and "_"
    assert anchor == re.sub(r"[^\w-]", "", HEADINGS[name].lower())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in VARIABLE.findall(full_example()):
        monkeypatch.setenv(variable, "sk-of-the-environment")
    return tmp_path


def load(text: str, directory: Path) -> Config:
    path = directory / "wiremend.toml"
    path.write_text(text)
    return load_config(path, [rule.code for rule in catalogue()])


def test_the_example_on_the_page_loads_and_contains_the_defaults(page: str, home: Path) -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert text == full_example() + "\n"
    config = load(text, home)
    assert len(config.models) == len(config.lessons) == len(config.providers) == 1
    without_entries = {"models": (), "lessons": (), "providers": {}}
    assert config.model_copy(update=without_entries) == Config()
    (provider,) = config.providers.values()
    assert provider.api_key.get_secret_value() == "sk-of-the-environment"


README_EXAMPLES = [
    text
    for text in re.findall(
        r"^```toml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    if "[[faults]]" not in text  # a fault file: test_fault_file.py
]


@pytest.mark.parametrize("text", README_EXAMPLES, ids=range(len(README_EXAMPLES)))
def test_each_example_of_the_readme_loads(
    text: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {preset.key_variable for preset in PRESETS} | {*VARIABLE.findall(text)}
    for variable in variables:
        monkeypatch.setenv(variable, f"sk-of-{variable}")
    config = load(text, home)
    assert config != Config()
    named = {route.provider for route in config.models}
    named |= {model.partition("/")[0] for route in config.models for model in route.fallback}
    assert named >= {*config.providers}


@pytest.mark.parametrize("path", EVERY_PATH)
def test_every_key_is_in_the_example(path: str) -> None:
    value: Any = tomllib.loads(re.sub(r"^# (?=\w+ = )", "", full_example(), flags=re.MULTILINE))
    for step in re.findall(r"\[N\]|\w+", path):
        if step == "[N]":
            value = value[0]
        elif step == "NAME":
            (value,) = value.values()
        else:
            value = value[step]


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        ("api_key_file", ["sk-of-the-file"]),
        ("api_keys", ["sk-of-the-environment", "sk-of-another-variable"]),
    ],
)
def test_a_commented_key_can_replace_the_other(
    key: str, keys: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert key in INSTEAD_OF
    monkeypatch.setenv("SECOND_API_KEY", "sk-of-another-variable")
    text = full_example()
    (name,) = re.findall(r"^# api_key_file = \"~/(.+?)\"", text, re.MULTILINE)
    file = home / name
    file.parent.mkdir(parents=True)
    file.touch(mode=0o600)
    file.write_text("sk-of-the-file\n")
    swapped = re.sub(rf"^{INSTEAD_OF[key]} = ", "# \\g<0>", text, flags=re.MULTILINE)
    swapped = swapped.replace(f"# {key} = ", f"{key} = ")
    (provider,) = load(swapped, home).providers.values()
    read = provider.api_keys or (provider.api_key,)
    assert [key.get_secret_value() for key in read] == keys


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bool, "`true` or `false`"),
        (int | None, "whole number"),
        (Annotated[int, Field(ge=1, le=20)], "whole number from 1 to 20"),
        (Seconds, "number of seconds, 0 or more"),
        (tuple[Seconds, ...], "list of numbers of seconds, 0 or more"),
        (tuple[str, ...] | None, "list of strings"),
        (Literal["a", "b", "c"], '`"a"`, `"b"` or `"c"`'),
        (Annotated[Annotated[str, InWords("host")] | None, Field(examples=["a"])], "host"),
        (
            tuple[Annotated[str, InWords("code", "codes or prefixes")], ...],
            "list of codes or prefixes",
        ),
    ],
)
def test_types_are_shown_in_words(annotation: Any, words: str) -> None:
    assert type_in_words(annotation) == words


def test_the_page_lists_what_needs_consent_and_what_does_not(page: str) -> None:
    needed, _, rest = page.partition("### Consent")[2].partition("Without your consent")
    not_needed = rest.partition("need no consent:")[2].partition("###")[0]
    for kind in Kind:
        assert f"\n- {kind.value}: " in needed
    for section in HARMLESS_SECTIONS:
        assert f"`{HEADINGS[section]}`" in not_needed
    for section, keys in HARMLESS_KEYS.items():
        for key in keys:
            assert f"`{section}.{key}`" in not_needed


def test_options_are_shown_with_their_type_default_and_help() -> None:
    options = [Option("b", str, "x", "Second."), Option("a", bool, False, "First.")]
    assert (
        '| `a` | `true` or `false` | `false` | First. |\n| `b` | string | `"x"` | Second. |\n'
    ) in render_page(options)


def test_the_options_are_those_that_mitmproxy_lists(generator: ModuleType, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("mitmdump"),
            *("-s", ROOT / "addons" / "__main__.py"),
            *("--set", f"confdir={tmp_path}"),
            "--options",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    shown = {}
    for block in done.stdout.split("\n\n"):
        *comment, setting = block.strip().split("\n")
        name, _, default = setting.partition(": ")
        text = " ".join(line.removeprefix("# ") for line in comment)
        if name.startswith("wiremend_"):
            shown[name] = (re.split(r" (?:Type|Valid values are) ", text)[0], default)
    yaml = {"": "''", "False": "false", "True": "true"}
    expected = {
        option.name: (option.help, yaml.get(str(option.default), str(option.default)))
        for option in generator.options()
    }
    assert shown == expected
    assert "wiremend_config" in shown


def test_numbers_in_docstrings_are_those_of_the_code() -> None:
    assert f"{GUARDED_BYTES // 1024} KiB or {GUARDED_SECONDS:g} seconds" in " ".join(
        (ModelRoute.model_fields["stream"].description or "").split()
    )
    assert f"divided by {BYTES_PER_TOKEN}, plus {TOKENS_PER_IMAGE} for" in " ".join(
        (When.model_fields["input_tokens_over"].description or "").split()
    )
    efforts = ", ".join(f"`{effort}` {budget}" for effort, budget in BUDGETS.items())
    budgets = " ".join((When.model_fields["thinking_budget_over"].description or "").split())
    assert f"usual budget: {efforts}." in budgets
