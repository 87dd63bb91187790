"""What the client has been sent of its response, and how it is sent more.

`Shown` only moves forward, and `ClientResponse._advance` is the only place that moves it:

    shown     the client has           if an attempt fails
    -------   ----------------------   -----------------------------------------
    NOTHING   not a byte               retry; in the end an HTTP error
    HEAD      200 and keep-alives      retry; in the end the protocol's error event
    CONTENT   part of the content      the protocol's error event
    DONE      the whole response       nothing
"""

from enum import IntEnum

from wiremend.engine.actions import Action, Head, ShowBody, ShowHead
from wiremend.engine.deadlines import Deadlines
from wiremend.engine.machine import IllegalMove
from wiremend.engine.response_reader import BodyMode, ResponseReading
from wiremend.text.sse import BYTE_ORDER_MARK

KEEP_ALIVE = b"\n"
"""A blank line dispatches nothing: the one keep-alive that every client measured accepts."""


class Shown(IntEnum):
    """What the client has been sent; see the table above."""

    NOTHING = 0
    HEAD = 1
    CONTENT = 2
    DONE = 3

    @property
    def allows_retry(self) -> bool:
        """Return whether a failed attempt can be hidden from the client."""
        return self < Shown.CONTENT


class ClientResponse:
    """Sends the client its response: appends actions, and keeps count of what was sent.

    Times are monotonic seconds. `response` is always that of the current attempt.
    """

    def __init__(self, deadlines: Deadlines) -> None:
        self.shown = Shown.NOTHING
        self._deadlines = deadlines

    def show_head(
        self, now: float, actions: list[Action], head: Head, response: ResponseReading
    ) -> None:
        """Send the response head, once. An untouched body counts as content from its head on."""
        if self.shown is not Shown.NOTHING:
            raise IllegalMove(self.shown, Shown.HEAD)
        actions.append(ShowHead(head))
        is_untouched = response.mode is BodyMode.UNTOUCHED
        self._advance(Shown.CONTENT if is_untouched else Shown.HEAD)
        self._deadlines.bytes_shown(now)

    def show(
        self, now: float, actions: list[Action], data: bytes, response: ResponseReading
    ) -> bool:
        """Send bytes of the body, behind the head; return whether they are the first content."""
        if self.shown is Shown.HEAD:
            # Behind a keep-alive, clients would read a byte order mark as part of a field's name.
            data = data.removeprefix(BYTE_ORDER_MARK)
        if not data:
            return False
        if self.shown is Shown.NOTHING:
            self.show_head(now, actions, response.stream_head(), response)
        is_first_content = self.shown is not Shown.CONTENT
        self._advance(Shown.CONTENT)
        self._deadlines.bytes_shown(now)
        actions.append(ShowBody(data))
        return is_first_content

    def beat_due(self, response: ResponseReading, *, is_reading: bool) -> float | None:
        """Return when the client is sent the next keep-alive; None while it may get none."""
        is_first = self.shown is Shown.NOTHING
        if self.shown is Shown.DONE or (is_reading and response.mode is BodyMode.UNTOUCHED):
            return None
        if is_first and response.mode is BodyMode.WHOLE:
            return None  # a response with a status of its own arrives
        if not response.at_event_boundary:
            return None
        return self._deadlines.beat_due(is_first=is_first)

    def beat(self, now: float, actions: list[Action], response: ResponseReading) -> None:
        """Send a keep-alive, behind the head of an event stream."""
        if self.shown is Shown.NOTHING:
            actions.append(ShowHead(response.stream_head()))
            self._advance(Shown.HEAD)
        self._deadlines.bytes_shown(now)
        actions.append(ShowBody(KEEP_ALIVE))

    def complete(self) -> None:
        """The client has its whole response, or is gone."""
        self._advance(Shown.DONE)

    def _advance(self, shown: Shown) -> None:
        if shown < self.shown:
            raise IllegalMove(self.shown, shown)
        self.shown = shown
