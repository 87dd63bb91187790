"""Every stream of the corpus, in every chunking: clean ones pass, broken ones become valid."""

import random
from pathlib import Path

import pytest
from rule_codes import codes_between
from wiremend.protocols.anthropic import grammar as anthropic_messages
from wiremend.protocols.anthropic.stream import AnthropicRepairer
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.chat import grammar as chat_completions
from wiremend.protocols.chat.stream import ChatRepairer
from wiremend.repair.stream import StreamRepair
from wiremend.text import sse

CORPUS = Path(__file__).parent / "corpus"
PROTOCOLS = {
    "anthropic_messages": (AnthropicRepairer, anthropic_messages),
    "chat_completions": (ChatRepairer, chat_completions),
}
"""Those of Gemini and Responses are run by their repairers' own tests."""
CODES = {"anthropic_messages": ("S101", "S149"), "chat_completions": ("S201", "S249")}
CLEAN = [path for name in PROTOCOLS for path in sorted((CORPUS / name / "clean").glob("*.sse"))]
BROKEN = [
    path
    for name in PROTOCOLS
    for path in sorted((CORPUS / name / "broken").glob("*.sse"))
    if ".mended" not in path.suffixes
]


def name_of(path: Path) -> str:
    return f"{path.parts[-3]}-{path.stem}"


def chunkings(data: bytes) -> dict[str, list[bytes]]:
    at_random = random.Random(len(data))
    cuts = sorted(at_random.sample(range(len(data)), min(9, len(data))))
    return {
        "whole": [data],
        "byte by byte": [bytes([byte]) for byte in data],
        "at random": [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)],
    }


def repair_stream(path: Path, chunks: list[bytes]) -> tuple[bytes, list[str]]:
    make, _ = PROTOCOLS[path.parts[-3]]
    repair = StreamRepair(make(StreamContext(model="claude-sonnet-4-5", tool_names=("a", "b"))))
    repaired: list[Repaired] = []
    for chunk in chunks:
        repaired += repair.feed(chunk)
    if not {one.kind for one in repaired} & {EventKind.TERMINAL, EventKind.ERROR}:
        repaired += repair.end()
    codes = [finding.code for one in repaired for finding in one.findings]
    return b"".join(one.data for one in repaired), codes


def violations(path: Path, data: bytes) -> list[str]:
    grammar = PROTOCOLS[path.parts[-3]][1].Grammar()
    found = [problem for event in sse.Decoder().feed(data) for problem in grammar.feed(event)]
    return found + grammar.end()


@pytest.mark.parametrize("path", CLEAN, ids=name_of)
def test_a_clean_stream_is_valid_and_passes_byte_for_byte(path: Path) -> None:
    data = path.read_bytes()
    assert violations(path, data) == []
    for name, chunks in chunkings(data).items():
        assert repair_stream(path, chunks) == (data, []), name


@pytest.mark.parametrize("path", BROKEN, ids=name_of)
def test_a_broken_stream_becomes_what_stands_beside_it(path: Path) -> None:
    repaired = path.with_suffix(".mended.sse").read_bytes()
    codes = path.with_suffix(".findings").read_text().split()
    for name, chunks in chunkings(path.read_bytes()).items():
        assert repair_stream(path, chunks) == (repaired, codes), name
    assert violations(path, repaired) == []
    assert repair_stream(path, [repaired]) == (repaired, [])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_rule_of_a_stream_has_a_file(name: str) -> None:
    found = {
        code
        for path in (CORPUS / name / "broken").glob("*.findings")
        for code in path.read_text().split()
    }
    first, last = CODES[name]
    assert codes_between(first, last) <= found
