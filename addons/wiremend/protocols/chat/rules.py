"""S2: what goes wrong in Chat Completions streams, by name."""

from wiremend.rules.rule import Rule

_P = ("chat-completions",)

CALL_INDEX = Rule(
    "S201",
    "tool-call-index",
    "`tool_calls[].index` is missing, null, a string, not from 0, or always 0 for new calls.",
    'AI_TypeValidationError; arguments of several calls are glued: `{"a":1}{"b":2}`.',
    "Calls are numbered 0, 1, 2 … by id, else by position; a fragment follows its call.",
    _P,
    ("openai/openai-python#3246", "vercel/ai#14277", "ollama/ollama#7881"),
    '{"tool_calls":[{"id":"call_1","function":{"name":"a","arguments":"{}"}}]}',
    '{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{…}}]}',
)
CALL_INCOMPLETE = Rule(
    "S202",
    "tool-call-incomplete",
    "A call opens without id or type, or its arguments are missing.",
    "`Expected 'id' to be a string`.",
    "They are filled in.",
    _P,
    ("vercel/ai#14722",),
)
CALL_NAME_LATE = Rule(
    "S203",
    "tool-call-name-late",
    "A call's name is missing, null or empty when it opens, and comes later or never.",
    "`Expected 'function.name' to be a string`.",
    "The call waits for its name; without one the request's only tool is meant, else: error.",
    _P,
    ("vercel/ai#14722", "anomalyco/opencode#24137"),
)
ORPHAN_FRAGMENT = Rule(
    "S204",
    "orphan-fragment",
    "Arguments arrive under an index that no call opened, without id or name.",
    "Schema errors, or a call without a name.",
    "They belong to the last call; without any call: error.",
    _P,
    ("dirac-run/dirac#215",),
)
ARGUMENTS_AS_OBJECT = Rule(
    "S205",
    "arguments-as-object",
    "A call's arguments are an object instead of JSON text.",
    "SDKs concatenate strings: TypeError.",
    "They become their JSON text.",
    _P,
)
ARGUMENTS_EMPTY = Rule(
    "S206",
    "arguments-empty",
    "A call of a tool without parameters ends with empty arguments.",
    "`JSON.parse('')` fails, the tool is never run.",
    "`{}` is added before the finish reason.",
    _P,
    ("vercel/ai#6687", "openai/openai-agents-js#664"),
)
ARGUMENTS_BROKEN = Rule(
    "S207",
    "arguments-broken",
    "A call's arguments are broken or truncated although the finish reason says all is well.",
    "The tool runs with half its arguments, or the agent stops.",
    "Content is lost: the stream ends in the protocol's error.",
    _P,
)
FINISH_REASON_CONTRADICTS = Rule(
    "S208",
    "finish-reason-contradicts",
    "`stop` although tools are called, or `tool_calls` although none is.",
    "The agent stops silently after its first call, or waits for ever.",
    "The reason follows the calls; `length`, `content_filter` and others are never touched.",
    _P,
    ("anomalyco/opencode#14972", "anomalyco/opencode#5139"),
)
FINISH_REASON_EMPTY = Rule(
    "S209",
    "finish-reason-empty",
    'A finish reason is an empty string (`""`) in a chunk that finishes nothing.',
    "Clients take it for the end.",
    "It becomes null.",
    _P,
)
FINISH_REASON_MISSING = Rule(
    "S210",
    "finish-reason-missing",
    "`[DONE]` comes without a finish reason.",
    "The message is never closed, or read as cut.",
    "`tool_calls` or `stop`, by what was sent; the provider did say that it is done. After text "
    "that is no JSON, which may have told of a failure: error.",
    _P,
    ("router-for-me/CLIProxyAPI#4745",),
)
FINISH_REASON_REPEATED = Rule(
    "S211",
    "finish-reason-repeated",
    "A choice has a second finish reason although no call came since the first.",
    "A second end: duplicated tool calls, or `stop` over `tool_calls`.",
    "It becomes null.",
    _P,
)
DONE_MISSING = Rule(
    "S212",
    "done-missing",
    "The stream ends after its finish reason without `[DONE]`, or with blanks around it.",
    "Some clients wait, or report a cut stream; `[DONE] ` is parsed as JSON.",
    "The answer is complete: it is added, or written as it should be.",
    _P,
)
AFTER_THE_END = Rule(
    "S213",
    "after-the-end",
    "Something follows `[DONE]` or an error: chunks, or a second `[DONE]`.",
    "Parser errors.",
    "It is dropped.",
    _P,
    ("router-for-me/CLIProxyAPI#4783",),
)
CHUNK_INCOMPLETE = Rule(
    "S214",
    "chunk-incomplete",
    "`choices`, `delta` (or `message` in its place), `object` or an index is missing or null, or "
    "`created` is no integer.",
    "Zod, serde and pydantic schemas refuse the chunk.",
    "They are filled in.",
    _P,
    ("anomalyco/opencode#28427",),
)
ROLE_EMPTY = Rule(
    "S215",
    "role-empty",
    'A delta\'s role is `""` or not `assistant`.',
    "Schemas allow only `assistant`.",
    "It becomes `assistant`.",
    _P,
    ("anomalyco/opencode#28427",),
)
FOREIGN_FRAME = Rule(
    "S216",
    "foreign-frame",
    "Data that is no chunk and no error.",
    "`invalid_union` kills the turn.",
    "It is dropped.",
    _P,
    ("anomalyco/opencode#36428",),
)
BROKEN_EVENT = Rule(
    "S217",
    "broken-event",
    "A chunk's JSON does not parse.",
    "Clients fail, or skip it and lose content.",
    "Content is lost: the stream ends in the protocol's error.",
    _P,
)
CALL_REPEATED = Rule(
    "S218",
    "tool-call-repeated",
    "A call's later fragments bear its id and name again, or a new id each.",
    "openai-python joins them: a tool `get_weatherget_weather` that nobody has.",
    "The first fragment has them, later ones do not.",
    _P,
    ("openai/openai-python#3246",),
)
ERROR_NULL = Rule(
    "S219",
    "error-null",
    'A chunk says `"error": null` beside its choices.',
    "@ai-sdk/openai-compatible takes every chunk with that key for an error, and drops its text.",
    "The key is removed.",
    _P,
)
FINISH_REASON_FOREIGN = Rule(
    "S220",
    "finish-reason-foreign",
    "A finish reason has its name from another protocol (`tool_use`, `end_turn`, `max_tokens`), or "
    "is written in capitals.",
    "Clients do not know it: the agent stops after its first call, or goes on after its last word, "
    "and a cut answer looks whole.",
    "It gets this protocol's name.",
    _P,
    ("aws-samples/bedrock-access-gateway#11", "Tencent/WeKnora#1868"),
)
RULES = (
    CALL_INDEX,
    CALL_INCOMPLETE,
    CALL_NAME_LATE,
    ORPHAN_FRAGMENT,
    ARGUMENTS_AS_OBJECT,
    ARGUMENTS_EMPTY,
    ARGUMENTS_BROKEN,
    FINISH_REASON_CONTRADICTS,
    FINISH_REASON_EMPTY,
    FINISH_REASON_MISSING,
    FINISH_REASON_REPEATED,
    DONE_MISSING,
    AFTER_THE_END,
    CHUNK_INCOMPLETE,
    ROLE_EMPTY,
    FOREIGN_FRAME,
    BROKEN_EVENT,
    CALL_REPEATED,
    ERROR_NULL,
    FINISH_REASON_FOREIGN,
)
