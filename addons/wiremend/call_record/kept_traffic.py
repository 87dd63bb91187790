"""The traffic of calls while they run: both sides of each, every attempt, and the times of chunks.

All of it is bounded, for each call and for all calls together. Beyond a limit the rest of a body is
not kept, or older calls lose their traffic, and their records contain that.
"""

from collections.abc import Callable
from typing import Any

from wiremend.call_record.kept_bytes import KEPT_LIMIT_BYTES, BodyKeeper, plain_body
from wiremend.call_record.plain import Plain

TOTAL_LIMIT_BYTES = 256 * 1024 * 1024
"""The default limit for the traffic of all calls whose flows are in memory."""
CALL_LIMIT = "the limit for one call"
TOTAL_LIMIT = "the limit for all calls"
DROPPED = "newer calls needed the space"


class TrafficStore:
    """Counts the traffic that is kept of all calls, and limits it."""

    def __init__(
        self,
        limit_bytes: int = TOTAL_LIMIT_BYTES,
        call_limit_bytes: int = KEPT_LIMIT_BYTES,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.call_limit_bytes = call_limit_bytes
        self.kept_bytes = 0
        self._running: dict[TrafficShare, Callable[[], None]] = {}
        self._ended: dict[TrafficShare, Callable[[], None]] = {}
        """Oldest first, with what drops the traffic of each."""

    def share(self, write: Callable[[], None]) -> "TrafficShare":
        """Return the share of a new call. `write` writes what is kept of it into its flow."""
        share = TrafficShare(self)
        self._running[share] = write
        return share

    def write_running(self) -> None:
        """Write what is kept of the calls that have not ended: the proxy ends."""
        for write in list(self._running.values()):
            write()

    def make_space(self, size_bytes: int) -> bool:
        """Return whether so many more bytes may be kept, after dropping older traffic if needed."""
        while self.kept_bytes + size_bytes > self.limit_bytes and self._ended:
            oldest = next(iter(self._ended))
            drop = self._ended[oldest]
            oldest.is_dropped = True
            oldest.release()
            drop()
        return self.kept_bytes + size_bytes <= self.limit_bytes

    def move_to_ended(self, share: "TrafficShare", drop: Callable[[], None]) -> None:
        """Allow `drop`, which removes the traffic of a call that has ended from its flow."""
        if self._running.pop(share, None) is not None:
            self._ended[share] = drop

    def remove(self, share: "TrafficShare") -> None:
        """Forget a call."""
        self._running.pop(share, None)
        self._ended.pop(share, None)


class TrafficShare:
    """What is kept of one call."""

    def __init__(self, store: TrafficStore) -> None:
        self._store = store
        self._kept_bytes = 0
        self._is_released = False
        self.is_dropped = False
        """Whether newer calls needed the space."""
        self.exceeded = ""
        """The limit for which something was not kept; empty if everything was."""

    def take(self, size_bytes: int) -> bool:
        """Count bytes that are to be kept. Returns False, without effect, beyond a limit."""
        if self._is_released:
            return False
        if self._kept_bytes + size_bytes > self._store.call_limit_bytes:
            self.exceeded = CALL_LIMIT
            return False
        if not self._store.make_space(size_bytes):
            self.exceeded = TOTAL_LIMIT
            return False
        self._kept_bytes += size_bytes
        self._store.kept_bytes += size_bytes
        return True

    def end(self, drop: Callable[[], None]) -> None:
        """The call has ended; `drop` is called if newer calls need the space."""
        self._store.move_to_ended(self, drop)

    def release(self) -> None:
        """Nothing of the call is kept any more."""
        self._store.remove(self)
        self._store.kept_bytes -= self._kept_bytes
        self._kept_bytes = 0
        self._is_released = True


class _Message:
    """A request or response: its head as plain data, and its body."""

    def __init__(self, head: Plain, body: BodyKeeper) -> None:
        self.head = head
        self.body = body


class _Attempt:
    """The messages of one attempt."""

    def __init__(self) -> None:
        self.request: Plain | None = None
        self.response: _Message | None = None


class CallTraffic:
    """The traffic of one running call. Heads are those of `schema.KeptRequest` and `KeptResponse`.

    Times are seconds since the start of the call.
    """

    def __init__(self, share: TrafficShare) -> None:
        self._share = share
        self._bodies: dict[bytes, str] = {}
        """Bodies of requests, and the name of the message that has each of them."""
        self._client_request: Plain | None = None
        self._client_response: _Message | None = None
        self._attempts: list[_Attempt] = []

    def client_sent(self, head: Plain, body: bytes) -> None:
        """Keep the client's request."""
        self._client_request = head | {"body": self._request_body(body, "client_request")}

    def attempt_started(self) -> None:
        """What follows belongs to the next attempt."""
        self._attempts.append(_Attempt())

    def attempt_sent(self, head: Plain, body: bytes) -> None:
        """Keep the request of the current attempt."""
        if self._attempts:
            name = f"attempts[{len(self._attempts) - 1}].request"
            self._attempts[-1].request = head | {"body": self._request_body(body, name)}

    def upstream_head(self, head: Plain) -> None:
        """Keep the head of the current attempt's response."""
        if self._attempts:
            self._attempts[-1].response = self._message(head)

    def upstream_data(self, data: bytes, seconds: float) -> None:
        """Keep a part of the body of the current attempt's response."""
        if self._attempts and (response := self._attempts[-1].response) is not None:
            response.body.add(data, seconds)

    def client_head(self, head: Plain) -> None:
        """Keep the head of the response that the client receives."""
        self._client_response = self._message(head)

    def client_data(self, data: bytes, seconds: float) -> None:
        """Keep a part of the body that the client receives."""
        if self._client_response is not None:
            self._client_response.body.add(data, seconds)

    def plain(self) -> Plain:
        """Return fields of a `schema.CallRecord`; those of `attempts` are its messages only."""
        attempts = [
            {"request": attempt.request, "response": _plain_message(attempt.response)}
            for attempt in self._attempts
        ]
        response = _plain_message(self._client_response)
        if response is not None:
            for index, attempt in reversed(list(enumerate(attempts))):
                if _has_same_body(attempt["response"], response):
                    _refer(response, f"attempts[{index}].response")
                    break
        return {
            "client_request": self._client_request,
            "client_response": response,
            "attempts": attempts,
            "not_kept": f"{self._share.exceeded} was exceeded" if self._share.exceeded else "",
        }

    def _request_body(self, body: bytes, name: str) -> Plain:
        if (earlier := self._bodies.get(body)) is not None:
            return plain_body(b"", size=len(body)) | {"same_as": earlier}
        if not self._share.take(len(body)):
            return plain_body(b"", size=len(body))
        self._bodies[body] = name
        return plain_body(body)

    def _message(self, head: Plain) -> _Message:
        return _Message(head, BodyKeeper(take=self._share.take))


def _plain_message(message: _Message | None) -> Plain | None:
    return None if message is None else message.head | {"body": message.body.plain()}


def _has_same_body(earlier: Plain | None, response: Plain) -> bool:
    """Return whether both bodies were kept whole and are equal."""
    if earlier is None:
        return False
    one, other = earlier["body"], response["body"]
    is_whole: bool = one["size"] == other["size"] == len(other["data"])
    return is_whole and bool(one["size"]) and one["data"] == other["data"]


def _refer(message: dict[str, Any], name: str) -> None:
    message["body"] |= {"data": plain_body(b"")["data"], "same_as": name}
