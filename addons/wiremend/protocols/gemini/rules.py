"""S401 to S449: what goes wrong in Gemini responses, by name.

A whole response and a stream's event are the same object, so these rules serve both.
"""

from wiremend.rules.rule import Rule

_GEMINI = ("gemini",)
_PYTHON = "googleapis/python-genai 3.4.0"
_CLI = "google-gemini/gemini-cli 0.61.0"

COMMENT = Rule(
    code="S401",
    name="comment",
    finds="A comment line such as `: keep-alive`.",
    hurts=(
        'Gemini CLI fails with "Incomplete JSON segment at the end", python-genai with '
        '"Failed to parse response as JSON".'
    ),
    mends="It is dropped; the blank line after it stays and keeps the connection alive.",
    protocols=_GEMINI,
    seen=(_CLI, _PYTHON),
    before=": keep-alive\n\n",
    after="\n",
)
FINISH_REASON_EMPTY = Rule(
    code="S402",
    name="finish-reason-empty",
    finds="`finishReason` is empty, null, unspecified or no name in an event that ends nothing.",
    hurts="Clients take it for the end, or refuse the value.",
    mends="It is removed.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before='{"content":{"parts":[{"text":"Hel"}]},"finishReason":""}',
    after='{"content":{"parts":[{"text":"Hel"}]}}',
)
CONTENT_SHAPE = Rule(
    code="S403",
    name="content-shape",
    finds="`candidates`, `content`, `parts` or a part is null, or one object stands for a list.",
    hurts="SDKs iterate over it: a validation error or a TypeError ends the turn.",
    mends=(
        "Null is removed, one object becomes a list of one; any other type hides content that "
        "nobody can read, so the stream ends in the protocol's error."
    ),
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before='"content":{"parts":{"text":"Hi"}}',
    after='"content":{"parts":[{"text":"Hi"}]}',
)
ARGS_NOT_AN_OBJECT = Rule(
    code="S404",
    name="args-not-an-object",
    finds="A function call's `args` is JSON text or null instead of an object.",
    hurts="SDKs refuse the response, or the tool is called with a string.",
    mends=(
        "Text that holds an object becomes that object, null and empty text become {}; "
        "broken JSON is lost content, so the stream ends in the protocol's error."
    ),
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before='{"functionCall":{"name":"read","args":"{\\"path\\":\\"a\\"}"}}',
    after='{"functionCall":{"name":"read","args":{"path":"a"}}}',
)
CALL_WITHOUT_NAME = Rule(
    code="S405",
    name="call-without-name",
    finds="A function call has no name.",
    hurts='The client cannot tell which tool is meant; Gemini CLI calls "generic_tool".',
    mends=(
        "If the request offers one tool, that one is meant; with several, the stream ends in the "
        "protocol's error."
    ),
    protocols=_GEMINI,
    seen=(_CLI,),
    before='{"functionCall":{"name":"","args":{"city":"Oslo"}}}',
    after='{"functionCall":{"name":"get_weather","args":{"city":"Oslo"}}}',
)
FOREIGN_FRAME = Rule(
    code="S406",
    name="foreign-frame",
    finds="Data that is neither a response nor an error: plain text, frames of other tools.",
    hurts="Clients fail on it: JSON or schema errors kill the turn.",
    mends="It is dropped.",
    protocols=_GEMINI,
    seen=("anomalyco/opencode#36428",),
    before='data: {"tool":"search_files","status":"running"}\n\n',
)
BROKEN_EVENT = Rule(
    code="S407",
    name="broken-event",
    finds="An event's JSON does not parse.",
    hurts="Clients fail, or lose what it said.",
    mends="Content is lost, so the stream ends in the protocol's error.",
    protocols=_GEMINI,
    before='data: {"candidates":[{"content":{"parts":[{"te\n\n',
    after='data: {"error":{"code":502,"message":"…","status":"UNAVAILABLE"}}\n\n',
)
FINISH_REASON_MISSING = Rule(
    code="S408",
    name="finish-reason-missing",
    finds="The stream ends and a candidate has no finish reason.",
    hurts='"Model stream ended without a finish reason": Gemini CLI asks for the turn again.',
    mends="Nothing proves that it is complete, so it ends in the protocol's error.",
    protocols=_GEMINI,
    seen=("google-gemini/gemini-cli#8073", "google-gemini/gemini-cli#7861", _CLI),
    after='data: {"error":{"code":502,"message":"…","status":"UNAVAILABLE"}}\n\n',
)
AFTER_THE_END = Rule(
    code="S409",
    name="after-the-end",
    finds="Data follows an error, or the closing bracket.",
    hurts="Clients parse it and fail.",
    mends="It is dropped.",
    protocols=_GEMINI,
    before='data: {"error":{…}}\n\ndata: {"candidates":[…]}\n\n',
    after='data: {"error":{…}}\n\n',
)
OTHER_LINES = Rule(
    code="S410",
    name="line-other-than-data",
    finds="A line that does not start with `data: `: `event:`, `id:`, `data:` without a space.",
    hurts=(
        'The official SDKs know that one prefix: Gemini CLI fails with "Incomplete JSON segment '
        'at the end", python-genai with "Failed to parse response as JSON".'
    ),
    mends="Data lines get the space, bare JSON becomes a data line, other lines are dropped.",
    protocols=_GEMINI,
    seen=(_PYTHON, _CLI),
    before='event: message\ndata:{"candidates":[…]}\n\n',
    after='data: {"candidates":[…]}\n\n',
)
DONE_MARKER = Rule(
    code="S411",
    name="done-marker",
    finds="`[DONE]`, the end of another protocol's stream.",
    hurts="SDKs parse it as a response and fail.",
    mends="It is dropped; a Gemini stream just ends.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before="data: [DONE]\n\n",
)
EMPTY_FRAME = Rule(
    code="S412",
    name="empty-frame",
    finds="A `data:` line with nothing in it.",
    hurts="SDKs parse the empty text as JSON and fail.",
    mends="It is dropped.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before="data: \n\n",
)
SEVERAL_LINES = Rule(
    code="S413",
    name="data-on-several-lines",
    finds="An event whose data is more than one line to the client that reads it.",
    hurts=(
        'Gemini CLI reads one line up to two equal line ends ("Incomplete JSON segment at the '
        'end"), and U+2028 and U+2029 end a line in JavaScript; python-genai ends one at U+0085 '
        'too ("Failed to parse response as JSON").'
    ),
    mends="For these two the data is put on one line, and the characters are escaped.",
    protocols=_GEMINI,
    seen=(_CLI, _PYTHON),
    before='data: {"candidates":\ndata: [{"index":0}]}\n\n',
    after='data: {"candidates": [{"index":0}]}\n\n',
)
FINISH_REASON_SPELLED = Rule(
    code="S414",
    name="finish-reason-misspelled",
    finds="A `finishReason` in lower case, or the number of its enumeration.",
    hurts="Clients compare exact names: a cut answer passes for a whole one.",
    mends="It becomes the name.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before='"finishReason":"max_tokens"',
    after='"finishReason":"MAX_TOKENS"',
)
CANDIDATE_INDEX = Rule(
    code="S415",
    name="candidate-index",
    finds="A candidate's index is no number, or two candidates of one event share one.",
    hurts="Typed clients refuse it; others mix two answers into one.",
    mends="Text becomes the number, otherwise candidates are numbered by position.",
    protocols=_GEMINI,
    before='"candidates":[{"content":{…}},{"content":{…}}]',
    after='"candidates":[{"content":{…},"index":0},{"content":{…},"index":1}]',
)
RESPONSE_IN_A_LIST = Rule(
    code="S416",
    name="response-in-a-list",
    finds="Responses wrapped in a list of their own: `data: [{…}]`.",
    hurts="SDKs see a response without candidates: an empty answer.",
    mends="The list is taken off.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before='data: [{"candidates":[…]}]\n\n',
    after='data: {"candidates":[…]}\n\n',
)
ARRAY_PUNCTUATION = Rule(
    code="S417",
    name="array-punctuation",
    finds="In a stream without `alt=sse`, a bracket or comma of the array is missing or doubled.",
    hurts="The body is no JSON.",
    mends="It is put right.",
    protocols=_GEMINI,
    before='[{"candidates":[…]}\n{"candidates":[…]}',
    after='[{"candidates":[…]},\r\n{"candidates":[…]}]',
)
STREAMED_ARGUMENTS_CUT = Rule(
    code="S418",
    name="streamed-arguments-cut",
    finds="A function call is to go on (`willContinue`), but its candidate says `STOP`.",
    hurts="The tool runs with half its arguments, or the call is lost.",
    mends="Content is lost, so the stream ends in the protocol's error.",
    protocols=_GEMINI,
    after='data: {"error":{"code":502,"message":"…","status":"UNAVAILABLE"}}\n\n',
)
RULES = (
    COMMENT,
    FINISH_REASON_EMPTY,
    CONTENT_SHAPE,
    ARGS_NOT_AN_OBJECT,
    CALL_WITHOUT_NAME,
    FOREIGN_FRAME,
    BROKEN_EVENT,
    FINISH_REASON_MISSING,
    AFTER_THE_END,
    OTHER_LINES,
    DONE_MARKER,
    EMPTY_FRAME,
    SEVERAL_LINES,
    FINISH_REASON_SPELLED,
    CANDIDATE_INDEX,
    RESPONSE_IN_A_LIST,
    ARRAY_PUNCTUATION,
    STREAMED_ARGUMENTS_CUT,
)
