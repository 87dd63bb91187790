"""Installs the agents once, and runs the selected cells concurrently before their tests."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from agents.installation import NotInstalled, install
from agents.runs import Cell, Run, Runner

AT_A_TIME = 8
"""Concurrent runs; agents wait most of the time."""


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    try:
        programs = install()
    except NotInstalled as error:
        pytest.exit(f"scripts/test --agents: {error}", returncode=1)
    runner = Runner(programs, tmp_path_factory.mktemp("agents"))
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def played(runner: Runner, request: pytest.FixtureRequest) -> Iterator[Callable[[Cell], Run]]:
    """Return the run of a cell. All selected cells are started together, the longest first."""
    selected = {_cell(item): None for item in request.session.items if _cell(item)}
    cells = sorted(selected, key=lambda cell: -cell.limit_seconds)
    pool = ThreadPoolExecutor(AT_A_TIME)
    runs: dict[Cell, Future[Run]] = {cell: pool.submit(runner.play, cell) for cell in cells}
    yield lambda cell: runs[cell].result()
    runner.close()
    pool.shutdown(cancel_futures=True)


def _cell(item: pytest.Item) -> Cell | None:
    return getattr(item, "callspec", None) and item.callspec.params.get("cell")
