"""What each agent honours of the variables that `run` sets, as measured behind the proxy.

The versions that were measured: Claude Code 2.1, OpenCode 1.18, Codex 0.169, Gemini CLI 0.61,
Cline 3.0, Qwen Code 0.15, Mistral Vibe 3.0, Aider 0.86.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_FILE = "SSL_CERT_FILE"
_EXTRA = "NODE_EXTRA_CA_CERTS"


@dataclass(frozen=True, slots=True)
class Agent:
    """A program that calls models."""

    name: str
    trusts: tuple[str, ...]
    """The variables from which it takes certificates; one of them is enough."""
    hosts: tuple[str, ...]
    """The hosts that it calls by default; it may call others."""
    uses_system_store: bool = False
    """Whether it also trusts a CA in the system's store."""
    one_turn: tuple[str, ...] = ()
    """Arguments with which it makes one turn and ends; empty: unknown."""
    settings: tuple[str, ...] = ()
    """Files below the home directory that can contain another address of its provider."""


AGENTS: Mapping[str, Agent] = {
    "claude": Agent(
        "Claude Code",
        (_FILE, _EXTRA),
        ("api.anthropic.com",),
        uses_system_store=True,
        one_turn=("-p", "hello"),
        settings=(".claude/settings.json",),
    ),
    "opencode": Agent(
        "OpenCode",
        (_FILE, _EXTRA),
        ("opencode.ai",),
        uses_system_store=True,
        one_turn=("run", "-m", "anthropic/claude-sonnet-4-5", "hello"),
    ),
    "codex": Agent(
        "Codex",
        (_FILE, "CODEX_CA_CERTIFICATE"),
        ("api.openai.com", "chatgpt.com"),
        uses_system_store=True,
        one_turn=("exec", "--skip-git-repo-check", "hello"),
    ),
    "gemini": Agent(
        "Gemini CLI",
        (_EXTRA,),
        ("generativelanguage.googleapis.com",),
        one_turn=("--skip-trust", "-m", "gemini-2.5-pro", "-p", "hello"),
    ),
    "cline": Agent("Cline", (_FILE, _EXTRA), (), uses_system_store=True),
    "qwen": Agent("Qwen Code", (_EXTRA,), ()),
    "vibe": Agent("Mistral Vibe", (_FILE,), ("api.mistral.ai",), uses_system_store=True),
    "aider": Agent("Aider", (_FILE,), ()),
}
"""By the name of the program."""
