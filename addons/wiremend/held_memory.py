"""The memory that calls hold, counted over all calls of a proxy and limited.

A part of a call that would hold more asks first. If it may not, the call goes on without it: a
stream is passed on unrepaired, a body unread, a copy for mitmweb is dropped; a request that cannot
be kept for its attempts is refused.

Amounts are estimates from the sizes of bytes: a parsed body counts as much as its bytes.
"""

from collections.abc import Callable
from enum import Enum, auto

HELD_LIMIT_BYTES = 256 * 1024 * 1024
"""The default limit."""
MEASURED_EVERY_BYTES = 256 * 1024
"""Write buffers are measured once per so many bytes that were held or released."""
COUNTED_AHEAD_BYTES = 16 * 1024
"""What grows in small steps is counted so many bytes ahead, since most events are small."""


class Part(Enum):
    """What a call can hold."""

    __hash__ = object.__hash__  # that of `Enum` is a Python function

    REQUEST = auto()
    """The request: as it was received, parsed, and adapted to targets."""
    WRITTEN = auto()
    """The copy of the request that an attempt sends, until the response begins."""
    RESPONSE = auto()
    """The current attempt's response: held events, the state of repair, a collected body."""
    JUDGED = auto()
    """A body while it is parsed and repaired."""
    SHOWN = auto()
    """The copy of the response for mitmweb and saved flows."""


class HeldMemory:
    """The account of all calls."""

    def __init__(self, limit_bytes: int = HELD_LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        """0: no limit."""
        self.held_bytes = 0
        """What all calls hold together."""
        self.unsent_bytes = 0
        """What waits in write buffers for slow peers, also for those of calls that have ended, when
        it was measured last."""
        self.measure_unsent: Callable[[], int] = lambda: 0
        """Measures `unsent_bytes`; the shell sets it."""
        self._unmeasured_bytes = 0

    def share(self) -> "CallMemory":
        """Return the part of the account of a new call."""
        return CallMemory(self)

    def move(self, bytes_now: int, bytes_then: int) -> bool:
        """Change a holding; False, without effect, if it would grow beyond the limit."""
        growth = bytes_then - bytes_now
        self._unmeasured_bytes += abs(growth)
        if growth > 0 and self.limit_bytes:
            if self._unmeasured_bytes > MEASURED_EVERY_BYTES:
                self._unmeasured_bytes = 0
                self.unsent_bytes = self.measure_unsent()
            if self.held_bytes + self.unsent_bytes + growth > self.limit_bytes:
                return False
        self.held_bytes += growth
        return True


class CallMemory:
    """What one call holds, by part. Until `release`, which ends it."""

    def __init__(self, account: HeldMemory) -> None:
        self._account = account
        self._held: dict[Part, int] = {}
        self._is_released = False

    @property
    def limit_bytes(self) -> int:
        """The limit of the account."""
        return self._account.limit_bytes

    def hold(self, part: Part, size_bytes: int) -> bool:
        """Hold so many bytes in this part, more or fewer than before.

        Returns False, without effect, if that is beyond the limit, or if the call has ended.
        """
        held = self._held.get(part, 0)
        if self._is_released:
            return False
        if size_bytes == held:
            return True
        if not self._account.move(held, size_bytes):
            return False
        self._held[part] = size_bytes
        return True

    def release(self) -> None:
        """The call has ended: it holds nothing, and will not."""
        self._is_released = True
        self._account.move(sum(self._held.values()), 0)
        self._held.clear()


def unlimited() -> CallMemory:
    """Return the share of a call that is alone and has no limit."""
    return HeldMemory(0).share()
