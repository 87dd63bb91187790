"""Contract 23: which scripts mitmproxy loads again, and which it does not."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mitmproxy.addons import script
from mitmproxy.test import taddons
from wiremend.seam.process.scripts import LoadedSources

COUNTS = """
from pathlib import Path
from mitmproxy import ctx

def load(loader):
    with open(__file__ + ".loads", "a") as file:
        file.write("1")
    from wiremend.seam.process.scripts import keep_loaded
    keep_loaded(ctx.master.addons, Path({directory!r} or Path(__file__).parent))
"""
QUICK_SECONDS = 0.001


@asynccontextmanager
async def loaded(path: Path) -> AsyncIterator[script.ScriptLoader]:
    loader = script.ScriptLoader()
    with taddons.context(loader) as addons:
        addons.configure(loader, scripts=[str(path)])
        while not Path(f"{path}.loads").exists():
            await asyncio.sleep(0)
        yield loader


def loads(path: Path) -> int:
    return len(Path(f"{path}.loads").read_text())


def make_script(directory: Path, *, name: str = "addon", keeps_in: str = "") -> Path:
    """Make a script that is kept loaded if it is in the given directory, by default its own."""
    path = directory / f"{name}.py"
    path.write_text(COUNTS.format(directory=keeps_in))
    return path


def make_newer(path: Path) -> None:
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 1000))


def test_a_script_that_keeps_itself_is_neither_loaded_again_nor_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "ReloadInterval", QUICK_SECONDS)

    async def run() -> None:
        path = make_script(tmp_path)
        async with loaded(path) as loader:
            [addon] = loader.addons
            assert isinstance(addon.reloadtask, asyncio.Task)
            await asyncio.wait([addon.reloadtask])
            assert addon.reloadtask.cancelled()
            make_newer(path)
            assert addon.ns is not None
            assert loads(path) == 1

    asyncio.run(run())


def test_scripts_of_the_same_directory_that_load_later_are_loaded(tmp_path: Path) -> None:
    async def run() -> None:
        paths = [make_script(tmp_path, name=name) for name in ("first", "second")]
        loader = script.ScriptLoader()
        with taddons.context(loader) as addons:
            addons.configure(loader, scripts=[str(path) for path in paths])
            tasks = [addon.reloadtask for addon in loader.addons]
            await asyncio.wait(tasks)
        assert [loads(path) for path in paths] == [1, 1]

    asyncio.run(run())


def test_a_script_of_another_directory_is_loaded_again_when_it_is_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "ReloadInterval", QUICK_SECONDS)

    async def run() -> None:
        path = make_script(tmp_path, keeps_in="/")
        async with loaded(path):
            make_newer(path)
            while loads(path) == 1:
                await asyncio.sleep(QUICK_SECONDS)

    asyncio.run(run())


def test_loaded_sources_change_when_a_module_is_written_or_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = [tmp_path / "wiremend_first.py", tmp_path / "wiremend_second.py"]
    for module in modules:
        module.write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in modules:
        __import__(module.stem)
    sources = LoadedSources(tmp_path)
    assert not sources.have_changed()
    modules[0].write_text("half")
    assert sources.have_changed()
    sources = LoadedSources(tmp_path)
    modules[1].unlink()
    assert sources.have_changed()
