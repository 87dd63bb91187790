"""From a TOML file to a Config, or to one error that says everything that is wrong with it."""

import difflib
import os
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from wiremend.config.model import Config

FILE_NAME = "wiremend.toml"
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CREDENTIAL_HEADER = re.compile(r"authorization|key|token|cookie|secret", re.IGNORECASE)
_EXPECTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number of seconds",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
}


class ConfigError(Exception):
    """What is wrong with a configuration: one line per problem, each with file and key."""


def find_config(option: str, directory: Path) -> Path | None:
    """The file that the option names, else `wiremend.toml` in the directory if it is there.

    Raises ConfigError when the option names no readable file.
    """
    if option:
        path = Path(option).expanduser()
        if not path.exists():
            raise ConfigError(f"{option}: no such file (wiremend_config)")
        return path
    path = directory / FILE_NAME
    return path if path.exists() else None


def load_config(path: Path | None, known_codes: Iterable[str] | None = None) -> Config:
    """The configuration in a file, or the built-in defaults without one. Raises ConfigError."""
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name}: not a text file in UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read: {error.strerror}") from None
    return parse_config(text, path.name, os.environ, known_codes)


def parse_config(
    text: str,
    source: str,
    environ: Mapping[str, str],
    known_codes: Iterable[str] | None = None,
) -> Config:
    """The configuration in a TOML text. `source` names it in errors. Raises ConfigError."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: {error}") from None
    problems: list[str] = []
    values = _filled_in(values, (), environ, problems)
    config = None
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        problems += [_said(details, values) for details in error.errors()]
    if config is not None and known_codes is not None:
        problems += _unknown_codes(config, list(known_codes))
    if config is None or problems:
        raise ConfigError("\n".join(f"{source}: {problem}" for problem in problems))
    return config


def _filled_in(
    value: Any, path: tuple[str, ...], environ: Mapping[str, str], problems: list[str]
) -> Any:
    """The same values with `${NAME}` replaced in secrets, and complained about elsewhere."""
    if isinstance(value, dict):
        return {
            key: _filled_in(inner, (*path, key), environ, problems) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [
            _filled_in(inner, (*path, str(number)), environ, problems)
            for number, inner in enumerate(value)
        ]
    if not isinstance(value, str) or "${" not in value:
        return value
    where = _dotted(path)
    if not _is_secret(path):
        problems.append(
            f"{where}: ${{…}} is filled in only in secrets "
            "(providers.*.api_key, and headers that carry a credential)"
        )
        return value

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if not _NAME.match(name):
            problems.append(f"{where}: '${{…}}' must name an environment variable")
        elif name not in environ:
            problems.append(f"{where}: the environment variable {name} is not set")
        elif not environ[name].strip():
            problems.append(f"{where}: the environment variable {name} is empty")
        return environ.get(name, "").strip()

    return _VARIABLE.sub(fill, value)


def _is_secret(path: tuple[str, ...]) -> bool:
    match path:
        case ("providers", _, "api_key"):
            return True
        case ("providers", _, "headers", name):
            return _CREDENTIAL_HEADER.search(name) is not None
    return False


def _said(details: ErrorDetails, values: Any) -> str:
    """One problem in our words: the key, what is wrong, what to do. Never a secret's value."""
    path = tuple(str(part) for part in details["loc"])
    where = _dotted(path)
    kind = details["type"]
    if kind == "extra_forbidden":
        return f"{where}: unknown key{_nearest(path)}"
    if kind == "missing":
        return f"{where}: missing"
    if kind == "value_error":
        message = str(details["ctx"]["error"])
        return f"{where}: {message}" if where else message
    context = details.get("ctx", {})
    got = "" if _is_secret(path) else f", got {_shown(values, path)}"
    if kind == "literal_error":
        return f"{where}: expected {context['expected']}{got}"
    if kind == "greater_than_equal":
        return f"{where}: expected {context['ge']:g} or more{got}"
    if kind == "less_than_equal":
        return f"{where}: expected {context['le']:g} or less{got}"
    expected = _EXPECTED.get(kind)
    return f"{where}: expected {expected}{got}" if expected else f"{where}: {details['msg']}{got}"


def _shown(values: Any, path: tuple[str, ...]) -> str:
    for part in path:
        if isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        elif isinstance(values, dict) and part in values:
            values = values[part]
        else:
            return "something else"
    if isinstance(values, dict | list):
        return "a table" if isinstance(values, dict) else "a list"
    return {True: "true", False: "false"}[values] if isinstance(values, bool) else repr(values)


def _nearest(path: tuple[str, ...]) -> str:
    """What was probably meant: a key of this section, or this key in its own section."""
    *section, key = path
    near = difflib.get_close_matches(key, _keys_at(tuple(section)), n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    for name, field in Config.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and key in inner.model_fields:
            return f"; it belongs in [{name}]"
    known = ", ".join(sorted(_keys_at(tuple(section))))
    return f"; known here: {known}" if known else ""


def _keys_at(section: tuple[str, ...]) -> list[str]:
    """The keys that may stand in a section of the file."""
    model: Any = Config
    for part in section:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(part)
            model = field.annotation if field else None
        else:
            inner = [one for one in typing.get_args(model) if isinstance(one, type)]
            model = next((one for one in inner if issubclass(one, BaseModel)), None)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return list(model.model_fields)
    return []


def _unknown_codes(config: Config, known: list[str]) -> list[str]:
    return [
        f"rules.disable: no rule's code begins with {code!r}"
        for code in config.rules.disable
        if not any(one.startswith(code) for one in known)
    ]


def _dotted(path: tuple[str, ...]) -> str:
    dotted = ".".join(path)
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", dotted)


def reveal(secret: SecretStr) -> str:
    """A secret's value, for the request that it belongs to."""
    return secret.get_secret_value()
