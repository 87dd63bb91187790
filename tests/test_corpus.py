"""Every stream of the corpus, in every framing: clean ones pass, broken ones become valid.

A broken stream has two files beside it: what it becomes, and the codes of the rules that apply, in
order. A stream whose name starts with a client's family is repaired for that client.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest
from framings import FRAMINGS, Framing, bytes_of, codes_of
from rule_codes import codes_between
from wiremend.protocols.base.repairer import EventKind, Repaired

CORPUS = Path(__file__).parent / "corpus"
FOLDERS = {
    ("anthropic_messages", ".sse"): "anthropic",
    ("chat_completions", ".sse"): "chat",
    ("responses", ".sse"): "responses",
    ("gemini", ".sse"): "gemini",
    ("gemini", ".json"): "gemini-array",
}
"""The framing of the streams in a folder, by their suffix."""
MODELS = {"anthropic_messages": "claude-sonnet-4-5"}
"""The models that the streams were asked of; an empty name for all others."""
ENDING_IN_ERROR = ("error", "failed-after")
"""Words in the names of clean streams that end in the protocol's own error."""
LEGAL_AS_THEY_ARE = {
    "anthropic_messages-end-turn-with-a-tool",
    "anthropic_messages-no-final-blank-line",
    "anthropic_messages-text-null",
    "anthropic_messages-tool-use-without-a-tool",
    "chat_completions-created-as-float",
    "chat_completions-stop-before-a-cut-call-and-done",
    "chat_completions-stop-then-a-late-call-and-done",
    "gemini-error-as-json-text",
    "gemini-error-beside-candidates",
    "gemini-gemini-cli-data-on-several-lines",
    "gemini-gemini-cli-line-separator-in-text",
    "gemini-gemini-cli-mixed-line-ends",
    "gemini-python-genai-line-separator-in-text",
}
"""Broken streams without a violation of the grammar: what they break is a client."""
STREAM_CODES = {
    "anthropic_messages": codes_between("S101", "S149"),
    "chat_completions": codes_between("S201", "S249"),
    "responses": codes_between("S301", "S349"),
    "gemini": codes_between("S401", "S499"),
}
"""The codes of the rules on each protocol's streams."""
ALL_CODES = frozenset[str]().union(*STREAM_CODES.values())


@dataclass(frozen=True)
class Stream:
    """A stream of the corpus."""

    path: Path

    def __str__(self) -> str:
        return f"{self.path.parts[-3]}-{self.path.name.removesuffix('.sse')}"

    @property
    def protocol(self) -> str:
        """The protocol, by the name of its folder."""
        return self.path.parts[-3]

    @property
    def framing(self) -> Framing:
        """Its kind."""
        return FRAMINGS[FOLDERS[self.protocol, self.path.suffix]]

    @property
    def expected(self) -> tuple[bytes, list[str]]:
        """What a broken stream becomes, and the codes of its findings."""
        repaired = self.path.with_suffix(f".mended{self.path.suffix}").read_bytes()
        return repaired, self.path.with_suffix(".findings").read_text().split()

    def repaired(
        self, chunks: list[bytes], disabled: frozenset[str] = frozenset()
    ) -> list[Repaired]:
        """What becomes of these chunks of it."""
        families = filter(None, self.framing.clients)
        client = next((one for one in families if self.path.name.startswith(one)), "")
        context = self.framing.context(
            client=client,
            model=MODELS.get(self.protocol, ""),
            tool_names=("a", "b"),
            disabled=disabled,
        )
        return self.framing.repaired(chunks, context)


def streams(kind: str) -> list[Stream]:
    """All streams in the folders of this name."""
    return [
        Stream(path)
        for folder in STREAM_CODES
        for path in sorted((CORPUS / folder / kind).iterdir())
        if path.suffix != ".findings" and ".mended" not in path.suffixes
    ]


CLEAN, BROKEN = streams("clean"), streams("broken")
each_clean = pytest.mark.parametrize("stream", CLEAN, ids=str)
each_broken = pytest.mark.parametrize("stream", BROKEN, ids=str)


def chunkings(data: bytes) -> dict[str, list[bytes]]:
    chance = random.Random(len(data))
    cuts = sorted(chance.sample(range(len(data)), min(9, len(data))))
    return {
        "whole": [data],
        "byte by byte": [data[at : at + 1] for at in range(len(data))],
        "seven bytes each": [data[at : at + 7] for at in range(0, len(data), 7)],
        "at random": [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)],
    }


def test_every_folder_of_the_corpus_is_run() -> None:
    folders = {path.parent.parent.name for path in CORPUS.glob("*/*/*") if path.is_file()}
    assert folders == set(STREAM_CODES)
    assert {FOLDERS[one.protocol, one.path.suffix] for one in CLEAN} == set(FRAMINGS)
    assert {FOLDERS[one.protocol, one.path.suffix] for one in BROKEN} == set(FRAMINGS)


@each_clean
def test_a_clean_stream_is_valid_and_passes_byte_for_byte(stream: Stream) -> None:
    data = stream.path.read_bytes()
    assert stream.framing.violations(data) == []
    for name, chunks in chunkings(data).items():
        repaired = stream.repaired(chunks)
        assert (bytes_of(repaired), codes_of(repaired)) == (data, []), name
        is_error = any(words in stream.path.name for words in ENDING_IN_ERROR)
        assert repaired[-1].kind is (EventKind.ERROR if is_error else EventKind.TERMINAL)


@each_broken
def test_a_broken_stream_becomes_what_its_files_contain(stream: Stream) -> None:
    for name, chunks in chunkings(stream.path.read_bytes()).items():
        repaired = stream.repaired(chunks)
        assert (bytes_of(repaired), codes_of(repaired)) == stream.expected, name


@each_broken
def test_a_repaired_stream_is_valid_and_stays_as_it_is(stream: Stream) -> None:
    data, codes = stream.expected
    assert stream.framing.violations(data) == []
    again = stream.repaired([data])
    assert (bytes_of(again), codes_of(again)) == (data, [])
    assert codes or data != stream.path.read_bytes(), "nothing is broken"


def test_the_grammar_sees_what_is_broken() -> None:
    unseen = {str(one) for one in BROKEN if not one.framing.violations(one.path.read_bytes())}
    assert unseen == LEGAL_AS_THEY_ARE


@each_broken
def test_a_disabled_rule_leaves_events_as_they_came(stream: Stream) -> None:
    """Errors are recognised whatever is disabled, and end the stream."""
    data, (_, codes) = stream.path.read_bytes(), stream.expected
    own = ALL_CODES.intersection(codes)
    for disabled in (own, ALL_CODES, *(frozenset({code}) for code in own)):
        repaired = stream.repaired([data], disabled)
        assert disabled.isdisjoint(codes_of(repaired))
        if codes_of(repaired):
            continue  # other rules have changed something
        errors = [at for at, one in enumerate(repaired) if one.kind is EventKind.ERROR]
        shown = bytes_of(repaired[: errors[0]] if errors else repaired)
        assert data.startswith(shown)
        assert shown == data or errors


@pytest.mark.parametrize("protocol", STREAM_CODES)
def test_every_rule_of_a_stream_has_a_file(protocol: str) -> None:
    found = {code for one in BROKEN if one.protocol == protocol for code in one.expected[1]}
    assert found >= STREAM_CODES[protocol]
