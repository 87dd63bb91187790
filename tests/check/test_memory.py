"""The memory of a check is that of the largest flow, whatever the number of flows."""

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from recorded_files import BROKEN, HAR_FLAVOURS, flow_file, har, http_flow, line
from wiremend.check.command import main
from wiremend.recording.exchange import UnusableRecording
from wiremend.recording.flow_files import read_flow_file
from wiremend.recording.limited import PeekableFile

ONE_FLOW = BROKEN + b": " + b"x" * 200_000 + b"\n\n"


def flows(count: int) -> bytes:
    return flow_file(http_flow(ONE_FLOW)) * count


def lines(count: int) -> bytes:
    return line(ONE_FLOW) * count


def entries(count: int) -> bytes:
    return har(*[HAR_FLAVOURS["Firefox"](ONE_FLOW)] * count)


def peak_of(name: str) -> int:
    """Return the largest number of bytes that a check of the file allocates."""
    tracemalloc.start()
    try:
        main("scripts/check", [name, "--output-file", "report"])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", [flows, lines, entries], ids=lambda make: make.__name__)
def test_ten_times_as_many_flows_need_no_more_memory(
    make: Callable[[int], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("wiremend.recording.flow_files.COLLECT_BYTES", 2 * len(ONE_FLOW))
    for count in (4, 40):
        Path(f"{count}.jsonl").write_bytes(make(count))
    main("scripts/check", ["4.jsonl", "--output-file", "report"])  # imports and caches
    small, large = peak_of("4.jsonl"), peak_of("40.jsonl")
    assert large - small < 6 * len(ONE_FLOW)  # of 36 more


def test_a_long_length_allocates_nothing() -> None:
    file = PeekableFile(io.BytesIO(b"200000000:" + b"x" * 100))  # its size is not known
    tracemalloc.start()
    try:
        with pytest.raises(UnusableRecording):
            list(read_flow_file(file))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
