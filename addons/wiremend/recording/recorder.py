"""Writes flows into a recording, with stand-ins for identities.

Flows are given to it when their secrets have been removed. The flow itself is not changed: its
response is still to be sent.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any, BinaryIO

from mitmproxy import http
from mitmproxy.io import tnetstring

from wiremend.call_record.kept_bytes import KeptBytes
from wiremend.call_record.schema import METADATA_KEY
from wiremend.identities import StandIns
from wiremend.secrets import masked_in_place
from wiremend.text import json_value
from wiremend.text.content_coding import UndecodableBody, decode_whole

DECODED_LIMIT_BYTES = 64 * 1024 * 1024
"""A coded body that is longer than this when it is decoded is not recorded."""
_CODING = "content-encoding"

type State = dict[str, Any]
"""Plain data, as mitmproxy saves it."""


class Recorder:
    """Appends flows to a file, each in one write, so that a crash leaves whole flows."""

    def __init__(self, file: BinaryIO, stand_ins: StandIns) -> None:
        self._file = file
        self._stand_ins = stand_ins

    def add(self, flow: http.HTTPFlow, secrets: Set[str] = frozenset()) -> None:
        """Write a flow. Raises OSError, and ValueError for one that cannot be written.

        `secrets` are masked once more, since bodies that were coded are decoded here.
        """
        state = flow.get_state()
        state["metadata"] = dict(flow.metadata)
        for message in (state["request"], state["response"]):
            if message is not None:
                _decode_message(message)
        record = state["metadata"].get(METADATA_KEY)
        if isinstance(record, dict):
            state["metadata"][METADATA_KEY] = _decoded_record(record)
        if state.get("server_conn"):
            state["server_conn"]["sockname"] = None  # an address of the user's network
        ids = self._ids_in(state)
        self._file.write(tnetstring.dumps(self._replaced(state, ids, secrets)))
        self._file.flush()

    def _ids_in(self, state: State) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for headers, path, body in _messages_in(state):
            found |= self._stand_ins.learn_headers(headers)
            found |= self._stand_ins.learn_path(path)
            try:
                fields = json_value.read(body) if body[:1] == b"{" else None
            except ValueError:
                fields = None
            found |= self._stand_ins.learn_fields(fields)
        return found

    def _replaced(self, value: Any, ids: Mapping[bytes, bytes], secrets: Set[str]) -> Any:
        if isinstance(value, str):
            data = self._stand_ins.replaced(value.encode("utf-8", "surrogateescape"), ids)
            return data.decode("utf-8", "replace")
        if isinstance(value, bytes):
            return self._stand_ins.replaced(masked_in_place(bytes(value), secrets), ids)
        if isinstance(value, dict):
            return {key: self._replaced(item, ids, secrets) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._replaced(item, ids, secrets) for item in value)
        return value


def _messages_in(state: State) -> Iterator[tuple[list[tuple[str, str]], str, bytes]]:
    """Yield headers, path and body of everything that was sent."""
    for message in (state["request"], state["response"]):
        if message is not None:
            fields = [(_text(name), _text(value)) for name, value in message["headers"]]
            yield fields, _text(message.get("path", b"")), message["content"] or b""
    record = state["metadata"].get(METADATA_KEY)
    for message in _kept_messages(record) if isinstance(record, dict) else ():
        headers = [(str(name), str(value)) for name, value in message["headers"]]
        yield headers, message.get("url", ""), (message["body"] or {}).get("data", b"")


def _kept_messages(record: State) -> Iterator[State]:
    attempts = record.get("attempts") or ()
    for holder, names in (
        (record, ("client_request", "client_response")),
        *((attempt, ("request", "response")) for attempt in attempts),
    ):
        for name in names:
            if (message := holder.get(name)) is not None:
                yield message


def _decode_message(message: State) -> None:
    """Replace a coded body by its content, in which identities can be found."""
    coding = ", ".join(
        _text(value) for name, value in message["headers"] if name.lower() == _CODING.encode()
    )
    if not coding or not message["content"]:
        return
    content = _decoded(coding, message["content"])
    message["content"] = content
    message["headers"] = tuple(
        (name, str(len(content)).encode() if name.lower() == b"content-length" else value)
        for name, value in message["headers"]
        if name.lower() != _CODING.encode()
    )


def _decoded_record(record: State) -> State:
    """Return the record of a call with the content of bodies that are coded."""
    clients = {
        name: _decoded_message(record.get(name)) for name in ("client_request", "client_response")
    }
    attempts = [
        attempt | {name: _decoded_message(attempt.get(name)) for name in ("request", "response")}
        for attempt in record.get("attempts") or ()
    ]
    return record | clients | {"attempts": attempts}


def _decoded_message(message: State | None) -> State | None:
    if message is None or not message.get("body"):
        return message
    coding = ", ".join(value for name, value in message["headers"] if name.lower() == _CODING)
    body = message["body"]
    if not coding or (not body["data"] and not body.get("same_as")):
        return message
    headers = [header for header in message["headers"] if header[0].lower() != _CODING]
    if not body.get("same_as"):
        content = _decoded(coding, body["data"])
        is_whole = body["size"] == len(body["data"])
        body = body | {"data": KeptBytes(content), "size": len(content) + (not is_whole)}
        if ends := body["chunks"]:
            body["chunks"] = [[ends[-1][0], len(content)]]
    return message | {"headers": headers, "body": body}


def _decoded(coding: str, data: bytes) -> bytes:
    """Return the content; empty if it cannot be decoded, since identities cannot be found then."""
    try:
        return decode_whole(coding, data, DECODED_LIMIT_BYTES)
    except UndecodableBody:
        return b""


def _text(data: bytes) -> str:
    return data.decode("latin-1")
