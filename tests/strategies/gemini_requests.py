"""Strategies for requests of Gemini's clients: valid ones with every feature.

A conversation is a list of contents that grows, so a prefix of it is one, too.
"""

import base64
from typing import Any

from hypothesis import strategies as st

type Json = dict[str, Any]

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = st.sampled_from(["read", "write_file", "mcp__notion__search"])
_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
_OBJECT = st.dictionaries(TEXT, _VALUE, max_size=3)
_BYTES = st.binary(min_size=1, max_size=12)
_UNKNOWN = st.just({"aNewMember": {"a": [1]}}) | st.just({}) | st.just({})
_SIGNED = st.just({"thoughtSignature": "CiQB0e2Kb3kq3p9vQ8mX1w=="}) | st.just({})


def _alphabet(data: bytes, url_safe: bool) -> str:
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    return encode(data).decode()


_MEDIA: st.SearchStrategy[Json] = st.one_of(
    st.builds(
        lambda mime, data, safe: {"inlineData": {"mimeType": mime, "data": _alphabet(data, safe)}},
        st.sampled_from(["image/png", "application/pdf", "text/plain", "video/mp4"]),
        _BYTES,
        st.booleans(),
    ),
    st.sampled_from(
        [
            {"fileData": {"fileUri": "https://example.org/a.png", "mimeType": "image/png"}},
            {"fileData": {"fileUri": "https://youtu.be/x"}},
        ]
    ),
)
COMMON_MEDIA: st.SearchStrategy[Json] = st.one_of(
    st.builds(
        lambda mime, data: {"inlineData": {"mimeType": mime, "data": _alphabet(data, True)}},
        st.sampled_from(["image/png", "application/pdf"]),
        _BYTES,
    ),
    st.just({"fileData": {"fileUri": "https://example.org/a.png", "mimeType": "image/png"}}),
)
"""Media that every protocol has."""
FILES: st.SearchStrategy[Json] = st.just(
    {"fileData": {"fileUri": "gs://bucket/a.pdf", "mimeType": "application/pdf"}}
)
_TEXTS = st.builds(lambda text: {"text": text}, TEXT)
_THOUGHTS = st.builds(lambda text: {"text": text, "thought": True}, TEXT)
_SERVER: st.SearchStrategy[Json] = st.sampled_from(
    [
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
        {"aNewPart": 1},
    ]
)
RESPONSES: st.SearchStrategy[Json] = st.one_of(
    st.builds(
        lambda key, value: {key: value},
        st.sampled_from(["output", "error", "result", "content"]),
        TEXT | _OBJECT,
    ),
    _OBJECT,
)


def _with(part: Json, *others: Json) -> Json:
    return {key: value for one in (part, *others) for key, value in one.items()}


@st.composite
def _model_turn(draw: st.DrawFn, number: int, with_ids: bool) -> tuple[Json, list[Json]]:
    """A content of the model, and its calls."""
    parts = draw(st.lists(_TEXTS | _THOUGHTS | _SERVER, max_size=2))
    calls: list[Json] = []
    for at in range(draw(st.integers(0, 3))):
        call: Json = {"name": draw(NAMES)}
        if draw(st.booleans()):
            call["args"] = draw(_OBJECT)
        if with_ids:
            call["id"] = f"id-{number}-{at}"
        calls.append(call)
        parts.append({"functionCall": call})
    parts = [_with(part, draw(_SIGNED), draw(_UNKNOWN)) for part in parts] or [{"text": "so"}]
    return {"role": "model", "parts": parts}, calls


@st.composite
def _user_turn(draw: st.DrawFn, calls: list[Json], media: st.SearchStrategy[Json]) -> Json:
    """A content of the user: the results of these calls, media, texts."""
    parts: list[Json] = []
    order = calls if not all("id" in call for call in calls) else draw(st.permutations(calls))
    for call in order:
        response = {key: call[key] for key in ("id", "name") if key in call}
        if draw(st.integers(0, 9)):
            response["response"] = draw(RESPONSES)
        if draw(st.integers(0, 5)) == 0:
            response["parts"] = [draw(media)]
        parts.append(_with({"functionResponse": response}, draw(_UNKNOWN)))
        if draw(st.integers(0, 3)) == 0:
            parts.append(draw(media))
    parts += draw(st.lists(_TEXTS | media, max_size=2))
    content: Json = {"parts": parts or [{"text": "go on"}]}
    return _with(content, draw(st.just({"role": "user"}) | st.just({"role": "user"})))


@st.composite
def contents(draw: st.DrawFn, media: st.SearchStrategy[Json] | None = None) -> list[Json]:
    """Contents that alternate, begin with the user's and end with them."""
    kinds = media if media is not None else _MEDIA | FILES
    with_ids = draw(st.booleans())
    turns = [draw(_user_turn([], kinds))]
    for number in range(draw(st.integers(0, 3))):
        content, calls = draw(_model_turn(number, with_ids))
        turns += [content, draw(_user_turn(calls, kinds))]
    return turns


_SCHEMA: Json = {
    "type": "OBJECT",
    "properties": {
        "path": {"type": "STRING", "nullable": True, "minLength": "1"},
        "list": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}},
    },
    "required": ["path"],
    "propertyOrdering": ["path", "list"],
}
_JSON_SCHEMA: Json = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"path": {"type": ["string", "null"]}},
    "additionalProperties": False,
}
_DECLARATIONS: st.SearchStrategy[list[Json]] = st.permutations(
    [
        {"name": "read", "description": "Reads a file.", "parameters": _SCHEMA},
        {"name": "write_file", "parametersJsonSchema": _JSON_SCHEMA, "behavior": "BLOCKING"},
        {"name": "mcp__notion__search", "description": "Searches."},
    ]
)


@st.composite
def _tools(draw: st.DrawFn, server_tools: bool) -> list[Json]:
    declarations = draw(_DECLARATIONS)
    entries: list[Json] = [{"functionDeclarations": declarations}]
    if draw(st.booleans()):
        entries = [{"functionDeclarations": [one]} for one in declarations]
    if server_tools and draw(st.booleans()):
        entries.append({"googleSearch": {}, "aNewTool": {"a": 1}})
    return entries


_GENERATION: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 1, 0.5, 2.0]),
        "topP": st.just(0.95),
        "topK": st.sampled_from([64, 40.0]),
        "maxOutputTokens": st.integers(1, 9999),
        "candidateCount": st.just(1),
        "stopSequences": st.lists(TEXT, min_size=1, max_size=5),
        "seed": st.integers(0, 99),
        "presencePenalty": st.just(0.5),
        "frequencyPenalty": st.just(-0.5),
        "thinkingConfig": st.fixed_dictionaries(
            {},
            optional={
                "includeThoughts": st.booleans(),
                "thinkingBudget": st.sampled_from([-1, 0, 1, 8192]),
                "thinkingLevel": st.sampled_from(["LOW", "high", "NEW"]),
            },
        ),
        "responseModalities": st.just(["TEXT"]),
        "mediaResolution": st.just("MEDIA_RESOLUTION_LOW"),
    },
)
_FORMATS: st.SearchStrategy[Json] = st.sampled_from(
    [
        {},
        {},
        {"responseMimeType": "text/plain"},
        {"responseMimeType": "application/json"},
        {"responseMimeType": "application/json", "responseSchema": _SCHEMA},
        {"responseMimeType": "application/json", "responseJsonSchema": _JSON_SCHEMA},
        {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}},
    ]
)
_CHOICES: st.SearchStrategy[Json] = st.sampled_from(
    [
        {"functionCallingConfig": {"mode": "AUTO"}},
        {"functionCallingConfig": {"mode": "any"}},
        {"functionCallingConfig": {"mode": "NONE", "aNewMember": 1}},
        {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["read"]}},
        {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["read", "write_file"]}},
        {"functionCallingConfig": {"mode": "VALIDATED"}, "retrievalConfig": {"languageCode": "en"}},
    ]
)
_SYSTEMS: st.SearchStrategy[Json] = st.builds(
    lambda texts, role: {**role, "parts": [{"text": text} for text in texts]},
    st.lists(TEXT, min_size=1, max_size=2),
    st.sampled_from([{}, {"role": "user"}, {"role": "system", "x": 1}]),
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Json]:
    """The path and the body of a request, also of Code Assist."""
    request: Json = {"contents": draw(contents())}
    if draw(st.booleans()):
        request["systemInstruction"] = draw(_SYSTEMS)
    if draw(st.booleans()):
        request["tools"] = draw(_tools(server_tools=True))
        if draw(st.booleans()):
            request["toolConfig"] = draw(_CHOICES)
    if draw(st.booleans()):
        request["generationConfig"] = {**draw(_GENERATION), **draw(_FORMATS)}
    if draw(st.booleans()):
        request |= {"safetySettings": [{"category": "x", "threshold": "OFF"}], "labels": {"a": "b"}}
    if draw(st.integers(0, 5)) == 0:
        outer = {"model": "m", "project": "p", "user_prompt_id": "u"}
        return "/v1internal:streamGenerateContent?alt=sse", {**outer, "request": request}
    method = draw(st.sampled_from(["generateContent", "streamGenerateContent?alt=sse"]))
    return f"/v1beta/models/m:{method}", request


@st.composite
def conversations(draw: st.DrawFn) -> list[Json]:
    """The requests of one session: each has the contents of the one before, and more.

    They contain nothing that other protocols must refuse.
    """
    turns = draw(contents(COMMON_MEDIA))
    head: Json = {"tools": draw(_tools(server_tools=False))}
    if draw(st.booleans()):
        head["systemInstruction"] = draw(_SYSTEMS)
    if draw(st.booleans()):
        head["generationConfig"] = draw(_GENERATION)
    return [{**head, "contents": turns[:end]} for end in range(1, len(turns) + 1, 2)]
