"""The X rules: what a translated request or answer loses, one rule for each kind of loss."""

from collections.abc import Mapping, Sequence

from wiremend.protocols.base.middle.losses import Loss, LossKind
from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import BodyPlace, CallPlace, Notes, Rule

_ALL = tuple(WireProtocol)

REFUSED = Rule(
    code="X100",
    name="not-translatable",
    detects="A request to a provider of another protocol depends on something that this provider "
    "cannot do: kept state, several answers, a forced tool of the client's own provider.",
    impact="Without it, the request has another meaning.",
    action="Answers with status 400 in the client's protocol; the message names what cannot be "
    "carried. Nothing is sent.",
    protocols=_ALL,
    seen=("envoyproxy/ai-gateway#2467",),
    before='{"input":"Go on.","previous_response_id":"resp_1"}',
    after='{"error":{"message":"previous_response_id cannot be translated for this provider: …"}}',
)
_RULES: Mapping[LossKind, Rule] = {
    LossKind.FIELD: Rule(
        code="X101",
        name="field-not-carried",
        detects="A member of a translated request exists only in the client's protocol.",
        impact="Providers reject unknown members, or ignore them.",
        action="Leaves it out.",
        protocols=_ALL,
        before='{"service_tier":"auto", …}',
        after="{…}",
    ),
    LossKind.PARAMETER: Rule(
        code="X102",
        name="parameter-not-carried",
        detects="A parameter of a translated request has no counterpart in the target's protocol.",
        impact="The request is rejected: `Unsupported parameter`.",
        action="Leaves it out.",
        protocols=_ALL,
        before='{"top_k":40, …}',
        after="{…}",
    ),
    LossKind.ADJUSTED: Rule(
        code="X103",
        name="parameter-adjusted",
        detects="A parameter of a translated request has a value that the target does not accept, "
        "alone or beside another one.",
        impact="The request is rejected: `temperature: range: 0..1`, `Thinking may not be enabled "
        "when tool_choice forces tool use`.",
        action="Sends the nearest accepted value, or leaves the parameter out.",
        protocols=_ALL,
        seen=("router-for-me/CLIProxyAPI#4071", "farion1231/cc-switch#4239"),
        before='{"temperature":1.5, …}',
        after='{"temperature":1, …}',
    ),
    LossKind.MEDIA: Rule(
        code="X104",
        name="media-not-carried",
        detects="A translated request contains an image or document that the target does not "
        "accept.",
        impact="The request is rejected, or the model answers about an image that it never saw.",
        action="Sends a note to the model instead, with the type and size of what is missing.",
        protocols=_ALL,
        seen=("router-for-me/CLIProxyAPI#4765", "BerriAI/litellm#20403"),
        before='{"type":"image","source":{"type":"base64","media_type":"image/png","data":"…"}}',
        after="[image/png, 12 kB: this model takes no images]",
    ),
    LossKind.ERROR_FLAG: Rule(
        code="X105",
        name="error-flag-as-text",
        detects="A tool result is marked as failed, which the target's protocol cannot express.",
        impact="The model takes the error for a result.",
        action="Puts `Error: ` before the text unless it begins with the word.",
        protocols=_ALL,
        before='{"type":"tool_result","tool_use_id":"toolu_1","content":"no file","is_error":true}',
        after='{"role":"tool","tool_call_id":"toolu_1","content":"Error: no file"}',
    ),
    LossKind.REASONING: Rule(
        code="X106",
        name="reasoning-not-carried",
        detects="The history of a translated request contains reasoning that another provider or "
        "model issued, or none where the provider requires it.",
        impact="Providers reject state that they did not issue: `Invalid signature in thinking "
        "block`. Each further turn fails.",
        action="Leaves the reasoning out; texts, calls and results stay. A required one is "
        "replaced by the placeholder that the provider accepts.",
        protocols=_ALL,
        seen=("router-for-me/CLIProxyAPI#1584", "router-for-me/CLIProxyAPI#3961"),
        before='{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"Eq…"},'
        '{"type":"text","text":"Hi"}]}',
        after='{"role":"assistant","content":"Hi"}',
    ),
    LossKind.SERVER_TOOL: Rule(
        code="X107",
        name="server-tool-not-carried",
        detects="A translated request offers a tool that only the client's own provider runs, or "
        "its history contains calls of one.",
        impact="The target does not know the tool, and rejects calls without a definition.",
        action="Leaves the tool out beside others; its earlier calls and results become text.",
        protocols=_ALL,
        seen=("envoyproxy/ai-gateway#2467",),
        before='"tools":[{"name":"read", …},{"type":"web_search_20250305","name":"web_search"}]',
        after='"tools":[{"type":"function","function":{"name":"read", …}}]',
    ),
    LossKind.TOOL: Rule(
        code="X108",
        name="tool-in-another-form",
        detects="A tool of a translated request has a form that the target's protocol lacks: free "
        "text, a grammar, a vendor's own tool, a namespace.",
        impact="The tool is missing, or its calls are not found by the client: `unsupported call`.",
        action="Sends it as a function, and restores its form in the answer.",
        protocols=_ALL,
        seen=("router-for-me/CLIProxyAPI#5753",),
        before='{"type":"custom","custom":{"name":"patch"}}',
        after='{"name":"patch","input_schema":{"type":"object","properties":{"input":'
        '{"type":"string"}}, …}}',
    ),
    LossKind.CHOICE: Rule(
        code="X109",
        name="tool-choice-not-carried",
        detects="The choice of tools in a translated request cannot be expressed for the target.",
        impact="The request is rejected.",
        action="Sends the nearest choice.",
        protocols=_ALL,
        before='"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto", …}}',
        after="…",
    ),
    LossKind.POSITION: Rule(
        code="X110",
        name="content-moved",
        detects="A translated request has system text, media or results at a place where the "
        "target does not accept them.",
        impact="The request is rejected: `tool_calls must be followed by tool messages`.",
        action="Moves it behind the results, or sends system text as a reminder in a user message. "
        "Nothing is dropped.",
        protocols=_ALL,
        seen=("router-for-me/CLIProxyAPI#3366", "router-for-me/CLIProxyAPI#5039"),
        before='{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":'
        '[{"type":"image", …}]},{"type":"tool_result","tool_use_id":"toolu_2","content":"ok"}]}',
        after='{"role":"tool", …},{"role":"tool", …},{"role":"user","content":['
        '{"type":"image_url", …}]}',
    ),
    LossKind.HISTORY: Rule(
        code="X111",
        name="history-completed",
        detects="In a translated request, a call has no result, a result has no call or comes "
        "twice, or arguments are not JSON.",
        impact="The request is rejected, and so is each further turn.",
        action="Adds a result that reports the interruption; leaves out the second one of two "
        "equal results; sends other results and arguments as text.",
        protocols=_ALL,
        seen=("router-for-me/CLIProxyAPI#5375",),
        before='{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_0","content":"ok"}]}',
        after='{"role":"user","content":"[result of the unknown call "toolu_0"]\n\nok"}',
    ),
    LossKind.FORMAT: Rule(
        code="X112",
        name="output-format-not-carried",
        detects="A translated request asks for structured output in a way that the target lacks.",
        impact="The request is rejected, or the answer is not JSON.",
        action="Asks for it in the system text.",
        protocols=_ALL,
        seen=("router-for-me/CLIProxyAPI#4802",),
        before='"response_format":{"type":"json_object"}',
        after='"system":[{"type":"text","text":"Answer with a single JSON object, without any '
        'other text."}]',
    ),
    LossKind.CONTENT: Rule(
        code="X113",
        name="content-not-carried",
        detects="A message of a translated request has content that only the client's protocol "
        "has.",
        impact="The request is rejected.",
        action="Sends it as text if it can be read as such; else leaves it out.",
        protocols=_ALL,
        before='{"type":"search_result","source":"https://a","title":"A","content":[…]}',
        after='{"type":"text","text":"A\\nhttps://a\\n…"}',
    ),
    LossKind.ANSWER_CONTENT: Rule(
        code="X201",
        name="answer-content-not-carried",
        detects="A translated answer has content that the client's protocol lacks.",
        impact="The client fails on a block of an unknown type.",
        action="Leaves it out.",
        protocols=_ALL,
        before='"delta":{"images":[{"type":"image_url", …}]}',
        after="…",
    ),
    LossKind.ANSWER_STATE: Rule(
        code="X202",
        name="answer-state-not-carried",
        detects="The reasoning state in a translated answer is too large to be returned by the "
        "client, or the client has no place for it: behind the last text of a message.",
        impact="The next turn has no reasoning of this one.",
        action="Leaves the state out; the text of the reasoning stays.",
        protocols=_ALL,
        before='"signature":"(300 kB)"',
        after='"signature":""',
    ),
    LossKind.ANSWER_CALL: Rule(
        code="X203",
        name="answer-call-changed",
        detects="A call in a translated answer had to be changed for the client.",
        impact="The client cannot read the call.",
        action="Writes the call in the client's form.",
        protocols=_ALL,
        before='"function":{"name":"patch","arguments":"{\\"input\\":\\"x\\"}"}',
        after='"custom":{"name":"patch","input":"x"}',
    ),
    LossKind.ANSWER_STOP: Rule(
        code="X204",
        name="stop-reason-not-carried",
        detects="A translated answer ended for a reason that the client's protocol lacks.",
        impact="The client fails on an unknown stop reason.",
        action="Writes the nearest one.",
        protocols=_ALL,
        before='"stop_reason":"pause_turn"',
        after='"finish_reason":"stop"',
    ),
    LossKind.ANSWER_USAGE: Rule(
        code="X205",
        name="answer-usage-estimated",
        detects="A translated answer has no counts of tokens.",
        impact="Clients take an answer without counts for an empty one, and never compact the "
        "conversation.",
        action="Estimates the output: the bytes of text divided by four. The prompt is estimated "
        "as for M005.",
        protocols=_ALL,
        before='{"choices":[…]}',
        after='"usage":{"input_tokens":1200,"output_tokens":40}',
    ),
}
RULES = tuple(_RULES.values())
CODES_OF_LOSSES = frozenset(rule.code for rule in RULES)


def note_losses(losses: Sequence[Loss], notes: Notes) -> None:
    """Record losses as findings, at their place in the client's request or in the response."""
    for loss in losses:
        place = CallPlace.RESPONSE if loss.path is None else BodyPlace(loss.path)
        notes.note(_RULES[loss.kind], place, loss.found, loss.done)
