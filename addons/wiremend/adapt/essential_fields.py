"""The fields of a request that its client relies on, and those that a call can do without.

A request without an essential field has another meaning: its response looks like a success and is
not what the client asked for. So such a field is never dropped to make a call succeed. Without a
harmless field the response is of the same kind; it may be slower, dearer or less well thought out.

A path is written with dots, and `*` stands for the items of a list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from wiremend.protocols.base.names import WireProtocol

type FieldPolicy = Literal["essential", "harmless"]

UNKNOWN: Any = object()
"""Stands for a value that is not known."""

_ANTHROPIC = WireProtocol.ANTHROPIC_MESSAGES
_CHAT = WireProtocol.CHAT_COMPLETIONS
_RESPONSES = WireProtocol.RESPONSES
_GEMINI = WireProtocol.GEMINI


@dataclass(frozen=True, slots=True)
class EssentialField:
    """A field that the client relies on."""

    path: str
    reason: str
    """What the client relies on."""
    defaults: tuple[Any, ...] = ()
    """Values that mean the same as no field. A field with such a value is harmless."""


_AUTO = {"type": "auto"}
_CONVERSATION = "what the model is asked"
_TOOLS = "the tools that the model can call"
_CHOICE = "whether and which tool is called"
_OUTPUT_FORMAT = "the format of the output"
_LIMIT = "the limit of the output"
_STOP = "where the output stops"
_STATE = "the state that the provider keeps"
_COUNT = "the number of answers"
_PARALLEL = "whether several tools are called at once"
_STORAGE = "whether the provider stores the call"
_PLACE = "where the call is processed, and by which service"
_TRANSPORT = "the form of the response"
_RESULT = "parts of the response"

_OPENAI: tuple[EssentialField, ...] = (
    EssentialField("model", _CONVERSATION),
    EssentialField("stream", _TRANSPORT, (False,)),
    EssentialField("tools", _TOOLS, ([],)),
    EssentialField("tool_choice", _CHOICE, ("auto", _AUTO)),
    EssentialField("parallel_tool_calls", _PARALLEL, (True,)),
    EssentialField("top_logprobs", _RESULT, (0,)),
    # servers such as vLLM and SGLang
    EssentialField("guided_json", _OUTPUT_FORMAT),
    EssentialField("guided_regex", _OUTPUT_FORMAT),
    EssentialField("guided_choice", _OUTPUT_FORMAT),
    EssentialField("guided_grammar", _OUTPUT_FORMAT),
    EssentialField("structured_outputs", _OUTPUT_FORMAT),
    EssentialField("grammar", _OUTPUT_FORMAT),
    EssentialField("json_schema", _OUTPUT_FORMAT),
    EssentialField("regex", _OUTPUT_FORMAT),
    # OpenRouter
    EssentialField("provider", _PLACE),
    EssentialField("models", _PLACE, ([],)),
    EssentialField("plugins", _TOOLS, ([],)),
)

ESSENTIAL: Mapping[WireProtocol, tuple[EssentialField, ...]] = MappingProxyType(
    {
        _ANTHROPIC: (
            EssentialField("model", _CONVERSATION),
            EssentialField("messages", _CONVERSATION),
            EssentialField("system", _CONVERSATION, ("", [])),
            EssentialField("max_tokens", _LIMIT),
            EssentialField("stream", _TRANSPORT, (False,)),
            EssentialField("stop_sequences", _STOP, ([],)),
            EssentialField("tools", _TOOLS, ([],)),
            EssentialField(
                "tool_choice", _CHOICE, (_AUTO, {**_AUTO, "disable_parallel_tool_use": False})
            ),
            EssentialField("output_config.format", _OUTPUT_FORMAT),
            EssentialField("output_format", _OUTPUT_FORMAT),
            EssentialField("mcp_servers", _TOOLS, ([],)),
            EssentialField("container", _STATE),
            EssentialField("inference_geo", _PLACE),
        ),
        _CHAT: (
            *_OPENAI,
            EssentialField("messages", _CONVERSATION),
            EssentialField("functions", _TOOLS, ([],)),
            EssentialField("function_call", _CHOICE, ("auto",)),
            EssentialField("response_format", _OUTPUT_FORMAT, ({"type": "text"},)),
            EssentialField("stop", _STOP, ([], "")),
            EssentialField("n", _COUNT, (1,)),
            EssentialField("max_tokens", _LIMIT),
            EssentialField("max_completion_tokens", _LIMIT),
            EssentialField("store", _STORAGE, (False,)),
            EssentialField("logprobs", _RESULT, (False,)),
            EssentialField("logit_bias", "which words the output contains", ({},)),
            EssentialField("modalities", _OUTPUT_FORMAT, (["text"],)),
            EssentialField("audio", _OUTPUT_FORMAT),
            EssentialField("web_search_options", _TOOLS),
        ),
        _RESPONSES: (
            *_OPENAI,
            EssentialField("input", _CONVERSATION),
            EssentialField("instructions", _CONVERSATION, ("",)),
            EssentialField("prompt", _CONVERSATION),
            EssentialField("text.format", _OUTPUT_FORMAT, ({"type": "text"},)),
            EssentialField("previous_response_id", _STATE),
            EssentialField("conversation", _STATE),
            EssentialField("store", _STORAGE),
            EssentialField("include", _RESULT, ([], ["reasoning.encrypted_content"])),
            EssentialField("background", _TRANSPORT, (False,)),
            EssentialField("max_output_tokens", _LIMIT),
            EssentialField("max_tool_calls", "the limit of tool calls"),
            EssentialField("stop", _STOP, ([], "")),
            EssentialField("n", _COUNT, (1,)),
        ),
        _GEMINI: (
            EssentialField("model", _CONVERSATION),
            EssentialField("contents", _CONVERSATION),
            EssentialField("systemInstruction", _CONVERSATION),
            EssentialField("tools", _TOOLS, ([],)),
            EssentialField("toolConfig.functionCallingConfig", _CHOICE, ({}, {"mode": "AUTO"})),
            EssentialField("toolConfig.retrievalConfig", _TOOLS, ({},)),
            EssentialField("safetySettings", "what the provider blocks", ([],)),
            EssentialField("cachedContent", _STATE),
            EssentialField("generationConfig.responseSchema", _OUTPUT_FORMAT),
            EssentialField("generationConfig.responseJsonSchema", _OUTPUT_FORMAT),
            EssentialField("generationConfig._responseJsonSchema", _OUTPUT_FORMAT),
            EssentialField("generationConfig.responseFormat", _OUTPUT_FORMAT),
            EssentialField("generationConfig.responseMimeType", _OUTPUT_FORMAT, ("text/plain", "")),
            EssentialField("generationConfig.responseModalities", _OUTPUT_FORMAT, (["TEXT"],)),
            EssentialField("generationConfig.speechConfig", _OUTPUT_FORMAT),
            EssentialField("generationConfig.imageConfig", _OUTPUT_FORMAT),
            EssentialField("generationConfig.stopSequences", _STOP, ([],)),
            EssentialField("generationConfig.candidateCount", _COUNT, (1,)),
            EssentialField("generationConfig.maxOutputTokens", _LIMIT),
            EssentialField("generationConfig.responseLogprobs", _RESULT, (False,)),
            EssentialField("generationConfig.logprobs", _RESULT),
        ),
    }
)
"""The essential fields outside messages and tools."""

_OPENAI_HARMLESS = frozenset(
    {
        *("temperature", "top_p", "top_k", "min_p", "seed", "metadata", "user", "service_tier"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "verbosity"),
        *("safety_identifier", "stream_options", "reasoning", "reasoning_effort", "thinking"),
        *("enable_thinking", "chat_template_kwargs", "client_metadata"),
        *("frequency_penalty", "presence_penalty", "repetition_penalty"),
    }
)
HARMLESS: Mapping[WireProtocol, frozenset[str]] = MappingProxyType(
    {
        _ANTHROPIC: frozenset(
            {
                *("temperature", "top_p", "top_k", "metadata", "service_tier", "speed", "thinking"),
                *("output_config.effort", "output_config.task_budget", "cache_control"),
                *("context_management", "betas", "diagnostics"),
            }
        ),
        _CHAT: _OPENAI_HARMLESS | {"prediction", "include_reasoning", "reasoning_format"},
        _RESPONSES: _OPENAI_HARMLESS
        | {"truncation", "text.verbosity", "context_management"},
        _GEMINI: frozenset(
            {
                *("labels", "serviceTier"),
                *("generationConfig.temperature", "generationConfig.topP", "generationConfig.topK"),
                *("generationConfig.seed", "generationConfig.presencePenalty"),
                *("generationConfig.frequencyPenalty", "generationConfig.mediaResolution"),
                *("generationConfig.thinkingConfig", "generationConfig.enableEnhancedCivicAnswers"),
            }
        ),
    }
)  # fmt: skip
"""The harmless fields that are known. Fields that are in no list are harmless too: clients add
fields, such as those of beta features, faster than a list can follow."""

_CONTENT = frozenset(
    {
        *("role", "content", "parts", "type", "text", "id", "call_id", "tool_use_id", "name"),
        *("tool_call_id", "tool_calls", "function_call", "function", "arguments", "input"),
        *("output", "outputs", "result", "results", "response", "args", "is_error", "source"),
        *("data", "media_type", "mimeType", "url", "image_url", "input_audio", "file", "file_id"),
        *("file_url", "file_data", "fileUri", "document", "inlineData", "fileData"),
        *("functionCall", "functionResponse", "executableCode", "codeExecutionResult"),
        *("approve", "approval_request_id", "action", "operation", "patch", "code", "thinking"),
    }
)
"""Members of messages, turns and items, at any depth, that contain what was said."""
_CONTAINERS = frozenset({"input", "args", "arguments", "response", "action", "operation"})
"""Members of messages, turns and items that contain the arguments and results of calls: objects
with names that belong to the user's tools."""
_TOOL = frozenset(
    {
        *("type", "name", "description", "function", "custom", "input_schema", "parameters"),
        *("parametersJsonSchema", "functionDeclarations", "tools", "format", "container"),
        *("allowed_domains", "blocked_domains", "max_uses", "filters", "user_location"),
        *("vector_store_ids", "file_ids", "server_url", "server_label", "connector_id"),
        *("authorization", "headers", "require_approval", "allowed_tools", "mcp_server_name"),
        *("allowed_callers", "display_width_px", "display_height_px", "environment"),
    }
)
"""Members of tools that say what the tool is, or limit what it may do."""
_SCHEMA_KEYS = frozenset(
    {"input_schema", "parameters", "parametersJsonSchema", "response", "responseJsonSchema"}
)
_SCHEMA = frozenset(
    {
        *("type", "description", "properties", "required", "items", "prefixItems", "enum", "const"),
        *("anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions", "patternProperties"),
    }
)
"""Keywords that say what an argument is. Others limit its values, or describe it."""
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions"})

_CONVERSATIONS = frozenset({"messages", "input", "contents", "system", "systemInstruction"})
_HARMLESS_IN_CONVERSATION = frozenset(
    {
        *("messages.*.name", "input.*.id", "input.*.output.*.id"),
        *("contents.*.parts.*.functionCall.id", "contents.*.parts.*.functionResponse.id"),
    }
)
"""A participant's name, and ids that refer to nothing. A server that does not know the ids of
Gemini's calls (Vertex AI) pairs calls and responses by name and order."""


def field_policy(
    protocol: WireProtocol, path: str | Sequence[str | int], value: Any = UNKNOWN
) -> FieldPolicy:
    """Return whether a request can do without the field at this path.

    `path` has steps or dots; indices, and `*` for them. `value` is the value that the field has;
    if it is not known, it is taken for one that matters. A field that contains an essential one is
    essential, unless its value is known and does not contain it.
    """
    return "harmless" if essential_reason(protocol, path, value) is None else "essential"


def essential_reason(
    protocol: WireProtocol, path: str | Sequence[str | int], value: Any = UNKNOWN
) -> str | None:
    """Return what the client relies on in this field; None if it is harmless."""
    steps = _steps(protocol, path)
    if not steps or value is None:
        return None
    if len(steps) > 1 and steps[0] in _CONVERSATIONS:
        is_essential = steps[-1] in _CONTENT or steps[-1] == "*"
        is_essential = is_essential or not _CONTAINERS.isdisjoint(steps[1:-1])
        is_excepted = ".".join(steps) in _HARMLESS_IN_CONVERSATION
        return _CONVERSATION if is_essential and not is_excepted else None
    if len(steps) > 1 and steps[0] in ("tools", "functions"):
        return _TOOLS if _matters_in_tool(steps, value) else None
    for field in ESSENTIAL[protocol]:
        if _concerns(field, steps, value):
            return field.reason
    return None


def _steps(protocol: WireProtocol, path: str | Sequence[str | int]) -> list[str]:
    """Return the steps of a path in the spelling of the tables, with `*` for indices."""
    listed = path.split(".") if isinstance(path, str) else [str(step) for step in path]
    steps = ["*" if step.isdecimal() else step for step in listed]
    if protocol is _GEMINI:
        if len(steps) > 1 and steps[0] == "request":  # Code Assist's wrapper
            del steps[0]
        return [_camel(step) for step in steps]
    return steps


def _camel(name: str) -> str:
    first, *others = name.lstrip("_").split("_")
    prefix = name[: len(name) - len(name.lstrip("_"))]
    return prefix + first + "".join(word[:1].upper() + word[1:] for word in others)


def _concerns(field: EssentialField, steps: Sequence[str], value: Any) -> bool:
    """Return whether removing the field at `steps` removes or changes this essential field."""
    essential = field.path.split(".")
    shared = min(len(essential), len(steps))
    if essential[:shared] != list(steps[:shared]):
        return False
    if len(steps) > len(essential):
        return True
    if value is UNKNOWN:
        # An object with both kinds of members: only its value can show which it contains.
        return True
    for step in essential[shared:]:
        names = [step, _snake(step)]
        value = next((value[n] for n in names if isinstance(value, dict) and n in value), None)
    return value is not None and value not in field.defaults


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _matters_in_tool(steps: Sequence[str], value: Any) -> bool:
    last = steps[-1]
    schema = next((i for i, step in enumerate(steps) if i > 1 and step in _SCHEMA_KEYS), None)
    if schema is None or schema == len(steps) - 1:
        return last in _TOOL or last == "*"
    if steps[-2] in _NAMED_SCHEMAS:
        return True
    if last == "additionalProperties":
        return not isinstance(value, bool)
    return last in _SCHEMA or last == "*"
