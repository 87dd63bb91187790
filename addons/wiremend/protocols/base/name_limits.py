"""What a tool may be called at a target, and the name it gets there instead.

A name that the target takes is kept. Any other is shortened and cleaned in the same way each
time, with a piece of its own hash at the end: so a later request, whose history holds the call,
names the tool alike, and provider-side prompt caches keep hitting.
"""

import hashlib
import re
from dataclasses import dataclass

_HASH_CHARACTERS = 8
_NO_LENGTH = 1_000_000


@dataclass(frozen=True, slots=True)
class NameLimit:
    """Which names a target takes."""

    first: str
    """The characters that a name may begin with, as inside a regular expression's brackets."""
    others: str
    """The characters that may follow."""
    length: int = _NO_LENGTH
    """In characters."""

    def takes(self, name: str) -> bool:
        """Whether the target takes this name as it is."""
        fits = re.fullmatch(f"[{self.first}][{self.others}]*", name)
        return fits is not None and len(name) <= self.length

    def fit(self, name: str) -> str:
        """The name, if the target takes it; else the nearest one that it takes."""
        if self.takes(name):
            return name
        return self.distinct(name, name.encode("utf-8", "surrogatepass"))

    def distinct(self, name: str, of: bytes) -> str:
        """A name like this one that the target takes, ending in a piece of the hash of `of`."""
        ending = "_" + hashlib.sha256(of).hexdigest()[:_HASH_CHARACTERS]
        cleaned = re.sub(f"[^{self.others}]", "_", name)
        if not re.match(f"[{self.first}]", cleaned):
            cleaned = "t" + cleaned
        return cleaned[: self.length - len(ending)] + ending
