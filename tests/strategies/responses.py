"""Strategies for Responses streams: valid ones with every feature, and broken ones.

Each strategy draws a list of bytes, one per event with its blank line.
"""

import copy
import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from strategies.wire import ALL, MODEL, Style, styles

type Json = dict[str, Any]

_text = st.text(st.characters(codec="utf-8"), max_size=12)
_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
)
_tool = st.sampled_from(["read_file", "exec", "mcp__notion__search"])
_HOSTED: dict[str, tuple[tuple[str, ...], Json]] = {
    "web_search_call": (
        ("in_progress", "searching", "completed"),
        {"action": {"type": "search", "query": "weather"}},
    ),
    "file_search_call": (("in_progress", "searching", "completed"), {"queries": [], "results": []}),
    "image_generation_call": (("in_progress", "generating", "completed"), {"result": "aGk="}),
    "mcp_list_tools": (("in_progress", "completed"), {"server_label": "docs", "tools": []}),
    "an_unknown_item": (("working",), {"result": [1, 2.5, None]}),
}


@st.composite
def _fragments(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _in(item: Json, kind: str, **fields: Any) -> Json:
    return {"type": f"response.{kind}", "item_id": item["id"], "output_index": None, **fields}


@st.composite
def _message(draw: st.DrawFn, number: int) -> tuple[list[Json], Json]:
    item: Json = {"id": f"msg_{number}", "type": "message", "status": "completed"}
    item |= {"role": "assistant", "content": []}
    steps: list[Json] = [
        {"type": "response.output_item.added", "output_index": None}
        | {"item": item | {"status": "in_progress", "content": []}}
    ]
    more: Json
    for index in range(draw(st.integers(0, 2))):
        at = {"content_index": index}
        text = draw(_text)
        if draw(st.integers(0, 4)) == 0:
            part: Json = {"type": "refusal", "refusal": text}
            name, key, more = "refusal", "refusal", {}
        else:
            part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
            name, key, more = "output_text", "text", {"logprobs": []}
        steps.append(_in(item, "content_part.added", **at, part=part | {key: ""}))
        for fragment in draw(_fragments(text)):
            steps.append(_in(item, f"{name}.delta", **at, delta=fragment, **more))
        if name == "output_text" and draw(st.booleans()):
            annotation: Json = {
                "type": "url_citation",
                "url": "https://example.com",
                "title": "A page",
            }
            annotation |= {"start_index": 0, "end_index": len(text)}
            part = part | {"annotations": [annotation]}
            steps.append(
                _in(item, "output_text.annotation.added", **at)
                | {"annotation_index": 0, "annotation": annotation}
            )
        steps.append(_in(item, f"{name}.done", **at, **{key: text}, **more))
        steps.append(_in(item, "content_part.done", **at, part=part))
        item["content"] = [*item["content"], part]
    return steps, item


@st.composite
def _reasoning(draw: st.DrawFn, number: int) -> tuple[list[Json], Json]:
    item: Json = {"id": f"rs_{number}", "type": "reasoning", "summary": []}
    if draw(st.booleans()):
        item["encrypted_content"] = "gAAAAAB"
    steps: list[Json] = [
        {"type": "response.output_item.added", "output_index": None, "item": copy.deepcopy(item)}
    ]
    for index in range(draw(st.integers(0, 2))):
        at, text = {"summary_index": index}, draw(_text)
        part = {"type": "summary_text", "text": text}
        steps.append(_in(item, "reasoning_summary_part.added", **at, part=part | {"text": ""}))
        for fragment in draw(_fragments(text)):
            steps.append(_in(item, "reasoning_summary_text.delta", **at, delta=fragment))
        steps.append(_in(item, "reasoning_summary_text.done", **at, text=text))
        steps.append(_in(item, "reasoning_summary_part.done", **at, part=part))
        item["summary"].append(part)
    if draw(st.booleans()):
        at = {"content_index": 0}
        steps.append(_in(item, "reasoning_text.delta", **at, delta="hm"))
        steps.append(_in(item, "reasoning_text.done", **at, text="hm"))
        item["content"] = [{"type": "reasoning_text", "text": "hm"}]
    return steps, item


@st.composite
def _call(draw: st.DrawFn, number: int) -> tuple[list[Json], Json]:
    kind = draw(st.sampled_from(["function_call", "custom_tool_call", "mcp_call"]))
    key = "input" if kind == "custom_tool_call" else "arguments"
    name = {"custom_tool_call": "custom_tool_call_input", "mcp_call": "mcp_call_arguments"}.get(
        kind, "function_call_arguments"
    )
    is_cut = kind == "function_call" and draw(st.integers(0, 9)) == 0
    if key == "input":
        text = draw(_text)
    else:
        text = json.dumps(draw(st.dictionaries(_text, _value, max_size=3)))
        text = text[: len(text) // 2] if is_cut else text
    item: Json = {"id": f"fc_{number}", "type": kind, "name": draw(_tool), key: text}
    if kind != "mcp_call":
        item["call_id"] = f"call_{number}"
    else:
        item |= {"server_label": "docs", "output": "ok", "error": None}
    item["status"] = "incomplete" if is_cut else "completed"
    steps: list[Json] = [
        {"type": "response.output_item.added", "output_index": None}
        | {"item": item | {"status": "in_progress", key: ""}}
    ]
    for fragment in draw(_fragments(text)):
        steps.append(_in(item, f"{name}.delta", delta=fragment))
    if not is_cut:
        steps.append(_in(item, f"{name}.done", **{key: text}))
    return steps, item


@st.composite
def _hosted(draw: st.DrawFn, number: int) -> tuple[list[Json], Json]:
    kind = draw(st.sampled_from(sorted(_HOSTED)))
    stages, fields = _HOSTED[kind]
    item: Json = {"id": f"ws_{number}", "type": kind, "status": "completed", **fields}
    steps: list[Json] = [
        {"type": "response.output_item.added", "output_index": None}
        | {"item": {"id": item["id"], "type": kind, "status": "in_progress"}}
    ]
    steps += [_in(item, f"{kind}.{stage}") for stage in stages]
    return steps, item


@st.composite
def _code(draw: st.DrawFn, number: int) -> tuple[list[Json], Json]:
    code = draw(_text)
    item: Json = {"id": f"ci_{number}", "type": "code_interpreter_call", "status": "completed"}
    item |= {"code": code, "container_id": "cntr_1", "outputs": None}
    name = "code_interpreter_call_code"
    steps: list[Json] = [
        {"type": "response.output_item.added", "output_index": None}
        | {"item": item | {"status": "in_progress", "code": ""}},
        _in(item, "code_interpreter_call.in_progress"),
        *(_in(item, f"{name}.delta", delta=text) for text in draw(_fragments(code))),
        _in(item, f"{name}.done", code=code),
        _in(item, "code_interpreter_call.interpreting"),
        _in(item, "code_interpreter_call.completed"),
    ]
    return steps, item


@st.composite
def _items(draw: st.DrawFn) -> tuple[list[Json], list[Json]]:
    """The events of all items, consecutive or overlapping, and the final items."""
    kinds = st.sampled_from([_message, _message, _reasoning, _call, _call, _hosted, _code])
    count = draw(st.integers(0, 4))
    queues: list[list[Json]] = []
    output: list[Json] = []
    for number in range(count):
        steps, item = draw(draw(kinds)(number))
        steps.append({"type": "response.output_item.done", "output_index": None, "item": item})
        queues.append([step | {"output_index": number} for step in steps])
        output.append(item)
    if not draw(st.booleans()):
        return [step for steps in queues for step in steps], output
    mixed: list[Json] = [steps.pop(0) for steps in queues]
    while queues := [steps for steps in queues if steps]:
        mixed.append(draw(st.sampled_from(queues)).pop(0))
    return mixed, output


@st.composite
def _ending(draw: st.DrawFn, base: Json, output: list[Json]) -> Json:
    kind = draw(st.sampled_from(["completed"] * 5 + ["incomplete", "failed", "error"]))
    if kind == "error":
        return {"type": "error", "code": "server_error", "message": "Sorry.", "param": None}
    response = base | {"status": kind, "output": output}
    if kind == "failed":
        response["error"] = {"code": draw(st.sampled_from(["server_error", "rate_limit_exceeded"]))}
        response["error"]["message"] = "Sorry."
        return {"type": "response.failed", "response": response}
    if kind == "incomplete":
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    if draw(st.integers(0, 5)):
        response["usage"] = {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 15,
        }
    return {"type": f"response.{kind}", "response": response}


@st.composite
def valid_steps(draw: st.DrawFn) -> list[Json]:
    """The data of the events of a valid stream."""
    base: Json = {
        "id": draw(st.sampled_from(["resp_1", "5f3b7a52-2a5b-4c1e-9d53-6f0d1c9a7b11"])),
        "object": "response",
        "created_at": draw(st.sampled_from([1760000000, 1760000000.25])),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": draw(st.none() | _text),
        "model": MODEL,
        "output": [],
        "usage": None,
        "metadata": {},
    }
    steps: list[Json] = [{"type": "response.created", "response": base}]
    if draw(st.booleans()):
        steps.append({"type": "response.queued", "response": base | {"status": "queued"}})
    if draw(st.booleans()):
        steps.append({"type": "response.in_progress", "response": base})
    middle, output = draw(_items())
    ending = draw(_ending(base, output))
    if draw(st.booleans()):
        middle.insert(len(middle) // 2, {"type": "response.an_unknown_thing", "thing": 1})
    steps += [*middle, ending]
    number = -1
    for place, step in enumerate(steps):
        number += draw(st.sampled_from([1, 1, 1, 7]))
        steps[place] = {"type": step["type"], "sequence_number": number, **step}
    for step in draw(
        st.lists(
            st.sampled_from(
                [
                    {"type": "codex.rate_limits", "primary": {"used_percent": 3}},
                    {"type": "response.metadata", "metadata": {}},
                ]
            ),
            max_size=2,
        )
    ):
        steps.insert(draw(st.integers(0, len(steps) - 1)), step)
    return steps


def as_event(data: Json, end: str = "\n", type: str | None = None) -> bytes:
    """Return one event; `type` overrides the type on its `event:` line, empty for no line."""
    name = data.get("type") if type is None else type
    head = f"event: {name}{end}" if name else ""
    return f"{head}data: {json.dumps(data)}{end}{end}".encode()


def write(style: Style, data: Json, type: str | None = None) -> bytes:
    """Return one event; `type` overrides the type on its `event:` line, empty for no line."""
    name = data.get("type") if type is None else type
    return style.event(style.json(data), name if isinstance(name, str) else "")


@st.composite
def valid_streams(draw: st.DrawFn, allowed: frozenset[str] = ALL) -> list[bytes]:
    """Valid streams in any form that the SSE standard allows."""
    style = draw(styles(allowed))
    return style.stream([write(style, step) for step in draw(valid_steps())])


_JUNK = [
    b"data:\n\n",
    b"data: {}\n\n",
    b": comment\n\n",
    b"\n",
    b'data: {"type":"keepalive","sequence_number":3}\n\n',
    b'data: {"type":"ping","cost":"0.01"}\n\n',
    b'data: {"tool":"search_files","label":"*","status":"running"}\n\n',
    b'data: {"type":"response.output_text.delta","del\n\n',
    b"data: [DONE]\n\n",
    b"data: nonsense\n\n",
    b'data: {"error":{"code":"","message":"","type":"server_error"},"request_id":""}\n\n',
    b'event: error\ndata: {"type":"error","error":{"type":"server_error","message":"No."}}\n\n',
    b"event: error\ndata: upstream went away\n\n",
    b'data: {"code":"InternalError","message":"peer closed connection","request_id":"1"}\n\n',
    b'data: {"type":"message_start","message":{}}\n\n',
    b'event: message\ndata: {"id":"chatcmpl-1","choices":[]}\n\n',
]
_WRONG = st.sampled_from(
    [None, "", 0, 1, -1, 7, 2.5, True, [], {}, [None], {"a": 1}, "x", "in_progress", 2**70]
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all members, a few levels deep."""
    paths: list[tuple[Any, ...]] = []
    if len(path) < 5:
        members: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else ()
        members = enumerate(value) if isinstance(value, list) else members
        for key, inner in members:
            paths += [(*path, key), *_places(inner, (*path, key))]
    return paths


def _break_field(draw: st.DrawFn, step: Json) -> None:
    path = draw(st.sampled_from(_places(step)))
    holder: Any = step
    for key in path[:-1]:
        holder = holder[key]
    if draw(st.booleans()) and isinstance(holder, dict):
        del holder[path[-1]]
    else:
        holder[path[-1]] = copy.deepcopy(draw(_WRONG))


def _in_each_item(steps: list[Json], **fields: Any) -> None:
    """Set fields of all items, wherever they are."""
    for step in steps:
        response = step.get("response")
        output = response.get("output") if isinstance(response, dict) else None
        for item in [step.get("item"), *(output if isinstance(output, list) else ())]:
            if isinstance(item, dict):
                item.update(copy.deepcopy(fields))


def _end_of(steps: list[Json]) -> Json:
    """Return the response in the last event, or an object of no event."""
    response = steps[-1].get("response")
    return response if isinstance(response, dict) else {}


@st.composite
def _reshaped(draw: st.DrawFn, steps: list[Json], place: int) -> list[Json]:
    """The events in a shape that real providers and gateways send."""
    step, end = steps[place], _end_of(steps)
    match draw(st.integers(0, 12)):
        case 0:
            end["output"] = []
        case 1:  # events again, with their old numbers
            count = draw(st.integers(1, 3))
            to = draw(st.integers(place, len(steps)))
            steps = [*steps[:to], *copy.deepcopy(steps[place : place + count]), *steps[to:]]
        case 2:
            _in_each_item(steps, **{draw(st.sampled_from(["id", "call_id"])): "one"})
        case 3:
            end["status"] = draw(st.sampled_from(["incomplete", "completed", "abort", "cancelled"]))
        case 4:
            end["incomplete_details"] = {"reason": draw(st.sampled_from(["max_output_tokens", ""]))}
        case 5:
            steps[-1]["type"] = draw(
                st.sampled_from(["response.completed", "response.incomplete", "response.done"])
            )
        case 6:
            _in_each_item(steps, status=draw(st.sampled_from(["completed", "in_progress"])))
        case 7:
            _in_each_item(steps, arguments=draw(st.sampled_from(["", '{"a":', "{}"])))
            if draw(st.booleans()):
                steps = [step for step in steps if "arguments" not in str(step.get("type"))]
        case 8:
            steps = [step for step in steps if not str(step.get("type")).endswith("part.done")]
        case 9:
            steps.insert(place, copy.deepcopy(steps[-1]))
        case 10:
            response = step.pop("response", None)
            step.update(response if isinstance(response, dict) else {})
        case 11:
            name = draw(st.sampled_from(["text", "content", "arguments", "value"]))
            for one in steps[place : place + 3]:
                if "delta" in one:
                    one[name] = one.pop("delta")
        case _:
            name = draw(st.sampled_from(["re", "ex", "read", "ec", "exec"]))
            if isinstance(step.get("item"), dict):
                step["item"]["name"] = name
    return steps


@st.composite
def mutated_streams(draw: st.DrawFn) -> list[bytes]:
    """Streams with one to four faults."""
    steps = copy.deepcopy(draw(valid_steps()))
    for _ in range(draw(st.integers(1, 4))):
        if not steps:
            break
        place = draw(st.integers(0, len(steps) - 1))
        match draw(st.integers(0, 9)):
            case 7 | 8 | 9:
                steps = draw(_reshaped(steps, place))
            case 0:
                del steps[place]
            case 1:
                steps.insert(place, copy.deepcopy(steps[place]))
            case 2:
                other = draw(st.integers(0, len(steps) - 1))
                steps[place], steps[other] = steps[other], steps[place]
            case 3:
                for key in ("output_index", "sequence_number", "content_index", "item_id"):
                    if draw(st.booleans()):
                        wrong = copy.deepcopy(draw(_WRONG))
                        for step in steps:
                            if key in step:
                                step[key] = copy.deepcopy(wrong)
            case 4:
                key = draw(st.sampled_from(["item_id", "sequence_number", "output_index", "id"]))
                for step in steps:
                    step.pop(key, None)
                    if isinstance(step.get("item"), dict):
                        step["item"].pop(key, None)
            case 5:
                del steps[place:]
            case _:
                if steps[place]:
                    _break_field(draw, steps[place])
    line = draw(st.sampled_from([None, None, None, "", "message", "response.completed"]))
    style = draw(styles())
    if draw(st.integers(0, 9)) == 0:
        steps = [{"success": True, "data": step} for step in steps]
    events = [write(style, step, line) for step in steps]
    for junk in draw(st.lists(st.sampled_from(_JUNK), max_size=2)):
        events.insert(draw(st.integers(0, len(events))), junk)
    if events and draw(st.integers(0, 5)) == 0:
        events[-1] = events[-1][: draw(st.integers(0, len(events[-1])))]
    return style.stream(events)
