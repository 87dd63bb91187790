"""What is read from a configuration of another proxy, and its text as a wiremend.toml.

Texts of the other file reach the output only as TOML strings, or in comments without line ends.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wiremend.config.providers import Provider

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_COMMENT_CHARACTERS = 96
_TEXT_CHARACTERS = 200
"""How much of a text of the other file a comment contains."""


@dataclass(slots=True)
class ImportedProvider:
    """An entry `[providers.NAME]`."""

    name: str
    base_url: str
    protocol: str | Mapping[str, str]
    keys: tuple[str, ...] = ()
    """References to environment variables, such as `${OPENCODE_API_KEY}`."""
    max_output_tokens: int | None = None
    set: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ImportedRoute:
    """An entry of `[[models]]`."""

    match: str
    provider: str | None
    model: str | None
    title: str
    """What it was in the other file."""
    when: dict[str, Any] = field(default_factory=dict)
    fallback: list[tuple[str, str]] = field(default_factory=list)
    """Provider and model of each."""
    set: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Imported:
    """A whole configuration."""

    source: str
    """The program whose configuration it was."""
    providers: dict[str, ImportedProvider] = field(default_factory=dict)
    routes: list[ImportedRoute] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    """What could not be carried, and belongs to no entry."""
    moved_keys: list[tuple[str, str]] = field(default_factory=list)
    """For each key that was a literal: where it was, and the variable that replaces it."""

    def add_provider(self, provider: ImportedProvider) -> None:
        """Add a provider, unless there is one of its name."""
        self.providers.setdefault(provider.name, provider)

    def text(self, file: str) -> str:
        """Return the TOML. `file` is the name of the other file."""
        parts = [_commented(f"Made from the {self.source} configuration {shown(file)}.")]
        if self.comments:
            parts[0] += "#\n" + "".join(map(_item, self.comments))
        parts += map(_route_text, self.routes)
        parts += map(_provider_text, self.providers.values())
        return "\n".join(parts)


def shown(text: Any) -> str:
    """Return a text of the other file for a comment: short, on one line."""
    line = _UNPRINTABLE.sub(" ", str(text))
    return line if len(line) <= _TEXT_CHARACTERS else line[:_TEXT_CHARACTERS] + "..."


def toml(value: Any) -> str:
    """Return a JSON value in TOML; null becomes an empty string, since TOML has none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        members = ", ".join(f"{_key(str(name))} = {toml(inner)}" for name, inner in value.items())
        return f"{{ {members} }}" if members else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, int | float):
        return repr(value)
    return _string("" if value is None else str(value))


def _string(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode()  # lone surrogates are no characters
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if _BARE_KEY.match(name) else _string(name)


def _item(comment: str) -> str:
    return _commented(f"- {comment}", indent="  ")


def _commented(text: str, indent: str = "") -> str:
    """Return a text as comment lines of at most about 100 characters."""
    lines, line = [], ""
    for word in shown_whole(text).split(" "):
        if line and len(line) + len(word) >= _COMMENT_CHARACTERS:
            lines.append(line)
            line = indent + word
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return "".join(f"# {line}\n" for line in lines)


def shown_whole(text: str) -> str:
    """Return a text without characters that end a line or cannot be printed."""
    return _UNPRINTABLE.sub(" ", text)


def _route_text(route: ImportedRoute) -> str:
    fallback = [_fallback(route, provider, model) for provider, model in route.fallback]
    values: list[tuple[str, Any]] = [
        ("match", route.match),
        ("when", route.when),
        ("model", route.model),
        ("provider", route.provider),
        ("fallback", fallback),
        ("set", route.set),
    ]
    return _comments([route.title, *route.comments]) + "[[models]]\n" + _lines(values)


def _fallback(route: ImportedRoute, provider: str, model: str) -> str:
    return model if provider == route.provider and "/" not in model else f"{provider}/{model}"


def _provider_text(provider: ImportedProvider) -> str:
    comments, keys = [*provider.comments], provider.keys
    if len(keys) > 1 and "api_keys" not in Provider.model_fields:
        comments.append(f"Not carried: the further keys {', '.join(keys[1:])}.")
        keys = keys[:1]
    values: list[tuple[str, Any]] = [
        ("base_url", provider.base_url),
        ("protocol", provider.protocol),
        ("api_key", keys[0] if len(keys) == 1 else None),
        ("api_keys", keys if len(keys) > 1 else None),
        ("max_output_tokens", provider.max_output_tokens),
        ("set", provider.set),
    ]
    heading = f"[providers.{_key(provider.name)}]\n"
    return _comments(comments) + heading + _lines(values)


def _comments(comments: Iterable[str]) -> str:
    return "".join(map(_commented, comments))


def _lines(values: Iterable[tuple[str, Any]]) -> str:
    return "".join(
        f"{name} = {toml(value)}\n" for name, value in values if value not in (None, {}, [], ())
    )
