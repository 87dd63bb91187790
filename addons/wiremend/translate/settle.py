"""Settling a conversation of another protocol: what every target requires of its messages.

- Text that the client means for its own provider, and blank text, is removed; so are turns without
  content.
- System messages at the head join the system text. Later ones keep their place, but never stand
  between calls and their results.
- The assistant messages of one turn are one: items of Responses, and messages that a client put
  between a call and its result.
- The results of an assistant turn stand together in a user turn directly behind it, in the order of
  the calls. A call without a result gets one; a result without a call becomes text. The same
  result of a call a second time, as Gemini CLI writes it when it resumes a session, is removed.
- Each call has an id of its own. Some providers count the calls of each answer from 0, and others
  refuse a history with an id that comes twice.

Every step depends only on what is before it in the conversation, except that results are looked
for behind their calls, so a longer conversation begins like a shorter one.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from wiremend.protocols.base.middle.content import Call, Part, Result, Text
from wiremend.protocols.base.middle.conversation import (
    AUTHORITIES,
    Conversation,
    Role,
    Turn,
)
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.wording import NO_RESULT
from wiremend.text.json_value import is_blank
from wiremend.value_class import copier

_changed = copier(Conversation)


def settled(conversation: Conversation, losses: Losses) -> Conversation:
    """Return the conversation as writers of other protocols expect it."""
    turns = list(_without_blank_turns(map(_without_nothing, conversation.turns)))
    head = 0
    while head < len(turns) and turns[head].role in AUTHORITIES:
        head += 1
    system = [part for turn in turns[:head] for part in turn.parts if isinstance(part, Text)]
    return _changed(
        conversation,
        system=(*filter(_is_kept, conversation.system), *system),
        turns=tuple(_Pairing(turns[head:], losses).turns()),
    )


def _without_blank_turns(turns: Iterable[Turn]) -> Iterator[Turn]:
    """Yield the turns with parts, and a user's blank turn behind one of the assistant.

    The blank turn separates the assistant's messages: if they became one when the next is added,
    a longer conversation would not begin like the shorter one.
    """
    before: Role | None = None
    for turn in turns:
        if turn.parts or (turn.role is Role.USER and before is Role.ASSISTANT):
            before = turn.role
            yield turn


def _without_nothing(turn: Turn) -> Turn:
    if all(_is_kept(part) for part in turn.parts):
        return turn
    return replace(turn, parts=tuple(filter(_is_kept, turn.parts)))


def _is_kept(part: Part) -> bool:
    return not isinstance(part, Text) or not (part.is_private or is_blank(part.text))


class _Pairing:
    """Puts the results of each assistant turn behind it."""

    def __init__(self, turns: Sequence[Turn], losses: Losses) -> None:
        self._turns = turns
        self._losses = losses
        self._results: dict[str, deque[tuple[int, Result]]] = {}
        """The results by the id of their call, each with the number of its turn."""
        for number, turn in enumerate(turns):
            for part in turn.parts:
                if isinstance(part, Result):
                    self._results.setdefault(part.call_id, deque()).append((number, part))
        self._used: set[int] = set()
        """The identities of the results that were put behind their call."""
        self._ids: dict[str, int] = {}
        """The ids of the calls so far, as they are sent, and how often each came."""
        self._given: dict[str, Result] = {}
        """The last of them for each id of a call."""

    def turns(self) -> Iterator[Turn]:
        """Yield the turns of the settled conversation."""
        number = 0
        while number < len(self._turns):
            turn = self._turns[number]
            if turn.role is not Role.ASSISTANT:
                number += 1
                yield from self._other(turn)
                continue
            after = self._end_of_run(number)
            run = self._turns[number:after]
            yield from self._run(run, after)
            number = after

    def _end_of_run(self, start: int) -> int:
        """Return the number of the turn behind an assistant's messages.

        A system message between them is a part of the run while a call waits for its result.
        """
        end = start
        waits = False
        for number in range(start, len(self._turns)):
            turn = self._turns[number]
            if turn.role is Role.ASSISTANT:
                end = number + 1
                waits = waits or any(isinstance(part, Call) for part in turn.parts)
            elif turn.role is Role.USER or not waits:
                break
        return end

    def _run(self, run: Sequence[Turn], after: int) -> Iterator[Turn]:
        spoken = [turn for turn in run if turn.role is Role.ASSISTANT]
        moved = [turn for turn in run if turn.role is not Role.ASSISTANT]
        parts = tuple(part for turn in spoken for part in turn.parts)
        ids = {id(part): self._unique(part.id) for part in parts if isinstance(part, Call)}
        named = tuple(
            replace(part, id=ids[id(part)]) if isinstance(part, Call) else part for part in parts
        )
        yield replace(spoken[0], parts=named, is_plain=spoken[0].is_plain and len(spoken) == 1)
        calls = [part for part in parts if isinstance(part, Call)]
        if calls:
            results = [(self._result_of(call, after), ids[id(call)]) for call in calls]
            yield Turn(Role.USER, tuple(replace(one, call_id=sent) for one, sent in results))
        for turn in moved:
            done = "moved behind the results"
            self._losses.add(LossKind.POSITION, f"{turn.role} message", done, turn.at)
            yield from self._other(turn)

    def _unique(self, call_id: str) -> str:
        """Return the id of the next call, another one if an earlier call has it."""
        number = self._ids.get(call_id, 0) + 1
        sent = call_id if number == 1 else f"{call_id}_{number}"
        while number > 1 and sent in self._ids:
            number += 1
            sent = f"{call_id}_{number}"
        self._ids[call_id] = number
        self._ids.setdefault(sent, 1)
        return sent

    def _result_of(self, call: Call, after: int) -> Result:
        found = self._results.get(call.id)
        while found:
            number, result = found.popleft()
            if number >= after:
                self._used.add(id(result))
                self._given[call.id] = result
                return replace(result, name=result.name or call.name, kind=call.kind)
        self._losses.add(
            LossKind.HISTORY, f"call {call.id!r} without a result", "one was added", call.at
        )
        return Result(call.id, (Text(NO_RESULT),), True, call.name, call.kind, True)

    def _other(self, turn: Turn) -> Iterator[Turn]:
        """Yield a turn without the results that were put behind their calls, if it has parts."""
        if not turn.parts:
            return
        if not any(isinstance(part, Result) for part in turn.parts):
            yield turn
            return
        parts: list[Part] = []
        for part in turn.parts:
            if not isinstance(part, Result):
                parts.append(part)
            elif id(part) in self._used:
                continue
            elif self._is_repeated(part):
                repeated = f"second result of the call {part.call_id!r}"
                self._losses.add(LossKind.HISTORY, repeated, "left out", part.at)
            else:
                found = f"result of the unknown call {part.call_id!r}"
                self._losses.add(LossKind.HISTORY, found, "sent as text", part.at)
                parts.append(Text(f"[{found}]", at=part.at))
                parts += part.parts
        if parts:
            yield replace(turn, parts=tuple(parts), is_plain=False)

    def _is_repeated(self, result: Result) -> bool:
        """Return whether a result is equal to the one that its call already has."""
        given = self._given.get(result.call_id)
        return given is not None and given.parts == result.parts
