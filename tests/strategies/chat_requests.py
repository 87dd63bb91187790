"""Strategies for valid Chat Completions requests, with every feature of the protocol."""

from typing import Any

from hypothesis import strategies as st

from strategies.anthropic_requests import TOOL_NAMES, arguments, schemas, texts
from strategies.mutations import Json, compact

_unknown = st.sampled_from([{}, {}, {}, {"x_new": [1, {"a": None}]}])


@st.composite
def _part(draw: st.DrawFn, is_plain: bool) -> Json:
    kinds = ["text", "text"] if is_plain else ["text", "image_url", "file"]
    match draw(st.sampled_from(kinds)):
        case "image_url":
            urls = ["data:image/png;base64,iVBORw0K", "https://example.com/a.png"]
            image: Json = {"url": draw(st.sampled_from(urls))}
            image |= draw(st.sampled_from([{}, {"detail": "low"}]))
            return {"type": "image_url", "image_url": image}
        case "file":
            file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"}
            return {"type": "file", "file": file}
        case _:
            return {"type": "text", "text": draw(texts), **draw(_unknown)}


@st.composite
def _call(draw: st.DrawFn, call_id: str, is_plain: bool) -> Json:
    if not is_plain and draw(st.integers(0, 4)) == 0:
        return {
            "id": call_id,
            "type": "custom",
            "custom": {"name": "patch", "input": draw(texts)},
        }
    text = compact(draw(arguments))
    function = {"name": draw(st.sampled_from(TOOL_NAMES)), "arguments": text}
    return {"id": call_id, "type": "function", "function": function, **draw(_unknown)}


@st.composite
def _assistant(draw: st.DrawFn, number: int, is_plain: bool) -> Json:
    calls = [draw(_call(f"call_{number}_{at}", is_plain)) for at in range(draw(st.integers(0, 3)))]
    message: Json = {"role": "assistant"}
    message["content"] = draw(texts | st.none()) if calls else draw(texts)
    if calls:
        message["tool_calls"] = calls
    if is_plain:
        return message
    if draw(st.integers(0, 3)) == 0:
        message[draw(st.sampled_from(["reasoning_content", "reasoning"]))] = draw(texts)
    if draw(st.integers(0, 4)) == 0:
        details = [{"type": "reasoning.text", "text": draw(texts), "signature": "s", "index": 0}]
        message["reasoning_details"] = details
    if draw(st.integers(0, 4)) == 0:
        message["refusal"] = draw(texts | st.none())
    if draw(st.integers(0, 4)) == 0:
        message["name"] = "bot"
    return message


@st.composite
def messages(
    draw: st.DrawFn, *, is_plain: bool = False, least: int = 0, most: int = 4
) -> list[Json]:
    """The messages of a valid request, which ends with the user's or a tool's."""
    made: list[Json] = []
    for role in draw(st.lists(st.sampled_from(["system", "developer"]), max_size=2)):
        made.append({"role": "system" if is_plain else role, "content": draw(texts)})
    for number in range(draw(st.integers(least, most)) + 1):
        parts = st.lists(_part(is_plain), min_size=1, max_size=3)
        made.append({"role": "user", "content": draw(texts | parts)})
        if not is_plain and draw(st.integers(0, 5)) == 0:
            made.append({"role": "system", "content": draw(texts)})
        message = draw(_assistant(number, is_plain))
        made.append(message)
        for call in draw(st.permutations(message.get("tool_calls", []))):
            content = draw(texts | st.just([{"type": "text", "text": "found"}]))
            made.append({"role": "tool", "tool_call_id": call["id"], "content": content})
    if made[-1]["role"] == "assistant":
        made.append({"role": "user", "content": draw(texts)})
    return made


@st.composite
def requests(
    draw: st.DrawFn, *, is_plain: bool = False, least: int = 0, most: int = 4
) -> dict[str, Any]:
    """A valid request; a plain one has only what every protocol can express."""
    request: Json = {"model": "m"}
    request["messages"] = draw(messages(is_plain=is_plain, least=least, most=most))
    tools: list[Json] = []
    for name in TOOL_NAMES:
        function = {"name": name, "description": "d", "parameters": draw(schemas)}
        tools.append({"type": "function", "function": function})
    request["tools"] = tools
    request["max_tokens"] = draw(st.integers(1, 64_000))
    if draw(st.booleans()):
        request["stream"] = draw(st.booleans())
    if draw(st.booleans()):
        request["temperature"] = draw(st.sampled_from([0, 0.5, 1]))
    if draw(st.booleans()):
        request["stop"] = draw(st.lists(texts, min_size=1, max_size=4))
    choices: list[Any] = ["auto", "required", "none"]
    choices.append({"type": "function", "function": {"name": "read"}})
    if draw(st.booleans()):
        request["tool_choice"] = draw(st.sampled_from(choices))
    if is_plain:
        return request
    form = {"type": "grammar", "grammar": {"definition": "start: /x/", "syntax": "lark"}}
    tools.append({"type": "custom", "custom": {"name": "patch", "format": form}})
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "read"}}]}
    schema = {"name": "a", "schema": {"type": "object"}, "strict": True}
    optional: dict[str, list[Any]] = {
        "tool_choice": [{"type": "allowed_tools", "allowed_tools": allowed}],
        "max_completion_tokens": [99],
        "stop": ["x"],
        "n": [1],
        "seed": [3],
        "top_p": [0.9],
        "presence_penalty": [0.5],
        "frequency_penalty": [0],
        "logit_bias": [{"50256": -100}],
        "logprobs": [True],
        "parallel_tool_calls": [True, False],
        "response_format": [
            {"type": "text"},
            {"type": "json_object"},
            {"type": "json_schema", "json_schema": schema},
        ],
        "reasoning_effort": ["none", "low", "high"],
        "stream_options": [{"include_usage": True}],
        "prompt_cache_key": ["s1"],
        "user": ["u"],
        "metadata": [{"a": "b"}],
        "store": [False],
        "service_tier": ["auto"],
        "verbosity": ["low"],
        "x_new": [None, {"a": 1}],
        "functions": [[{"name": "old", "parameters": {"type": "object"}}]],
    }
    for key, values in optional.items():
        if draw(st.integers(0, 3)) == 0:
            request[key] = draw(st.sampled_from(values))
    return request
