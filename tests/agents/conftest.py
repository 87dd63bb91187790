"""Installs the agents once; runs the chosen cells ahead of their tests, a few at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from agents.installation import NotInstalled, install
from agents.runs import Cell, Run, Runner

AT_A_TIME = 8
"""Agents wait most of the time."""


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
    """The run of a cell. All chosen cells are begun at once, the longest first."""
    chosen = {_cell(item): None for item in request.session.items if _cell(item)}
    cells = sorted(chosen, key=lambda cell: -cell.limit_seconds)
    pool = ThreadPoolExecutor(AT_A_TIME)
    runs: dict[Cell, Future[Run]] = {cell: pool.submit(runner.play, cell) for cell in cells}
    yield lambda cell: runs[cell].result()
    runner.close()
    pool.shutdown(cancel_futures=True)


def _cell(item: pytest.Item) -> Cell | None:
    return getattr(item, "callspec", None) and item.callspec.params.get("cell")
