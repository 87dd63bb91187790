"""Fault files: what they mean, and the message for each mistake."""

import re
import tomllib
from pathlib import Path

import pytest
from wiremend.config.fault_file import EXAMPLE, FaultEntry, load_faults
from wiremend.config.fault_page import render_fault_page
from wiremend.config.load import ConfigError
from wiremend.faults.fault import FaultKind, Moment, ProviderFault
from wiremend.faults.schedule import PlannedFault

ROOT = Path(__file__).resolve().parents[2]
PAGE, README = ROOT / "addons" / "FAULTS.md", ROOT / "README.md"
KINDS = [kind.value for kind in FaultKind]


def load(text: str, directory: Path) -> tuple[PlannedFault, ...]:
    path = directory / "faults.toml"
    path.write_text(text)
    return load_faults(path).planned


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("kind = 'reset'", PlannedFault(ProviderFault(FaultKind.RESET))),
        (
            "kind = 'reset'\nat = 'in-event'\ncall = 3",
            PlannedFault(ProviderFault(FaultKind.RESET, at=Moment.IN_EVENT), first=3, last=3),
        ),
        (
            "kind = 'http-error'\nstatus = 429\nretry_after = 2\nhost = 'API.x.ai'"
            "\nmodel = 'Grok-*'",
            PlannedFault(
                ProviderFault(FaultKind.HTTP_ERROR, status=429, retry_after=2.0),
                hosts=("api.x.ai",),
                models=("grok-*",),
            ),
        ),
        (
            "kind = 'slow-drip'\nfirst = 2\nlast = 9\nevery = 3\nprobability = 0.5\nattempts = 0",
            PlannedFault(
                ProviderFault(FaultKind.SLOW_DRIP, seconds=0.05),
                first=2,
                last=9,
                every=3,
                probability=0.5,
                attempts=0,
            ),
        ),
        ("kind = 'html-page'", PlannedFault(ProviderFault(FaultKind.HTML_PAGE, status=524))),
        (
            "kind = 'wrapped-error'",
            PlannedFault(ProviderFault(FaultKind.WRAPPED_ERROR, after_events=0)),
        ),
    ],
)
def test_an_entry_means_this_fault(entry: str, expected: PlannedFault, tmp_path: Path) -> None:
    assert load(f"[[faults]]\n{entry}", tmp_path) == (expected,)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_written(kind: str, tmp_path: Path) -> None:
    (planned,) = load(f"[[faults]]\nkind = '{kind}'", tmp_path)
    assert planned.fault.kind == kind


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "faults.toml: contains no [[faults]]; for example:"),
        ("[[fault]]\nkind = 'reset'", "contains no [[faults]]; did you mean 'faults'?"),
        ("faults = []", "faults.toml: faults: expected at least one entry"),
        ("seed = -1\n[[faults]]\nkind = 'reset'", "seed: expected 0 or more, got -1"),
        ("[[faults]]\nkid = 'reset'", "faults[0].kid: unknown key; did you mean 'kind'?"),
        ("[[faults]]\nat = 'in-event'", "faults[0].kind: is missing"),
        ("[[faults]]\nkind = 'rest'", "faults[0].kind: expected 'reset', 'stall', "),
        ("[[faults]]\nkind = 'reset'\nat = 'now'", "faults[0].at: expected 'before-head', "),
        ("[[faults]]\nkind = 'reset'\nstatus = 500", "status: kind 'reset' does not use it; "),
        ("[[faults]]\nkind = 'http-error'\nstatus = 200", "status: expected 400 or more, got 200"),
        ("[[faults]]\nkind = 'reset'\ncall = 0", "faults[0].call: expected 1 or more, got 0"),
        (
            "[[faults]]\nkind = 'reset'\ncall = 1\nlast = 2",
            "call: cannot be set together with last",
        ),
        ("[[faults]]\nkind = 'reset'\nfirst = 3\nlast = 2", "last: expected first (3) or more"),
        ("[[faults]]\nkind = 'reset'\nafter_events = 2", "after_events: needs at = 'in-event'"),
        ("[[faults]]\nkind = 'reset'\nprobability = 2", "probability: expected 1 or less, got 2"),
        ("[[faults]]\nkind = 'reset'\nhost = 'https://x'", "host: expected a host glob such as"),
        ("[[faults]]\nkind = 'reset'\npath = 'v1'", "path: expected a path such as"),
        ("[[faults]\n", "faults.toml: line 1: "),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        load(text, tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        load_faults(tmp_path / "none.toml")


def test_the_example_loads(tmp_path: Path) -> None:
    assert len(load(EXAMPLE, tmp_path)) == len(tomllib.loads(EXAMPLE)["faults"])


def test_the_examples_of_the_readme_load(tmp_path: Path) -> None:
    texts = re.findall(r"^```toml\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    examples = [text for text in texts if "[[faults]]" in text]
    assert examples
    for text in examples:
        assert load(text, tmp_path)


def test_the_page_in_the_repository_is_up_to_date() -> None:
    """When this fails, run `scripts/configuration`."""
    assert PAGE.read_text() == render_fault_page()


def test_the_page_has_every_key_and_kind() -> None:
    page = render_fault_page()
    assert not [key for key in FaultEntry.model_fields if f"`faults[N].{key}`" not in page]
    assert not [kind for kind in KINDS if f'| `"{kind}"` |' not in page]
