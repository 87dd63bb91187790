"""The keys of `[providers.NAME]`: addresses, credentials and what a provider accepts."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from wiremend.config.attempt_limits import RetryChanges, TimeoutChanges
from wiremend.config.field_changes import FieldsToDrop, FieldsToRename, FieldsToSet
from wiremend.config.presets import problem_of_preset
from wiremend.config.section import Section
from wiremend.config.values import (
    BaseUrl,
    CallFormatName,
    DialectName,
    InWords,
    Key,
    Name,
    Problem,
    ProtocolChoice,
    RuleCode,
    header_problems,
    refuse,
    refuse_codes_on_no_call,
    refuse_unknown_codes,
)
from wiremend.protocols.registry import PROTOCOLS

MOST_KEYS = 20
"""How many keys a provider may have: every text that is shown is searched for each of them."""
KEY_HEADERS = frozenset(protocol.key_header.name.lower() for protocol in PROTOCOLS.values())


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

    preset: Annotated[Name | None, InWords("name of a preset"), Field(examples=["opencode-go"])] = (
        None
    )
    """What fills in `base_url` and `protocol`, and, if the address is not changed and no other
    credential is set, `api_key` with the variable of the [table of presets](#presets). What is
    written beside it counts. With another `base_url`, the provider is still known as that of the
    preset, so that its requests are adapted in the same way."""
    base_url: Annotated[BaseUrl, Field(examples=["https://opencode.ai/zen/go"])]
    """`http` or `https` address that precedes the path of the request; `preset` fills it in. If it
    ends in a version (`/v1`, `/api/paas/v4`), that version replaces the request's. It contains no
    endpoint (`/messages`), user, password, query or fragment."""
    api_key: Annotated[Key, Field(examples=["${OPENCODE_API_KEY}"])] = SecretStr("")
    """The key, sent in the header that the protocol uses. `${NAME}` is replaced by the
    environment variable NAME. Without a key, only `headers` can contain a credential."""
    api_keys: Annotated[
        tuple[Key, ...],
        InWords("list of strings, may contain `${NAME}`"),
        Field(examples=[["${OPENCODE_API_KEY}", "${SECOND_API_KEY}"]]),
    ] = ()
    """Several keys, instead of `api_key`; at most 20. All calls of a conversation use the same one,
    since providers cache prompts by key. If a key is rejected (401 or 402), the call is sent again
    at once with the next one; if that is accepted, the rejected key is not used until the
    configuration is read again. Findings name a key by its position."""
    api_key_file: Annotated[
        Annotated[Name, InWords("file path")] | None,
        Field(examples=["~/.config/opencode.key"]),
    ] = None
    """A file to use instead of `api_key`. It contains the key and nothing else, and only its owner
    may have access to it (`chmod 600`). A relative path starts at the directory of the
    configuration file, `~` is the home directory. In the file of the working directory it must not
    lead through a symbolic link of that directory."""
    protocol: Annotated[ProtocolChoice | None, Field(examples=["chat"])] = None
    """The protocol in which the provider is asked: `"anthropic"` (Messages), `"chat"` (Chat
    Completions), `"responses"` or `"gemini"` (the names in output, `"anthropic-messages"` and
    `"chat-completions"`, are accepted too); or a table of protocols by a glob on the model, of
    which the first that matches is used: `{ "minimax-*" = "anthropic", "*" = "chat" }`. A call in
    another protocol is translated, and so is its answer. What cannot be translated is a finding
    (the [rules X1 and X2](RULES.md)), and where the meaning of the call would change, the next
    fallback is tried, or the client gets an error that names it. Without `protocol`, that of the
    call is used."""
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
    timeouts: Annotated[TimeoutChanges | None, InWords("table, see below")] = None
    """Other time limits for calls to this provider."""
    retry: Annotated[RetryChanges | None, InWords("table, see below")] = None
    """Other limits of retries for calls to this provider."""
    disable: Annotated[tuple[RuleCode, ...], Field(examples=[["S116"]])] = ()
    """The rules to disable for calls to this provider, in addition to those of `[rules]`: codes or
    prefixes, as there. The rules M on routes cannot be disabled here."""
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

    @field_validator("preset")
    @classmethod
    def _is_known(cls, preset: str | None) -> str | None:
        if preset is not None and (problem := problem_of_preset(preset)):
            raise ValueError(problem)
        return preset

    @field_validator("api_keys")
    @classmethod
    def _are_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        texts = [key.get_secret_value() for key in keys]
        if len(texts) > MOST_KEYS:
            raise ValueError(f"expected at most {MOST_KEYS} keys, got {len(texts)}")
        refuse(
            *(
                ((number,), "is empty" if not text else "is listed twice")
                for number, text in enumerate(texts)
                if not text or text in texts[:number]
            )
        )
        return keys

    @model_validator(mode="after")
    def _keys_are_used(self) -> "Provider":
        has_key = bool(self.api_key.get_secret_value())
        refuse(*contradictory_keys(self.headers, has_key=has_key, has_keys=bool(self.api_keys)))
        return self

    @field_validator("disable")
    @classmethod
    def _are_known(cls, codes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        refuse_codes_on_no_call(codes, (info.context or {}).get("known_codes"))
        return codes

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


def contradictory_keys(
    headers: Iterable[str], *, has_key: bool, has_keys: bool
) -> Iterator[Problem]:
    """Yield a problem for each key besides `api_keys` that would be sent instead."""
    if has_keys and has_key:
        yield ("api_keys",), "cannot be set together with api_key; remove one of them"
    for name in headers:
        if has_keys and name.lower() in KEY_HEADERS:
            yield ("headers", name), "replaces the keys in api_keys; remove one"
