"""The laws, each on one exchange.

Request  A request that its provider accepted leaves byte for byte for that provider.
Answer   An answer reaches its client byte for byte, with no finding, in any chunks.
Valid    What a client receives satisfies the grammar, and stays as it is when repaired again.
Cut      A cut answer ends in an error, or lacked nothing that a client shows, runs or stops by.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from wiremend.engine.call import Call
from wiremend.repair.body import repair_body
from wiremend.repair.stream import stream_repair
from wiremend.rules.rule import Finding

from .calls import ClientView, Ending, decoder_of, plan_exchange, receive
from .content import Piece, is_all_there, is_json, is_same_json, pieces_of
from .exchanges import Exchange

NO_RULE = "no-rule"
"""Stands for the code of a change that no rule reports."""
CHUNKING = "chunking"
"""The client receives something else when the same bytes come in other chunks."""
GRAMMAR = "grammar"
REPEATED = "repeated"
"""What was repaired is changed when it is repaired again."""
INVENTED = "invented"
"""A cut answer that lacks some of its content is completed."""
EXAMPLE_CHARACTERS = 300
_BYTE_BY_BYTE_LIMIT = 4096


class Law(StrEnum):
    """What is checked; the value is its name in the file of exceptions."""

    REQUEST = "request"
    ANSWER = "answer"
    VALID = "valid"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one law found on one exchange."""

    law: Law
    codes: tuple[str, ...] = ()
    """What broke the law: codes of rules, or names from above; empty: it holds."""
    tried: int = 1
    completed: int = 0
    """Cut answers that were completed, as the law allows."""
    broken: int = 0
    """How many of the tries broke the law."""
    example: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of an answer that was cut at this byte."""

    at: int
    ending: Ending
    view: ClientView

    def __str__(self) -> str:
        return f"cut at byte {self.at}, {self.ending.value}"


def check(exchange: Exchange, *, quick: bool) -> list[Verdict]:
    """The verdicts of all laws that apply to the exchange."""
    call = plan_exchange(exchange)
    verdicts = []
    if exchange.request is not None and exchange.status < 300:
        verdicts.append(check_request(exchange, call))
    if exchange.response:
        verdicts += check_response(exchange, exchange.response, call, quick=quick)
    return verdicts


def check_request(exchange: Exchange, call: Call) -> Verdict:
    """Whether an accepted request is sent as it is."""
    assert call.adapted is not None
    codes = {finding.code for finding in call.findings}
    if not codes and call.request_for(0).body != exchange.request:
        codes = {NO_RULE}
    example = str(call.findings[0]) if call.findings else ""
    return Verdict(Law.REQUEST, tuple(sorted(codes)), broken=bool(codes), example=example)


def check_response(
    exchange: Exchange, body: bytes, call: Call, *, quick: bool
) -> Iterator[Verdict]:
    """The verdicts on a response and on its cuts."""
    head = exchange.status, exchange.content_type
    view = receive(call, *head, [body], Ending.COMPLETE)
    yield _check_answer(exchange, body, call, view, quick=quick)
    cuts: list[Cut] = []
    if exchange.status < 300:
        places = cut_places(exchange, body, call, view, quick=quick)
        cuts = [
            Cut(at, ending, receive(call, *head, [body[:at]], ending))
            for at in places
            for ending in Ending
        ]
        yield _check_cuts(exchange, body, call, view, cuts)
    yield _check_validity(call, [("whole", view), *((str(cut), cut.view) for cut in cuts)])


def _check_answer(
    exchange: Exchange, body: bytes, call: Call, view: ClientView, *, quick: bool
) -> Verdict:
    is_same = (view.status, view.body) == (exchange.status, body)
    codes = set(view.codes)
    if exchange.status >= 400 and is_same:
        codes = set()  # of the attempt: it failed with a status that another try may cure
    elif not is_same and not codes:
        codes = {NO_RULE}
    # In one chunk, an error and the content before it are an HTTP error: none of it was shown.
    for chunks in [] if view.is_error else chunkings(exchange, body, quick=quick):
        if receive(call, exchange.status, exchange.content_type, chunks, Ending.COMPLETE) != view:
            codes.add(CHUNKING)
    example = _findings_of(view)
    return Verdict(Law.ANSWER, tuple(sorted(codes)), broken=bool(codes), example=example)


def chunkings(exchange: Exchange, body: bytes, *, quick: bool) -> Iterator[list[bytes]]:
    """The body in chunks, in several ways that depend on the exchange alone."""
    chance = Random(exchange.id)
    cuts = sorted(chance.randint(0, len(body)) for _ in range(min(40, len(body))))
    yield [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    if not quick:
        size = 1 if len(body) <= _BYTE_BY_BYTE_LIMIT else 61
        yield [body[at : at + size] for at in range(0, len(body), size)]


def cut_places(
    exchange: Exchange, body: bytes, call: Call, view: ClientView, *, quick: bool
) -> list[int]:
    """Where the answer is cut: after events, most of them near its end, and inside of events."""
    chance = Random(exchange.id)
    inside = [chance.randint(0, len(body)) for _ in range(1 if quick else 6)]
    spread = 1 if quick else 8
    if view.is_stream:
        ends = event_ends(call, body)[:-1]
        places = [*ends[-1 if quick else -8 :], *ends[:: len(ends) // spread + 1], *inside]
    else:
        places = [*range(0, len(body), len(body) // spread + 1), *inside]
    return sorted({place for place in (*places, len(body) - 1) if 0 < place < len(body)})


def event_ends(call: Call, body: bytes) -> list[int]:
    """The offset behind each event of a stream."""
    decoder, ends, at = decoder_of(call), [], 0
    for event in (*decoder.feed(body), *decoder.end()):
        at += len(event.raw)
        ends.append(at)
    return ends


def _check_cuts(
    exchange: Exchange, body: bytes, call: Call, view: ClientView, cuts: list[Cut]
) -> Verdict:
    whole = _pieces(call, body) if view.is_stream else []
    first: Cut | None = None
    completed = broken = 0
    for cut in cuts:
        if cut.view.is_error:
            continue
        beginning = body[: cut.at]
        if view.is_stream:
            is_allowed = is_all_there(_pieces(call, beginning), whole)
        else:
            is_allowed = is_same_json(beginning, body)
        if is_allowed:
            completed += 1
            continue
        broken += 1
        first = first or cut
    example = f"{first}: {_findings_of(first.view)}" if first else ""
    return Verdict(
        Law.CUT,
        (INVENTED,) if broken else (),
        len(cuts),
        completed=completed,
        broken=broken,
        example=example,
    )


def _findings_of(view: ClientView) -> str:
    return "; ".join(map(str, view.findings))[:EXAMPLE_CHARACTERS] or "no finding"


def _pieces(call: Call, stream: bytes) -> list[Piece]:
    decoder = decoder_of(call)
    return pieces_of(call.protocol.name, [*decoder.feed(stream), *decoder.end()])


def _check_validity(call: Call, views: list[tuple[str, ClientView]]) -> Verdict:
    codes: dict[str, str] = {}
    broken = 0
    for name, view in views:
        found = faults_of(call, view)
        broken += bool(found)
        for code, problem in found.items():
            codes.setdefault(code, f"{name}: {problem}")
    example = next(iter(codes.values()), "")
    return Verdict(Law.VALID, tuple(sorted(codes)), len(views), broken=broken, example=example)


def faults_of(call: Call, view: ClientView) -> dict[str, str]:
    """What is wrong with what a client received: GRAMMAR, REPEATED, and the reason for each."""
    found: dict[str, str] = {}
    if view.is_stream:
        grammar, decoder = call.protocol.make_grammar(call.context), decoder_of(call)
        events = [*decoder.feed(view.body), *decoder.end()]
        problems = [problem for event in events for problem in grammar.feed(event)]
        problems += grammar.end()
        if problems:
            found[GRAMMAR] = problems[0]
    elif not is_json(view.body):
        found[GRAMMAR] = "the body is not JSON"
    again, findings = repaired_again(call, view)
    if again != view.body:
        found[REPEATED] = "the bytes are changed"
    elif findings:
        found[REPEATED] = str(findings[0])
    return found


def repaired_again(call: Call, view: ClientView) -> tuple[bytes, list[Finding]]:
    """What becomes of a received body that is repaired once more; an HTTP error is not."""
    if view.status >= 400:
        return view.body, []
    if not view.is_stream:
        body = repair_body(call.protocol, view.body, call.context)
        return body.data, body.findings
    repair = stream_repair(call.protocol, call.context)
    repaired = [*repair.feed(view.body), *repair.end()]
    return (
        b"".join(one.data for one in repaired),
        [finding for one in repaired for finding in one.findings],
    )
