"""Writes the results of broken streams of the corpus, after checks that a reader cannot do."""

import difflib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from corpus_streams import CORPUS, CorpusStream, broken_streams, bytes_of, codes_of, is_stream
from new_rule import PLACEHOLDER


class Rejected(Exception):
    """A result that must not be accepted; the message is for the user."""


def accept(paths: Sequence[Path]) -> int:
    """Write the results that are missing or differ, and print each change as a diff.

    `paths` are streams, results beside them, or folders; none means all broken streams. Returns
    the exit status: 1 if a stream was rejected or is not in the corpus.
    """
    status = changed = unchanged = 0
    try:
        streams = list(_streams(paths))
    except Rejected as reason:
        print(f"scripts/rules accept: {reason}", file=sys.stderr)
        return 1
    for stream in streams:
        try:
            mended, codes = checked_result(stream)
        except Rejected as reason:
            print(f"{stream}: rejected: {reason}", file=sys.stderr)
            status = 1
            continue
        if _is_current(stream, mended, codes):
            unchanged += 1
            continue
        changed += 1
        print("".join(_diff(stream, mended, codes)), end="")
        stream.mended_path.write_bytes(mended)
        stream.findings_path.write_text("".join(f"{code}\n" for code in codes))
    rejected = len(streams) - changed - unchanged
    print(f"{changed} written, {unchanged} unchanged, {rejected} rejected")
    return status


def checked_result(stream: CorpusStream) -> tuple[bytes, list[str]]:
    """The bytes and codes that a stream results in. Raises Rejected when they cannot be right."""
    data = stream.path.read_bytes()
    if PLACEHOLDER.encode() in data:
        raise Rejected(f"{stream.path.name} has no stream yet")
    mended, codes = _result(stream, [data])
    if _result(stream, [data[at : at + 1] for at in range(len(data))]) != (mended, codes):
        raise Rejected("the result depends on how the bytes are chunked")
    if problems := stream.violations(mended):
        raise Rejected(f"the result is not valid: {'; '.join(problems)}")
    again, found = _result(stream, [mended])
    if (again, found) != (mended, []):
        by = f" by {', '.join(found)}" if found else ""
        raise Rejected(f"the result is changed{by} when it is repaired again")
    if mended == data and not codes and not stream.violations(data):
        raise Rejected("nothing is wrong with this stream: it belongs in clean/")
    return mended, codes


def _result(stream: CorpusStream, chunks: list[bytes]) -> tuple[bytes, list[str]]:
    repaired = stream.repaired(chunks)
    return bytes_of(repaired), codes_of(repaired)


def _streams(paths: Sequence[Path]) -> Iterator[CorpusStream]:
    if not paths:
        yield from broken_streams()
        return
    for path in paths:
        if not path.exists():
            raise Rejected(f"{path}: no such file or folder")
        inside = [path.resolve()] if path.is_file() else sorted(path.resolve().rglob("broken/*"))
        if path.is_dir() and path.resolve().name == "broken":
            inside = sorted(path.resolve().iterdir())
        streams = [one for one in inside if is_stream(one)]
        if not streams or any(one.parents[2] != CORPUS for one in streams):
            raise Rejected(f"{path}: expected a stream in tests/corpus/*/broken, or a folder")
        if any(one.parent.name != "broken" for one in streams):
            raise Rejected(f"{path}: a stream in clean/ has no result")
        yield from map(CorpusStream, streams)


def _is_current(stream: CorpusStream, mended: bytes, codes: list[str]) -> bool:
    if not (stream.mended_path.exists() and stream.findings_path.exists()):
        return False
    return stream.mended_path.read_bytes() == mended and stream.codes == codes


def _diff(stream: CorpusStream, mended: bytes, codes: list[str]) -> Iterator[str]:
    """The change from the accepted result, or from the broken stream if there is none."""
    has_result = stream.mended_path.exists()
    old = stream.mended_path if has_result else stream.path
    yield from _lines(old.read_bytes(), mended, old.name, stream.mended_path.name)
    before = stream.findings_path.read_bytes() if stream.findings_path.exists() else b""
    name = stream.findings_path.name
    yield from _lines(before, "".join(f"{code}\n" for code in codes).encode(), name, name)


def _lines(old: bytes, new: bytes, old_name: str, new_name: str) -> Iterator[str]:
    before, after = (data.decode("utf-8", "replace").split("\n") for data in (old, new))
    for line in difflib.unified_diff(before, after, old_name, new_name, lineterm=""):
        yield f"{line}\n"
