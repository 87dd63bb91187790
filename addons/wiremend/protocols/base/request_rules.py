"""The rules on a request's messages and parameters; each is on only for targets that need it.

The vendors' files in `wiremend.targets` name them by code.
"""

from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import Rule

_ALL = tuple(WireProtocol)
_ANTHROPIC = WireProtocol.ANTHROPIC_MESSAGES
_CHAT = WireProtocol.CHAT_COMPLETIONS
_RESPONSES = WireProtocol.RESPONSES
_GEMINI = WireProtocol.GEMINI

CALL_WITHOUT_RESULT = Rule(
    code="Q001",
    name="call-without-result",
    finds="A tool call in the history has no result where the provider looks for it.",
    hurts="Every further turn is refused: `tool_use ids were found without tool_result blocks "
    "immediately after`.",
    mends="A result is added that says that there is none, as an error where that can be said.",
    protocols=_ALL,
    seen=(
        "anthropics/claude-code#6836",
        "anthropics/claude-code#5989",
        "QwenLM/qwen-code#606",
        "langgenius/dify#32222",
        "google-gemini/gemini-cli#16415",
    ),
    before='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1",'
    '"name":"Bash","input":{}}]},{"role":"user","content":[{"type":"text","text":"Go on."}]}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1",'
    '"name":"Bash","input":{}}]},{"role":"user","content":[{"type":"tool_result",'
    '"tool_use_id":"toolu_1","is_error":true,"content":"The tool call has no result: it was '
    'interrupted."},{"type":"text","text":"Go on."}]}]}',
)
RESULT_WITHOUT_CALL = Rule(
    code="Q002",
    name="result-without-call",
    finds="A tool result belongs to no call of the turn before, or comes a second time.",
    hurts="Every further turn is refused: `unexpected tool_use_id found in tool_result blocks`, "
    "`No tool call found for function call output`.",
    mends="It is dropped; a message left without content says so.",
    protocols=_ALL,
    seen=(
        "anthropics/claude-code#6836",
        "continuedev/continue#10092",
        "leookun/cursor-byok#307",
        "MiniMax-AI/MiniMax-M2#76",
    ),
    before='{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_0",'
    '"content":"ok"},{"type":"text","text":"Hello"}]}]}',
    after='{"messages":[{"role":"user","content":[{"type":"text","text":"Hello"}]}]}',
)
RESULTS_NOT_FIRST = Rule(
    code="Q003",
    name="results-not-first",
    finds="Something stands between a tool call and its result.",
    hurts="It counts as a call without result: `tool_result blocks immediately after`.",
    mends="The results come first; nothing is dropped.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=("anthropics/claude-code#6836", "leookun/cursor-byok#307"),
    before='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1",'
    '"name":"Bash","input":{}}]},{"role":"user","content":[{"type":"text","text":"Go on."},'
    '{"type":"tool_result","tool_use_id":"toolu_1","content":"ok"}]}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1",'
    '"name":"Bash","input":{}}]},{"role":"user","content":[{"type":"tool_result",'
    '"tool_use_id":"toolu_1","content":"ok"},{"type":"text","text":"Go on."}]}]}',
)
EMPTY_TEXT = Rule(
    code="Q004",
    name="empty-text",
    finds="A text block holds no text, or only white space.",
    hurts="Anthropic: `text content blocks must be non-empty`; Gemini: `required oneof field "
    "'data' must have one initialized field`.",
    mends="The block is dropped.",
    protocols=(_ANTHROPIC, _GEMINI),
    seen=(
        "anthropics/claude-code#59812",
        "anthropics/anthropic-sdk-python#461",
        "54xzh/FLIT#70",
    ),
    before='{"messages":[{"role":"user","content":[{"type":"text","text":""},'
    '{"type":"text","text":"Hello"}]}]}',
    after='{"messages":[{"role":"user","content":[{"type":"text","text":"Hello"}]}]}',
)
EMPTY_MESSAGE = Rule(
    code="Q005",
    name="empty-message",
    finds="A message has no content.",
    hurts="Anthropic: `all messages must have non-empty content`; Gemini: `contents.parts must "
    "not be empty`.",
    mends="An assistant's is dropped; a user's gets the text `(no content)`.",
    protocols=(_ANTHROPIC, _CHAT, _GEMINI),
    seen=(
        "anthropics/claude-code#6774",
        "corespeed-io/zypher-agent#122",
        "vercel/ai#3775",
        "QuantumNous/new-api#1060",
    ),
    before='{"messages":[{"role":"user","content":"Hello"},{"role":"assistant","content":[]},'
    '{"role":"user","content":"Hello?"}]}',
    after='{"messages":[{"role":"user","content":"Hello"},{"role":"user","content":"Hello?"}]}',
)
TRAILING_SPACE = Rule(
    code="Q006",
    name="trailing-space",
    finds="The last message is the assistant's, and ends in white space.",
    hurts="Anthropic: `final assistant content cannot end with trailing whitespace`.",
    mends="The white space at its end goes.",
    protocols=(_ANTHROPIC,),
    seen=(
        "tailcallhq/forgecode#1872",
        "anomalyco/opencode#1295",
        "aaif-goose/goose#5967",
    ),
    before='{"messages":[{"role":"user","content":"A haiku"},'
    '{"role":"assistant","content":"Here: "}]}',
    after='{"messages":[{"role":"user","content":"A haiku"},'
    '{"role":"assistant","content":"Here:"}]}',
)
EMPTY_SYSTEM = Rule(
    code="Q007",
    name="empty-system",
    finds="The system prompt is empty, or has a block without text.",
    hurts="Anthropic: `text content blocks must be non-empty`.",
    mends="What is empty goes.",
    protocols=(_ANTHROPIC,),
    seen=("BiFangKNT/mtga#68",),
    before='{"model":"m","system":[{"type":"text","text":""}],"messages":[]}',
    after='{"model":"m","messages":[]}',
)
CACHE_CONTROL = Rule(
    code="Q101",
    name="cache-control",
    finds="Messages, system or tools carry `cache_control`.",
    hurts="Kimi: `Extra inputs are not permitted, field: messages[0].cache_control`.",
    mends="It is removed, for targets that refuse it.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=("routatic/proxy#53", "can1357/oh-my-pi#11812"),
    before='{"messages":[{"role":"user","content":"Hello","cache_control":{"type":"ephemeral"}}]}',
    after='{"messages":[{"role":"user","content":"Hello"}]}',
)
THINKING_CACHE_CONTROL = Rule(
    code="Q102",
    name="thinking-cache-control",
    finds="A thinking block carries `cache_control`.",
    hurts="Anthropic: `thinking.cache_control: Extra inputs are not permitted`.",
    mends="It is removed there; elsewhere it stays.",
    protocols=(_ANTHROPIC,),
    seen=("Wei-Shaw/sub2api#225",),
    before='{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.",'
    '"signature":"s","cache_control":{"type":"ephemeral"}}]}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.",'
    '"signature":"s"}]}]}',
)
CALL_ID = Rule(
    code="Q103",
    name="call-id",
    finds="The id of a tool call is longer than the target takes, or has other characters.",
    hurts="Mistral: `must be a-z, A-Z, 0-9, with a length of 9`; OpenAI: `string too long`; "
    "Anthropic: `tool_use.id: String should match pattern`.",
    mends="Calls and results get an id made from the old one, the same in every turn. Providers "
    "make new ids for new calls and never repeat these, so nothing is named back.",
    protocols=(_ANTHROPIC, _CHAT, _RESPONSES),
    seen=(
        "jackmpcollins/magentic#276",
        "openclaw/openclaw#57672",
        "vercel/ai#5171",
        "anomalyco/opencode#12653",
        "BlockRunAI/ClawRouter#17",
    ),
)
REASONING_MISSING = Rule(
    code="Q104",
    name="reasoning-missing",
    finds="An assistant message with tool calls has no `reasoning_content`, or an empty one.",
    hurts="Kimi: `thinking is enabled but reasoning_content is missing in assistant tool call "
    "message`; the empty string is refused as well.",
    mends="It becomes a single space.",
    protocols=(_CHAT,),
    seen=("QuantumNous/new-api#3121", "charmbracelet/crush#2696", "anomalyco/opencode#10996"),
    before='{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}],"reasoning_content":""}]}',
    after='{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}],"reasoning_content":" "}]}',
)
FOREIGN_THINKING = Rule(
    code="Q105",
    name="foreign-thinking",
    finds="A thinking block has no signature, or one that Anthropic cannot have made.",
    hurts="After a turn by another provider, Anthropic refuses all that follow: `Invalid "
    "signature in thinking block`.",
    mends="The block is dropped, and thinking is switched off for a tool call that it belongs "
    "to. Signatures are never made up.",
    protocols=(_ANTHROPIC,),
    seen=(
        "router-for-me/CLIProxyAPI#1584",
        "tombii/better-ccflare#52",
        "NousResearch/hermes-agent#24401",
    ),
    before='{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.",'
    '"signature":""},{"type":"text","text":"Hello"}]},{"role":"user","content":"Go on."}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"text","text":"Hello"}]},'
    '{"role":"user","content":"Go on."}]}',
)
REASONING_NOT_PASSED_BACK = Rule(
    code="Q106",
    name="reasoning-not-passed-back",
    finds="A conversation with tool calls has an assistant message without `reasoning_content`, "
    "or with an empty one.",
    hurts="DeepSeek, from V4 on: ``The `reasoning_content` in the thinking mode must be passed "
    "back to the API``.",
    mends="It becomes a single space, which is taken; not where thinking is switched off.",
    protocols=(_CHAT,),
    seen=("NousResearch/hermes-agent#18263", "openclaw/openclaw#73417", "earendil-works/pi#3636"),
    before='{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}],"reasoning_content":"Hm."},'
    '{"role":"tool","tool_call_id":"c","content":"ok"},{"role":"assistant","content":"Done."}]}',
    after='{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}],"reasoning_content":"Hm."},'
    '{"role":"tool","tool_call_id":"c","content":"ok"},{"role":"assistant","content":"Done.",'
    '"reasoning_content":" "}]}',
)
THOUGHT_SIGNATURE_MISSING = Rule(
    code="Q107",
    name="thought-signature-missing",
    finds="Since the user spoke last, a turn of the model has a first function call without "
    "`thoughtSignature`: another model's, or lost by the client.",
    hurts="Gemini 3: `Function call is missing a thought_signature in functionCall parts`.",
    mends="It gets `skip_thought_signature_validator`, which Google documents for calls that it "
    "did not sign. Signatures are never made up.",
    protocols=(_GEMINI,),
    seen=("vercel/ai#15550", "musistudio/claude-code-router#1431", "envoyproxy/ai-gateway#2366"),
    before='{"contents":[{"role":"user","parts":[{"text":"Hello"}]},{"role":"model","parts":'
    '[{"functionCall":{"name":"now"}}]}]}',
    after='{"contents":[{"role":"user","parts":[{"text":"Hello"}]},{"role":"model","parts":'
    '[{"functionCall":{"name":"now"},"thoughtSignature":"skip_thought_signature_validator"}]}]}',
)
ORPHAN_REASONING = Rule(
    code="Q108",
    name="orphan-reasoning",
    finds="A reasoning item with an id is followed by nothing that it can have led to: the answer "
    "was interrupted, or the client lost it.",
    hurts="OpenAI: `Item 'rs_...' of type 'reasoning' was provided without its required following "
    "item`, every turn from then on.",
    mends="It is dropped; what the provider keeps itself is left alone.",
    protocols=(_RESPONSES,),
    seen=("vercel/ai#7099", "continuedev/continue#8933", "openclaw/openclaw#18632"),
    before='{"input":[{"type":"reasoning","id":"rs_1","summary":[]},{"role":"user",'
    '"content":"Go on."}]}',
    after='{"input":[{"role":"user","content":"Go on."}]}',
)
SYSTEM_IN_MESSAGES = Rule(
    code="Q109",
    name="system-in-messages",
    finds="A message in the conversation has the role `system`, as Claude Code sends it.",
    hurts="MiniMax: `chat content has invalid message role: system (2013)`.",
    mends="It becomes the user's, in `<system-reminder>` tags.",
    protocols=(_ANTHROPIC,),
    seen=("MiniMax-AI/MiniMax-M2.7#43", "codexu/note-gen#918"),
    before='{"messages":[{"role":"user","content":"Hello"},{"role":"system","content":"Be brief."}'
    "]}",
    after='{"messages":[{"role":"user","content":"Hello"},{"role":"user","content":"'
    '<system-reminder>\\nBe brief.\\n</system-reminder>"}]}',
)
SAMPLING_PAIR = Rule(
    code="Q201",
    name="sampling-pair",
    finds="Both `temperature` and `top_p` are given.",
    hurts="Claude from 4.5 on: `temperature and top_p cannot both be specified for this model`.",
    mends="`top_p` goes: Anthropic advises to alter the temperature alone.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=("skydiscover-ai/skydiscover#15", "NeatChat/NeatChat#72", "langfuse/langfuse#9882"),
    before='{"model":"claude-sonnet-4-5","temperature":0.5,"top_p":0.9}',
    after='{"model":"claude-sonnet-4-5","temperature":0.5}',
)
SAMPLING_REFUSED = Rule(
    code="Q202",
    name="sampling-refused",
    finds="A temperature other than 1 is asked of a model that takes no other.",
    hurts="OpenAI: `'temperature' does not support 0 with this model. Only the default (1) value "
    "is supported`.",
    mends="It is removed.",
    protocols=(_CHAT, _RESPONSES),
    seen=("tmc/langchaingo#1355", "QwenLM/qwen-code#921"),
    before='{"model":"gpt-5-mini","temperature":0}',
    after='{"model":"gpt-5-mini"}',
)
TOKEN_LIMIT_NAME = Rule(
    code="Q203",
    name="token-limit-name",
    finds="The limit is called `max_tokens` toward a model that wants `max_completion_tokens`.",
    hurts="OpenAI: `Unsupported parameter: 'max_tokens' is not supported with this model`.",
    mends="The key is renamed; its value stays.",
    protocols=(_CHAT,),
    seen=("anomalyco/opencode#37964", "teilomillet/gollm#33", "caozhiyuan/copilot-api#164"),
    before='{"model":"gpt-5","max_tokens":64}',
    after='{"model":"gpt-5","max_completion_tokens":64}',
)
TOKEN_LIMIT = Rule(
    code="Q204",
    name="token-limit",
    finds="More output is allowed than the provider's `max_output_tokens` in the configuration.",
    hurts="DeepSeek: `Invalid max_tokens value, the valid range of max_tokens is [1, 8192]`.",
    mends="The limit becomes that number; such numbers change too often to be known here.",
    protocols=_ALL,
    seen=("Gitlawb/openclaude#35", "mnfst/llm-gateway#1177"),
)
RULES = (
    CALL_WITHOUT_RESULT,
    RESULT_WITHOUT_CALL,
    RESULTS_NOT_FIRST,
    EMPTY_TEXT,
    EMPTY_MESSAGE,
    TRAILING_SPACE,
    EMPTY_SYSTEM,
    CACHE_CONTROL,
    THINKING_CACHE_CONTROL,
    CALL_ID,
    REASONING_MISSING,
    FOREIGN_THINKING,
    REASONING_NOT_PASSED_BACK,
    THOUGHT_SIGNATURE_MISSING,
    ORPHAN_REASONING,
    SYSTEM_IN_MESSAGES,
    SAMPLING_PAIR,
    SAMPLING_REFUSED,
    TOKEN_LIMIT_NAME,
    TOKEN_LIMIT,
)
MESSAGE_CODES = frozenset(rule.code for rule in RULES)
