"""Requests that reach Gemini from clients of other protocols, and those of its own clients."""

import base64
import json
from typing import Any

import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.middle.content import MediaKind
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.state import Origin, State, seal
from wiremend.protocols.base.middle.target import Target, ThinkingSwitch, TranslationTraits
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.translate.request import TranslatedRequest, translate_request

type Json = dict[str, Any]

ALL_MEDIA = frozenset(MediaKind)
PATH = "/v1beta/models/asked:generateContent"
ORIGIN = Origin(GEMINI.name, "h", "m")


def translate(source: Protocol, body: Json, provider: Protocol, **traits: Any) -> TranslatedRequest:
    traits = {"media": ALL_MEDIA, **traits}
    target = Target(origin=Origin(provider.name, "h", "m"), traits=TranslationTraits(**traits))
    return translate_request(source, PATH, body, provider, target)


def to_gemini(body: Json, source: Protocol = ANTHROPIC, **traits: Any) -> Json:
    """Return the request that Gemini gets."""
    result = translate(source, {"model": "asked", **body}, GEMINI, **traits)
    assert result.refusal is None
    value: Json = json.loads(result.body)
    return value


def from_gemini(body: Json, provider: Protocol = ANTHROPIC, **traits: Any) -> Json:
    """Return the request that a client of Gemini causes."""
    result = translate(GEMINI, body, provider, **traits)
    assert result.refusal is None
    value: Json = json.loads(result.body)
    return value


def codes(result: TranslatedRequest) -> list[str]:
    return [finding.code for finding in result.findings]


# To Gemini


def use(call_id: str, name: str = "read", **arguments: Any) -> Json:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def tool_result(call_id: str, content: Any = "ok", **members: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **members}


def text(content: str) -> Json:
    return {"type": "text", "text": content}


PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}
PNG_PART = {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
ASK = {"role": "user", "content": "go"}
ASK_CONTENT = {"role": "user", "parts": [{"text": "go"}]}


def after_calls(calls: list[Json], *answer: Json) -> list[Json]:
    """Return the contents of a session in which these blocks follow these calls."""
    messages = [
        ASK,
        {"role": "assistant", "content": calls},
        {"role": "user", "content": [*answer]},
    ]
    contents: list[Json] = to_gemini({"messages": messages})["contents"]
    assert [one["role"] for one in contents] == ["user", "model", "user"]
    return contents


def test_parallel_calls_are_one_content_and_results_follow_in_their_order() -> None:
    calls = [use("a", "first", x=1), use("b", "second")]
    _, model, user = after_calls(calls, tool_result("b", "2"), tool_result("a", "1"))
    assert [part["functionCall"] for part in model["parts"]] == [
        {"id": "a", "name": "first", "args": {"x": 1}},
        {"id": "b", "name": "second", "args": {}},
    ]
    assert [part["functionResponse"] for part in user["parts"]] == [
        {"id": "a", "name": "first", "response": {"output": "1"}},
        {"id": "b", "name": "second", "response": {"output": "2"}},
    ]


def test_a_failed_result_is_an_error() -> None:
    *_, user = after_calls([use("a")], tool_result("a", "no such file", is_error=True))
    [part] = user["parts"]
    assert part["functionResponse"]["response"] == {"error": "no such file"}


def test_a_user_s_text_and_images_follow_the_results() -> None:
    *_, user = after_calls([use("a")], text("stop"), tool_result("a", [text("x"), PNG]))
    response, image, words = user["parts"]
    assert response["functionResponse"]["response"] == {"output": "x"}
    assert image == PNG_PART
    assert words == {"text": "stop"}


def test_images_of_several_results_are_named_behind_all_of_them() -> None:
    results = (tool_result("a", [PNG]), tool_result("b", [PNG]))
    *_, user = after_calls([use("a", "first"), use("b", "second")], *results)
    shape = [next(iter(part)) for part in user["parts"]]
    assert shape == ["functionResponse"] * 2 + ["text", "inlineData"] * 2
    assert "first (a)" in user["parts"][2]["text"]
    assert user["parts"][0]["functionResponse"]["response"]["output"]


def test_a_call_without_a_result_gets_one() -> None:
    *_, user = after_calls([use("a")], text("stop"))
    assert "error" in user["parts"][0]["functionResponse"]["response"]


def test_a_result_without_a_call_is_text() -> None:
    contents = to_gemini({"messages": [{"role": "user", "content": [tool_result("x", "lost")]}]})
    [content] = contents["contents"]
    assert all("text" in part for part in content["parts"])
    assert {"text": "lost"} in content["parts"]


def test_roles_alternate_and_the_user_begins_and_ends() -> None:
    messages = [
        {"role": "assistant", "content": "hello"},
        ASK,
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "I will"},
    ]
    contents = to_gemini({"messages": messages})["contents"]
    assert [one["role"] for one in contents] == ["user", "model", "user", "model", "user"]
    assert contents[2]["parts"] == [{"text": "go"}, {"text": "again"}]


def test_a_pdf_is_inline_data_with_its_title() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
    document = {"type": "document", "source": source, "title": "report"}
    [content] = to_gemini({"messages": [{"role": "user", "content": [document]}]})["contents"]
    inline = {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}}
    assert content["parts"] == [{"text": "report"}, inline]


def test_a_medium_that_is_not_taken_is_a_note_with_a_finding() -> None:
    body = {"model": "asked", "messages": [{"role": "user", "content": [PNG]}]}
    result = translate(ANTHROPIC, body, GEMINI, media=frozenset())
    assert b"this model takes no images" in result.body
    assert codes(result) == ["X104"]


def test_a_file_of_another_provider_is_refused() -> None:
    source = {"type": "file", "file_id": "file_1"}
    block = {"type": "document", "source": source}
    body = {"model": "asked", "messages": [{"role": "user", "content": [block]}]}
    refusal = translate(ANTHROPIC, body, GEMINI).refusal
    assert refusal is not None
    assert (refusal.status, "file" in refusal.message) == (400, True)


SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL: Json = {"name": "read", "description": "Reads.", "input_schema": SCHEMA}


def test_tools_have_json_schema_and_no_members_of_others() -> None:
    tools = [{**TOOL, "defer_loading": True, "cache_control": {}}, {"name": "now"}]
    [entry] = to_gemini({"messages": [ASK], "tools": tools})["tools"]
    first, second = entry["functionDeclarations"]
    assert first == {"name": "read", "description": "Reads.", "parametersJsonSchema": SCHEMA}
    assert second["parametersJsonSchema"]["type"] == "object"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, None),
        ({"type": "any"}, {"mode": "ANY"}),
        ({"type": "none"}, {"mode": "NONE"}),
        ({"type": "tool", "name": "read"}, {"mode": "ANY", "allowedFunctionNames": ["read"]}),
    ],
)
def test_a_choice_of_tools_is_a_mode(choice: Json, expected: Json | None) -> None:
    body = to_gemini({"messages": [ASK], "tools": [TOOL], "tool_choice": choice})
    assert body.get("toolConfig", {}).get("functionCallingConfig") == expected


def test_a_choice_without_tools_is_left_out() -> None:
    body = to_gemini({"messages": [ASK], "tools": [], "tool_choice": {"type": "any"}})
    assert body == {"contents": [ASK_CONTENT]}


def test_allowed_tools_limit_the_choice_and_not_the_tools() -> None:
    function = {"type": "function", "function": {"name": "read"}}
    other = {"type": "function", "function": {"name": "write"}}
    third = {"type": "function", "function": {"name": "now"}}
    for mode, expected in (("required", "ANY"), ("auto", "VALIDATED")):
        choice = {"mode": mode, "tools": [function, other]}
        body = to_gemini(
            {
                "messages": [ASK],
                "tools": [function, other, third],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": choice},
            },
            CHAT,
        )
        assert len(body["tools"][0]["functionDeclarations"]) == 3
        assert body["toolConfig"]["functionCallingConfig"] == {
            "mode": expected,
            "allowedFunctionNames": ["read", "write"],
        }


WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def test_a_tool_that_the_provider_runs_is_dropped_beside_others_with_a_finding() -> None:
    body = {"model": "asked", "messages": [ASK], "tools": [TOOL, WEB_SEARCH]}
    result = translate(ANTHROPIC, body, GEMINI, server_tools=frozenset({"web_search"}))
    [entry] = json.loads(result.body)["tools"]
    assert list(entry) == ["functionDeclarations"]
    [finding] = result.findings
    assert finding.found == "tool 'web_search'"


def test_a_tool_that_the_provider_runs_is_refused_alone_unless_gemini_runs_it() -> None:
    choice = {"type": "tool", "name": "web_search"}
    body = {"messages": [ASK], "tools": [WEB_SEARCH], "tool_choice": choice}
    refusal = translate(ANTHROPIC, {"model": "asked", **body}, GEMINI).refusal
    assert refusal is not None
    assert "web_search" in refusal.message
    written = to_gemini(body, server_tools=frozenset({"web_search"}))
    assert (written["tools"], "toolConfig" in written) == ([{"googleSearch": {}}], False)


@pytest.mark.parametrize(
    ("body", "traits", "expected"),
    [
        ({}, {}, None),
        ({"thinking": {"type": "disabled"}}, {}, {"thinkingBudget": 0}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 5000}},
            {},
            {"includeThoughts": True, "thinkingBudget": 5000},
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 31999}},
            {},
            {"includeThoughts": True, "thinkingBudget": 24576},
        ),
        ({"thinking": {"type": "adaptive"}}, {}, {"includeThoughts": True, "thinkingBudget": -1}),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            {},
            {"includeThoughts": True, "thinkingBudget": 1024},
        ),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            {"efforts": ("minimal", "low", "high")},
            {"includeThoughts": True, "thinkingLevel": "HIGH"},
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            {"efforts": ("low", "high")},
            {"includeThoughts": True, "thinkingLevel": "LOW"},
        ),
        (
            {"thinking": {"type": "disabled"}},
            {"efforts": ("minimal", "low", "high")},
            {"thinkingLevel": "MINIMAL"},
        ),
        (
            {"thinking": {"type": "disabled"}},
            {"thinking": ThinkingSwitch(off={"thinkingBudget": 128})},
            {"thinkingBudget": 128},
        ),
    ],
)
def test_reasoning_is_a_budget_or_a_level(body: Json, traits: Json, expected: Json | None) -> None:
    written = to_gemini({"messages": [ASK], **body}, **traits)
    assert written.get("generationConfig", {}).get("thinkingConfig") == expected


def test_parameters_keep_their_value() -> None:
    body = {
        "messages": [ASK],
        "max_tokens": 0,
        "temperature": 1,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": [f"s{number}" for number in range(7)],
    }
    assert to_gemini(body)["generationConfig"] == {
        "maxOutputTokens": 1,
        "temperature": 1,
        "topP": 0.9,
        "topK": 5,
        "stopSequences": ["s0", "s1", "s2", "s3", "s4"],
    }


def test_structured_output_is_a_schema_or_words_beside_tools() -> None:
    form = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    alone = to_gemini({"messages": [ASK], **form})
    assert alone["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    beside = to_gemini({"messages": [ASK], "tools": [TOOL], **form})
    assert "generationConfig" not in beside
    [words] = beside["systemInstruction"]["parts"]
    assert json.dumps(SCHEMA, separators=(",", ":")) in words["text"]


def test_later_system_text_stays_in_its_place_as_the_user_s() -> None:
    messages = [ASK, {"role": "system", "content": [text("New rule.")]}]
    body = {"model": "asked", "system": "Be kind.", "messages": messages}
    result = translate(ANTHROPIC, body, GEMINI)
    written = json.loads(result.body)
    assert written["systemInstruction"] == {"parts": [{"text": "Be kind."}]}
    [content] = written["contents"]
    assert "<system-reminder>\nNew rule.\n</system-reminder>" in content["parts"][1]["text"]
    assert len(codes(result)) == 1


@pytest.mark.parametrize(
    ("stream", "model", "path"),
    [
        (True, "gemini-3-pro", "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse"),
        (False, "a b", "/v1beta/models/a%20b:generateContent"),
        (False, "models/x", "/v1beta/models/x:generateContent"),
    ],
)
def test_the_path_contains_the_model_and_the_method(stream: bool, model: str, path: str) -> None:
    body = {"model": "asked", "messages": [ASK], "stream": stream}
    target = Target(origin=Origin(GEMINI.name, "h", model))
    assert translate_request(ANTHROPIC, "/v1/messages", body, GEMINI, target).path == path


def test_ids_of_other_characters_are_restored_or_fitted_and_differ() -> None:
    calls = [use("a.b:0"), use("x" * 80)]
    contents = after_calls(calls, tool_result("a.b:0"), tool_result("x" * 80))
    sent = [part["functionCall"]["id"] for part in contents[1]["parts"]]
    assert all(len(one) <= 64 and "." not in one for one in sent)
    assert sent == [part["functionResponse"]["id"] for part in contents[2]["parts"]]
    assert len(set(sent)) == 2


# Signatures


def own_state(signature: str, on: str, host: str = "h") -> State:
    origin = Origin(GEMINI.name, host, "m")
    return State(origin, {"thoughtSignature": signature, "on": on})


def redacted(state: State) -> Json:
    return {"type": "redacted_thinking", "data": seal(state)}


def model_parts(*blocks: Json) -> list[Json]:
    messages = [ASK, {"role": "assistant", "content": [*blocks]}, ASK]
    parts: list[Json] = to_gemini({"messages": messages})["contents"][1]["parts"]
    return parts


def test_a_signature_returns_to_its_call_and_the_others_have_none() -> None:
    parts = model_parts(text("x"), redacted(own_state("Q2Fs", "functionCall")), use("a"), use("b"))
    assert [part.get("thoughtSignature") for part in parts] == [None, "Q2Fs", None]


def test_a_signature_of_a_text_stays_behind_it() -> None:
    parts = model_parts(text("x"), redacted(own_state("VGV4", "text")), use("a"))
    assert parts[:2] == [{"text": "x"}, {"text": "", "thoughtSignature": "VGV4"}]
    assert "thoughtSignature" not in parts[2]


def test_the_first_of_unsigned_calls_is_marked_in_every_turn() -> None:
    """So that a call is sent in the same form when it is no longer in the current turn."""
    said = {"role": "assistant", "content": [use("a"), use("b")]}
    results = {"role": "user", "content": [tool_result("a"), tool_result("b")]}
    signed = redacted(own_state("Q2Fs", "functionCall"))
    again = {"role": "assistant", "content": [signed, use("c")]}
    body = {"messages": [ASK, said, results, ASK, again, {**ASK, "content": [tool_result("c")]}]}
    sent = to_gemini(body, unsigned_call="skip")["contents"]
    parts = [part for content in sent for part in content["parts"] if "functionCall" in part]
    assert [part.get("thoughtSignature") for part in parts] == ["skip", None, "Q2Fs"]


def test_reasoning_of_others_is_not_sent() -> None:
    thinking = {"type": "thinking", "thinking": "Hm", "signature": "of Anthropic"}
    elsewhere = redacted(own_state("Q2Fs", "functionCall", "elsewhere"))
    parts = model_parts(thinking, elsewhere, use("a"))
    assert parts == [{"functionCall": {"id": "a", "name": "read", "args": {}}}]


# From Gemini


def call(name: str = "read", **members: Any) -> Json:
    return {"functionCall": {"name": name, **members}}


def response(name: str = "read", output: Any = "ok", **members: Any) -> Json:
    return {"functionResponse": {"name": name, "response": {"output": output}, **members}}


def messages_for(*contents: list[Json]) -> list[Json]:
    """Return the Anthropic messages of contents that alternate, the user's first."""
    roles = ("user", "model")
    turns = [{"role": roles[at % 2], "parts": parts} for at, parts in enumerate(contents)]
    messages: list[Json] = from_gemini({"contents": turns})["messages"]
    return messages


GO = [{"text": "go"}]


def test_calls_without_ids_are_paired_by_name_and_order() -> None:
    calls = [call("read", args={"n": 1}), call("list"), call("read", args={"n": 2})]
    answers = [response("read", "1"), response("read", "2"), response("list", "3")]
    _, assistant, user = messages_for(GO, calls, answers)
    ids = [block["id"] for block in assistant["content"]]
    assert len(set(ids)) == 3
    found = {block["tool_use_id"]: block["content"] for block in user["content"]}
    assert [found[one] for one in ids] == ["1", "3", "2"]


def test_calls_without_ids_have_the_same_ids_in_later_requests() -> None:
    short = messages_for(GO, [call()], [response()])
    long = messages_for(GO, [call()], [response()], [call()], [response()])
    assert long[:3] == short
    ids = [block["id"] for message in long[1::2] for block in message["content"]]
    assert len(set(ids)) == 2


def test_ids_that_come_twice_become_different() -> None:
    again = [call(id="call_0")], [response(id="call_0")]
    messages = messages_for(GO, *again, *again)
    ids = [block["id"] for message in messages[1::2] for block in message["content"]]
    results = [block["tool_use_id"] for message in messages[2::2] for block in message["content"]]
    assert ids == results
    assert len(set(ids)) == 2


def test_an_image_behind_a_response_is_a_part_of_the_result() -> None:
    *_, user = messages_for(GO, [call()], [response(), PNG_PART, {"text": "look"}])
    result, words = user["content"]
    assert [block["type"] for block in result["content"]] == ["text", "image"]
    assert words == {"type": "text", "text": "look"}


def test_an_image_inside_a_response_is_a_part_of_the_result() -> None:
    *_, user = messages_for(GO, [call()], [response(parts=[PNG_PART])])
    assert [block["type"] for block in user["content"][0]["content"]] == ["text", "image"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"output": "ok"}, "ok"),
        ({"error": "no"}, "no"),
        ({"result": {"a": 1}}, '{"a":1}'),
        ({"name": "read", "content": "ok"}, "ok"),
        ({"a": 1, "b": "é"}, '{"a":1,"b":"é"}'),
    ],
)
def test_the_output_of_a_response_is_its_text(given: Json, shown: str) -> None:
    answer = {"functionResponse": {"name": "read", "response": given}}
    *_, user = messages_for(GO, [call()], [answer])
    [result] = user["content"]
    content = result["content"]
    assert (content if isinstance(content, str) else content[0]["text"]) == shown
    assert result.get("is_error", False) is ("error" in given)


def test_url_safe_data_becomes_standard() -> None:
    data = base64.urlsafe_b64encode(b"\xfb\xff\xfe").decode()
    [message] = messages_for([{"inlineData": {"mimeType": "image/png", "data": data}}])
    assert message["content"][0]["source"]["data"] == "+//+"


def test_a_text_file_is_a_document_with_its_text() -> None:
    data = base64.b64encode("é".encode()).decode()
    [message] = messages_for([{"inlineData": {"mimeType": "text/plain", "data": data}}])
    assert message["content"][0]["source"]["data"] == "é"


def test_google_s_schemas_become_json_schema() -> None:
    parameters = {
        "type": "OBJECT",
        "properties": {
            "a": {"type": "STRING", "nullable": True, "enum": ["x"], "maxLength": "5"},
            "b": {"type": "ARRAY", "items": {"type": "INTEGER"}},
            "type": {"anyOf": [{"type": "NUMBER"}], "nullable": True},
        },
        "propertyOrdering": ["a", "b"],
    }
    tools = [{"functionDeclarations": [{"name": "read", "parameters": parameters}]}]
    body = from_gemini({"contents": [{"parts": GO}], "tools": tools})
    assert body["tools"][0]["input_schema"] == {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", None], "maxLength": 5},
            "b": {"type": "array", "items": {"type": "integer"}},
            "type": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        },
    }


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"generationConfig": {"candidateCount": 2}}, "candidateCount"),
        ({"cachedContent": "cachedContents/x"}, "cachedContent"),
        ({"generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}}, "AUDIO"),
        ({"tools": [{"googleSearch": {}}]}, "web_search"),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "gs://b/x.png"}}]}]}, "file"),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}]}]},
            "audio",
        ),
    ],
)
def test_what_would_change_the_meaning_is_refused_by_name(body: Json, named: str) -> None:
    request = {"contents": [{"parts": GO}], **body}
    refusal = translate(GEMINI, request, ANTHROPIC, media=frozenset({MediaKind.IMAGE})).refusal
    assert refusal is not None
    assert refusal.status == 400
    assert named in refusal.message
    assert json.loads(GEMINI.error_body(refusal))["error"]["status"] == "INVALID_ARGUMENT"


def test_one_candidate_and_text_are_no_loss() -> None:
    config = {"candidateCount": 1, "responseModalities": ["TEXT"], "topP": 0.5}
    request = {"contents": [{"role": "user", "parts": GO}], "generationConfig": config}
    assert codes(translate(GEMINI, request, ANTHROPIC)) == []


def test_members_that_only_gemini_has_are_findings_by_their_name() -> None:
    request = {
        "contents": [{"parts": GO}],
        "safetySettings": [{"category": "c"}],
        "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"},
    }
    result = translate(GEMINI, request, CHAT)
    found = {finding.found for finding in result.findings}
    assert found == {"safetySettings", "mediaResolution"}


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"thinkingBudget": 0}, "none"),
        ({"thinkingBudget": 1000}, "low"),
        ({"thinkingBudget": 24576}, "high"),
        ({"thinkingLevel": "MEDIUM"}, "medium"),
        ({"includeThoughts": True, "thinkingBudget": -1}, None),
    ],
)
def test_reasoning_is_an_effort_for_chat(thinking: Json, effort: str | None) -> None:
    request = {"contents": [{"parts": GO}], "generationConfig": {"thinkingConfig": thinking}}
    body = from_gemini(request, CHAT, efforts=("none", "low", "medium", "high"))
    assert body.get("reasoning_effort") == effort


def test_snake_case_is_read_like_camel_case() -> None:
    snake = {
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "iVBORw=="}}]}],
        "system_instruction": {"parts": [{"text": "Be kind."}]},
        "tools": [{"function_declarations": [{"name": "read", "parameters": {"my_key": 1}}]}],
        "generation_config": {"max_output_tokens": 5},
    }
    body = from_gemini(snake)
    assert body["system"] == [{"type": "text", "text": "Be kind."}]
    assert body["messages"][0]["content"][0]["type"] == "image"
    assert (body["tools"][0]["name"], body["max_tokens"]) == ("read", 5)
    assert body["tools"][0]["input_schema"]["my_key"] == 1


def test_code_assist_s_wrapper_is_opened() -> None:
    request = {"contents": [{"parts": GO}], "session_id": "s"}
    body = {"model": "asked", "project": "p", "request": request}
    target = Target(origin=Origin(ANTHROPIC.name, "h", "m"))
    path = "/v1internal:streamGenerateContent?alt=sse"
    result = translate_request(GEMINI, path, body, ANTHROPIC, target)
    assert result.conversation is not None
    assert (result.conversation.model, result.conversation.stream) == ("asked", True)
    assert (result.conversation.session, codes(result)) == ("s", [])


def test_traces_of_google_s_own_tools_are_text_with_a_finding() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    output = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}
    contents = [{"parts": GO}, {"role": "model", "parts": [code, output]}, {"parts": GO}]
    result = translate(GEMINI, {"contents": contents}, CHAT)
    assert b"print(1)" in result.body
    assert len(codes(result)) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": "go"},
        {"contents": [None, {"parts": "go"}, {"role": 5, "parts": [{}, {"text": 5}]}]},
        {"contents": [{"parts": [{"functionCall": []}, {"functionResponse": {"response": 5}}]}]},
        {"contents": [{"parts": [{"inlineData": {"data": 5}}, {"fileData": {}}]}]},
        {"contents": [{"role": "model", "parts": [{"functionCall": {"args": 5, "id": 5}}]}]},
        {"tools": [None, {}, {"functionDeclarations": [5, {"name": 5, "parameters": []}]}]},
        {"toolConfig": {"functionCallingConfig": {"mode": 5, "allowedFunctionNames": [5]}}},
        {"generationConfig": {"thinkingConfig": 5, "stopSequences": [5], "topP": "x"}},
        {"systemInstruction": {"parts": [5, {"text": "x"}, PNG_PART]}},
    ],
)
def test_odd_requests_are_read_and_restored(body: Json) -> None:
    assert GEMINI.translation is not None
    conversation = GEMINI.translation.read_request(PATH, body)
    for provider in (ANTHROPIC, CHAT):
        translate(GEMINI, body, provider)
    if "tools" not in body and "contents" not in body:
        target = Target(origin=ORIGIN)
        written = GEMINI.translation.write_request(conversation, target, Losses())
        assert json.loads(written.body) == body
