"""Every key of wiremend.toml, with its type, its default and its documentation.

The docstrings of sections and keys are user documentation: `config.page` renders them as
addons/CONFIGURATION.md. `Field(examples=...)` is shown there too. The types of the values are in
`config.values`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)

from wiremend.adapt.learnable_traits import LEARNABLE_TRAITS, trait_problem
from wiremend.adapt.lessons import LessonKind
from wiremend.adapt.schema_dialects import DIALECTS
from wiremend.config.field_changes import FieldsToDrop, FieldsToRename, FieldsToSet
from wiremend.config.values import (
    BaseUrl,
    CallFormatName,
    Count,
    DialectName,
    HostGlob,
    InWords,
    Key,
    ModelGlob,
    ModelName,
    Name,
    PathGlob,
    Pause,
    ProviderName,
    RuleCode,
    RuleCodesByFile,
    RuleCodesByHost,
    Seconds,
    did_you_mean,
    header_problems,
    refuse,
    refuse_unknown_codes,
    refuse_unknown_codes_in,
)
from wiremend.routing.access import normalized_origin
from wiremend.routing.shape import CallShape
from wiremend.targets.registry import NAMES_BY_DIALECT


class Section(BaseModel):
    """A table of the configuration. It is immutable and refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )


class Intercept(Section):
    """Which traffic is intercepted.

    The proxy decrypts the TLS of well-known model providers, of the hosts of `[providers.NAME]`
    and of the hosts listed here. All other connections are tunnelled without being decrypted.
    """

    hosts: Annotated[tuple[HostGlob, ...], Field(examples=[["*.llm.example.com"]])] = ()
    """Additional hosts to intercept, without scheme, port or path. `*` also matches dots."""
    websocket: Literal["refuse", "pass"] = "refuse"
    """How to answer a WebSocket upgrade on a model path: `"refuse"` returns 426, so that clients
    such as Codex fall back to HTTP at once; `"pass"` forwards it, and its traffic is not
    repaired."""


class Retry(Section):
    """Retries of failed attempts.

    A failed attempt is made again while the client has received nothing that would have to be
    taken back: after connect failures, resets, early ends, timeouts, retryable statuses and errors
    inside a 200. The backoff is exponential with full jitter. A retry budget for each provider
    (`budget`) and a circuit breaker (`[breaker]`) limit the retries further.
    """

    attempts: Annotated[int, Field(strict=True, ge=1, le=20)] = 4
    """Attempts at each target of a call (the first model and each `fallback`), the first one
    included. 1 means no retries."""
    backoff_initial: Seconds = 0.5
    """Upper bound of the wait before the first retry. It doubles with each further retry. It must
    not exceed `backoff_max`."""
    backoff_max: Seconds = 8.0
    """Highest upper bound of the wait before a retry."""
    max_elapsed: Seconds = 120.0
    """No retry starts later than this after the start of the call."""
    budget: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 30
    """Retries that each provider gets within a minute, over all calls and models; every five
    calls add one. Once they are used up, failed attempts are not repeated. 0 means that only the
    other keys limit retries."""
    retry_after_max: Seconds = 60.0
    """The longest wait requested by the provider (`Retry-After` and similar headers) that is
    observed. If it requests a longer one, the attempt is not repeated: the next `fallback` is
    tried, or the client receives the error."""
    silent_stop: Annotated[bool, Field(strict=True)] = False
    """Whether to ask once more if tools were offered and the response is complete, but contains no
    text, refusal, call, audio or block of a server's tool. Only while the client has received
    nothing, and not if the request ends in a tool's result, where such a stop may be meant. The
    second response is forwarded as it is. The events of a stream before its first text, call or
    reasoning are held back until one of these arrives."""

    @model_validator(mode="after")
    def _initial_is_within_max(self) -> "Retry":
        if self.backoff_initial > self.backoff_max:
            if "backoff_initial" in self.model_fields_set:
                key, bound = "backoff_initial", f"backoff_max ({self.backoff_max:g}) or less"
            else:
                key, bound = "backoff_max", f"backoff_initial ({self.backoff_initial:g}) or more"
            refuse(((key,), f"expected {bound}, got {getattr(self, key):g}"))
        return self


class Breaker(Section):
    """The circuit breaker, which stops calls to a provider that fails.

    There is one for each provider and model. A `[providers.NAME]` entry is a provider of its own,
    whatever host it shares; otherwise the host and port that calls are sent to are the provider.
    While a breaker is open, calls are answered with 503 at once, or go to the next `fallback`.
    After a pause one call is let through; if it succeeds, so are all others.

    Only failures of the provider count: lost connections, timeouts, server errors and broken
    streams, after all attempts. Clients that leave or read slowly, refused keys, rate limits and
    other errors below 500 do not count.
    """

    failures: Annotated[int, Field(strict=True, ge=0, le=1000)] = 5
    """How many calls in a row must fail to open the breaker. 0 switches all breakers off."""
    pause: Pause = 5.0
    """How long the breaker stays open the first time. It doubles each time the breaker opens again
    before a call has succeeded. It must not exceed `pause_max`."""
    pause_max: Pause = 10.0
    """The longest pause. A call that was let through and has no result for so long no longer
    keeps others out."""

    @model_validator(mode="after")
    def _pause_is_within_max(self) -> "Breaker":
        if self.pause > self.pause_max:
            if "pause" in self.model_fields_set:
                key, bound = "pause", f"pause_max ({self.pause_max:g}) or less"
            else:
                key, bound = "pause_max", f"pause ({self.pause:g}) or more"
            refuse(((key,), f"expected {bound}, got {getattr(self, key):g}"))
        return self


class Timeouts(Section):
    """Time limits. 0 means no limit.

    `total` applies to the whole call with its retries, every other limit to one attempt. An
    attempt that exceeds a limit has failed and may be made again (see `[retry]`).
    """

    connect: Seconds = 10.0
    """From the start of an attempt to an established connection, TLS handshake included."""
    first_byte: Seconds = 300.0
    """Streaming calls: from the request sent to the head of the response."""
    answer: Seconds = 900.0
    """Other calls: from the request sent to the end of the response. Providers send nothing until
    such a response is complete."""
    idle: Seconds = 120.0
    """Between any two bytes of a response body."""
    progress: Seconds = 600.0
    """Between two events with content in a stream. Pings, comments and blank lines do not
    count."""
    total: Seconds = 0.0
    """The whole call. This is the only limit that also ends a healthy stream."""


class Heartbeat(Section):
    """Keep-alives for streaming clients that receive nothing else."""

    after: Seconds = 15.0
    """Silence toward the client before the first keep-alive. 0 means that none is sent."""
    interval: Seconds = 15.0
    """Silence before each further keep-alive. 0 means the value of `after`."""


class Rules(Section):
    """Disabling rules.

    Everything that wiremend detects, repairs or reports has a code, such as `S105`.
    [RULES.md](RULES.md) lists all of them. A disabled rule neither changes anything nor reports a
    finding. A code that matches no rule is an error.
    """

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


class When(Section):
    """Conditions on a call's request. All conditions that are set must hold."""

    streaming: Annotated[StrictBool | None, Field(examples=[True])] = None
    """Whether the call streams."""
    tools_min: Annotated[Count | None, Field(examples=[1])] = None
    """The smallest number of tools that the request offers."""
    input_tokens_over: Annotated[
        Annotated[int, Field(strict=True, ge=0), InWords("whole number of tokens")] | None,
        Field(examples=[60000]),
    ] = None
    """The input has more tokens than this. The number is estimated: bytes of text divided by
    4, plus 1500 for each image."""
    has_images: Annotated[StrictBool | None, Field(examples=[False])] = None
    """Whether there is an image anywhere in the conversation."""
    thinking: Annotated[StrictBool | None, Field(examples=[False])] = None
    """Whether the request asks for thinking (reasoning)."""

    def accepts(self, shape: CallShape) -> bool:
        """Return whether a call of this shape fulfils all conditions."""
        return (
            self.streaming in (None, shape.streaming)
            and (self.tools_min is None or shape.tools >= self.tools_min)
            and (self.input_tokens_over is None or shape.input_tokens > self.input_tokens_over)
            and self.has_images in (None, shape.has_images)
            and self.thinking in (None, shape.thinking)
        )


class ModelRoute(Section):
    """Routes: which model and provider a call is sent to.

    The first entry whose `match` and `when` fit is applied, and no other. So long-context,
    thinking, image or background calls can go to different models. Responses still contain the
    model name that the client requested.

    A `match` without wildcards is added to the lists of models that clients request
    (`GET /v1/models`). Token counts are requested from the provider that the call would be sent
    to, and estimated if it cannot count.
    """

    match: Annotated[ModelGlob, Field(examples=["claude-haiku-*"])]
    """The requested models that the entry is for, ignoring case. `*`, `?` and `[...]` are
    wildcards; a literal name that contains brackets matches itself."""
    when: Annotated[When | None, InWords("table, see below")] = None
    """Conditions on the call. Without it the entry is for any call."""
    model: Annotated[ModelName | None, Field(examples=["minimax-m3"])] = None
    """The model to request instead. Without it the requested one is kept."""
    provider: Annotated[ProviderName | None, Field(examples=["opencode-go"])] = None
    """The `[providers.NAME]` entry to send the call to, with its key. It must speak the protocol
    of the call. The client's credentials are removed. Without it the call goes to the provider
    that the client addressed, with the client's credentials."""
    fallback: Annotated[tuple[ModelName, ...], Field(examples=[["qwen3.7-plus", "kimi-k3"]])] = ()
    """Models to try in order when the one before has failed for good: attempts used up, circuit
    breaker open, unknown model, or quota used up. `"PROVIDER/MODEL"` tries a model of another
    `[providers.NAME]` entry, for example `"moonshot/kimi-k3"`. If no entry has that name, and
    `model` contains no slash, the configuration is refused."""
    stream: Literal["live", "guarded", "buffered"] = "live"
    """When the client receives content: `"live"` forwards it at once; `"guarded"` holds it until
    4 KiB or 3 seconds of it have arrived, so that a stream that fails early can be retried
    invisibly; `"buffered"` holds it until the response is complete."""
    set: FieldsToSet = {}
    """Fields to set in the body of the request, in the words of the target, for what no rule
    knows. A path has dots between its steps, `*` stands for every item of a list or member of an
    object, a number for an item. Missing objects are created, missing items are not. A table is
    merged into the object that is there; to replace that object, list it in `drop` too. `set`,
    `drop` and `rename` are applied after all repairs, to the request to every target of the entry,
    in this order: those of the provider, then those of the entry; each time `rename`, `drop`,
    `set`. They are also applied when a request is sent again as the client wrote it."""
    drop: FieldsToDrop = ()
    """Paths of fields to remove from the body of the request."""
    rename: FieldsToRename = {}
    """New paths of fields, by their paths. A field keeps its value. If both exist, the new one
    stays. With `*`, both paths must be the same up to the last `*`."""

    @model_validator(mode="after")
    def _fallbacks_differ(self) -> "ModelRoute":
        times = Counter(self.fallback)
        twice = [model for model in times if times[model] > 1]
        same = [model for model in times if model == self.model]
        refuse(
            *((("fallback",), f"{model!r} is listed twice") for model in twice),
            *((("fallback",), f"{model!r} is the same as `model`") for model in same),
        )
        return self


class Provider(Section):
    """Providers: the addresses and credentials that routes can use. NAME is your choice.

    Each target receives tools that it accepts: their schemas in its dialect of JSON Schema, under
    names that it allows; responses contain the client's own names again. What each known target
    requires, with the source of that knowledge, is in [wiremend/targets/](wiremend/targets/). A
    target that is not listed there gets the repairs of the dialect `plain`. No tool is ever
    removed. If there are too many (OpenAI accepts 128), the client receives the provider's error,
    extended by the number of tools of each MCP server; an error about `tools.78` is extended by
    the name of that tool.
    """

    base_url: Annotated[BaseUrl, Field(examples=["https://opencode.ai/zen/go"])]
    """`http` or `https` address that precedes the path of the request. If it ends in a version
    (`/v1`), that version replaces the request's. It contains no endpoint (`/messages`), user,
    password, query or fragment."""
    api_key: Annotated[Key, Field(examples=["${OPENCODE_API_KEY}"])] = SecretStr("")
    """The key, sent in the header that the call's protocol uses. `${NAME}` is replaced by the
    environment variable NAME. Without a key, only `headers` can contain a credential."""
    api_key_file: Annotated[
        Annotated[Name, InWords("file path")] | None,
        Field(examples=["~/.config/opencode.key"]),
    ] = None
    """A file to use instead of `api_key`. It contains the key and nothing else, and only its owner
    may have access to it (`chmod 600`). A relative path starts at the directory of the
    configuration file, `~` is the home directory. In the file of the working directory it must not
    lead through a symbolic link of that directory."""
    schema_dialect: Annotated[DialectName | None, Field(examples=["moonshot"])] = None
    """The dialect of JSON Schema for tools. `"plain"` requires an object with properties at the
    root and leaves the rest alone; `"basic"` is what every provider accepts. Without it, what is
    known of the host and model is used."""
    headers: Annotated[
        Mapping[str, SecretStr],
        InWords("table of strings"),
        Field(examples=[{"user-agent": "opencode/1.0"}]),
    ] = {}
    """Headers that replace the client's. In headers that can carry a credential, such as
    `authorization`, `${NAME}` is replaced by the environment variable NAME. Headers that frame the
    message (`host`, `content-length`, ...) cannot be set."""
    message_rules: Annotated[tuple[RuleCode, ...] | None, Field(examples=[["Q1"]])] = None
    """The Q rules (on messages and parameters) that are enabled for this provider. `[]` disables
    all of them. Without it, those that the target is known to need are enabled."""
    max_output_tokens: Annotated[
        Annotated[int, Field(strict=True, ge=1), InWords("whole number of tokens")] | None,
        Field(examples=[32768]),
    ] = None
    """The largest output limit that the provider accepts. A call that requests more is lowered to
    it. Without it the limit is not changed."""
    on_unsupported: Literal["drop", "error"] = "drop"
    """What to do about a field that the provider refuses, if the call can do without it: `"drop"`
    removes it and sends the request again; `"error"` drops nothing, neither fields nor values of
    `anthropic-beta`, and the client receives the provider's error. Fields that the client relies
    on, such as the format of the output, `stop` or `previous_response_id`, are never dropped."""
    set: FieldsToSet = {}
    """As in `[[models]]`, for every call to this provider."""
    drop: FieldsToDrop = ()
    """As in `[[models]]`."""
    rename: FieldsToRename = {}
    """As in `[[models]]`."""
    leaked_calls: Annotated[
        tuple[CallFormatName, ...] | None,
        Field(examples=[["glm"]]),
    ] = None
    """The formats in which this provider's models write tool calls into the text of a response,
    because the provider does not parse them: `"dsml"` and `"deepseek"` are those of DeepSeek,
    `"kimi"`, `"glm"` and `"minimax"` those of these vendors, `"hermes"` is JSON in `<tool_call>`,
    `"qwen"` is `<function=NAME>`. Such text becomes a call if the request offers the tool and
    no message of the request contains the call; see [S007](RULES.md#s007-leaked-call). `[]`
    leaves all text as it is. Without it, what is known of the host and model is used."""

    @property
    def host(self) -> str:
        """The host name of `base_url`, in lower case."""
        return urlsplit(self.base_url).hostname or ""

    @field_validator("message_rules")
    @classmethod
    def _are_about_messages(
        cls, codes: tuple[str, ...] | None, info: ValidationInfo
    ) -> tuple[str, ...] | None:
        known = (info.context or {}).get("known_codes")
        about = None if known is None else [code for code in known if code.startswith("Q")]
        refuse_unknown_codes(codes or (), about, "rule on messages (Q...)")
        return codes

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        refuse(*header_problems(headers))
        return headers


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
    """Which web pages may use the configured keys.

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
        known = sorted(self.providers)
        refuse(
            *(
                (
                    ("models", number, "provider"),
                    f"there is no [providers.{route.provider}]"
                    f"{did_you_mean(route.provider, known)}",
                )
                for number, route in enumerate(self.models)
                if route.provider is not None and route.provider not in self.providers
            ),
            *(
                (("models", number, "fallback", index), problem)
                for number, route in enumerate(self.models)
                for index, name in enumerate(route.fallback)
                if (problem := self._fallback_problem(route, name))
            ),
        )
        return self

    def _fallback_problem(self, route: ModelRoute, name: str) -> str:
        """Return why a fallback cannot be meant as it is read; "" if it can.

        Gateways have models whose names contain a slash. So a prefix that is no provider is
        accepted if the name of the route's own model contains one.
        """
        prefix, slash, _ = name.partition("/")
        if not slash or prefix in self.providers or "/" in (route.model or route.match):
            return ""
        missing = f"there is no [providers.{prefix}]"
        if hint := did_you_mean(prefix, sorted(self.providers)):
            return missing + hint
        if route.provider not in self.providers:
            return ""  # the client's provider may have such names
        return (
            f"{missing}; if {name!r} is the name of a model of [providers.{route.provider}], "
            f"write '{route.provider}/{name}'"
        )

    def disabled_codes(self, codes: Iterable[str]) -> frozenset[str]:
        """Return those of the given rule codes that are disabled, by code or by prefix."""
        return frozenset(code for code in codes if code.startswith(self.rules.disable))


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
TABLES_WITHIN: Mapping[tuple[str, str], type[Section]] = {("models", "when"): When}
"""Tables nested in a section: the section's name and the key of the nested table."""

HEADINGS: Mapping[str, str] = {
    name: {"models": "[[models]]", "lessons": "[[lessons]]", "providers": "[providers.NAME]"}.get(
        name, f"[{name}]"
    )
    for name in SECTIONS
}
"""The heading of each section in the file."""
