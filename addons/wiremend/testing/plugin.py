"""The pytest plugin: fixtures `wiremend`, `wiremend_provider` and `wiremend_maps`, marker
`wiremend`, and the options that record cassettes.

pytest imports this module in every run of an environment that wiremend is installed in. It
therefore imports nothing but pytest at its top.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wiremend.testing.cassettes import CassetteUse
    from wiremend.testing.certificates import Authority
    from wiremend.testing.marks import Mark
    from wiremend.testing.provider import ScriptedProvider
    from wiremend.testing.proxy import Proxy


class RecordMode(StrEnum):
    """What becomes of the calls of a test with a cassette."""

    NONE = "none"
    """They are answered from the cassette; another call fails the test."""
    ONCE = "once"
    """They are recorded if there is no file, else answered from it."""
    NEW_EPISODES = "new-episodes"
    """Those in the file are answered from it; others are recorded, and appended to it."""
    ALL = "all"
    """They are recorded, and appended to the file."""
    REWRITE = "rewrite"
    """They are recorded; the recording replaces the file."""


_MARKERS = (
    "wiremend(config, cassette, faults, match, plain, provider_hosts): the proxy of the `wiremend` "
    "fixture. config: TOML text, or the path of a file. cassette: a recording that answers all "
    "calls. "
    "faults: a fault file, or a table like one. match: messages, strict or order. "
    "plain: repair and retry nothing. "
    "provider_hosts: addresses of this machine that are the scripted provider in this test.",
)
_RECORDED_SECTION = "wiremend recorded"
_CASSETTE = pytest.StashKey["tuple[CassetteUse, Proxy]"]()
"""The cassette of a running test, and its proxy."""
_HAS_PASSED = pytest.StashKey[bool]()
"""Whether the call of a test passed."""
_IS_REPORTED = pytest.StashKey[bool]()
"""Whether the test failed because of its cassette, so that the message says all."""
_NOTE = pytest.StashKey[str]()
"""What became of a recording."""
_WRITTEN = pytest.StashKey[dict[Path, str]]()
"""The cassettes that were written in this run, and by which test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the keys of the ini file."""
    modes = ", ".join(RecordMode)
    parser.getgroup("wiremend", "cassettes of model calls").addoption(
        "--wiremend-record",
        choices=tuple(RecordMode),
        metavar="MODE",
        help="what becomes of calls in tests with a cassette: none (default; replay only), once "
        "(record if there is no file), new-episodes (replay, and record and append other calls), "
        "rewrite (record again, and replace the file if the test passes), all (record, and "
        f"append); one of {modes}",
    )
    parser.addini("wiremend_record", "The default of --wiremend-record.", default="")
    parser.addini(
        "wiremend_cassettes",
        "The folder of cassettes, relative to this file. By default `cassettes` beside the test.",
        default="",
    )
    parser.addini(
        "wiremend_match",
        "What must be equal for a call to be answered from a cassette: messages (default), strict "
        "or order.",
        default="",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and check the ini file."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[_WRITTEN] = {}
    _record_mode(config)


def _record_mode(config: pytest.Config) -> RecordMode:
    """Return the mode of the command line, else that of the ini file."""
    text = config.getoption("--wiremend-record") or config.getini("wiremend_record") or "none"
    try:
        return RecordMode(text)
    except ValueError:
        modes = ", ".join(RecordMode)
        raise pytest.UsageError(f"wiremend_record: {text!r} is not one of {modes}") from None


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Return a line if calls may be recorded."""
    mode = _record_mode(config)
    return [] if mode is RecordMode.NONE else [f"wiremend: record mode {mode.value}"]


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
    request: pytest.FixtureRequest,
    _wiremend_authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ScriptedProvider]:
    """A scripted model provider on loopback, with and without TLS, HTTP/1.1 and HTTP/2.

    `script([...])` sets its replies, as tables (`wiremend.testing.plays.Play`); `received` lists
    the requests. The proxy of `wiremend` reaches it under the host name of every provider, and no
    other host, except for addresses of this machine that are not in the marker's `provider_hosts`.
    While a cassette is replayed it gets no requests.
    """
    from wiremend.testing.certificates import LeafPerName
    from wiremend.testing.marks import WrongMark, mark_of
    from wiremend.testing.provider import ScriptedProvider

    directory = tmp_path_factory.mktemp("wiremend-provider")
    try:
        addresses = mark_of(request.node).provider_hosts
    except WrongMark as problem:
        pytest.fail(f"{request.node.nodeid}: {problem}", pytrace=False)
    leaf = LeafPerName(_wiremend_authority, addresses)
    with ScriptedProvider(leaf, directory) as provider:
        yield provider


@pytest.fixture
def wiremend_maps() -> Mapping[str, str]:
    """Folders in the tool calls of a cassette, and where they are now; override it to set them."""
    return {}


@pytest.fixture
def wiremend(
    request: pytest.FixtureRequest,
    _wiremend_confdir: Path,
    wiremend_maps: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """A mitmdump with all addons of wiremend on a free port.

    `env` contains the variables of a client; `calls`, `attempts` and `findings` are what happened
    so far; `assert_clean()` and `assert_no_failures()` check it. The marker `wiremend(...)` sets
    its configuration, the cassette that answers all calls, and faults. Without a cassette and the
    fixture `wiremend_provider` it uses the network, through the proxy in HTTPS_PROXY if there is
    one.
    """
    from wiremend.testing.cassettes import CassetteProblem
    from wiremend.testing.marks import mark_of
    from wiremend.testing.proxy import Proxy, fault_settings, network_settings

    item = request.node
    directory = tmp_path_factory.mktemp("wiremend")
    try:
        mark = mark_of(item)
        use = _cassette_use(item, mark, wiremend_maps)
        arguments = fault_settings(directory, mark.faults, is_plain=mark.is_plain)
        is_replay = use is not None and not use.is_recording
        is_scripted = "wiremend_provider" in request.fixturenames and not is_replay
        if mark.provider_hosts and not is_scripted:
            raise ValueError("provider_hosts needs the fixture wiremend_provider, and no cassette")
        environment: dict[str, str] = {}
        if not is_replay and not is_scripted:
            network, environment = network_settings(os.environ)
            arguments += network
        arguments += use.start() if use is not None else []
    except (CassetteProblem, ValueError) as problem:
        pytest.fail(f"{item.nodeid}: {problem}", pytrace=False)
    provider: ScriptedProvider | None = None
    authority: Authority | None = None
    if is_scripted:
        provider = request.getfixturevalue("wiremend_provider")
        authority = request.getfixturevalue("_wiremend_authority")
    proxy = Proxy(
        directory,
        authority,
        dict.fromkeys(mark.provider_hosts, provider.port) if provider else None,
        provider_port=provider.port if provider else 0,
        refusals_file=provider.refusals_file if provider else None,
        configuration=mark.config,
        confdir=_wiremend_confdir,
        arguments=arguments,
        environment=environment,
    )
    _start(item, proxy, use)
    try:
        yield proxy
    finally:
        proxy.stop()
        _finish(item, proxy)


def _start(item: pytest.Item, proxy: Proxy, use: CassetteUse | None) -> None:
    """Start a proxy. A cassette that it cannot replay fails the test in one line."""
    from wiremend.testing.proxy import ProxyFailed

    try:
        proxy.start()
    except ProxyFailed:
        if use is not None:
            use.discard()
            if text := use.start_problem(proxy):
                pytest.fail(f"{item.nodeid}: {text}", pytrace=False)
        raise
    if use is not None:
        item.stash[_CASSETTE] = (use, proxy)


def _finish(item: pytest.Item, proxy: Proxy) -> None:
    """Check the log of a proxy that has ended, and put its recording in its place."""
    from wiremend.testing.cassettes import CassetteProblem

    use, _ = item.stash.get(_CASSETTE, (None, proxy))
    has_passed = item.stash.get(_HAS_PASSED, False)
    try:
        proxy.assert_log_is_clean()
        if use is not None and (note := use.finish(proxy, has_passed=has_passed)):
            item.stash[_NOTE] = f"{item.nodeid}: {note}"
            if has_passed:
                item.config.stash[_WRITTEN][use.file] = item.nodeid
    except CassetteProblem as problem:
        pytest.fail(f"{item.nodeid}: {problem}", pytrace=False)
    finally:
        if use is not None:
            use.discard()
            del item.stash[_CASSETTE]


def _cassette_use(item: pytest.Item, mark: Mark, maps: Mapping[str, str]) -> CassetteUse | None:
    """Return what the test does with its cassette; None if it has none."""
    from wiremend.testing.cassettes import CassetteProblem, cassette_file, use_of
    from wiremend.testing.marks import checked_level

    if mark.cassette is None:
        return None
    config = item.config
    folder = item.path.parent / "cassettes"
    if text := config.getini("wiremend_cassettes"):
        folder = (config.inipath.parent if config.inipath else config.rootpath) / text
    level = mark.match or config.getini("wiremend_match") or "messages"
    use = use_of(
        cassette_file(mark.cassette, folder),
        _record_mode(config),
        item.nodeid,
        match=checked_level("wiremend_match", level),
        maps={str(old): str(new) for old, new in maps.items()},
        has_faults=bool(mark.faults),
    )
    writer = config.stash[_WRITTEN].get(use.file, item.nodeid)
    if use.is_recording and not use.is_shared and writer != item.nodeid:
        raise CassetteProblem(f"{use.file} was just recorded by {writer}; give each test its own")
    return use


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail a test whose calls were not in its cassette, also if its agent ignored that."""
    item.stash[_IS_REPORTED] = False
    result = yield
    use, proxy = item.stash.get(_CASSETTE, (None, None))
    if use is not None and proxy is not None and (text := use.problem(proxy)):
        item.stash[_IS_REPORTED] = True
        pytest.fail(text, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the calls and the log of a proxy to the report of a failed test."""
    report = yield
    if report.when == "setup":
        item.stash[_HAS_PASSED] = False
    elif report.when == "call":
        item.stash[_HAS_PASSED] = report.passed
    elif note := item.stash.get(_NOTE, ""):
        report.sections.append((_RECORDED_SECTION, note))
        del item.stash[_NOTE]
    # Without this module no fixture has started a proxy.
    module = sys.modules.get("wiremend.testing.proxy")
    if module is not None and report.when == "call" and report.failed:
        use, proxy = item.stash.get(_CASSETTE, (None, None))
        is_missing = use is not None and not item.stash.get(_IS_REPORTED, False)
        if use is not None and proxy is not None and is_missing and (text := use.problem(proxy)):
            report.sections.append((f"wiremend cassette: {use.file.name}", text))
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, module.Proxy):
                report.sections.append((f"wiremend calls and log: {name}", value.report()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which cassettes were written; also those of xdist's workers."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "sections", ()):
                if name == _RECORDED_SECTION:
                    terminalreporter.write_line(f"wiremend: {text}")
