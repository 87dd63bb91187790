"""Replays the recorded turn of each agent: offline, in another folder, with another HOME."""

import sys
from pathlib import Path

import pytest
from traffic import good

from agents import recorded_turns
from agents.installation import NotInstalled, install
from agents.recorded_turns import FOLDER, TURNS, Turn

RECORDING_LIMIT_BYTES = 100_000
REPLAY = "import sys; from wiremend.launch.replay import main; sys.exit(main('scripts/replay', {}))"


@pytest.fixture(scope="session")
def programs() -> Path:
    try:
        return install()
    except NotInstalled as error:
        pytest.exit(f"scripts/test --agents: {error}", returncode=1)


@pytest.mark.agents
@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_the_turn_is_replayed_elsewhere(turn: Turn, programs: Path, tmp_path: Path) -> None:
    assert not FOLDER.exists()
    project = tmp_path / "elsewhere" / "application"
    recorded_turns.make_project(project)
    arguments = ["--map", f"{FOLDER}={project}", str(turn.recording), "--"]
    variables = recorded_turns.environment(turn.agent, tmp_path / "home" / "berta") | {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "USER": "berta",
    }
    code = REPLAY.format(repr([*arguments, *turn.command(programs)]))
    done = recorded_turns.run([sys.executable, "-P", "-c", code], project, variables)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.strip().endswith(good.TEXT)
    assert "recorded calls replayed from" in done.stderr
    assert "not requested" not in done.stderr


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_the_recording_is_small(turn: Turn) -> None:
    assert 0 < turn.recording.stat().st_size < RECORDING_LIMIT_BYTES
