"""The parts of the middle form that all protocols share."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
    End,
    Failure,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    Stop,
    StopReason,
    reason_to_write,
)
from wiremend.protocols.base.middle.call_ids import SentIds, client_id, provider_id
from wiremend.protocols.base.middle.content import Call, CallKind, Result, Text
from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Conversation,
    Role,
    Tool,
    ToolChoice,
    ToolKind,
    ToolName,
    Turn,
)
from wiremend.protocols.base.middle.efforts import nearest_effort
from wiremend.protocols.base.middle.function_tools import FunctionTools
from wiremend.protocols.base.middle.interface import SentTool
from wiremend.protocols.base.middle.losses import Losses, NotCarried
from wiremend.protocols.base.middle.sequence import InSequence
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.traits import CallIdLimit
from wiremend.protocols.chat import CHAT
from wiremend.translate.settle import settled

from translate.directions import target_of

SOURCE = WireProtocol.RESPONSES

# Ids

IDS = st.text(max_size=30)


@given(IDS, st.integers(0, 99), st.text(max_size=9))
def test_the_id_for_a_client_fits_every_protocol(given_id: str, number: int, answer: str) -> None:
    made = client_id("call", answer, number, given_id)
    assert len(made) <= 64
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert made == client_id("call", answer, number, given_id)
    assert made != client_id("call", answer, number + 1, given_id)
    assert made != client_id("call", answer + "x", number, given_id)
    assert provider_id(made) in (given_id, made)


@pytest.mark.parametrize("given_id", ["functions.read:0", "a b", "\u2713"])
def test_an_unusual_id_of_a_provider_is_restored(given_id: str) -> None:
    assert provider_id(client_id("toolu", "a", 0, given_id)) == given_id


@pytest.mark.parametrize("other", ["toolu_01A", "call_wm", "call_wm0123456789ab", "", "call_x_wm1"])
def test_other_ids_are_not_changed(other: str) -> None:
    assert provider_id(other) == other


def test_a_broken_id_of_a_client_is_not_changed() -> None:
    for broken in ("call_wm0123456789ab_!", "call_wm0123456789ab_A", "call_wm0123456789ab__w"):
        assert provider_id(broken) == broken


def test_two_calls_of_one_request_never_have_one_id() -> None:
    """A provider that numbers the calls of each answer from 0 gave both the same id."""
    first, second = (client_id("toolu", answer, 0, "functions.read:0") for answer in "ab")
    ids = SentIds(CallIdLimit(characters="a-zA-Z0-9_.:-"))
    assert ids.of(first) == "functions.read:0"
    assert ids.of(second) == second
    assert ids.of(first) == "functions.read:0"


# Order


def in_sequence(*events: AnswerEvent) -> list[AnswerEvent]:
    sequence = InSequence()
    return [due for event in events for due in sequence.feed(event)]


def test_parts_that_overlap_come_one_after_the_other() -> None:
    a, b, c = (PartStart(number, Text()) for number in range(3))
    events = in_sequence(
        a,
        b,
        PartDelta(1, "b"),
        PartDelta(0, "a"),
        PartEnd(1),
        c,
        PartEnd(0),
        PartDelta(2, "c"),
        Stop(StopReason.END),
    )
    assert events == [
        *(a, PartDelta(0, "a"), PartEnd(0)),
        *(b, PartDelta(1, "b"), PartEnd(1)),
        *(c, PartDelta(2, "c"), PartEnd(2)),
        Stop(StopReason.END),
    ]


def test_the_open_part_is_not_held_back() -> None:
    sequence = InSequence()
    for event in (Start(), PartStart(0, Text()), PartDelta(0, "a"), PartEnd(0)):
        assert sequence.feed(event) == [event]


def test_nothing_is_completed_before_a_failure() -> None:
    failure = Failure(make_error(status=502, message="broken"))
    events = in_sequence(PartStart(0, Text()), PartStart(1, Text()), failure)
    assert events == [PartStart(0, Text()), failure]


def test_events_of_unknown_parts_are_dropped() -> None:
    assert in_sequence(PartDelta(7, "a"), PartEnd(7), End()) == [End()]


@pytest.mark.parametrize(
    ("reason", "has_calls", "expected"),
    [
        (StopReason.END, True, StopReason.CALLS),
        (StopReason.STOP_STRING, True, StopReason.CALLS),
        (StopReason.PAUSED, True, StopReason.CALLS),
        (StopReason.CALLS, False, StopReason.END),
        (StopReason.LIMIT, True, StopReason.LIMIT),
        (StopReason.REFUSED, True, StopReason.REFUSED),
        (StopReason.END, False, StopReason.END),
    ],
)
def test_the_reason_fits_what_was_written(
    reason: StopReason, has_calls: bool, expected: StopReason
) -> None:
    assert reason_to_write(reason, has_calls) is expected


# Tools


def functions(
    *tools: Tool, choice: ToolChoice | None = None, **traits: Any
) -> tuple[FunctionTools, Losses]:
    losses = Losses()
    conversation = Conversation(source=SOURCE, tools=tools, choice=choice)
    return FunctionTools(conversation, target_of(CHAT, **traits), losses), losses


def test_a_tool_of_a_namespace_has_a_flat_name_that_is_restored() -> None:
    tools, _ = functions(Tool("spawn", namespace="agents"), Tool("read"))
    assert [function.name for function in tools.functions] == ["agents__spawn", "read"]
    assert tools.sent == {"agents__spawn": SentTool("spawn", "agents")}
    assert tools.sent_call(Call("c", "spawn", "{}", namespace="agents")) == ("agents__spawn", "{}")


def test_the_call_of_a_custom_tool_has_its_input_as_an_argument() -> None:
    tools, losses = functions(Tool("patch", ToolKind.CUSTOM))
    assert tools.sent["patch"] == SentTool("patch", kind=CallKind.CUSTOM, argument="input")
    call = Call("c", "patch", 'a"b', CallKind.CUSTOM)
    assert tools.sent_call(call) == ("patch", '{"input":"a\\"b"}')
    assert [loss.found for loss in losses.taken()] == ["custom tool 'patch'"]


def test_the_first_of_two_tools_with_one_name_counts() -> None:
    tools, losses = functions(Tool("read", description="1"), Tool("read", description="2"))
    assert [function.description for function in tools.functions] == ["1"]
    assert len(losses.taken()) == 1


READ, EXEC = ToolName("read"), ToolName("exec")
CHOICES = {
    "auto, some": (ToolChoice(ChoiceMode.AUTO, allowed=(READ,)), ["read", "exec"], None),
    "required, one": (ToolChoice(ChoiceMode.REQUIRED, allowed=(READ,)), ["read"], "read"),
    "required, all": (
        ToolChoice(ChoiceMode.REQUIRED, allowed=(READ, EXEC)),
        ["read", "exec"],
        None,
    ),
    "required, none of them": (
        ToolChoice(ChoiceMode.REQUIRED, allowed=(ToolName("x"),)),
        [],
        None,
    ),
}


@pytest.mark.parametrize(("choice", "sent", "forced"), CHOICES.values(), ids=CHOICES)
def test_allowed_tools(choice: ToolChoice, sent: list[str], forced: str | None) -> None:
    tools, _ = functions(Tool("read"), Tool("exec"), choice=choice)
    assert [function.name for function in tools.functions] == sent
    name = tools.choice.forced.name if tools.choice and tools.choice.forced else None
    assert name == forced


def test_a_server_s_tool_alone_is_refused() -> None:
    search = Tool("web_search", ToolKind.SERVER)
    with pytest.raises(NotCarried, match="web_search"):
        functions(search)
    tools, _ = functions(search, Tool("read"))
    assert len(tools.functions) == 1


@pytest.mark.parametrize(
    ("effort", "taken", "expected"),
    [
        ("high", (), ""),
        ("high", ("low", "high"), "high"),
        ("medium", ("low", "high"), "high"),
        ("minimal", ("low",), "low"),
        ("max", ("low", "high"), "high"),
        ("xhigh", ("high", "max"), "max"),
        ("unknown", ("low",), ""),
        ("default", ("default",), "default"),
        ("low", ("none",), ""),
    ],
)
def test_the_nearest_effort(effort: str, taken: tuple[str, ...], expected: str) -> None:
    assert nearest_effort(effort, taken) == expected


# Settling


def turn(role: Role, *parts: Any) -> Turn:
    return Turn(role, parts)


def settle(*turns: Turn) -> tuple[Turn, ...]:
    return settled(Conversation(source=SOURCE, turns=turns), Losses()).turns


def test_items_of_one_turn_become_one_turn() -> None:
    """As Responses has them: each call, result and text is an item."""
    assistant = [turn(Role.ASSISTANT, part) for part in (Text("a"), Call("1", "x"), Call("2", "x"))]
    results = [turn(Role.USER, Result("2")), turn(Role.USER, Result("1"))]
    spoken, got = settle(turn(Role.USER, Text("Go.")), *assistant, *results)[1:]
    assert spoken.parts == (Text("a"), Call("1", "x"), Call("2", "x"))
    assert [part.call_id for part in got.parts if isinstance(part, Result)] == ["1", "2"]


def test_an_id_that_comes_twice_is_paired_in_order() -> None:
    one, two = Result("0", (Text("one"),)), Result("0", (Text("two"),))
    turns = settle(
        turn(Role.ASSISTANT, Call("0", "x")),
        turn(Role.USER, one),
        turn(Role.ASSISTANT, Call("0", "x")),
        turn(Role.USER, two),
    )
    texts = [part.parts for turn in turns for part in turn.parts if isinstance(part, Result)]
    assert texts == [(Text("one"),), (Text("two"),)]


def test_a_result_that_comes_twice_is_sent_once() -> None:
    """Gemini CLI writes each result twice when it resumes a session."""
    one, two = (turn(Role.USER, Result("0", (Text("one"),), name="x")) for _ in range(2))
    before = settle(turn(Role.ASSISTANT, Call("0", "x")), one)
    after = settle(turn(Role.ASSISTANT, Call("0", "x")), one, two, turn(Role.USER, Text("b")))
    assert after == (*before, turn(Role.USER, Text("b")))


def test_another_result_of_a_call_is_sent_as_text() -> None:
    one, two = (turn(Role.USER, Result("0", (Text(text),), name="x")) for text in ("one", "two"))
    *_, last = settle(turn(Role.ASSISTANT, Call("0", "x")), one, two)
    assert [part.text for part in last.parts if isinstance(part, Text)][1:] == ["two"]


def test_a_result_before_its_call_is_not_its_result() -> None:
    turns = settle(turn(Role.USER, Result("0", (Text("a"),))), turn(Role.ASSISTANT, Call("0", "x")))
    assert not any(isinstance(part, Result) for part in turns[0].parts)
    assert isinstance(turns[2].parts[0], Result)
    assert turns[2].parts[0].is_error


def test_a_blank_turn_behind_an_answer_keeps_it_apart_from_the_next_one() -> None:
    """With the next answer in the same turn, the shorter session would not be its beginning."""
    session = [turn(Role.USER, Text("Go.")), turn(Role.ASSISTANT, Text("a"))]
    session += [turn(Role.USER, Text("")), turn(Role.ASSISTANT, Text("b"))]
    turns = settle(*session)
    assert turns == (session[0], session[1], session[3])
    assert settle(*session[:3]) == turns[:2]


def test_system_text_at_the_head_joins_the_other() -> None:
    conversation = settled(
        Conversation(
            source=SOURCE,
            system=(Text("a"), Text("secret", is_private=True), Text(" ")),
            turns=(
                turn(Role.DEVELOPER, Text("b")),
                turn(Role.USER, Text("Go.")),
                turn(Role.SYSTEM, Text("c")),
            ),
        ),
        Losses(),
    )
    assert [text.text for text in conversation.system] == ["a", "b"]
    assert [one.role for one in conversation.turns] == [Role.USER, Role.SYSTEM]
