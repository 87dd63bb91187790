"""Rules that are switched by hand, beside those that the file disables."""

from pathlib import Path

import pytest
from wiremend.config.current import CurrentConfig


@pytest.fixture
def current(tmp_path: Path) -> CurrentConfig:
    path = tmp_path / "team.toml"
    path.write_text('[rules]\ndisable = ["S116"]\n')
    current = CurrentConfig({})
    current.read(str(path), tmp_path)
    return current


@pytest.mark.parametrize(
    ("switches", "disabled"),
    [
        ([], {"S116"}),
        ([("S105", True)], {"S105", "S116"}),
        ([("S116", False)], set()),
        ([("S105", True), ("S105", False)], {"S116"}),
        ([("S10", True), ("S", False), ("M001", True)], {"M001"}),
    ],
)
def test_the_last_switch_of_a_rule_counts(
    current: CurrentConfig, switches: list[tuple[str, bool]], disabled: set[str]
) -> None:
    for prefix, is_off in switches:
        assert current.switch_rules([prefix], is_off=is_off)
    assert current.settings.disabled == disabled


def test_switches_outlive_a_reload(current: CurrentConfig) -> None:
    current.switch_rules(["S105"], is_off=True)
    assert current.path is not None
    current.path.write_text('[rules]\ndisable = ["S201"]\n')
    while not current.reread_if_changed():
        pass
    assert current.settings.disabled == {"S105", "S201"}


@pytest.mark.parametrize("prefix", ["S999", "", "block-index"])
def test_what_is_no_code_is_refused(current: CurrentConfig, prefix: str) -> None:
    with pytest.raises(ValueError, match="no rule has the code"):
        current.switch_rules([prefix], is_off=True)
    assert current.settings.disabled == {"S116"}
