"""Strategies for valid Anthropic Messages requests, with every feature of the protocol."""

from typing import Any

from hypothesis import strategies as st

from strategies.mutations import Json

TOOL_NAMES = ("read", "exec")
_texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=9)
texts = _texts.map(lambda text: f"t{text}t")
"""Text that is neither blank nor begins with white space."""
_values = st.integers(-9, 9) | texts | st.none() | st.booleans() | st.lists(st.integers(0, 3))
arguments = st.dictionaries(_texts, _values, max_size=3)
schemas = st.sampled_from(
    [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
    ]
)
_cache_mark = st.sampled_from([{}, {}, {"cache_control": {"type": "ephemeral"}}])
_unknown = st.sampled_from([{}, {}, {}, {"x_new": [1, {"a": None}]}])


@st.composite
def _image(draw: st.DrawFn) -> Json:
    source = draw(
        st.sampled_from(
            [
                {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"},
                {"type": "url", "url": "https://example.com/a.png"},
            ]
        )
    )
    return {"type": "image", "source": source}


@st.composite
def _document(draw: st.DrawFn) -> Json:
    source = draw(
        st.sampled_from(
            [
                {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
                {"type": "text", "media_type": "text/plain", "data": "plain"},
                {"type": "content", "content": [{"type": "text", "text": "inner"}]},
                {"type": "url", "url": "https://example.com/a.pdf"},
            ]
        )
    )
    more = draw(st.sampled_from([{}, {"title": "T"}, {"title": "T", "context": "C"}]))
    return {"type": "document", "source": source, **more, **draw(_cache_mark)}


@st.composite
def text_block(draw: st.DrawFn) -> Json:
    """A text block."""
    return {"type": "text", "text": draw(texts), **draw(_cache_mark), **draw(_unknown)}


def _citations() -> st.SearchStrategy[list[Json]]:
    location = {"type": "char_location", "cited_text": "x", "document_index": 0}
    location |= {"document_title": None, "start_char_index": 0, "end_char_index": 1}
    search = {"type": "web_search_result_location", "url": "https://a", "title": "A"}
    search |= {"cited_text": "x", "encrypted_index": "e"}
    return st.lists(st.sampled_from([location, search]), min_size=1, max_size=2)


@st.composite
def _reference(draw: st.DrawFn) -> Json:
    return {"type": "tool_reference", "tool_name": draw(st.sampled_from(TOOL_NAMES))}


@st.composite
def _search_result(draw: st.DrawFn) -> Json:
    content = [{"type": "text", "text": draw(texts)}]
    block: Json = {"type": "search_result", "source": "https://a", "title": "A"}
    return {**block, "content": content, "citations": {"enabled": True}}


@st.composite
def _result(draw: st.DrawFn, call_id: str, is_plain: bool) -> Json:
    kinds = text_block() if is_plain else text_block() | _image() | _reference() | _document()
    content = draw(st.none() | texts | st.lists(kinds, max_size=3))
    block: Json = {"type": "tool_result", "tool_use_id": call_id}
    if content is not None:
        block["content"] = content
    if not is_plain and draw(st.booleans()):
        block["is_error"] = draw(st.booleans())
    return {**block, **draw(_cache_mark)}


@st.composite
def _assistant_content(draw: st.DrawFn, number: int, is_plain: bool) -> list[Json]:
    """Blocks of an assistant message, with ids that are unique in the conversation."""
    blocks: list[Json] = []
    if not is_plain and draw(st.booleans()):
        thinking = {"type": "thinking", "thinking": draw(texts), "signature": "EqQBCgIYAhIM"}
        blocks.append(draw(st.sampled_from([thinking, {"type": "redacted_thinking", "data": "E"}])))
    for _ in range(draw(st.integers(0, 1 if is_plain else 2))):
        block = draw(text_block())
        if not is_plain and draw(st.integers(0, 3)) == 0:
            block["citations"] = draw(_citations())
        blocks.append(block)
    if not is_plain and draw(st.integers(0, 5)) == 0:
        call_id = f"srvtoolu_{number}"
        call = {"type": "server_tool_use", "id": call_id, "name": "web_search", "input": {"q": "x"}}
        found = {"type": "web_search_result", "url": "https://a", "title": "A", "page_age": None}
        content = draw(
            st.sampled_from(
                [
                    [{**found, "encrypted_content": "x"}],
                    {"type": "web_search_tool_result_error", "error_code": "unavailable"},
                ]
            )
        )
        kind = "web_search_tool_result"
        blocks += [call, {"type": kind, "tool_use_id": call_id, "content": content}]
    for at in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(TOOL_NAMES))
        call_id = f"toolu_{number}_{at}"
        call = {"type": "tool_use", "id": call_id, "name": name, "input": draw(arguments)}
        blocks.append({**call, **draw(_cache_mark)})
    return blocks or [draw(text_block())]


@st.composite
def messages(
    draw: st.DrawFn, *, is_plain: bool = False, least: int = 0, most: int = 4
) -> list[Json]:
    """The messages of a valid request, which ends with the user's."""
    made: list[Json] = []
    calls: list[Json] = []
    for number in range(draw(st.integers(least, most)) + 1):
        results = [draw(_result(call["id"], is_plain)) for call in draw(st.permutations(calls))]
        kinds = text_block() if is_plain else text_block() | _image() | _document()
        if not is_plain:
            kinds |= _search_result()
        others = draw(st.lists(kinds, min_size=0 if results else 1, max_size=2))
        content: Any = [*results, *others]
        if not results and draw(st.booleans()):
            content = draw(texts)
        made.append({"role": "user", "content": content})
        if not is_plain and draw(st.integers(0, 5)) == 0:
            made.append({"role": "system", "content": draw(texts)})
        blocks = draw(_assistant_content(number, is_plain))
        calls = [block for block in blocks if block["type"] == "tool_use"]
        is_string = len(blocks) == 1 and blocks[0]["type"] == "text" and draw(st.booleans())
        made.append({"role": "assistant", "content": blocks[0]["text"] if is_string else blocks})
    last = [draw(_result(call["id"], is_plain)) for call in calls]
    made.append({"role": "user", "content": last or draw(texts)})
    return made


@st.composite
def _tool(draw: st.DrawFn, name: str) -> Json:
    tool: Json = {"name": name, "input_schema": draw(schemas), **draw(_cache_mark)}
    optional = {"description": "d", "type": "custom", "strict": True, "defer_loading": True}
    for key, value in optional.items():
        if draw(st.booleans()):
            tool[key] = value
    return tool


@st.composite
def requests(
    draw: st.DrawFn, *, is_plain: bool = False, least: int = 0, most: int = 4
) -> dict[str, Any]:
    """A valid request; a plain one has only what every protocol can express."""
    request: Json = {"model": "m", "max_tokens": draw(st.integers(1, 64_000))}
    request["messages"] = draw(messages(is_plain=is_plain, least=least, most=most))
    if draw(st.booleans()):
        blocks = st.lists(text_block(), min_size=1, max_size=3)
        request["system"] = draw(texts | blocks)
    request["tools"] = [draw(_tool(name)) for name in TOOL_NAMES]
    if draw(st.booleans()):
        request["stream"] = draw(st.booleans())
    if draw(st.booleans()):
        request["temperature"] = draw(st.sampled_from([0, 0.5, 1]))
    if draw(st.booleans()):
        request["stop_sequences"] = draw(st.lists(texts, min_size=1, max_size=4))
    choices: list[Json] = [{"type": "auto"}, {"type": "any"}, {"type": "none"}]
    choices += [{"type": "tool", "name": "read"}]
    if draw(st.booleans()):
        request["tool_choice"] = draw(st.sampled_from(choices))
    if is_plain:
        return request
    if draw(st.booleans()):
        typed = {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}
        search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
        request["tools"].append(draw(st.sampled_from([typed, search])))
    thinking: list[Json] = [{"type": "enabled", "budget_tokens": 2048}, {"type": "disabled"}]
    thinking += [{"type": "adaptive"}, {"type": "adaptive", "display": "omitted"}]
    optional: dict[str, list[Any]] = {
        "top_p": [0.9, 1],
        "top_k": [5],
        "thinking": thinking,
        "output_config": [
            {"effort": "high"},
            {"format": {"type": "json_schema", "schema": {"type": "object"}}, "effort": "low"},
            {"x_new": 1},
        ],
        "metadata": [{"user_id": '{"session_id":"s1"}'}, {"user_id": "u"}],
        "service_tier": ["auto"],
        "context_management": [{"edits": []}],
        "x_new": [None, {"a": 1}],
        "speed": ["fast"],
        "system": [[], ""],
        "stop_sequences": [[]],
    }
    for key, values in optional.items():
        if draw(st.integers(0, 2)) == 0:
            request[key] = draw(st.sampled_from(values))
    if request.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        for key in ("temperature", "top_p", "top_k"):
            request.pop(key, None)
    if "tool_choice" in request and draw(st.booleans()):
        request["tool_choice"] |= {"disable_parallel_tool_use": draw(st.booleans())}
    return request
