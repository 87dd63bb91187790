"""The report of a replay: how many requests were answered, and which were not.

Commands and the pytest plugin read it without mitmproxy, which takes a while to load.
"""

from pydantic import BaseModel, ConfigDict


class ReplayReport(BaseModel):
    """What became of the requests to a recording."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    recording: str
    """The name of the file."""
    calls: int
    """How many calls the recording contains."""
    hits: int = 0
    """How many requests were answered from it."""
    misses: int = 0
    """How many requests are not in it. One of them fails the run."""
    forwarded: int = 0
    """How many requests are not in it, and were sent to their providers on purpose."""
    miss_texts: list[str] = []
    """What is printed about the first misses."""
    unused: list[str] = []
    """The recorded calls that no request asked for."""
    side_requests: list[str] = []
    """Other requests, which were answered with 404."""
    folders: list[str] = []
    """The folder in which it was recorded and that of the replay, if tool calls may name the
    former."""

    def lines(self) -> list[str]:
        """Return the report as lines for people."""
        lines = [line for text in self.miss_texts for line in text.splitlines()]
        if self.misses > len(self.miss_texts):
            lines.append(f"... and {self.misses - len(self.miss_texts)} more requests")
        lines += [f"not requested: {name}" for name in self.unused]
        if self.side_requests:
            shown = ", ".join(self.side_requests[:5])
            more = f" and {len(self.side_requests) - 5} more" if self.side_requests[5:] else ""
            lines.append(f"other requests, answered with 404: {shown}{more}")
        if self.folders:
            old, new = self.folders
            lines.append(f"recorded in another folder; try --map {old}={new}")
        used = self.calls - len(self.unused)
        total = f"{used} of {self.calls} recorded calls replayed from {self.recording}"
        problem = f"; {counted(self.misses, 'request')} not in it" if self.misses else ""
        sent = f"; {counted(self.forwarded, 'request')} forwarded" if self.forwarded else ""
        return [*lines, total + sent + problem]


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, such as `1 call` and `2 calls`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
