"""The kinds of event streams: the protocol of each, its grammar, and its clients."""

from dataclasses import dataclass
from typing import Any

from wiremend.clients import traits_of_client
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import Decoder, EventKind, Repaired, StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.repair.stream import StreamRepair, stream_repair
from wiremend.text import sse
from wiremend.text.json_array import ArrayDecoder


@dataclass(frozen=True)
class Framing:
    """One kind of stream."""

    protocol: Protocol
    clients: tuple[str, ...]
    """The client families with different rules; an empty string for all others."""
    array: bool = False

    def context(self, **fields: Any) -> StreamContext:
        """Create the context of a call with such a stream; `client` is a family of clients."""
        family = fields.pop("client", "")
        defaults = {"model": "m", "array": self.array, "client": traits_of_client(family)}
        return StreamContext(**{**defaults, **fields})

    def decoder(self) -> Decoder:
        """Create a decoder for such a stream."""
        return ArrayDecoder() if self.array else sse.Decoder()

    def repair(self, context: StreamContext) -> StreamRepair:
        """Create a repair for such a stream."""
        return stream_repair(self.protocol, context)

    def repaired(self, chunks: list[bytes], context: StreamContext) -> list[Repaired]:
        """Repair a whole stream."""
        repair = self.repair(context)
        repaired = [item for chunk in chunks for item in repair.feed(chunk)]
        repaired += repair.end()
        assert not repair.gave_up, [str(finding) for item in repaired for finding in item.findings]
        assert repaired[-1].kind in (EventKind.TERMINAL, EventKind.ERROR)
        assert all((item.kind is EventKind.ERROR) == (item.error is not None) for item in repaired)
        return repaired

    def violations(self, stream: bytes, client: str = "") -> list[str]:
        """Return the violations of the protocol's grammar in a stream for a family of clients."""
        grammar = self.protocol.make_grammar(self.context(client=client))
        decoder = self.decoder()
        events = [*decoder.feed(stream), *decoder.end()]
        problems = (problem for event in events for problem in grammar.feed(event))
        return [*problems, *grammar.end()]


FRAMINGS = {
    "anthropic": Framing(
        ANTHROPIC,
        ("", "claude-code", "opencode"),
    ),
    "chat": Framing(
        CHAT,
        ("", "opencode", "openai-python"),
    ),
    "responses": Framing(
        RESPONSES,
        ("", "codex", "opencode", "openai-python"),
    ),
    "gemini": Framing(GEMINI, ("", "gemini-cli", "python-genai")),
    "gemini-array": Framing(GEMINI, ("", "gemini-cli"), array=True),
}


def bytes_of(repaired: list[Repaired]) -> bytes:
    """Return the bytes that the client is sent."""
    return b"".join(item.data for item in repaired)


def codes_of(repaired: list[Repaired]) -> list[str]:
    """Return the codes of the findings, in order."""
    return [finding.code for item in repaired for finding in item.findings]


def assert_unchanged_without(
    codes: frozenset[str], stream: bytes, repaired: list[Repaired]
) -> None:
    """Assert that these rules, which were disabled, found nothing in the stream.

    What the stream became must be its own bytes up to its error, unless other rules have findings.
    """
    assert codes.isdisjoint(codes_of(repaired))
    errors = [number for number, item in enumerate(repaired) if item.kind is EventKind.ERROR]
    sent = bytes_of(repaired[: errors[0]] if errors else repaired)
    if not codes_of(repaired):
        assert stream.startswith(sent)
        assert sent == stream or errors
