"""The cassette of a test: its recording is replayed, or made.

A cassette is a recording as `scripts/record` writes it. A recording is complete when the proxy has
ended, and takes its place only if the test has passed.
"""

import fcntl
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from wiremend.launch.record import new_partial, publish, recording_arguments
from wiremend.launch.replay import replay_arguments
from wiremend.testing.plugin import RecordMode
from wiremend.testing.proxy import Proxy, ProxyFailed

REWRITE = f"--wiremend-record={RecordMode.REWRITE}"
ONCE = f"--wiremend-record={RecordMode.ONCE}"
_WITHOUT_FAULTS = "in a test without faults: faults are not recorded"
NOT_RECORDED = "not recorded: the test did not pass"


class CassetteProblem(Exception):
    """A cassette cannot be used; the text is for the user."""


class CassetteUse(ABC):
    """What one test does with its cassette."""

    is_recording = False
    """Whether calls may go to the provider."""
    is_shared = False
    """Whether several tests of a run may write the file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._partial: Path | None = None
        """What is written while the test runs."""

    def _create_partial(self) -> Path:
        """Create the file that is written. Raises CassetteProblem."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            if self.file.is_dir():
                raise CassetteProblem(f"{self.file} is a folder, not a cassette")
            self._partial = new_partial(self.file)
        except OSError as reason:
            raise CassetteProblem(f"{self.file} cannot be written: {reason.strerror}") from None
        return self._partial

    @abstractmethod
    def start(self) -> list[str]:
        """Return the arguments of the proxy. Raises CassetteProblem."""

    def problem(self, proxy: Proxy) -> str:
        """Return why a test that passed has failed after all; empty if it has not."""
        return ""

    def start_problem(self, proxy: Proxy) -> str:
        """Return why the proxy did not start, if that is because of the cassette."""
        return ""

    def discard(self) -> None:
        """Remove what was written and is not in its place."""
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)

    def finish(self, proxy: Proxy, *, has_passed: bool) -> str:
        """Return what was written, as one line. The proxy has ended. Raises CassetteProblem."""
        return ""


class Replayed(CassetteUse):
    """The cassette is the provider, and the only one.

    `nodeid` names the test in instructions. `match` is the level of matching. `maps` are folders of
    the recording, and where they are now.
    """

    def __init__(
        self,
        file: Path,
        nodeid: str,
        *,
        match: str,
        maps: Mapping[str, str],
        has_faults: bool = False,
    ) -> None:
        super().__init__(file)
        self._nodeid = nodeid
        self._match = match
        self._maps = [f"{old}={new}" for old, new in maps.items()]
        self._has_faults = has_faults

    def start(self) -> list[str]:
        """Return the arguments of the proxy. Raises CassetteProblem if there is no file."""
        if self.file.is_dir():
            raise CassetteProblem(f"{self.file} is a folder, not a cassette")
        if not self.file.exists():
            how = f"record it with {ONCE}"
            if self._has_faults:
                how += f", {_WITHOUT_FAULTS}"
            raise CassetteProblem(f"there is no cassette {self.file}: {how}")
        return replay_arguments(
            self.file, match=self._match, maps=self._maps, forwards_misses=self.is_recording
        )

    def start_problem(self, proxy: Proxy) -> str:
        """Return what the proxy logged about the file, and about its folders."""
        start = f"wiremend: {self.file.resolve()}: "
        said = [line.partition(start)[2] for line in proxy.lines if start in line]
        return f"{self.file} cannot be replayed: {said[0]}" if said else ""

    def problem(self, proxy: Proxy) -> str:
        """Return the misses, with the nearest recorded requests, and what can be done."""
        try:
            report = proxy.replay_report()
        except ProxyFailed as failure:
            return str(failure)
        if not report.misses and not report.forwarded and len(report.unused) == report.calls:
            return (
                f"nothing was requested from the cassette {self.file}: "
                "the client must use the variables in `wiremend.env`"
            )
        if not report.misses:
            return ""
        lines = report.model_copy(update={"folders": []}).lines()
        if report.folders:
            old, new = report.folders
            lines.append(
                f"recorded in another folder; the fixture `wiremend_maps` can return "
                f"{{{old!r}: {new!r}}}"
            )
        if self._has_faults:
            lines.append(f"to record again, on purpose: {REWRITE}, {_WITHOUT_FAULTS}")
        else:
            lines.append(f"to record again, on purpose: pytest {REWRITE} '{self._nodeid}'")
        return "\n".join(lines)


class Recorded(CassetteUse):
    """The calls of the test are recorded. `mode` is what becomes of an existing file."""

    is_recording = True

    def __init__(self, file: Path, mode: RecordMode) -> None:
        super().__init__(file)
        self._mode = mode

    def start(self) -> list[str]:
        """Create the file that is written; return the arguments of the proxy."""
        return recording_arguments(self._create_partial())

    def finish(self, proxy: Proxy, *, has_passed: bool) -> str:
        """Move the recording to its place if the test has passed; else remove it."""
        if not has_passed:
            return NOT_RECORDED
        assert self._partial is not None
        with _writing(self.file):
            new = _flows_in(self._partial, self.file, proxy)
            if not new:
                raise CassetteProblem(
                    f"no calls were recorded, so {self.file} was not written: "
                    "the client must use the variables in `wiremend.env`"
                )
            if self._mode is RecordMode.ALL:
                return _append(new, self._partial, self.file)
            publish(self._partial, self.file, force=self._mode is RecordMode.REWRITE)
        return f"recorded {self.file} ({_kilobytes(new)})"


class Extended(Replayed):
    """The cassette is the provider of its calls. Other calls are recorded and appended to it."""

    is_recording = True
    is_shared = True

    def start(self) -> list[str]:
        """Create the file that is written; return the arguments of the proxy."""
        replayed = super().start()
        return [*replayed, *recording_arguments(self._create_partial())]

    def finish(self, proxy: Proxy, *, has_passed: bool) -> str:
        """Append the new calls to the cassette if the test has passed; else drop them."""
        assert self._partial is not None
        with _writing(self.file):
            new = _flows_in(self._partial, self.file, proxy)
            if not new:
                return ""
            return _append(new, self._partial, self.file) if has_passed else NOT_RECORDED


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Exclude other processes from writing into the folder. Raises CassetteProblem for OSError."""
    try:
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # until it is closed
            yield
        finally:
            os.close(folder)
    except FileExistsError:
        raise CassetteProblem(
            f"{file} was written by another test meanwhile; give each test its own"
        ) from None
    except OSError as reason:
        raise CassetteProblem(f"{file} was not written: {reason.strerror}") from None


def _flows_in(partial: Path, file: Path, proxy: Proxy) -> bytes:
    """Return what was recorded. Raises CassetteProblem if it does not contain whole calls."""
    if lost := [line for line in proxy.lines if " was not recorded (" in line]:
        raise CassetteProblem(f"{file} was not written; {lost[0]}")
    new = partial.read_bytes()
    if not _is_flow_file(new):
        raise CassetteProblem(f"{file} was not written: its last call is incomplete")
    return new


def _append(new: bytes, partial: Path, file: Path) -> str:
    """Replace a cassette by its flows and the new ones: a flow file has no header and no trailer.

    Return what was written, as one line. Raises CassetteProblem and OSError.
    """
    earlier = file.read_bytes() if file.exists() else b""
    if not _is_flow_file(earlier):
        raise CassetteProblem(
            f"{file} is no flow file, so calls cannot be appended; replace it with {REWRITE}"
        )
    partial.write_bytes(earlier + new)
    publish(partial, file, force=True)
    return f"recorded {file} ({_kilobytes(new)} appended)"


def _kilobytes(data: bytes) -> str:
    return f"{max(1, len(data) // 1000)} kB"


def _is_flow_file(data: bytes) -> bool:
    """Return whether a file consists of tnetstrings of dictionaries, as flow files do."""
    position = 0
    while position < len(data):
        digits, colon, _ = data[position : position + 13].partition(b":")
        if not colon or not digits.isdigit():
            return False
        position += len(digits) + 1 + int(digits)
        if data[position : position + 1] != b"}":
            return False
        position += 1
    return True


def cassette_file(name: Path, folder: Path) -> Path:
    """Return the path of a cassette, absolute."""
    return Path(os.path.abspath(folder / name.expanduser()))


def use_of(
    file: Path,
    mode: RecordMode,
    nodeid: str,
    *,
    match: str,
    maps: Mapping[str, str],
    has_faults: bool,
) -> CassetteUse:
    """Return what a test does with its cassette. Raises CassetteProblem.

    Faults are not recorded, so a test with faults always replays.
    """
    is_recorded = os.path.lexists(file)
    is_replayed = mode is RecordMode.NONE or (mode is RecordMode.ONCE and is_recorded)
    if is_replayed or has_faults:
        return Replayed(file, nodeid, match=match, maps=maps, has_faults=has_faults)
    if mode is not RecordMode.NEW_EPISODES:
        return Recorded(file, mode)
    if is_recorded:
        return Extended(file, nodeid, match=match, maps=maps)
    return Recorded(file, RecordMode.ONCE)
