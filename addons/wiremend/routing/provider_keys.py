"""The keys of providers that have several: one for each conversation, and which are refused.

Providers cache prompts by account, so all calls of a conversation use the same key as long as the
provider accepts it. The key is chosen by a hash of the conversation and of each key: nothing is
stored, and a key that drops out moves only its own conversations.

A key that the provider refuses is not used again once another key of the same call was accepted.
So a provider that refuses every key, for example during an outage, loses none, and the last key is
never given up.
"""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from wiremend.protocols.base.document import OutgoingRequest
from wiremend.routing.providers import ProviderAddress, with_key
from wiremend.text import json_value
from wiremend.text.json_value import dicts_in

_SESSION_HEADERS = (
    "x-claude-code-session-id",
    "x-opencode-session",
    "session-id",
    "session_id",
    "x-session-id",
    "x-session-affinity",
    "conversation_id",
)
"""Headers in which clients name the session."""
_SESSION_FIELDS = (
    ("prompt_cache_key",),
    ("metadata", "user_id"),
    ("session_id",),
    ("request", "session_id"),  # Code Assist
)
_MESSAGES = (("messages",), ("input",), ("contents",), ("request", "contents"))


_NONE: Mapping[str, Any] = MappingProxyType({})


class KeyRing:
    """The keys of one provider, under one configuration."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]
        self._out: set[int] = set()

    def order(self, conversation: bytes) -> list[int]:
        """Return the positions of the usable keys in the order in which a conversation tries them.

        Positions count from 0.
        """
        usable = [n for n in range(len(self.keys)) if n not in self._out]

        def rank(position: int) -> bytes:
            return hashlib.sha256(self._digests[position] + conversation).digest()

        return sorted(usable, key=rank)

    def take_out(self, positions: Sequence[int]) -> None:
        """Do not use these keys for later calls; at least one key stays."""
        out = self._out | {*positions}
        if len(out) < len(self.keys):
            self._out = out


class CallKeys:
    """The keys that one call may use at one target, of which one is the current one."""

    def __init__(self, ring: KeyRing, conversation: bytes) -> None:
        self._ring = ring
        self._order = ring.order(conversation)
        self._next = 0

    def __repr__(self) -> str:
        return f"CallKeys({self.name})"

    @property
    def name(self) -> str:
        """The current key, by its position in the configuration, which counts from 1."""
        return f"key {self._position + 1} of {len(self._ring.keys)}"

    @property
    def _position(self) -> int:
        return self._order[self._next]

    def move_on(self) -> bool:
        """Make the next key the current one; return False if there is none."""
        if self._next + 1 >= len(self._order):
            return False
        self._next += 1
        return True

    def accepted(self) -> None:
        """Take out the keys that were refused before the current one was accepted."""
        if self._next:
            self._ring.take_out(self._order[: self._next])

    def applied_to(self, request: OutgoingRequest) -> OutgoingRequest:
        """Return the request with the current key instead of the one that it contains."""
        return with_key(request, self._ring.keys[self._position])


class ProviderKeys:
    """The keys of all providers. A reload of the configuration makes all of them usable."""

    __slots__ = ("_providers", "_rings")

    def __init__(self) -> None:
        self._providers: Mapping[str, ProviderAddress] = _NONE
        self._rings: Mapping[str, KeyRing] = _NONE

    def configure(self, providers: Mapping[str, ProviderAddress]) -> None:
        """Use these providers. If the object is another one, the keys taken out are usable again.

        A running call keeps the ring with which it was planned.
        """
        if providers is not self._providers:
            self._providers = providers
            self._rings = {
                name: KeyRing(provider.api_keys)
                for name, provider in providers.items()
                if provider.has_several_keys
            }

    def of(self, provider: str, conversation: bytes) -> CallKeys | None:
        """Return the keys that a call may use; None for a provider without several keys."""
        ring = self._rings.get(provider)
        return None if ring is None else CallKeys(ring, conversation)

    def has(self, provider: str) -> bool:
        """Return whether this provider has several keys."""
        return provider in self._rings


def conversation_of(request: OutgoingRequest) -> bytes:
    """Return what identifies the conversation of a client's request, the same in each turn.

    It is the id of the session, if the client sends one, otherwise the first message of the user.
    """
    headers = {name.lower(): value for name, value in request.headers}
    for name in _SESSION_HEADERS:
        if headers.get(name):
            return _digest(headers[name])
    fields = request.document.fields or {}
    for path in _SESSION_FIELDS:
        session = _at(fields, path)
        if isinstance(session, str) and session:
            return _digest(session)
    for path in _MESSAGES:
        if first := _first_message(_at(fields, path)):
            return _digest(first)
    return b""


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json_value.write(value)).digest()


def _at(fields: Any, path: Sequence[str]) -> Any:
    for key in path:
        fields = fields.get(key) if isinstance(fields, dict) else None
    return fields


def _first_message(messages: Any) -> Any:
    """Return the first text of the user, else the first message. Marks for caches move."""
    if not isinstance(messages, list):
        return messages
    of_user = (item for item in messages if isinstance(item, dict) and item.get("role") == "user")
    message = next(of_user, messages[0] if messages else None)
    if not isinstance(message, dict):
        return message
    content = message.get("content", message.get("parts"))
    texts = (part.get("text") for part in dicts_in(content))
    return content if isinstance(content, str) else next(filter(None, texts), message)
