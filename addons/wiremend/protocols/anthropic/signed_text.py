"""Whether reasoning that a client returns is the text that was signed.

A signature is valid for its text alone, and clients of other protocols may shorten or join texts.
"""

import hashlib

DIGEST = "digest"
"""The member of a state's payload with the digest of the text that was signed."""


class TextDigest:
    """The digest of a text that comes in pieces."""

    def __init__(self, text: str = "") -> None:
        self._hash = hashlib.blake2s(digest_size=6)
        self.add(text)

    def add(self, text: str) -> None:
        """Append to the text."""
        self._hash.update(text.encode("utf-8", "surrogatepass"))

    @property
    def value(self) -> str:
        """The digest of the text so far."""
        return self._hash.hexdigest()
