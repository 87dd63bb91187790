"""The cassette of a test: its recording is replayed, or made.

A cassette is a recording as `scripts/record` writes it. A recording is complete when the proxy has
ended, and takes its place only if the test has passed.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from wiremend.launch.record import new_partial, publish, recording_arguments
from wiremend.launch.replay import replay_arguments
from wiremend.testing.plugin import RecordMode
from wiremend.testing.proxy import Proxy, ProxyFailed

REWRITE = f"--wiremend-record={RecordMode.REWRITE}"
ONCE = f"--wiremend-record={RecordMode.ONCE}"


class CassetteProblem(Exception):
    """A cassette cannot be used; the text is for the user."""


class CassetteUse(ABC):
    """What one test does with its cassette."""

    is_recording = False

    def __init__(self, file: Path) -> None:
        self.file = file
        self._partial: Path | None = None
        """What is written while the test runs."""

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
    """The cassette is the provider.

    `nodeid` names the test in instructions. `match` is the level of matching. `maps` are folders of
    the recording, and where they are now.
    """

    def __init__(
        self, file: Path, nodeid: str, *, match: str, maps: Mapping[str, str], has_faults: bool
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
                how += ", in a test without faults: faults are not recorded"
            raise CassetteProblem(f"there is no cassette {self.file}: {how}")
        return replay_arguments(self.file, match=self._match, maps=self._maps)

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
        if not report.misses and len(report.unused) == report.calls:
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
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            if self.file.is_dir():
                raise CassetteProblem(f"{self.file} is a folder, not a cassette")
            self._partial = new_partial(self.file)
        except OSError as reason:
            raise CassetteProblem(f"{self.file} cannot be written: {reason.strerror}") from None
        return recording_arguments(self._partial)

    def finish(self, proxy: Proxy, *, has_passed: bool) -> str:
        """Move the recording to its place if the test has passed; else remove it."""
        try:
            return self._publish(proxy) if has_passed else "not recorded: the test did not pass"
        except FileExistsError:
            raise CassetteProblem(
                f"{self.file} was written by another test meanwhile; give each test its own"
            ) from None
        except OSError as reason:
            raise CassetteProblem(f"{self.file} was not written: {reason.strerror}") from None

    def _publish(self, proxy: Proxy) -> str:
        assert self._partial is not None
        if lost := [line for line in proxy.lines if " was not recorded (" in line]:
            raise CassetteProblem(f"{self.file} was not written; {lost[0]}")
        size = self._partial.stat().st_size
        if not size:
            raise CassetteProblem(
                f"no calls were recorded, so {self.file} was not written: "
                "the client must use the variables in `wiremend.env`"
            )
        if not _is_flow_file(self._partial.read_bytes()):
            raise CassetteProblem(f"{self.file} was not written: its last call is incomplete")
        if self._mode is RecordMode.ALL and self.file.exists():
            self._put_before(self.file.read_bytes())
        publish(self._partial, self.file, force=self._mode is not RecordMode.ONCE)
        return f"recorded {self.file} ({max(1, size // 1000)} kB)"

    def _put_before(self, earlier: bytes) -> None:
        """Write earlier flows before the new ones: a flow file has no header and no trailer."""
        assert self._partial is not None
        if not _is_flow_file(earlier):
            raise CassetteProblem(
                f"{self.file} is no flow file, so calls cannot be appended; replace it with "
                f"{REWRITE}"
            )
        self._partial.write_bytes(earlier + self._partial.read_bytes())


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
    if mode is RecordMode.NEW_EPISODES:
        raise CassetteProblem(
            f"--wiremend-record={mode} is not supported: a replaying proxy sends nothing to the "
            f"network. Use {REWRITE} to record all calls of the test again"
        )
    is_replayed = mode is RecordMode.NONE or (mode is RecordMode.ONCE and os.path.lexists(file))
    if is_replayed or has_faults:
        return Replayed(file, nodeid, match=match, maps=maps, has_faults=has_faults)
    return Recorded(file, mode)
