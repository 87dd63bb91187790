"""The states of an attempt, and what moves it from one to another.

`call_machine` makes these moves, and nothing else does.
"""

from collections.abc import Mapping
from enum import Enum, auto


class AttemptState(Enum):
    """What the current attempt does."""

    __hash__ = object.__hash__  # that of `Enum` is a Python function

    NEW = auto()
    """No attempt has been started."""
    CONNECTING = auto()
    """A connection was requested."""
    WAITING = auto()
    """The request was sent; the response head has not arrived."""
    READING = auto()
    """The response body arrives."""
    ENDED = auto()
    """Upstream is done with the attempt; what follows is decided within the same event."""
    BACKING_OFF = auto()
    """The next attempt starts when the backoff is over."""
    DRAINING = auto()
    """The client is answered; upstream has yet to end its body."""
    OVER = auto()
    """Nothing more happens."""


class AttemptEvent(Enum):
    """What moves an attempt from one state to another."""

    __hash__ = object.__hash__  # as above

    STARTED = auto()
    """A connection was requested for a new attempt."""
    CONNECTED = auto()
    """The connection is established."""
    HEAD_RECEIVED = auto()
    """The response head arrived."""
    UPSTREAM_ENDED = auto()
    """The response ended, the connection was lost, or the machine abandoned the attempt."""
    BACKOFF_STARTED = auto()
    """The attempt failed and will be made again."""
    RESPONSE_COMPLETED = auto()
    """The client has a whole response, or an error."""
    CLIENT_LEFT = auto()
    """The client closed its connection or reset its stream."""
    FAULTED = auto()
    """This machine, or the code around it, raised an exception."""


TRANSITIONS: Mapping[tuple[AttemptState, AttemptEvent], AttemptState] = {
    (AttemptState.NEW, AttemptEvent.STARTED): AttemptState.CONNECTING,
    (AttemptState.NEW, AttemptEvent.RESPONSE_COMPLETED): AttemptState.OVER,  # breakers are open
    (AttemptState.NEW, AttemptEvent.CLIENT_LEFT): AttemptState.OVER,
    (AttemptState.CONNECTING, AttemptEvent.CONNECTED): AttemptState.WAITING,
    (AttemptState.CONNECTING, AttemptEvent.UPSTREAM_ENDED): AttemptState.ENDED,
    (AttemptState.CONNECTING, AttemptEvent.CLIENT_LEFT): AttemptState.OVER,
    (AttemptState.WAITING, AttemptEvent.HEAD_RECEIVED): AttemptState.READING,
    (AttemptState.WAITING, AttemptEvent.UPSTREAM_ENDED): AttemptState.ENDED,
    (AttemptState.WAITING, AttemptEvent.CLIENT_LEFT): AttemptState.OVER,
    (AttemptState.READING, AttemptEvent.UPSTREAM_ENDED): AttemptState.ENDED,
    (AttemptState.READING, AttemptEvent.RESPONSE_COMPLETED): AttemptState.DRAINING,
    (AttemptState.READING, AttemptEvent.CLIENT_LEFT): AttemptState.OVER,
    (AttemptState.ENDED, AttemptEvent.STARTED): AttemptState.CONNECTING,  # at once, without backoff
    (AttemptState.ENDED, AttemptEvent.BACKOFF_STARTED): AttemptState.BACKING_OFF,
    (AttemptState.ENDED, AttemptEvent.RESPONSE_COMPLETED): AttemptState.OVER,
    (AttemptState.ENDED, AttemptEvent.CLIENT_LEFT): AttemptState.OVER,  # while it is decided
    (AttemptState.BACKING_OFF, AttemptEvent.STARTED): AttemptState.CONNECTING,
    (AttemptState.BACKING_OFF, AttemptEvent.RESPONSE_COMPLETED): AttemptState.OVER,  # total limit
    (AttemptState.BACKING_OFF, AttemptEvent.CLIENT_LEFT): AttemptState.OVER,
    (AttemptState.DRAINING, AttemptEvent.UPSTREAM_ENDED): AttemptState.OVER,
    (AttemptState.DRAINING, AttemptEvent.CLIENT_LEFT): AttemptState.OVER,
    **{
        (state, AttemptEvent.FAULTED): AttemptState.OVER
        for state in AttemptState
        if state is not AttemptState.OVER
    },
}
"""Every legal move; any other raises `IllegalMove`."""

UPSTREAM_IS_OPEN = frozenset(
    state for state, event in TRANSITIONS if event is AttemptEvent.UPSTREAM_ENDED
)
"""The states in which upstream has not ended the attempt."""
