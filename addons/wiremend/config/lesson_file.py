"""Keeping learnt lessons in a file: `[learning] file`.

The file has a line of JSON for each lesson. Several processes may share it: whoever writes reads
what the others have written, adds its own lessons, and replaces the file as a whole, under a lock.
If the lock is taken, the lessons are written at the next opportunity, since a proxy must not wait.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from wiremend.adapt.lessons import (
    LESSONS_LIMIT,
    Lesson,
    LessonBook,
    LessonRecord,
    PlacedLesson,
)
from wiremend.config.model import LearntLesson

try:
    import fcntl
except ImportError:  # Windows: the last writer wins
    fcntl = None  # type: ignore[assignment]

_SIZE_LIMIT_BYTES = 4 * 2**20
_WORDS_LIMIT = 300


class LessonKeeper:
    """Keeps the lessons of a book in a file, and adds to the book what others keep there.

    `report` is called with messages for the user. No method raises OSError.
    """

    def __init__(self, book: LessonBook, report: Callable[[str], None]) -> None:
        self._book = book
        self._report = report
        self._path: Path | None = None
        self._pending: list[LessonRecord] = []
        """Lessons that are not in the file yet."""
        self._seen: tuple[int, ...] | None = None
        """What changes with the file, as of the last reading."""

    def use(self, path: Path | None) -> None:
        """Keep lessons in this file from now on; None: in no file. Adds its lessons to the book."""
        if path == self._path:
            return
        self._path, self._seen, self._pending = path, None, []
        self._book.keep = self._book.drop_kept = None
        if path is not None and self._read():
            self._book.keep, self._book.drop_kept = self.keep, self.drop

    def keep(self, records: Sequence[LessonRecord]) -> None:
        """Write these lessons to the file, or remember them for the next `look`."""
        self._pending += records
        self._write()

    def drop(self) -> None:
        """Empty the file, also of the lessons of other processes."""
        assert self._path is not None
        self._pending = []
        try:
            with _locked(self._path) as is_locked:
                if not is_locked:
                    raise ValueError("another process is writing it; forget again")
                _replace(self._path, b"")
                self._seen = _stamp_of(self._path)
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else str(problem)
            self._report(f"wiremend: the file of lessons {self._path} was not emptied: {reason}")

    def look(self) -> None:
        """Write what is pending, and read what other processes have written."""
        if self._path is None or self._book.keep is None:
            return
        if self._pending:
            self._write()
        elif _stamp_of(self._path) != self._seen:
            self._read()

    def _read(self) -> bool:
        """Add the lessons in the file to the book; False, after a report, if it is unusable."""
        assert self._path is not None
        try:
            self._seen = _stamp_of(self._path)
            records, problems = _parsed(_content(self._path))
        except (OSError, ValueError) as failure:
            self._fail("cannot be read", failure)
            return False
        for problem in problems:
            self._report(f"wiremend: {self._path}: {problem}; this lesson is left out.")
        self._book.add(records)
        return True

    def _write(self) -> None:
        assert self._path is not None
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self._path) as is_locked:
                if not is_locked:
                    return
                others, _ = _parsed(_content(self._path))
                records = _merged((*others, *self._pending))
                _replace(self._path, b"".join(map(_line, records)))
                self._seen = _stamp_of(self._path)
        except (OSError, ValueError) as problem:
            self._fail("cannot be written", problem)
            return
        self._pending = []
        self._book.add(others)

    def _fail(self, what: str, problem: Exception) -> None:
        """Report a problem once, and keep no further lessons."""
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        self._report(
            f"wiremend: the file of lessons {self._path} {what}: {(reason or 'unknown').lower()}. "
            "Lessons are kept until the proxy ends."
        )
        self._book.keep = self._book.drop_kept = None


def _content(path: Path) -> bytes:
    """Return the content of a file of lessons; empty if there is no file.

    Raises OSError, and ValueError if it is no regular file, or too large.
    """
    try:
        # O_NONBLOCK: opening a pipe without a writer must not block.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return b""
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        data = file.read(_SIZE_LIMIT_BYTES + 1)
    if len(data) > _SIZE_LIMIT_BYTES:
        raise ValueError("it is too large")
    return data


def _parsed(content: bytes) -> tuple[list[LessonRecord], list[str]]:
    """Return the lessons in a file, and what is wrong with each damaged line.

    Raises ValueError if no line is a lesson: then it is the file of something else.
    """
    records: list[LessonRecord] = []
    problems: list[str] = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            records.append(_record(orjson.loads(line)))
        except (ValueError, TypeError) as problem:
            problems.append(f"line {number} is damaged ({_reason(problem)})")
    if problems and not records:
        raise ValueError("it contains no lessons; name another file, or delete it")
    return records, problems


def _reason(problem: Exception) -> str:
    if isinstance(problem, ValidationError):
        first = problem.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return "not JSON" if isinstance(problem, orjson.JSONDecodeError) else str(problem)


def _record(line: Any) -> LessonRecord:
    """Return the lesson of a parsed line. Raises ValueError or TypeError."""
    fields = dict(line)
    learnt, words = fields.pop("learnt", None), fields.pop("words", "")
    if not isinstance(learnt, str) or not isinstance(words, str):
        raise TypeError("learnt and words are strings")
    entry = LearntLesson.model_validate(fields)
    lesson = Lesson(entry.kind, entry.value, entry.tool)
    learnt_at = datetime.fromisoformat(learnt).timestamp()
    placed = PlacedLesson(entry.provider, entry.model, lesson)
    return LessonRecord(placed, learnt_at, words[:_WORDS_LIMIT])


def _line(record: LessonRecord) -> bytes:
    placed = record.placed
    fields = {
        "learnt": datetime.fromtimestamp(record.learnt_at, UTC).isoformat(timespec="seconds"),
        "provider": placed.provider,
        "model": placed.model,
        "kind": placed.lesson.kind,
        "value": placed.lesson.value,
        "tool": placed.lesson.tool,
        "words": record.words[:_WORDS_LIMIT],
    }
    return orjson.dumps({key: value for key, value in fields.items() if value}) + b"\n"


def _merged(records: Iterable[LessonRecord]) -> list[LessonRecord]:
    """Return the newest record of each lesson, oldest first, at most `LESSONS_LIMIT`."""
    newest = {record.placed.key: record for record in sorted(records, key=_age)}
    return sorted(newest.values(), key=_age)[-LESSONS_LIMIT:]


def _age(record: LessonRecord) -> float:
    return record.learnt_at


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a file of lessons; yields False if another process holds it."""
    if fcntl is None:
        yield True
        return
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _replace(path: Path, data: bytes) -> None:
    """Replace a file atomically by one that only the user can read."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    """Return what changes with any change of a file; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
