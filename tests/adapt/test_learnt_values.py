"""Values and histories that providers refuse: each is repaired after the words of the refusal.

Nothing is known of the host. It refuses in real words until the request is right. The table is
grouped by fault; most words are from reports, which stand beside them.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
from engine.test_call_machine import SSE, Conversation
from wiremend.adapt.learnable_traits import LEARNABLE_TRAITS
from wiremend.adapt.lessons import LessonBook
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.engine.actions import Head, StartAttempt
from wiremend.engine.call import Target
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.history import adapt_history
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.traits import SHORT_CALL_IDS, CallIdLimit, TargetTraits
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.rules.rule import Notes

type Words = str | dict[str, Any]

ASK = {"role": "user", "content": "Hello"}
LONG_KEY = "cron_openclaw-53df86b4-cfe9-4043-a394-f655d1c4f361_20260622_120024"
EPHEMERAL = {"type": "ephemeral"}


def picture(data: str = "aGk=") -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": data}
    return {"type": "image", "source": source}


def chat_picture(data: str = "aGk=") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def marked(words: str, **mark: str) -> dict[str, Any]:
    return {**text(words), "cache_control": {**EPHEMERAL, **mark}}


def use(call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "ls", "input": arguments}


def result(call_id: str, content: Any = "ok") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def chat_call(arguments: Any, call_id: str = "c") -> dict[str, Any]:
    function = {"name": "ls", "arguments": arguments}
    call = {"id": call_id, "type": "function", "function": function}
    return {"role": "assistant", "tool_calls": [call]}


def renamed(call_id: str, occurrence: int) -> str:
    """Return the id of a call whose id occurred before."""
    return f"call_{sha256(f'{call_id}#{occurrence}'.encode()).hexdigest()[:24]}"


def chat_result(call_id: str = "c") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "ok"}


UNSUPPORTED = "(an image was left out: the model accepts only text)"
TOO_MANY = "(an image was left out: the conversation has too many images)"
TOO_LARGE = "(an image was left out: it is too large)"
REFUSED = "(an image was left out: the provider rejected it)"
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s" * 100}
CLAUDE_TOOL = {"type": "tool", "name": "f"}
CHAT_TOOL = {"type": "function", "function": {"name": "f"}}
MARKS = [marked(letter) for letter in "abcde"]


SECOND = renamed("terminal:0", 2)
NINE = SHORT_CALL_IDS.fit("call_1234567890")


@dataclass(frozen=True)
class Fault:
    """A request, the words in which providers refuse it, and the request that they accept."""

    name: str
    protocol: Protocol
    before: dict[str, Any]
    after: dict[str, Any]
    words: dict[str, Words]
    """By report, or by the place of the documentation."""
    is_stored: bool = True
    """Whether the next request of this kind is right at once."""
    status: int = 400


FAULTS = [
    Fault("thinking with a budget", ANTHROPIC,
        {"thinking": {"type": "enabled", "budget_tokens": 31999}, "max_tokens": 32000},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
         "max_tokens": 32000},
        {"Kilo-Org/kilocode#12526":
            '"thinking.type.enabled" is not supported for this model. Use '
            '"thinking.type.adaptive" and "output_config.effort" to control thinking behavior.',
         "Amazon Bedrock behind a gateway":
            "The model returned the following errors: thinking.type.enabled: is not supported. "
            "Use thinking.type.adaptive",
         "docs.anthropic.com, migration":
            "`budget_tokens` is not supported for this model. Use adaptive thinking instead.",
         "a validator of unions":
            "thinking: Input tag 'enabled' found using 'type' does not match any of the expected "
            "tags: 'adaptive', 'disabled'"}),
    Fault("a small budget beside a format", ANTHROPIC,
        {"thinking": {"type": "enabled", "budget_tokens": 2048}, "output_config": {"format": 1}},
        {"thinking": {"type": "adaptive"}, "output_config": {"format": 1, "effort": "low"}},
        {"openclaw/openclaw#117871": '"thinking.type.enabled" is not supported for this model.'}),
    Fault("an effort that is set stays", ANTHROPIC,
        {"thinking": {"type": "enabled", "budget_tokens": 9}, "output_config": {"effort": "max"}},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        {"anomalyco/opencode#23007": '"thinking.type.enabled" is not supported for this model.'}),
    Fault("thinking with a budget in Chat Completions", CHAT,
        {"thinking": {"type": "enabled", "budget_tokens": 8000}},
        {"thinking": {"type": "adaptive"}, "reasoning_effort": "medium"},
        {"a gateway to Claude": '"thinking.type.enabled" is not supported for this model.'}),
    Fault("adaptive thinking", ANTHROPIC,
        {"max_tokens": 64000, "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        {"max_tokens": 64000, "thinking": {"type": "enabled", "budget_tokens": 32000}},
        {"docker/docker-agent#3362": "adaptive thinking is not supported on this model",
         "BerriAI/litellm, Bedrock":
            "thinking: Input tag 'adaptive' found using 'type' does not match any of the expected "
            "tags: 'disabled', 'enabled'",
         "in the words of the newer models":
            '"thinking.type.adaptive" is not supported for this model.'}),
    Fault("adaptive thinking without room for a budget", ANTHROPIC,
        {"max_tokens": 1500, "thinking": {"type": "adaptive"}},
        {"max_tokens": 1500},
        {"mnfst/llm-gateway#1908": "adaptive thinking is not supported on this model"}),
    Fault("an effort that the model does not have", CHAT,
        {"model": "m", "reasoning_effort": "xhigh"},
        {"model": "m", "reasoning_effort": "high"},
        {"router-for-me/CLIProxyAPI#1572":
            "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), "
            "'msg': \"Input should be 'low', 'medium' or 'high'\", 'input': 'xhigh', 'ctx': "
            "{'expected': \"'low', 'medium' or 'high'\"}}",
         "router-for-me/CLIProxyAPI#1307":
            "Validation error for `reasoning_effort`: expected one of `'low' | 'medium' | 'high'`, "
            "received `'xhigh'`.",
         "OpenAI":
            {"error": {"message": "Unsupported value: 'xhigh' is not supported with the 'gpt-5' "
                       "model. Supported values are: 'minimal', 'low', 'medium', and 'high'.",
                       "type": "invalid_request_error", "param": "reasoning_effort",
                       "code": "unsupported_value"}},
         "by the member that it names":
            {"error": {"message": "'reasoning_effort' should be one of 'low', 'medium', 'high'",
                       "param": "reasoning_effort"}},
         "serde":
            "reasoning_effort: unknown variant `xhigh`, expected one of `low`, `medium`, `high` at "
            "line 1 column 90"}),
    Fault("the highest effort", CHAT,
        {"model": "m", "reasoning_effort": "max"},
        {"model": "m", "reasoning_effort": "xhigh"},
        {"nguyenphutrong/quotio#287":
            'level "max" not supported, valid levels: low, medium, high, xhigh'}),
    Fault("an effort between two others", CHAT,
        {"model": "m", "reasoning": {"effort": "medium"}},
        {"model": "m", "reasoning": {"effort": "high"}},
        {"mistralai/mistral-vibe#1117":
            "Invalid reasoning_effort: supported values are ['low', 'high', 'max']"}),
    Fault("an effort of Claude", ANTHROPIC,
        {"model": "m", "output_config": {"effort": "xhigh"}},
        {"model": "m", "output_config": {"effort": "high"}},
        {"Anthropic":
            "This model does not support effort level 'xhigh'. Supported levels: high, low, "
            "medium.",
         "without a list": "output_config.effort 'xhigh' is not supported for this model."}),
    Fault("only one effort", ANTHROPIC,
        {"model": "m", "output_config": {"effort": "high"}},
        {"model": "m", "output_config": {"effort": "medium"}},
        {"caozhiyuan/copilot-api#190":
            'output_config.effort "high" is not supported by model claude-opus-4.7; supported '
            "values: [medium]"}),
    Fault("an effort in Responses", RESPONSES,
        {"model": "m", "reasoning": {"effort": "minimal", "summary": "auto"}},
        {"model": "m", "reasoning": {"effort": "low", "summary": "auto"}},
        {"OpenAI":
            "Unsupported value: 'minimal' is not supported with the 'gpt-5-codex' model. "
            "Supported values are: 'low', 'medium', and 'high'."}),
    Fault("a level of thinking", GEMINI,
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}},
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}},
        {"a gateway": "thinking_level: Input should be 'low' or 'high'"}),
    Fault("an effort without thinking", ANTHROPIC,
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "xhigh"}},
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
        {"anthropics/claude-code#79798":
            "output_config.effort 'xhigh' is not supported when thinking is disabled. Use effort "
            "'high' or below, or enable thinking.",
         "with another quote":
            'output_config.effort "max" is not supported when thinking is disabled'}),
    Fault("thinking that cannot be disabled", ANTHROPIC,
        {"model": "m", "thinking": {"type": "disabled"}},
        {"model": "m"},
        {"Claude Fable 5": '"thinking.type.disabled" is not supported for this model.'}),
    Fault("no budget for a model that always thinks", GEMINI,
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0, "includeThoughts": True}}},
        {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
        {"vercel/ai#8027": "Budget 0 is invalid. This model only works in thinking mode.",
         "earendil-works/pi#3460":
            "Unable to submit request because The model does not support setting thinking_budget "
            "to 0"}),
    Fault("a switch that must be on", CHAT,
        {"model": "m", "enable_thinking": False},
        {"model": "m"},
        {"DashScope":
            "<400> InternalError.Algo.InvalidParameter: The value of the enable_thinking parameter "
            "is restricted to True."}),
    Fault("a forced tool", CHAT,
        {"tool_choice": "required", "reasoning_effort": "high"},
        {"tool_choice": "required", "thinking": {"type": "disabled"}},
        {"can1357/oh-my-pi#7315": "Thinking mode does not support this tool_choice",
         "XiaomiMiMo/MiMo-Code#2068":
            "[invalid_request_error] Thinking mode does not support this tool_choice (HTTP 400)",
         "Moonshot": "tool_choice 'required' is incompatible with thinking enabled"}),
    Fault("a named tool", CHAT,
        {"tool_choice": CHAT_TOOL, "thinking": {"type": "enabled"}},
        {"tool_choice": CHAT_TOOL, "thinking": {"type": "disabled"}},
        {"can1357/oh-my-pi#1077": "tool_choice specified is incompatible with thinking enabled"}),
    Fault("a forced tool of Qwen", CHAT,
        {"tool_choice": CHAT_TOOL, "enable_thinking": True},
        {"tool_choice": CHAT_TOOL, "enable_thinking": False},
        {"cloudwego/eino#994":
            "<400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support "
            "being set to required or object in thinking mode"}),
    Fault("a forced tool of Claude", ANTHROPIC,
        {"tool_choice": CLAUDE_TOOL, "thinking": {"type": "enabled", "budget_tokens": 2048}},
        {"tool_choice": CLAUDE_TOOL, "thinking": {"type": "disabled"}},
        {"docs.anthropic.com, extended thinking":
            "Thinking may not be enabled when tool_choice forces tool use.",
         "DeepSeek's Anthropic endpoint": "Thinking mode does not support this tool_choice"}),
    Fault("a budget above the limit", ANTHROPIC,
        {"max_tokens": 8000, "thinking": {"type": "enabled", "budget_tokens": 31999}},
        {"max_tokens": 8000, "thinking": {"type": "enabled", "budget_tokens": 7999}},
        {"liuw1535/antigravity2api-nodejs#149":
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our "
            "documentation at https://docs.claude.com/"},
        is_stored=False),
    Fault("a budget above the limit without room", ANTHROPIC,
        {"max_tokens": 512, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"max_tokens": 512, "thinking": {"type": "disabled"}},
        {"BerriAI/litellm#9001":
            "`max_tokens` must be greater than `thinking.budget_tokens`."},
        is_stored=False),
    Fault("a budget that is too large", GEMINI,
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 52428}}},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 24576}}},
        {"RooCodeInc/Roo-Code#4399": "The thinking budget (52428) is invalid.",
         "with the range":
            "The thinking budget 52428 is invalid. Please choose a value between 512 and 24576."}),
    Fault("sampling parameters", ANTHROPIC,
        {"model": "m", "temperature": 0, "top_p": 0.9, "top_k": 40},
        {"model": "m"},
        {"earendil-works/pi#7961": "`temperature` is deprecated for this model.",
         "sipeed/picoclaw#2939": "temperature is deprecated for this model.",
         "of another name": "`top_p` is deprecated for this model."}),
    Fault("sampling parameters beside thinking", ANTHROPIC,
        {"temperature": 0.2, "top_p": 0.5, "thinking": {"type": "adaptive"}},
        {"thinking": {"type": "adaptive"}},
        {"MartialBE/one-hub#529":
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our "
            "documentation",
         "mnfst/modelparams.dev#214":
            "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.",
         "SEMOSS/Semoss#1655":
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."}),
    Fault("two sampling parameters", CHAT,
        {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5},
        {"NeatChat/NeatChat#72":
            "`temperature` and `top_p` cannot both be specified for this model. Please use only "
            "one."}),
    Fault("a temperature other than the default", CHAT,
        {"model": "m", "temperature": 0}, {"model": "m"},
        {"QwenLM/qwen-code#921":
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default "
            "(1) value is supported.",
         "Moonshot": "invalid temperature: only 1 is allowed for this model"}),
    Fault("the limit's older name", CHAT,
        {"max_completion_tokens": 5}, {"max_tokens": 5},
        {"editor-code-assistant/eca#231":
            {"object": "error", "message": {"detail": [
                {"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"],
                 "msg": "Extra inputs are not permitted", "input": 5}]},
             "type": "invalid_request_error", "param": None, "code": None},
         "an older gateway": "Unrecognized request argument supplied: max_completion_tokens",
         "in the words for fields": "Unsupported parameter: 'max_completion_tokens'"}),
    Fault("the limit's newer name", CHAT,
        {"max_tokens": 5}, {"max_completion_tokens": 5},
        {"caozhiyuan/copilot-api#164":
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead."}),
    Fault("a limit above the model's", CHAT,
        {"max_tokens": 64000}, {"max_tokens": 8192},
        {"Gitlawb/openclaude#35":
            "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
         "algorithmicsuperintelligence/optillm#4":
            "max_tokens is too large: 64000. This model supports at most 8192 completion tokens, "
            "whereas you provided 64000.",
         "Groq": "`max_tokens` must be less than or equal to `8192`, the maximum value for "
            "`max_tokens` is less than the `context_window` for this model",
         "musistudio/claude-code-router#184":
            "<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]",
         "yiliqi78/TOKENICODE#3":
            "The parameter max_tokens specified in the request is not valid: integer above "
            "maximum value, expected a value <= 8192, but got 64000 instead."}),
    Fault("a limit above Claude's", ANTHROPIC,
        {"max_tokens": 128000}, {"max_tokens": 64000},
        {"Anthropic":
            "max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens for "
            "claude-sonnet-4-20250514"}),
    Fault("a long key", RESPONSES,
        {"prompt_cache_key": LONG_KEY}, {"prompt_cache_key": sha256(LONG_KEY.encode()).hexdigest()},
        {"NousResearch/hermes-agent#51037":
            "Invalid 'prompt_cache_key': string too long. Expected a string with maximum length "
            "64, but got a string with length 66 instead.",
         "theopenco/llmgateway#3110":
            {"error": {"message": "Invalid 'prompt_cache_key': string too long. Expected a string "
                       "with maximum length 64, but got a string with length 72 instead.",
                       "type": "invalid_request_error", "param": "prompt_cache_key",
                       "code": "string_above_max_length"}}}),
    Fault("the role developer", CHAT,
        {"messages": [{"role": "developer", "content": "Be brief."}, ASK]},
        {"messages": [{"role": "system", "content": "Be brief."}, ASK]},
        {"earendil-works/pi#7603":
            "Failed to deserialize the JSON body into the target type: messages[0].role: unknown "
            "variant `developer`, expected one of `system`, `user`, `assistant`, `tool` at line 1 "
            "column 85",
         "QuantumNous/new-api#5330":
            "invalid parameter 'messages[0].role': invalid role 'developer', must be one of: "
            "system, user, assistant, tool",
         "ogx-ai/ogx#6069": "Unexpected message role.",
         "peonist-ai/halogen-server#3": "chat template rejected the request: Unexpected message "
            "role.",
         "lobehub/lobehub#5704":
            "Unsupported value: 'messages[0].role' does not support 'developer' with this model.",
         "agno-agi/agno#6697":
            "The parameter `messages.role` specified in the request are not valid: invalid value: "
            "`developer`, supported values are: `system`, `assistant`, `user`, `tool`.",
         "rongxinzy/RongxinAI#599": "role 'developer' is not allowed",
         "a validator": "messages.0.role: Input should be 'system', 'user', 'assistant' or 'tool'"},
        status=422),
    Fault("the role developer in Responses", RESPONSES,
        {"input": [{"role": "developer", "content": "Be brief."}]},
        {"input": [{"role": "system", "content": "Be brief."}]},
        {"a gateway": "input[0].role: 'developer' is not one of ['system', 'user', 'assistant']"}),
    Fault("a model without instructions", CHAT,
        {"messages": [{"role": "system", "content": "Be brief."}, ASK]},
        {"messages": [{"role": "user", "content": "Be brief."}, ASK]},
        {"OpenAI o1-mini":
            "Unsupported value: 'messages[0].role' does not support 'system' with this model."}),
    Fault("system messages of Claude Code", ANTHROPIC,
        {"messages": [{"role": "system", "content": "x"}]},
        {"messages": [{"role": "user", "content": "<system-reminder>\nx\n</system-reminder>"}]},
        {"YishenTu/claudian#701":
            "messages[1].role: unknown variant `system`, expected `user` or `assistant`",
         "MiniMax-AI/MiniMax-M2.7#43":
            "invalid params, chat content has invalid message role: system (2013)",
         "ogx-ai/ogx#5982":
            "{'errors': [{'loc': ['body', 'messages', 1, 'role'], 'msg': \"Input should be 'user' "
            "or 'assistant'\", 'type': 'literal_error'}]}",
         "Anthropic":
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` '
            "parameter",
         "dev2k6/command-code-proxy-server#8":
            'Invalid option: expected one of "user"|"assistant" at "params.messages[0].role"'}),
    Fault("too many cache marks", ANTHROPIC,
        {"system": MARKS[:2], "messages": [user(*MARKS[2:])]},
        {"system": [text("a"), MARKS[1]], "messages": [user(*MARKS[2:])]},
        {"ObservedObserver/async-code#34":
            "A maximum of 4 blocks with cache_control may be provided. Found 5.",
         "a gateway":
            "The model returned the following errors: A maximum of 4 blocks with cache_control may "
            "be provided. Found 5."}),
    Fault("too many cache marks in the messages", CHAT,
        {"messages": [user(*MARKS)]},
        {"messages": [user(text("a"), *MARKS[1:])]},
        {"VicBilibily/GCMP#83":
            "A maximum of 4 blocks with cache_control may be provided. Found 5"}),
    Fault("cache marks in the wrong order", ANTHROPIC,
        {"system": [marked("a")], "messages": [user(marked("b", ttl="1h"))]},
        {"system": [marked("a")], "messages": [user(marked("b"))]},
        {"headroomlabs-ai/headroom#2939":
            "messages.15.content.1.cache_control.ttl: a ttl='1h' cache_control block must not come "
            "after a ttl='5m' cache_control block. Note that blocks are processed in the following "
            "order: tools, system, messages."}),
    Fault("a cache mark inside a result", ANTHROPIC,
        {"messages": [user(result("t", [text("a"), marked("b")]))]},
        {"messages": [user({**result("t", [text("a"), text("b")]), "cache_control": EPHEMERAL})]},
        {"caozhiyuan/copilot-api#241":
            "messages.5.content.0.tool_result.content.16.cache_control: cache_control may not be "
            "specified within `tool_result.content`. Instead, place it directly on `tool_result`"}),
    Fault("a cache mark on an empty text", ANTHROPIC,
        {"messages": [user(marked(""), text("x"))]},
        {"messages": [user(text(""), text("x"))]},
        {"Anthropic":
            "messages.0.content.0.text: cache_control cannot be set for empty text blocks"}),
    Fault("a cache mark on a deferred tool", ANTHROPIC,
        {"tools": [{"name": "t", "input_schema": {"type": "object", "properties": {}},
                    "defer_loading": True, "cache_control": EPHEMERAL}]},
        {"tools": [{"name": "t", "input_schema": {"type": "object", "properties": {}},
                    "defer_loading": True}]},
        {"router-for-me/CLIProxyAPI#4561":
            "Tool 'tool_1' cannot have both defer_loading=true and cache_control set. Tools with "
            "defer_loading cannot use prompt caching."}),
    Fault("a repeated call", ANTHROPIC,
        {"messages": [assistant(use("t"), use("t")), user(result("t", "a"), result("t", "a"))]},
        {"messages": [assistant(use("t")), user(result("t", "a"))]},
        {"anthropics/claude-code#20901":
            "messages.1.content.1: `tool_use` ids must be unique",
         "anthropics/claude-code#28515": "messages.43.content.2: tool_use ids must be unique"}),
    Fault("a repeated id of another call", ANTHROPIC,
        {"messages": [assistant(use("t", a=1), use("t", a=2)), user(result("t"), result("t", "2")),
                      assistant(use("t", a=1)), user(result("t", "3"))]},
        {"messages": [
            assistant(use("t", a=1), use(renamed("t", 2), a=2)),
            user(result("t"), result(renamed("t", 2), "2")),
            assistant(use(renamed("t", 3), a=1)),
            user(result(renamed("t", 3), "3"))]},
        {"BerriAI/litellm#23510": "messages.3.content.1: `tool_use` ids must be unique"}),
    Fault("a repeated id in Chat Completions", CHAT,
        {"messages": [chat_call("{}"), chat_result(), chat_call("{}"), chat_result()]},
        {"messages": [chat_call("{}"), chat_result(),
                      chat_call("{}", renamed("c", 2)), chat_result(renamed("c", 2))]},
        {"craft-ai-agents/craft-agents-oss#753":
            'messages[22].tool_calls[*] reuses id "call_0" already seen earlier',
         "OpenAI": "Duplicate value for 'tool_call_id' of 'c' found in message with role 'tool'",
         "a gateway": "duplicate tool_call_id: c"}),
    Fault("a repeated call in Responses", RESPONSES,
        {"input": [
            {"type": "function_call", "call_id": "terminal:0", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "terminal:0", "output": "a"},
            {"type": "function_call", "call_id": "terminal:0", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "terminal:0", "output": "b"}]},
        {"input": [
            {"type": "function_call", "call_id": "terminal:0", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "terminal:0", "output": "a"},
            {"type": "function_call", "call_id": SECOND, "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": SECOND, "output": "b"}]},
        {"NousResearch/hermes-agent#102629":
            "Error from provider (Console): Upstream request failed: [invalid_request_error] "
            "Duplicate function_call_output for call_id 'terminal:0'. Each function_call must have "
            "exactly one matching function_call_output"}),
    Fault("a repeated item", RESPONSES,
        {"input": [
            {"type": "message", "id": "msg_1", "role": "assistant", "content": "a"},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": "a"},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": "b"}]},
        {"input": [
            {"type": "message", "id": "msg_1", "role": "assistant", "content": "a"},
            {"type": "message", "role": "assistant", "content": "b"}]},
        {"OpenAI": "Duplicate item found with id msg_1. Remove duplicate items from your input and "
            "try again."}),
    Fault("half a surrogate pair", ANTHROPIC,
        {"messages": [{"role": "user", "content": "a \ud83d b 😀 c \ude00 \\ud83d"}]},
        {"messages": [{"role": "user", "content": "a \ufffd b 😀 c \ufffd \\ud83d"}]},
        {"anthropics/claude-code#68325":
            "The request body is not valid JSON: no low surrogate in string: line 1 column 28642 "
            "(char 28641)",
         "anthropics/claude-code#4599":
            "The request body is not valid JSON: invalid high surrogate in string: line 1 column "
            "128588 (char 128587)",
         "serde": "Failed to parse the request body as JSON: messages[0].content: lone leading "
            "surrogate in hex escape at line 1 column 52",
         "Python": "'utf-8' codec can't encode character '\\ud83d' in position 6: surrogates not "
            "allowed"}),
    Fault("half a surrogate pair for Gemini", GEMINI,
        {"contents": [{"role": "user", "parts": [{"text": "\udc00"}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "\ufffd"}]}]},
        {"a gateway": "invalid JSON: unexpected end of hex escape at line 1 column 40"}),
    Fault("modified thinking", ANTHROPIC,
        {"thinking": {"type": "adaptive"}, "messages": [
            ASK, assistant(THOUGHT, use("t")), user(result("t"))]},
        {"thinking": {"type": "adaptive"}, "messages": [
            ASK, assistant(use("t")), user(result("t"))]},
        {"anthropics/claude-code#63203":
            "messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest "
            "assistant message cannot be modified. These blocks must remain as they were in the "
            "original response.",
         "anomalyco/opencode#48637":
            "messages.1.content.0: The `system` prompt differs from the one this block was created "
            "with.",
         "NousResearch/hermes-agent#24401":
            "messages.1.content.0: Invalid `signature` in `thinking` block"},
        is_stored=False),
    Fault("modified thinking with a budget", ANTHROPIC,
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": [
            ASK, assistant(THOUGHT), assistant({"type": "redacted_thinking", "data": "x"},
                                               use("t")), user(result("t"))]},
        {"thinking": {"type": "disabled"}, "messages": [
            ASK, assistant(use("t")), user(result("t"))]},
        {"anthropics/claude-code#63574":
            "messages.2.content.0: `thinking` or `redacted_thinking` blocks in the latest "
            "assistant message cannot be modified."},
        is_stored=False),
    Fault("encrypted reasoning", RESPONSES,
        {"input": [
            {"role": "user", "content": "Hello"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": ""},
            {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"},
            {"type": "function_call_output", "id": "x", "call_id": "c", "output": "ok"}]},
        {"input": [
            {"role": "user", "content": "Hello"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
            {"type": "compaction", "encrypted_content": "gAAA"},
            {"type": "function_call_output", "id": "x", "call_id": "c", "output": "ok"}]},
        {"openai/codex#8119":
            {"error": {"message": "The encrypted content gAAA...c90= could not be verified.",
                       "type": "invalid_request_error", "param": None,
                       "code": "invalid_encrypted_content"}},
         "Wei-Shaw/sub2api#3038":
            "The encrypted content - **...据。** could not be verified. Reason: Encrypted content "
            "could not be decrypted or parsed.",
         "lidge-jun/opencodex#2269":
            {"error": {"message": "The encrypted content for item rs_1 could not be verified.",
                       "code": None}}},
        is_stored=False),
    Fault("signatures of Gemini", GEMINI,
        {"contents": [{"role": "model", "parts": [
            {"text": "Hm.", "thought": True, "thoughtSignature": "x"},
            {"functionCall": {"name": "f"}, "thoughtSignature": "y"}]}]},
        {"contents": [{"role": "model", "parts": [
            {"text": "Hm.", "thought": True},
            {"functionCall": {"name": "f"},
             "thoughtSignature": "skip_thought_signature_validator"}]}]},
        {"google-gemini/gemini-cli#13467": "Corrupted thought signature.",
         "decolua/9router#301":
            "Unable to submit request because Thought signature is not valid.. Learn more: "
            "https://cloud.google.com/vertex-ai"},
        is_stored=False),
    Fault("reasoning behind a gateway", CHAT,
        {"messages": [ASK, {"role": "assistant", "content": "Hi", "reasoning_details": [1]}, ASK]},
        {"messages": [ASK, {"role": "assistant", "content": "Hi"}, ASK]},
        {"OpenRouter": "Provider returned error: Invalid `signature` in `thinking` block"},
        is_stored=False),
    Fault("thinking of another provider", ANTHROPIC,
        {"messages": [ASK, assistant({**THOUGHT, "signature": ""}, text("Hi")), ASK]},
        {"messages": [ASK, assistant(text("Hi")), ASK]},
        {"router-for-me/CLIProxyAPI#1584":
            "messages.1.content.0: Invalid `signature` in `thinking` block"}),
    Fault("ids of another provider", RESPONSES,
        {"input": [
            {"type": "reasoning", "id": "item_d774e8ddba30f7bdaba945d5", "summary": []},
            {"id": "msg_1", "role": "assistant", "content": "a"},
            {"type": "function_call", "id": "item_1", "call_id": "c", "name": "f",
             "arguments": "{}"}]},
        {"input": [
            {"type": "reasoning", "summary": []},
            {"id": "msg_1", "role": "assistant", "content": "a"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]},
        {"jlcodes99/cockpit-tools#2543":
            "Invalid 'input[342].id': 'item_d774e8ddba30f7bdaba945d5'. Expected an ID that begins "
            "with 'rs'.",
         "openai/codex#33176":
            "[ApiIdParam] [input[371].id] [invalid_id_prefix] Invalid 'input[371].id': "
            "'019f629b-43ee-7a82-acb1-3071dbffbdad'. Expected an ID that begins with 'msg'.",
         "ranxianglei/billion-context#1052":
            "Invalid 'input[100].id': 'msg-proxy-2-7d1e132ded554149'. Expected an ID that contains "
            "letters, numbers, underscores, or dashes, but this value contained additional "
            "characters.",
         "length":
            "Invalid 'input[3].id': string too long. Expected a string with maximum length 64, but "
            "got a string with length 408 instead."}),
    Fault("items that are not stored", RESPONSES,
        {"store": False, "input": [
            {"role": "user", "content": "Hello"},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "x"},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": "a"}]},
        {"store": False, "input": [
            {"role": "user", "content": "Hello"},
            {"type": "reasoning", "summary": [], "encrypted_content": "x"},
            {"type": "message", "role": "assistant", "content": "a"}]},
        {"can1357/oh-my-pi#41":
            "Item with id 'rs_04962823ecde01b901698e138042688193a657e07614b238c3' not found. Items "
            "are not persisted when `store` is set to false. Try again with `store` set to true, "
            "or remove this item from your input.",
         "anomalyco/opencode#8987":
            "Items are not persisted when `store` is set to false. Try again with `store` set to "
            "true, or remove this item from your input."},
        status=404),
    Fault("images for a model of text", CHAT,
        {"messages": [user(chat_picture(), text("?"))]},
        {"messages": [user(text(UNSUPPORTED), text("?"))]},
        {"cloudflare/cloudflare-os#97":
            "this model does not support image input (ref: b1feda6a)",
         "HKUDS/OpenHarness#225": "No endpoints found that support image input",
         "zai-org/zai-coding-plugins#18":
            "Failed to deserialize the JSON body into the target type: messages[3]: unknown "
            "variant `image_url`, expected `text` at line 1 column 90",
         "github/copilot-cli#3781": "deepseek-v4-flash is not a multimodal model",
         "OpenAI": "Invalid content type. image_url is only supported by certain models."},
        status=404),
    Fault("an image in a result for a model of text", ANTHROPIC,
        {"messages": [user({**result("t", [{**picture(), "cache_control": EPHEMERAL}])})]},
        {"messages": [user(result("t", [marked(UNSUPPORTED)]))]},
        {"anthropics/claude-code#91112": "this model does not support image input (ref: b1feda6a)",
         "a gateway": "claude-x does not support vision"}),
    Fault("an image in Responses for a model of text", RESPONSES,
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]},
                   {"type": "function_call_output", "call_id": "c", "output": [
                       {"type": "input_image", "image_url": "https://example.com/a.png"}]}],
         "previous_response_id": "resp_1"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": UNSUPPORTED}]},
                   {"type": "function_call_output", "call_id": "c", "output": [
                       {"type": "input_text", "text": UNSUPPORTED}]}],
         "previous_response_id": "resp_1"},
        {"a gateway": "Image input is not supported by this model"}),
    Fault("an image for a Gemini model of text", GEMINI,
        {"contents": [{"role": "user", "parts": [
            {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
            {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}]}]},
        {"contents": [{"role": "user", "parts": [
            {"text": UNSUPPORTED},
            {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}]}]},
        {"a gateway": "models/x does not support image input"}),
    Fault("too many images", CHAT,
        {"messages": [user(chat_picture("1")), user(chat_picture("2"), chat_picture("3"))]},
        {"messages": [user(text(TOO_MANY)), user(chat_picture("2"), chat_picture("3"))]},
        {"anomalyco/opencode#48647":
            "Request contains 3 images, exceeding the maximum of 2 allowed per request",
         "vLLM": "At most 2 image(s) may be provided in one request.",
         "a gateway": "Too many images in the request. The maximum is 2."}),
    Fault("too many images for their size", ANTHROPIC,
        {"messages": [user(*(picture(str(number)) for number in range(22)))]},
        {"messages": [user(text(TOO_MANY), text(TOO_MANY),
                           *(picture(str(number)) for number in range(2, 22)))]},
        {"anthropics/claude-code#52220":
            "messages.88.content.1.image.source.base64.data: At least one of the image dimensions "
            "exceed max allowed size for many-image requests: 2000 pixels",
         "langgenius/dify#11177":
            "messages.38.content.1.image.source.base64.data: At least one of the image dimensions "
            "exceeds max allowed size for many-images requests: 2000 pixels"}),
    Fault("an image that is too large", ANTHROPIC,
        {"messages": [user(picture("a" * 40), picture("b" * 12))]},
        {"messages": [user(text(TOO_LARGE), picture("b" * 12))]},
        {"kirodotdev/Kiro#10783": "image exceeds 5 MB maximum: 40 bytes > 30 bytes",
         "anthropics/claude-code#2104":
            "messages.0.content.0.image.source.base64: image exceeds 5 MB maximum: 40 bytes > 30 "
            "bytes"}),
    Fault("an image that is damaged", ANTHROPIC,
        {"messages": [user(picture("1")), user(result("t", [picture("2")]), picture("3"))]},
        {"messages": [user(picture("1")), user(result("t", [text(REFUSED)]), picture("3"))]},
        {"anthropics/claude-code#34517":
            "messages.1.content.0.tool_result.content.0.image.source.base64.media_type: Input "
            "should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
         "anthropics/claude-code#4778":
            "messages.1.content.0.tool_result.content.0.image.source.base64.data: At least one of "
            "the image dimensions exceed max allowed size: 8000 pixels",
         "with the place":
            "messages.1.content.0.tool_result.content.0.image.source.base64: Could not process "
            "image"},
        is_stored=False),
    Fault("an image that is damaged, anywhere", ANTHROPIC,
        {"messages": [user(picture("1"), text("?"))]},
        {"messages": [user(text(REFUSED), text("?"))]},
        {"anthropics/claude-code#1747": "Could not process image",
         "Google": "Unable to process input image. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting"},
        is_stored=False),
    Fault("a damaged image in Chat Completions", CHAT,
        {"messages": [user(chat_picture("1"))]},
        {"messages": [user(text(REFUSED))]},
        {"OpenAI":
            "The image data you provided does not represent a valid image. Please check your input "
            "and try again with one of the supported image formats"},
        is_stored=False),
    Fault("a prefilled answer", ANTHROPIC,
        {"messages": [ASK, {"role": "assistant", "content": "Well,"}]},
        {"messages": [ASK, {"role": "assistant", "content": "Well,"},
                      {"role": "user", "content": "Continue."}]},
        {"cortexkit/magic-context#511":
            "This model does not support assistant message prefill. The conversation must end with "
            "a user message.",
         "XiaomiMiMo/MiMo-Code#1702":
            "This model does not support assistant message prefill. The conversation must end with "
            "a user message. (Service: BedrockRuntime)"}),
    Fault("an empty answer at the end", ANTHROPIC,
        {"messages": [ASK, {"role": "assistant", "content": []}]},
        {"messages": [ASK]},
        {"ericc-ch/copilot-api#261": "The conversation must end with a user message."}),
    Fault("an answer at the end", CHAT,
        {"messages": [ASK, {"role": "assistant", "content": "Well,"}]},
        {"messages": [ASK, {"role": "assistant", "content": "Well,"},
                      {"role": "user", "content": "Continue."}]},
        {"0xPlaygrounds/rig#708":
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got "
            "assistant",
         "ericc-ch/copilot-api#273":
            "invalid_message_role: The last message in a Gemini request must not be from the "
            "assistant",
         "vLLM":
            "Cannot set `add_generation_prompt` to True when the last message is from the "
            "assistant. Consider using `continue_final_message` instead."}),
    Fault("an answer at the end for Gemini", GEMINI,
        {"contents": [{"role": "model", "parts": [{"text": "Well,"}]}]},
        {"contents": [{"role": "model", "parts": [{"text": "Well,"}]},
                      {"role": "user", "parts": [{"text": "Continue."}]}]},
        {"Google":
            "Please ensure that the multiturn request ends with a user role or a function "
            "response."}),
    Fault("empty arguments", CHAT,
        {"messages": [chat_call(""), chat_result()]},
        {"messages": [chat_call("{}"), chat_result()]},
        {"MiniMax-AI/MiniMax-M2#43":
            {"type": "error", "error": {"type": "bad_request_error", "message": "invalid params, "
             "invalid function arguments json string, tool_call_id: d2ed9aa4d (2013)",
             "http_code": "400"}, "request_id": "0622f645c"},
         "justrach/codegraff#752":
            "invalid_prompt: Invalid request: messages.70.tool_calls.0.function.arguments: "
            "arguments must be a valid JSON object string",
         "sigoden/aichat#1217":
            "Tool call 'get_ipinfo' have non-JSON arguments ''",
         "sgl-project/sglang#28035": "'str object' has no attribute 'items'"}),
    Fault("arguments that are cut", CHAT,
        {"messages": [chat_call('{"command": "ls'), chat_result()]},
        {"messages": [chat_call('{"invalid_arguments":"{\\"command\\": \\"ls"}'), chat_result()]},
        {"justrach/codegraff#752":
            "messages.0.tool_calls.0.function.arguments: arguments must be a valid JSON object"}),
    Fault("arguments that are a list", CHAT,
        {"messages": [chat_call('["a"]'), chat_result()]},
        {"messages": [chat_call('{"arguments":["a"]}'), chat_result()]},
        {"HKUDS/nanobot#2858":
            "invalid params, invalid function arguments json string, tool_call_id: d2 (2013)"}),
    Fault("arguments of Claude", ANTHROPIC,
        {"messages": [assistant({"type": "tool_use", "id": "t", "name": "f", "input": ""})]},
        {"messages": [assistant({"type": "tool_use", "id": "t", "name": "f", "input": {}})]},
        {"Anthropic":
            "messages.0.content.0.tool_use.input: Input should be a valid dictionary",
         "a missing member": "messages.0.content.0.tool_use.input: Field required"}),
    Fault("arguments in Responses", RESPONSES,
        {"input": [
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}]},
        {"input": [
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]},
        {"MiniMax": "invalid params, invalid function arguments json string (2013)"}),
    Fault("ids of nine characters", CHAT,
        {"messages": [chat_call("{}", "call_1234567890"), chat_result("call_1234567890")]},
        {"messages": [chat_call("{}", NINE), chat_result(NINE)]},
        {"jackmpcollins/magentic#276":
            "Tool call id was call_1234567890 but must be a-z, A-Z, 0-9, with a length of 9."}),
    Fault("ids with other characters", ANTHROPIC,
        {"messages": [assistant(use("a.b"))]},
        {"messages": [assistant(use(CallIdLimit(longest=40).fit("a.b")))]},
        {"vercel/ai#5171":
            "messages.0.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"}),
    Fault("a call without a result", ANTHROPIC,
        {"messages": [assistant(use("t")), ASK]},
        {"messages": [assistant(use("t")), user(
            {"type": "tool_result", "tool_use_id": "t", "is_error": True,
             "content": "The tool call has no result: it was interrupted."}, text("Hello"))]},
        {"anthropics/claude-code#6836":
            "messages.4: `tool_use` ids were found without `tool_result` blocks immediately after: "
            "toolu_1"}),
    Fault("a call without a result in Chat Completions", CHAT,
        {"messages": [chat_call("{}"), ASK]},
        {"messages": [chat_call("{}"), {"role": "tool", "tool_call_id": "c", "content": "The tool "
                      "call has no result: it was interrupted."}, ASK]},
        {"agno-agi/agno#3105":
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. (insufficient tool messages following tool_calls message)"}),
    Fault("a result without a call", CHAT,
        {"messages": [ASK, chat_result()]}, {"messages": [ASK]},
        {"OpenAI":
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
            "message with 'tool_calls'."}),
    Fault("a result without a call in Responses", RESPONSES,
        {"input": [{"role": "user", "content": "a"},
                   {"type": "function_call_output", "call_id": "c", "output": "ok"}]},
        {"input": [{"role": "user", "content": "a"}]},
        {"openclaw/openclaw#875": "No tool call found for function call output with call_id c."}),
    Fault("a call without an output of DeepSeek", RESPONSES,
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]},
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                   {"type": "function_call_output", "call_id": "c", "output": "The tool call has "
                    "no result: it was interrupted."}]},
        {"DeepSeek": "No tool output found for tool call c."}),
    Fault("empty texts", ANTHROPIC,
        {"messages": [user(text(""), text("x"))]}, {"messages": [user(text("x"))]},
        {"anthropics/claude-code#59812": "messages: text content blocks must be non-empty",
         "white space": "messages: text content blocks must contain non-whitespace text"}),
    Fault("an empty system prompt", ANTHROPIC,
        {"system": [text(" ")], "messages": [ASK]}, {"messages": [ASK]},
        {"BiFangKNT/mtga#68": "system: text content blocks must be non-empty"}),
    Fault("an empty message", ANTHROPIC,
        {"messages": [ASK, assistant(), ASK]}, {"messages": [ASK, ASK]},
        {"anthropics/claude-code#6774":
            "messages.1: all messages must have non-empty content except for the optional final "
            "assistant message"}),
    Fault("a content without parts", GEMINI,
        {"contents": [{"role": "user", "parts": []}]},
        {"contents": [{"role": "user", "parts": [{"text": "(no content)"}]}]},
        {"Google": "* GenerateContentRequest.contents: contents.parts must not be empty."}),
    Fault("white space at the end", ANTHROPIC,
        {"messages": [ASK, {"role": "assistant", "content": "So: "}]},
        {"messages": [ASK, {"role": "assistant", "content": "So:"}]},
        {"aaif-goose/goose#5967":
            "messages: final assistant content cannot end with trailing whitespace"}),
    Fault("reasoning without its item", RESPONSES,
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": []},
                   {"role": "user", "content": "Go on."}]},
        {"input": [{"role": "user", "content": "Go on."}]},
        {"vercel/ai#7099":
            "Item 'rs_1' of type 'reasoning' was provided without its required following item."}),
    Fault("an unsigned call", GEMINI,
        {"contents": [{"role": "user", "parts": [{"text": "a"}]},
                      {"role": "model", "parts": [{"functionCall": {"name": "f"}}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "a"}]},
                      {"role": "model", "parts": [{
                          "functionCall": {"name": "f"},
                          "thoughtSignature": "skip_thought_signature_validator"}]}]},
        {"lbjlaq/Antigravity-Manager#938":
            "Function call is missing a thought_signature in functionCall parts. This is required "
            "for tools to work correctly"}),
]  # fmt: skip

ROWS = [
    pytest.param(fault, words, id=f"{fault.name}: {report}")
    for fault in FAULTS
    for report, words in fault.words.items()
]


def refusal(words: Words) -> bytes:
    """Return the body of an error with these words, or the body itself."""
    if isinstance(words, str):
        words = {"error": {"type": "invalid_request_error", "message": words}}
    return json.dumps(words).encode()


def attempts(fault: Fault, words: Words, book: LessonBook) -> list[dict[str, Any]]:
    """Return the requests of a call to a provider that refuses until the request is right."""
    document = RequestDocument.of(fault.protocol, "/", json.dumps(fault.before).encode())
    requests = AdaptedRequests(book)
    requests.add(OutgoingRequest("p", "m", "https", "p.example", 443, document), TargetTraits())
    call = Conversation(protocol=fault.protocol, adapted=requests, targets=(Target("p", "m"),))
    call.begin(head=None)
    sent = [json.loads(requests.at(0).request.body)]
    while sent[-1] != fault.after:
        call.head(1, Head(fault.status, ((b"content-type", b"application/json"),)))
        call.body(1, refusal(words))
        actions = call.body_end(1)
        assert actions == [StartAttempt(len(sent) + 1, fresh=True)], sent
        sent.append(json.loads(requests.at(0).request.body))
        call.connected(1, reused=False)
    call.head(1, SSE)
    return sent


@pytest.mark.parametrize(("fault", "words"), ROWS)
def test_a_refused_value_is_repaired_after_one_refusal(fault: Fault, words: Words) -> None:
    book = LessonBook()
    assert attempts(fault, words, book) == [fault.before, fault.after]
    again = [fault.after] if fault.is_stored else [fault.before, fault.after]
    assert attempts(fault, words, book) == again


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_request_that_is_right_keeps_its_bytes(fault: Fault) -> None:
    """Before anything is learnt every request does; after the lesson, one without the fault."""
    document = RequestDocument.of(fault.protocol, "/", json.dumps(fault.before, indent=1).encode())
    assert adapt_history(document, TargetTraits(), Notes()) is document
    book = LessonBook()
    attempts(fault, next(iter(fault.words.values())), book)
    document = RequestDocument.of(fault.protocol, "/", json.dumps(fault.after, indent=1).encode())
    outgoing = OutgoingRequest("p", "m", "https", "p.example", 443, document)
    requests = AdaptedRequests(book)
    requests.add(outgoing, TargetTraits())
    assert requests.at(0).request is outgoing


def test_two_images_are_refused_one_by_one() -> None:
    place = "messages.0.content.{}.image.source.base64.data: At least one of the image dimensions "
    place += "exceed max allowed size: 8000 pixels"
    request = {"messages": [user(picture("1"), picture("2"), picture("3"))]}
    document = RequestDocument.of(ANTHROPIC, "/", json.dumps(request).encode())
    requests = AdaptedRequests()
    requests.add(OutgoingRequest("p", "m", "https", "p.example", 443, document), TargetTraits())
    for index in (2, 0):
        requests.amend(0, make_error(status=400, message=place.format(index)))
    assert json.loads(requests.at(0).request.body) == {
        "messages": [user(text(REFUSED), picture("2"), text(REFUSED))]
    }
    requests.accepted(0)
    assert requests.book.learnt == ()


def test_every_trait_is_learnt_in_some_words() -> None:
    learnt = set()
    for fault in FAULTS:
        for words in fault.words.values():
            book = LessonBook()
            attempts(fault, words, book)
            learnt |= {record.lesson.value.partition("=")[0] for record in book.learnt}
    stored = {trait.name for trait in LEARNABLE_TRAITS.values() if trait.is_lasting}
    elsewhere = {"reasoning-missing", "reasoning-not-passed-back"}  # test_learnable_traits
    assert stored - learnt - elsewhere == set()
