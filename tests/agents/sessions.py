"""A session of an agent over several runs, at a vendor of another protocol and at its own."""

import contextlib
import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from traffic import faults, good
from traffic.proxy import Proxy
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from agents import received_requests
from agents.clis import Agent, streams
from agents.runs import Run, Runner
from agents.scripted_model import Answer, Issued

A, C, R, G = good.ANTHROPIC, good.CHAT, good.RESPONSES, good.GEMINI
HOSTS = {
    A: "api.anthropic.com",
    C: "api.moonshot.ai",
    R: "api.openai.com",
    G: "generativelanguage.googleapis.com",
}
MODELS = {A: "claude-sonnet-4-5", C: "kimi-k3", R: "gpt-5.1", G: "gemini-3-pro-preview"}
NAMES = {A: "anthropic", C: "chat", R: "responses", G: "gemini"}
SUMMARY = "A short summary of all that was done."
"""The text of answers to calls that offer no tools."""
OTHER_KEY = "sk-test-DO-NOT-LOG-other-provider"
_ROUTED = """
[[models]]
match = "*"
model = "{model}"
provider = "other"

[providers.other]
base_url = "https://{host}"
protocol = "{protocol}"
api_key = "${{OTHER_API_KEY}}"
"""


@dataclass
class Vendor:
    """A scripted vendor: its answers to calls that offer tools are scripted, others get one text.

    `turns` contains the requests that offer tools, `turns_issued` the answers to them.
    """

    protocol: WireProtocol
    provider: ScriptedProvider
    answers: deque[Answer] = field(default_factory=deque)
    issued: list[Issued] = field(default_factory=list)
    turns: list[Received] = field(default_factory=list)
    turns_issued: list[Issued] = field(default_factory=list)
    side_calls: list[Received] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    """All requests."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def model(self) -> str:
        """The model that it serves."""
        return MODELS[self.protocol]

    def reply(self, received: Received) -> Reply:
        """Return the reply to any request."""
        self.received.append(received)
        path = received.path.partition("?")[0]
        if path.endswith("count_tokens"):
            return faults.whole(b'{"input_tokens": 900}')
        if path.endswith(":countTokens"):
            return faults.whole(b'{"totalTokens": 900}')
        if received.method != "POST" or not _is_call(path):
            return faults.status(404, {"error": {"message": "not scripted"}})
        body = received.json()
        with self._lock:
            is_turn = bool(received_requests.tool_names(self.protocol, body))
            if is_turn:
                answer = self.answers.popleft() if self.answers else Answer("Nothing is left.")
            else:
                answer = Answer(_side_text(body))
            issued = Issued(self.protocol, self.model, len(self.issued), answer)
            self.issued.append(issued)
            (self.turns if is_turn else self.side_calls).append(received)
            if is_turn:
                self.turns_issued.append(issued)
        return issued.reply(body, streams(received))


def _is_call(path: str) -> bool:
    return path.endswith(("/messages", "/responses", "/chat/completions", "enerateContent"))


def _side_text(body: Mapping[str, Any]) -> str:
    schema = _schema_in(body)
    return SUMMARY if schema is None else json.dumps(_instance(schema))


def _schema_in(body: Mapping[str, Any]) -> Any:
    places = (
        ("output_config", "format", "schema"),
        ("response_format", "json_schema", "schema"),
        ("text", "format", "schema"),
        ("generationConfig", "responseJsonSchema"),
        ("generationConfig", "responseSchema"),
    )
    for place in places:
        value: Any = body
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        if value:
            return value
    return None


def _instance(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    match str(schema.get("type")).lower():
        case "object":
            return {key: _instance(value) for key, value in schema["properties"].items()}
        case "array":
            return []
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return "A short title"


class Session:
    """One home and working directory of an agent; use as a context manager.

    `other` is the vendor of the other protocol, `own` the agent's own.
    """

    def __init__(self, runner: Runner, agent: Agent, protocol: WireProtocol) -> None:
        self._runner = runner
        self.directory = runner.new_directory()
        self._resources = contextlib.ExitStack()
        self.other = self._vendor(protocol)
        self.own = self._vendor(agent.protocol)
        self.log: list[str] = []

    def _vendor(self, protocol: WireProtocol) -> Vendor:
        leaf = self._runner.authority.leaf(HOSTS[protocol])
        provider = ScriptedProvider(leaf, self.directory)
        self._resources.enter_context(provider)
        vendor = Vendor(protocol, provider)
        provider.script([vendor.reply])
        return vendor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._resources.close()

    @contextlib.contextmanager
    def behind(self, *, routed: bool) -> Iterator[Proxy]:
        """Start a proxy that routes all calls to the other vendor, or none."""
        configuration = _ROUTED.format(
            model=self.other.model,
            host=HOSTS[self.other.protocol],
            protocol=NAMES[self.other.protocol],
        )
        number = len(list(self.directory.glob("proxy-*")))
        with Proxy(
            self.directory / f"proxy-{number}",
            self._runner.authority,
            {HOSTS[it.protocol]: it.provider.port for it in (self.own, self.other)},
            configuration=configuration if routed else "",
            environment={"OTHER_API_KEY": OTHER_KEY},
        ) as proxy:
            yield proxy
        self.log += proxy.lines

    def run(
        self,
        agent: Agent,
        proxy: Proxy,
        vendor: Vendor,
        answers: Sequence[Answer],
        prompt: str,
        limit_seconds: float = 120.0,
    ) -> Run:
        """Run the agent once; the vendor gives these answers, which must all be asked for."""
        vendor.answers.extend(answers)
        run = self._runner.turn(agent, proxy, self.directory, limit_seconds, prompt)
        assert run.status == 0, f"{run}\n{chr(10).join(proxy.lines)}"
        assert not vendor.answers, f"{len(vendor.answers)} answers are left\n{run}"
        return run


def image() -> bytes:
    """Return a PNG image of 32 x 32 pixels."""
    return Path(__file__).with_name("pixels.png").read_bytes()
