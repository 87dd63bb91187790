"""S3: what goes wrong in Responses streams, by name."""

from wiremend.rules.finding import Rule

_P = ("responses",)

SEQUENCE_NUMBER = Rule(
    "S301",
    "sequence-number",
    "An event's `sequence_number` is missing, no integer, or not larger than the last one.",
    "OpenCode and Grok CLI refuse the event; others drop it as old.",
    "The event gets the next number.",
    _P,
    ("diegosouzapw/OmniRoute#14330",),
)
CREATED_MISSING = Rule(
    "S302",
    "created-missing",
    "The stream begins without `response.created`.",
    "SDK accumulators raise: they expect it first.",
    "One is written.",
    _P,
)
CREATED_REPEATED = Rule(
    "S303",
    "created-repeated",
    "A second `response.created` arrives.",
    "Accumulators begin anew and lose what came before.",
    "It is dropped.",
    _P,
)
ITEM_NOT_ADDED = Rule(
    "S304",
    "item-not-added",
    "An event belongs to an output item, or a content part, that was never added.",
    "Index errors in accumulators; the text is lost.",
    "A message or its text part is added; a tool call's item cannot be known: error.",
    _P,
)
OUTPUT_INDEX = Rule(
    "S305",
    "output-index",
    "`output_index` is missing, has gaps, or is used for two items.",
    "Accumulators write into the wrong item.",
    "Items are numbered 0, 1, 2 … in the order in which they were added.",
    _P,
    ("router-for-me/CLIProxyAPI#539",),
)
ITEM_NOT_DONE = Rule(
    "S306",
    "item-not-done",
    "`response.completed` comes although an item was never done.",
    "Codex takes items only from `output_item.done`: the answer or the call is lost.",
    "The item's `done` events are written, a call's only if its arguments are whole.",
    _P,
)
ITEM_INCOMPLETE = Rule(
    "S307",
    "item-incomplete",
    "`output_item.done` lacks name, call id or arguments that were streamed.",
    "`tool_use.name: String should have at least 1 character`; a call that cannot be answered.",
    "They are carried over from what came before.",
    _P,
    ("router-for-me/CLIProxyAPI#1004",),
)
OUTPUT_MISSING = Rule(
    "S308",
    "output-missing",
    "The terminal event's `output` lacks the items that were streamed.",
    "The tool call is lost.",
    "It is rebuilt from the `output_item.done` events.",
    _P,
    ("router-for-me/CLIProxyAPI#1004",),
    '{"type":"response.completed","response":{"output":[]}}',
    '{"type":"response.completed","response":{"output":[{"type":"message",…}]}}',
)
COMPLETED_MISSING = Rule(
    "S309",
    "completed-missing",
    "The stream ends without a terminal event although every item is done.",
    '"stream closed before response.completed"; the client asks again up to five times.',
    "`response.completed` is written with the streamed items.",
    _P,
    ("openai/codex#41340", "router-for-me/CLIProxyAPI#1407"),
)
ARGUMENTS_AS_OBJECT = Rule(
    "S310",
    "arguments-as-object",
    "A call's arguments are an object or empty instead of JSON text.",
    "SDKs expect a string and parse it.",
    "They become JSON text; nothing becomes `{}`.",
    _P,
)
ARGUMENTS_BROKEN = Rule(
    "S311",
    "arguments-broken",
    "A finished call's arguments are broken or truncated JSON.",
    "The tool runs with half its arguments, or the agent stops.",
    "Content is lost: the stream ends in the protocol's error.",
    _P,
)
KEEPALIVE_FRAME = Rule(
    "S312",
    "keepalive-frame",
    '`{"type":"keepalive"}` frames.',
    "openai-node, openai-java and the Vercel AI SDK break on them.",
    "A blank line takes their place.",
    _P,
    ("openai/openai-node#1964", "vercel/ai#20575"),
    'data: {"type":"keepalive","sequence_number":5}',
    "(a blank line)",
)
USAGE_INCOMPLETE = Rule(
    "S313",
    "usage-incomplete",
    "`usage` is there but lacks its input, output or total count.",
    "Codex fails to read the terminal event and sends the same prompt again.",
    "The counts are filled in.",
    _P,
    ("maximhq/bifrost#891",),
)
AFTER_THE_END = Rule(
    "S314",
    "after-the-end",
    "Events follow the terminal event: pings with costs, `[DONE]`.",
    "SDKs throw.",
    "They are dropped.",
    _P,
    ("fawney19/Aether#774",),
)
FOREIGN_FRAME = Rule(
    "S315",
    "foreign-frame",
    "Data that is no event of this protocol and no error.",
    "`invalid_union` kills the turn.",
    "It is dropped.",
    _P,
    ("anomalyco/opencode#36428",),
)
BROKEN_EVENT = Rule(
    "S316",
    "broken-event",
    "An event's JSON does not parse.",
    "Clients fail, or skip it and lose content.",
    "Content is lost: the stream ends in the protocol's error.",
    _P,
)
ITEM_OVER = Rule(
    "S317",
    "item-over",
    "An event of an item that is already done.",
    "Accumulators append to a finished item.",
    "It is dropped.",
    _P,
)
RULES = (
    SEQUENCE_NUMBER,
    CREATED_MISSING,
    CREATED_REPEATED,
    ITEM_NOT_ADDED,
    OUTPUT_INDEX,
    ITEM_NOT_DONE,
    ITEM_INCOMPLETE,
    OUTPUT_MISSING,
    COMPLETED_MISSING,
    ARGUMENTS_AS_OBJECT,
    ARGUMENTS_BROKEN,
    KEEPALIVE_FRAME,
    USAGE_INCOMPLETE,
    AFTER_THE_END,
    FOREIGN_FRAME,
    BROKEN_EVENT,
    ITEM_OVER,
)
