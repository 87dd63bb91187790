"""Reading a TOML file into a Config, or raising one error that lists all problems.

Messages are written here, not by pydantic, and contain no secret: values below `[providers]` are
not quoted.
"""

import datetime
import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from wiremend.config.consent import VARIABLE
from wiremend.config.key_files import key_file_path, read_key_file
from wiremend.config.model import (
    HEADINGS,
    SECTIONS,
    TABLES_WITHIN,
    Config,
    problems_across,
)
from wiremend.config.presets import supplied_variable, with_presets
from wiremend.config.user_directories import config_directory
from wiremend.config.values import Problem, did_you_mean
from wiremend.secrets import may_hold_credential

FILE_NAME = "wiremend.toml"

Place = tuple[str | int, ...]
"""The keys and list indices that lead to a value."""

_TOML_ERROR = re.compile(
    r"(?P<text>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)\Z",
    re.DOTALL,
)
_BARE_VARIABLE = re.compile(r"(?:\A|.*\s)\$[A-Za-z_]\w*\s*\Z", re.DOTALL)
_VARIABLE_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\Z")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_MISPLACED_VARIABLE = (
    "'${...}' is replaced only in providers.*.api_key and api_keys, and in headers that can "
    "contain a credential; write the value itself"
)
_EXPECTED: Mapping[str, str] = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "too_short": "at least one entry",
    "greater_than_equal": "{ge:g} or more",
    "less_than_equal": "{le:g} or less",
    "literal_error": "{expected}",
    "tuple_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
}
"""What was expected, by type of pydantic's errors. A test covers each of them."""
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (str, "a string"),
    ((int, float), "a number"),
    (list, "a list"),
    (dict, "a table"),
    ((datetime.date, datetime.time), "a date or time"),
)
_SHOWN_CHARACTERS = 60
_LIMIT_BYTES = 1024 * 1024
_MAX_DEPTH = 8
"""All valid values are less deeply nested than this."""


class ConfigError(Exception):
    """An invalid configuration. Its text has one line per problem, each with file and key."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        """`source` is the file's name; `problems` are lines without it."""
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.source = source
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file that was read: its bytes, and its TOML with `${NAME}` as written.

    Presets are filled in.
    """

    path: Path
    data: bytes
    values: Mapping[str, Any]


def find_config(
    option: str, directory: Path, environ: Mapping[str, str] | None = None
) -> Path | None:
    """Return the path of the configuration file, or None if there is none.

    It is the first of: the file given by the option; `wiremend.toml` in the directory; the one in
    the user's configuration directory. A relative path in the option is below the directory.
    `environ` contains the XDG variables, by default those of the process. Raises ConfigError if the
    file given by the option does not exist.
    """
    path = directory / os.path.expanduser(option or FILE_NAME)
    if os.path.lexists(path):  # a dangling link is a mistake, reported when it is read
        return path
    if option:
        raise ConfigError(option, ["no such file (option wiremend_config)"])
    with suppress(RuntimeError):  # there is no home directory
        users = config_directory(os.environ if environ is None else environ) / FILE_NAME
        if os.path.lexists(users):
            return users
    return None


def load_config(path: Path | None, known_codes: Iterable[str] | None = None) -> Config:
    """Return the configuration in a file; the built-in defaults if `path` is None.

    If `known_codes`, the codes of all rules, is given, `rules.disable` may contain no other codes.
    Raises ConfigError.
    """
    if path is None:
        return Config()
    return config_of(read_document(path), os.environ, known_codes)


def parse_config(
    text: str,
    source: str,
    environ: Mapping[str, str],
    known_codes: Iterable[str] | None = None,
    directory: Path = Path(),
) -> Config:
    """Return the configuration in a TOML text. `source` is its name in errors. Raises ConfigError.

    Relative paths of key files are below `directory`.
    """
    written = _parse_toml(text.removeprefix("\ufeff"), source)
    misplaced: dict[Place, str] = {}
    values = _filled_in(with_presets(written), (), environ, misplaced)
    _explain_supplied_keys(written, misplaced)
    _fill_in_key_files(values, directory, misplaced)
    return _validated(values, source, misplaced, known_codes)


def read_document(path: Path, *, must_be_regular: bool = False) -> Document:
    """Read a file and parse its TOML, without variables and key files. Raises ConfigError.

    `must_be_regular`: refuse a pipe or a device, which a link in a cloned repository can lead to.
    """
    return parse_document(path, read_bytes(path, must_be_regular=must_be_regular))


def parse_document(path: Path, data: bytes) -> Document:
    """Parse the TOML in the bytes that were read from this file. Raises ConfigError."""
    return Document(path, data, with_presets(_parse_toml(_text_of(data, path.name), path.name)))


def config_of(
    document: Document, environ: Mapping[str, str], known_codes: Iterable[str] | None = None
) -> Config:
    """Return the configuration in a document, with secrets filled in. Raises ConfigError."""
    text = _text_of(document.data, document.path.name)
    return parse_config(text, document.path.name, environ, known_codes, document.path.parent)


def check_document(document: Document, known_codes: Iterable[str] | None = None) -> Config:
    """Return the configuration in a document without reading any variable or key file.

    Variables are replaced by placeholders. Raises ConfigError.
    """
    misplaced: dict[Place, str] = {}
    # Not the document's text: TOML has other spellings of `${`.
    variables = VARIABLE.findall(json.dumps(document.values, default=str))
    placeholders = dict.fromkeys(variables, "x")
    values = _filled_in(dict(document.values), (), placeholders, misplaced)
    return _validated(values, document.path.name, misplaced, known_codes)


def _validated(
    values: dict[str, Any],
    source: str,
    misplaced: dict[Place, str],
    known_codes: Iterable[str] | None,
) -> Config:
    """Return the configuration with these values. `misplaced` are problems of earlier steps."""
    context = {"known_codes": None if known_codes is None else frozenset(known_codes)}
    errors: list[ErrorDetails] = []
    try:
        config = Config.model_validate(values, context=context)
    except ValidationError as invalid:
        errors = invalid.errors()
        for place, text in problems_across(values):
            misplaced.setdefault(place, text)
    presets = {error["loc"][:2] for error in errors if error["loc"][2:] == ("preset",)}
    errors = [
        error  # without a valid preset, the address that it would fill in is missing
        for error in errors
        if error["type"] != "missing" or error["loc"][:2] not in presets
    ]
    unknown = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
    for place in [*misplaced]:
        if any(place[: len(above)] == above for above in unknown):
            del misplaced[place]  # the unknown key above it is reported
    problems: list[Problem] = [*misplaced.items()]
    problems += [
        (error["loc"], describe(error, _nearest))
        for error in errors
        if error["loc"] not in misplaced
    ]
    problems.sort(key=lambda problem: _position(values, problem[0]))
    if problems:
        raise ConfigError(source, [f"{dotted(place)}: {text}" for place, text in problems])
    return config


def _position(values: Any, place: Place) -> tuple[int, ...]:
    """Return where a key is in the file, for sorting."""
    numbers: list[int] = []
    for part in place:
        if isinstance(values, dict) and part in values:
            numbers.append([*values].index(part))
            values = values[part]
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            numbers.append(part)
            values = values[part]
    return tuple(numbers)


def read_bytes(path: Path, *, must_be_regular: bool) -> bytes:
    """Return the bytes of a file, 1 MiB at most. Raises ConfigError.

    It is raised outside `except`, so that no original exception with content is attached to it.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting if must_be_regular else None) as file:
            is_refused = must_be_regular and not stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            data = b"" if is_refused else file.read(_LIMIT_BYTES + 1)
        if not is_refused and len(data) <= _LIMIT_BYTES:
            return data
        problem = "is no regular file" if is_refused else f"is larger than {_LIMIT_BYTES} bytes"
    except IsADirectoryError:
        problem = "is a directory, not a file"
    except FileNotFoundError:
        problem = "no such file"
    except OSError as error:
        problem = f"cannot be read: {(error.strerror or 'unknown reason').lower()}"
    raise ConfigError(path.name, [problem])


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe without a writer is opened as well."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _text_of(data: bytes, source: str) -> str:
    """Return the text in these bytes without byte order mark. Raises ConfigError.

    As in `read_bytes`, no original exception is attached.
    """
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        problem = f"line {data.count(b'\n', 0, error.start) + 1}: is not UTF-8"
    raise ConfigError(source, [problem])


def _parse_toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = _describe_syntax(str(error), text)
    except RecursionError:
        problem = "is nested too deeply"
    except ValueError:  # an integer of thousands of digits
        problem = "contains a number that is too long"
    raise ConfigError(source, [problem])


def _describe_syntax(message: str, text: str) -> str:
    match = _TOML_ERROR.match(message)
    if match is None:
        return message
    reason = match["text"][:1].lower() + match["text"][1:]
    if match["line"] is None:
        return f"line {text.rstrip().count('\n') + 1}: {reason} (at the end of the file)"
    return f"line {match['line']}: {reason} (column {match['column']})"


def _filled_in(
    value: Any, place: Place, environ: Mapping[str, str], problems: dict[Place, str]
) -> Any:
    """Return the values with `${NAME}` replaced in secrets; add to `problems` where it is not."""
    if len(place) > _MAX_DEPTH:
        return value
    if isinstance(value, dict):
        return {
            key: _filled_in(inner, (*place, key), environ, problems) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [
            _filled_in(inner, (*place, number), environ, problems)
            for number, inner in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    is_secret = _takes_variables(place)
    if "${" not in value:
        if is_secret and (problem := _problem_of_literal(value, environ)):
            problems[place] = problem
        return value
    problem = _problem_of_variables(value, environ) if is_secret else _MISPLACED_VARIABLE
    if problem:
        problems[place] = problem
        return value
    return VARIABLE.sub(lambda match: environ[match[1]].strip(), value)


def _problem_of_variables(text: str, environ: Mapping[str, str]) -> str:
    """Return the problem of the first variable that cannot be replaced; "" if all can be."""
    if "${" in VARIABLE.sub("", text):
        return "expected '${NAME}' with the name of an environment variable"
    for name in VARIABLE.findall(text):
        if name not in environ:
            return f"the environment variable {name} is not set"
        if not environ[name].strip():
            return f"the environment variable {name} is empty"
    return ""


def _explain_supplied_keys(written: Mapping[str, Any], problems: dict[Place, str]) -> None:
    """Describe variables that are missing, but were named by a preset and not by the user."""
    for place, problem in problems.items():
        match place:
            case ("providers", str(name), "api_key"):
                provider = written["providers"][name]
                if supplied_variable(provider):
                    hint = f"preset {provider['preset']!r} uses it; set it, or api_key"
                    problems[place] = f"{problem}; {hint}"


def _problem_of_literal(text: str, environ: Mapping[str, str]) -> str:
    """Return the problem of a secret that was meant to be a variable; "" if it may be a secret."""
    if _BARE_VARIABLE.match(text):
        return "expected '${NAME}' with braces to use an environment variable"
    if _VARIABLE_NAME.match(text) and text in environ:
        return "is the name of an environment variable; write '${NAME}' to use its value"
    return ""


def _fill_in_key_files(values: dict[str, Any], directory: Path, problems: dict[Place, str]) -> None:
    """Set each provider's `api_key` from its key file; add unusable files to `problems`."""
    providers = values.get("providers")
    for name, provider in providers.items() if isinstance(providers, dict) else ():
        file = provider.get("api_key_file") if isinstance(provider, dict) else None
        if not isinstance(file, str) or not file.strip():
            continue  # the model reports it
        place = ("providers", name, "api_key_file")
        if other := next((key for key in ("api_key", "api_keys") if provider.get(key)), ""):
            problems[place] = f"cannot be set together with {other}; remove one of them"
        elif "${" not in file:
            try:
                provider["api_key"] = read_key_file(key_file_path(file, directory))
            except ValueError as problem:
                problems[place] = str(problem)


def _takes_variables(place: Place) -> bool:
    match place:
        case ("providers", _, "api_key") | ("providers", _, "api_keys", int()):
            return True
        case ("providers", _, "headers", str(name)):
            return may_hold_credential(name)
    return False


def describe(error: ErrorDetails, nearest: Callable[[Place], str]) -> str:
    """Return the message for one of pydantic's errors: the problem, and what was expected.

    `nearest` returns the hint for an unknown key.
    """
    place, kind, context = error["loc"], error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{nearest(place)}"
    if kind == "missing":
        is_address = place[0] == "providers" and place[-1] == "base_url"
        return "is missing; set it, or preset" if is_address else "is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind == "wiremend":
        return str(context["text"])
    expected = _EXPECTED.get(kind, "another value").format(**context)
    if len(place) == 1 and place[0] in SECTIONS:
        heading = HEADINGS[str(place[0])]
        expected = f"tables {heading}" if place[0] == "models" else f"a table {heading}"
    got = _kind(error["input"]) if place[0] == "providers" else _shown(error["input"])
    return f"expected {expected}, got {got}"


def _nearest(place: Place) -> str:
    """Return a hint for an unknown key: its own section, or the most similar or all keys here."""
    section, key = str(place[0]), str(place[-1])
    within = TABLES_WITHIN.get((section, str(place[-2]))) if len(place) > 1 else None
    if within is not None:
        here = list(within.model_fields)
        return did_you_mean(key, here) or f"; the keys here are {', '.join(here)}"
    here = list(SECTIONS[section].model_fields if len(place) > 1 else SECTIONS)
    headings = [HEADINGS[name] for name, model in SECTIONS.items() if key in model.model_fields]
    if headings:
        return f"; it belongs in {' or '.join(headings)}"
    return did_you_mean(key, here) or f"; the keys here are {', '.join(here)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        text = repr(value)
        return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
    return _kind(value)


def _kind(value: Any) -> str:
    return next((name for kinds, name in _KINDS if isinstance(value, kinds)), "something else")


def dotted(place: Place) -> str:
    """Return a place as text, such as `models[0].match` or `providers."a b".api_key`."""
    dotted = ""
    for part in place:
        if isinstance(part, int):
            dotted += f"[{part}]"
        else:
            dotted += "." if dotted else ""
            dotted += part if _BARE_KEY.match(part) else f'"{part}"'
    return dotted
