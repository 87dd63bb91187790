"""Replies of the scripted provider written as tables."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, get_args, get_type_hints

from wiremend.protocols.base.names import WireProtocol, valid_names
from wiremend.testing import answers, steps
from wiremend.testing.exchange import ConnectionFault, Framing, Headers, Reply, Step

Ending = Literal["end", "reset", "close", "cut", "stall"]
Connection = Literal["refuse", "tls-failure", "reset"]


class Play(TypedDict, total=False):
    """One reply. Without any content the body is empty.

    `{"status": 529, "json": {...}}` is an error, `{"answer": "anthropic-messages", "after": 5,
    "ending": "reset"}` a stream that breaks, `{"connection": "refuse"}` a failed connection.
    """

    status: int
    """By default 200."""
    headers: Mapping[str, str]
    """Besides content type and length; `content-type` replaces the default one."""
    json: Any
    """The body as a value."""
    body: bytes | str
    """The body as it is."""
    events: Sequence[bytes | str | Mapping[str, Any]]
    """An event stream, written event by event. A mapping is the data of an event, which is named
    after its `type`, if any; a text is data as it is, such as `[DONE]`; bytes are a whole event."""
    answer: str
    """A valid stream with a short text in this protocol: `anthropic-messages`, `chat-completions`,
    `responses` or `gemini`."""
    stream: bool
    """False: `answer` is a JSON body."""
    after: int
    """Write only so many events."""
    ending: Ending
    """What follows the last byte: the `end` of the body, a TCP `reset`, a `close` of the connection
    (`cut`: without TLS close_notify), or a `stall` until the client leaves. By default `end`."""
    connection: Connection
    """No reply: the next connection fails. No other key is allowed beside this one."""


_KEYS = tuple(get_type_hints(Play))
_CONTENT = ("json", "body", "events", "answer")
_CONNECTION_FAULTS = {
    "refuse": ConnectionFault.REFUSE,
    "tls-failure": ConnectionFault.TLS_FAILURE,
    "reset": ConnectionFault.RESET,
}
_ENDINGS: dict[str, Step] = {
    "end": steps.end,
    "reset": steps.reset,
    "close": steps.close,
    "cut": steps.cut,
    "stall": steps.stall,
}


def reply_from(play: Play) -> Reply | ConnectionFault:
    """Return the reply that a table describes. Raises ValueError for a wrong key or value."""
    _check_keys(play)
    if "connection" in play:
        return _CONNECTION_FAULTS[_one_of(Connection, "connection", play["connection"])]
    ending = _ENDINGS[_one_of(Ending, "ending", play.get("ending", "end"))]
    events = _events_of(play)
    status = play.get("status", 200)
    if events is not None:
        headers = _headers(play, "text/event-stream; charset=utf-8")
        written = events[: play.get("after", len(events))]
        opening = steps.head(status, headers, Framing.CHUNKED)
        return Reply(f"{status} stream", (opening, steps.chunks(written), ending))
    body, content_type = _body_of(play)
    headers = (*_headers(play, content_type), ("content-length", str(len(body))))
    opening = steps.head(status, headers, Framing.LENGTH)
    return Reply(f"{status} body", (opening, steps.chunks([body]), ending))


def _check_keys(play: Play) -> None:
    for key in play:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            meant = f"; did you mean {near[0]!r}?" if near else f"; the keys are {', '.join(_KEYS)}"
            raise ValueError(f"a play has no key {key!r}{meant}")
    if "connection" in play and len(play) > 1:
        raise ValueError("a play with 'connection' has no other key")
    content = [key for key in _CONTENT if key in play]
    if len(content) > 1:
        raise ValueError(f"a play has only one of {', '.join(content)}")
    if "stream" in play and "answer" not in play:
        raise ValueError("'stream' needs 'answer'")
    if "after" in play and _events_of(play) is None:
        raise ValueError("'after' needs events")


def _one_of(choices: Any, key: str, value: str) -> str:
    allowed = get_args(choices)
    if value not in allowed:
        raise ValueError(f"{key!r} is {value!r}, but must be one of {', '.join(allowed)}")
    return value


def _events_of(play: Play) -> tuple[bytes, ...] | None:
    """Return the events of a stream; None for another body."""
    if "answer" in play and play.get("stream", True):
        return answers.text_stream(_protocol(play["answer"])).events
    if "events" in play:
        return tuple(map(_event, play["events"]))
    return None


def _protocol(name: str) -> WireProtocol:
    try:
        return WireProtocol.parse(name)
    except ValueError:
        raise ValueError(f"'answer' is {name!r}, but must be one of {valid_names()}") from None


def _event(event: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(event, bytes):
        return event
    if isinstance(event, str):
        return f"data: {event}\n\n".encode()
    kind = event.get("type")
    name = f"event: {kind}\n" if isinstance(kind, str) else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def _body_of(play: Play) -> tuple[bytes, str]:
    """Return a body and its content type."""
    if "answer" in play:
        return answers.json_body(_protocol(play["answer"])), "application/json"
    if "json" in play:
        return json.dumps(play["json"]).encode(), "application/json"
    body = play.get("body", b"")
    return (body.encode() if isinstance(body, str) else body), "text/plain; charset=utf-8"


def _headers(play: Play, content_type: str) -> Headers:
    given = {name.lower(): value for name, value in play.get("headers", {}).items()}
    return tuple(({"content-type": content_type} | given).items())
