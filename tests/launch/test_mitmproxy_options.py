"""The options of mitmproxy that `run` passes on, refuses, or gives precedence."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from wiremend.config.suspicious import saved_file_warning
from wiremend.launch import run
from wiremend.launch.mitmproxy_options import merged, mitmproxy_options

ADDONS = run.shells_directory()
RUN = (sys.executable, "-P", "-m", "wiremend", "run")


def run_in(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    users = {f"XDG_{kind}_HOME": str(directory / kind) for kind in ("CONFIG", "STATE")}
    return subprocess.run(
        [*RUN, *arguments],
        cwd=directory,
        env={**os.environ, **users, "PYTHONPATH": str(ADDONS)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def passed(*arguments: str, has_password: bool = False) -> list[str]:
    options, _ = run.parse("scripts/run", list(arguments))
    return mitmproxy_options(options, has_password=has_password)


def test_options_are_passed_on() -> None:
    given = ["--set", "flow_detail=0", "-s", "own.py", "--mode", "reverse:https://a.example@81"]
    given += ["-w", "out.mitm", "--listen-host", "127.0.0.2", "-v"]
    assert passed(*given, "--port", "9") == given


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--set", "confdir=/ro"), "set XDG_STATE_HOME"),
        (("--set", "listen_port=1"), "use --port N"),
        (("--set", "wiremend_config=a.toml"), "use --config FILE"),
        (("--set", "wiremend_allow"), "use --allow"),
        (("--set", "mode=regular"), "use --mode MODE"),
        (("--set", "termlog_verbosity=error"), "-v adds to it"),
        (("--set", "server=false"), "use mitmdump"),
        (("--mode", "upstream:http://a.example"), "HTTPS_PROXY"),
        (("--mode", "regular@9000"), "--port N"),
        (("--web-port", "1"), "--web-port needs --web"),
    ],
)
def test_an_option_that_would_not_work_is_refused(arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        passed(*arguments)


def test_the_refusal_is_one_sentence(tmp_path: Path) -> None:
    done = run_in(tmp_path, "--set", "confdir=/proc/none", "--", "true")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "scripts/run: --set confdir is not possible here: to choose the directory of the CA, set "
        "XDG_STATE_HOME\n"
    )


def test_a_mode_without_password_is_for_a_proxy_without_password() -> None:
    with pytest.raises(ValueError, match="needs --no-password"):
        passed("--mode", "reverse:https://a.example@81", has_password=True)


def test_the_users_values_take_precedence() -> None:
    own = ["mitmweb", "--set", "view_filter=~a", "--set", "confdir=/x"]
    assert merged(own, ["--set", "view_filter=~b"]) == [
        *("mitmweb", "--set", "confdir=/x", "--set", "view_filter=~b"),
    ]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ([], ["--mode", "regular", "--mode", "socks5"]),
        (["--mode", "upstream:http://a.example"],
         ["--mode", "upstream:http://a.example", "--mode", "socks5"]),
    ],
)  # fmt: skip
def test_a_mode_is_added_to_the_proxy(own: list[str], expected: list[str]) -> None:
    assert merged(own, ["--mode", "socks5"]) == expected


@pytest.mark.long
def test_only_the_user_can_read_what_the_proxy_saves(tmp_path: Path) -> None:
    done = run_in(tmp_path, "-w", "out.mitm", "--", "true")
    assert done.returncode == 0, done.stderr
    log = tmp_path / "STATE" / "wiremend" / "proxy.log"
    for file in (tmp_path / "out.mitm", log):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "prompts" not in log.read_text()


@pytest.mark.parametrize(("mode", "is_reported"), [(0o644, True), (0o640, True), (0o600, False)])
def test_a_saved_file_that_others_can_read_is_reported(
    mode: int, is_reported: bool, tmp_path: Path
) -> None:
    file = tmp_path / "a b.mitm"
    file.touch()
    file.chmod(mode)
    warning = saved_file_warning(file) or ""
    assert (f"mode {mode:04o}); run: chmod 600 '{file}'" in warning) is is_reported


@pytest.mark.parametrize("path", ["/dev/null", "/no/such/file"])
def test_what_is_no_file_is_not_reported(path: str) -> None:
    assert saved_file_warning(Path(path)) is None


@pytest.mark.long
def test_mitmdump_reports_that_others_can_read_what_it_saves(tmp_path: Path) -> None:
    shell = str(ADDONS / "__main__.py")
    recording = tmp_path / "in.mitm"
    recording.touch()
    command = [run.mitmproxy_program("mitmdump"), "-s", shell, "-n", "-r", str(recording)]
    command += ["-w", str(tmp_path / "out-%Y.mitm")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, umask=0o022, cwd=tmp_path
    )
    assert done.stdout.count("contains prompts, and others can read it (mode 0644)") == 1
