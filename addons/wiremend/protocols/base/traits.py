"""What a target requires of requests: tools, messages, parameters, header values."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from wiremend.protocols.base.name_limits import NameLimit

_ID_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class CallIdLimit:
    """Which ids of tool calls a target accepts."""

    characters: str = "a-zA-Z0-9_-"
    """As inside a regular expression's brackets; letters and digits are always among them."""
    longest: int = 64
    exact: bool = False
    """No other length than the longest."""

    def takes(self, call_id: str) -> bool:
        """Whether the target accepts this id as it is."""
        shortest = self.longest if self.exact else 1
        return (
            re.fullmatch(f"[{self.characters}]{{{shortest},{self.longest}}}", call_id) is not None
        )

    def fit(self, call_id: str) -> str:
        """The id if the target accepts it; else one derived from it, always the same one."""
        if self.takes(call_id):
            return call_id
        digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).digest()
        number = int.from_bytes(digest)
        letters = []
        for _ in range(min(self.longest, 24)):
            number, rest = divmod(number, len(_ID_ALPHABET))
            letters.append(_ID_ALPHABET[rest])
        return "".join(letters)


@dataclass(frozen=True, slots=True)
class MessageTraits:
    """The rules on messages and parameters that a target needs, and the limits of some of them."""

    rules: frozenset[str] = frozenset()
    """Codes of the rules that are on for it."""
    call_ids: CallIdLimit = CallIdLimit(longest=40)
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TargetTraits:
    """What a request must satisfy so that a target accepts it."""

    dialect: str = "plain"
    """The dialect of its tools' schemas: a name in `schema_dialects.DIALECTS`."""
    names: NameLimit | None = None
    """What a tool may be called; None: anything."""
    unique_names: bool = False
    """No two tools may have one name."""
    strip_custom_type: bool = False
    """Tools must come without `"type":"custom"`."""
    refused_betas: tuple[str, ...] = ()
    """Values of the `anthropic-beta` header that must not be sent, as globs."""
    messages: MessageTraits = field(default_factory=MessageTraits)
    """What its messages and parameters must satisfy."""
    dialect_by_tool: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The dialect of single tools, by the name that the client gives them."""
    refused_fields: tuple[str, ...] = ()
    """Fields that must not be sent, as paths; see `wiremend.adapt.refused_fields`."""
