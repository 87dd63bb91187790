"""Key files: their permissions, their content, and when they are read again."""

import os
from pathlib import Path

import pytest
from wiremend.config.current import CurrentConfig
from wiremend.config.key_files import read_key_file
from wiremend.config.load import ConfigError, load_config

KEY = "sk-only-in-the-file"


def key_file(directory: Path, data: bytes = KEY.encode() + b"\n", mode: int = 0o600) -> Path:
    path = directory / "key"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def configuration(directory: Path, provider: str = "api_key_file = 'key'") -> Path:
    path = directory / "wiremend.toml"
    path.write_text(f"[providers.go]\nbase_url = 'https://opencode.ai/zen/go'\n{provider}\n")
    return path


def reread(current: CurrentConfig) -> bool:
    """Check for changes twice: a change is read when two checks observe the same state."""
    return current.reread_if_changed() or current.reread_if_changed()


@pytest.mark.parametrize("data", [KEY.encode(), f"{KEY}\n".encode(), f" {KEY}\r\n".encode()])
def test_white_space_around_a_key_is_removed(data: bytes, tmp_path: Path) -> None:
    assert read_key_file(key_file(tmp_path, data)) == KEY


@pytest.mark.skipif(os.name == "nt", reason="no such modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o660, 0o777])
def test_a_file_that_others_can_access_is_refused_with_advice(mode: int, tmp_path: Path) -> None:
    path = key_file(tmp_path, mode=mode)
    with pytest.raises(ValueError, match=r"can be accessed by others") as refused:
        read_key_file(path)
    assert f"mode {mode:04o}" in str(refused.value)
    assert f"chmod 600 {path}" in str(refused.value)


@pytest.mark.skipif(os.name == "nt", reason="no such modes")
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_that_only_its_owner_can_access_is_read(mode: int, tmp_path: Path) -> None:
    assert read_key_file(key_file(tmp_path, mode=mode)) == KEY


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"sk-1 sk-2", "contains more than a key"),
        (b"sk-1\nsk-2\n", "contains more than a key"),
        ("schlüssel".encode(), "contains more than a key"),
        (b"k" * 20_000, "contains more than a key"),
    ],
)
def test_invalid_content_is_refused_and_not_quoted(
    data: bytes, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        read_key_file(key_file(tmp_path, data))
    for word in data.split():
        assert word.decode() not in str(refused.value).replace(str(tmp_path), "")


def test_other_than_a_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a regular file|cannot be read"):
        read_key_file(tmp_path)
    with pytest.raises(ValueError, match="cannot be read: no such file"):
        read_key_file(tmp_path / "missing")


def test_a_providers_key_is_read_from_the_file_beside_the_configuration(tmp_path: Path) -> None:
    key_file(tmp_path)
    config = load_config(configuration(tmp_path))
    assert config.providers["go"].api_key.get_secret_value() == KEY
    assert KEY not in repr(config)


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    key_file(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    config = load_config(configuration(elsewhere, "api_key_file = '~/key'"))
    assert config.providers["go"].api_key.get_secret_value() == KEY


@pytest.mark.parametrize(
    ("provider", "problem"),
    [
        ("api_key_file = 'missing'", "providers.go.api_key_file: "),
        ("api_key_file = ''", "providers.go.api_key_file: expected a name, got an empty string"),
        ("api_key_file = 5", "providers.go.api_key_file: expected a string, got a number"),
        ("api_key_file = '${HOME}/key'", "providers.go.api_key_file: '${...}' is replaced only in"),
        (
            "api_key = 'k'\napi_key_file = 'key'",
            "providers.go.api_key_file: cannot be set together",
        ),
    ],
)
def test_problems_are_reported_with_their_key(provider: str, problem: str, tmp_path: Path) -> None:
    key_file(tmp_path)
    with pytest.raises(ConfigError) as refused:
        load_config(configuration(tmp_path, provider))
    [reported] = refused.value.problems
    assert problem in reported


def test_a_new_key_is_read_when_the_file_changes(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    current = CurrentConfig()
    current.read(str(configuration(tmp_path)), tmp_path)
    assert not reread(current)
    path.write_bytes(b"sk-the-longer-new-key\n")
    assert reread(current)
    assert current.settings.providers["go"].api_key == "sk-the-longer-new-key"
    assert "sk-the-longer-new-key" in current.secrets


def test_while_a_key_file_is_invalid_the_key_in_force_is_kept(
    tmp_path: Path,
) -> None:
    path = key_file(tmp_path)
    current = CurrentConfig()
    current.read(str(configuration(tmp_path)), tmp_path)
    path.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        reread(current)
    assert not reread(current)
    assert current.settings.providers["go"].api_key == KEY
    key_file(tmp_path, b"sk-the-next-one")
    assert reread(current)
    assert current.settings.providers["go"].api_key == "sk-the-next-one"
