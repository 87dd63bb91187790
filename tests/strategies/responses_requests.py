"""Strategies for Responses requests: everything that clients send, and unknown members anywhere."""

from typing import Any

from hypothesis import strategies as st

type Json = dict[str, Any]

_text = st.text(st.characters(codec="utf-8"), max_size=12)
_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
)
_names = st.sampled_from(["exec_command", "apply_patch", "view_image", "mcp__docs__search"])
_namespaces = st.sampled_from(["functions", "collaboration", "clock"])
_ids = st.sampled_from(["call_1", "call_2", "call_3", "functions.exec:0"])
_arguments = st.sampled_from(["{}", '{"cmd": "ls"}', '{"a":', "", "[1]"])
_PIXEL = "iVBORw0KGgo="


def _object(**members: Any) -> st.SearchStrategy[Json]:
    """Objects with these members and sometimes an unknown one; those that end in `_` may lack."""
    given = {key: _as_strategy(value) for key, value in members.items() if not key.endswith("_")}
    optional = {key[:-1]: _as_strategy(value) for key, value in members.items() if key[-1] == "_"}
    return st.fixed_dictionaries(given, optional={**optional, "x_unknown": _value})


def _as_strategy(value: Any) -> st.SearchStrategy[Any]:
    return value if isinstance(value, st.SearchStrategy) else st.just(value)


_citation = _object(
    type="url_citation", url="https://example.com/a", title="A", start_index=0, end_index=1
)
_file_citation = _object(type="file_citation", file_id="file_1", filename="a.txt", index=0)
_output_text = _object(
    type="output_text", text=_text, annotations_=st.lists(_citation | _file_citation, max_size=2)
)
_image = _object(
    type="input_image",
    image_url_=st.sampled_from(
        [f"data:image/png;base64,{_PIXEL}", f"DATA:image/png;BASE64,{_PIXEL}", "https://a.b/c.png"]
    ),
    detail_=st.sampled_from(["low", "auto", None]),
    file_id_=st.sampled_from(["file_1", None]),
)
_file = _object(
    type="input_file",
    file_data_=st.sampled_from([f"data:application/pdf;base64,{_PIXEL}", _PIXEL]),
    file_url_="https://a.b/c.pdf",
    file_id_="file_2",
    filename_="c.pdf",
)
_input_part = st.one_of(
    _object(type=st.sampled_from(["input_text", "text"]), text=_text),
    _image,
    _file,
    _object(type="input_audio", input_audio={"data": "", "format": "wav"}),
)
_answer_part = st.one_of(_output_text, _object(type="refusal", refusal=_text))
_role = st.sampled_from(["user", "system", "developer"])
_message = st.one_of(
    _object(type_="message", role=_role, content=_text | st.lists(_input_part, max_size=3)),
    _object(
        type_="message",
        role="assistant",
        content=_text | st.lists(_answer_part, max_size=3),
        id_="msg_1",
        status_="completed",
        phase_=st.sampled_from(["commentary", "final_answer"]),
    ),
)
_summary = _object(type="summary_text", text=_text)
_reasoning = _object(
    type="reasoning",
    id_="rs_1",
    summary=st.lists(_summary, max_size=3),
    content_=st.none() | st.lists(_object(type="reasoning_text", text=_text), max_size=2),
    encrypted_content_=st.sampled_from(["gAAAAAB", None, ""]),
)
_calls = st.one_of(
    _object(
        type="function_call",
        call_id=_ids,
        name=_names,
        arguments=_arguments,
        namespace_=_namespaces,
        id_="fc_1",
        status_="completed",
    ),
    _object(
        type="custom_tool_call", call_id=_ids, name=_names, input=_text, namespace_=_namespaces
    ),
    _object(
        type="local_shell_call",
        call_id=_ids,
        action={"type": "exec", "command": ["ls", "-l"], "env": {}},
        id="lsh_1",
        status="completed",
    ),
    _object(
        type="tool_search_call",
        call_id=_ids,
        execution=st.sampled_from(["client", "server"]),
        arguments=st.sampled_from([{"query": "calendar"}, '{"query": "calendar"}', None]),
        status_="completed",
    ),
    _object(type="shell_call", call_id=_ids, action={"commands": ["ls"]}, status_="completed"),
    _object(
        type="apply_patch_call",
        call_id=_ids,
        operation={"type": "delete_file", "path": "a.txt"},
        status="completed",
    ),
)
_results = st.one_of(
    _object(
        type=st.sampled_from(["function_call_output", "custom_tool_call_output"]),
        call_id=_ids,
        output=_text | st.lists(_input_part, max_size=2),
        id_="fco_1",
    ),
    _object(type="local_shell_call_output", id=_ids, output=_text),
    _object(
        type="shell_call_output",
        call_id=_ids,
        output=[{"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 1}}],
    ),
    _object(
        type="apply_patch_call_output",
        call_id=_ids,
        status=st.sampled_from(["completed", "failed"]),
        output_=_text,
    ),
)
_function = _object(
    type="function",
    name=_names,
    description_=_text,
    parameters_=st.sampled_from(
        [None, {}, {"type": "object", "properties": {"a": {"type": "string", "encrypted": True}}}]
    ),
    strict_=st.sampled_from([True, False, None]),
    defer_loading_=True,
)
_custom = _object(
    type="custom",
    name=_names,
    description_=_text,
    format_=st.sampled_from(
        [
            {"type": "text"},
            {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
            {"type": "grammar", "syntax": "lark", "definition": ""},
        ]
    ),
)
_namespace = _object(
    type="namespace",
    name=_namespaces,
    description=_text,
    tools=st.lists(_function | _custom, max_size=3),
)
_tool = st.one_of(
    _function,
    _custom,
    _namespace,
    _object(type="local_shell"),
    _object(
        type="tool_search",
        execution_=st.sampled_from(["client", "server"]),
        description_=_text,
        parameters_={"type": "object", "properties": {"query": {"type": "string"}}},
    ),
    _object(type="web_search", filters_={"allowed_domains": ["a.b"]}),
    _object(type="mcp", server_label="docs", server_url="https://a.b"),
    _object(type="a_tool_of_tomorrow"),
)
_hosted = st.one_of(
    _object(
        type="tool_search_output",
        call_id_=_ids,
        execution=st.sampled_from(["client", "server"]),
        status="completed",
        tools=st.lists(_tool, max_size=3),
    ),
    _object(type="web_search_call", id="ws_1", status="completed", action={"type": "search"}),
    _object(type="additional_tools", role="developer", tools=st.lists(_tool, max_size=3)),
    _object(type="item_reference", id="msg_1"),
    _object(type="compaction", encrypted_content="gAAAAAC"),
    _object(type="an_item_of_tomorrow", content=_value),
)
_items = st.lists(_message | _reasoning | _calls | _results | _hosted, max_size=6)


def _with_trigger(items: list[Any]) -> list[Any]:
    return [*items, {"type": "compaction_trigger"}]


_choice = st.one_of(
    st.sampled_from(["auto", "none", "required", "a_word_of_tomorrow"]),
    st.builds(
        lambda kind, name: {"type": kind, "name": name},
        st.sampled_from(["function", "custom"]),
        _names,
    ),
    st.sampled_from(
        [
            {"type": "tool_search"},
            {"type": "local_shell"},
            {"type": "web_search_preview"},
            {"type": "mcp"},
        ]
    ),
    st.builds(
        lambda mode, names: {
            "type": "allowed_tools",
            "mode": mode,
            "tools": [{"type": "function", "name": name} for name in names],
        },
        st.sampled_from(["auto", "required"]),
        st.lists(_names, max_size=2),
    ),
)
_format = st.one_of(
    _object(type=st.sampled_from(["text", "json_object", "grammar"])),
    _object(
        type="json_schema",
        name="answer",
        schema={"type": "object", "properties": {"a": {"type": "number"}}},
        strict_=st.booleans() | st.none(),
        description_=_text,
    ),
)
requests: st.SearchStrategy[Json] = _object(
    model="gpt-6",
    input_=_text | _items | _items.map(_with_trigger),
    instructions_=_text | st.none(),
    tools_=st.lists(_tool, max_size=4),
    tool_choice_=_choice,
    text_=_object(format_=_format, verbosity_="low"),
    reasoning_=_object(
        effort_=st.sampled_from(["none", "low", "xhigh", None]),
        summary_=st.sampled_from(["auto", "detailed", None]),
        generate_summary_="auto",
    ),
    max_output_tokens_=st.integers(1, 10**6) | st.none(),
    temperature_=st.sampled_from([0, 0.5, 1.0, None]),
    top_p_=st.sampled_from([0.9, None]),
    parallel_tool_calls_=st.booleans(),
    stream_=st.booleans(),
    store_=st.booleans(),
    include_=["reasoning.encrypted_content"],
    prompt_cache_key_=st.sampled_from(["f2b1", "", None]),
    previous_response_id_=st.sampled_from(["resp_1", None]),
    metadata_=st.dictionaries(_text, _text, max_size=2),
)
"""Requests whose parsed body is restored by reading and writing."""


# Requests with what every protocol can express

_words = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=6)
_PLAIN_TOOLS: list[Json] = [
    {"type": "function", "name": "read", "parameters": {"type": "object", "properties": {}}},
    {
        "type": "namespace",
        "name": "functions",
        "description": "d",
        "tools": [
            {
                "type": "custom",
                "name": "exec",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
            },
            {"type": "function", "name": "wait", "strict": False},
        ],
    },
]


@st.composite
def _plain_call(draw: st.DrawFn, call_id: str) -> tuple[Json, Json]:
    kind = draw(st.sampled_from(["read", "wait", "exec"]))
    output = draw(_words | st.lists(_words, min_size=1, max_size=2))
    if isinstance(output, list):
        output = [{"type": "input_text", "text": text} for text in output]
    if kind == "exec":
        call: Json = {"type": "custom_tool_call", "name": kind, "input": draw(_words)}
    else:
        arguments = draw(st.sampled_from(["{}", '{"a":1}', '{"b":"\u00e9"}']))
        call = {"type": "function_call", "name": kind, "arguments": arguments}
    if kind != "read":
        call["namespace"] = "functions"
    call["call_id"] = call_id
    result = {"type": f"{call['type']}_output", "call_id": call_id, "output": output}
    return call, result


@st.composite
def _plain_turn(draw: st.DrawFn, number: int) -> list[Json]:
    """The items of a user's message, the answer to it, and the results of its calls."""
    part = {"type": "input_text", "text": draw(_words)}
    items: list[Json] = [{"type": "message", "role": "user", "content": [part]}]
    if draw(st.booleans()):
        items.append({"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"})
    text = {"type": "output_text", "text": draw(_words)}
    items.append({"type": "message", "role": "assistant", "content": [text]})
    calls = [draw(_plain_call(f"call_{number}_{at}")) for at in range(draw(st.integers(0, 3)))]
    items += [call for call, _ in calls]
    if calls and draw(st.booleans()):  # as Codex has them
        note = {"type": "input_text", "text": draw(_words)}
        items.append({"type": "message", "role": "developer", "content": [note]})
    return items + [result for _, result in draw(st.permutations(calls))]


@st.composite
def plain_requests(draw: st.DrawFn, least: int = 0) -> tuple[Json, list[int]]:
    """Requests, and the numbers of items after which an earlier request could have ended."""
    items: list[Json] = []
    ends: list[int] = []
    for number in range(draw(st.integers(least, 3))):
        items += draw(_plain_turn(number))
        if items[-1]["type"].endswith("_output"):
            ends.append(len(items))
    items.append({"type": "message", "role": "user", "content": draw(_words)})
    ends.append(len(items))
    request: Json = {"model": "m", "input": items, "tools": _PLAIN_TOOLS, "stream": True}
    request |= (
        {"instructions": draw(_words), "prompt_cache_key": "s"} if draw(st.booleans()) else {}
    )
    request |= {"max_output_tokens": 500} if draw(st.booleans()) else {}
    request["tool_choice"] = draw(st.sampled_from(["auto", "required", "none"]))
    return request, ends
