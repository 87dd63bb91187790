"""Tool calls in the text of a response become calls, where it is certain that they are calls."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from framings import FRAMINGS, bytes_of
from leaking import (
    FINISH,
    LEAKS,
    ONE_OF_EACH,
    SCHEMAS,
    Leak,
    body_of,
    context_of,
    framing_of,
    protocol_of,
    request_of,
    stream_of,
)
from traffic.assembled import Answer, read_answer
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.repair.body import fold_stream, repair_body
from wiremend.repair.leaked_calls import HELD_LIMIT_BYTES
from wiremend.repair.stream import stream_repair

BEFORE = "I'll look at <b>a.py</b>.\n\n"
GLM = ONE_OF_EACH["glm"].text
READ = "<tool_call>read\n<arg_key>path</arg_key>\n<arg_value>a</arg_value>\n</tool_call>"
each_framing = pytest.mark.parametrize("name", FRAMINGS)
each_leak = pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
CASES = [
    (name, leak)
    for name in FRAMINGS
    for leak in (LEAKS if name == "chat" else ONE_OF_EACH).values()
]
each_case = pytest.mark.parametrize(
    ("name", "leak"),
    CASES,
    ids=[f"{name}: {next(k for k in LEAKS if LEAKS[k] is leak)}" for name, leak in CASES],
)
"""Every form in Chat Completions, and one of each format in the other protocols."""
each_format = pytest.mark.parametrize("leak", ONE_OF_EACH.values(), ids=ONE_OF_EACH)


def pieces_of(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def repaired_of(name: str, chunks: Sequence[bytes], context: StreamContext) -> list[Repaired]:
    return framing_of(name).repaired(list(chunks), context)


def leaks_in(repaired: Sequence[Repaired]) -> list[str]:
    return [f"{f.found}; {f.done}" for r in repaired for f in r.findings if f.code == "S007"]


def read(name: str, stream: bytes) -> Answer:
    """Assemble the answer of a valid stream."""
    assert framing_of(name).violations(stream) == []
    if name == "gemini-array":
        stream = b"".join(b"data: %s\n\n" % json.dumps(e).encode() for e in json.loads(stream))
    return read_answer(protocol_of(name).name, stream, stream=True)


def assert_called(name: str, stream: bytes, leak: Leak, text: str = BEFORE) -> None:
    answer = read(name, stream)
    assert (answer.text, answer.tool_calls, answer.error) == (text, leak.calls, "")
    assert answer.finished


def text_body(body: bytes, name: str) -> Answer:
    return read_answer(protocol_of(name).name, body, stream=False)


# Text becomes calls


@each_framing
@each_leak
def test_a_streamed_call_becomes_a_call(name: str, leak: Leak) -> None:
    context = context_of(name, [leak.format])
    stream = stream_of(name, pieces_of(BEFORE + leak.text, 7))
    repaired = repaired_of(name, stream, context)
    assert_called(name, bytes_of(repaired), leak)
    names = ", ".join(repr(call) for call, _ in leak.calls)
    done = "made a call" if len(leak.calls) == 1 else "made calls"
    assert leaks_in(repaired) == [f"{names} in the format {leak.format}; {done}"]
    assert {f.code for r in repaired for f in r.findings} == {"S007"}


@each_framing
@each_leak
def test_a_whole_response_with_a_call_has_a_call(name: str, leak: Leak) -> None:
    context = context_of(name, [leak.format])
    repaired = repair_body(protocol_of(name), body_of(name, BEFORE + leak.text + "\n"), context)
    answer = text_body(repaired.data, name)
    assert (answer.text, answer.tool_calls) == (BEFORE, leak.calls)
    assert [finding.code for finding in repaired.findings] == ["S007"]
    again = repair_body(protocol_of(name), repaired.data, context)
    assert (again.data, again.findings) == (repaired.data, [])


@each_framing
def test_a_body_of_nothing_but_calls_has_no_text(name: str) -> None:
    context = context_of(name, ["glm"])
    body = json.loads(repair_body(protocol_of(name), body_of(name, GLM), context).data)
    match name:
        case "anthropic":
            assert [block["type"] for block in body["content"]] == ["tool_use"]
            assert body["stop_reason"] == "tool_use"
        case "chat":
            assert body["choices"][0]["message"]["content"] is None
            assert body["choices"][0]["finish_reason"] == "tool_calls"
        case "responses":
            assert [item["type"] for item in body["output"]] == ["function_call"]
        case _:
            parts = body["candidates"][0]["content"]["parts"]
            assert [list(part) for part in parts] == [["functionCall"]]


@each_framing
@each_format
def test_the_same_stream_is_repaired_in_pieces_of_any_size(name: str, leak: Leak) -> None:
    context = context_of(name, [leak.format])
    for size in (1, 3, 1000):
        for text in (leak.text, f"{BEFORE}{leak.text}\n\n"):
            stream = stream_of(name, pieces_of(text, size))
            repaired = repaired_of(name, stream, context)
            assert_called(name, bytes_of(repaired), leak, BEFORE if text != leak.text else "")


@each_framing
def test_a_stream_may_be_cut_into_reads_anywhere(name: str) -> None:
    stream = b"".join(stream_of(name, [BEFORE, *pieces_of(GLM, 30)]))
    context = context_of(name, ["glm"])
    expected = bytes_of(repaired_of(name, [stream], context))
    assert_called(name, expected, ONE_OF_EACH["glm"])
    for cut in range(1, len(stream)):
        assert bytes_of(repaired_of(name, [stream[:cut], stream[cut:]], context)) == expected
    single = [stream[at : at + 1] for at in range(len(stream))]
    assert bytes_of(repaired_of(name, single, context)) == expected


@each_framing
@each_format
def test_a_repaired_stream_is_not_repaired_again(name: str, leak: Leak) -> None:
    context = context_of(name, [leak.format])
    stream = stream_of(name, pieces_of(BEFORE + leak.text, 5))
    once = bytes_of(repaired_of(name, stream, context))
    again = repaired_of(name, [once], context)
    assert (bytes_of(again), leaks_in(again)) == (once, [])


@each_framing
def test_text_before_a_call_leaves_with_its_event(name: str) -> None:
    stream = stream_of(name, ["a < b, ", "and <i>", READ])
    repair = stream_repair(protocol_of(name), context_of(name, ["glm"]))
    first = next(at for at, event in enumerate(stream) if b"a < b" in event)
    for event in stream[: first + 2]:
        (repaired,) = repair.feed(event)
        assert repaired.data == event
    (held,) = repair.feed(stream[first + 2])
    assert (held.data, held.kind, repair.holds_back) == (b"", EventKind.PREAMBLE, True)


@each_framing
def test_a_call_with_all_formats_enabled_is_read_in_its_own(name: str) -> None:
    for leak in LEAKS.values():
        context = context_of(name, list(ONE_OF_EACH))
        repaired = repaired_of(name, stream_of(name, pieces_of(BEFORE + leak.text, 11)), context)
        assert_called(name, bytes_of(repaired), leak)


@each_framing
def test_a_stream_without_a_stop_of_its_text_is_completed(name: str) -> None:
    """Other faults of the same stream are repaired behind it."""
    ends = (b'"content_block_stop"', b"output_text.done", b"content_part.done", b"item.done")
    stream = [
        event
        for event in stream_of(name, [BEFORE, READ])
        if not any(end in event for end in ends) and event != b"data: [DONE]\n\n"
    ]
    repaired = repaired_of(name, stream, context_of(name, ["glm"]))
    expected = Leak("glm", READ, (("read", {"path": "a"}),))
    assert_called(name, bytes_of(repaired), expected)


@each_framing
def test_folding_a_stream_has_the_call_too(name: str) -> None:
    if name == "gemini-array":
        return
    stream = b"".join(stream_of(name, [BEFORE, *pieces_of(GLM, 9)]))
    folded = fold_stream(protocol_of(name), stream, context_of(name, ["glm"]))
    answer = text_body(folded.data, name)
    assert (answer.text, answer.tool_calls) == (BEFORE, ONE_OF_EACH["glm"].calls)


@each_framing
def test_the_names_of_renamed_tools_are_restored(name: str) -> None:
    context = context_of(name, ["glm"], tool_names_by_sent={"read": "mcp__files__read"})
    repaired = repaired_of(name, stream_of(name, [BEFORE, READ]), context)
    expected = Leak("glm", READ, (("mcp__files__read", {"path": "a"}),))
    assert_called(name, bytes_of(repaired), expected)
    body = repair_body(protocol_of(name), body_of(name, READ), context)
    assert text_body(body.data, name).tool_calls == expected.calls


def ids_in(value: Any) -> set[str]:
    """Return the ids of calls in a response."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            ids = (one.get("id"), one.get("call_id"))
            found |= {i for i in ids if isinstance(i, str) and i.startswith(("call_", "toolu_"))}
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


@pytest.mark.parametrize("name", ["anthropic", "chat", "responses"])
def test_ids_are_the_same_for_the_same_answer_and_differ_otherwise(name: str) -> None:
    text = f"{READ}\n{READ}"
    body, protocol = body_of(name, text), protocol_of(name)
    first = repair_body(protocol, body, context_of(name, ["glm"])).data
    assert first == repair_body(protocol, body, context_of(name, ["glm"])).data
    assert len(ids_in(json.loads(first))) == 2
    longer = request_of(name, [("assistant", "Well."), ("user", "Again.")])
    later = repair_body(protocol, body, context_of(name, ["glm"], longer)).data
    assert not ids_in(json.loads(first)) & ids_in(json.loads(later))


# Text remains text


def assert_text(
    name: str,
    text: str,
    context: StreamContext,
    reasons: Sequence[str] | None = None,
    *,
    finish: str = "",
) -> None:
    """Assert that streams and bodies keep their bytes, with findings for these reasons."""
    for size in (1, 13, 1000):
        stream = stream_of(name, pieces_of(text, size), finish)
        repaired = repaired_of(name, stream, context)
        assert bytes_of(repaired) == b"".join(stream)
        found = leaks_in(repaired)
        assert reasons is None or len(found) == len(reasons), found
        for reason, one in zip(reasons or (), found, strict=False):
            assert reason in one
            assert one.endswith("left as text")
    body = body_of(name, text, finish)
    whole = repair_body(protocol_of(name), body, context)
    assert whole.data == body
    found = [f"{finding.found}; {finding.done}" for finding in whole.findings]
    assert reasons is None or len(found) == len(reasons), found
    assert all(reason in one for reason, one in zip(reasons or (), found, strict=False))


@each_case
def test_a_tool_that_is_not_offered_is_not_called(name: str, leak: Leak) -> None:
    request = request_of(name)
    request["tools"] = json.loads(
        json.dumps(request["tools"]).replace("_", "-").replace('"read"', '"other"')
    )
    context = context_of(name, [leak.format], request)
    assert_text(name, BEFORE + leak.text, context)


@each_framing
@each_format
def test_the_reason_is_found(name: str, leak: Leak) -> None:
    other = leak.text.replace("read", "write").replace("get_time", "write")
    assert_text(
        name, BEFORE + other, context_of(name, [leak.format]), ["the request does not offer"]
    )


@each_case
def test_text_behind_a_call_leaves_it_text(name: str, leak: Leak) -> None:
    context = context_of(name, [leak.format])
    for more in (" is how tools are called.", "\n```", "\n<b>", "."):
        assert_text(name, BEFORE + leak.text + more, context, ["text follows it"])


@each_case
def test_an_incomplete_call_is_text(name: str, leak: Leak) -> None:
    context = context_of(name, [leak.format])
    for cut in range(1, len(leak.text), 5):
        text = leak.text[:-cut]
        stream = stream_of(name, pieces_of(text, 9))
        repaired = repaired_of(name, stream, context)
        answer = read(name, bytes_of(repaired))
        if answer.calls:  # several sections, or one without the marker around it
            assert len(leak.calls) > 1 or leak.text.endswith("</tool_call>")
            assert answer.tool_calls == leak.calls[: len(answer.calls)]
        else:
            assert bytes_of(repaired) == b"".join(stream)


@each_case
def test_a_cut_answer_keeps_its_text(name: str, leak: Leak) -> None:
    context = context_of(name, [leak.format])
    assert_text(name, BEFORE + leak.text, context, ["was cut"], finish=FINISH[name][1])


@each_framing
@each_format
def test_a_stream_that_breaks_off_keeps_its_text(name: str, leak: Leak) -> None:
    """Every event up to the break is shown, and then the error."""
    stream = stream_of(name, pieces_of(BEFORE + leak.text, 9))
    end = next(
        at
        for at, event in enumerate(stream)
        if b"block_stop" in event or b".done" in event or b'"stop"' in event or b"STOP" in event
    )
    for cut in range(end - 3, end + 1):
        repaired = repaired_of(name, stream[:cut], context_of(name, [leak.format]))
        assert repaired[-1].kind is EventKind.ERROR
        assert bytes_of(repaired).startswith(b"".join(stream[:cut]).rstrip(b"\n"))
        repair = stream_repair(protocol_of(name), context_of(name, [leak.format]))
        shown = b"".join(item.data for event in stream[:cut] for item in repair.feed(event))
        shown += repair.fail(make_error(status=502, message="reset"))
        assert shown.startswith(b"".join(stream[:cut]).rstrip(b"\n"))


BROKEN = {
    "dsml": ('string="false">5<', 'string="false">5x<'),
    "deepseek": ('"limit": 5}', '"limit": 5'),
    "kimi": ('"limit": 5}', '"limit": 5,}'),
    "glm": ("<arg_value>src", "<arg_key>src"),
    "hermes": ('"limit": 5}}', '"limit": 5}'),
    "qwen": ("<parameter=limit>", "<parameter=path>"),
    "minimax": ('<parameter name="limit">', "<limit>"),
}


@each_framing
@pytest.mark.parametrize("format", BROKEN)
def test_arguments_that_cannot_be_read_remain_text(name: str, format: str) -> None:
    whole = ONE_OF_EACH[format].text
    text = whole.replace(*BROKEN[format])
    assert text != whole
    assert_text(name, BEFORE + text, context_of(name, [format]), [f"'read' in the format {format}"])


def escaped(text: str) -> dict[str, str]:
    """Return the ways in which a page or a file may contain a text."""
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    numbered = "\n".join(f"{n:6}\u2192{line}" for n, line in enumerate(text.split("\n"), 1))
    return {
        "as it is": text,
        "indented": text.replace("\n", "\n    "),
        "on one line": " ".join(text.split()),
        "with line numbers": numbered,
        "in HTML": html,
        "in JSON": json.dumps({"page": text}),
        "in JSON with escapes": json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e"),
        "in a diff": "\n".join(f"+{line}" for line in text.split("\n")),
        "as a quotation": "\n".join(f"> {line}" for line in text.split("\n")),
    }


@each_case
def test_what_a_message_contains_is_never_called(name: str, leak: Leak) -> None:
    for role in ("user", "assistant"):
        for quoted in escaped(leak.text).values():
            request = request_of(name, [(role, f"The page says:\n{quoted}\nThat is all.")])
            context = context_of(name, [leak.format], request)
            stream = stream_of(name, pieces_of(BEFORE + leak.text, 17))
            repaired = repaired_of(name, stream, context)
            assert bytes_of(repaired) == b"".join(stream)
            assert leaks_in(repaired)[0].endswith("the request contains it; left as text")
            body = body_of(name, BEFORE + leak.text)
            assert repair_body(protocol_of(name), body, context).data == body


RESULTS: dict[str, dict[str, Any]] = {
    "anthropic": {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "text", "text": "PAGE"}],
            }
        ],
    },
    "chat": {"role": "tool", "tool_call_id": "c", "content": "PAGE"},
    "responses": {"type": "function_call_output", "call_id": "c", "output": "PAGE"},
    "gemini": {
        "role": "user",
        "parts": [{"functionResponse": {"name": "fetch", "response": {"output": "PAGE"}}}],
    },
}


@each_framing
def test_a_page_in_the_result_of_a_tool_is_never_called(name: str) -> None:
    result = RESULTS[name.removesuffix("-array")]
    key = {"responses": "input"}.get(
        name, "messages" if name in ("anthropic", "chat") else "contents"
    )
    for page in escaped(GLM).values():
        request = request_of(name)
        quoted = json.dumps(result).replace('"PAGE"', json.dumps(f"<p>{page}</p>"))
        request[key].append(json.loads(quoted))
        context = context_of(name, ["glm"], request)
        assert_text(name, f"The page says: {GLM}", context, ["the request contains it"])


@each_framing
def test_instructions_that_contain_a_call_are_no_calls(name: str) -> None:
    key = {"anthropic": "system", "responses": "instructions"}.get(name, "systemInstruction")
    if name == "chat":
        request = request_of(name, [("system", f"Call tools so: {GLM}")])
    else:
        request = request_of(name, **{key: {"parts": [{"text": f"Call tools so: {GLM}"}]}})
    assert_text(name, GLM, context_of(name, ["glm"], request), ["the request contains it"])


@each_framing
def test_a_call_whose_words_are_in_other_messages_is_a_call(name: str) -> None:
    """Files that a user names, and earlier calls of other tools, are no quotation."""
    messages = [
        ("user", "Read src/a.py with a limit of 5, then edit_file b.md."),
        ("assistant", '<tool_call>{"name":"list_files","arguments":{"dir":"."}}</tool_call>'),
    ]
    context = context_of(name, ["glm"], request_of(name, messages))
    repaired = repaired_of(name, stream_of(name, [BEFORE, GLM]), context)
    assert_called(name, bytes_of(repaired), ONE_OF_EACH["glm"])


@each_framing
@each_format
def test_a_target_that_is_not_known_to_leak_keeps_its_text(name: str, leak: Leak) -> None:
    """The finding contains the name of the format. Nothing is held back."""
    context = context_of(name, [])
    stream = stream_of(name, [BEFORE, *pieces_of(leak.text, 1 << 20)])
    repair = stream_repair(protocol_of(name), context)
    plain = stream_repair(protocol_of(name), replace(context, disabled=frozenset({"S007"})))
    findings = []
    for event in stream:
        repaired = repair.feed(event)
        assert bytes_of(repaired) == bytes_of(plain.feed(event))
        findings += leaks_in(repaired)
    reason = f"in the format {leak.format}: this target is not known to leak calls; left as text"
    assert len(findings) == 1
    assert findings[0].endswith(reason)
    body = body_of(name, BEFORE + leak.text)
    whole = repair_body(protocol_of(name), body, context)
    assert (whole.data, [finding.code for finding in whole.findings]) == (body, ["S007"])


@each_framing
@pytest.mark.parametrize("formats", [["glm"], []], ids=["known", "unknown"])
def test_without_the_rule_nothing_is_held_or_found(name: str, formats: list[str]) -> None:
    context = replace(context_of(name, formats), disabled=frozenset({"S007"}))
    assert_text(name, BEFORE + GLM, context, [])
    repair = stream_repair(protocol_of(name), context)
    for event in stream_of(name, ["<tool_call>"])[:4]:
        repair.feed(event)
    assert repair._watch is None


@each_framing
def test_without_tools_nothing_is_held_or_found(name: str) -> None:
    request = request_of(name)
    del request["tools"]
    context = replace(context_of(name, ["glm"], request), tool_names=())
    assert_text(name, BEFORE + GLM, context, [])


NO_CALLS: dict[str, dict[str, Any]] = {
    "anthropic": {"tool_choice": {"type": "none"}},
    "chat": {"tool_choice": "none"},
    "responses": {"tool_choice": "none"},
    "gemini": {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
}
NOT_SHOWN: dict[str, dict[str, Any]] = {
    "chat": {"n": 2},
    "responses": {"previous_response_id": "resp_0"},
    "gemini": {"cachedContent": "cachedContents/1"},
}


@pytest.mark.parametrize(
    ("name", "more"),
    [*NO_CALLS.items(), *NOT_SHOWN.items(), ("responses", {"conversation": {"id": "conv_1"}})],
)
def test_requests_that_allow_no_call(name: str, more: dict[str, Any]) -> None:
    """The choice of tools forbids calls, or the provider stores messages that are not seen."""
    context = context_of(name, ["glm"], request_of(name, **more))
    assert_text(name, BEFORE + GLM, context, ["the request does not offer this tool"])


@pytest.mark.parametrize("name", ["anthropic", "chat", "responses"])
def test_tools_that_the_model_cannot_call_by_a_function_call(name: str) -> None:
    """A server's tool, a custom tool with free text, and a tool in a namespace."""
    custom = {"type": "custom", "name": "read"}
    tools: list[dict[str, Any]] = {
        "anthropic": [{"type": "read_20250101", "name": "read"}],
        "chat": [{"type": "custom", "custom": {"name": "read"}}],
        "responses": [custom],
    }[name]
    context = context_of(name, ["glm"], {**request_of(name), "tools": tools})
    assert_text(name, BEFORE + GLM, context, ["the request does not offer this tool"])
    if name == "responses":
        inner = {"type": "function", "name": "read", "parameters": {}}
        tools = [{"type": "namespace", "name": "files", "tools": [inner]}]
        context = context_of(name, ["glm"], {**request_of(name), "tools": tools})
        assert_text(name, BEFORE + GLM, context, ["the request does not offer this tool"])


@each_framing
def test_an_event_that_does_not_come_in_time_releases_the_text(name: str) -> None:
    context = context_of(name, ["glm"])
    stream = stream_of(name, [BEFORE, *pieces_of(GLM, 10)])
    last = max(at for at, event in enumerate(stream) if b"arg_value" in event)
    for pause in range(2, last):
        repair = stream_repair(protocol_of(name), context)
        shown = [item for event in stream[:pause] for item in repair.feed(event)]
        shown += repair.release()
        assert not repair.holds_back
        assert bytes_of(shown) == b"".join(stream[:pause])
        shown += [item for event in stream[pause:] for item in repair.feed(event)]
        shown += repair.end()
        if not any("tool_call" in str(event) for event in stream[:pause]):
            continue
        assert bytes_of(shown) == b"".join(stream)
        assert all(one.endswith("left as text") for one in leaks_in(shown))


@each_framing
def test_a_pause_after_the_end_of_the_answer_writes_the_call(name: str) -> None:
    if name == "responses":
        return  # its last event is the terminal one
    context = context_of(name, ["glm"])
    stream = stream_of(name, [BEFORE, GLM])
    ends = (b'"end_turn"', b'"finish_reason": "stop"', b"STOP")
    end = next(at for at, event in enumerate(stream) if any(one in event for one in ends)) + 1
    repair = stream_repair(protocol_of(name), context)
    shown = [item for event in stream[:end] for item in repair.feed(event)]
    assert repair.complete
    shown += repair.release()
    assert not repair.holds_back
    shown += [item for event in stream[end:] for item in repair.feed(event)]
    shown += repair.end()
    assert_called(name, bytes_of(shown), ONE_OF_EACH["glm"])


@each_framing
def test_a_call_that_is_too_long_is_text(name: str) -> None:
    value = "x" * 4000
    count = HELD_LIMIT_BYTES // 4000 + 2
    pieces = [BEFORE, "<tool_call>read<arg_key>path</arg_key><arg_value>"]
    stream = stream_of(name, [*pieces, *[value] * count, "</arg_value></tool_call>"])
    repaired = repaired_of(name, stream, context_of(name, ["glm"]))
    assert bytes_of(repaired) == b"".join(stream)
    assert leaks_in(repaired) == ["'read' in the format glm: it is too long; left as text"]


@each_framing
def test_a_long_call_is_a_call(name: str) -> None:
    value = "x < y </b>\n" * 400
    text = f"<tool_call>read<arg_key>path</arg_key><arg_value>{value}</arg_value></tool_call>"
    stream = stream_of(name, [BEFORE, *pieces_of(text, 4)])
    repaired = repaired_of(name, stream, context_of(name, ["glm"]))
    expected = Leak("glm", text, (("read", {"path": value}),))
    assert_called(name, bytes_of(repaired), expected)


CONTINUED: dict[str, list[bytes]] = {
    "anthropic": [
        b'event: content_block_start\ndata: {"type":"content_block_start","index":1,'
        b'"content_block":{"type":"text","text":""}}\n\n',
    ],
    "chat": [
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
        b'"choices":[{"index":0,"delta":{"content":"More"},"finish_reason":null}]}\n\n',
    ],
    "gemini": [b'data: {"candidates":[{"content":{"parts":[{"text":"More"}]},"index":0}]}\r\n\r\n'],
}


@pytest.mark.parametrize("name", CONTINUED)
def test_content_behind_the_end_of_the_answer_leaves_it_text(name: str) -> None:
    stream = stream_of(name, [BEFORE, GLM])
    ends = (b'"end_turn"', b'"finish_reason": "stop"', b"STOP")
    end = next(at for at, event in enumerate(stream) if any(one in event for one in ends)) + 1
    repaired = repaired_of(name, [*stream[:end], *CONTINUED[name]], context_of(name, ["glm"]))
    assert GLM.split("\n")[0].encode() in bytes_of(repaired)
    assert all(one.endswith("left as text") for one in leaks_in(repaired))


def test_a_response_with_a_structured_call_keeps_its_text() -> None:
    """The provider parses calls, so the text is meant as text."""
    call = {
        "index": 0,
        "id": "c",
        "type": "function",
        "function": {"name": "read", "arguments": "{}"},
    }
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}],
    }
    stream = stream_of("chat", [BEFORE, READ], "tool_calls")
    structured = b"data: %s\n\n" % json.dumps(chunk).encode()
    for at in (1, 3, 4):
        events = [*stream[:at], structured, *stream[at:]]
        context = context_of("chat", ["glm"])
        off = replace(context, disabled=frozenset({"S007"}))
        repaired = bytes_of(repaired_of("chat", events, context))
        assert repaired == bytes_of(repaired_of("chat", events, off))
        assert read("chat", repaired).text == BEFORE + READ


def test_content_in_the_chunk_that_ends_the_answer() -> None:
    stream = stream_of("chat", [BEFORE])
    last = json.loads(stream[2].removeprefix(b"data: "))
    last["choices"][0]["delta"]["content"] = READ
    last["choices"][0]["finish_reason"] = "stop"
    events = [*stream[:2], b"data: %s\n\n" % json.dumps(last).encode(), *stream[4:]]
    repaired = repaired_of("chat", events, context_of("chat", ["glm"]))
    assert read("chat", bytes_of(repaired)).tool_calls == (("read", {"path": "a"}),)


def test_code_assist_wraps_its_responses() -> None:
    context = context_of("gemini", ["glm"], {"request": request_of("gemini")}, in_wrapper=True)
    answers = [json.loads(event[6:]) for event in stream_of("gemini", [BEFORE, READ])]
    stream = [b"data: %s\r\n\r\n" % json.dumps({"response": answer}).encode() for answer in answers]
    repaired = bytes_of(repaired_of("gemini", stream, context))
    inner = [json.loads(line[6:])["response"] for line in repaired.split(b"\r\n") if line]
    unwrapped = b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in inner)
    assert read("gemini", unwrapped).tool_calls == (("read", {"path": "a"}),)


@each_framing
@pytest.mark.parametrize("junk", [[], {}, 7, None, True, "x"], ids=repr)
@pytest.mark.parametrize(
    "field",
    [
        "type",
        "text",
        "delta",
        "choices",
        "finish_reason",
        "stop_reason",
        "index",
        "item",
        "part",
        "response",
        "output",
        "content",
        "candidates",
        "parts",
        "finishReason",
    ],
)
def test_fields_may_have_any_type(name: str, junk: Any, field: str) -> None:
    """No rule raises an exception, whatever the fields of the events behind a call contain."""
    stream = stream_of(name, [BEFORE, READ])
    spoilt = re.sub(
        rb'"%s": (\[\]|\{\}|null|"[^"\\]*"|\d+)' % field.encode(),
        b'"%s": %s' % (field.encode(), json.dumps(junk).encode()),
        b"".join(stream[3:]),
    )
    stream = [*stream[:3], spoilt]
    repaired = repaired_of(name, stream, context_of(name, ["glm"]))  # asserts that none raised
    if repaired[-1].kind is EventKind.TERMINAL and field != "index":
        assert framing_of(name).violations(bytes_of(repaired)) == []


def test_thoughts_are_not_searched() -> None:
    stream = stream_of("chat", ["Well."])
    thought = stream[1].replace(
        b'"content": "Well."', b'"reasoning_content": %s' % json.dumps(READ).encode()
    )
    assert thought != stream[1]
    events = [stream[0], thought, *stream[2:]]
    repaired = repaired_of("chat", events, context_of("chat", ["glm"]))
    assert leaks_in(repaired) == []


def test_offered_tools_are_those_of_the_table() -> None:
    assert {name for leak in LEAKS.values() for name, _ in leak.calls} == set(SCHEMAS)
