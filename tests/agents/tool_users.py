"""The agents as the matrix of translated turns runs them: models, tools, resuming, compaction."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from traffic import good
from traffic.proxy import KEY

from agents.clis import CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE_ON_CHAT, Agent
from agents.scripted_model import ToolCall

WORD = "marmalade"


@dataclass(frozen=True, eq=False)
class ToolUser:
    """An agent that may run all its tools, and how its prompts ask for each action."""

    agent: Agent
    shell: Callable[[str], ToolCall]
    """A call that runs a command."""
    failing: Callable[[Path], ToolCall]
    """A call that fails, with the working directory of the agent."""
    image: Callable[[Path], ToolCall]
    """A call that reads the image `pixels.png` in the working directory."""
    edit: Callable[[Path], ToolCall]
    """A call that creates `made.txt` with the word."""
    resume: Agent
    """The agent that continues its last session."""
    failure: str
    """A part of the result of the failing call."""
    compacting: Agent
    """The agent that continues its last session and compacts it."""
    compacts_by_prompt: str = ""
    """The prompt that compacts; else the count of tokens in an answer does."""
    summary_offers_tools: bool = False
    """Whether the request for the summary offers tools, as turns do."""
    keeps_state: bool = True
    """Whether it returns the state of reasoning in later requests of a run."""
    keeps_state_in_sessions: bool = True
    """Whether it returns that of earlier runs, too."""

    def __str__(self) -> str:
        return self.agent.name


def _with(agent: Agent, *arguments: str) -> Agent:
    """Return the agent with arguments before the prompt, which stays the last one."""
    *command, last = agent.command
    inserted = (*command, *arguments, last) if last == "-p" else (*command, last, *arguments)
    return replace(agent, command=inserted)


# Claude Code

_CLAUDE = _with(CLAUDE_CODE, "--dangerously-skip-permissions")
_CLAUDE_AGAIN = _with(_CLAUDE, "--continue")
CLAUDE = ToolUser(
    _CLAUDE,
    shell=lambda command: ToolCall("Bash", {"command": command, "description": "Run it"}),
    failing=lambda work: ToolCall("Read", {"file_path": str(work / "missing.txt")}),
    image=lambda work: ToolCall("Read", {"file_path": str(work / "pixels.png")}),
    edit=lambda work: ToolCall("Write", {"file_path": str(work / "made.txt"), "content": WORD}),
    resume=_CLAUDE_AGAIN,
    failure="File does not exist",
    compacting=_CLAUDE_AGAIN,
    compacts_by_prompt="/compact",
)

# OpenCode

_KIMI: dict[str, Any] = {
    "attachment": True,
    "reasoning": True,
    "tool_call": True,
    "interleaved": {"field": "reasoning_content"},
    "modalities": {"input": ["text", "image"], "output": ["text"]},
    "limit": {"context": 100_000, "output": 8_000},
}
_GATEWAY = {
    "npm": "@ai-sdk/openai-compatible",
    "options": {"baseURL": "https://api.moonshot.ai/v1", "apiKey": KEY},
    "models": {"kimi-k3": _KIMI, "for-titles": {}},
}
_OPENCODE_SETTINGS = {
    "autoupdate": False,
    "share": "disabled",
    "small_model": "gateway/for-titles",
    "permission": {"*": "allow"},
    "provider": {"gateway": _GATEWAY},
}
_OPENCODE = replace(
    OPENCODE_ON_CHAT,
    name="OpenCode",
    model="kimi-k3",
    command=("opencode", "run", "-m", "gateway/kimi-k3"),
    files={".config/opencode/opencode.json": json.dumps(_OPENCODE_SETTINGS)},
)
_OPENCODE_AGAIN = _with(_OPENCODE, "--continue")
OPENCODE = ToolUser(
    _OPENCODE,
    shell=lambda command: ToolCall("bash", {"command": command, "description": "Run it"}),
    failing=lambda work: ToolCall("read", {"filePath": str(work / "missing.txt")}),
    image=lambda work: ToolCall("read", {"filePath": str(work / "pixels.png")}),
    edit=lambda work: ToolCall("write", {"filePath": str(work / "made.txt"), "content": WORD}),
    resume=_OPENCODE_AGAIN,
    failure="File not found",
    compacting=_OPENCODE_AGAIN,
    # It returns the text of reasoning alone (`interleaved`). It reads `thought_signature` of a call
    # under the name of the provider, and returns it from `google`: so not at all.
    keeps_state=False,
    keeps_state_in_sessions=False,
)

# Codex

_CODEX_MODEL = "gpt-5.5"  # apply_patch takes free text, and tools are searched by the client
_CODEX_COMMAND = (
    *CODEX.command[:3],
    "--dangerously-bypass-approvals-and-sandbox",
    "-m",
    _CODEX_MODEL,
)
_CODEX = replace(CODEX, model=_CODEX_MODEL, command=_CODEX_COMMAND)
_CODEX_AGAIN = _with(_CODEX, "resume", "--last")
_PATCH = f"*** Begin Patch\n*** Add File: made.txt\n+{WORD}\n*** End Patch\n"
CODEX_CLI = ToolUser(
    _CODEX,
    shell=lambda command: ToolCall("exec_command", {"cmd": command}),
    failing=lambda work: ToolCall("view_image", {"path": str(work / "missing.png")}),
    image=lambda work: ToolCall("view_image", {"path": str(work / "pixels.png")}),
    edit=lambda work: ToolCall("apply_patch", _PATCH),
    resume=_CODEX_AGAIN,
    failure="unable to locate image",
    compacting=replace(
        _CODEX_AGAIN,
        command=(
            *_CODEX_COMMAND,
            "-c",
            "model_auto_compact_token_limit=100000",
            "resume",
            "--last",
        ),
    ),
    summary_offers_tools=True,
)

# Gemini CLI

_GEMINI = replace(
    GEMINI_CLI,
    model="gemini-3-pro-preview",
    command=(
        "gemini",
        "--skip-trust",
        "--approval-mode",
        "yolo",
        "-m",
        "gemini-3-pro-preview",
        "-p",
    ),
)
_GEMINI_AGAIN = _with(_GEMINI, "--resume", "latest")
GEMINI = ToolUser(
    _GEMINI,
    shell=lambda command: ToolCall(
        "run_shell_command", {"command": command, "description": "Run it"}
    ),
    failing=lambda work: ToolCall("read_file", {"file_path": "missing.txt"}),
    image=lambda work: ToolCall("read_file", {"file_path": "pixels.png"}),
    edit=lambda work: ToolCall("write_file", {"file_path": "made.txt", "content": WORD}),
    resume=_GEMINI_AGAIN,
    failure="File not found",
    compacting=_GEMINI_AGAIN,
    keeps_state_in_sessions=False,
)

TOOL_USERS = (CLAUDE, OPENCODE, CODEX_CLI, GEMINI)
PAIRS = [
    (user, protocol)
    for user in TOOL_USERS
    for protocol in good.PROTOCOLS
    if protocol is not user.agent.protocol
]
