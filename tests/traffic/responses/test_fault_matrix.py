"""Runs the fault matrix of fault_matrix.py through a real `mitmdump -s addons/`.

Cells run concurrently, because stalls last until a timeout; each cell is a separate test. In the
short tier each fault, place, protocol, kind of response and version of HTTP occurs once.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import pytest
from tiers import covering
from wiremend.testing.exchange import ConnectionFault, Received
from wiremend.testing.provider import ScriptedProvider

from traffic import faults
from traffic.assembled import Answer, read_answer
from traffic.clients import RawResponse, model_call
from traffic.conftest import QUICK_RETRIES, SHARED
from traffic.fault_matrix import CELLS, FAULTS, HTTP_VERSIONS, POSSIBLE, Cell, Sees
from traffic.proxy import Proxy

AT_ONCE = 64
TIMEOUTS = """
[timeouts]
first_byte = 3.0
answer = 3.0
idle = 3.0
"""
"""Long enough for a busy machine; the stalled cells run concurrently."""
ALPN = {"HTTP/1.1": ("http/1.1",), "HTTP/2": ("h2",)}
SHORT = frozenset(
    covering(
        POSSIBLE,
        lambda cell: (cell.fault, cell.place, cell.protocol, cell.stream, cell.http_version),
    )
)
each_cell = pytest.mark.parametrize(
    "cell",
    [
        pytest.param(cell, id=str(cell), marks=() if cell in SHORT else pytest.mark.long)
        for cell in POSSIBLE
    ],
)


@dataclass(frozen=True)
class Seen:
    """The result of one cell."""

    response: RawResponse
    received: tuple[Received, ...]
    failed_connections: int = 0

    @property
    def calls(self) -> int:
        """The number of attempts that the provider saw."""
        return len(self.received) + self.failed_connections


@pytest.fixture(scope="module")
def seen(
    start_proxy: Callable[..., Proxy],
    shared_provider: ScriptedProvider,
    request: pytest.FixtureRequest,
) -> Iterator[Mapping[Cell, Seen]]:
    """The results of the cells of selected tests, each run once."""
    selected = {cell for item in request.session.items if (cell := _cell(item))}
    proxy = start_proxy(scripts=SHARED, configuration=QUICK_RETRIES + TIMEOUTS)
    results: dict[Cell, Seen] = {}
    for http_version in HTTP_VERSIONS:
        shared_provider.clear()
        shared_provider.alpn = ALPN[http_version]
        cells = [
            cell for cell in POSSIBLE if cell in selected and cell.http_version == http_version
        ]
        alone = [cell for cell in cells if isinstance(cell.script()[0], ConnectionFault)]
        together = [cell for cell in cells if cell not in alone]
        shown = {cell: threading.Event() for cell in together}
        for cell in together:
            script = cell.script(gate=faults.wait_until(shown[cell].is_set))
            shared_provider.script(script, when=_is_of(cell))
        with ThreadPoolExecutor(AT_ONCE) as threads:
            responses = list(threads.map(_call, repeat(proxy), together, shown.values()))
        for cell, response in zip(together, responses, strict=True):
            requests = tuple(filter(_is_of(cell), shared_provider.received))
            results[cell] = Seen(response, requests)
        for cell in alone:
            results[cell] = _run_alone(proxy, shared_provider, cell)
    shared_provider.clear()
    yield results
    proxy.assert_log_is_clean()


def _cell(item: pytest.Item) -> Cell | None:
    """Return the cell of a test of this module."""
    if item.path != Path(__file__):
        return None
    callspec = getattr(item, "callspec", None)
    return callspec and callspec.params.get("cell")


def _is_of(cell: Cell) -> Callable[[Received], bool]:
    name = str(cell)
    return lambda received: received.header("x-cell") == name


def _call(proxy: Proxy, cell: Cell, shown: threading.Event) -> RawResponse:
    """Make the call; set `shown` once the client has read the events before the fault."""
    if not cell.shown_before_fault:
        shown.set()
    with model_call(
        proxy,
        cell.protocol,
        cell.stream,
        http_version=cell.http_version,
        headers={"x-cell": str(cell)},
        timeout_seconds=60.0,
    ) as call:
        if not shown.is_set():
            call.read_until(cell.shown_before_fault)
            shown.set()
        return call.response()


def _run_alone(proxy: Proxy, provider: ScriptedProvider, cell: Cell) -> Seen:
    """Run a cell with a connection fault, which cannot be selected by request."""
    provider.clear()
    provider.script(cell.script())
    response = _call(proxy, cell, threading.Event())
    failed = provider.refused + provider.connections - 1
    return Seen(response, tuple(provider.received), failed)


def _assembled(cell: Cell, response: RawResponse) -> Answer:
    return read_answer(cell.protocol, response.body, stream=cell.stream)


@each_cell
def test_the_client_sees_what_the_matrix_expects(seen: Mapping[Cell, Seen], cell: Cell) -> None:
    response, expected = seen[cell].response, cell.sees()
    answer = _assembled(cell, response)
    assert (response.status, response.ended) == (200, "complete")
    assert seen[cell].calls == expected.calls
    if expected is Sees.ERROR_OF_FIRST:
        assert answer.error
        assert not answer.finished
        assert cell.good_stream.text.startswith(answer.text)
    else:
        whole = cell.good_stream
        assert (answer.error, answer.finished) == ("", True)
        assert (answer.text, answer.tool_calls) == (whole.text, whole.tool_calls)


@each_cell
def test_every_attempt_of_a_cell_sends_the_same_bytes(
    seen: Mapping[Cell, Seen], cell: Cell
) -> None:
    sent = {(r.method, r.path, r.headers, r.body) for r in seen[cell].received}
    assert len(sent) == 1


def test_every_impossible_cell_has_a_reason() -> None:
    faults_of_cells = Counter(cell.fault for cell in POSSIBLE)
    assert set(faults_of_cells) == set(FAULTS)
    assert len(CELLS) == 11 * 6 * 4 * 2 * 2
    assert all(cell.impossible() for cell in CELLS if cell not in POSSIBLE)
