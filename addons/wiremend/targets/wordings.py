"""The wording of rejections: which error text teaches which lesson about a target.

Each vendor's file contains its wordings; `GENERAL` contains those of servers that many providers
use. `wiremend.adapt.rejections` matches error messages against them.
`tests/adapt/test_rejections.py` contains messages of providers verbatim.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wiremend.protocols.base.names import WireProtocol
from wiremend.text.patterns import TextPattern, text_pattern

TaughtKind = Literal[
    "schema-dialect", "tool-names", "unique-names", "custom-type", "trait", "beta", "field"
]
"""The kinds of lesson that a rejection can teach; `wiremend.adapt.lessons` documents them."""

POINTER = (
    r"tools(?:\.(?P<index>\d{1,9}+)|\[(?P<index2>\d{1,9}+)\])"
    r"(?:\.function_?[dD]eclarations\[(?P<declaration>\d{1,9}+)\])?"
)
"""The place of a tool in the request: `tools.3`, `tools[0].function_declarations[3]`."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A text that a rejection contains, and the lesson that it teaches."""

    kind: TaughtKind
    value: str
    """The dialect, the value of the header, or the trait, as `NAME` or `NAME=ARGUMENT`; empty if
    the pattern captures it, or if lessons of this kind have no value."""
    pattern: TextPattern[str]
    """Its groups capture the tool (`tool`, `index`, `index2`, `declaration`; without them, every
    tool is meant), the field (`value`), several values of a header (`values`), or the argument of
    the trait `value` (`argument`)."""


def wording(kind: TaughtKind, value: str, pattern: str) -> Wording:
    """Return a wording whose pattern ignores case, and in which `.` also matches line ends."""
    return Wording(kind, value, text_pattern(pattern, ignore_case=True, dot_all=True))


_EFFORTS = r"(?:none|minimal|low|medium|high|xhigh|max)"
_EFFORT_LIST = r"(?P<argument>(?:\W{1,6}(?:(?:and|or)\W{1,3})?" + _EFFORTS + r"\b[\"'`]?){1,9})"
_NUMBER = r"(?P<argument>\d{1,9}+)"

_MESSAGE_ROWS: tuple[tuple[str, str], ...] = (
    # Tool calls and their results
    ("call-without-result", r"tool_use\W{1,3}ids were found without"),
    ("call-without-result", r"must be followed by tool messages"),
    ("call-without-result", r"insufficient tool messages following"),
    ("call-without-result", r"No tool output found for \w{1,12} call"),
    ("call-without-result", r"number of function response parts is equal"),
    ("result-without-call", r"unexpected \W?tool_use_id"),
    ("result-without-call", r"No tool call found for \w{1,12} call output"),
    ("result-without-call", r"tool result's tool id\W.{0,120}?not found"),
    ("result-without-call", r"must be a response to a prece{1,2}ding message with 'tool_calls'"),
    ("results-not-first", r"tool_result\W{1,3}blocks immediately after"),
    ("call-id", r"(?:call_id|tool_calls\[\d{1,6}+\]\.id)': string too long"),
    ("call-id", r"tool_(?:use|result)\.(?:tool_use_)?id: String should"),
    ("short-call-id", r"must be a-z, A-Z, 0-9, with a length of 9"),
    ("repeated-call-id", r"\bids must be unique"),
    ("repeated-call-id", r"duplicate (?:function_call|custom_tool_call|tool.?call)"),
    ("repeated-call-id", r"duplicate item found with id"),
    ("repeated-call-id", r"duplicate value for '?tool_call_id"),
    ("repeated-call-id", r"reuses id\W.{0,80}?already seen"),
    ("invalid-arguments", r"invalid function arguments json"),
    ("invalid-arguments", r"arguments\W.{0,40}?must be (?:a )?valid JSON"),
    ("invalid-arguments", r"tool_use\.input: (?:Input should be a valid dict|Field required)"),
    ("invalid-arguments", r"have non-JSON arguments"),
    ("invalid-arguments", r"'str object' has no attribute 'items'"),
    ("invalid-arguments", r"function\.arguments\W.{0,80}?(?:valid|JSON|parse)"),
    # Text and roles
    ("empty-text", r"text content blocks must (?:be non-empty|contain non-whitespace)"),
    ("empty-text", r"required oneof field 'data' must have one initialized"),
    ("empty-system", r"\bsystem\b.{0,40}?text content blocks must"),
    ("empty-message", r"must have non-empty content|contents\.parts must not be empty"),
    ("trailing-space", r"cannot end with trailing whitespace"),
    ("lone-surrogate", r"(?:no low|invalid high|invalid low|lone|unpaired) surrogate"),
    ("lone-surrogate", r"lone (?:leading|trailing) surrogate|surrogates not allowed"),
    ("lone-surrogate", r"unexpected end of hex escape"),
    ("system-in-messages", r"unexpected role \W?system"),
    ("system-in-messages", r"invalid message role: system"),
    ("system-in-messages", r"\brole\b.{0,80}?Input should be 'user' or 'assistant'"),
    ("system-in-messages", r"expected one of \W?user\W{1,3}assistant\W{1,4}at\b.{0,60}?role"),
    ("developer-role", r"unknown variant `developer`"),
    ("developer-role", r"invalid role:? \W?developer"),
    ("developer-role", r"unexpected message role"),
    (
        "developer-role",
        r"\bdeveloper\b\W{1,3}(?:role )?is (?:not|un)\W?(?:one of|supported|a valid|allowed)",
    ),
    ("developer-role", r"\brole\b.{0,80}?Input should be 'system'"),
    (
        "developer-role",  # invalid value: `developer`, supported values are: `system`, …
        r"(?:invalid|unsupported|unknown|unexpected|unrecogni[sz]ed) (?:message )?(?:role|value):?"
        r"\W{1,4}developer\b",
    ),
    ("developer-role", r"\brole\b.{0,20}?does not support \W?developer\b"),
    ("instructions-role=user", r"\[\d{1,6}+\]\.role' does not support 'system'"),
    ("prefill", r"assistant message prefill"),
    ("prefill", r"conversation must end with a user"),
    ("prefill", r"expected last role user or tool"),
    ("prefill", r"last message.{0,60}?must not be from the assistant"),
    ("prefill", r"add_generation_prompt\W{1,3}to true when the last message is from the assistant"),
    ("prefill", r"multiturn request ends with a user role"),
    # Reasoning in the conversation
    ("foreign-thinking", r"invalid \W?signature\W{1,3}in \W?thinking\W{1,3}block"),
    ("unverified-reasoning", r"invalid \W?signature\W{1,3}in \W?thinking\W{1,3}block"),
    ("unverified-reasoning", r"blocks in the latest assistant message cannot be modified"),
    ("unverified-reasoning", r"differs from the one this block was created with"),
    ("unverified-reasoning", r"encrypted.content .{0,400}?could not be verified"),
    ("unverified-reasoning", r"invalid_encrypted_content"),
    ("unverified-reasoning", r"thought.?signature is not valid"),
    ("unverified-reasoning", r"(?:corrupted|invalid) thought.?signature"),
    ("thought-signature-missing", r"missing a thought_signature"),
    ("orphan-reasoning", r"without its required following item"),
    ("item-not-stored", r"items are not persisted when \W?store\W{1,3}is set to false"),
    ("foreign-item-id", r"expected an ID that (?:begins with|contains letters)"),
    ("foreign-item-id", r"'input\[\d{1,6}+\]\.id': string too long"),
    # Images
    (
        "images-unsupported",  # "image generation" is about what the model writes
        r"(?:does not|doesn't|not) support (?:image|vision|multimodal)(?!s?[ _-]?(?:generation"
        r"|editing|edits?\b|outputs?\b|creation|/|inputs? (?:of|in|with)\b))",
    ),
    ("images-unsupported", r"no endpoints found that support image"),
    ("images-unsupported", r"unknown variant `(?:image_url|image|input_image)`"),
    ("images-unsupported", r"is not a multimodal model"),
    ("images-unsupported", r"image_url is only supported by certain models"),
    ("images-unsupported", r"image input is not (?:supported|enabled)"),
    ("images-unsupported", r"`text` is not set"),
    ("too-many-images=20", r"for many-images? requests"),
    ("too-many-images", r"\d images, exceeding the maximum of " + _NUMBER),
    ("too-many-images", r"\bat most " + _NUMBER + r" image"),
    ("too-many-images", r"too many images.{0,60}?(?:max|most|limit)\D{0,30}" + _NUMBER),
    ("image-too-large", r"image exceeds .{0,60}? bytes > " + _NUMBER + r" bytes"),
    (
        "image-refused",
        r"(?P<argument>messages[.\w]{1,60}?)\.image\.source\b(?!.{0,200}?(?:many-image|MB max))",
    ),
    (
        "image-refused=all",
        r"\A(?:(?!\.image\.source).){0,200}?(?:could not|unable to|failed to) (?:process|decode) "
        r"(?:the |input )?image",
    ),
    ("image-refused=all", r"image data you provided does not represent a valid image"),
    # Cache marks
    ("too-many-cache-marks", r"maximum of " + _NUMBER + r" blocks with cache_control"),
    ("cache-mark-order", r"must not come after a ttl='5m'"),
    ("cache-mark-place", r"cache_control may not be specified within"),
    ("cache-mark-place", r"cache_control cannot be set for empty text"),
    ("cache-mark-place", r"both defer_loading=true and cache_control"),
    # Thinking
    ("thinking-type=adaptive", r"thinking\.type\.enabled\W{1,3}is not supported"),
    ("thinking-type=adaptive", r"budget_tokens\W{1,3}(?:is|are) \w.{0,200}?\badaptive\b"),
    ("thinking-type=adaptive", r"Input tag 'enabled' found using.{0,100}?'adaptive'"),
    ("thinking-type=enabled", r"adaptive thinking is not supported"),
    ("thinking-type=enabled", r"thinking\.type\.adaptive\W{1,3}is not supported"),
    ("thinking-type=enabled", r"Input tag 'adaptive' found using"),
    ("thinks-always", r"thinking\.type\.disabled\W{1,3}is not supported"),
    ("thinks-always", r"only works in thinking mode"),
    ("thinks-always", r"does not support setting thinking_?budget to 0"),
    ("thinks-always", r"enable_thinking parameter is restricted to true"),
    ("forced-choice=any", r"thinking mode does not support this tool_choice"),
    ("forced-choice=any", r"thinking may not be enabled when tool_choice forces"),
    ("forced-choice=any", r"tool_choice\W{1,3}required\W{1,3}is incompatible with thinking"),
    ("forced-choice=any", r"tool_choice .{0,80}?required or object in thinking mode"),
    ("forced-choice=named", r"tool_choice\W{1,3}specified\W{1,3}is incompatible with thinking"),
    ("thinking-switch=enable_thinking", r"tool_choice .{0,80}?required or object in thinking mode"),
    ("budget-exceeds-limit", r"max_tokens\W{1,3}must be greater than \W?thinking\.budget_tokens"),
    ("budget-too-large", r"thinking budget .{0,60}?between \d{1,9}+ and " + _NUMBER),
    ("budget-too-large=24576", r"thinking budget \(\d{1,9}+\) is invalid\.\Z"),
    (
        "efforts",
        r"(?:effort|level|[\"'`](?:xhigh|max|minimal|none)[\"'`]).{0,160}?"
        r"(?:(?:input )?should be(?: one of)?|must be(?: one of)?|expected(?: one of)?|"
        r"(?:supported|valid|allowed|accepted)(?: (?:values|levels|efforts|options))?(?: are)?)"
        + _EFFORT_LIST,
    ),
    (
        "refused-efforts",
        r"effort(?: level)?\W{1,3}(?P<argument>" + _EFFORTS + r")\W{1,3}is not supported(?! when)",
    ),
    ("refused-efforts", r"not support effort level\W{1,3}(?P<argument>" + _EFFORTS + r")\b"),
    ("effort-without-thinking", r"effort\W{1,3}\w{1,8}\W{1,3}is not supported when thinking is"),
    # Parameters
    ("sampling-pair", r"temperature\W{1,3}and \W?top_p\W{1,3}cannot both be specified"),
    ("sampling-refused", r"temperature' does not support .{0,60}?only the default"),
    ("sampling-refused", r"invalid temperature.{0,40}?only 1 is allowed"),
    ("sampling-unsupported", r"(?:temperature|top_p|top_k)\W{1,3}is deprecated for this model"),
    ("sampling-with-thinking", r"temperature\W{1,3}may only be set to 1 when thinking"),
    ("sampling-with-thinking", r"top_[pk]\W{1,3}must be .{0,60}?when thinking is enabled"),
    ("long-identifier", r"'(?:prompt_cache_key|safety_identifier)'\W{1,3}string too long"),
    ("long-identifier", r"metadata\.user_id: String should have at most 256"),
    ("token-limit", r"range of max_tokens (?:is|should be) \[1,\s{1,2}" + _NUMBER),
    ("token-limit", r"max_tokens\b.{0,80}?expected a value <= " + _NUMBER),
    ("token-limit", r"max_tokens is too large.{0,60}?supports at most " + _NUMBER),
    ("token-limit", r"max_tokens: \d{1,9}+ > " + _NUMBER + r", which is the maximum allowed"),
    (
        "token-limit",
        r"max_(?:completion_)?tokens\W{1,3}must be less than or equal to \W?" + _NUMBER,
    ),
    (
        "token-limit-name=max_tokens",
        r"(?<!use ['`\"])max_completion_tokens\b.{0,100}?"
        r"(?:extra.?inputs|extra.?forbidden|not (?:supported|permitted|allowed))",
    ),
    (
        "token-limit-name=max_tokens",
        r"(?:unsupported|unrecognized|unknown)[\w ]{1,40}\W{1,4}max_completion_tokens",
    ),
)
"""A trait and a pattern of the words that teach it; many providers and gateways share them."""

TRAITS = (
    wording(
        "trait",
        "token-limit-name",
        r"\bmax_tokens\b.{0,200}?\buse\b.{0,40}?\b(?P<argument>max_completion_tokens)\b",
    ),
    wording(
        "trait",
        "reasoning-not-passed-back",
        r"reasoning_content\W{1,4}in the thinking mode must be passed back",
    ),
    wording(
        "trait",
        "reasoning-missing",
        r"reasoning_content is missing in assistant tool call message",
    ),
    wording(
        "trait",
        "system-in-messages",
        r"unknown variant `system`, expected `user` or `assistant`",
    ),
    *(wording("trait", value, pattern) for value, pattern in _MESSAGE_ROWS),
)
"""Wordings of kind `trait`: the rules on messages and parameters quote them. They apply to any
host."""

TRAITS_OF_REFUSED_FIELDS: Mapping[tuple[WireProtocol, str], str] = {
    (WireProtocol.CHAT_COMPLETIONS, "max_completion_tokens"): "token-limit-name=max_tokens",
    (WireProtocol.CHAT_COMPLETIONS, "max_tokens"): "token-limit-name=max_completion_tokens",
}
"""The traits that the refusal of a field teaches, in whatever words, instead of dropping it."""

WIDELY_ACCEPTED_BETAS = frozenset({"interleaved-thinking-2025-05-14"})
"""Values that are suspected last: Bedrock accepts them (anthropics/claude-code#49370)."""

GENERAL = (
    wording(
        "schema-dialect", "basic", r"\bTool (?P<index>\d{1,9}+) function has invalid 'parameters'"
    ),
    wording(
        "schema-dialect",
        "basic",
        POINTER + r"\.(?:\S{0,200}\.)?(?:input_schema|parameters)\b(?!\.?\S{0,200}: Extra inputs)",
    ),
)
"""Wordings that are not specific to a vendor. They are used only if no vendor's wording matches."""

TOO_MANY_TOOLS = r"maximum tools limit reached|not include more than \d{1,9}+ tools"
"""A pattern that matches error messages for too many tools that are not specific to a vendor."""

UNKNOWN_MODEL_NAMES = frozenset(
    {
        *("modelerror", "modelnotfound", "modelnotsupported", "modelnotavailable", "unknownmodel"),
        *("unsupportedmodel", "invalidmodel", "invalidmodelid", "deploymentnotfound"),
    }
)
"""Codes and types of errors about a model that is not there, in lower case and without `_`."""

_MISSING = (
    r"(?:not found|unknown|does(?: not|n't) exist|not exist|not supported|not available|not enabled"
    r"|not be found|no access|not a valid|has been (?:deprecated|retired|removed|discontinued)"
    r"|is no longer (?:available|supported))"
)
UNKNOWN_MODEL: tuple[TextPattern[str], ...] = tuple(
    text_pattern(pattern, ignore_case=True)
    for pattern in (
        # The model `x` does not exist; Model x is not supported; model "x" not found
        rf"\bmodels?\b.{{0,100}}?\b{_MISSING}\b",
        # Unknown Model, please check the model code; Invalid model name passed; no such model
        r"\b(?:unknown|invalid|unsupported|no such|unrecogni[sz]ed)\s(?:api\s)?model\b"
        r"(?!\s(?:api\s)?(?:key|token|provider))",
        # No model found: x; No endpoints found for x; no available channel for model x
        r"\bno (?:available )?(?:model|endpoint|provider|deployment|channel|distributor)s?\b"
        r".{0,40}?\b(?:found|available|for|match\w{0,5})\b",
        # CLIProxyAPI: unknown provider for model x
        r"\bunknown provider for model\b",
        # x is not a valid model ID
        r"\bnot an? (?:valid|known|supported|available|recogni[sz]ed) (?:\w{1,20} )?model\b",
        # DeepSeek: The supported API model names are x, y, but you passed z
        r"\b(?:supported|valid|available|allowed) (?:api )?model(?: name)?s? (?:are|is|include)\b",
        # Bedrock: The provided model identifier is invalid
        r"\bmodel (?:identifier|id|name|code)\b.{0,60}?\b(?:invalid|incorrect|not valid)\b",
        # You don't have access to this model; Unable to access model x
        r"\b(?:access|permission)\b.{0,40}?\bmodel\b",
        # Z.ai and gateways: 模型不存在
        r"模型.{0,40}?(?:不存在|不支持|未找到|不可用|无效)",
        r"(?:不存在|不支持|未找到|无效的?).{0,10}?模型",
    )
)
"""What the messages of such errors contain, whatever their status."""
