"""A turn of each agent with one tool call, recorded with `scripts/record`, to be replayed.

`python -m agents.recorded_turns` in the environment of the project, with `tests` and `addons` on
its path, records all of them again into `recordings/`.
"""

import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traffic import faults, good
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from agents.clis import CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE, Agent, streams
from agents.installation import install

RECORDINGS = Path(__file__).with_name("recordings")
REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(tempfile.gettempdir()) / "wiremend-recorded" / "project"
"""Where the turns were recorded: their tool calls contain its path."""
NOTE, WORD = "note.txt", "marmalade"
PROMPT = f"Which word is in {NOTE}?"
LIMIT_SECONDS = 120.0

_INSIDE = REPOSITORY / "addons/wiremend/testing/inside_proxy/answer_from_loopback.py"
_RECORD = (
    "import sys\n"
    "from wiremend.launch import record, run\n"
    "original = run.proxy_command\n"
    f"run.proxy_command = lambda *a: [*original(*a), '-s', {str(_INSIDE)!r}]\n"
    "sys.exit(record.main('scripts/record', sys.argv[1:]))\n"
)
"""`scripts/record` with a proxy that reaches the scripted provider only."""
_RESULTS = (b'"tool_result"', b'"function_call_output"', b'"functionResponse"')


@dataclass(frozen=True, eq=False)
class Turn:
    """One agent, and the tool call that its provider answers with first."""

    agent: Agent
    tool: str
    arguments: Mapping[str, Any]
    options: tuple[str, ...] = ()
    """Arguments behind the prompt."""

    def __str__(self) -> str:
        return self.agent.name

    @property
    def recording(self) -> Path:
        """The recording of this turn."""
        return RECORDINGS / f"{self.agent.name.lower().replace(' ', '-')}.mitm.xz"

    def command(self, programs: Path) -> list[str]:
        """Return the command line of the agent."""
        program, *rest = self.agent.command
        return [str(programs / program), *rest, PROMPT, *self.options]

    def reply(self, received: Received) -> Reply:
        """Return the tool call, or the text if the request contains its result."""
        protocol = self.agent.protocol
        if not streams(received):
            return faults.none(protocol, stream=False)
        if any(mark in received.body for mark in _RESULTS):
            return faults.none(protocol)
        call = good.stream_that_calls(self.tool, self.arguments, protocol)
        return faults.streamed(call.events)


TURNS = (
    Turn(CLAUDE_CODE, "Read", {"file_path": str(FOLDER / NOTE)}, ("--allowedTools", "Read")),
    Turn(OPENCODE, "read", {"filePath": str(FOLDER / NOTE)}),
    Turn(CODEX, "exec_command", {"cmd": f"cat {FOLDER / NOTE}"}),
    Turn(GEMINI_CLI, "read_file", {"file_path": str(FOLDER / NOTE)}),
)


def make_project(folder: Path) -> None:
    """Create the folder in which an agent is started."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NOTE).write_text(f"The word is {WORD}.\n")


def environment(agent: Agent, home: Path) -> dict[str, str]:
    """Create a home directory with the agent's settings; return the agent's environment."""
    home.mkdir(parents=True, exist_ok=True)
    for name, text in agent.files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    inherited = ("PATH", "LANG", "LC_ALL", "TERM")
    return {
        **{name: os.environ[name] for name in inherited if name in os.environ},
        "PYTHONPATH": str(REPOSITORY / "addons"),
        "HOME": str(home),
        "TMPDIR": str(home),
        "USER": "alicia",
        **agent.environment,
    }


def run(
    command: Sequence[str], folder: Path, variables: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder, without standard input."""
    return subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_SECONDS,
    )


def record(turn: Turn, directory: Path, programs: Path) -> "subprocess.CompletedProcess[str]":
    """Record a turn into `recording.mitm` in this empty directory."""
    authority = Authority(directory / "authority")
    leaf = authority.leaf(*dict.fromkeys(good.HOSTS.values()))
    make_project(FOLDER)
    agent = turn.agent
    with ScriptedProvider(leaf, directory) as provider:
        provider.script([turn.reply], when=agent.is_call)
        provider.script(
            [lambda r: faults.none(agent.protocol, streams(r))], when=agent.is_side_call
        )
        variables = environment(agent, directory / "home" / "alicia") | {
            "XDG_STATE_HOME": str(directory / "state"),
            "SSL_CERT_FILE": str(authority.file),
            "WIREMEND_TESTING_HOSTS": json.dumps(dict.fromkeys(good.HOSTS.values(), provider.port)),
            "WIREMEND_TESTING_PROVIDER": str(provider.port),
            "WIREMEND_TESTING_ALPN": json.dumps(["http/1.1"]),
            "WIREMEND_TESTING_REFUSALS": os.devnull,
        }
        recorder = [sys.executable, "-P", "-c", _RECORD, str(directory / "recording.mitm"), "--"]
        try:
            return run([*recorder, *turn.command(programs)], FOLDER, variables)
        finally:
            shutil.rmtree(FOLDER.parent)  # a replay must not find it


def main(names: Sequence[str]) -> int:
    """Record the turns of these agents, by default all. Return the exit status."""
    programs = install()
    RECORDINGS.mkdir(exist_ok=True)
    for turn in TURNS:
        if names and turn.agent.name not in names:
            continue
        with tempfile.TemporaryDirectory() as name:
            done = record(turn, Path(name), programs)
            print(f"{turn}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}")
            if done.returncode:
                return 1
            data = (Path(name) / "recording.mitm").read_bytes()
        turn.recording.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
