"""Running conversations whose requests must keep their beginning.

Newer Claude models sign their thinking together with what precedes it: tools, system prompt and
earlier messages. If these change between two turns, the next request is rejected, or its thinking
is ignored. A lesson that is learnt, or a configuration that is reloaded, changes them for every
request. So a conversation with signed thinking is adapted as it was when it began.
"""

import hashlib
from collections.abc import Hashable, Mapping, Set
from typing import Any

from wiremend.adapt.lessons import Lesson
from wiremend.adapt.schemas import AcceptedTools
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.protocols.base.traits import TargetTraits
from wiremend.text import json_value
from wiremend.value_class import value_class

SESSIONS_LIMIT = 500
"""Maximum number of conversations that are remembered. The longest unused are forgotten."""


@value_class
class Terms:
    """What decides how the requests of a conversation are adapted."""

    traits: TargetTraits
    lessons: tuple[Lesson, ...] = ()
    disabled: Set[str] = frozenset()
    """Codes of the disabled rules."""


class Sessions:
    """The terms on which conversations began, by conversation and target."""

    def __init__(self) -> None:
        self.accepted_tools = AcceptedTools()
        self._terms: dict[Hashable, Terms] = {}

    def terms(self, key: Hashable) -> Terms | None:
        """Return the terms of a conversation; None if it is not known."""
        return self._terms.get(key)

    def remember(self, key: Hashable, terms: Terms) -> None:
        """Set the terms of a conversation, and forget the longest unused beyond the limit."""
        self._terms.pop(key, None)
        self._terms[key] = terms
        while len(self._terms) > SESSIONS_LIMIT:
            del self._terms[next(iter(self._terms))]


def session_key(request: OutgoingRequest) -> Hashable | None:
    """Return what identifies the conversation of a request at its target, the same in each turn.

    None if the protocol has no thinking that is bound to what precedes it.
    """
    binding, fields = request.document.protocol.thinking_binding, request.document.fields
    if binding is None or fields is None:
        return None
    start = json_value.write(binding.start(fields))
    return request.identity, request.model, hashlib.sha256(start).digest()


def has_bound_thinking(request: OutgoingRequest) -> bool:
    """Return whether the history of a request contains thinking that is bound to it."""
    binding, fields = request.document.protocol.thinking_binding, request.document.fields
    if binding is None or fields is None or binding.words.isdisjoint(request.document.words):
        return False
    return binding.is_bound(fields)


def have_same_prefix(first: OutgoingRequest, second: OutgoingRequest) -> bool:
    """Return whether two forms of a request agree in everything that thinking is bound to."""
    return _prefix(first) == _prefix(second)


def _prefix(request: OutgoingRequest) -> Mapping[str, Any]:
    binding, fields = request.document.protocol.thinking_binding, request.document.fields
    return {key: (fields or {}).get(key) for key in (binding.prefix if binding else ())}
