"""The limits of targets on tool names, and the replacements of names that they refuse.

A name that the target accepts is kept. Any other is shortened, cleaned and extended by a part of
its hash. The result is deterministic: later requests, whose history contains the call, use the
same name, and the prompt caches of providers keep matching.
"""

import hashlib
import re
from dataclasses import dataclass

_HASH_CHARACTERS = 8
_NO_LENGTH = 1_000_000


@dataclass(frozen=True, slots=True)
class NameLimit:
    """The tool names that a target accepts."""

    first: str
    """The characters that a name may start with, in the syntax of a regular expression's set."""
    others: str
    """The characters that may follow."""
    length: int = _NO_LENGTH
    """In characters."""

    def takes(self, name: str) -> bool:
        """Return whether the target accepts this name."""
        fits = re.fullmatch(f"[{self.first}][{self.others}]*", name)
        return fits is not None and len(name) <= self.length

    def fit(self, name: str) -> str:
        """Return the name if the target accepts it, else a similar one that it accepts."""
        if self.takes(name):
            return name
        return self.distinct(name, name.encode("utf-8", "surrogatepass"))

    def distinct(self, name: str, of: bytes) -> str:
        """Return a similar name that the target accepts, ending in a part of the hash of `of`."""
        ending = "_" + hashlib.sha256(of).hexdigest()[:_HASH_CHARACTERS]
        cleaned = re.sub(f"[^{self.others}]", "_", name)
        if not re.match(f"[{self.first}]", cleaned):
            cleaned = "t" + cleaned
        return cleaned[: self.length - len(ending)] + ending
