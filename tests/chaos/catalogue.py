"""The faults that `scripts/chaos` injects, and what the provider answers without them."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.clis import CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE, Agent, streams
from traffic import faults, good
from wiremend.testing.exchange import Received, Reply

AGENTS = (CLAUDE_CODE, OPENCODE, CODEX, GEMINI_CLI)


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    keys: str
    """The keys of the fault file's entry, in TOML; empty: no fault."""
    with_tool: bool = False
    """Whether the provider's first answer calls a tool of the agent."""

    def file_for(self, agent: Agent) -> str:
        """Return the fault file for the first call of the agent's turn."""
        keys = self.keys
        if agent.protocol is good.GEMINI:  # its answer has fewer events before its content
            keys = keys.replace("after_events = 4", "after_events = 2")
        return f'[[faults]]\nmodel = "{agent.model}"\ncall = 1\n{keys}\n'


FAULTS = (
    Fault("none", ""),
    Fault("none, with a tool call", "", with_tool=True),
    Fault("reset before the head", 'kind = "reset"'),
    Fault("reset after the head", 'kind = "reset"\nat = "after-head"'),
    Fault("reset in an event", 'kind = "reset"\nat = "in-event"\nafter_events = 4'),
    Fault("stall before the head", 'kind = "stall"'),
    Fault("stall in an event", 'kind = "stall"\nat = "in-event"\nafter_events = 4'),
    Fault("error inside a 200", 'kind = "wrapped-error"\nstatus = 529'),
    Fault("error after content", 'kind = "wrapped-error"\nafter_events = 4'),
    Fault("HTTP 529", 'kind = "http-error"\nstatus = 529\nretry_after = 1'),
    Fault("HTML page (524)", 'kind = "html-page"'),
    Fault("wrong index", 'kind = "wrong-index"'),
    Fault("cut JSON of a tool call", 'kind = "cut-tool-json"', with_tool=True),
    Fault("slow drip", 'kind = "slow-drip"\npiece_bytes = 64\nseconds = 0.02'),
    Fault("trailers", 'kind = "trailers"'),
    Fault("wrong content type", 'kind = "bad-label"'),
    Fault("events without names", 'kind = "bad-label"\nevent_names = "drop"'),
)

_TOOLS: Mapping[str, tuple[bytes, bytes, bytes, bytes]] = {
    CLAUDE_CODE.name: (b"Bash", b"command", b"tru", b"e"),
    OPENCODE.name: (b"bash", b"command", b"tru", b"e"),
    CODEX.name: (b"exec_command", b"cmd", b"tru", b"e"),
    GEMINI_CLI.name: (b"list_directory", b"dir_path", b"", b"."),
}
"""By agent: a tool that changes nothing, its argument, and the value in two parts."""
_RESULTS = (b'"tool_result"', b'"function_call_output"', b'"functionResponse"')


def has_result(received: Received) -> bool:
    """Return whether a request contains the result of a tool."""
    return any(mark in received.body for mark in _RESULTS)


def answer_of(agent: Agent, fault: Fault, received: Received) -> Reply:
    """Return the provider's answer: a text, or first a call of a tool."""
    if not fault.with_tool or has_result(received):
        return faults.none(agent.protocol, streams(received))
    if not streams(received):
        return faults.whole(_with_tool(agent, good.json_tool_body(agent.protocol)))
    events = good.tool_stream(agent.protocol).events
    return faults.streamed([_with_tool(agent, event) for event in events])


def _with_tool(agent: Agent, text: bytes) -> bytes:
    """Return a call of `get_weather` as a call of the agent's tool."""
    name, key, first, last = _TOOLS[agent.name]
    replaced = (
        (b"get_weather", name),
        (b"city", key),
        (b"Paris", first + last),
        (b'"Par"', b'"' + first + b'"'),
        (b"Par", first),
        (b'"is\\"}', b'"' + last + b'\\"}'),
    )
    for old, new in replaced:
        text = text.replace(old, new)
    return text
