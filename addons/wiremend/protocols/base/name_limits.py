"""What a tool may be called at a target, and the name it gets there instead.

A name that the target takes is kept. Any other is shortened and cleaned in the same way each
time, with a piece of its own hash at the end: so a later request, whose history holds the call,
names the tool alike, and provider-side prompt caches keep hitting.
"""

import hashlib
import re
from collections.abc import Mapping
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


_WORD = "a-zA-Z0-9_-"

NAMES_BY_DIALECT: Mapping[str, NameLimit] = {
    # `String should match pattern '^[a-zA-Z0-9_-]{1,128}$'` (home-assistant/core#147760)
    "anthropic": NameLimit(_WORD, _WORD, 128),
    # `Expected a string with maximum length 64` (nanbingxyz/5ire#403)
    "openai": NameLimit(_WORD, _WORD, 64),
    "openai-strict": NameLimit(_WORD, _WORD, 64),
    # the same pattern (refly-ai/refly#1794), the same length (nanbingxyz/5ire#403)
    "deepseek": NameLimit(_WORD, _WORD, 64),
    # `Must start with a letter or an underscore … maximum length of 64` (kaitranntt/ccs#25);
    # some of its endpoints take no colon (google-gemini/gemini-cli#7878)
    "gemini": NameLimit("a-zA-Z_", "a-zA-Z0-9_.-", 64),
    # `must start with a letter and can contain letters, numbers, underscores, and dashes`
    # (MoonshotAI/kimi-cli#1773)
    "moonshot": NameLimit("a-zA-Z", _WORD),
}
"""What the providers behind a dialect take."""
