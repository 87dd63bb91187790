"""Streams of the corpus as a provider sends them, and what they are repaired to."""

from collections.abc import Sequence
from pathlib import Path

from wiremend.testing.provider import ScriptedProvider

from traffic import faults


def events_in(folder: Path, name: str) -> list[bytes]:
    """Return the events of a stream as a provider sends it."""
    *events, rest = (folder / f"{name}.sse").read_bytes().split(b"\n\n")
    return [*(event + b"\n\n" for event in events), *([rest] if rest else [])]


def repaired_in(folder: Path, name: str) -> bytes:
    """Return the repaired stream, which is the stream itself if it is clean."""
    path = folder / f"{name}.sse"
    mended = path.with_suffix(".mended.sse")
    return (mended if mended.exists() else path).read_bytes()


def play(provider: ScriptedProvider, events: Sequence[bytes]) -> None:
    """Let the provider answer every call with these events."""
    provider.script([faults.streamed(events)])
