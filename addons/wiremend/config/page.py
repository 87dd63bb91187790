"""The page that documents the configuration, addons/CONFIGURATION.md.

It is rendered from the models in `config.model`: the docstring of each section, and the type, the
default and the docstring of each key. The text about files and consent uses the constants of the
modules that implement them.
"""

import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import orjson
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from wiremend.config.consent import HARMLESS_KEYS, HARMLESS_SECTIONS, Kind
from wiremend.config.load import FILE_NAME
from wiremend.config.model import HEADINGS, SECTIONS, TABLES_WITHIN, Config
from wiremend.config.presets import table_in_markdown
from wiremend.config.section import Section
from wiremend.config.values import InWords, one_of

PROVIDER_NAME = "opencode-go"
"""The provider in the example."""
INSTEAD_OF = {"api_keys": "api_key", "api_key_file": "api_key"}
"""Keys that cannot be set together with another one; the example contains them as comments."""
_LINE_LENGTH = 100
_BASIC_TYPES: Mapping[Any, InWords] = {
    bool: InWords("`true` or `false`"),
    int: InWords("whole number"),
    float: InWords("number"),
    str: InWords("string"),
    SecretStr: InWords("string"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """An option of mitmproxy that a shell declares."""

    name: str
    type: Any
    """A type, or a generic one such as `tuple[str, ...]`."""
    default: object
    help: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the configuration as the documentation shows it."""

    path: str
    """Such as `retry.attempts` or `models[N].match`."""
    name: str
    type: str
    is_required: bool
    default: str
    """In TOML; empty if there is none."""
    example: str
    """In TOML; empty if there is none."""
    text: str


def render_page(options: Iterable[Option]) -> str:
    """Return the page in Markdown. `options` are those of all shells."""
    parts = [
        _INTRODUCTION.format(sections=_contents(), file=FILE_NAME),
        _FILES.format(file=FILE_NAME, reached=_reached(), harmless=_harmless()),
        _SECRETS,
        _options(options),
        *(_section(name) for name in SECTIONS),
        _EXAMPLE.format(toml=full_example()),
    ]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def keys_of(path: str, model: type[Section]) -> list[Key]:
    """Return the keys of a table that is at this path."""
    hints = get_type_hints(model, include_extras=True)
    return [
        Key(
            path=f"{path}.{name}",
            name=name,
            type=type_in_words(hints[name]),
            is_required=field.is_required(),
            default=_default(field),
            example=_toml(field.examples[0]) if field.examples else "",
            text=" ".join((field.description or "").split()),
        )
        for name, field in model.model_fields.items()
    ]


def all_keys() -> list[Key]:
    """Return every key that can be written into the file."""
    return [key for name in SECTIONS for table in _tables(name) for key in keys_of(*table)]


def full_example() -> str:
    """Return a configuration in TOML that contains every key: its default, or its example."""
    tables = [_example_of(name) for name in SECTIONS]
    return "\n\n".join(tables)


# Types and values


def type_in_words(annotation: Any, *, plural: bool = False) -> str:
    """Return what a type accepts in the words of the documentation, with its bounds."""
    annotation, metadata = _unwrapped(annotation)
    words = next((item for item in metadata if isinstance(item, InWords)), None)
    text = _named(words, plural=plural) if words else _without_name(annotation, plural=plural)
    return text + _bounds(metadata)


def _without_name(annotation: Any, *, plural: bool) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        return type_in_words(inner, plural=plural)
    if origin is tuple:
        return f"list of {type_in_words(arguments[0], plural=True)}"
    if origin is Literal:
        return one_of(arguments)
    return _named(_BASIC_TYPES[annotation], plural=plural)


def _named(words: InWords, *, plural: bool) -> str:
    return (words.plural or words.text + "s") if plural else words.text


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    """Return a type without `Annotated`, and its metadata with that of its fields."""
    metadata: list[Any] = []
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata += more
    for item in list(metadata):
        if isinstance(item, FieldInfo):
            metadata += item.metadata
    return annotation, metadata


def _bounds(metadata: Iterable[Any]) -> str:
    """Return the bounds among pydantic's constraints as text that follows a type's name."""
    constraints = list(metadata)
    least = next((bound.ge for bound in constraints if hasattr(bound, "ge")), None)
    most = next((bound.le for bound in constraints if hasattr(bound, "le")), None)
    if least is None:
        return ""
    return f", {least} or more" if most is None else f" from {least} to {most}"


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required() or value is None or isinstance(value, SecretStr):
        return ""
    return _toml(value)


def _toml(value: Any) -> str:
    """Return a value in TOML, tables inline."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_toml_key(name)} = {_toml(item)}" for name, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return orjson.dumps(value).decode()  # strings, numbers and booleans are the same in both


def _toml_key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else _toml(name)


# Sections


def _tables(section: str) -> Iterator[tuple[str, type[Section]]]:
    """Return the section's own table and those nested in it, each with its path."""
    model = SECTIONS[section]
    annotation = Config.model_fields[section].annotation
    path = {tuple: f"{section}[N]", None: section}.get(get_origin(annotation), f"{section}.NAME")
    yield path, model
    for (where, key), nested in TABLES_WITHIN.items():
        if where == section:
            yield f"{path}.{key}", nested


def _section(name: str) -> str:
    (path, model), *nested = _tables(name)
    parts = [f"## `{HEADINGS[name]}`", _docstring(model), table(keys_of(path, model))]
    for inner_path, inner in nested:
        parts += [f"### `{inner_path}`", _docstring(inner), table(keys_of(inner_path, inner))]
    if name == "providers":
        parts += ["### Presets", _PRESETS.strip(), table_in_markdown()]
    return "\n\n".join(parts)


def _docstring(model: type[Section]) -> str:
    return inspect.cleandoc(model.__doc__ or "")


def table(keys: Iterable[Key]) -> str:
    """Return a table of keys in Markdown."""
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *map(_row, keys)])


def _row(key: Key) -> str:
    default = f"`{key.default}`" if key.default else "unset"
    example = f" Example: `{key.example}`" if key.example else ""
    cells = [
        f"`{key.path}`",
        key.type,
        "required" if key.is_required else default,
        key.text + example,
    ]
    return f"| {' | '.join(cell.replace('|', '\\|') for cell in cells)} |"


def _contents() -> str:
    lines = []
    for name, model in SECTIONS.items():
        anchor = "".join(c for c in HEADINGS[name].lower() if c.isalnum() or c == "_")
        title = _docstring(model).partition("\n")[0]
        lines.append(f"- [`{HEADINGS[name]}`](#{anchor}): {title}")
    return "\n".join(lines)


# The example


def _example_of(section: str) -> str:
    """Return a table with its defaults, or an entry with the examples of its keys."""
    (path, model), *nested = _tables(section)
    is_entry = path != section
    inline = {inner: _inline_example(inner, table) for inner, table in nested}
    lines = [HEADINGS[section].replace("NAME", PROVIDER_NAME)]
    for key in keys_of(path, model):
        value = key.example if is_entry and key.example else key.default
        line = f"{key.name} = {inline.get(key.path, value)}"
        note = key.type.replace("`", "")
        if key.name in INSTEAD_OF:
            line, note = f"# {line}", f"instead of {INSTEAD_OF[key.name]}"
        noted = f"{line:<37}  # {note}"
        lines.append(line if len(noted) > _LINE_LENGTH or key.path in inline else noted)
    return "\n".join(lines)


def _inline_example(path: str, model: type[Section]) -> str:
    return f"{{ {', '.join(f'{key.name} = {key.example}' for key in keys_of(path, model))} }}"


# The rest of the page


def _options(options: Iterable[Option]) -> str:
    rows = [
        f"| `{option.name}` | {type_in_words(option.type)} | `{_toml(option.default)}` "
        f"| {option.help} |"
        for option in sorted(options, key=lambda option: option.name)
    ]
    table = "\n".join(["| option | type | default | meaning |", "|---|---|---|---|", *rows])
    return _OPTIONS.format(table=table)


def _reached() -> str:
    return "\n".join(f"- {kind.value}: {_KINDS[kind]}" for kind in Kind)


def _harmless() -> str:
    """Return the sections and keys that need no consent, in the order of the file."""
    names: list[str] = []
    for name in SECTIONS:
        if name in HARMLESS_SECTIONS:
            names.append(f"`{HEADINGS[name]}`")
        elif keys := HARMLESS_KEYS.get(name):
            names += [f"`{name}.{key}`" for key in SECTIONS[name].model_fields if key in keys]
    return _sentence(names)


def _sentence(names: Sequence[str]) -> str:
    *others, last = names
    return textwrap.fill(f"{', '.join(others)} and {last}", _LINE_LENGTH)


_KINDS: Mapping[Kind, str] = {
    Kind.HOST: "the address of a provider (`base_url`, or that of its `preset`)",
    Kind.VARIABLE: "`${NAME}` in `api_key`, `api_keys` or `headers`, or the variable of a `preset`",
    Kind.KEY_FILE: "`api_key_file`",
    Kind.KEY: "`api_key` or `api_keys` without a variable",
    Kind.HEADER: "`headers` without a variable",
    Kind.INTERCEPTED: "`intercept.hosts`",
    Kind.ORIGIN: "`access.origins`",
    Kind.SETTING: "any other key that is not named below",
}

_INTRODUCTION = """
# Configuration

Generated from the code (`scripts/configuration`): change the docstrings in
[wiremend/config/model.py](wiremend/config/model.py), not this page.

wiremend is configured by one TOML file. Every key is optional, except for the required keys of
entries (`[[models]]`, `[[lessons]]`, `[providers.NAME]`). An unknown key or an invalid value stops
the start; the message contains the key, the reason and the most similar valid key. In the tables
below and in messages, a key is written with its table: `retry.attempts` is `attempts` in
`[retry]`, `models[N].match` is `match` in an entry of `[[models]]` (messages count from 0),
`providers.NAME.base_url` is `base_url` in `[providers.NAME]`. Names, globs, addresses and paths
are TOML strings. Where wiremend is installed without a checkout, `scripts/run` is `wiremend run`.

- [Which file is read](#which-file-is-read), [consent](#consent), [reload](#reload)
- [Secrets](#secrets)
- [Options of mitmproxy](#options-of-mitmproxy)
{sections}
- [All keys in one file](#all-keys-in-one-file)
"""

_FILES = """
## Which file is read

The first of these is read; files are not merged. The start prints which one it is.

1. The file named by `--set wiremend_config=FILE` or `scripts/run --config FILE`. A file that does
   not exist is an error.
2. `{file}` in the working directory. Its content may need your [consent](#consent).
3. Your own: `$XDG_CONFIG_HOME/wiremend/{file}`, by default `~/.config/wiremend/{file}`.

Without a file the defaults are used.

### Consent

A `{file}` in the working directory may have another author, for example in a cloned
repository. If it contains any of these, it is used only after you have allowed its content:

{reached}

Without your consent the start stops and lists them under these labels. No variable and no key file
is read before. To allow the present content, start once with `scripts/run --allow` or
`--set wiremend_allow=true`. The consent is for this content: another byte needs another consent,
and the same content in another directory needs none, unless it names a key file by a relative path.
It is recorded as one file in `$XDG_STATE_HOME/wiremend/allowed` (by default
`~/.local/state/wiremend/allowed`); delete the file to withdraw the consent. Files 1 and 3 need no
consent.

These sections and keys need no consent:

{harmless}

### Reload

A file that changes while the proxy runs is read again within about two seconds; so are the key
files that it names, once two looks in a row have found the same content. New calls use the new
configuration, running ones keep theirs. If the file has become invalid, empty, something else than
a file, or is deleted, the log contains the reason, and the configuration in force is kept; to
return to the defaults, restart. The code itself is never loaded again. An edit of the
`{file}` in the working directory that adds anything to the list above is not applied until
its content is allowed: run `scripts/run --allow -- true` there. An edit that adds nothing is
applied, and its content counts as allowed.
"""

_SECRETS = """
## Secrets

In `api_key`, `api_keys`, and in `headers` that can carry a credential, `${NAME}` is replaced by the
environment variable NAME, without surrounding white space. It may be a part of the string:
`authorization = "Bearer ${TOKEN}"`. A header can carry a credential if its name contains `auth`,
`key`, `token`, `cookie`, `secret` or `credential`, or is otherwise known to carry one. A variable
that is unset or empty is an error, and so is `${` in any other value. The alternative is a file
(`api_key_file`).
"""

_OPTIONS = """
## Options of mitmproxy

Set with `--set NAME=VALUE`, or in mitmproxy's `config.yaml`.

{table}
"""

_PRESETS = """
`scripts/run --presets` prints these tables. The addresses and protocols of gateways change often;
any key of `[providers.NAME]` overrides those of its preset. The variable is read only for the
address of the preset, and like any other variable it needs your [consent](#consent) in a file of
the working directory. If it is not set, the start stops.
"""

_EXAMPLE = """
## All keys in one file

Settings have their defaults here; entries of `[[models]]`, `[[lessons]]` and `[providers.NAME]` are
examples.

```toml
{toml}
```
"""
