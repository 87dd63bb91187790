"""Tests of loading and reloading the suite, and of failed starts, in mitmdump and mitmweb."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import wiremend
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import complete
from traffic.proxy import REPOSITORY, Proxy

ADDONS = REPOSITORY / "addons"
SHELLS = sorted(path.name for path in ADDONS.glob("*.py"))
ANTHROPIC = good.ANTHROPIC


def run(
    tool: str, directory: Path, *arguments: str, script: Path = ADDONS / "__main__.py"
) -> tuple[int, str]:
    """Run a proxy that is expected to exit; return its status and its output."""
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment |= {"XDG_CONFIG_HOME": str(directory), "XDG_STATE_HOME": str(directory)}
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / tool),
            "--listen-port",
            "0",
            "-s",
            str(script),
            "--set",
            f"confdir={directory / 'confdir'}",
            *arguments,
        ],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.first_row
@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_loads_alone(shell: str, start_proxy: Callable[..., Proxy]) -> None:
    proxy = start_proxy(scripts=(str(ADDONS / shell),), arguments=("--listen-host", "127.0.0.1"))
    assert proxy.port


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_listening_address_for_other_machines_is_reported_once(
    host: str, start_proxy: Callable[..., Proxy]
) -> None:
    arguments = ("--set", f"listen_host={host}")
    proxy = start_proxy(arguments=arguments)
    proxy.wait_for_line("wiremend: version")
    proxy.stop()
    warnings = [line for line in proxy.lines if "the proxy listens on" in line]
    assert len(warnings) == (host == "0.0.0.0")


def test_shells_combine_without_the_suite(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    scripts = (str(ADDONS / "retry_upstream.py"), str(ADDONS / "raise_wrapped_errors.py"))
    proxy = start_proxy(
        scripts=scripts,
        arguments=("--listen-host", "127.0.0.1"),
        configuration="[retry]\nattempts = 2\nbackoff_initial = 0.01\n",
    )
    provider.script([faults.reset_before_head(), faults.none(ANTHROPIC)])
    with clients.environment(clients.behind(proxy)):
        assert complete(ANTHROPIC, True).text == good.TEXT
    assert len(provider.received) == 2


@pytest.mark.first_row
@pytest.mark.parametrize("tool", ["mitmdump", "mitmweb"])
def test_an_invalid_configuration_ends_the_start_with_one_clear_line(
    tool: str, tmp_path: Path
) -> None:
    (tmp_path / "wiremend.toml").write_text("[retry]\natempts = 3\n")
    web = ("--no-web-open-browser", "--web-port", "0") if tool == "mitmweb" else ()
    status, printed = run(tool, tmp_path, *web)
    assert status == 1
    assert "wiremend.toml: retry.atempts: unknown key; did you mean 'attempts'?" in printed
    assert "Traceback" not in printed


@pytest.mark.long
def test_a_missing_configuration_ends_the_start(tmp_path: Path) -> None:
    status, printed = run("mitmdump", tmp_path, "--set", "wiremend_config=team.toml")
    assert status == 1
    assert "team.toml: no such file" in printed
    assert "Traceback" not in printed


def test_an_unknown_option_ends_the_start(tmp_path: Path) -> None:
    status, output = run("mitmdump", tmp_path, "--set", "wiremend_confg=team.toml")
    assert status == 1
    line = "wiremend: unknown option 'wiremend_confg'; did you mean 'wiremend_config'?"
    assert output.count(line) == 1


def test_version_and_warnings_are_logged_at_the_start(start_proxy: Callable[..., Proxy]) -> None:
    models = "[[models]]\nmatch = '*'\n[[models]]\nmatch = 'a'\n"
    proxy = start_proxy(configuration=models)
    proxy.wait_for_line(rf"wiremend: version {wiremend.__version__}, mitmproxy 12\.")
    proxy.wait_for_line(r"toml: warning: models\[1\] \('a'\) never applies")


@pytest.mark.long
def test_an_unknown_rule_code_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "wiremend.toml").write_text('[rules]\ndisable = ["S999"]\n')
    status, printed = run("mitmdump", tmp_path)
    assert status == 1
    assert "rules.disable" in printed
    assert "S999" in printed


def test_a_port_in_use_ends_the_start(tmp_path: Path, provider: ScriptedProvider) -> None:
    status, printed = run("mitmdump", tmp_path, "--listen-port", str(provider.port))
    assert status == 1
    assert "address already in use" in printed
    assert "Traceback" not in printed


def test_a_suite_that_cannot_be_imported_ends_the_start(tmp_path: Path) -> None:
    """mitmproxy itself continues without an addon that failed to load (mitmproxy#5029)."""
    script = tmp_path / "broken.py"
    script.write_text("import load_configuration_that_is_not_there\n")
    status, _ = run("mitmdump", tmp_path, script=script)
    assert status == 1


def test_a_changed_configuration_is_read_without_a_restart(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    hosts = {good.HOSTS[ANTHROPIC]: provider.port}
    once = "[retry]\nattempts = 1\n"
    twice = "[retry]\nattempts = 2\nbackoff_initial = 0.01\n"
    with (
        Proxy(tmp_path, authority, hosts, configuration=once) as proxy,
        clients.environment(clients.behind(proxy)),
    ):
        provider.script([faults.reset_before_head(), faults.none(ANTHROPIC)])
        assert complete(ANTHROPIC, True).status == 502
        proxy.configuration_file.write_text(twice)
        proxy.wait_for_line(r"wiremend\.toml reloaded", 10)
        provider.script([faults.reset_before_head(), faults.none(ANTHROPIC)])
        assert complete(ANTHROPIC, True).text == good.TEXT
        start = len(proxy.lines)
        proxy.configuration_file.write_text("[retry]\nattempts = 0\n")
        proxy.wait_for_line("configuration in force is kept", 10, start)
        assert any("attempts: expected" in line for line in proxy.lines[start:])
        provider.script([faults.reset_before_head(), faults.none(ANTHROPIC)])
        assert complete(ANTHROPIC, True).text == good.TEXT


def change_a_module(addons: Path) -> None:
    """Leave a module half written, and change the file that mitmproxy watches."""
    for file in (addons / "wiremend/engine/call_machine.py", addons / "__main__.py"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        os.utime(file, (file.stat().st_atime, file.stat().st_mtime + 1000))


def remove_all(addons: Path) -> None:
    shutil.rmtree(addons)


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize("change", [change_a_module, remove_all])
def test_an_update_of_the_sources_neither_ends_the_proxy_nor_cuts_a_call(
    change: Callable[[Path], None],
    authority: Authority,
    provider: ScriptedProvider,
    tmp_path: Path,
) -> None:
    """`git pull` and `pip install -U` write one file after the other."""
    addons = tmp_path / "addons"
    shutil.copytree(ADDONS, addons, ignore=shutil.ignore_patterns("__pycache__"))
    stream = good.text_stream(ANTHROPIC)
    half = stream.places["mid_content"]
    steps = (
        faults.head(headers=faults.EVENT_STREAM),
        faults.chunks(stream.events[:half]),
        faults.stall,
        faults.chunks(stream.events[half:]),
        faults.end,
    )
    with (
        Proxy(
            tmp_path / "run",
            authority,
            {good.HOSTS[ANTHROPIC]: provider.port},
            configuration="[retry]\nbackoff_initial = 0.01\n",
            scripts=(str(addons / "__main__.py"),),
            arguments=("--listen-host", "127.0.0.1"),
        ) as proxy,
        clients.environment(clients.behind(proxy)),
    ):
        provider.script([Reply("paused", steps)])
        with clients.model_call(proxy, ANTHROPIC, True) as running:
            running.read_until(b"content_block_delta")
            change(addons)
            proxy.wait_for_line("its code was changed; restart to use the new version", 10)
            proxy.configuration_file.write_text("[retry]\nbackoff_initial = 0.02\n")
            proxy.wait_for_line(r"wiremend\.toml reloaded", 10)
            provider.release()
            assert running.response().body == stream.data
        provider.script([faults.reset_before_head(), faults.none(ANTHROPIC)])
        assert complete(ANTHROPIC, True).text == good.TEXT
    assert sum("its code was changed" in line for line in proxy.lines) == 1
    assert sum("Loading script" in line and str(addons) in line for line in proxy.lines) == 1
