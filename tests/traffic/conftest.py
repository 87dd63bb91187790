"""One authority, provider, origin and proxy per session; each test starts without a script."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, good
from traffic.proxy import STREAM_RESPONSES, SUITE, Proxy

ORIGIN_HOST = "registry.example.org"
"""A host that is not a model provider."""

SHARED = (SUITE,)

ATTEMPTS = 4
QUICK_RETRIES = f"""
[breaker]
failures = 0

[retry]
budget = 0
attempts = {ATTEMPTS}
backoff_initial = 0.01
backoff_max = 0.05
"""


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def shared_provider(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScriptedProvider]:
    leaf = authority.leaf(*dict.fromkeys(good.HOSTS.values()))
    with ScriptedProvider(leaf, tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: ScriptedProvider) -> Iterator[ScriptedProvider]:
    shared_provider.clear()
    shared_provider.alpn = ("http/1.1",)
    shared_provider.streams_at_once = 0
    yield shared_provider
    shared_provider.clear()


@pytest.fixture(scope="session")
def shared_origin(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScriptedProvider]:
    leaf = authority.leaf(ORIGIN_HOST)
    with ScriptedProvider(leaf, tmp_path_factory.mktemp("origin")) as origin:
        yield origin


@pytest.fixture
def origin(shared_origin: ScriptedProvider) -> Iterator[ScriptedProvider]:
    shared_origin.clear()
    yield shared_origin
    shared_origin.clear()


@pytest.fixture(scope="session")
def start_proxy(
    authority: Authority,
    shared_provider: ScriptedProvider,
    shared_origin: ScriptedProvider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Proxy]]:
    """Start proxies, one per set of options. Their logs are checked at the end of the run."""
    hosts = dict.fromkeys(good.HOSTS.values(), shared_provider.port)
    hosts[ORIGIN_HOST] = shared_origin.port
    running: dict[str, Proxy] = {}
    with ExitStack() as stack:

        def start(**options: Any) -> Proxy:
            key = repr(sorted(options.items()))
            if key not in running:
                directory = tmp_path_factory.mktemp("proxy")
                proxy = Proxy(
                    directory,
                    authority,
                    hosts,
                    refusals_file=shared_provider.refusals_file,
                    reports_calls=True,
                    **options,
                )
                running[key] = stack.enter_context(proxy)
            return running[key]

        yield start
        for proxy in running.values():
            proxy.terminate()  # all at once


@pytest.fixture
def plain_proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    """A proxy that streams responses and repairs nothing."""
    yield from _checked(start_proxy(scripts=(STREAM_RESPONSES,)))


@pytest.fixture
def proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    """`mitmdump -s addons/` with short backoffs, without retry budget and circuit breaker."""
    yield from _checked(start_proxy(scripts=SHARED, configuration=QUICK_RETRIES))


def _checked(proxy: Proxy) -> Iterator[Proxy]:
    start = len(proxy.lines)
    proxy.forget()
    with clients.environment(clients.behind(proxy)):
        yield proxy
    proxy.assert_log_is_clean(start)
