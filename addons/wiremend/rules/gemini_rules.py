"""S4: what goes wrong in Gemini streams, by name."""

from wiremend.rules.finding import Rule

_P = ("gemini",)

COMMENT = Rule(
    "S401",
    "comment",
    "A comment line such as `: keep-alive`.",
    'Gemini CLI\'s parser fails: "Incomplete JSON segment at the end".',
    "A blank line takes its place.",
    _P,
    (),
    ": keep-alive",
    "(a blank line)",
)
FINISH_REASON_EMPTY = Rule(
    "S402",
    "finish-reason-empty",
    "`finishReason` is an empty string or null in an event that finishes nothing.",
    "Clients take it for the end, or refuse the value.",
    "It is removed.",
    _P,
)
CONTENT_NULL = Rule(
    "S403",
    "content-null",
    "`candidates` or `parts` is null, or `parts` is one object instead of a list.",
    "SDKs iterate over it: TypeError.",
    "Null is removed, one part becomes a list of one.",
    _P,
)
ARGS_NOT_AN_OBJECT = Rule(
    "S404",
    "args-not-an-object",
    "A function call's `args` is JSON text or null instead of an object.",
    "The tool is called with a string, or the schema refuses it.",
    "Text that holds an object becomes it, null becomes {}.",
    _P,
)
CALL_WITHOUT_NAME = Rule(
    "S405",
    "call-without-name",
    "A function call has no name.",
    "The client cannot tell which tool is meant.",
    "The request's only tool is meant; with several: error.",
    _P,
)
FOREIGN_FRAME = Rule(
    "S406",
    "foreign-frame",
    "Data that is no response and no error: `[DONE]`, frames of other tools.",
    "JSON or schema errors.",
    "It is dropped.",
    _P,
    ("anomalyco/opencode#36428",),
)
BROKEN_EVENT = Rule(
    "S407",
    "broken-event",
    "An event's JSON does not parse.",
    "Clients fail, or lose content.",
    "Content is lost: the stream ends in the protocol's error.",
    _P,
)
FINISH_REASON_MISSING = Rule(
    "S408",
    "finish-reason-missing",
    "The stream ends and no candidate has a finish reason.",
    '"Model stream ended without a finish reason"; the whole turn is asked again.',
    "Nothing proves that it is complete: the stream ends in the protocol's error.",
    _P,
    ("google-gemini/gemini-cli#8073", "google-gemini/gemini-cli#7861"),
)
AFTER_THE_END = Rule(
    "S409",
    "after-the-end",
    "Events follow an error.",
    "Parser errors.",
    "They are dropped.",
    _P,
)
RULES = (
    COMMENT,
    FINISH_REASON_EMPTY,
    CONTENT_NULL,
    ARGS_NOT_AN_OBJECT,
    CALL_WITHOUT_NAME,
    FOREIGN_FRAME,
    BROKEN_EVENT,
    FINISH_REASON_MISSING,
    AFTER_THE_END,
)
