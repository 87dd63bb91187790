"""The kinds of event streams: who mends each, and who judges what came out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from wiremend.clients import traits_of_client
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.anthropic import grammar as anthropic_messages
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import Decoder, EventKind, Repaired, StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.protocols.chat import grammar as chat_completions
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.gemini import grammar as gemini
from wiremend.protocols.responses import RESPONSES
from wiremend.protocols.responses import grammar as responses
from wiremend.repair.stream import StreamRepair, stream_repair
from wiremend.text import sse
from wiremend.text.json_array import ArrayDecoder


@dataclass(frozen=True)
class Framing:
    """One kind of stream."""

    protocol: Protocol
    grammar: Callable[[], Any]
    clients: tuple[str, ...]
    """The client families for which rules differ; empty stands for all others."""
    array: bool = False

    def context(self, **fields: Any) -> StreamContext:
        """What the repairer knows of a call with such a stream; `client` is the client's family."""
        family = fields.pop("client", "")
        known = {"model": "m", "array": self.array, "client": traits_of_client(family)}
        return StreamContext(**{**known, **fields})

    def decoder(self) -> Decoder:
        """A fresh decoder for such a stream."""
        return ArrayDecoder() if self.array else sse.Decoder()

    def repair(self, context: StreamContext) -> StreamRepair:
        """A fresh repair for such a stream."""
        return stream_repair(self.protocol, context)

    def repaired(self, chunks: list[bytes], context: StreamContext) -> list[Repaired]:
        """What a client would be shown, once upstream closed."""
        repair = self.repair(context)
        repaired = [one for chunk in chunks for one in repair.feed(chunk)]
        repaired += repair.end()
        assert not repair.gave_up, [str(f) for one in repaired for f in one.findings]
        assert repaired[-1].kind in (EventKind.TERMINAL, EventKind.ERROR)
        assert all((one.kind is EventKind.ERROR) == (one.error is not None) for one in repaired)
        return repaired

    def violations(self, stream: bytes) -> list[str]:
        """What is illegal in the stream, by the protocol's grammar."""
        grammar, decoder = self.grammar(), self.decoder()
        events = [*decoder.feed(stream), *decoder.end()]
        found = (problem for event in events for problem in grammar.feed(event))
        return [*found, *grammar.end()]


FRAMINGS = {
    "anthropic": Framing(
        ANTHROPIC,
        anthropic_messages.Grammar,
        ("", "claude-code", "opencode"),
    ),
    "chat": Framing(
        CHAT,
        chat_completions.Grammar,
        ("", "opencode", "openai-python"),
    ),
    "responses": Framing(
        RESPONSES,
        responses.Grammar,
        ("", "codex", "opencode", "openai-python"),
    ),
    "gemini": Framing(GEMINI, gemini.Grammar, ("", "gemini-cli", "python-genai")),
    "gemini-array": Framing(GEMINI, partial(gemini.Grammar, True), ("", "gemini-cli"), array=True),
}


def bytes_of(repaired: list[Repaired]) -> bytes:
    """What the client is shown."""
    return b"".join(one.data for one in repaired)


def codes_of(repaired: list[Repaired]) -> list[str]:
    """The rules that found something, in order."""
    return [finding.code for one in repaired for finding in one.findings]
