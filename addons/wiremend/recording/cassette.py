"""A recording that answers requests: matching them, and reporting what was and was not asked for.

    cassette = Cassette(load_calls(path), path.name)
    match = cassette.match(AskedRequest("POST", "api.openai.com", "/v1/responses", body))
    if isinstance(match, Hit):
        match.call.answers     # what the provider sent, attempt by attempt
    else:
        match.text             # why there is no answer: the nearest recorded request and a diff
    cassette.report()          # hits, misses, unused

Equal requests are answered in recorded order, and the last answer is repeated. A request that was
not recorded is never answered: the level of matching is what a user chooses, not a fallback. It is
refused, or forwarded to its provider if the cassette `forwards`.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wiremend.identities import Machine
from wiremend.recording.mapped_answers import mapped_answer
from wiremend.recording.normal_form import (
    AskedRequest,
    Level,
    NormalForm,
    Normaliser,
    folder_of,
)
from wiremend.recording.path_maps import PathMap, PathMaps
from wiremend.recording.recorded_calls import RecordedCall, load_calls
from wiremend.recording.replay_report import ReplayReport, counted
from wiremend.recording.request_diff import Difference, as_lines, differences

TICKET = "x-wiremend-replay"
"""The header that the proxy adds to the attempts of a matched call: what is served for them."""
MISSES_LIMIT = 20
"""Further misses are counted only."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A request that was recorded."""

    call: RecordedCall
    is_repeated: bool = False
    """Whether the call has already answered an earlier request."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A request that was not recorded."""

    reason: str
    """One line for the client."""
    text: str
    """Several lines for the user: the nearest recorded request, and a diff."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A request that was not recorded, and is sent to its provider."""

    text: str
    """Several lines for the user: the nearest recorded request, and a diff."""


@dataclass(slots=True)
class _Recorded:
    """A recorded call, and whether a request asked for it."""

    call: RecordedCall
    title: str
    is_used: bool = False


@dataclass(slots=True)
class _Group:
    """The recorded calls with one key, in order."""

    all: list[_Recorded] = field(default_factory=list)
    unused: deque[_Recorded] = field(default_factory=deque)
    equal: dict[bytes, deque[_Recorded]] = field(default_factory=dict)
    """Those that are equal in everything, by their strict keys; the last one is never removed."""

    def add(self, recorded: _Recorded, strict_key: bytes) -> None:
        self.all.append(recorded)
        self.unused.append(recorded)
        self.equal.setdefault(strict_key, deque()).append(recorded)

    def take(self, strict_key: bytes) -> Hit:
        """Return the next call, preferably one that is equal in everything."""
        equal = self.equal.get(strict_key, deque())
        while len(equal) > 1 and equal[0].is_used:
            equal.popleft()
        while self.unused and self.unused[0].is_used:
            self.unused.popleft()
        if equal and not equal[0].is_used:
            chosen = equal[0]
        elif self.unused:
            chosen = self.unused[0]
        else:
            chosen = (equal or self.all)[-1]
        is_repeated, chosen.is_used = chosen.is_used, True
        return Hit(chosen.call, is_repeated)


class Cassette:
    """The calls of one recording, and which of them were asked for.

    `name` is what messages call the recording. `machine` is where requests come from now; `maps`
    are folders of the recording that are somewhere else now. `forwards`: requests that were not
    recorded are sent to their providers.
    """

    def __init__(
        self,
        calls: Iterable[RecordedCall],
        name: str,
        *,
        level: Level = Level.MESSAGES,
        maps: Sequence[PathMap] = (),
        machine: Machine | None = None,
        forwards: bool = False,
    ) -> None:
        self.name = name
        self.level = level
        self.forwards = forwards
        paths = PathMaps(tuple(maps))
        self._recorded = Normaliser(maps=paths)
        self._asked = Normaliser(machine, paths)
        self._groups: dict[bytes, _Group] = {}
        self.calls = [_with_maps(call, paths) for call in calls]
        for call in self.calls:
            form = self._recorded.normal_form(call.request)
            group = self._groups.setdefault(form.key(level), _Group())
            group.add(_Recorded(call, _title(form)), form.key(Level.STRICT))
        self._has_maps = bool(maps)
        self._folder = ""
        """Where the client runs now, if its requests name the folder."""
        self._hits = 0
        self._misses = 0
        self._forwarded = 0
        self._miss_texts: list[str] = []
        self._side_requests: dict[str, None] = {}

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        level: Level = Level.MESSAGES,
        maps: Sequence[PathMap] = (),
        machine: Machine | None = None,
        forwards: bool = False,
    ) -> "Cassette":
        """Read a recording. Raises UnusableRecording, whose text is one line."""
        calls = load_calls(path)
        return cls(calls, path.name, level=level, maps=maps, machine=machine, forwards=forwards)

    def match(self, request: AskedRequest) -> Hit | Miss | Forwarded:
        """Return the recorded call that answers a request, and count it."""
        form = self._asked.normal_form(request)
        self._folder = self._folder or folder_of(request)
        group = self._groups.get(form.key(self.level))
        if group is None and self.forwards:
            text = self._miss_text(form, *self._nearest(form))
            self._forwarded += 1
            return Forwarded(text)
        if group is None:
            return self._missed(form, *self._nearest(form))
        hit = group.take(form.key(Level.STRICT))
        if hit.call.problem:
            reason = f"call {hit.call.number} of {self.name} cannot be replayed: {hit.call.problem}"
            return self._missed(form, reason, [])
        self._hits += 1
        return hit

    def match_side_request(self, request: AskedRequest) -> RecordedCall | None:
        """Return the recording of a request that is no call; None if there is none.

        Such requests may be missing or come in another order, so that is not a miss.
        """
        form = self._asked.normal_form(request)
        group = self._groups.get(form.key(self.level))
        return None if group is None else group.take(form.key(Level.STRICT)).call

    def note_side_request(self, method: str, url: str) -> None:
        """Report a request that is no call, and was answered with 404."""
        if len(self._side_requests) < 1000:
            self._side_requests[f"{method} {url}"[:200]] = None

    def note_mismatch(self, call: RecordedCall, reason: str) -> str:
        """Count a matched call that could not be served after all. Return the text for users."""
        reason = f"call {call.number} of {self.name} was not served: {reason}"
        self._count(reason)
        return reason

    def report(self) -> ReplayReport:
        """Return what became of the requests so far."""
        unused = [
            f"call {recorded.call.number}, {recorded.title}"
            for group in self._groups.values()
            for recorded in group.all
            if not recorded.is_used and not recorded.call.problem
        ]
        return ReplayReport(
            recording=self.name,
            calls=len(self.calls),
            hits=self._hits,
            misses=self._misses,
            forwarded=self._forwarded,
            miss_texts=self._miss_texts,
            unused=unused,
            side_requests=list(self._side_requests),
            folders=self._folders() if self._misses or unused else [],
        )

    def _folders(self) -> list[str]:
        """Return the folder of the recording and that of the replay, if a map may be missing."""
        if self._has_maps or not self._folder:
            return []
        recorded = next(filter(None, (folder_of(call.request) for call in self.calls)), "")
        return [recorded, self._folder] if recorded and recorded != self._folder else []

    # Misses

    def _missed(self, form: NormalForm, reason: str, diff: list[Difference]) -> Miss:
        text = self._miss_text(form, reason, diff)
        self._count(text)
        place = f"; the first difference is at {diff[0].place}" if diff else ""
        return Miss(f"This request is not in the recording {self.name}{place}.", text)

    def _miss_text(self, form: NormalForm, reason: str, diff: list[Difference]) -> str:
        number = self._hits + self._misses + self._forwarded + 1
        lines = [
            f"request {number} is not in {self.name}: {_title(form)}",
            f"  {reason}",
            *(f"    {line}" for line in as_lines(diff)),
        ]
        return "\n".join(lines)

    def _count(self, text: str) -> None:
        self._misses += 1
        if len(self._miss_texts) < MISSES_LIMIT:
            self._miss_texts.append(text)

    def _nearest(self, form: NormalForm) -> tuple[str, list[Difference]]:
        """Return which recorded request is nearest, and how it differs.

        Of those that are equally near, the first that was not requested yet is the one meant.
        """
        forms = [(call, self._recorded.normal_form(call.request)) for call in self.calls]
        if not forms:
            return "the recording contains no call", []
        used = {
            recorded.call.number
            for group in self._groups.values()
            for recorded in group.all
            if recorded.is_used
        }
        call, nearest = max(
            forms, key=lambda pair: (_likeness(pair[1], form), pair[0].number not in used)
        )
        found = list(differences(nearest.compared(self.level), form.compared(self.level)))
        return f"the nearest recorded one is call {call.number}; it differs in:", found


def _title(form: NormalForm) -> str:
    details = [form.model, counted(len(form.messages), "message") if form.messages else ""]
    text = ", ".join(filter(None, details))
    return f"{form.endpoint} ({text})" if text else form.endpoint


def _with_maps(call: RecordedCall, maps: PathMaps) -> RecordedCall:
    if not maps:
        return call
    return replace(call, answers=tuple(mapped_answer(answer, maps) for answer in call.answers))


def _likeness(recorded: NormalForm, asked: NormalForm) -> tuple[float, ...]:
    """Return how much a recorded request is like another one; more is nearer."""
    same = 0
    for one, other in zip(recorded.messages, asked.messages, strict=False):
        if one != other:
            break
        same += 1
    return (
        recorded.endpoint == asked.endpoint,
        recorded.model == asked.model,
        recorded.streaming == asked.streaming,
        same,
        -abs(len(recorded.messages) - len(asked.messages)),
    )
