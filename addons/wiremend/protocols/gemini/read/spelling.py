"""Requests in the spelling of the API.

The API takes the names of members in snake case too: `system_instruction`. They are read as if they
were in camel case. JSON that belongs to the user, such as arguments and schemas, is kept.
"""

from collections.abc import Mapping
from typing import Any

from wiremend.text.patterns import linear_pattern

_NAMES = (
    "systemInstruction",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
    "functionCall",
    "functionResponse",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "videoMetadata",
    "thoughtSignature",
    "mimeType",
    "fileUri",
    "displayName",
    "functionDeclarations",
    "parametersJsonSchema",
    "googleSearch",
    "googleSearchRetrieval",
    "codeExecution",
    "urlContext",
    "functionCallingConfig",
    "allowedFunctionNames",
    "maxOutputTokens",
    "topP",
    "topK",
    "candidateCount",
    "stopSequences",
    "presencePenalty",
    "frequencyPenalty",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "thinkingConfig",
    "thinkingBudget",
    "thinkingLevel",
    "includeThoughts",
)
_CAPITAL = linear_pattern(r"(?=[A-Z])")
_CAMEL_BY_SNAKE: Mapping[str, str] = {_CAPITAL.sub("_", name).lower(): name for name in _NAMES}
_OF_THE_USER = frozenset(
    {
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "responseSchema",
        "responseJsonSchema",
    }
)
"""The members whose value has names of its own."""
_DEEPEST = 12
"""No member that is renamed is deeper: request, contents, parts, functionResponse, parts …"""


def in_camel_case(value: Any, depth: int = 0) -> Any:
    """Return a request, or a part of one, with the names above in camel case."""
    if depth > _DEEPEST:
        return value
    if isinstance(value, list):
        return [in_camel_case(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: item if name in _OF_THE_USER else in_camel_case(item, depth + 1)
        for key, item in value.items()
        for name in (_name(key, value),)
    }


def _name(key: str, among: Mapping[str, Any]) -> str:
    name = _CAMEL_BY_SNAKE.get(key)
    return key if name is None or name in among else name
