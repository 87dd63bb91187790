"""Every key of wiremend.toml with its default; times are in seconds, and 0 means none."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

_CODE = re.compile(r"[A-Z]\d{0,3}\Z")


def _a_code(text: str) -> str:
    if not _CODE.match(text):
        raise ValueError(f"expected a rule's code or a prefix, such as S101 or S1, got {text!r}")
    return text


def _a_glob(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a pattern such as 'claude-haiku-*', got an empty one")
    return text


def _a_base_url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"expected an address such as 'https://api.example.com', got {text!r}")
    if url.query or url.fragment or url.username or url.password:
        raise ValueError("expected an address without user, query or fragment")
    return text


def _a_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"expected a path that begins with '/', got {text!r}")
    return text


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class Section(BaseModel):
    """Frozen, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Intercept(Section):
    """Which traffic is opened."""

    hosts: tuple[Annotated[str, AfterValidator(_a_glob)], ...] = ()
    """Host globs besides the built-in providers."""
    websocket: Literal["refuse", "pass"] = "refuse"
    """What a WebSocket on a model path meets: 426, so that the client falls back, or nothing."""


class Retry(Section):
    """How often and how long a failed attempt is made again."""

    attempts: Annotated[int, Field(ge=1, le=20, strict=True)] = 4
    """Tries per call, the first one included."""
    backoff_initial: Seconds = 0.5
    backoff_max: Seconds = 8.0
    max_elapsed: Seconds = 120.0
    """From the first attempt."""
    retry_after_max: Seconds = 60.0
    """A longer wait asked for by the provider is passed on to the client."""

    @model_validator(mode="after")
    def _in_order(self) -> "Retry":
        if self.backoff_initial > self.backoff_max:
            raise ValueError("backoff_initial is larger than backoff_max")
        return self


class Timeouts(Section):
    """Limits of one attempt; see the README's table."""

    connect: Seconds = 10.0
    first_byte: Seconds = 300.0
    answer: Seconds = 900.0
    idle: Seconds = 120.0
    progress: Seconds = 600.0
    total: Seconds = 0.0


class Heartbeat(Section):
    """Keep-alives toward the client of a silent stream."""

    after: Seconds = 15.0
    interval: Seconds = 15.0


class Rules(Section):
    """Which rules are off."""

    disable: tuple[Annotated[str, AfterValidator(_a_code)], ...] = ()
    """Codes, or prefixes of codes."""


class ModelRoute(Section):
    """`[[models]]`: what is done with a requested model. The first entry that matches counts."""

    match: Annotated[str, AfterValidator(_a_glob)]
    """A glob on the requested model, upper and lower case alike."""
    model: str | None = None
    """The model to ask for instead."""
    provider: str | None = None
    """The name of a `[providers]` entry to send it to."""
    fallback: tuple[str, ...] = ()
    """Models to ask when that one fails for good; `PROVIDER/MODEL` asks another provider."""
    stream: Literal["live", "guarded", "buffered"] = "live"


class Provider(Section):
    """`[providers.NAME]`."""

    base_url: Annotated[str, AfterValidator(_a_base_url)]
    api_key: SecretStr = SecretStr("")
    headers: dict[str, SecretStr] = {}
    """Headers that replace the client's."""

    @property
    def host(self) -> str:
        """The host name in its address."""
        return urlsplit(self.base_url).hostname or ""


class FireAndForget(Section):
    """Paths that are answered 204 at once."""

    paths: tuple[Annotated[str, AfterValidator(_a_path)], ...] = (
        "/session/*/prompt_async",
        "/*/prompt_async",
    )
    ack_after: Seconds = 5.0
    """How long to wait for upstream's own status before answering."""


class Shutdown(Section):
    """How the proxy stops."""

    grace: Seconds = 30.0
    """How long running streams may take to finish after SIGTERM."""


class Config(Section):
    """The whole file."""

    intercept: Intercept = Intercept()
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    heartbeat: Heartbeat = Heartbeat()
    rules: Rules = Rules()
    models: tuple[ModelRoute, ...] = ()
    providers: dict[str, Provider] = {}
    fire_and_forget: FireAndForget = FireAndForget()
    shutdown: Shutdown = Shutdown()

    @model_validator(mode="after")
    def _providers_exist(self) -> "Config":
        for number, route in enumerate(self.models):
            if route.provider is not None and route.provider not in self.providers:
                known = ", ".join(sorted(self.providers)) or "none is configured"
                raise ValueError(
                    f"models[{number}].provider: no [providers.{route.provider}]; known: {known}"
                )
        return self

    def disabled_codes(self, codes: Iterable[str]) -> frozenset[str]:
        """Those of the given rule codes that are switched off, prefixes expanded."""
        return frozenset(code for code in codes if code.startswith(self.rules.disable))
