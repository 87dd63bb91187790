"""Tests with a real mitmdump that `./wiremend.toml` is used only after its content was allowed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES
from traffic.proxy import Proxy, ProxyFailed

ANTHROPIC = good.ANTHROPIC
VALUE = "sk-test-DO-NOT-LOG-of-the-environment"
ROUTED = f"""{QUICK_RETRIES}
[[models]]
match = "claude-*"
provider = "other"

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key = "${{WIREMEND_TEST_KEY}}"
"""
ALLOW = ("--set", "wiremend_allow=true")


@pytest.fixture
def hosts(provider: ScriptedProvider, origin: ScriptedProvider) -> dict[str, int]:
    return {good.HOSTS[ANTHROPIC]: provider.port, ORIGIN_HOST: origin.port}


def discovering(
    directory: Path, authority: Authority, hosts: dict[str, int], *arguments: str
) -> Proxy:
    """Return a proxy that finds its configuration in its working directory."""
    environment = {"WIREMEND_TEST_KEY": VALUE}
    return Proxy(
        directory,
        authority,
        hosts,
        configuration=ROUTED,
        discovered=True,
        arguments=arguments,
        environment=environment,
    )


@pytest.fixture
def allowed_proxy(authority: Authority, hosts: dict[str, int], tmp_path: Path) -> Iterator[Proxy]:
    with discovering(tmp_path, authority, hosts, *ALLOW) as running:
        yield running


def call(proxy: Proxy) -> int:
    with model_call(proxy, ANTHROPIC, True) as running:
        return running.response().status


def start_and_read_log(proxy: Proxy) -> None:
    """Start the proxy and read its log to the end; mitmdump may listen briefly before it exits."""
    proxy.start()
    proxy.wait_for_line("a line that is never printed", 10)


def test_without_consent_the_start_fails_and_lists_hosts_and_variables(
    authority: Authority, hosts: dict[str, int], tmp_path: Path
) -> None:
    proxy = discovering(tmp_path, authority, hosts)
    with pytest.raises(ProxyFailed):
        start_and_read_log(proxy)
    assert proxy.wait(10) == 1
    proxy.stop()
    log = "\n".join(proxy.lines)
    assert f"{proxy.configuration_file} is not allowed" in log
    assert f"hosts: https://{ORIGIN_HOST} (provider other)" in log
    assert f"environment variables: WIREMEND_TEST_KEY (to https://{ORIGIN_HOST})" in log
    assert "--set wiremend_allow=true" in log
    proxy.assert_log_is_clean()


def test_consent_is_remembered_for_the_next_start(
    authority: Authority, hosts: dict[str, int], tmp_path: Path, origin: ScriptedProvider
) -> None:
    for arguments in (ALLOW, ()):
        origin.script([faults.none(ANTHROPIC)])
        with discovering(tmp_path, authority, hosts, *arguments) as proxy:
            proxy.wait_for_line(rf"wiremend: configuration from {proxy.configuration_file}$")
            assert call(proxy) == 200
    assert [received.header("x-api-key") for received in origin.received] == [VALUE, VALUE]


@pytest.mark.long
def test_the_start_reports_built_in_defaults(
    authority: Authority, hosts: dict[str, int], tmp_path: Path
) -> None:
    with Proxy(tmp_path, authority, hosts) as proxy:
        proxy.wait_for_line("wiremend: configuration from built-in defaults$")


@pytest.mark.long
def test_an_edit_with_a_new_host_is_refused_and_a_harmless_one_applied(
    allowed_proxy: Proxy, provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    origin.script([faults.none(ANTHROPIC)])
    proxy, start = allowed_proxy, len(allowed_proxy.lines)
    evil = ROUTED.replace(ORIGIN_HOST, "evil.example.org")
    proxy.configuration_file.write_text(evil)
    proxy.wait_for_line("configuration in force is kept", start=start)
    log = "\n".join(proxy.lines[start:])
    assert "hosts: https://evil.example.org (provider other)" in log
    assert "environment variables: WIREMEND_TEST_KEY (to https://evil.example.org)" in log
    assert "scripts/run --allow" in log
    assert call(proxy) == 200
    start = len(proxy.lines)
    proxy.configuration_file.write_text(ROUTED.replace("attempts = 4", "attempts = 1"))
    proxy.wait_for_line(r"wiremend\.toml reloaded", start=start)
    origin.script([faults.reset_before_head(), faults.none(ANTHROPIC)])
    assert call(proxy) == 502
    assert {received.path for received in origin.received} == {"/v1/messages"}
    assert provider.received == []
    assert sum("evil.example.org (provider" in line for line in proxy.lines) == 1


@pytest.mark.long
def test_a_refused_edit_is_applied_once_another_process_allows_it(
    allowed_proxy: Proxy, authority: Authority, hosts: dict[str, int], origin: ScriptedProvider
) -> None:
    proxy, start = allowed_proxy, len(allowed_proxy.lines)
    changed = ROUTED + 'headers = { "x-team" = "blue" }\n'
    proxy.configuration_file.write_text(changed)
    proxy.wait_for_line("configuration in force is kept", start=start)
    start = len(proxy.lines)
    state = {
        "PYTHONPATH": str(Path(__file__).parents[3] / "addons"),
        "XDG_STATE_HOME": str(proxy.directory / "state"),
        "WIREMEND_TEST_KEY": VALUE,
    }
    subprocess.run(
        [sys.executable, "-P", "-m", "wiremend", "run", "--allow", "--", "true"],
        cwd=proxy.directory,
        env={**os.environ, **state},
        check=True,
        capture_output=True,
        timeout=60,
    )
    proxy.wait_for_line(r"wiremend\.toml reloaded", start=start)
    origin.script([faults.none(ANTHROPIC)])
    assert call(proxy) == 200
    assert origin.received[0].header("x-team") == "blue"


@pytest.mark.long
def test_a_file_that_is_emptied_or_removed_keeps_the_routes(
    allowed_proxy: Proxy, provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    proxy = allowed_proxy
    for is_removed in (False, True):
        start = len(proxy.lines)
        if is_removed:
            proxy.configuration_file.unlink()
        else:
            proxy.configuration_file.write_text("")
        proxy.wait_for_line("configuration in force is kept", start=start)
        origin.script([faults.none(ANTHROPIC)])
        assert call(proxy) == 200
    assert provider.received == []


def test_consent_that_was_given_at_the_start_is_not_for_a_later_content(
    allowed_proxy: Proxy, origin: ScriptedProvider
) -> None:
    """The option `wiremend_allow` stays on the command line, and the running proxy forgets it."""
    proxy, start = allowed_proxy, len(allowed_proxy.lines)
    state = proxy.directory / "state/wiremend/allowed"
    allowed = list(state.iterdir())
    evil = ROUTED.replace(ORIGIN_HOST, "evil.example.org")
    replacement = proxy.directory / "new.toml"
    replacement.write_text(evil)
    replacement.rename(proxy.configuration_file)
    proxy.wait_for_line("configuration in force is kept", start=start)
    assert list(state.iterdir()) == allowed
    origin.script([faults.none(ANTHROPIC)])
    assert call(proxy) == 200
