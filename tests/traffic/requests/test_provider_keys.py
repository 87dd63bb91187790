"""Tests of providers with several keys, and with timeouts and retries of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import complete, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

A, C = good.ANTHROPIC, good.CHAT
KEYS = ("sk-test-DO-NOT-LOG-first", "sk-test-DO-NOT-LOG-second")
ROUTE = f"""{QUICK_RETRIES}
[[models]]
match = "*"
model = "kimi-k3"
provider = "other"
"""
SEVERAL = f"""{ROUTE}
[providers.other]
preset = "kimi"
base_url = "https://{ORIGIN_HOST}/v1"
api_keys = ["${{FIRST_KEY}}", "${{SECOND_KEY}}"]
"""
ONE = SEVERAL.replace(', "${SECOND_KEY}"', "")
STATUSES = pytest.mark.parametrize("status", [401, 402])


ENVIRONMENT = {"FIRST_KEY": KEYS[0], "SECOND_KEY": KEYS[1]}


@pytest.fixture
def start(start_proxy: Callable[..., Proxy]) -> Callable[[str], Proxy]:
    """Start a proxy that other tests share: no key drops out."""

    def started(configuration: str) -> Proxy:
        proxy = start_proxy(scripts=SHARED, configuration=configuration, environment=ENVIRONMENT)
        proxy.forget()
        return proxy

    return started


@pytest.fixture
def start_own(
    authority: Authority, provider: ScriptedProvider, origin: ScriptedProvider, tmp_path: Path
) -> Iterator[Callable[[str], Proxy]]:
    """Start a proxy of one test: which keys were refused is its state."""
    running: list[Proxy] = []

    def started(configuration: str) -> Proxy:
        proxy = Proxy(
            tmp_path,
            authority,
            {**dict.fromkeys(good.HOSTS.values(), provider.port), ORIGIN_HOST: origin.port},
            configuration=configuration,
            environment=ENVIRONMENT,
            reports_calls=True,
        )
        running.append(proxy)
        return proxy.__enter__()

    yield started
    for proxy in running:
        proxy.__exit__(None, None, None)


def key_of(received: Received) -> str:
    return received.header("authorization").removeprefix("Bearer ")


def refusing(refused: list[str], status: int) -> Callable[[Received], Reply]:
    """Answer calls with these keys by an error that repeats the key."""

    def reply(received: Received) -> Reply:
        key = key_of(received)
        if key not in refused:
            return faults.none(C, bool(received.json().get("stream")))
        body = faults.native_error(C, status, "authentication_error", f"bad key: {key}")
        return faults.status(status, body)

    return reply


def ask(proxy: Proxy, client: WireProtocol = A, stream: bool = True) -> clients.Outcome:
    with clients.environment(clients.behind(proxy)):
        return complete(client, stream)


def first_key(proxy: Proxy, origin: ScriptedProvider) -> str:
    """Return the key of the conversation."""
    origin.script([refusing([], 401)])
    assert ask(proxy).text == good.TEXT
    key = key_of(origin.received[-1])
    origin.clear()
    return key


@pytest.mark.first_row
@pytest.mark.parametrize(("status", "stream"), [(401, True), (402, False)])
def test_a_rejected_key_is_replaced_at_once_and_not_used_again_until_a_reload(
    start_own: Callable[[str], Proxy], origin: ScriptedProvider, status: int, stream: bool
) -> None:
    proxy = start_own(SEVERAL)
    bad = first_key(proxy, origin)
    (good_key,) = {*KEYS} - {bad}
    refused = [bad]
    origin.script([refusing(refused, status)])
    for _ in range(3):
        outcome = ask(proxy, stream=stream)
        assert (outcome.error_class, outcome.text) == ("", good.TEXT)
    assert [*map(key_of, origin.received)] == [bad, good_key, good_key, good_key]
    first, second = origin.received[:2]
    assert first.body == second.body
    refused.clear()
    lines = len(proxy.lines)
    proxy.configuration_file.write_text(SEVERAL + "\n[heartbeat]\nafter = 9.0\n")
    proxy.wait_for_line(r"wiremend\.toml reloaded", start=lines)
    assert ask(proxy, stream=stream).text == good.TEXT
    assert key_of(origin.received[-1]) == bad
    [finding] = [finding for finding in proxy.findings if finding.code == "R011"]
    assert f"key {KEYS.index(bad) + 1} of 2 is rejected ({status})" in finding.found
    assert finding.done == f"sent again with key {KEYS.index(good_key) + 1} of 2"
    everything = "\n".join([*proxy.lines, *map(repr, proxy.calls)])
    assert not [key for key in KEYS if key in everything]


@pytest.mark.long
@STATUSES
@pytest.mark.parametrize("configuration", [ONE, SEVERAL], ids=["the only key", "all keys"])
def test_keys_that_are_all_rejected_are_all_tried_by_the_next_call(
    start: Callable[[str], Proxy], origin: ScriptedProvider, status: int, configuration: str
) -> None:
    proxy = start(configuration)
    origin.script([refusing([*KEYS], status)])
    for number in (1, 2):
        outcome = ask(proxy)
        assert outcome.status == status
        assert "bad key" in outcome.message
        used = [*map(key_of, origin.received)]
        assert sorted(used) == sorted(number * (KEYS[:1] if configuration is ONE else KEYS))
    everything = "\n".join([*proxy.lines, *map(repr, proxy.calls)])
    assert not [key for key in KEYS if key in everything]


def test_sessions_are_spread_over_the_keys_and_keep_theirs(
    start: Callable[[str], Proxy], origin: ScriptedProvider
) -> None:
    proxy = start(SEVERAL)
    origin.script([refusing([], 401)])
    used: dict[str, set[str]] = {}
    for number in range(16):
        session = str(number % 8)
        headers = {"x-claude-code-session-id": session}
        with model_call(proxy, A, True, headers=headers) as call:
            assert call.response().status == 200
        used.setdefault(session, set()).add(key_of(origin.received[-1]))
    assert {len(keys) for keys in used.values()} == {1}
    assert {key for keys in used.values() for key in keys} == {*KEYS}


TWO_PROVIDERS = f"""
[retry]
budget = 0
attempts = 3
backoff_initial = 0.01
backoff_max = 0.05

[breaker]
failures = 0

[[models]]
match = "*"
provider = "first"
fallback = ["second/m"]
%(route)s

[providers.first]
base_url = "https://{ORIGIN_HOST}/first"
%(first)s

[providers.second]
base_url = "https://{ORIGIN_HOST}/second"
%(second)s
"""
LIMITS = [
    # of the route, of the first provider, of the second, attempts at each
    ("", "retry = { attempts = 1 }", "", (1, 3)),
    ("retry = { attempts = 2 }", "retry = { attempts = 1 }", "", (2, 2)),
]


@pytest.mark.parametrize(("route", "first", "second", "attempts"), LIMITS)
def test_each_target_has_the_retries_of_its_provider_and_route(
    start: Callable[[str], Proxy],
    origin: ScriptedProvider,
    route: str,
    first: str,
    second: str,
    attempts: tuple[int, int],
) -> None:
    proxy = start(TWO_PROVIDERS % {"route": route, "first": first, "second": second})
    origin.script([faults.overloaded(A)])
    assert ask(proxy).status == 529
    paths = [received.path.split("/")[1] for received in origin.received]
    assert (paths.count("first"), paths.count("second")) == attempts


STALLED = [
    # of the route, of the first provider
    ("", "timeouts = { first_byte = 0.2 }"),
    ("timeouts = { first_byte = 0.2 }", ""),
]


@pytest.mark.long
@pytest.mark.parametrize(("route", "first"), STALLED)
def test_each_target_has_the_timeouts_of_its_provider_and_route(
    start: Callable[[str], Proxy], origin: ScriptedProvider, route: str, first: str
) -> None:
    """Without them, the call would wait for minutes."""
    one = f"{first}\nretry = {{ attempts = 1 }}"
    proxy = start(TWO_PROVIDERS % {"route": route, "first": one, "second": ""})

    def reply(received: Received) -> Reply:
        is_first = received.path.startswith("/first")
        return faults.stall_before_head() if is_first else faults.none(A)

    origin.script([reply])
    assert ask(proxy).text == good.TEXT
    paths = [received.path.split("/")[1] for received in origin.received]
    assert paths == ["first", "second"]
