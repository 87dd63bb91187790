"""Lessons are kept in a file that survives the process and that several processes share."""

import fcntl
import json
import os
import stat
from pathlib import Path

import pytest
from wiremend.adapt.lessons import LESSONS_LIMIT, Lesson, LessonBook
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.config.consent import reach
from wiremend.config.current import CurrentConfig
from wiremend.config.lesson_file import LessonKeeper
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.traits import TargetTraits
from wiremend.protocols.chat import CHAT

NOW = 1_800_000_000.0
FIELD = Lesson("field", "seed")
TRAIT = Lesson("trait", "token-limit-name=max_tokens")


class Process:
    """One process that keeps its lessons in a file."""

    def __init__(self, path: Path, now: float = NOW) -> None:
        self.messages: list[str] = []
        self.book = LessonBook(lambda: now)
        self.keeper = LessonKeeper(self.book, self.messages.append)
        self.keeper.use(path)

    def learn(self, *lessons: Lesson, words: str = "") -> None:
        self.book.learn("p", "m", lessons, words)

    @property
    def lessons(self) -> set[Lesson]:
        return set(self.book.of("p", "m"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "lessons.jsonl"


def test_lessons_survive_the_process(path: Path) -> None:
    first = Process(path)
    first.learn(FIELD, TRAIT, words="seed: Extra inputs are not permitted")
    second = Process(path)
    assert second.lessons == {FIELD, TRAIT}
    assert first.messages == second.messages == []


def test_the_file_has_the_time_and_the_words_and_is_readable_by_its_owner_only(path: Path) -> None:
    Process(path).learn(Lesson("schema-dialect", "moonshot", "tool é"), words="w" * 1000)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_bytes()) == {
        "learnt": "2027-01-15T08:00:00+00:00",
        "provider": "p",
        "model": "m",
        "kind": "schema-dialect",
        "value": "moonshot",
        "tool": "tool é",
        "words": "w" * 300,
    }


def test_processes_that_share_a_file_lose_no_lesson(path: Path) -> None:
    first, second = Process(path), Process(path)
    first.learn(FIELD)
    second.learn(TRAIT)
    assert second.lessons == {FIELD, TRAIT}
    first.keeper.look()
    assert first.lessons == {FIELD, TRAIT}
    assert Process(path).lessons == {FIELD, TRAIT}


def test_lessons_wait_while_another_process_writes(path: Path) -> None:
    process = Process(path)
    path.parent.mkdir()
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process.learn(FIELD)
        assert not path.exists()
    process.keeper.look()
    assert Process(path).lessons == {FIELD}


def test_a_later_lesson_on_the_same_subject_replaces_an_earlier_one(path: Path) -> None:
    Process(path, NOW).learn(Lesson("trait", "token-limit-name=max_completion_tokens"))
    Process(path, NOW + 1).learn(TRAIT)
    assert Process(path).lessons == {TRAIT}
    assert len(path.read_bytes().splitlines()) == 1


def test_tools_as_they_are_is_not_kept(path: Path) -> None:
    process = Process(path)
    process.learn(Lesson("as-is"))
    assert process.lessons == {Lesson("as-is")}
    assert not path.exists()


def test_the_file_is_bounded(path: Path) -> None:
    for number in range(LESSONS_LIMIT // 100 + 1):
        lessons = [Lesson("field", f"f{number * 100 + index}") for index in range(100)]
        Process(path, NOW + number).learn(*lessons)
    assert len(path.read_bytes().splitlines()) == LESSONS_LIMIT
    assert b'"f0"' not in path.read_bytes()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 2 is damaged (not JSON)"),
        ("[1]", "line 2 is damaged"),
        ('{"learnt":"2027-01-15T08:00:00+00:00","provider":"p","kind":"nothing"}', "kind: "),
        ('{"learnt":"then","provider":"p","kind":"field","value":"x"}', "line 2 is damaged"),
        ('{"provider":"p","kind":"field","value":"x"}', "line 2 is damaged"),
    ],
)
def test_a_damaged_line_is_reported_and_the_others_are_used(
    path: Path, line: str, problem: str
) -> None:
    Process(path).learn(FIELD)
    path.write_text(path.read_text() + line + "\n")
    process = Process(path)
    assert process.lessons == {FIELD}
    [message] = process.messages
    assert problem in message
    assert str(path) in message


@pytest.mark.parametrize("content", ["export PATH=/bin\n", '{"a": 1}\n', "\0\n"])
def test_a_file_of_something_else_is_never_overwritten(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    process = Process(path)
    process.learn(FIELD)
    process.keeper.look()
    assert path.read_text() == content
    [message] = process.messages
    assert "it contains no lessons" in message
    assert process.lessons == {FIELD}


def test_a_pipe_or_a_directory_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        process = Process(tmp_path / name)
        process.learn(FIELD)
        assert len(process.messages) == 1
        assert process.lessons == {FIELD}


def test_a_file_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    process = Process(tmp_path / "new" / "lessons.jsonl")
    (tmp_path / "new").write_bytes(b"")  # no directory
    process.learn(FIELD)
    process.learn(TRAIT)
    assert len(process.messages) == 1
    assert "cannot be written" in process.messages[0]
    assert process.lessons == {FIELD, TRAIT}


def test_another_file_is_used_after_a_reload_and_none_without_one(
    path: Path, tmp_path: Path
) -> None:
    process = Process(path)
    process.learn(FIELD)
    process.keeper.use(tmp_path / "other.jsonl")
    process.learn(TRAIT)
    process.keeper.use(None)
    process.learn(Lesson("field", "x"))
    assert Process(tmp_path / "other.jsonl").lessons == {TRAIT}
    assert Process(path).lessons == {FIELD}


def test_the_words_contain_no_credential_of_the_request(path: Path) -> None:
    process = Process(path)
    body = json.dumps({"seed": 1}).encode()
    headers = (("authorization", "Bearer sk-very-secret-key"),)
    document = RequestDocument.of(CHAT, "/", body, headers)
    requests = AdaptedRequests(process.book)
    requests.add(OutgoingRequest("p", "m", "https", "p.example", 443, document), TargetTraits())
    message = "Unknown parameter: 'seed' (key sk-very-secret-key)"
    assert requests.amend(0, make_error(status=400, message=message))
    requests.accepted(0)
    written = path.read_text()
    assert "Unknown parameter: 'seed'" in written
    assert "sk-very-secret-key" not in written


def test_the_path_is_relative_to_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "team.toml"
    file.write_text('[learning]\nfile = "lessons.jsonl"\nmax_amendments = 3\nmax_elapsed = 5\n')
    current = CurrentConfig({})
    assert current.lesson_file is None
    current.read(str(file), tmp_path)
    assert current.lesson_file == tmp_path / "lessons.jsonl"
    limits = current.settings.amendments
    assert (limits.count, limits.elapsed_seconds) == (3, 5.0)


def test_a_project_that_names_a_file_needs_consent() -> None:
    assert reach({"learning": {"max_amendments": 3, "max_elapsed": 5}}) == frozenset()
    assert [thing.name for thing in reach({"learning": {"file": "x"}})] == ["learning.file"]
