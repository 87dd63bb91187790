"""The reasoning state of providers, and the envelope in which clients of other protocols return it.

Providers attach state to reasoning (a signature, encrypted content, details) and require it in the
next turn. A client of another protocol returns it in the member that its own protocol has for the
same purpose: `signature`, `encrypted_content`, `thoughtSignature`. There it is wrapped into an
envelope that contains where it came from. It is shown only to that protocol, host and model again.

The text of an envelope is `wm1.` and Base64 (URL-safe, without padding) of compressed JSON. It is
never trusted: a forged, cut or inflated envelope is read as no state.
"""

import base64
import binascii
import zlib
from dataclasses import field
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.text import json_value
from wiremend.value_class import value_class

PREFIX = "wm1."
MAGIC = b"wm1\x00"
"""The first bytes of an envelope where a protocol requires Base64 of bytes."""
MAGIC_TEXT = base64.b64encode(MAGIC[:3]).decode()
"""The first characters of that form: three bytes are four characters, whatever follows."""
_MAGIC_START = base64.b64encode(MAGIC).decode()[:5]
"""The same for all of `MAGIC`: enough to recognise an envelope whose end was cut."""
LIMIT_BYTES = 256 * 1024
"""The maximum size of the JSON in an envelope. Larger state is not carried, nor opened."""


@value_class
class Origin:
    """Who issued a state, and may be shown it."""

    protocol: WireProtocol
    host: str = ""
    model: str = ""


@value_class
class State:
    """State of a provider. Frozen by convention: `payload` is not modified."""

    origin: Origin
    payload: Any = field(hash=False)
    """JSON: exactly what the provider gave, and whatever its writer needs to restore it."""
    text: str | None = None
    """The text of the reasoning, where the client's protocol does not keep it apart; else None."""
    is_native: bool = False
    """Whether it came without an envelope, from a client of the same protocol: whoever issued it is
    not known, but the client addressed that protocol. Only its protocol is set in `origin`."""

    def is_for(self, target: Origin) -> bool:
        """Return whether this state may be sent to a target."""
        if self.is_native:
            return self.origin.protocol is target.protocol
        return self.origin == target


def seal(state: State) -> str | None:
    """Return the envelope of a state; None if the state is too large."""
    data = _packed(state)
    if data is None:
        return None
    return PREFIX + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def seal_base64(state: State) -> str | None:
    """Return the envelope as padded URL-safe Base64 of bytes; None if the state is too large."""
    data = _packed(state)
    return None if data is None else base64.urlsafe_b64encode(MAGIC + data).decode()


def is_sealed(text: Any) -> bool:
    """Return whether a value is an envelope in either form, also a broken one."""
    if not isinstance(text, str):
        return False
    return text.startswith((PREFIX, _MAGIC_START))


def unseal(text: Any) -> State | None:
    """Return the state in an envelope of either form; None if it is none, or is broken."""
    if not isinstance(text, str) or len(text) > 2 * LIMIT_BYTES:
        return None
    is_text = text.startswith(PREFIX)
    data = _decoded(text.removeprefix(PREFIX)) if is_text else _magic_bytes(text)
    return None if data is None else _unpacked(data)


def read_state(text: Any, protocol: WireProtocol) -> State | None:
    """Return the state in a member of a request that holds a string.

    An envelope is opened; any other text is native state of `protocol`. None for an empty value,
    another type, or a broken envelope.
    """
    if not isinstance(text, str) or not text:
        return None
    if is_sealed(text):
        return unseal(text)
    return State(Origin(protocol), text, is_native=True)


def _packed(state: State) -> bytes | None:
    origin = state.origin
    fields = {"p": origin.protocol.value, "h": origin.host, "m": origin.model, "d": state.payload}
    if state.text is not None:
        fields["t"] = state.text
    text = json_value.write(fields)
    return zlib.compress(text, 6) if len(text) <= LIMIT_BYTES else None


def _unpacked(data: bytes) -> State | None:
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(data, LIMIT_BYTES)
        if not inflate.eof or inflate.unused_data:
            return None
        fields = json_value.read(text)
        if not isinstance(fields, dict):
            return None
        protocol = WireProtocol(str(fields.get("p")))
    except (zlib.error, ValueError):
        return None
    host, model, shown = fields.get("h"), fields.get("m"), fields.get("t")
    if not isinstance(host, str) or not isinstance(model, str) or "d" not in fields:
        return None
    return State(
        Origin(protocol, host, model), fields["d"], shown if isinstance(shown, str) else None
    )


def _decoded(text: str) -> bytes | None:
    """Return the bytes of Base64 in either alphabet, with or without padding."""
    try:
        plain = text.rstrip("=").replace("+", "-").replace("/", "_").encode("ascii")
        padded = plain + b"=" * (-len(plain) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


def _magic_bytes(text: str) -> bytes | None:
    if not text.startswith(MAGIC_TEXT):
        return None
    data = _decoded(text)
    return data[len(MAGIC) :] if data is not None and data.startswith(MAGIC) else None
