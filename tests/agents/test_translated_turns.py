"""Each agent from npm at a provider of each other protocol, over several runs of one session.

In each session the model calls tools (in parallel, a failing one, an image, an edit), the session
is resumed, goes to the agent's own provider and back, and is compacted. What the provider received
is read without the code under test.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from traffic import good
from traffic.proxy import KEY, Proxy
from wiremend.protocols.base.middle.state import MAGIC_TEXT, PREFIX
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Received

from agents import received_requests
from agents.clis import Agent
from agents.received_requests import Entry, entries
from agents.runs import Run, Runner
from agents.scripted_model import HIGH_USAGE, Answer, Issued
from agents.sessions import NAMES, OTHER_KEY, SUMMARY, Session, Vendor, image
from agents.tool_users import PAIRS, WORD, ToolUser

pytestmark = [pytest.mark.agents, pytest.mark.long]

C, G = good.CHAT, good.GEMINI
_FILES = re.compile(r"<session_context>.*?</session_context>", re.DOTALL)
"""In which Gemini CLI lists the files, also in the first message of a session that it resumes."""
AT_A_TIME = 2
"""Concurrent sessions."""
type Pair = tuple[ToolUser, WireProtocol]


class Turns:
    """The runs of one session."""

    def __init__(self, user: ToolUser, session: Session) -> None:
        self.user = user
        self.session = session
        self.work = session.directory / "work"
        self.work.mkdir()
        (self.work / "note.txt").write_text(f"The word is {WORD}.\n")
        (self.work / "pixels.png").write_bytes(image())
        self.before_compaction = 0
        """The number of the other vendor's turns before the session is compacted."""

    def play(self) -> None:
        """Run the agent: two runs, one at its own vendor, one back, and a compaction."""
        with self.session.behind(routed=True) as routed:
            self._use_tools(routed)
            self._echo(routed, self.session.other, "Second")
            with self.session.behind(routed=False) as direct:
                self._echo(direct, self.session.own, "Third")
            self._echo(routed, self.session.other, "Fourth")
            self.before_compaction = len(self.session.other.turns)
            self._compact(routed)

    def _use_tools(self, proxy: Proxy) -> None:
        user, work = self.user, self.work
        answers = [
            Answer("I look.", (user.shell("cat note.txt"), user.failing(work))),
            Answer("", (user.image(work),)),
            Answer("I edit.", (user.edit(work),)),
            Answer("First end."),
        ]
        run = self._run(proxy, self.session.other, user.agent, answers, "First prompt.")
        assert "First end." in run.stdout, str(run)
        assert (self.work / "made.txt").read_text().strip() == WORD

    def _echo(self, proxy: Proxy, vendor: Vendor, word: str) -> None:
        answers = [
            Answer("", (self.user.shell(f"echo {word} echo"),)),
            Answer(f"{word} end."),
        ]
        run = self._run(proxy, vendor, self.user.resume, answers, f"{word} prompt.")
        assert f"{word} end." in run.stdout, str(run)

    def _compact(self, proxy: Proxy) -> None:
        user, other = self.user, self.session.other
        last = "Fifth prompt."
        if user.compacts_by_prompt:
            self._run(proxy, other, user.compacting, [Answer(SUMMARY)], user.compacts_by_prompt)
            run = self._run(proxy, other, user.resume, [Answer("Fifth end.")], last)
        else:
            answers = [Answer("", (user.shell("echo five"),), HIGH_USAGE), Answer("Fifth end.")]
            if user.summary_offers_tools:
                answers.insert(1, Answer(SUMMARY))
            run = self._run(proxy, other, user.compacting, answers, last)
        assert "Fifth end." in run.stdout, str(run)

    def _run(
        self, proxy: Proxy, vendor: Vendor, agent: Agent, answers: Sequence[Answer], prompt: str
    ) -> Run:
        return self.session.run(agent, proxy, vendor, answers, prompt)

    def expected(self) -> list[tuple[str, str]]:
        """Return what the last request before the compaction contains, in order: kind, part."""
        user = self.user
        return [
            ("user", "First prompt."),
            ("assistant", "I look."),
            ("call", "cat note.txt"),
            ("call", user.failing(self.work).name),
            ("result", WORD),
            ("call", user.image(self.work).name),
            ("image", ""),
            ("assistant", "I edit."),
            ("call", "made.txt"),
            ("result", ""),
            ("assistant", "First end."),
            *self._expected_echo("Second"),
            ("assistant", "Second end."),
            *self._expected_echo("Third"),
            ("assistant", "Third end."),
            *self._expected_echo("Fourth"),
        ]

    def _expected_echo(self, word: str) -> list[tuple[str, str]]:
        return [
            ("user", f"{word} prompt."),
            ("call", f"echo {word} echo"),
            ("result", f"{word} echo"),
        ]


@pytest.fixture(scope="module")
def sessions(runner: Runner, request: pytest.FixtureRequest) -> Iterator[dict[Pair, Future[Turns]]]:
    """Start the sessions of all selected tests, some at a time."""
    params = [getattr(item, "callspec", None) for item in request.session.items]
    pairs = dict.fromkeys(it.params["turns"] for it in params if it and "turns" in it.params)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {pair: pool.submit(_played, runner, *pair) for pair in pairs}
        pool.shutdown(cancel_futures=True)


def _played(runner: Runner, user: ToolUser, protocol: WireProtocol) -> Turns:
    with Session(runner, user.agent, protocol) as session:
        turns = Turns(user, session)
        turns.play()
        return turns


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: f"{pair[0]} at {NAMES[pair[1]]}")
def turns(sessions: dict[Pair, Future[Turns]], request: pytest.FixtureRequest) -> Turns:
    """Return a session that was played once for all tests."""
    return sessions[request.param].result()


def test_nothing_is_lost(turns: Turns) -> None:
    other = turns.session.other
    last = _entries(other, turns.before_compaction - 1)
    assert _missing(turns.expected(), last) is None, _shown(last)
    [failed] = [it for it in last if it.kind == "result" and turns.user.failure in it.text]
    assert failed.id or other.protocol is G
    assert [it.text for it in last if it.kind == "image"] == [b64encode(image()).decode()]


def test_each_result_follows_the_call_with_its_id_and_no_id_comes_twice(turns: Turns) -> None:
    other = turns.session.other
    for number in range(len(other.turns)):
        found = _entries(other, number)
        calls = [it.id for it in found if it.kind == "call"]
        results = [it.id for it in found if it.kind == "result"]
        assert calls == results
        assert len(set(calls)) == len(calls)


def test_each_call_is_of_a_tool_that_the_request_offers(turns: Turns) -> None:
    other = turns.session.other
    for received in other.turns:
        body = received.json()
        offered = set(received_requests.tool_names(other.protocol, body))
        called = {it.text.split()[0] for it in entries(other.protocol, body) if it.kind == "call"}
        assert called <= offered


def test_requests_have_the_types_of_the_sdk(turns: Turns) -> None:
    other = turns.session.other
    for received in (*other.turns, *other.side_calls):
        received_requests.validate(other.protocol, received.json())


def test_each_request_begins_like_the_one_before(turns: Turns) -> None:
    """Until the compaction. Without the state that an agent forgets when it resumes a session."""
    other, user = turns.session.other, turns.user
    for number in range(1, turns.before_compaction):
        earlier, later = (_leaves(other, it, user) for it in (number - 1, number))
        assert later[: len(earlier)] == earlier


def test_tools_and_system_text_stay_the_same(turns: Turns) -> None:
    """So that a prompt cache of the provider is found, in each run."""
    other = turns.session.other
    for earlier, later in zip(other.turns[:4], other.turns[1:4], strict=False):
        for key in ("model", "tools", "system", "systemInstruction", "instructions"):
            assert later.json().get(key) == earlier.json().get(key)


def test_state_returns_to_the_vendor_that_issued_it(turns: Turns) -> None:
    """Within a run, and in later runs if the agent keeps it."""
    other, user = turns.session.other, turns.user
    if not user.keeps_state:
        pytest.skip(f"{user} does not return it")
    within = [_state(it) for it in other.turns_issued[:3]]
    assert _kept(other, 3) == within
    if user.keeps_state_in_sessions:
        count = turns.before_compaction - 1
        issued = [_state(it) for it in other.turns_issued[:count]]
        kept = _kept(other, count)
        ended = [it for it in issued if it not in kept]
        assert kept == [it for it in issued if it in kept]
        # Gemini's signature of a last text has no place at Anthropic's clients.
        assert not ended or (other.protocol is G and user.agent.protocol is good.ANTHROPIC)
        assert len(ended) <= 2


def test_no_vendor_sees_the_state_of_another(turns: Turns) -> None:
    own, other = turns.session.own, turns.session.other
    for vendor, foreign in ((own, other), (other, own)):
        for received in vendor.received:
            body = received.body.decode()
            assert PREFIX not in body
            assert f'"{MAGIC_TEXT}' not in body
            assert not [it for it in foreign.issued if it.state in body]


def test_the_own_vendor_gets_the_whole_session(turns: Turns) -> None:
    """Untranslated: with the calls and results that the other vendor's model made."""
    own = turns.session.own
    expected = turns.expected()
    until = expected.index(("assistant", "Second end."))
    found = _entries(own, len(own.turns) - 1)
    third = [*expected[: until + 1], *expected[until + 1 : until + 4]]
    assert _missing(third, found) is None, _shown(found)


def test_the_compacted_session_goes_on_from_the_summary(turns: Turns) -> None:
    other = turns.session.other
    last = _entries(other, len(other.turns) - 1)
    text = "\n".join(it.text for it in last)
    assert SUMMARY in text, _shown(last)
    assert "First end." not in text


def test_each_vendor_gets_its_own_key(turns: Turns) -> None:
    own, other = turns.session.own, turns.session.other
    for received in other.received:
        everything = _everything(received)
        assert KEY not in everything
        assert OTHER_KEY in everything
    for received in own.received:
        assert OTHER_KEY not in _everything(received)


def _everything(received: Received) -> str:
    return repr((received.path, received.headers, received.body))


def _entries(vendor: Vendor, number: int) -> list[Entry]:
    return entries(vendor.protocol, vendor.turns[number].json())


def _missing(expected: Sequence[tuple[str, str]], found: list[Entry]) -> tuple[str, str] | None:
    """Return the first expected entry that does not follow those before it; None if all do."""
    left = iter(found)
    for kind, text in expected:
        if not any(it.kind == kind and text in it.text for it in left):
            return kind, text
    return None


def _shown(found: Sequence[Entry]) -> str:
    return "\n".join(f"{it.kind} {it.id} {it.text[:100]!r}" for it in found)


def _state(issued: Issued) -> str:
    return issued.thought if issued.protocol is C else issued.state


def _kept(vendor: Vendor, number: int) -> list[str]:
    """Return the states of the vendor in one of its requests."""
    states = {_state(it) for it in vendor.issued}
    return [
        it.text for it in _entries(vendor, number) if it.kind == "reasoning" and it.text in states
    ]


def _leaves(vendor: Vendor, number: int, user: ToolUser) -> list[str]:
    """Return the conversation in pieces that can be compared: parts of messages.

    A message that is continued in the next request has more parts there.
    """
    body = vendor.turns[number].json()
    if not user.keeps_state_in_sessions:
        found = [it for it in entries(vendor.protocol, body) if it.kind != "reasoning"]
        return [f"{it.kind} {it.id} {_FILES.sub('', it.text)}" for it in found]
    messages = received_requests.messages(vendor.protocol, body)
    return [json.dumps(part) for message in messages for part in _parts(message)]


def _parts(message: dict[str, Any]) -> list[Any]:
    key = "parts" if "parts" in message else "content"
    content = message.get(key)
    if not isinstance(content, list):
        return [message]
    rest = {name: value for name, value in message.items() if name != key}
    return [{**rest, key: [part]} for part in content]
