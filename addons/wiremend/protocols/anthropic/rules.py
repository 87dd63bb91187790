"""S1: what goes wrong in Anthropic Messages streams, by name."""

from wiremend.rules.rule import Rule

_P = ("anthropic-messages",)

EVENT_LINE = Rule(
    "S101",
    "event-line",
    "The `event:` line is missing or contradicts the type in the data.",
    "Official SDKs dispatch on the line and skip such an event; clients then repeat the turn.",
    "The line is written from the data.",
    _P,
    ("seifghazi/claude-code-proxy#33",),
    'data: {"type":"ping"}',
    'event: ping\ndata: {"type":"ping"}',
)
MESSAGE_START_MISSING = Rule(
    "S102",
    "message-start-missing",
    "The stream begins without `message_start`.",
    "SDK accumulators reject the first event.",
    "One is written, with the requested model and no usage.",
    _P,
)
MESSAGE_START_REPEATED = Rule(
    "S103",
    "message-start-repeated",
    "A second `message_start` arrives.",
    "SDKs reject it, or begin the message anew and lose what came before.",
    "It is dropped.",
    _P,
)
MESSAGE_START_INCOMPLETE = Rule(
    "S104",
    "message-start-incomplete",
    '`message_start` lacks content, usage or a count in it, or its stop reason is `""`.',
    "Zod and serde schemas refuse it: AttributeError, `invalid_union`.",
    "Zero usage, empty content, a null stop reason and a role are filled in.",
    _P,
    ("maximhq/bifrost#5885", "Wei-Shaw/sub2api#4589"),
)
BLOCK_INDEX = Rule(
    "S105",
    "block-index",
    "Content blocks are not numbered 0, 1, 2 …: not from 0, gaps, repeats, strings, or nothing.",
    "`InvalidHTTPResponse`; `Content block not found`, and the whole turn is asked again.",
    "Blocks, with their deltas and stops, are numbered in the order in which they are shown.",
    _P,
    ("routatic/proxy#80", "enricoros/big-AGI#917", "router-for-me/CLIProxyAPI#539"),
    '{"type":"content_block_start","index":1,…}',
    '{"type":"content_block_start","index":0,…}',
)
BLOCK_START_REPEATED = Rule(
    "S106",
    "block-start-repeated",
    "A `content_block_start` is sent again for the same open block.",
    "The tool's arguments are cut in two.",
    "It is dropped.",
    _P,
    ("routatic/proxy#17",),
)
DELTA_WITHOUT_START = Rule(
    "S107",
    "delta-without-start",
    "A delta belongs to a block that never started, or that was stopped already.",
    "`Content block not found`, then the whole turn again without streaming.",
    "A block of the delta's kind is started; a tool's delta cannot be placed: protocol error.",
    _P,
    ("BerriAI/litellm#13373", "router-for-me/CLIProxyAPI#3720"),
)
DELTA_DOES_NOT_FIT = Rule(
    "S108",
    "delta-does-not-fit",
    "A delta's kind does not fit its block: thinking inside text, one index for everything.",
    "`Mismatched content block type content_block_delta thinking`.",
    "It goes to the open block of that index that it fits, else one of its kind is started.",
    _P,
    ("router-for-me/CLIProxyAPI#539",),
)
BLOCKS_OVERLAP = Rule(
    "S109",
    "blocks-overlap",
    "A block starts while another one is open.",
    "Text is attributed to the wrong block; strict clients stop.",
    "Text and thinking are closed first; blocks beside an open tool wait for its end.",
    _P,
    ("looplj/axonhub#1677",),
)
STOP_WITHOUT_START = Rule(
    "S110",
    "stop-without-start",
    "A `content_block_stop` for a block that is not open.",
    "`Content block not found`.",
    "It is dropped.",
    _P,
    ("decolua/9router#2248",),
)
BLOCK_LEFT_OPEN = Rule(
    "S111",
    "block-left-open",
    "The message goes on or ends although a block was never stopped.",
    "The block's content never completes; a tool is never called.",
    "The stop is written, for a tool only when its JSON is whole.",
    _P,
)
BLOCK_INCOMPLETE = Rule(
    "S112",
    "block-incomplete",
    "A block starts with null for its text, without an id, or without a name.",
    "Schema errors; `tool_use.name: String should have at least 1 character`.",
    "Text and id are filled in; a name only when the request offers one tool, else: error.",
    _P,
)
TOOL_INPUT_BROKEN = Rule(
    "S113",
    "tool-input-broken",
    "A tool's JSON is broken or ends early although the stop reason does not account for it.",
    "An older SDK resolves half a message, and the tool runs with truncated arguments.",
    "Content is lost: the stream ends in the protocol's error, the block is not closed. A last "
    "tool cut by `max_tokens` or `refusal` passes.",
    _P,
    ("BerriAI/litellm#32159", "anthropics/anthropic-sdk-typescript#920"),
)
STOP_REASON_MISSING = Rule(
    "S114",
    "stop-reason-missing",
    "`message_stop` comes without a `message_delta`, or the stop reason is null or empty.",
    "Clients wait for a reason or read the turn as broken.",
    "`tool_use` or `end_turn`, by what was sent; the provider did say that the message is over.",
    _P,
)
MESSAGE_DELTA_REPEATED = Rule(
    "S115",
    "message-delta-repeated",
    "A second `message_delta` with a stop reason arrives.",
    "The last one wins: a tool call's `tool_use` becomes `end_turn`.",
    "It is dropped.",
    _P,
    ("routatic/proxy#133",),
)
STOP_REASON_CONTRADICTS = Rule(
    "S116",
    "stop-reason-contradicts",
    "`end_turn` although a tool was called, or `tool_use` although none was.",
    "The agent stops silently after its first call, or waits for a call that never comes.",
    "The reason follows the blocks; `max_tokens`, `refusal` and others are never touched.",
    _P,
    ("anomalyco/opencode#14972", "maximhq/bifrost#3638"),
    '{"delta":{"stop_reason":"end_turn"}} after a tool_use block',
    '{"delta":{"stop_reason":"tool_use"}}',
)
USAGE_MISSING = Rule(
    "S117",
    "usage-missing",
    "`message_delta` has no usage, null, or usage without a number of output tokens.",
    "AttributeError in SDKs; schemas refuse it; the context meter fails.",
    "Zero output tokens are filled in.",
    _P,
)
MESSAGE_STOP_MISSING = Rule(
    "S118",
    "message-stop-missing",
    "The stream ends after its stop reason without `message_stop`.",
    '"stream ended before message_stop", and the whole turn is asked again.',
    "The turn is complete: the event is added.",
    _P,
    ("esengine/DeepSeek-Reasonix#8756", "farion1231/cc-switch#6462"),
)
AFTER_THE_END = Rule(
    "S119",
    "after-the-end",
    "Events follow `message_stop` or an error; or `[DONE]`, which is not Anthropic's.",
    "Parser errors.",
    "They are dropped.",
    _P,
    ("router-for-me/CLIProxyAPI#4783",),
)
FOREIGN_FRAME = Rule(
    "S120",
    "foreign-frame",
    "Data that is no event of this protocol and no error: no type at all, or no JSON object.",
    "`invalid_union` kills the turn.",
    "It is dropped.",
    _P,
    ("anomalyco/opencode#36428",),
)
BROKEN_EVENT = Rule(
    "S121",
    "broken-event",
    "An event's data is JSON that does not parse.",
    "Clients fail, or skip it and lose content.",
    "Content is lost: the stream ends in the protocol's error.",
    _P,
)
BLOCK_AFTER_STOP_REASON = Rule(
    "S122",
    "block-after-stop-reason",
    "A block's event arrives after the stop reason.",
    "Clients have closed the message by then.",
    "It is dropped.",
    _P,
)
DELTA_TEXT = Rule(
    "S123",
    "delta-text",
    "A delta's text is null or missing, or `partial_json` is an object instead of JSON text.",
    "SDKs concatenate strings: TypeError, or `[object Object]`.",
    "Nothing becomes an empty string, an object its JSON text.",
    _P,
)
KEEPALIVE_FRAME = Rule(
    "S124",
    "keepalive-frame",
    '`{"type":"keepalive"}` frames of gateways that speak several protocols.',
    "Strict schemas refuse the type; taken for content, it would end the time for invisible "
    "retries, and hide a stall.",
    "A blank line takes its place.",
    _P,
    ("openai/openai-node#1964",),
    'data: {"type":"keepalive","sequence_number":5}',
    "(a blank line)",
)
STOP_REASON_FOREIGN = Rule(
    "S125",
    "stop-reason-foreign",
    "A stop reason has its name from Chat Completions (`tool_calls`, `stop`, `length`), or is "
    "written in capitals.",
    "Clients do not know it: the tool is not run, or a cut answer is taken for a whole one.",
    "It gets this protocol's name.",
    _P,
)
RULES = (
    EVENT_LINE,
    MESSAGE_START_MISSING,
    MESSAGE_START_REPEATED,
    MESSAGE_START_INCOMPLETE,
    BLOCK_INDEX,
    BLOCK_START_REPEATED,
    DELTA_WITHOUT_START,
    DELTA_DOES_NOT_FIT,
    BLOCKS_OVERLAP,
    STOP_WITHOUT_START,
    BLOCK_LEFT_OPEN,
    BLOCK_INCOMPLETE,
    TOOL_INPUT_BROKEN,
    STOP_REASON_MISSING,
    MESSAGE_DELTA_REPEATED,
    STOP_REASON_CONTRADICTS,
    USAGE_MISSING,
    MESSAGE_STOP_MISSING,
    AFTER_THE_END,
    FOREIGN_FRAME,
    BROKEN_EVENT,
    BLOCK_AFTER_STOP_REASON,
    DELTA_TEXT,
    KEEPALIVE_FRAME,
    STOP_REASON_FOREIGN,
)
