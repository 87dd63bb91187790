"""The streams of the corpus, how each is run, and where its expected result is stored.

`tests/corpus/<protocol>/clean` holds valid streams. In `broken/`, `NAME.sse` (or `.json`: a Gemini
array) becomes `NAME.mended.sse`, and `NAME.findings` lists the codes that are recorded, in order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from wiremend.clients import CLIENTS, traits_of_client
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.registry import PROTOCOLS
from wiremend.repair.stream import stream_repair
from wiremend.text import sse
from wiremend.text.json_array import ArrayDecoder

CORPUS = Path(__file__).parent / "corpus"
FOLDERS = {name.replace("-", "_"): protocol for name, protocol in PROTOCOLS.items()}
"""The protocol of each folder of the corpus."""


def folder_of(protocol: WireProtocol) -> Path:
    """The protocol's folder of the corpus."""
    return CORPUS / protocol.replace("-", "_")


@dataclass(frozen=True)
class CorpusStream:
    """One stream of the corpus, by the path of the bytes that a provider sends."""

    path: Path

    def __str__(self) -> str:
        return "/".join([*self.path.parts[-3:-1], self.path.stem])

    @property
    def protocol(self) -> Protocol:
        """The protocol whose folder contains the stream."""
        return FOLDERS[self.path.parts[-3]]

    @property
    def context(self) -> StreamContext:
        """The call: a file named `<client>-...` is read by that client, `.json` is an array."""
        families = (client.family for client in CLIENTS)
        family = next((one for one in families if self.path.name.startswith(f"{one}-")), "")
        return StreamContext(
            client=traits_of_client(family),
            model="claude-sonnet-4-5",
            tool_names=("a", "b", "get_weather", "get_time"),
            array=self.path.suffix == ".json",
        )

    @property
    def mended_path(self) -> Path:
        """The file with the bytes that the client receives."""
        return self.path.with_suffix(f".mended{self.path.suffix}")

    @property
    def findings_path(self) -> Path:
        """The file with the codes of the findings, one per line."""
        return self.path.with_suffix(".findings")

    @property
    def codes(self) -> list[str]:
        """The expected codes."""
        return self.findings_path.read_text().split()

    def repaired(
        self, chunks: list[bytes], disabled: frozenset[str] = frozenset()
    ) -> list[Repaired]:
        """What the chunks of a response body become, when upstream closes after the last one.

        `disabled` contains the codes of rules that are switched off.
        """
        repair = stream_repair(self.protocol, replace(self.context, disabled=disabled))
        repaired = [one for chunk in chunks for one in repair.feed(chunk)]
        repaired += repair.end()
        assert not repair.gave_up, codes_of(repaired)
        assert repaired[-1].kind in (EventKind.TERMINAL, EventKind.ERROR)
        return repaired

    def violations(self, data: bytes) -> list[str]:
        """What is illegal in a stream by the protocol's grammar."""
        grammar = self.protocol.make_grammar(self.context)
        # A repairer may take apart what a client would not.
        decoder = ArrayDecoder() if self.context.array else sse.Decoder()
        events = [*decoder.feed(data), *decoder.end()]
        found = [problem for event in events for problem in grammar.feed(event)]
        return found + grammar.end()


def bytes_of(repaired: list[Repaired]) -> bytes:
    """The bytes that the client receives."""
    return b"".join(one.data for one in repaired)


def codes_of(repaired: list[Repaired]) -> list[str]:
    """The codes of the findings, in order."""
    return [finding.code for one in repaired for finding in one.findings]


def clean_streams(protocol: WireProtocol | None = None) -> list[CorpusStream]:
    """The valid streams of a protocol, or of all."""
    return list(_streams("clean", protocol))


def broken_streams(protocol: WireProtocol | None = None) -> list[CorpusStream]:
    """The broken streams of a protocol, or of all."""
    return list(_streams("broken", protocol))


def is_stream(path: Path) -> bool:
    """Whether a file is a stream of the corpus, not the result of one."""
    return path.suffix in (".sse", ".json") and ".mended" not in path.suffixes


def _streams(kind: str, protocol: WireProtocol | None) -> Iterator[CorpusStream]:
    for name in PROTOCOLS if protocol is None else (protocol,):
        folder = folder_of(name) / kind
        yield from (CorpusStream(path) for path in sorted(folder.iterdir()) if is_stream(path))
