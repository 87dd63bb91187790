"""The fields that providers refuse, in their own words and envelopes, are found and dropped."""

import json
from typing import Any

import pytest
from wiremend.adapt.lessons import LessonBook
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.engine.actions import Head
from wiremend.engine.transport_errors import error_of_status
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.traits import TargetTraits
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES


def openai(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


def anthropic(message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


def google(message: str) -> dict[str, Any]:
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}


USER: dict[str, Any] = {"role": "user", "content": "Hello"}
REASONED: dict[str, Any] = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}
HISTORY = {"messages": [USER, REASONED, USER]}
PLAIN_HISTORY = {"messages": [USER, {"role": "assistant", "content": "Hi"}, USER]}
MARK = {"cache_control": {"type": "ephemeral"}}
TEXT = {"type": "text", "text": "Hello"}


def tool_result(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    result = {"type": "tool_result", "tool_use_id": "t", "content": list(blocks), **fields}
    return {"messages": [{"role": "user", "content": [result]}]}


PASTED = "Error from the provider 'x y': unknown parameter: 'seed'."

# report, protocol, status, error, request, request without the refused fields
REFUSED: list[tuple[str, Protocol, int, Any, dict[str, Any], dict[str, Any]]] = [
    ("tashfeenahmed/freellmapi#1070", CHAT, 400,
     openai("'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : "
            "property 'reasoning_content' is unsupported)]"),
     HISTORY, PLAIN_HISTORY),
    ("karthink/gptel#774", CHAT, 400,
     openai("'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : "
            "property 'reasoning' is unsupported, did you mean 'role'?)]"),
     {"messages": [USER, {"role": "assistant", "content": "Hi", "reasoning": "Hm."}]},
     {"messages": [USER, {"role": "assistant", "content": "Hi"}]}),
    ("charmbracelet/crush#1590", CHAT, 422,
     {"object": "error", "type": "invalid_request_error", "message": {"detail": [
         {"type": "extra_forbidden", "loc": ["body", "messages", 1, "assistant",
                                             "reasoning_content"],
          "msg": "Extra inputs are not permitted", "input": "Hm."}]}},
     HISTORY, PLAIN_HISTORY),
    ("editor-code-assistant/eca#231", CHAT, 422,
     {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"],
                  "msg": "Extra inputs are not permitted", "input": 5}]},
     {"max_completion_tokens": 5}, {"max_tokens": 5}),
    ("lidge-jun/opencodex#2092", RESPONSES, 400,
     {"detail": "Unsupported parameter: prompt_cache_retention"},
     {"input": "Hello", "prompt_cache_retention": "24h"}, {"input": "Hello"}),
    ("router-for-me/CLIProxyAPI#1028", RESPONSES, 400,
     {"detail": "Unsupported parameter: safety_identifier"},
     {"input": "Hello", "safety_identifier": "u"}, {"input": "Hello"}),
    ("scaleapi/vero#54", RESPONSES, 400,
     openai("Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            param="reasoning.effort", code="unsupported_parameter"),
     {"input": "Hello", "reasoning": {"effort": "low", "summary": "auto"}},
     {"input": "Hello", "reasoning": {"summary": "auto"}}),
    ("anomalyco/opencode#12113", CHAT, 400,
     openai("Unrecognized request argument supplied: reasoning_effort"),
     {"messages": [USER], "reasoning_effort": "low"}, {"messages": [USER]}),
    ("caozhiyuan/copilot-api#241", ANTHROPIC, 400,
     anthropic("messages.0.content.0.tool_result.content.1.cache_control: cache_control may not be "
               "specified within tool_result content blocks"),
     tool_result(TEXT, {**TEXT, **MARK}), tool_result(TEXT, TEXT, **MARK)),
    # Further wordings of the same kinds
    ("ai-dynamo/dynamo#4021", CHAT, 400,
     {"message": "Unsupported parameter(s): `documents`, `add_special_tokens`",
      "type": "Bad Request", "code": 400},
     {"messages": [USER], "documents": [], "add_special_tokens": True}, {"messages": [USER]}),
    ("caozhiyuan/copilot-api#308", RESPONSES, 400,
     openai('{"error":{"message":"Unknown parameter: \'input[1].internal_metadata\'.","code":'
            '"invalid_request_body"}}\n'),
     {"input": [USER, {**USER, "internal_metadata": {}}]}, {"input": [USER, USER]}),
    ("QuantumNous/new-api#418", CHAT, 400,
     openai("Unknown parameter: 'stream_options'. (request id: 20240806214436917505976hvsFC5y2)",
            param="stream_options", code="unknown_parameter"),
     {"messages": [USER], "stream_options": {"include_usage": True}}, {"messages": [USER]}),
    ("BerriAI/litellm#14225", CHAT, 400,
     {"message": "The model returned the following errors: Failed to deserialize the JSON body into"
      " the target type: thinking: unknown field `thinking`, expected one of `messages`, `model`, "
      "`reasoning_effort` at line 1 column 212"},
     {"messages": [USER], "thinking": {"type": "enabled"}, "reasoning_effort": "low"},
     {"messages": [USER], "reasoning_effort": "low"}),
    ("BerriAI/litellm#10108", CHAT, 400,
     openai("litellm.UnsupportedParamsError: openai does not support parameters: "
            "['reasoning_effort'], for model=o4-mini. To drop these, set "
            "`litellm.drop_params=True`"),
     {"messages": [USER], "reasoning_effort": "low"}, {"messages": [USER]}),
    ("huggingface/huggingface.js#2268", CHAT, 400,
     {"message": "user: property 'user' is unsupported", "type": "invalid_request_error",
      "param": "validation_error", "code": "wrong_api_format"},
     {"messages": [USER], "user": "u"}, {"messages": [USER]}),
    ("crmne/ruby_llm#586", ANTHROPIC, 400,
     {"message": "Malformed input request: #/messages/0/content/0: extraneous key [citations] is "
      "not permitted#: extraneous key [context_management] is not permitted, please reformat your "
      "input and try again."},
     {"messages": [{"role": "user", "content": [{**TEXT, "citations": []}]}],
      "context_management": {}},
     {"messages": [{"role": "user", "content": [TEXT]}]}),
    ("googleapis/python-genai#1313", GEMINI, 400,
     google("Invalid JSON payload received. Unknown name \"cached_content\" at "
            "'generation_config': Cannot find field.\nInvalid JSON payload received. Unknown name "
            "\"thinkingConfig\" at 'generation_config': Cannot find field."),
     {"contents": [], "generationConfig": {"cachedContent": "c", "thinkingConfig": {}, "topK": 1}},
     {"contents": [], "generationConfig": {"topK": 1}}),
    ("vllm-project/vllm", CHAT, 400,
     openai("[{'type': 'extra_forbidden', 'loc': ('body', 'enable_thinking'), 'msg': 'Extra inputs "
            "are not permitted', 'input': True}]"),
     {"messages": [USER], "enable_thinking": True}, {"messages": [USER]}),
    ("JSON Schema", CHAT, 400,
     openai("Additional properties are not allowed ('service_tier', 'user' were unexpected) - "
            "'body'"),
     {"messages": [USER], "service_tier": "auto", "user": "u"}, {"messages": [USER]}),
    ("zod", CHAT, 400,
     openai('[{"code":"unrecognized_keys","keys":["cache_control"],"path":["messages",0],'
            '"message":"Unrecognized key(s) in object: \'cache_control\'"}]'),
     {"messages": [{**USER, **MARK}]}, {"messages": [USER]}),
    ("Go's decoder", CHAT, 400,
     openai('json: unknown field "stream_options"'),
     {"messages": [USER], "stream_options": {}}, {"messages": [USER]}),
    ("FastAPI", ANTHROPIC, 422,
     {"detail": [
         {"type": "extra_forbidden", "loc": ["body", "thinking"], "msg": "Extra inputs are not "
          "permitted"},
         {"type": "extra_forbidden", "loc": ["body", "messages", 0, "UserMessage", "cache_control"],
          "msg": "Extra inputs are not permitted"}]},
     {"messages": [{**USER, **MARK}], "thinking": {}}, {"messages": [USER]}),
    ("a status for what is missing", CHAT, 404,
     openai("The parameter `reasoning_effort` is not supported by this model."),
     {"messages": [USER], "reasoning_effort": "low"}, {"messages": [USER]}),
    ("a name without its path", ANTHROPIC, 400,
     anthropic("`user_id` is not supported"),
     {"messages": [USER], "metadata": {"user_id": "u", "a": 1}},
     {"messages": [USER], "metadata": {"a": 1}}),
    ("the error's own parameter only", CHAT, 400,
     openai("This is not supported with the requested model.", param="logit_bias",
            code="unsupported_parameter"),
     {"messages": [USER], "logit_bias": {}}, {"messages": [USER]}),
    ("a tool's member", RESPONSES, 400,
     openai("Unknown parameter: 'tools[0].cache_control'.", param="tools[0].cache_control"),
     {"input": "Hi", "tools": [{"type": "function", "name": "x", "parameters": {"type": "object",
      "properties": {}}, **MARK}]},
     {"input": "Hi", "tools": [{"type": "function", "name": "x", "parameters": {"type": "object",
      "properties": {}}}]}),
    ("a deep path", ANTHROPIC, 400,
     anthropic("messages.0.content.0.tool_result.content.1.citations: Extra inputs are not "
               "permitted"),
     tool_result(TEXT, {**TEXT, "citations": []}), tool_result(TEXT, TEXT)),
    ("a path inside Code Assist's envelope", GEMINI, 400,
     google("Invalid JSON payload received. Unknown name \"labels\" at 'request': Cannot find "
            "field."),
     {"model": "m", "request": {"contents": [], "labels": {}}},
     {"model": "m", "request": {"contents": []}}),
    ("anthropics/claude-code#30760", ANTHROPIC, 400,
     anthropic("This model does not support the effort parameter."),
     {"messages": [USER], "output_config": {"effort": "high", "format": {"type": "x"}}},
     {"messages": [USER], "output_config": {"format": {"type": "x"}}}),
    ("Gitlawb/openclaude#1371", CHAT, 400, openai('"llama3.1:8b" does not support thinking'),
     {"messages": [USER], "reasoning_effort": "high"}, {"messages": [USER]}),
    ("Gitlawb/openclaude#1371, at Ollama's other endpoint", ANTHROPIC, 400,
     anthropic('"llama3.1:8b" does not support thinking'),
     {"messages": [USER], "thinking": {"type": "adaptive"}}, {"messages": [USER]}),
    ("lobehub/lobehub#7985", GEMINI, 400, google("Thinking is not enabled for models/gemini-x"),
     {"contents": [], "generationConfig": {"topK": 1, "thinkingConfig": {"includeThoughts": True}}},
     {"contents": [], "generationConfig": {"topK": 1}}),
    ("googleapis/js-genai#681", GEMINI, 400,
     google("Unable to submit request because thinking is not supported by this model. Learn more"),
     {"request": {"contents": [], "generationConfig": {"topK": 1, "thinkingConfig": {}}}},
     {"request": {"contents": [], "generationConfig": {"topK": 1}}}),
    ("yym68686/uni-api#105", CHAT, 400,
     {"code": "Client specified an invalid argument",
      "error": "Argument not supported on this model: presencePenalty"},
     {"messages": [USER], "presence_penalty": 1}, {"messages": [USER]}),
    ("vercel/ai#15664", GEMINI, 400,
     google("Invalid JSON payload received. Unknown name \"id\" at 'contents[0].parts[0]."
            "function_call': Cannot find field.\nInvalid JSON payload received. Unknown name "
            "\"id\" at 'contents[1].parts[0].function_response': Cannot find field."),
     {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "id": "1"}}]},
                   {"parts": [{"functionResponse": {"name": "f", "id": "1", "response": {}}}]}]},
     {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
                   {"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]}),
    ("an error that the user has pasted", CHAT, 400, openai(PASTED),
     {"messages": [{**USER, "content": PASTED}], "seed": 1},
     {"messages": [{**USER, "content": PASTED}]}),
]  # fmt: skip


def sending(protocol: Protocol, body: dict[str, Any], book: LessonBook) -> AdaptedRequests:
    document = RequestDocument.of(protocol, "/", json.dumps(body).encode())
    requests = AdaptedRequests(book)
    requests.add(OutgoingRequest("p", "m", "https", "p.example", 443, document), TargetTraits())
    return requests


@pytest.mark.parametrize(
    ("protocol", "status", "error", "before", "after"),
    [pytest.param(*row[1:], id=row[0]) for row in REFUSED],
)
def test_a_refused_field_is_dropped_whatever_the_words(
    protocol: Protocol, status: int, error: Any, before: dict[str, Any], after: dict[str, Any]
) -> None:
    book = LessonBook()
    requests = sending(protocol, before, book)
    assert json.loads(requests.at(0).request.body) == before
    refusal = error_of_status(Head(status, ()), json.dumps(error).encode())
    assert [finding.code for finding in requests.amend(0, refusal)] == ["T301"]
    assert json.loads(requests.at(0).request.body) == after
    requests.accepted(0)
    assert json.loads(sending(protocol, before, book).at(0).request.body) == after


NOTHING_REFUSED = [
    ("a value", CHAT,
     openai("Unsupported value: 'verbosity' does not support 'high' with this model.",
            param="verbosity", code="unsupported_value"),
     {"messages": [USER], "verbosity": "high"}),
    ("a member of a list of values", CHAT,
     openai("'service_tier' should be one of 'auto', 'default'", param="service_tier"),
     {"messages": [USER], "service_tier": "flex"}),
    ("a name in two kinds of places", ANTHROPIC,
     anthropic("`cache_control` is not supported"),
     {"system": [{**TEXT, **MARK}], "messages": [{**USER, **MARK}]}),
    ("a name in a tool's arguments", ANTHROPIC,
     anthropic("unknown field `secret`"),
     {"messages": [{"role": "assistant", "content": [
         {"type": "tool_use", "id": "t", "name": "x", "input": {"secret": 1}}]}]}),
    ("a missing field", CHAT,
     {"detail": [{"type": "missing", "loc": ["body", "seed"], "msg": "Field required"}]},
     {"messages": [USER], "seed": 1}),
    *(
        ("what the model writes", CHAT, openai(message), {"messages": [{**USER, "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]}]})
        for message in (
            "This model does not support image generation.",
            "gpt-5-codex does not support image_generation tool calls",
            "The deployment doesn't support image output",
            "This endpoint does not support image editing",
        )
    ),
    *(
        ("a prompt that the error quotes", CHAT, openai(message),
         {"messages": [{**USER, "content": "Explain this: unknown parameter: 'seed'. Also say why "
                        "`temperature` is deprecated for this model"}],
          "seed": 1, "temperature": 0.5})
        for message in (
            "Prompt blocked: \"Explain this: unknown parameter: 'seed'. Also say why `temperature` "
            "is deprecated for this model\" violates our usage policy.",
            "[{'type': 'string_too_long', 'msg': 'String should have at most 9 characters', "
            "'input': \"Explain this: unknown parameter: 'seed'. Also say why `temperature` is"
            "...\"}]",
        )
    ),
    ("a keyword of a schema", CHAT,
     openai("Invalid schema for response_format 'x': In context=('properties', 'a'), 'metadata' is "
            "not permitted."),
     {"messages": [USER], "metadata": {}}),
    ("the messages themselves", CHAT,
     openai("Unrecognized request argument supplied: messages"), {"messages": [USER]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "error", "body"),
    [pytest.param(*row[1:], id=row[0]) for row in NOTHING_REFUSED],
)
def test_an_error_that_refuses_no_droppable_field_changes_nothing(
    protocol: Protocol, error: Any, body: dict[str, Any]
) -> None:
    requests = sending(protocol, body, LessonBook())
    refusal = error_of_status(Head(400, ()), json.dumps(error).encode())
    assert requests.amend(0, refusal) == []
