"""Which file is in force: discovery, consent, and changes while the proxy runs."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from wiremend.config import current as current_module
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


def test_a_variable_in_another_spelling_of_toml_is_asked_about(machine: Machine) -> None:
    machine.file.write_text(ROUTED.replace("$", "\\u0024"))
    with pytest.raises(NotAllowed, match="environment variables: WIREMEND_TEST_KEY "):
        machine.start()
    address = machine.start(allow=True).settings.providers["other"]
    assert address.api_key == SECRET


def test_a_pipe_is_refused_at_the_start_and_while_running(machine: Machine) -> None:
    machine.file.write_text(HARMLESS)
    current = machine.start()
    machine.file.unlink()
    os.mkfifo(machine.file)
    with pytest.raises(ConfigError, match="is no regular file"):
        reread(current)
    with pytest.raises(ConfigError, match="is no regular file"):
        machine.start()


KEY_IN_FILE = """
[providers.other]
base_url = "https://other.example.com"
api_key_file = "{}"
"""


@pytest.mark.parametrize("name", ["key", "keys/key", "../key", "keys/../../key"])
def test_a_key_file_is_not_taken_through_a_link_that_the_consent_does_not_show(
    name: str, machine: Machine
) -> None:
    (machine.work / "keys").mkdir()
    key = machine.work / name
    key.write_text("sk-of-the-project")
    key.chmod(0o600)
    machine.file.write_text(KEY_IN_FILE.format(name))
    current = machine.start(allow=True)
    assert current.settings.providers["other"].api_key == "sk-of-the-project"
    others = machine.users.with_name("other.key")
    others.write_text("sk-of-something-else")
    others.chmod(0o600)
    key.unlink()
    key.symlink_to(others)
    with pytest.raises(ConfigError, match="symbolic link; name the file that it leads to"):
        reread(current)
    assert current.settings.providers["other"].api_key == "sk-of-the-project"
    for allow in (False, True):
        with pytest.raises(ConfigError, match="symbolic link"):
            machine.start(allow=allow)


def test_a_directory_of_keys_that_is_a_link_is_refused_too(machine: Machine) -> None:
    others = machine.users.with_name("key")
    others.write_text("sk-of-something-else")
    others.chmod(0o600)
    (machine.work / "keys").symlink_to(others.parent)
    for name in ("keys/key", str(machine.work / "keys/key")):
        machine.file.write_text(KEY_IN_FILE.format(name))
        with pytest.raises(ConfigError, match="symbolic link"):
            machine.start(allow=True)


def test_a_link_to_a_key_is_followed_where_it_is_the_users_own(
    machine: Machine, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("sk-of-the-user")
    key.chmod(0o600)
    link = machine.users.with_name("link")
    link.symlink_to(key)
    (tmp_path / "linked").symlink_to(machine.work)
    machine.work = tmp_path / "linked"
    machine.file.write_text(KEY_IN_FILE.format(link))
    assert machine.start(allow=True).settings.providers["other"].api_key == "sk-of-the-user"
    machine.file.unlink()
    machine.users.write_text(KEY_IN_FILE.format("link"))
    assert machine.start().settings.providers["other"].api_key == "sk-of-the-user"


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


# Files that are being written, swapped or taken away


def test_half_a_file_is_not_read_while_it_grows(machine: Machine) -> None:
    """Its beginning is a valid configuration of its own, and may stand still between two writes."""
    machine.file.write_text(HARMLESS + ROUTED)
    current = machine.start(allow=True)
    text = "[retry]\nattempts = 9\n" + ROUTED
    for end in range(10, len(text), 30):
        machine.file.write_text(text[:end])
        assert not current.reread_if_changed()
        assert (host_of(current), current.config.retry.attempts) == ("other.example.com", 7)
    machine.file.write_text(text)
    assert reread(current)
    assert (host_of(current), current.config.retry.attempts) == ("other.example.com", 9)


def test_what_is_applied_is_what_was_compared(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file changes after the second look has read it."""
    machine.file.write_text(HARMLESS)
    current = machine.start()
    machine.file.write_text("[retry]\nattempts = 8\n")
    assert not current.reread_if_changed()
    original = current_module.read_bytes

    def read_and_change(path: Path, *, must_be_regular: bool) -> bytes:
        data = original(path, must_be_regular=must_be_regular)
        path.write_text("")
        return data

    monkeypatch.setattr(current_module, "read_bytes", read_and_change)
    assert not current.reread_if_changed()
    monkeypatch.undo()
    assert current.config.retry.attempts == 7
    machine.file.write_text("[retry]\nattempts = 10\n")
    assert reread(current)
    assert current.config.retry.attempts == 10


def test_a_change_that_keeps_time_and_size_is_read(machine: Machine) -> None:
    """Another file takes the name, with the same time and size: `cp -p`, then `mv`."""
    machine.file.write_text("[retry]\nattempts = 7\n")
    current = machine.start()
    status = machine.file.stat()
    replacement = machine.work / "new"
    replacement.write_text("[retry]\nattempts = 8\n")
    os.utime(replacement, ns=(status.st_atime_ns, status.st_mtime_ns))
    replacement.rename(machine.file)
    assert reread(current)
    assert current.config.retry.attempts == 8


def test_a_mounted_directory_is_swapped_with_its_keys(machine: Machine) -> None:
    """Kubernetes renames a link to a directory; file and key are links through it."""
    for name, attempts in (("old", 7), ("new", 8)):
        directory = machine.users.parent / name
        directory.mkdir()
        (directory / "key").write_text(f"sk-{name}")
        (directory / "key").chmod(0o600)
        text = f"[retry]\nattempts = {attempts}\n{KEY_IN_FILE.format('key')}"
        (directory / "wiremend.toml").write_text(text)
    data = machine.users.parent / "..data"
    data.symlink_to("old")
    machine.users.symlink_to("..data/wiremend.toml")
    machine.users.with_name("key").symlink_to("..data/key")
    current = machine.start()
    assert current.settings.providers["other"].api_key == "sk-old"
    temporary = machine.users.parent / "..data_tmp"
    temporary.symlink_to("new")
    temporary.rename(data)
    assert not current.reread_if_changed()
    assert current.reread_if_changed()
    assert current.config.retry.attempts == 8
    assert current.settings.providers["other"].api_key == "sk-new"
    data.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        reread(current)
    assert not reread(current)
    data.symlink_to("new")
    assert reread(current)
    assert current.settings.providers["other"].api_key == "sk-new"


def test_a_new_empty_file_does_not_replace_the_configuration_in_force(machine: Machine) -> None:
    machine.users.write_text(ROUTED)
    current = machine.start()
    machine.file.touch()
    with pytest.raises(ConfigError, match="the file is empty"):
        reread(current)
    assert (host_of(current), current.source) == ("other.example.com", str(machine.users))
    assert not reread(current)
    machine.file.write_text("# Routes of this project\n")
    with pytest.raises(ConfigError, match="the file contains no setting"):
        reread(current)
    assert host_of(current) == "other.example.com"
    machine.file.write_text(HARMLESS)
    assert reread(current)
    assert current.source == str(machine.file)


def test_a_file_that_is_back_is_news_even_if_its_content_is_the_same(machine: Machine) -> None:
    machine.file.write_text(HARMLESS)
    current = machine.start()
    for is_deleted in (True, False):
        if is_deleted:
            machine.file.unlink()
        else:
            machine.file.write_text("")
        with pytest.raises(ConfigError, match=r"deleted|empty"):
            reread(current)
        machine.file.write_text(HARMLESS)
        assert reread(current)
        assert not reread(current)


def test_a_file_that_is_only_touched_is_no_news(machine: Machine) -> None:
    machine.file.write_text(HARMLESS)
    current = machine.start()
    machine.file.touch()
    assert not reread(current)


def make_a_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_a_directory(path: Path) -> None:
    path.mkdir()


def make_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_a_large_file(path: Path) -> None:
    path.write_bytes(b"#" * (1024 * 1024 + 1))


def make_a_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.skipif(sys.platform != "linux", reason="its special files")
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (make_a_pipe, "is no regular file"),
        (make_a_directory, "is a directory, not a file"),
        (make_a_device, "is no regular file"),
        (make_a_large_file, "is larger than 1048576 bytes"),
        (make_a_loop, "cannot be read: too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_keeps_the_configuration_and_is_reported_once(
    make: Callable[[Path], None], problem: str, named: bool, machine: Machine
) -> None:
    path = machine.work / "team.toml" if named else machine.file
    path.write_text(ROUTED)
    current = machine.start("team.toml" if named else "", allow=True)
    path.unlink()
    make(path)
    with pytest.raises(ConfigError) as refused:
        reread(current)
    assert str(refused.value) == f"{path.name}: {problem}"
    assert not reread(current)
    assert not reread(current)
    assert (host_of(current), current.source) == ("other.example.com", str(path))


@pytest.mark.skipif(sys.platform != "linux", reason="its special files")
@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (make_a_pipe, "is not a regular file"),
        (make_a_directory, "is not a regular file|is a directory"),
        (make_a_large_file, "can be accessed by others"),
        (Path.touch, "can be accessed by others"),
        (lambda path: None, "cannot be read: no such file"),
    ],
)
def test_a_key_file_that_is_no_key_file_keeps_the_key_in_force(
    make: Callable[[Path], None], problem: str, machine: Machine
) -> None:
    key = machine.users.with_name("key")
    key.write_text("sk-in-force")
    key.chmod(0o600)
    machine.users.write_text(KEY_IN_FILE.format("key"))
    current = machine.start()
    key.unlink()
    make(key)
    with pytest.raises(ConfigError, match=problem) as refused:
        reread(current)
    assert "providers.other.api_key_file" in str(refused.value)
    assert not reread(current)
    assert current.settings.providers["other"].api_key == "sk-in-force"
    if key.is_dir():
        key.rmdir()
    else:
        key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    key.write_text("sk-back")
    assert reread(current)
    assert current.settings.providers["other"].api_key == "sk-back"


def test_an_invalid_file_keeps_everything_of_the_configuration_in_force(machine: Machine) -> None:
    machine.file.write_text(ROUTED)
    current = machine.start(allow=True)
    in_force = (current.config, current.settings, current.secrets, current.intercepted)
    machine.file.write_text(ROUTED.replace("other", "another") + "[retry]\natempts = 3\n")
    with pytest.raises(ConfigError, match=r"retry\.atempts: unknown key; did you mean 'attempts'"):
        reread(current)
    after = (current.config, current.settings, current.secrets, current.intercepted)
    assert all(new is old for new, old in zip(after, in_force, strict=True))


@pytest.mark.parametrize("name", ["a\\u0000b", "~\\u0000/b"])
def test_a_key_file_that_cannot_exist_is_a_problem_and_no_fault(
    name: str, machine: Machine
) -> None:
    machine.file.write_text(KEY_IN_FILE.format(name))
    with pytest.raises(ConfigError, match="api_key_file"):
        machine.start(allow=True)
