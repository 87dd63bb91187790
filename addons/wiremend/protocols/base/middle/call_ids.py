"""Ids of tool calls that are unique in a conversation, and the provider's id inside them.

Some providers number the calls of each answer from 0. A client that meets an id twice replaces the
earlier call. So each call of a translated answer is given an id of its own, derived from the id of
the answer. Where the provider's id has characters that other protocols refuse, such as
`functions.read:0`, it is contained in encoded form, and is restored in later requests: such a
provider may insist on its form. All other ids are sent as the client returns them.
"""

import base64
import binascii
import hashlib

from wiremend.protocols.base.traits import CallIdLimit
from wiremend.text.patterns import whole_pattern

_OURS = whole_pattern(r"[a-z]++_wm[0-9a-f]{12}(?:_([A-Za-z0-9_-]++))?")
_PLAIN = whole_pattern(r"[A-Za-z0-9_-]{0,64}")
_LONGEST_ENCODED = 40


def client_id(prefix: str, answer_id: str, number: int, provider_id: str) -> str:
    """Return the id of a call for the client, of at most 64 letters, digits, `_` and `-`.

    `prefix` is the usual one of the client's protocol; `number` is unique in the answer.
    """
    text = f"{answer_id} {number}".encode("utf-8", "replace")
    own = f"{prefix}_wm{hashlib.blake2s(text, digest_size=6).hexdigest()}"
    if _PLAIN.fullmatch(provider_id):
        return own
    encoded = base64.urlsafe_b64encode(provider_id.encode("utf-8", "surrogatepass"))
    text_of_id = encoded.rstrip(b"=").decode()
    return f"{own}_{text_of_id}" if len(text_of_id) <= _LONGEST_ENCODED else own


def provider_id(call_id: str) -> str:
    """Return the provider's id inside an id of a client; the same id if there is none."""
    match = _OURS.fullmatch(call_id)
    if match is None or match[1] is None:
        return call_id
    try:
        padded = match[1] + "=" * (-len(match[1]) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return call_id


class SentIds:
    """The ids of the calls in one request, as they are sent: each differs from all others."""

    def __init__(self, limit: CallIdLimit) -> None:
        self._limit = limit
        self._sent: dict[str, str] = {}
        self._used: set[str] = set()

    def of(self, call_id: str) -> str:
        """Return the id that is sent for a client's id; always the same one in a request.

        The ids are asked for in the order of the conversation, so that they stay the same when it
        grows.
        """
        sent = self._sent.get(call_id)
        if sent is None:
            sent = self._limit.fit(provider_id(call_id))
            if sent in self._used:
                sent = self._limit.fit(call_id)
            self._sent[call_id] = sent
            self._used.add(sent)
        return sent
