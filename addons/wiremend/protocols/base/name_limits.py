"""The limits of targets on tool names, and the replacements of names that they refuse.

A name that the target accepts is kept. Any other is shortened, cleaned and extended by a part of
its hash. The result is deterministic: later requests, whose history contains the call, use the
same name, and the prompt caches of providers keep matching.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

from wiremend.text.patterns import LinearPattern, linear_pattern

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
        if len(name) > self.length:
            return False
        return _names(self.first, self.others).fullmatch(name) is not None

    def fit(self, name: str) -> str:
        """Return the name if the target accepts it, else a similar one that it accepts."""
        if self.takes(name):
            return name
        return self.distinct(name, name.encode("utf-8", "surrogatepass"))

    def distinct(self, name: str, of: bytes) -> str:
        """Return a similar name that the target accepts, ending in a part of the hash of `of`."""
        ending = "_" + hashlib.sha256(of).hexdigest()[:_HASH_CHARACTERS]
        cleaned = linear_pattern(f"[^{self.others}]").sub("_", name)
        if not linear_pattern(f"[{self.first}]").match(cleaned):
            cleaned = "t" + cleaned
        return cleaned[: self.length - len(ending)] + ending


@cache
def _names(first: str, others: str) -> LinearPattern[str]:
    """Return a pattern for names of these characters."""
    return linear_pattern(f"[{first}][{others}]*+")
