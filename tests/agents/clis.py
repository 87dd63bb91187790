"""The agents: their commands, and the settings that disable telemetry and updates.

They use their default base URLs; runs.py adds the environment that all of them share.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from traffic import good
from traffic.proxy import KEY
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Received


@dataclass(frozen=True, eq=False)
class Agent:
    """One agent with one of its providers."""

    name: str
    protocol: WireProtocol
    model: str
    """The model of its turns; calls for other models are side calls (titles, summaries)."""
    command: tuple[str, ...]
    """The program and its arguments; the prompt is appended."""
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Files in its home directory: path -> text."""

    def __str__(self) -> str:
        return self.name

    def is_call(self, received: Received) -> bool:
        """Return whether this is a call to the model of its turns."""
        return _is_model_call(received) and _model(received) == self.model

    def is_streaming_call(self, received: Received) -> bool:
        """Return whether this is a streaming call to the model of its turns."""
        return self.is_call(received) and streams(received)

    def is_side_call(self, received: Received) -> bool:
        """Return whether this is a call to another model."""
        return _is_model_call(received) and _model(received) != self.model


def _is_model_call(received: Received) -> bool:
    path = received.path.split("?")[0]
    suffixes = ("/v1/messages", "/v1/responses", "/chat/completions", "enerateContent")
    return received.method == "POST" and path.endswith(suffixes)


def _model(received: Received) -> str:
    path = received.path.split("?")[0]
    if path.endswith("enerateContent"):
        return path.rsplit("/", 1)[1].split(":")[0]
    return str(received.json().get("model"))


def streams(received: Received) -> bool:
    """Return whether this model call requests a stream."""
    return "streamGenerateContent" in received.path or bool(received.json().get("stream"))


def tool_results(received: Received) -> list[str]:
    """Return the tool results in a Messages request, as JSON."""
    contents = [message["content"] for message in received.json()["messages"]]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return [json.dumps(block) for block in blocks if block["type"] == "tool_result"]


_OPENCODE = {
    ".config/opencode/opencode.json": json.dumps({"autoupdate": False, "share": "disabled"})
}
_GEMINI = {
    ".gemini/settings.json": json.dumps(
        {
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "privacy": {"usageStatisticsEnabled": False},
            "general": {"enableAutoUpdate": False},
        }
    )
}

CLAUDE_CODE = Agent(
    "Claude Code",
    good.ANTHROPIC,
    "claude-sonnet-4-5",
    ("claude", "--model", "claude-sonnet-4-5", "-p"),
    {
        "ANTHROPIC_API_KEY": KEY,
        "DISABLE_TELEMETRY": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
    },
)
OPENCODE = Agent(
    "OpenCode",
    good.ANTHROPIC,
    "claude-sonnet-4-5",
    ("opencode", "run", "-m", "anthropic/claude-sonnet-4-5"),
    {"ANTHROPIC_API_KEY": KEY},
    _OPENCODE,
)
OPENCODE_ON_OPENAI = Agent(
    "OpenCode on OpenAI",
    good.RESPONSES,
    "gpt-5.1",
    ("opencode", "run", "-m", "openai/gpt-5.1"),
    {"OPENAI_API_KEY": KEY},
    _OPENCODE,
)
OPENCODE_ON_CHAT = Agent(
    "OpenCode on Chat Completions",
    good.CHAT,
    "glm-5",
    ("opencode", "run", "-m", "gateway/glm-5"),
    files={
        ".config/opencode/opencode.json": json.dumps(
            {
                "autoupdate": False,
                "share": "disabled",
                "small_model": "gateway/for-titles",
                "provider": {
                    "gateway": {
                        "npm": "@ai-sdk/openai-compatible",
                        "options": {
                            "baseURL": f"https://{good.HOSTS[good.CHAT]}/v1",
                            "apiKey": KEY,
                        },
                        "models": {"glm-5": {}, "for-titles": {}},
                    }
                },
            }
        )
    },
)
CODEX = Agent(
    "Codex",
    good.RESPONSES,
    "gpt-5.1",
    ("codex", "exec", "--skip-git-repo-check", "-m", "gpt-5.1"),
    {"OPENAI_API_KEY": KEY},
)
GEMINI_CLI = Agent(
    "Gemini CLI",
    good.GEMINI,
    "gemini-2.5-pro",
    ("gemini", "--skip-trust", "-m", "gemini-2.5-pro", "-p"),
    {"GEMINI_API_KEY": KEY},
    _GEMINI,
)
AGENTS = (CLAUDE_CODE, OPENCODE, OPENCODE_ON_OPENAI, CODEX, GEMINI_CLI)
