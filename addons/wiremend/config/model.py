"""Every key of wiremend.toml: its type, its default, and in its docstring its unit and meaning.

Times are in seconds. Every key is optional, but for what an entry of a list is about
(`match` of `[[models]]`, `base_url` of `[providers.NAME]`).
"""

import difflib
import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from wiremend.adapt.lessons import LessonKind
from wiremend.adapt.schema_dialects import DIALECTS
from wiremend.routing.access import normalized_origin
from wiremend.routing.shape import CallShape
from wiremend.targets.registry import NAMES_BY_DIALECT

_CODE = re.compile(r"[A-Z]\d{0,3}\Z")
_HOST = re.compile(r"[A-Za-z0-9._-]+\Z")
_HOST_GLOB = re.compile(r"[A-Za-z0-9._*?-]+\Z")
_PATH = re.compile(r"/[^?#\s]*\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_KEY = re.compile(r"[\x21-\x7e]*\Z")
_LINE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*\Z")
_FRAMING_HEADERS = frozenset(
    {"host", "connection", "content-length", "content-encoding", "transfer-encoding", "upgrade"}
)


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the nearest of the known ones, in any case; else nothing."""
    by_lower = {one.lower(): one for one in known}
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


def _a_dialect(text: str) -> str:
    if text not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise ValueError(f"expected one of {known}, got {text!r}{did_you_mean(text, DIALECTS)}")
    return text


def _a_path(text: str) -> str:
    if not _PATH.match(text):
        raise ValueError(f"expected a path such as '/*/prompt_async', without query, got {text!r}")
    return text


def _a_base_url(text: str) -> str:
    """Its messages do not quote it: keys are pasted into the query or before the host."""
    url = _split(text)
    if url is None or url.scheme not in ("http", "https"):
        raise ValueError("expected an address such as 'https://api.example.com'")
    if url.username is not None or url.password is not None:
        raise ValueError("expected no user before the host; the key belongs in api_key")
    if "?" in text or "#" in text:
        raise ValueError("expected no query; the key belongs in api_key")
    return text


def _a_key(secret: SecretStr) -> SecretStr:
    if not _KEY.match(secret.get_secret_value()):
        raise ValueError("expected printable ASCII without spaces")
    return secret


def _split(text: str) -> SplitResult | None:
    """The parts of an address, or None when it is none."""
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


def _refuse(*problems: tuple[tuple[str | int, ...], str]) -> None:
    """Raise one error with these problems, each at its own key below the validated one."""
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


def _refuse_unknown_codes(
    codes: Iterable[str], known: Iterable[str] | None, what: str = "rule"
) -> None:
    """Raise for each code that no known one begins with, at its place in its list."""
    if known is not None:
        _refuse(
            *(
                ((number,), f"there is no {what} {code!r}{did_you_mean(code, sorted(known))}")
                for number, code in enumerate(codes)
                if not any(one.startswith(code) for one in known)
            )
        )


Seconds = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Name = Annotated[str, AfterValidator(_a_name)]


class Section(BaseModel):
    """Frozen, and nothing unknown in it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )


class Intercept(Section):
    """Which traffic is opened."""

    hosts: tuple[Annotated[str, AfterValidator(_a_host_glob)], ...] = ()
    """Globs of hosts whose TLS is opened, besides the built-in providers."""
    websocket: Literal["refuse", "pass"] = "refuse"
    """What a WebSocket on a model path meets: 426, so that the client falls back, or nothing."""


class Retry(Section):
    """How often and how long a failed attempt is made again."""

    attempts: Annotated[int, Field(strict=True, ge=1, le=20)] = 4
    """Tries per call, the first one included."""
    backoff_initial: Seconds = 0.5
    """Seconds: the longest wait before the second try; it doubles with each further one."""
    backoff_max: Seconds = 8.0
    """Seconds: no wait of our own is longer."""
    max_elapsed: Seconds = 120.0
    """Seconds from the first attempt, after which no other one is begun."""
    retry_after_max: Seconds = 60.0
    """Seconds: when the provider asks for a longer wait, its error goes to the client."""

    @model_validator(mode="after")
    def _initial_is_within_max(self) -> "Retry":
        if self.backoff_initial > self.backoff_max:
            if "backoff_initial" in self.model_fields_set:
                key, bound = "backoff_initial", f"backoff_max ({self.backoff_max:g}) or less"
            else:
                key, bound = "backoff_max", f"backoff_initial ({self.backoff_initial:g}) or more"
            _refuse(((key,), f"expected {bound}, got {getattr(self, key):g}"))
        return self


class Timeouts(Section):
    """Limits of one attempt, in seconds, its body included; 0 means none."""

    connect: Seconds = 10.0
    """Seconds to connect, TLS included."""
    first_byte: Seconds = 300.0
    """Seconds from a streaming request to the first byte of its response."""
    answer: Seconds = 900.0
    """The same for a request that does not stream: it is silent until its answer is complete."""
    idle: Seconds = 120.0
    """Seconds between any two bytes of a stream."""
    progress: Seconds = 600.0
    """Seconds between events with content; pings, comments and blank lines do not count."""
    total: Seconds = 0.0
    """Seconds for the whole attempt: the only limit that cuts a healthy stream."""


class Heartbeat(Section):
    """Keep-alives toward the client of a silent stream."""

    after: Seconds = 15.0
    """Seconds of silence toward the client before the first one; 0 means never."""
    interval: Seconds = 15.0
    """Seconds between two of them; 0 means the same as `after`."""


class Rules(Section):
    """Which rules are off."""

    disable: tuple[Annotated[str, AfterValidator(_a_code)], ...] = ()
    """Codes of rules, or the beginnings of codes."""

    @field_validator("disable")
    @classmethod
    def _are_known(cls, disable: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Against the `known_codes` of the validation's context, if it has any."""
        _refuse_unknown_codes(disable, (info.context or {}).get("known_codes"))
        return disable


class When(Section):
    """`when` of `[[models]]`: all that is said must hold."""

    streaming: StrictBool | None = None
    """The call streams, or does not."""
    tools_min: Annotated[int, Field(strict=True, ge=1)] | None = None
    """At least so many tools are offered."""
    input_tokens_over: Annotated[int, Field(strict=True, ge=0)] | None = None
    """The input has more tokens than this, estimated as bytes of text over four."""
    has_images: StrictBool | None = None
    """There is an image anywhere in the conversation, or none."""
    thinking: StrictBool | None = None
    """Thinking or reasoning is asked for, or not."""

    def accepts(self, shape: CallShape) -> bool:
        """Whether a call of this shape is meant."""
        return (
            self.streaming in (None, shape.streaming)
            and (self.tools_min is None or shape.tools >= self.tools_min)
            and (self.input_tokens_over is None or shape.input_tokens > self.input_tokens_over)
            and self.has_images in (None, shape.has_images)
            and self.thinking in (None, shape.thinking)
        )


class ModelRoute(Section):
    """`[[models]]`: what is done with a requested model. The first entry that matches counts."""

    match: Annotated[str, AfterValidator(_a_model_glob)]
    """A glob on the requested model, upper and lower case alike."""
    when: When | None = None
    """What the call must look like besides; without it any call is meant."""
    model: Name | None = None
    """The model to ask for instead; without it the requested one."""
    provider: Name | None = None
    """The name of a `[providers]` entry of the same protocol to send it to, with its key."""
    fallback: tuple[Name, ...] = ()
    """Models to ask when that one fails for good; `PROVIDER/MODEL` asks another provider."""
    stream: Literal["live", "guarded", "buffered"] = "live"
    """When content is shown: at once, after its beginning proved good, or when it is complete."""

    @model_validator(mode="after")
    def _fallbacks_differ(self) -> "ModelRoute":
        times = Counter(self.fallback)
        twice = [model for model in times if times[model] > 1]
        same = [model for model in times if model == self.model]
        _refuse(
            *((("fallback",), f"{model!r} stands there twice") for model in twice),
            *((("fallback",), f"{model!r} is what `model` asks for") for model in same),
        )
        return self


class Provider(Section):
    """`[providers.NAME]`: another address for calls."""

    base_url: Annotated[str, AfterValidator(_a_base_url)]
    """Where it is: what comes before the request's own path."""
    api_key: Annotated[SecretStr, AfterValidator(_a_key)] = SecretStr("")
    """Its key; `${NAME}` in it is the environment variable NAME."""
    api_key_file: Annotated[str, AfterValidator(_a_name)] | None = None
    """A file that holds the key and nothing else, readable by its owner alone; in place of
    `api_key`. A relative path starts at the configuration's directory."""
    schema_dialect: Annotated[str, AfterValidator(_a_dialect)] | None = None
    """What its tools' schemas must be written in: "plain" leaves them alone; without it, what is
    known of the host and model decides."""
    headers: Mapping[str, SecretStr] = {}
    """Headers that replace the client's; `${NAME}` is read in those that carry a credential."""

    message_rules: tuple[Annotated[str, AfterValidator(_a_code)], ...] | None = None
    """Codes, or their beginnings, of the Q rules that are on for it; without it, those that it is
    known to need."""
    max_output_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Tokens: a call that allows more output is lowered to this."""

    @property
    def host(self) -> str:
        """The host name in its address."""
        return urlsplit(self.base_url).hostname or ""

    @field_validator("message_rules")
    @classmethod
    def _are_about_messages(
        cls, codes: tuple[str, ...] | None, info: ValidationInfo
    ) -> tuple[str, ...] | None:
        known = (info.context or {}).get("known_codes")
        about = None if known is None else [code for code in known if code.startswith("Q")]
        _refuse_unknown_codes(codes or (), about, "rule on messages (Q...)")
        return codes

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        """Its messages do not quote values: any header may carry a secret."""
        times = Counter(name.lower() for name in headers)
        problems: list[tuple[tuple[str], str]] = []
        for name, value in headers.items():
            if not _HEADER_NAME.match(name):
                problems.append(((name,), "is no name for a header"))
            elif name.lower() in _FRAMING_HEADERS:
                problems.append(((name,), "the proxy sets this header itself"))
            elif times[name.lower()] > 1:
                problems.append(((name,), "stands there twice"))
            elif not _LINE.match(value.get_secret_value()):
                problems.append(((name,), "expected one line without control characters"))
        _refuse(*problems)
        return headers


class LearntLesson(Section):
    """`[[lessons]]`: what a provider is known to refuse; `wiremend.lessons` writes them."""

    provider: Name
    """The name of a `[providers]` entry, or a host."""
    kind: LessonKind
    """What is done about it."""
    model: Name = "*"
    """A glob on the model, upper and lower case alike."""
    value: str = ""
    """The dialect, the value of the header, or the path of the field."""
    tool: str = ""
    """The tool, as the client calls it; without it every tool."""

    @model_validator(mode="after")
    def _value_fits_kind(self) -> "LearntLesson":
        known: Mapping[str, Iterable[str]] = {
            "schema-dialect": DIALECTS,
            "tool-names": NAMES_BY_DIALECT,
        }
        names = known.get(self.kind)
        if names is not None and self.value not in names:
            hint = did_you_mean(self.value, names)
            _refuse((("value",), f"expected one of {', '.join(names)}, got {self.value!r}{hint}"))
        if self.kind in ("beta", "field") and not self.value:
            _refuse((("value",), f"is needed for the kind {self.kind!r}"))
        return self


class Access(Section):
    """Which web pages may use the keys of the configuration."""

    origins: tuple[Annotated[str, AfterValidator(normalized_origin)], ...] = ()
    """Exact origins, such as "https://app.example", of web pages whose calls may be sent to a
    provider with its configured key; a call from any other web page is answered with 403 instead.
    There are no wildcards: "*" would let every page that the user opens spend the keys. "null" is
    refused as well, since any page can send it from a sandboxed frame."""


class FireAndForget(Section):
    """Paths that are answered 204 at once."""

    paths: tuple[Annotated[str, AfterValidator(_a_path)], ...] = (
        "/session/*/prompt_async",
        "/*/prompt_async",
    )
    """Globs of paths; `*` stands for anything within one segment."""
    ack_after: Seconds = 5.0
    """Seconds to wait for upstream's own status before answering; 0 answers at once."""


class Shutdown(Section):
    """How the proxy stops."""

    grace: Seconds = 30.0
    """Seconds that running streams may take to finish after SIGTERM."""


class Config(Section):
    """The whole file."""

    intercept: Intercept = Intercept()
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    heartbeat: Heartbeat = Heartbeat()
    rules: Rules = Rules()
    models: tuple[ModelRoute, ...] = ()
    lessons: tuple[LearntLesson, ...] = ()
    providers: Mapping[str, Provider] = {}
    access: Access = Access()
    fire_and_forget: FireAndForget = FireAndForget()
    shutdown: Shutdown = Shutdown()

    @model_validator(mode="after")
    def _providers_exist(self) -> "Config":
        known = sorted(self.providers)
        _refuse(
            *(
                (
                    ("models", number, "provider"),
                    f"there is no [providers.{route.provider}]"
                    f"{did_you_mean(route.provider, known)}",
                )
                for number, route in enumerate(self.models)
                if route.provider is not None and route.provider not in self.providers
            )
        )
        return self

    def disabled_codes(self, codes: Iterable[str]) -> frozenset[str]:
        """Those of the given rule codes that are switched off, beginnings of codes expanded."""
        return frozenset(code for code in codes if code.startswith(self.rules.disable))


SECTIONS: Mapping[str, type[Section]] = {
    "intercept": Intercept,
    "retry": Retry,
    "timeouts": Timeouts,
    "heartbeat": Heartbeat,
    "rules": Rules,
    "models": ModelRoute,
    "lessons": LearntLesson,
    "providers": Provider,
    "access": Access,
    "fire_and_forget": FireAndForget,
    "shutdown": Shutdown,
}
"""What stands under each top-level key."""
TABLES_WITHIN: Mapping[tuple[str, str], type[Section]] = {("models", "when"): When}
"""Tables inside an entry of these: the section, and the key that holds the table."""

HEADINGS: Mapping[str, str] = {
    name: {"models": "[[models]]", "lessons": "[[lessons]]", "providers": "[providers.NAME]"}.get(
        name, f"[{name}]"
    )
    for name in SECTIONS
}
"""How each of them is written in the file."""
