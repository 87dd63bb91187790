"""S3: what goes wrong in Responses streams, by name."""

from wiremend.rules.rule import Rule

_P = ("responses",)

SEQUENCE_NUMBER = Rule(
    code="S301",
    name="sequence-number",
    finds="An event's `sequence_number` is missing, no integer, or not larger than the last one.",
    hurts="OpenCode and Grok CLI refuse the event; others drop it as old.",
    mends="The event gets the next number; sound numbers stay, gaps included.",
    protocols=_P,
    seen=("diegosouzapw/OmniRoute#14330",),
    before='{"type":"response.in_progress","response":{…}}',
    after='{"type":"response.in_progress","response":{…},"sequence_number":1}',
)
CREATED_MISSING = Rule(
    code="S302",
    name="created-missing",
    finds="The stream begins without `response.created`.",
    hurts="SDK accumulators raise: they expect it first.",
    mends="One is written.",
    protocols=_P,
    before='{"type":"response.in_progress", …}',
    after='{"type":"response.created", …}, {"type":"response.in_progress", …}',
)
CREATED_REPEATED = Rule(
    code="S303",
    name="created-repeated",
    finds="A second `response.created` arrives.",
    hurts="Accumulators begin anew and lose what came before.",
    mends="It is dropped.",
    protocols=_P,
    before='{"type":"response.created", …}, {"type":"response.created", …}',
    after='{"type":"response.created", …}',
)
ITEM_NOT_ADDED = Rule(
    code="S304",
    name="item-not-added",
    finds="An event belongs to an output item, or to a part of one, that was never added.",
    hurts="SDK accumulators raise or lose the text.",
    mends="The item or part is added. Fragments of a call whose name is not known yet are withheld "
    "until the call is done, which repeats them; if it never is, the stream ends in an error.",
    protocols=_P,
    before='{"type":"response.output_text.delta","output_index":0, …}',
    after='{"type":"response.output_item.added", …}, {"type":"response.content_part.added", …}, '
    '{"type":"response.output_text.delta","output_index":0, …}',
)
OUTPUT_INDEX = Rule(
    code="S305",
    name="output-index",
    finds="`output_index` is missing, has gaps, or is used for two items.",
    hurts="Accumulators raise or write into the wrong item.",
    mends="Items are numbered 0, 1, 2 … in the order in which they were added.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#539",),
    before='{"type":"response.output_item.added","output_index":1, …} first',
    after='{"type":"response.output_item.added","output_index":0, …}',
)
ITEM_NOT_DONE = Rule(
    code="S306",
    name="item-not-done",
    finds="The response completes although an item was never done.",
    hurts="Codex takes items only from `output_item.done`: the answer or the call is lost.",
    mends="The missing events are written, from the terminal event's output if it holds the item; "
    "a call only if its arguments are whole.",
    protocols=_P,
    before='{"type":"response.output_text.done", …}, {"type":"response.completed", …}',
    after='{"type":"response.output_text.done", …}, {"type":"response.content_part.done", …}, '
    '{"type":"response.output_item.done", …}, {"type":"response.completed", …}',
)
ITEM_INCOMPLETE = Rule(
    code="S307",
    name="item-incomplete",
    finds="An item lacks its id, status, role or content, or a call its name, id or arguments.",
    hurts="`tool_use.name: String should have at least 1 character`; the Vercel AI SDK skips a "
    "call without id or without the status `completed`; Codex skips items that lack fields.",
    mends="They are carried over from what was streamed; a status and missing ids are filled in.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#1004",),
    before='{"type":"response.output_item.done","item":{"type":"function_call","name":"", …}}',
    after='{"type":"response.output_item.done","item":{"type":"function_call","name":"read", …}}',
)
OUTPUT_MISSING = Rule(
    code="S308",
    name="output-missing",
    finds="The terminal event's `output` lacks the items that were streamed.",
    hurts="Clients that read the final response lose the answer or the tool call.",
    mends="It is rebuilt from the `output_item.done` events.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#1004",),
    before='{"type":"response.completed","response":{"output":[]}}',
    after='{"type":"response.completed","response":{"output":[{"type":"message",…}]}}',
)
COMPLETED_MISSING = Rule(
    code="S309",
    name="completed-missing",
    finds="The stream ends without a terminal event although every item is whole.",
    hurts='"stream closed before response.completed"; the client asks again up to five times.',
    mends="`response.completed` is written with the streamed items. An answer that ends with "
    "reasoning, or inside an item, is not whole: error.",
    protocols=_P,
    seen=("openai/codex#41340", "router-for-me/CLIProxyAPI#1407"),
    before='{"type":"response.output_item.done", …}',
    after='{"type":"response.output_item.done", …}, {"type":"response.completed", …}',
)
ARGUMENTS_AS_OBJECT = Rule(
    code="S310",
    name="arguments-as-object",
    finds="A call's arguments are an object, null or empty instead of JSON text.",
    hurts="SDKs expect a string and parse it.",
    mends="They become JSON text; nothing becomes `{}`.",
    protocols=_P,
    before='{"arguments":{"path":"a.txt"}}',
    after='{"arguments":"{\\"path\\":\\"a.txt\\"}"}',
)
ARGUMENTS_BROKEN = Rule(
    code="S311",
    name="arguments-broken",
    finds="A call is done with broken or truncated JSON as its arguments.",
    hurts="The tool runs with half its arguments, or the agent stops.",
    mends="Content is lost: the stream ends in the protocol's error. An item whose own status is "
    "`incomplete` says so itself and passes.",
    protocols=_P,
    before='{"type":"response.output_item.done","item":{"arguments":"{\\"pa", …}}',
    after='{"type":"response.failed", …}',
)
KEEPALIVE_FRAME = Rule(
    code="S312",
    name="keepalive-frame",
    finds='`{"type":"keepalive"}` and `{"type":"ping"}` frames.',
    hurts="openai-node, openai-java and Vercel's xAI provider break on them.",
    mends="A blank line takes their place.",
    protocols=_P,
    seen=("openai/openai-node#1964", "vercel/ai#20575"),
    before='data: {"type":"keepalive","sequence_number":5}',
    after="(a blank line)",
)
USAGE_INCOMPLETE = Rule(
    code="S313",
    name="usage-incomplete",
    finds="The terminal event's `usage` lacks one of its counts, or is missing altogether.",
    hurts="Codex fails to read the event and sends the same prompt again when a count is missing; "
    "the Vercel AI SDK skips an event without usage, and OpenCode asks again without end.",
    mends="Counts are filled in: what the others tell, else 0. Usage that counts nothing is null, "
    "and zeros for OpenCode; no usage at all is legal and filled in for OpenCode only.",
    protocols=_P,
    seen=("maximhq/bifrost#891",),
    before='{"usage":{"input_tokens":10,"output_tokens":2}}',
    after='{"usage":{"input_tokens":10,"output_tokens":2,"total_tokens":12}}',
)
AFTER_THE_END = Rule(
    code="S314",
    name="after-the-end",
    finds="Events follow the terminal event: pings with costs, `[DONE]`.",
    hurts="SDKs throw.",
    mends="They are dropped.",
    protocols=_P,
    seen=("fawney19/Aether#774",),
    before='{"type":"response.completed", …}, {"type":"ping","cost":"0.1"}',
    after='{"type":"response.completed", …}',
)
FOREIGN_FRAME = Rule(
    code="S315",
    name="foreign-frame",
    finds="Data that is no event of this protocol and no error.",
    hurts="`invalid_union` kills the turn.",
    mends="It is dropped.",
    protocols=_P,
    seen=("anomalyco/opencode#36428",),
    before='{"tool":"search_files","label":"*","status":"running"}',
)
BROKEN_EVENT = Rule(
    code="S316",
    name="broken-event",
    finds="An event's JSON does not parse, or it has lost its type.",
    hurts="Clients fail, or skip it and lose content.",
    mends="Content is lost: the stream ends in the protocol's error.",
    protocols=_P,
    before='{"type":"response.output_text.delta","del',
    after='{"type":"response.failed", …}',
)
ITEM_OVER = Rule(
    code="S317",
    name="item-over",
    finds="An event of an item, or of a part, that is already done.",
    hurts="Accumulators append to a finished item.",
    mends="It is dropped: the done event has said it all.",
    protocols=_P,
    before='{"type":"response.output_item.done", …}, {"type":"response.output_text.delta", …}',
    after='{"type":"response.output_item.done", …}',
)
PART_INDEX = Rule(
    code="S318",
    name="part-index",
    finds="`content_index` or `summary_index` is missing, has gaps, or is used for two parts.",
    hurts="Index errors in accumulators; Codex skips reasoning text without one.",
    mends="Parts are numbered 0, 1, 2 … in the order in which they were added.",
    protocols=_P,
    before='{"type":"response.content_part.added","content_index":1, …} first',
    after='{"type":"response.content_part.added","content_index":0, …}',
)
ITEM_REPEATED = Rule(
    code="S319",
    name="item-repeated",
    finds="An item, or a part, is added a second time.",
    hurts="The official SDK raises: duplicate output index.",
    mends="The second is dropped.",
    protocols=_P,
    before='{"type":"response.output_item.added", …}, {"type":"response.output_item.added", …}',
    after='{"type":"response.output_item.added", …}',
)
EVENT_LINE = Rule(
    code="S320",
    name="event-line",
    finds="The `event:` line is missing or contradicts the type in the data.",
    hurts="Clients that dispatch on the event's name miss it and repeat the whole turn.",
    mends="The line names the type that the data has.",
    protocols=_P,
    before='event: message\ndata: {"type":"response.completed", …}',
    after='event: response.completed\ndata: {"type":"response.completed", …}',
)
TYPE_MISSING = Rule(
    code="S321",
    name="type-missing",
    finds="The data has no `type`, but the `event:` line has.",
    hurts="Clients that parse the data skip the event or fail.",
    mends="The type is put into the data.",
    protocols=_P,
    before='event: response.output_text.delta\ndata: {"delta":"Hi", …}',
    after='event: response.output_text.delta\ndata: {"delta":"Hi", …, '
    '"type":"response.output_text.delta"}',
)
EMPTY_FRAME = Rule(
    code="S322",
    name="empty-frame",
    finds="`data:` with nothing in it, or with `{}`.",
    hurts="The official SDK fails to parse nothing; others miss the type.",
    mends="It is dropped.",
    protocols=_P,
    before="data: {}",
)
TEXT_TYPE = Rule(
    code="S323",
    name="text-type",
    finds="A delta, or the text that a done event repeats, is null or no string.",
    hurts="Type errors; `undefined` or `null` in the answer.",
    mends="A null delta says nothing and is dropped; a done event's text is what was streamed. "
    "Any other delta is content lost: error.",
    protocols=_P,
    before='{"type":"response.output_text.delta","delta":null, …}',
)
ITEM_ID = Rule(
    code="S324",
    name="item-id",
    finds="An event of an item lacks `item_id`.",
    hurts="The Vercel AI SDK skips the event: text is lost.",
    mends="The item's id is filled in; ids that are there are left alone, whatever they look like.",
    protocols=_P,
    before='{"type":"response.output_text.delta","output_index":0, …}',
    after='{"type":"response.output_text.delta","output_index":0,"item_id":"msg_1", …}',
)
ITEMS_NOT_STREAMED = Rule(
    code="S325",
    name="items-not-streamed",
    finds="The terminal event's output has items, and none of them was streamed.",
    hurts="Codex and the Vercel AI SDK read the stream only: an empty answer.",
    mends="The items' events are written before it.",
    protocols=_P,
    before='{"type":"response.created", …}, {"type":"response.completed", …}',
    after='{"type":"response.created", …}, {"type":"response.output_item.added", …}, …, '
    '{"type":"response.output_item.done", …}, {"type":"response.completed", …}',
)
RESPONSE_INCOMPLETE = Rule(
    code="S326",
    name="response-incomplete",
    finds="A response object lacks id, time, model, or a terminal one its status or output.",
    hurts="SDKs and Codex fail to read the event; the official SDK refuses a changed id.",
    mends="They are filled in from what came before; the first id stays.",
    protocols=_P,
    before='{"type":"response.completed","response":{}}',
    after='{"type":"response.completed","response":{"id":"resp_1","status":"completed", …}}',
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
    PART_INDEX,
    ITEM_REPEATED,
    EVENT_LINE,
    TYPE_MISSING,
    EMPTY_FRAME,
    TEXT_TYPE,
    ITEM_ID,
    ITEMS_NOT_STREAMED,
    RESPONSE_INCOMPLETE,
)
