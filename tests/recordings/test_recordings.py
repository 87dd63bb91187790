"""The tool itself, on small files of made-up exchanges, and on planted faults."""

import base64
import lzma
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from wiremend.engine.call import Call
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.chat.stream import ChatRepairer
from wiremend.protocols.registry import PROTOCOLS
from wiremend.text import sse

from . import schemas
from .__main__ import EXCEPTIONS, VARIABLE, check_all, main
from .calls import plan_exchange
from .content import is_all_there, pieces_of
from .exceptions import KNOWN_FAULT, UnusableExceptions, read_exceptions
from .exchanges import Exchange, UnusableRecordings, read_exchanges
from .laws import CHUNKING, GRAMMAR, INVENTED, REPEATED, Law, Verdict, check, check_response
from .report import Column, Report, lines_of, report_on

CORPUS = Path(__file__).parents[1] / "corpus"
TEXT = CORPUS / "chat_completions" / "clean" / "text.sse"
DONE_MISSING = CORPUS / "chat_completions" / "broken" / "done-missing.sse"
ASKED = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
STREAM: dict[str, Any] = {
    "source": "made up#1",
    "host": "api.example.com",
    "path": "/v1/chat/completions",
    "protocol": "chat-completions",
    "streaming": True,
    "status": 200,
    "content_type": "text/event-stream",
    "request": {"text": orjson.dumps(ASKED).decode()},
    "response": {"text": TEXT.read_text()},
}
REPAIRED = STREAM | {"source": "made up#2", "response": {"text": DONE_MISSING.read_text()}}
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
WHOLE = STREAM | {
    "source": "made up#3",
    "protocol": "anthropic-messages",
    "path": None,
    "streaming": False,
    "content_type": "application/json",
    "request": None,
    "response": {"base64": base64.b64encode(orjson.dumps(ANSWER)).decode()},
}
ADAPTED = WHOLE | {
    "source": "made up#4",
    "path": "/v1/messages",
    "host": "api.anthropic.com",
    "request": {
        "text": orjson.dumps(
            {"model": "claude-sonnet-4-5", "max_tokens": 9, "system": ""}
            | {"messages": [{"role": "user", "content": "Hi"}]}
        ).decode()
    },
}
REFUSED = ADAPTED | {
    "source": "made up#5",
    "status": 429,
    "response": {"text": '{"type":"error","error":{"type":"rate_limit_error","message":"No."}}'},
}
NOTHING = WHOLE | {"source": "made up#6", "response": None}
ALL = [STREAM, REPAIRED, WHOLE, ADAPTED, REFUSED, NOTHING]


def lines(exchanges: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in exchanges)


def recorded(folder: Path, data: bytes, name: str = "recordings.jsonl.xz") -> Path:
    path = folder / name
    path.write_bytes(lzma.compress(data) if name.endswith(".xz") else data)
    return path


def exchange_of(folder: Path, fields: Mapping[str, Any]) -> Exchange:
    (exchange,) = read_exchanges(recorded(folder, lines([fields])))
    return exchange


def codes_of(verdicts: Iterable[Verdict]) -> dict[Law, tuple[str, ...]]:
    return {verdict.law: verdict.codes for verdict in verdicts}


# Reading


def test_every_exchange_is_read_once_whatever_the_shares(tmp_path: Path) -> None:
    path = recorded(tmp_path, lines(ALL))
    whole = [exchange.source for exchange in read_exchanges(path)]
    assert whole == [fields["source"] for fields in ALL]
    shares = [list(read_exchanges(path, share=share, shares=4)) for share in range(4)]
    assert sorted(exchange.source for share in shares for exchange in share) == whole
    plain = recorded(tmp_path, lines(ALL), "recordings.jsonl")
    assert list(read_exchanges(plain)) == list(read_exchanges(path))


def test_bodies_are_text_or_base64_or_missing(tmp_path: Path) -> None:
    exchange = exchange_of(tmp_path, WHOLE)
    assert exchange.response == orjson.dumps(ANSWER)
    assert exchange.request is None
    assert exchange.path == ""
    assert exchange_of(tmp_path, STREAM).response == TEXT.read_bytes()


def test_an_id_depends_on_the_content_and_not_on_the_place(tmp_path: Path) -> None:
    one, other = read_exchanges(recorded(tmp_path, lines([STREAM, STREAM | {"source": "b"}])))
    assert one.id == other.id
    changed = exchange_of(tmp_path, STREAM | {"response": {"text": TEXT.read_text() + "\n"}})
    assert changed.id != one.id


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lines([STREAM]) + b"{oops\n", "line 2 is not JSON"),
        (lines([STREAM]) + b"[]\n", "line 2 is no JSON object"),
        (b'{"log": {"entries": []}}\n', "line 1 is no exchange: 'protocol' is missing"),
        (
            lines([STREAM | {"status": "200"}]),
            "line 1 is no exchange: 'status' is missing or invalid",
        ),
        (
            lines([STREAM | {"protocol": "soap"}]),
            "line 1 is no exchange: 'protocol' is not the name",
        ),
        (lines([STREAM | {"response": {"hex": "00"}}]), "line 1 is no exchange: 'response' has no"),
        (
            lines([STREAM | {"response": {"base64": "!"}}]),
            "line 1 is no exchange: 'response' is not valid base64",
        ),
        (b"", "contains no exchange"),
    ],
)
def test_a_bad_line_is_named(data: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableRecordings, match=said):
        list(read_exchanges(recorded(tmp_path, data)))


def test_a_truncated_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = recorded(tmp_path, lines(ALL * 50))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UnusableRecordings, match=r"compressed data end after line \d+"):
        list(read_exchanges(path))
    path.write_bytes(b"PK\x03\x04 an archive")
    with pytest.raises(UnusableRecordings, match="not in the xz format"):
        list(read_exchanges(path))
    with pytest.raises(UnusableRecordings, match="no such file"):
        list(read_exchanges(tmp_path / "none.xz"))
    with pytest.raises(UnusableRecordings, match="directory"):
        list(read_exchanges(tmp_path))


# The laws


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        (STREAM, {Law.REQUEST: (), Law.ANSWER: (), Law.VALID: (), Law.CUT: ()}),
        (REPAIRED, {Law.REQUEST: (), Law.ANSWER: ("S212",), Law.VALID: (), Law.CUT: ()}),
        (WHOLE, {Law.ANSWER: (), Law.VALID: (), Law.CUT: ()}),
        (ADAPTED, {Law.REQUEST: ("Q007",), Law.ANSWER: (), Law.VALID: (), Law.CUT: ()}),
        (REFUSED, {Law.ANSWER: (), Law.VALID: ()}),
        (NOTHING, {}),
    ],
    ids=["valid", "repaired", "whole", "adapted", "refused", "no response"],
)
def test_each_law_gives_its_verdict(
    fields: dict[str, Any], codes: dict[Law, tuple[str, ...]], tmp_path: Path
) -> None:
    for quick in (False, True):
        assert codes_of(check(exchange_of(tmp_path, fields), quick=quick)) == codes


def test_a_stream_is_cut_in_at_least_ten_places(tmp_path: Path) -> None:
    tried = {
        (quick, verdict.law): verdict.tried
        for quick in (False, True)
        for verdict in check(exchange_of(tmp_path, STREAM), quick=quick)
    }
    assert tried[False, Law.CUT] >= 2 * 10
    assert 4 <= tried[True, Law.CUT] < 2 * 10
    assert tried[False, Law.VALID] == tried[False, Law.CUT] + 1


class Inventing(ChatRepairer):
    """Completes whatever upstream sent."""

    def close(self) -> bool:
        return super().close() or True


class Omitting(ChatRepairer):
    """Loses the first event."""

    def feed(self, event: sse.Event) -> Repaired:
        is_first = self._events == 0
        repaired = super().feed(event)
        return Repaired(b"data: {}\n\n", EventKind.CONTENT) if is_first else repaired


class Adding(ChatRepairer):
    """Adds a comment at each repair."""

    def feed(self, event: sse.Event) -> Repaired:
        repaired = super().feed(event)
        return replace(repaired, data=b": repaired\n\n" + repaired.data)


class ChunkByChunk:
    """Takes each chunk for an event."""

    def feed(self, data: bytes) -> list[sse.Event]:
        return sse.Decoder().feed(data) or [sse.Event(b"")]

    def end(self) -> list[sse.Event]:
        return []


class Hasty(ChatRepairer):
    """Reads no event that is cut by the end of a chunk."""

    def decoder(self) -> Any:
        return ChunkByChunk()


@pytest.mark.parametrize(
    ("faulty", "law", "code"),
    [
        (Inventing, Law.CUT, INVENTED),
        (Omitting, Law.ANSWER, "no-rule"),
        (Omitting, Law.VALID, GRAMMAR),
        (Adding, Law.VALID, REPEATED),
        (Hasty, Law.ANSWER, CHUNKING),
    ],
)
def test_a_planted_fault_is_found(
    faulty: type[ChatRepairer], law: Law, code: str, tmp_path: Path
) -> None:
    exchange = exchange_of(tmp_path, STREAM)
    assert exchange.response is not None
    call = with_repairer(plan_exchange(exchange), faulty)
    verdicts = check_response(exchange, exchange.response, call, quick=False)
    assert code in codes_of(verdicts)[law]


def with_repairer(call: Call, make: type[ChatRepairer]) -> Call:
    def make_repairer(context: StreamContext) -> ChatRepairer:
        return make(context)

    protocol: Protocol = replace(call.protocol, make_repairer=make_repairer)
    return replace(call, protocol=protocol)


def test_a_gemini_array_is_recognised_by_its_first_byte(tmp_path: Path) -> None:
    fields = STREAM | {"protocol": "gemini", "path": "/v1beta/models/m:streamGenerateContent"}
    array = CORPUS / "gemini" / "clean" / "array-text.json"
    framed = CORPUS / "gemini" / "clean" / "text.sse"
    kinds = [("application/json", array), ("text/event-stream", framed)]
    for path in ("/v1beta/models/m:streamGenerateContent", ""):
        for kind, file in kinds:
            answer = {"content_type": kind, "response": {"text": file.read_text()}}
            exchange = exchange_of(tmp_path, fields | answer | {"path": path, "request": None})
            assert set(codes_of(check(exchange, quick=True)).values()) == {()}


# What lacks nothing


@pytest.mark.parametrize("name", [*PROTOCOLS])
def test_no_content_may_be_missing(name: WireProtocol) -> None:
    folder = CORPUS / name.replace("-", "_") / "clean"
    stream = (folder / "text.sse").read_bytes()
    events = sse.Decoder().feed(stream)
    whole = pieces_of(name, events)
    assert is_all_there(whole, whole)
    first, last = (next(iter(places(name, events, piece))) for piece in (whole[0], whole[-1]))
    assert not is_all_there(pieces_of(name, events[:first]), whole)
    assert not is_all_there(pieces_of(name, events[:last]), whole)
    assert is_all_there(pieces_of(name, events[: last + 1]), whole)


def places(name: WireProtocol, events: list[sse.Event], piece: Any) -> Iterable[int]:
    return (at for at, event in enumerate(events) if piece in pieces_of(name, [event]))


def test_a_repeated_stop_reason_may_be_missing() -> None:
    stop = ("stop", b'[0,"stop"]')
    assert is_all_there([("delta", b"a"), stop], [("delta", b"a"), stop, stop])
    assert not is_all_there([("delta", b"a")], [("delta", b"a"), stop])
    assert not is_all_there([stop], [stop, ("delta", b"a"), stop])
    assert not is_all_there([("delta", b"b")], [("delta", b"a")])


# Exceptions and the report


def entry(**fields: Any) -> str:
    known = {"law": "answer", "rule": "S212", "reason": "It never sends [DONE].", "exchanges": []}
    return "[[exception]]\n" + "".join(
        f"{key} = {orjson.dumps(value).decode()}\n" for key, value in (known | fields).items()
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[exception", "exceptions.toml: "),
        (entry(), "exchanges: Tuple should have at least 1 item"),
        (entry(exchanges=["0" * 11]), "String should match pattern"),
        (entry(exchanges=["0" * 12], reason=" "), "reason: String should have at least 1"),
        (entry(exchanges=["0" * 12], law="order"), "law: Input should be"),
        (entry(exchanges=["0" * 12], why="so"), "why: Extra inputs"),
        (entry(exchanges=["0" * 12] * 2), "listed twice: answer S212 000000000000"),
    ],
)
def test_a_bad_file_of_exceptions_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "exceptions.toml"
    path.write_text(text)
    with pytest.raises(UnusableExceptions, match=said):
        read_exceptions(path)


def test_the_file_of_exceptions_names_no_source_of_a_recording() -> None:
    reasons = read_exceptions(EXCEPTIONS).reasons.values()
    assert reasons
    assert not [reason for reason in reasons if "/" in reason or "#" in reason]


def report_of(folder: Path, exceptions: str, *, quick: bool = True) -> Report:
    path = folder / "exceptions.toml"
    path.write_text(exceptions)
    checked = check_all(recorded(folder, lines(ALL)), quick=quick)
    return report_on(checked, read_exceptions(path), quick=quick)


@pytest.mark.parametrize(
    ("reason", "column"),
    [
        ("It never sends [DONE].", Column.ON_PURPOSE),
        (KNOWN_FAULT + "there was one.", Column.KNOWN_FAULT),
        (None, Column.UNEXPLAINED),
    ],
)
def test_a_change_is_counted_by_its_reason(
    reason: str | None, column: Column, tmp_path: Path
) -> None:
    id = exchange_of(tmp_path, REPAIRED).id
    report = report_of(tmp_path, entry(exchanges=[id], reason=reason) if reason else "")
    counts = report.counts[Law.ANSWER, "chat-completions"]
    assert counts == {Column.TRIED: 2, Column.KEPT: 1, Column.COMPLETED: 0, column: 1}
    assert [one.rule for one in report.unexplained] == ["S212"] * (not reason) + ["Q007"]
    text = "\n".join(lines_of(report))
    assert (reason or f"without reason: answer chat-completions S212: 1 exchanges\n  {id}") in text


def test_an_unused_exception_is_reported(tmp_path: Path) -> None:
    id = exchange_of(tmp_path, STREAM).id
    unused = entry(exchanges=[id]) + entry(exchanges=["0" * 12], law="cut", rule=INVENTED)
    assert report_of(tmp_path, unused).unused == [(Law.ANSWER, "S212", id)]
    found = report_of(tmp_path, unused, quick=False)
    assert found.unused == [(Law.ANSWER, "S212", id), (Law.CUT, INVENTED, "0" * 12)]
    assert f"unused exception: answer S212 {id}" in list(lines_of(found))


def test_the_status_is_1_until_every_change_has_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, exceptions = recorded(tmp_path, lines(ALL)), tmp_path / "exceptions.toml"
    exceptions.write_text("")
    options = ["--quick", "--exceptions", str(exceptions)]
    written = tmp_path / "written.toml"
    assert main([str(path), *options, "--write", str(written)]) == 1
    assert "without reason: request anthropic-messages Q007" in capsys.readouterr().out
    exceptions.write_text(written.read_text().replace('reason = ""', 'reason = "as is"'))
    monkeypatch.setenv(VARIABLE, str(path))
    assert main(options) == 0
    assert "without reason: " not in capsys.readouterr().out
    path.write_bytes(lzma.compress(lines([STREAM])))
    assert main(options) == 1
    assert "unused exception: answer S212" in capsys.readouterr().out


def test_what_cannot_be_run_has_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert main([]) == 2
    assert f"--recordings needs a PATH, or {VARIABLE}" in capsys.readouterr().err
    assert main([str(tmp_path / "none.xz")]) == 2
    assert "none.xz: no such file" in capsys.readouterr().err
    assert main([str(recorded(tmp_path, lines(ALL))), "--exceptions", "none.toml"]) == 2
    assert "none.toml: no such file" in capsys.readouterr().err


def test_the_schemas_of_recorded_tools_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anything = {"type": "object", "properties": {"a": {}}, "required": ["a"]}
    tools = [
        {"type": "function", "function": {"name": name, "parameters": schema}}
        for name, schema in (("x", anything), ("y", anything), ("z", {"type": "string"}))
    ]
    request = {"text": orjson.dumps(ASKED | {"tools": tools}).decode()}
    file = tmp_path / "recordings.jsonl"
    file.write_bytes(orjson.dumps(STREAM | {"request": request}) + b"\n")
    assert schemas.main([str(file), "--names"]) == 0
    first, _heading, *rows = capsys.readouterr().out.splitlines()
    assert first == "2 distinct schemas, 1 with generated arguments"
    counts = {row.split()[0]: row.split()[1:] for row in rows}
    assert counts["moonshot"] == ["1", "1", "0", "0"]
    assert counts["openai-strict"] == ["1", "0", "1", "0"]
    assert "objects in a" in " ".join(rows)
