"""The pytest plugin: fixtures `wiremend` and `wiremend_provider`, marker `wiremend`.

pytest imports this module in every run of an environment that wiremend is installed in. It
therefore imports nothing but pytest at its top.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wiremend.testing.certificates import Authority
    from wiremend.testing.provider import ScriptedProvider
    from wiremend.testing.proxy import Proxy

_MARKER = (
    "wiremend(config): the configuration of the `wiremend` fixture's proxy; TOML text, or the path "
    "of a file."
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def _wiremend_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority of scripted providers."""
    from wiremend.testing.certificates import Authority

    return Authority(tmp_path_factory.mktemp("wiremend-authority"))


@pytest.fixture(scope="session")
def _wiremend_confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the proxies' CA. Each worker of pytest-xdist has its own."""
    return tmp_path_factory.mktemp("wiremend-confdir")


@pytest.fixture
def wiremend_provider(
    _wiremend_authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScriptedProvider]:
    """A scripted model provider on loopback, with TLS, HTTP/1.1 and HTTP/2.

    `script([...])` sets its replies, as tables (`wiremend.testing.plays.Play`); `received` lists
    the requests. The proxy of `wiremend` reaches it under the host name of every provider, and no
    other host.
    """
    from wiremend.testing.certificates import LeafPerName
    from wiremend.testing.provider import ScriptedProvider

    directory = tmp_path_factory.mktemp("wiremend-provider")
    with ScriptedProvider(LeafPerName(_wiremend_authority), directory) as provider:
        yield provider


@pytest.fixture
def wiremend(
    request: pytest.FixtureRequest,
    _wiremend_confdir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """A mitmdump with all addons of wiremend on a free port.

    `env` contains the variables of a client; `calls`, `attempts` and `findings` are what happened
    so far; `assert_clean()` and `assert_no_failures()` check it. The marker `wiremend(config=...)`
    sets its configuration. Without the fixture `wiremend_provider` it uses the network.
    """
    from wiremend.testing.proxy import Proxy

    provider: ScriptedProvider | None = None
    authority: Authority | None = None
    if "wiremend_provider" in request.fixturenames:
        provider = request.getfixturevalue("wiremend_provider")
        authority = request.getfixturevalue("_wiremend_authority")
    proxy = Proxy(
        tmp_path_factory.mktemp("wiremend"),
        authority,
        provider_port=provider.port if provider else 0,
        refusals_file=provider.refusals_file if provider else None,
        configuration=_configuration(request.node),
        confdir=_wiremend_confdir,
    )
    with proxy:
        yield proxy


def _configuration(node: pytest.Item) -> str:
    """Return the TOML text of the closest marker."""
    marker = node.get_closest_marker("wiremend")
    if marker is None:
        return ""
    if marker.args or set(marker.kwargs) != {"config"}:
        raise pytest.UsageError(f"{node.nodeid}: write the marker as wiremend(config=...)")
    config = marker.kwargs["config"]
    if isinstance(config, str):
        return config
    path = Path(config)
    return (path if path.is_absolute() else node.path.parent / path).read_text()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the calls and the log of a proxy to the report of a failed test."""
    report = yield
    # Without this module no fixture has started a proxy.
    module = sys.modules.get("wiremend.testing.proxy")
    if module is not None and report.when == "call" and report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, module.Proxy):
                report.sections.append((f"wiremend calls and log: {name}", value.report()))
    return report
