"""Reading a Gemini request: facts, tools, references to tools, limits.

https://ai.google.dev/api/generate-content
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from wiremend.protocols.base.facts import model_in
from wiremend.protocols.base.message_rules.images import Image
from wiremend.protocols.base.protocol import (
    Endpoints,
    KeyHeader,
    ModelList,
    RequestFacts,
    TokenCount,
)
from wiremend.protocols.base.tools import (
    ChoiceOfMode,
    ClientTool,
    Mention,
    SchemaForm,
    mention_at,
    objects_along,
    objects_at,
    value_at,
)
from wiremend.text.json_edits import Path
from wiremend.text.json_value import dicts_in
from wiremend.text.patterns import text_pattern

ENDPOINTS = Endpoints(
    call=text_pattern(r"(?::|%3a)(?:streamG|g)enerateContent\Z", ignore_case=True),
    unversioned=text_pattern(r"/models/"),
    # https://ai.google.dev/api/tokens
    count=text_pattern(r"(?::|%3a)countTokens\Z", ignore_case=True),
)
KEY_HEADER = KeyHeader("x-goog-api-key")
TOKEN_COUNT = TokenCount(
    answer=lambda count: {"totalTokens": count}, inner_request="generateContentRequest"
)
REQUEST_WRAPPERS = ("request", "generateContentRequest")
"""The wrappers of Code Assist and of countTokens."""
SCHEMA_FORM = SchemaForm(
    # The API refuses it: `Unknown name "additionalProperties"`
    b'{"type":"object","properties":{}}',
    may_be_absent=True,
    is_json_schema=False,
)
TOKEN_LIMITS: tuple[Path, ...] = (
    ("generationConfig", "maxOutputTokens"),
    ("generation_config", "max_output_tokens"),
    ("request", "generationConfig", "maxOutputTokens"),
)

_THINKING_CONFIGS: tuple[Path, ...] = (
    ("generationConfig", "thinkingConfig"),
    ("generation_config", "thinking_config"),
    ("request", "generationConfig", "thinkingConfig"),
)
BUDGETS: tuple[Path, ...] = tuple(
    (*path, name) for path in _THINKING_CONFIGS for name in ("thinkingBudget", "thinking_budget")
)
EFFORTS: tuple[Path, ...] = tuple(
    (*path, name) for path in _THINKING_CONFIGS for name in ("thinkingLevel", "thinking_level")
)

_CODE_ASSIST = text_pattern(r"/v1internal(?::|%3a)", ignore_case=True)
_STREAMING_METHOD = text_pattern(r"(?::|%3a)streamGenerateContent\Z", ignore_case=True)
_DECLARATIONS = ("functionDeclarations", "function_declarations")
_JSON_SCHEMA = ("parametersJsonSchema", "parameters_json_schema")
"""Full JSON Schema instead of `parameters`; both together are refused."""
_PARTS = ("functionCall", "function_call", "functionResponse", "function_response")
_ALLOWED_NAMES = ("allowedFunctionNames", "allowed_function_names")
_COLLECTIONS = ("models/", "tunedModels/")
_METHOD = text_pattern(r"(?::|%3a)[a-z]++\Z", ignore_case=True)
"""`…/models/MODEL:method`, after `publishers/google/` in Vertex AI or other prefixes of gateways.

https://ai.google.dev/api/generate-content, https://cloud.google.com/vertex-ai (REST reference)
"""


@dataclass(frozen=True, slots=True)
class ModelOfPath:
    """The model name in the URL: without `models/`, but with `tunedModels/`."""

    def read(self, path: str) -> str | None:
        """Return the model in this path (with its query), or None."""
        span = _name_in(path)
        return unquote(path[span]).removeprefix("models/") if span else None

    def write(self, path: str, model: str) -> str:
        """Return the path with `model`; the same string if it contains that model already."""
        span = _name_in(path)
        name = model if model.startswith(_COLLECTIONS) else f"models/{model}"
        if span is None or unquote(path[span]) == name:
            return path
        return path[: span.start] + quote(name, safe="/@") + path[span.stop :]


def _name_in(path: str) -> slice | None:
    """Return where a path contains the name of a model, with its collection; None if it does not.

    The name is in the last collection before the method.
    """
    endpoint = path.partition("?")[0]
    method = _METHOD.search(endpoint)
    if method is None:
        return None
    end = method.start()
    start = max(endpoint.rfind(f"/{collection}", 0, end - 1) for collection in _COLLECTIONS) + 1
    return slice(start, end) if start else None


def read_request(path: str, fields: Mapping[str, Any] | None) -> RequestFacts:
    """Return the facts of a request: model and streaming are in its path, tools in its body.

    `path` contains the query; `fields` is the parsed body, None if it is not a JSON object.
    """
    endpoint, _, query = path.partition("?")
    streaming = _STREAMING_METHOD.search(endpoint) is not None
    body = fields or {}
    inner = body.get("request")  # Code Assist wraps it: /v1internal:generateContent
    form = _response_form(query)
    return RequestFacts(
        model=ModelOfPath().read(endpoint) or model_in(body),
        streaming=streaming,
        tool_names=_tool_names(inner if isinstance(inner, dict) else body),
        array=streaming and "sse" not in form,
        numeric_enums="enum-encoding=int" in form,
        in_wrapper=isinstance(inner, dict) or _CODE_ASSIST.search(endpoint) is not None,
        valid=fields is not None,
    )


def _response_form(query: str) -> frozenset[str]:
    """Return what the client asks of the response: `sse`, `json`, `enum-encoding=int`.

    `$alt=json;enum-encoding=int` has several values in one parameter.
    https://cloud.google.com/apis/docs/system-parameters
    """
    values = (value for key, value in parse_qsl(query) if key in ("alt", "$alt"))
    return frozenset(
        part.strip().lower().replace("_", "-") for value in values for part in value.split(";")
    )


def client_tools(request: dict[str, Any]) -> Iterator[ClientTool]:
    """Yield the function declarations of every entry."""
    for entry, _ in objects_at(request, (*request_path(request), "tools")):
        for key in _DECLARATIONS:
            for declaration, function in objects_at(request, (*entry, key)):
                in_json_schema = any(function.get(name) is not None for name in _JSON_SCHEMA)
                yield ClientTool(
                    declaration,
                    declaration,
                    function,
                    None if in_json_schema else "parameters",
                    is_grouped=True,
                )


def server_tool_names(_: dict[str, Any]) -> list[str]:
    """Return no names: tools that the provider runs have none in this protocol."""
    return []


def tool_mentions(request: Mapping[str, Any]) -> Iterator[Mention]:
    """Yield the function names in calls, responses and the allowed names of the calling mode."""
    wrapper = request_path(request)
    for path, part in objects_along(request, *wrapper, "contents", "*", "parts", "*"):
        for key in _PARTS:
            if key in part:
                yield from mention_at(request, (*path, key))
    for path in _mode_configs(request):
        calling = value_at(request, path)
        for key in _ALLOWED_NAMES:
            names = calling.get(key) if isinstance(calling, dict) else None
            for index, name in enumerate(names if isinstance(names, list) else ()):
                if isinstance(name, str):
                    yield (*path, key, index), name


MENTION_WORDS = frozenset((*_PARTS, *_ALLOWED_NAMES))


def _mode_configs(request: Mapping[str, Any]) -> tuple[Path, ...]:
    wrapper = request_path(request)
    return tuple(
        (*wrapper, outer, inner)
        for outer in ("toolConfig", "tool_config")
        for inner in ("functionCallingConfig", "function_calling_config")
    )


TOOL_CHOICE = ChoiceOfMode(_mode_configs)


def _tool_names(fields: Mapping[str, Any]) -> tuple[str, ...]:
    names: list[str] = []
    for tool in dicts_in(fields.get("tools")):
        for key in _DECLARATIONS:
            for function in dicts_in(tool.get(key)):
                name = function.get("name")
                if isinstance(name, str) and name:
                    names.append(name)
    return tuple(names)


def _listed_as(name: str) -> str:
    return name if name.startswith(_COLLECTIONS) else f"models/{name}"


def _entry(name: str) -> dict[str, Any]:
    return {
        "name": _listed_as(name),
        "displayName": name,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def _is_last_page(answer: Mapping[str, Any]) -> bool:
    """Return whether this is the last page; Codex's list has `models` too, with other names."""
    names = [str(entry["name"]) for entry in answer["models"]]
    is_gemini = bool(names) and all(name.startswith("models/") for name in names)
    return is_gemini and not answer.get("nextPageToken")


# https://ai.google.dev/api/models
MODEL_LIST = ModelList("models", "name", _is_last_page, _entry, _listed_as)


def request_path(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the path of the request in a parsed body: Code Assist wraps it."""
    is_plain = "contents" in body or "tools" in body
    return ("request",) if isinstance(body.get("request"), dict) and not is_plain else ()


def images(request: dict[str, Any]) -> Iterator[Image]:
    """Yield the images in parts and in responses of functions."""
    steps = (*request_path(request), "contents", "*", "parts", "*")
    for path, part in objects_along(request, *steps):
        if part.keys().isdisjoint((*_PARTS, "text")):
            yield from _image(path, part)
        for key in _PARTS[2:]:
            for inner, result in objects_along(part.get(key), "parts", "*"):
                yield from _image((*path, key, *inner), result)


def _image(path: Path, part: dict[str, Any]) -> Iterator[Image]:
    keys = ("inlineData", "inline_data", "fileData", "file_data")
    blob: dict[str, Any] = next((part[key] for key in keys if isinstance(part.get(key), dict)), {})
    kind = blob.get("mimeType", blob.get("mime_type"))
    if isinstance(kind, str) and kind.startswith("image/"):
        data = blob.get("data")
        yield Image(path, _text_part, len(data) if isinstance(data, str) else None)


def _text_part(text: str) -> dict[str, Any]:
    return {"text": text}
