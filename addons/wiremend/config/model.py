"""The keys of wiremend.toml: the whole file, and the sections that have no module of their own.

The docstrings of sections and keys are user documentation: `config.page` renders them as
addons/CONFIGURATION.md. `Field(examples=...)` is shown there too. The keys of routes are in
`config.routes`, those of providers in `config.providers`, those on attempts in
`config.attempt_limits`, and the types of the values in `config.values`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from wiremend.adapt.learnable_traits import LEARNABLE_TRAITS, trait_problem
from wiremend.adapt.lessons import LessonKind
from wiremend.adapt.schema_dialects import DIALECTS
from wiremend.config.attempt_limits import (
    Breaker,
    Heartbeat,
    Retry,
    RetryChanges,
    TimeoutChanges,
    Timeouts,
)
from wiremend.config.providers import Provider, contradictory_keys
from wiremend.config.routes import ModelRoute, When, repeated_fallbacks
from wiremend.config.section import Section
from wiremend.config.values import (
    InterceptedGlob,
    InWords,
    Name,
    PathGlob,
    Problem,
    RuleCode,
    RuleCodesByFile,
    RuleCodesByHost,
    Seconds,
    did_you_mean,
    refuse,
    refuse_unknown_codes,
    refuse_unknown_codes_in,
    selected_codes,
)
from wiremend.routing.access import normalized_origin
from wiremend.targets.registry import NAMES_BY_DIALECT


class Intercept(Section):
    """Which traffic is intercepted.

    The proxy decrypts the TLS of well-known model providers, of the hosts of `[providers.NAME]`
    and of the hosts listed here. All other connections are tunnelled without being decrypted.
    """

    hosts: Annotated[tuple[InterceptedGlob, ...], Field(examples=[["*.llm.example.com"]])] = ()
    """Additional hosts to intercept, without scheme, port or path: names, addresses, and whole
    domains such as `"*.example.com"`. `*` also matches dots. It cannot stand inside a name, nor
    before a public suffix such as `com`, because the CA of `scripts/run` is limited to these hosts.
    `"*"` alone intercepts everything, and that CA can then sign for every host."""
    websocket: Literal["refuse", "pass"] = "refuse"
    """How to answer a WebSocket upgrade on a model path: `"refuse"` returns 426, so that clients
    such as Codex fall back to HTTP at once; `"pass"` forwards it, and its traffic is not
    repaired."""


class Rules(Section):
    """What rules do, and disabling them.

    Everything that wiremend detects, repairs or reports has a code, such as `S105`.
    [RULES.md](RULES.md) lists all of them. A disabled rule neither changes anything nor reports a
    finding. A code that matches no rule is an error. `disable` in `[[models]]` and
    `[providers.NAME]` disables rules for some calls only.
    """

    mode: Literal["repair", "report"] = "repair"
    """`"report"` changes nothing: what clients and providers send passes byte for byte and at
    once, without retries, keep-alives and timeouts, and WebSockets pass as well. What the rules
    find is logged and recorded as ever, marked as not changed. Routes and keys are configuration
    and no rules, so they still apply: a call goes to the first target of its `[[models]]` entry,
    with the fields that are set there and that provider's key; `fallback` and `stream` have no
    effect, and the response contains the target's own model name. Only a call that a route
    translates is treated as with `"repair"`, since it cannot pass unchanged. After a change of
    this key, running calls end in the mode in which they began. The mitmproxy option
    `wiremend_off` also switches off routes, keys and findings."""
    disable: Annotated[tuple[RuleCode, ...], Field(examples=[["S116", "T"]])] = ()
    """The rules to disable: complete codes, or prefixes that select all codes that begin with
    them. `"S116"` is one rule, `"S1"` are the stream rules of one protocol, `"T"` are all rules
    on tools."""

    @field_validator("disable")
    @classmethod
    def _are_known(cls, disable: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Check against the `known_codes` of the validation's context, if there are any."""
        refuse_unknown_codes(disable, (info.context or {}).get("known_codes"))
        return disable


class Learning(Section):
    """Learning from rejections: see `[[lessons]]`."""

    file: Annotated[str, InWords("file path")] = ""
    """A file in which lessons are kept over a restart, with the time and the provider's words.
    Several proxies may share it. It is created if it does not exist, readable by its owner only. A
    relative path starts at the directory of the configuration file, `~` is the home directory. An
    empty path means that lessons are kept until the proxy ends."""
    max_amendments: Annotated[int, Field(strict=True, ge=0, le=1000)] = 40
    """How often one request to one target is changed after rejections and sent again. Each change
    is a new one. 0 means that rejections teach nothing."""
    max_elapsed: Seconds = 120.0
    """No request is changed later than this after the start of its call. 0 means no limit."""


class LearntLesson(Section):
    """Lessons: what a provider is known to refuse.

    You do not have to write lessons. When a provider rejects a request and names a tool, a field, a
    value or a value of the `anthropic-beta` header, only that is changed and the request is sent
    again, as long as each rejection names something new (`[learning]` limits it). Once the request
    is accepted, or rejected for something else, the lesson is applied to that provider and model
    until the proxy ends, or longer with `[learning] file`. The mitmproxy command `wiremend.lessons`
    prints what was learnt in the form of these entries, and so does the log when the proxy ends:
    paste them into the configuration to keep them. If a changed request is refused for a reason
    that teaches nothing, it is sent with the client's tools unchanged, and then as the client
    wrote it. A conversation with signed thinking keeps the form with which it began.
    """

    provider: Annotated[
        Name,
        InWords("provider name or host"),
        Field(examples=["opencode-go"]),
    ]
    """The `[providers.NAME]` entry, or the host, that refuses it."""
    kind: Annotated[LessonKind, Field(examples=["schema-dialect"])]
    """What is changed: `"schema-dialect"` converts schemas to the dialect `value`, `"tool-names"`
    renames tools by the rules of the dialect `value`, `"unique-names"` makes tool names distinct,
    `"custom-type"` removes `"type": "custom"` from tools, `"beta"` removes `value` from the
    `anthropic-beta` header, `"field"` removes the field at the path `value`, `"trait"` switches on
    the repair `value` of messages and parameters, `"as-is"` sends tools unchanged."""
    model: Annotated[Name, InWords("glob of model names"), Field(examples=["kimi-*"])] = "*"
    """The models that refuse it, ignoring case."""
    value: Annotated[str, Field(examples=["moonshot"])] = ""
    """A dialect, a header value, the path of a field, in which `*` matches every item of a list, or
    a repair, such as `token-limit-name=max_tokens`. Required for the kinds whose description
    mentions it."""
    tool: Annotated[str, InWords("tool name"), Field(examples=["mcp__notion__create"])] = ""
    """The tool, by the client's name for it. Without it every tool."""

    @model_validator(mode="after")
    def _value_fits_kind(self) -> "LearntLesson":
        known: Mapping[str, Iterable[str]] = {
            "schema-dialect": DIALECTS,
            "tool-names": NAMES_BY_DIALECT,
        }
        names = known.get(self.kind)
        if names is not None and self.value not in names:
            hint = did_you_mean(self.value, names)
            refuse((("value",), f"expected one of {', '.join(names)}, got {self.value!r}{hint}"))
        if self.kind == "trait" and (problem := trait_problem(self.value)):
            name = self.value.partition("=")[0]
            hint = "" if name in LEARNABLE_TRAITS else did_you_mean(name, LEARNABLE_TRAITS)
            refuse((("value",), problem + hint))
        if self.kind in ("beta", "field") and not self.value:
            refuse((("value",), f"is required for the kind {self.kind!r}"))
        return self


class Access(Section):
    """Who may use the proxy, and which web pages may use the configured keys.

    `scripts/run -- COMMAND` makes a random password for COMMAND, which contains it in HTTPS_PROXY.
    The proxy answers 407 to everyone else. A request to a provider whose `Host` header names
    another host is answered with 400.

    The proxy listens on 127.0.0.1, or on the address given by `--listen-host`. Web pages can send
    requests to that port too. Except in reverse mode, the proxy refuses requests that are
    addressed to itself instead of being sent through it. A call that would use a configured key
    and has the header `Origin`, `Sec-Fetch-Site` or `Sec-Fetch-Dest`, which browsers send, is
    answered with 403 unless its origin is listed here.
    """

    origins: Annotated[
        tuple[Annotated[str, AfterValidator(normalized_origin), InWords("origin")], ...],
        Field(examples=[["https://app.example"]]),
    ] = ()
    """Exact origins of web pages whose calls may be sent with a configured key. There are no
    wildcards: `"*"` would let every page that the user opens spend the keys. `"null"` is refused
    as well, since any page can send it from a sandboxed frame."""
    require_password: Annotated[bool, Field(strict=True)] = False
    """Whether a proxy that was not started for a COMMAND demands a password, too. It is in the file
    `~/.local/state/wiremend/proxy-password`, which only you can read, and is made once.
    `scripts/run --env` prints the variables of a running proxy with its password. Clients can send
    one in regular and upstream mode; the proxy does not start in another mode."""


class FireAndForget(Section):
    """Paths whose responses clients do not use.

    Some servers answer such a POST with a 204 that never ends. The client receives a complete 204
    instead, and the call is completed in the background.
    """

    paths: tuple[PathGlob, ...] = ("/session/*/prompt_async", "/*/prompt_async")
    """The paths of such requests, without query. `*` matches within one path segment."""
    ack_after: Seconds = 5.0
    """How long to wait for the provider's own status before the client receives 204. 0 answers at
    once."""


class Memory(Section):
    """How much memory calls may use."""

    held: Annotated[
        int,
        Field(strict=True, ge=0, le=1_048_576),
        InWords("whole number of MiB"),
    ] = 256
    """MiB that all calls together may hold: requests that are kept for retries, in each form in
    which they are needed, responses that are held back or repaired, and copies for mitmweb. Beyond
    it, a response is passed on unrepaired, and a new call whose request cannot be kept is answered
    with 503. 0 means no limit."""


class Shutdown(Section):
    """How the proxy stops."""

    grace: Seconds = 30.0
    """How long running calls may take to finish after SIGTERM; new calls receive 503. A second
    SIGTERM stops the proxy at once. 0 means that running calls are not awaited."""


class Check(Section):
    """Which findings `scripts/check` reports.

    The proxy does not use this section, and `scripts/check` reads no variables and key files, so
    the file needs no consent for it. Its option `--select` replaces all keys that select, and
    `--ignore` adds to `ignore`.
    """

    select: Annotated[tuple[RuleCode, ...], Field(examples=[["S", "E"]])] = ()
    """The rules to report, by codes or prefixes. Empty: all of them."""
    ignore: Annotated[tuple[RuleCode, ...], Field(examples=[["S301"]])] = ()
    """The rules not to report, even if they are selected."""
    select_in_files: Annotated[RuleCodesByFile, Field(examples=[{"*.har": ["S", "E"]}])] = {}
    """By file, the rules to report instead of `select`. A glob is compared with the name as it was
    given and with its last part."""
    ignore_in_files: Annotated[RuleCodesByFile, Field(examples=[{"tests/old/*": ["S212"]}])] = {}
    """By file, the rules not to report besides `ignore`."""
    select_from_hosts: Annotated[RuleCodesByHost, Field(examples=[{"*.example.com": ["S"]}])] = {}
    """By host, the rules to report instead of `select`."""
    ignore_from_hosts: Annotated[RuleCodesByHost, Field(examples=[{"*.mistral.ai": ["S201"]}])] = {}
    """By host, the rules not to report besides `ignore`."""

    @field_validator("select", "ignore")
    @classmethod
    def _are_known(cls, codes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        refuse_unknown_codes(codes, (info.context or {}).get("known_codes"))
        return codes

    @field_validator("select_in_files", "ignore_in_files", "select_from_hosts", "ignore_from_hosts")
    @classmethod
    def _tables_are_known(
        cls, table: Mapping[str, tuple[str, ...]], info: ValidationInfo
    ) -> Mapping[str, tuple[str, ...]]:
        refuse_unknown_codes_in(table, (info.context or {}).get("known_codes"))
        return table


class Config(Section):
    """The whole file."""

    intercept: Intercept = Intercept()
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    timeouts: Timeouts = Timeouts()
    heartbeat: Heartbeat = Heartbeat()
    rules: Rules = Rules()
    models: tuple[ModelRoute, ...] = ()
    lessons: tuple[LearntLesson, ...] = ()
    learning: Learning = Learning()
    providers: Mapping[str, Provider] = {}
    access: Access = Access()
    fire_and_forget: FireAndForget = FireAndForget()
    memory: Memory = Memory()
    shutdown: Shutdown = Shutdown()
    check: Check = Check()

    @model_validator(mode="after")
    def _providers_exist(self) -> "Config":
        routes = [route.model_dump(include={*_NAMES}) for route in self.models]
        refuse(*_missing_providers(routes, self.providers))
        return self

    def disabled_codes(self, codes: Iterable[str]) -> frozenset[str]:
        """Return those of the given rule codes that are disabled, by code or by prefix."""
        return selected_codes(codes, self.rules.disable)


_NAMES = ("match", "model", "provider", "fallback")
"""The keys of a route that name models and providers."""


def problems_across(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of a file that concern several keys.

    pydantic reports them only if all single values are valid. Values that are not are left out.
    """
    providers, routes = values.get("providers"), values.get("models")
    known = providers if isinstance(providers, dict) else {}
    for name, provider in known.items():
        if isinstance(provider, dict):
            headers = provider.get("headers")
            has_key, has_keys = bool(provider.get("api_key")), bool(provider.get("api_keys"))
            names = headers if isinstance(headers, dict) else ()
            for place, text in contradictory_keys(names, has_key=has_key, has_keys=has_keys):
                yield ("providers", name, *place), text
    named = [_names_in(route) for route in routes] if isinstance(routes, list) else []
    for number, route in enumerate(named):
        for place, text in repeated_fallbacks(route["model"], route["fallback"]):
            yield ("models", number, *place), text
    yield from _missing_providers(named, known)


def _names_in(route: Any) -> dict[str, Any]:
    """Return the names in a route, and None or () for each that is missing or invalid."""
    values = route if isinstance(route, dict) else {}
    names = {key: value for key in _NAMES if isinstance(value := values.get(key), str)}
    fallback = values.get("fallback")
    is_list = isinstance(fallback, list) and all(isinstance(name, str) for name in fallback)
    return {**dict.fromkeys(_NAMES), **names, "fallback": fallback if is_list else ()}


def _missing_providers(
    routes: Iterable[Mapping[str, Any]], providers: Mapping[str, Any]
) -> Iterator[Problem]:
    known = sorted(providers)
    for number, route in enumerate(routes):
        name = route["provider"]
        if name is not None and name not in providers:
            hint = did_you_mean(name, known)
            yield ("models", number, "provider"), f"there is no [providers.{name}]{hint}"
        for index, fallback in enumerate(route["fallback"]):
            if problem := _fallback_problem(route, fallback, known):
                yield ("models", number, "fallback", index), problem


def _fallback_problem(route: Mapping[str, Any], name: str, providers: Sequence[str]) -> str:
    """Return why a fallback cannot be meant as it is read; "" if it can.

    Gateways have models whose names contain a slash. So a prefix that is no provider is accepted if
    the name of the route's own model contains one.
    """
    prefix, slash, _ = name.partition("/")
    if not slash or prefix in providers or "/" in (route["model"] or route["match"] or ""):
        return ""
    missing = f"there is no [providers.{prefix}]"
    if hint := did_you_mean(prefix, providers):
        return missing + hint
    if route["provider"] not in providers:
        return ""  # the client's provider may have such names
    return (
        f"{missing}; if {name!r} is the name of a model of [providers.{route['provider']}], "
        f"write '{route['provider']}/{name}'"
    )


SECTIONS: Mapping[str, type[Section]] = {
    "intercept": Intercept,
    "retry": Retry,
    "breaker": Breaker,
    "timeouts": Timeouts,
    "heartbeat": Heartbeat,
    "rules": Rules,
    "models": ModelRoute,
    "lessons": LearntLesson,
    "learning": Learning,
    "providers": Provider,
    "access": Access,
    "fire_and_forget": FireAndForget,
    "memory": Memory,
    "shutdown": Shutdown,
    "check": Check,
}
"""The table of each top-level key, or of each of its entries."""
TABLES_WITHIN: Mapping[tuple[str, str], type[Section]] = {
    ("models", "when"): When,
    ("models", "timeouts"): TimeoutChanges,
    ("models", "retry"): RetryChanges,
    ("providers", "timeouts"): TimeoutChanges,
    ("providers", "retry"): RetryChanges,
}
"""Tables nested in a section: the section's name and the key of the nested table."""

HEADINGS: Mapping[str, str] = {
    name: {"models": "[[models]]", "lessons": "[[lessons]]", "providers": "[providers.NAME]"}.get(
        name, f"[{name}]"
    )
    for name in SECTIONS
}
"""The heading of each section in the file."""
