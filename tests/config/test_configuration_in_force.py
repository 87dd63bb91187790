"""Which file is in force: discovery, consent, and changes while the proxy runs."""

import os
import stat
import sys
from pathlib import Path

import pytest
from wiremend.config.allowed_contents import NotAllowed
from wiremend.config.current import CurrentConfig
from wiremend.config.load import ConfigError

SECRET = "sk-value-of-the-variable"
HARMLESS = "[retry]\nattempts = 7\n"
ROUTED = """
[providers.other]
base_url = "https://other.example.com"
api_key = "${WIREMEND_TEST_KEY}"
"""
EVIL = ROUTED.replace("other.example.com", "evil.example.org")


class Machine:
    """A working directory and the directories of one user."""

    def __init__(self, directory: Path) -> None:
        self.work = directory / "work"
        self.file = self.work / "wiremend.toml"
        self.users = directory / "config" / "wiremend" / "wiremend.toml"
        self.state = directory / "state" / "wiremend"
        self.work.mkdir()
        self.users.parent.mkdir(parents=True)
        self.environ = {
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_STATE_HOME": str(directory / "state"),
            "WIREMEND_TEST_KEY": SECRET,
        }

    def start(self, option: str = "", *, allow: bool = False) -> CurrentConfig:
        current = CurrentConfig(self.environ)
        current.read(option, self.work, allow=allow)
        return current

    def records(self) -> list[Path]:
        return sorted((self.state / "allowed").glob("*"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def reread(current: CurrentConfig) -> bool:
    """Check for changes twice: a change is read when two checks observe the same state."""
    return current.reread_if_changed() or current.reread_if_changed()


def host_of(current: CurrentConfig) -> str | None:
    provider = current.config.providers.get("other")
    return provider.host if provider else None


# At the start


def test_a_file_with_a_reach_stops_the_start_and_the_reach_is_listed(machine: Machine) -> None:
    machine.file.write_text(ROUTED)
    with pytest.raises(NotAllowed) as refused:
        machine.start()
    message = str(refused.value)
    assert str(machine.file) in message
    assert "hosts: https://other.example.com (provider other)" in message
    assert "environment variables: WIREMEND_TEST_KEY (to https://other.example.com)" in message
    assert "scripts/run --allow, or --set wiremend_allow=true" in message
    assert SECRET not in message
    assert machine.records() == []


def test_no_variable_and_no_key_file_is_read_before_consent(machine: Machine) -> None:
    """An unset variable or a missing key file would be reported if it had been read."""
    del machine.environ["WIREMEND_TEST_KEY"]
    machine.file.write_text(
        ROUTED + "[providers.x]\nbase_url = 'https://x.example.com'\napi_key_file = 'gone'\n"
    )
    with pytest.raises(NotAllowed):
        machine.start()
    with pytest.raises(ConfigError, match="WIREMEND_TEST_KEY is not set"):
        machine.start(allow=True)
    assert machine.records() == []  # what cannot be used is not recorded


def test_problems_are_reported_before_a_missing_consent(machine: Machine) -> None:
    machine.file.write_text(ROUTED + "hedaers = {}\n")
    with pytest.raises(ConfigError, match="unknown key; did you mean 'headers'") as refused:
        machine.start()
    assert not isinstance(refused.value, NotAllowed)


def test_a_content_remains_allowed_until_it_changes_by_one_byte(machine: Machine) -> None:
    machine.file.write_text(ROUTED)
    assert host_of(machine.start(allow=True)) == "other.example.com"
    current = machine.start()
    assert host_of(current) == "other.example.com"
    assert current.source == str(machine.file)
    machine.file.write_text(ROUTED + " ")
    with pytest.raises(NotAllowed):
        machine.start()
    machine.file.write_text(ROUTED)
    assert host_of(machine.start()) == "other.example.com"


def test_the_same_content_is_allowed_in_another_directory(machine: Machine) -> None:
    machine.file.write_text(ROUTED)
    machine.start(allow=True)
    machine.work = machine.work / "elsewhere"
    machine.work.mkdir()
    (machine.work / "wiremend.toml").write_text(ROUTED)
    assert host_of(machine.start()) == "other.example.com"


def test_a_file_with_an_empty_reach_needs_no_consent_and_is_not_recorded(
    machine: Machine,
) -> None:
    machine.file.write_text(HARMLESS)
    assert machine.start().config.retry.attempts == 7
    assert not machine.state.exists()


def test_a_file_given_by_the_option_needs_no_consent(machine: Machine) -> None:
    machine.file.write_text(ROUTED)
    for option in ("wiremend.toml", str(machine.file)):
        assert host_of(machine.start(option)) == "other.example.com"
    assert not machine.state.exists()


def test_the_file_in_the_users_directory_needs_no_consent_and_is_used_last(
    machine: Machine,
) -> None:
    machine.users.write_text(ROUTED)
    current = machine.start()
    assert (host_of(current), current.source) == ("other.example.com", str(machine.users))
    machine.file.write_text(EVIL)
    with pytest.raises(NotAllowed):  # it does not fall back silently to the user's file
        machine.start()


def test_without_any_file_the_defaults_are_in_force(machine: Machine) -> None:
    assert machine.start().source == "built-in defaults"


def test_a_record_is_private_and_complete(machine: Machine) -> None:
    machine.file.write_text(ROUTED)
    machine.start(allow=True)
    [record] = machine.records()
    assert record.name in record.read_text()
    assert str(machine.file) in record.read_text()
    if os.name != "nt":
        assert stat.S_IMODE(record.stat().st_mode) == 0o600
        assert stat.S_IMODE(machine.state.stat().st_mode) == 0o700


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"\xff", b'{"sha256": "0"}'])
def test_a_damaged_record_is_ignored_and_replaced(damaged: bytes, machine: Machine) -> None:
    machine.file.write_text(ROUTED)
    machine.start(allow=True)
    [record] = machine.records()
    record.write_bytes(damaged)
    with pytest.raises(NotAllowed):
        machine.start()
    machine.start(allow=True)
    assert host_of(machine.start()) == "other.example.com"


@pytest.mark.skipif(sys.platform != "linux", reason="its special files")
@pytest.mark.parametrize(
    ("directory", "allow", "problem"),
    [
        ("/dev/null", False, "cannot be read: not a directory"),
        ("/dev/null", True, "cannot be read: not a directory"),
        ("/proc/nowhere", True, "cannot be written: no such file or directory"),
    ],
)
def test_an_unusable_state_directory_is_reported(
    directory: str, allow: bool, problem: str, machine: Machine
) -> None:
    machine.file.write_text(ROUTED)
    machine.environ["XDG_STATE_HOME"] = directory
    with pytest.raises(ConfigError) as refused:
        machine.start(allow=allow)
    message = str(refused.value)
    assert f"wiremend.toml: the record of its consent, {directory}/wiremend/allowed/" in message
    assert problem in message
    assert "--set wiremend_config=FILE" in message


def test_a_relative_state_directory_is_ignored(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be inside the repository, which could contain its own records."""
    monkeypatch.setenv("HOME", str(machine.work.parent / "home"))
    monkeypatch.chdir(machine.work)
    machine.environ["XDG_STATE_HOME"] = "state"
    machine.file.write_text(ROUTED)
    machine.start(allow=True)
    assert not (machine.work / "state").exists()
    [record] = (machine.work.parent / "home/.local/state/wiremend/allowed").iterdir()
    assert record.is_file()


# While the proxy runs


def test_an_edit_that_adds_nothing_is_applied_and_allowed_for_the_next_start(
    machine: Machine,
) -> None:
    machine.file.write_text(ROUTED)
    current = machine.start(allow=True)
    machine.file.write_text(ROUTED + HARMLESS)
    assert reread(current)
    assert current.config.retry.attempts == 7
    assert machine.start().config.retry.attempts == 7


def test_an_edit_that_adds_something_is_refused_once_until_it_is_allowed(
    machine: Machine,
) -> None:
    machine.file.write_text(ROUTED)
    current = machine.start(allow=True)
    machine.file.write_text(EVIL + HARMLESS)
    with pytest.raises(NotAllowed) as refused:
        reread(current)
    message = str(refused.value)
    assert "It adds\n  hosts: https://evil.example.org (provider other)" in message
    assert "environment variables: WIREMEND_TEST_KEY (to https://evil.example.org)" in message
    assert "https://other.example.com" not in message
    assert "scripts/run --allow -- true" in message
    assert SECRET not in message
    assert not reread(current)
    assert host_of(current) == "other.example.com"
    assert current.config.retry.attempts == 4
    machine.start(allow=True)  # another process
    assert reread(current)
    assert host_of(current) == "evil.example.org"


def test_a_refused_edit_can_be_reverted(machine: Machine) -> None:
    machine.file.write_text(ROUTED)
    current = machine.start(allow=True)
    machine.file.write_text(EVIL)
    with pytest.raises(NotAllowed):
        reread(current)
    machine.file.write_text(ROUTED + HARMLESS)
    assert reread(current)
    assert (host_of(current), current.config.retry.attempts) == ("other.example.com", 7)


def test_what_an_edit_removed_needs_consent_when_it_is_added_again(machine: Machine) -> None:
    machine.file.write_text(ROUTED)
    current = machine.start(allow=True)
    machine.file.write_text(HARMLESS)
    assert reread(current)
    machine.file.write_text(ROUTED + "# not the content that was allowed\n")
    with pytest.raises(NotAllowed):
        reread(current)
    machine.file.write_text(ROUTED)
    assert reread(current)


def test_a_new_file_needs_consent_independently_of_the_file_in_force(machine: Machine) -> None:
    machine.users.write_text(ROUTED)
    current = machine.start()
    machine.file.write_text(ROUTED)
    with pytest.raises(NotAllowed):
        reread(current)
    assert current.source == str(machine.users)
    machine.file.write_text(HARMLESS)
    assert reread(current)
    assert current.source == str(machine.file)


@pytest.mark.parametrize("named", [True, False])
def test_an_edit_of_a_file_that_needs_no_consent_is_applied(named: bool, machine: Machine) -> None:
    path = machine.work / "team.toml" if named else machine.users
    path.write_text(ROUTED)
    current = machine.start("team.toml" if named else "")
    path.write_text(EVIL)
    assert reread(current)
    assert host_of(current) == "evil.example.org"
    assert not machine.state.exists()


@pytest.mark.parametrize("content", [None, "", " \n"], ids=["deleted", "empty", "blank"])
@pytest.mark.parametrize("place", ["local", "users", "named"])
def test_after_the_file_is_deleted_or_emptied_the_configuration_is_kept(
    place: str, content: str | None, machine: Machine
) -> None:
    path = {"local": machine.file, "users": machine.users}.get(place, machine.work / "team.toml")
    path.write_text(ROUTED)
    current = machine.start("team.toml" if place == "named" else "", allow=True)
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"deleted|empty|no such file"):
        reread(current)
    assert not reread(current)
    assert (host_of(current), current.source) == ("other.example.com", str(path))
    path.write_text(ROUTED + HARMLESS)
    assert reread(current)
    assert current.config.retry.attempts == 7


def test_a_deleted_local_file_is_not_replaced_by_the_users_file(machine: Machine) -> None:
    machine.file.write_text(ROUTED)
    machine.users.write_text(HARMLESS)
    current = machine.start(allow=True)
    machine.file.unlink()
    with pytest.raises(ConfigError, match="deleted"):
        reread(current)
    assert host_of(current) == "other.example.com"


def test_a_change_is_read_when_it_was_observed_twice(machine: Machine) -> None:
    """An editor truncates a file before it writes it; a checkout deletes and creates it."""
    machine.file.write_text(HARMLESS)
    current = machine.start()
    machine.file.write_text("")
    assert not current.reread_if_changed()
    machine.file.write_text("[retry]\nattempts = 12\n")
    assert not current.reread_if_changed()
    machine.file.unlink()
    assert not current.reread_if_changed()
    machine.file.write_text("[retry]\nattempts = 13\n")
    assert not current.reread_if_changed()
    assert current.config.retry.attempts == 7
    assert current.reread_if_changed()
    assert current.config.retry.attempts == 13


def test_a_file_that_is_restored_before_the_second_check_is_not_read(machine: Machine) -> None:
    machine.file.write_text(HARMLESS)
    current = machine.start()
    machine.file.rename(machine.work / "aside")
    assert not current.reread_if_changed()
    (machine.work / "aside").rename(machine.file)
    assert not reread(current)
    assert current.config.retry.attempts == 7


def test_a_refused_read_changes_nothing(machine: Machine) -> None:
    """Options can change while the proxy runs."""
    (machine.work / "team.toml").write_text(HARMLESS)
    current = machine.start("team.toml")
    machine.file.write_text(ROUTED)
    with pytest.raises(NotAllowed):
        current.read("", machine.work)
    assert current.source == str(machine.work / "team.toml")
    (machine.work / "team.toml").write_text("[retry]\nattempts = 11\n")
    assert reread(current)
    assert current.config.retry.attempts == 11
