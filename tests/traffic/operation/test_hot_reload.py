"""Tests that a changed configuration applies to new calls and not to running ones."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from wiremend.launch.authority import make_authority
from wiremend.targets.hosts import PROVIDER_HOSTS
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import Http1Call, RawResponse, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES
from traffic.proxy import Proxy

ANTHROPIC = good.ANTHROPIC
STREAM = good.text_stream(ANTHROPIC)
OLD_KEY, NEW_KEY = "sk-test-DO-NOT-LOG-old", "sk-test-DO-NOT-LOG-new-one"
ROUTED = f"""{QUICK_RETRIES}
[[models]]
match = "claude-*"
model = "old-model"
provider = "other"

[providers.other]
base_url = "https://{ORIGIN_HOST}/old"
api_key_file = "key"
"""


@pytest.fixture
def proxy(
    authority: Authority, provider: ScriptedProvider, origin: ScriptedProvider, tmp_path: Path
) -> Iterator[Proxy]:
    write_key(tmp_path, OLD_KEY)
    hosts = {good.HOSTS[ANTHROPIC]: provider.port, ORIGIN_HOST: origin.port}
    with Proxy(tmp_path, authority, hosts, configuration=ROUTED) as running:
        yield running


def write_key(directory: Path, key: str, name: str = "key") -> None:
    path = directory / name
    path.touch(mode=0o600)
    path.write_text(key)


def reload(proxy: Proxy, configuration: str) -> None:
    start = len(proxy.lines)
    proxy.configuration_file.write_text(configuration)
    proxy.wait_for_line(r"wiremend\.toml reloaded", start=start)


def paused(at: str) -> Reply:
    """Return a good stream that waits at one of its places for `release`."""
    half = STREAM.places[at]
    before, after = STREAM.events[:half], STREAM.events[half:]
    steps = (faults.head(), faults.chunks(before), faults.stall, faults.chunks(after), faults.end)
    return Reply(f"paused {at}", steps)


def next_call(proxy: Proxy) -> RawResponse:
    with model_call(proxy, ANTHROPIC, True) as call:
        return call.response()


@pytest.mark.long
def test_a_running_stream_keeps_its_route_and_the_next_call_gets_the_new_one(
    proxy: Proxy, provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    origin.script([paused("mid_content"), faults.none(ANTHROPIC)])
    with model_call(proxy, ANTHROPIC, True) as running:
        running.read_until(b"content_block_delta")
        write_key(proxy.directory, NEW_KEY, "new-key")
        reload(
            proxy,
            ROUTED.replace("old-model", "new-model")
            .replace("/old", "/new")
            .replace('"key"', '"new-key"'),
        )
        origin.release()
        response = running.response()
    assert (response.body, response.ended) == (STREAM.data, "complete")
    assert next_call(proxy).status == 200
    first, second = origin.received
    assert (first.path, first.json()["model"]) == ("/old/v1/messages", "old-model")
    assert (second.path, second.json()["model"]) == ("/new/v1/messages", "new-model")
    assert first.header("x-api-key") == OLD_KEY
    assert second.header("x-api-key") == NEW_KEY
    assert provider.received == []


def test_a_call_that_fails_after_the_change_is_retried_with_its_old_route(
    proxy: Proxy, provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    origin.script([Reply("reset later", (faults.stall, faults.reset)), faults.none(ANTHROPIC)])
    with model_call(proxy, ANTHROPIC, True) as running:
        origin.wait_for_requests(1)
        reload(proxy, QUICK_RETRIES)
        origin.release()
        assert running.response().body == STREAM.data
    first, second = origin.received
    assert (first.path, first.body, first.headers) == (second.path, second.body, second.headers)
    assert second.header("x-api-key") == OLD_KEY
    provider.script([faults.none(ANTHROPIC)])
    assert next_call(proxy).status == 200
    assert provider.received[0].json()["model"] == good.MODELS[ANTHROPIC]


def test_a_changed_key_file_is_read(proxy: Proxy, origin: ScriptedProvider) -> None:
    origin.script([faults.none(ANTHROPIC)])
    next_call(proxy)
    start = len(proxy.lines)
    write_key(proxy.directory, NEW_KEY)
    proxy.wait_for_line(r"wiremend\.toml reloaded", start=start)
    next_call(proxy)
    assert [received.header("x-api-key") for received in origin.received] == [OLD_KEY, NEW_KEY]


def test_a_key_file_that_others_can_read_keeps_the_key_in_force(
    proxy: Proxy, origin: ScriptedProvider
) -> None:
    origin.script([faults.none(ANTHROPIC)])
    start = len(proxy.lines)
    (proxy.directory / "key").chmod(0o644)
    proxy.wait_for_line(r"accessed by others \(mode 0644\); run: chmod 600", start=start)
    proxy.wait_for_line(r"the configuration in force is kept", start=start)
    next_call(proxy)
    assert origin.received[0].header("x-api-key") == OLD_KEY


def test_rules_change_for_the_next_call_only(
    proxy: Proxy, provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    """Both streams are broken; the second one is forwarded unchanged, since its rules are off."""
    reload(proxy, QUICK_RETRIES)
    broken = good.stream_with_blocks_from_index(1)
    half = broken.places["mid_content"]
    steps = (
        faults.head(),
        faults.chunks(broken.events[:half]),
        faults.stall,
        faults.chunks(broken.events[half:]),
        faults.end,
    )
    provider.script([Reply("broken and paused", steps), faults.streamed(broken.events)])
    with model_call(proxy, ANTHROPIC, True) as running:
        running.read_until(b"content_block_delta")
        reload(proxy, f'{QUICK_RETRIES}\n[rules]\ndisable = ["S"]\n')
        provider.release()
        assert b'"index": 1' not in running.response().body
    assert b'"index": 1' in next_call(proxy).body


@pytest.mark.long
def test_a_host_that_the_ca_may_not_sign_for_is_reported_and_stays_tunnelled(
    authority: Authority, provider: ScriptedProvider, origin: ScriptedProvider, tmp_path: Path
) -> None:
    """With the CA of scripts/run, whose hosts are those of its start."""
    make_authority(tmp_path / "ca", PROVIDER_HOSTS, datetime.datetime.now(datetime.UTC))
    hosts = {good.HOSTS[ANTHROPIC]: provider.port, ORIGIN_HOST: origin.port}
    origin.script([faults.none(ANTHROPIC)])
    provider.script([faults.none(ANTHROPIC)])
    quiet = "[retry]\nattempts = 3\n"
    with Proxy(tmp_path, authority, hosts, configuration=quiet, confdir=tmp_path / "ca") as proxy:
        reload(proxy, f'[intercept]\nhosts = ["{ORIGIN_HOST}"]\n')
        line = proxy.wait_for_line("may not sign for").string
        assert ORIGIN_HOST in line
        assert good.HOSTS[ANTHROPIC] not in line
        with Http1Call(proxy, ORIGIN_HOST, trusted=authority.file) as client:
            client.send("POST", "/v1/messages", {"content-type": "application/json"}, b"{}")
            assert client.response().status == 200
        assert next_call(proxy).status == 200
