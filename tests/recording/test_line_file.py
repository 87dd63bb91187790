"""The file of `wiremend_log`: private, rotated, and never in the way of a call."""

import os
import threading
from pathlib import Path

import pytest
from wiremend.recording import line_file
from wiremend.recording.line_file import LineFile


def written(path: Path, *lines: bytes, limit: int = 1000) -> list[str]:
    """Write lines and close the file; return the messages for the user."""
    reports: list[str] = []
    file = LineFile(path, reports.append, limit)
    for line in lines:
        file.add(line)
    file.close()
    return reports


@pytest.mark.parametrize("mode", [None, 0o644])
def test_lines_are_appended_to_a_private_file(tmp_path: Path, mode: int | None) -> None:
    path = tmp_path / "calls.jsonl"
    if mode is not None:
        path.touch(mode)
    assert written(path, b"1", b"2") + written(path, b"3") == []
    assert path.read_bytes() == b"1\n2\n3\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_large_file_is_rotated_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    lines = [b"%03d" % number for number in range(20)]
    assert written(path, *lines, limit=8) == []
    names = ["", ".1", ".2", ".3", ".4", ".5"]
    contents = [(tmp_path / f"calls.jsonl{name}").read_bytes() for name in names]
    assert contents == [b"%03d\n%03d\n" % (n, n + 1) for n in range(18, 6, -2)]
    assert len(list(tmp_path.iterdir())) == 6
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_full_disk_is_reported_once() -> None:
    reports = written(Path("/dev/full"), *[b"line"] * 50)
    assert reports == ["/dev/full lacks lines: no space left on device. Calls go on."]


def test_a_line_that_was_written_partly_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "calls.jsonl"
    real, calls = os.write, iter([1, 0, 3])

    def failing(descriptor: int, data: bytes) -> int:
        match next(calls):
            case 0:
                raise OSError(28, "No space left on device")
            case 1:
                return real(descriptor, data[:2])
            case _:
                return real(descriptor, data)

    monkeypatch.setattr(line_file.os, "write", failing)
    reports = written(path, b"first", b"second")
    assert path.read_bytes() == b"fi\nsecond\n"
    assert reports[1] == f"{path} is written again; 1 line missing."


def test_lines_are_dropped_and_not_waited_for_if_the_disk_hangs(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opening it for writing waits for a reader
    reports: list[str] = []
    file = LineFile(pipe, reports.append)
    for _ in range(line_file.WAITING_LIMIT + 10):
        file.add(b"line")
    assert reports == [f"{pipe} lacks lines: it is not written fast enough. Calls go on."]
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    file.close()
    reader.join(10)
    assert read[0].count(b"line\n") >= line_file.WAITING_LIMIT
