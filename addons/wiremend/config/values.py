"""The types of values in the configuration, and the checks behind them.

`InWords` is the name of a type in the documentation, addons/CONFIGURATION.md.
"""

import difflib
import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from wiremend.adapt.schema_dialects import DIALECTS
from wiremend.protocols.base.names import SHORT_NAMES, WireProtocol, valid_names
from wiremend.targets.hosts import problem_with_glob
from wiremend.text.call_formats import FORMATS

_CODE = re.compile(r"[A-Z]\d{0,3}\Z")
_HOST = re.compile(r"[A-Za-z0-9._-]+\Z")
_HOST_GLOB = re.compile(r"[A-Za-z0-9._*?-]+\Z")
_PATH = re.compile(r"/[^?#\s]*\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_KEY = re.compile(r"[\x21-\x7e]*\Z")
_LINE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*\Z")
_ENDPOINT = re.compile(r"(?:/v\d+[a-z0-9]*)?/(?:messages|chat/completions|responses)/?\Z")
_FRAMING_HEADERS = frozenset(
    {"host", "connection", "content-length", "content-encoding", "transfer-encoding", "upgrade"}
)


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` with the most similar known name, ignoring case; else ""."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(text.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def _a_code(text: str) -> str:
    if not _CODE.match(text):
        raise ValueError(f"expected a rule's code or its beginning ('S101', 'S1'), got {text!r}")
    return text


def _a_name(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a name, got an empty string")
    return text


def _a_model_glob(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a glob such as 'claude-haiku-*', got an empty string")
    return text


def _a_host_glob(text: str) -> str:
    if not _HOST_GLOB.match(text) and not _is_address(text):
        raise ValueError(
            "expected a host glob such as '*.example.com', "
            f"without scheme, port or path, got {text!r}"
        )
    return text


def _an_intercepted_glob(text: str) -> str:
    glob = _a_host_glob(text)
    if problem := problem_with_glob(glob.lower()):
        raise ValueError(problem)
    return glob


def _a_dialect(text: str) -> str:
    if text not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise ValueError(f"expected one of {known}, got {text!r}{did_you_mean(text, DIALECTS)}")
    return text


def _a_call_format(text: str) -> str:
    if text not in FORMATS:
        known = ", ".join(FORMATS)
        raise ValueError(f"expected one of {known}, got {text!r}{did_you_mean(text, FORMATS)}")
    return text


def _a_protocol_choice(value: Any) -> Any:
    if not isinstance(value, dict | str):
        raise ValueError(f"expected one of {valid_names()}, or a table of them by model")
    for glob, name in value.items() if isinstance(value, dict) else [("*", value)]:
        _a_model_glob(glob)
        try:
            WireProtocol.parse(name)
        except ValueError as problem:
            known = [*WireProtocol, *SHORT_NAMES.values()]
            raise ValueError(f"{problem}{did_you_mean(str(name), known)}") from None
    return value


def _a_path(text: str) -> str:
    if not _PATH.match(text):
        raise ValueError(f"expected a path such as '/*/prompt_async', without query, got {text!r}")
    return text


def _a_base_url(text: str) -> str:
    """Messages do not quote the address: users paste keys into its query or before its host."""
    url = _split(text)
    if url is None or url.scheme not in ("http", "https"):
        raise ValueError("expected an address such as 'https://api.example.com'")
    if url.username is not None or url.password is not None:
        raise ValueError("expected no user before the host; the key belongs in api_key")
    if "?" in text or "#" in text:
        raise ValueError("expected no query; the key belongs in api_key")
    if endpoint := _ENDPOINT.search(url.path):
        raise ValueError(f"expected an address without {endpoint[0]!r}, which each request adds")
    return text


def _a_key(secret: SecretStr) -> SecretStr:
    if not _KEY.match(secret.get_secret_value()):
        raise ValueError("expected printable ASCII without spaces")
    return secret


def _split(text: str) -> SplitResult | None:
    """Return the parts of an address, or None if it is malformed."""
    try:
        url = urlsplit(text)
        host, _ = url.hostname or "", url.port
    except ValueError:
        return None
    well_formed = _HOST.match(host) or _is_address(host)
    return url if well_formed and not re.search(r"[\s\x00-\x1f\\]", text) else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


type Problem = tuple[tuple[str | int, ...], str]
"""The keys and list indices that lead to a value, and what is wrong with it."""


def refuse(*problems: Problem) -> None:
    """Raise one ValidationError with all problems, each located at a key of the validated value."""
    if problems:
        raise ValidationError.from_exception_data(
            "configuration",
            [
                InitErrorDetails(
                    type=PydanticCustomError("wiremend", "{text}", {"text": text}),
                    loc=place,
                    input=None,
                )
                for place, text in problems
            ],
        )


def refuse_unknown_codes(
    codes: Iterable[str], known: Iterable[str] | None, what: str = "rule"
) -> None:
    """Raise a ValidationError located at each list item that is not a prefix of a known code."""
    if known is not None:
        refuse(*_unknown_codes(codes, known, what))


def selected_codes(codes: Iterable[str], prefixes: tuple[str, ...]) -> frozenset[str]:
    """Return those of the codes that are selected by one of the prefixes, which may be complete."""
    return frozenset(code for code in codes if code.startswith(prefixes))


def refuse_codes_on_no_call(codes: Iterable[str], known: Iterable[str] | None) -> None:
    """Do the same for rules that are disabled for some calls: none of them may be about routes."""
    usable = None if known is None else [code for code in known if not code.startswith("M")]
    refuse_unknown_codes(codes, usable, "rule on requests and responses")


def refuse_unknown_codes_in(
    table: Mapping[str, Iterable[str]], known: Iterable[str] | None
) -> None:
    """Do the same for the lists of codes in a table."""
    if known is not None:
        refuse(
            *(
                ((name, *place), text)
                for name, codes in table.items()
                for place, text in _unknown_codes(codes, known, "rule")
            )
        )


def _unknown_codes(
    codes: Iterable[str], known: Iterable[str], what: str
) -> Iterator[tuple[tuple[int], str]]:
    for number, code in enumerate(codes):
        if not any(existing.startswith(code) for existing in known):
            yield (number,), f"there is no {what} {code!r}{did_you_mean(code, sorted(known))}"


def header_problems(headers: Mapping[str, SecretStr]) -> list[tuple[tuple[str], str]]:
    """Return the place and text of every problem, as arguments of `refuse`.

    The texts do not quote values, since any header may contain a secret.
    """
    times = Counter(name.lower() for name in headers)
    problems: list[tuple[tuple[str], str]] = []
    for name, value in headers.items():
        if not _HEADER_NAME.match(name):
            problems.append(((name,), "is not a valid header name"))
        elif name.lower() in _FRAMING_HEADERS:
            problems.append(((name,), "the proxy sets this header itself"))
        elif times[name.lower()] > 1:
            problems.append(((name,), "is listed twice"))
        elif not _LINE.match(value.get_secret_value()):
            problems.append(((name,), "expected one line without control characters"))
    return problems


def one_of(values: Iterable[str]) -> str:
    """Return the values as alternatives in Markdown."""
    *others, last = (f'`"{value}"`' for value in values)
    return f"{', '.join(others)} or {last}"


@dataclass(frozen=True, slots=True)
class InWords:
    """Metadata of a type: the name of its values in the documentation."""

    text: str
    plural: str = ""
    """By default `text` with an "s"."""


Seconds = Annotated[
    float,
    Field(strict=True, ge=0, allow_inf_nan=False),
    InWords("number of seconds", "numbers of seconds"),
]
Pause = Annotated[
    float,
    Field(strict=True, ge=0.1, le=3600, allow_inf_nan=False),
    InWords("number of seconds", "numbers of seconds"),
]
Count = Annotated[int, Field(strict=True, ge=1)]
Name = Annotated[str, AfterValidator(_a_name)]
ProviderName = Annotated[Name, InWords("provider name")]
ModelName = Annotated[Name, InWords("model name")]
ModelGlob = Annotated[str, AfterValidator(_a_model_glob), InWords("glob of model names")]
FileGlob = Annotated[Name, InWords("file glob")]
HostGlob = Annotated[str, AfterValidator(_a_host_glob), InWords("host glob")]
InterceptedGlob = Annotated[str, AfterValidator(_an_intercepted_glob), InWords("host glob")]
PathGlob = Annotated[str, AfterValidator(_a_path), InWords("path glob")]
RuleCode = Annotated[
    str,
    AfterValidator(_a_code),
    InWords("rule code or prefix of codes", "rule codes or prefixes of codes"),
]
RuleCodesByFile = Annotated[
    Mapping[FileGlob, tuple[RuleCode, ...]], InWords("table of file globs and lists of rule codes")
]
RuleCodesByHost = Annotated[
    Mapping[HostGlob, tuple[RuleCode, ...]], InWords("table of host globs and lists of rule codes")
]
DialectName = Annotated[
    str,
    AfterValidator(_a_dialect),
    InWords(one_of(DIALECTS)),
]
CallFormatName = Annotated[
    str,
    AfterValidator(_a_call_format),
    InWords(one_of(FORMATS), one_of(FORMATS)),
]
ProtocolChoice = Annotated[
    str | Mapping[str, str],
    BeforeValidator(_a_protocol_choice),
    InWords("protocol, or table of protocols by glob of model names"),
]
BaseUrl = Annotated[str, AfterValidator(_a_base_url), InWords("address")]
Key = Annotated[SecretStr, AfterValidator(_a_key), InWords("string, may contain `${NAME}`")]
