"""Writes the recording as clients of the proxy would have received it (`--fix`)."""

from pathlib import Path

from wiremend.check.checker import Checked, check_exchange
from wiremend.check.runs import Run
from wiremend.recording.exchange import Exchange, RecordedFlow, UnusableRecording
from wiremend.recording.rewriting import NewRequest, NewResponse, Writer, new_recording
from wiremend.recording.sources import find_sources, open_recording


def fix(run: Run, name: str, out: Path) -> int:
    """Write a repaired copy of a recording; return how many of its problems are repaired there.

    A flow without selected problems stays as it is. Raises UnusableRecording if one of the files
    cannot be read or written; then `out` is not written.
    """
    sources = find_sources(name, with_bodies=False)
    is_folder = len(sources) != 1 or sources[0].name not in (name, "<stdin>")
    if is_folder:
        raise UnusableRecording("--fix takes one file, not a folder")
    problems = 0
    with (
        open_recording(sources[0], run.protocol, run.stdin) as recording,
        new_recording(out, recording.format) as writer,
    ):
        for flow in recording.flows:
            problems += _write(run, sources[0].name, flow, writer)
    return problems


def _write(run: Run, file: str, flow: RecordedFlow, writer: Writer) -> int:
    problems = run.check_flow(file, flow).problems
    request = response = None
    if problems:
        for exchange in flow.exchanges:
            if exchange.attempt == 0 and exchange.live_findings is None:
                request, response = _fixed(run, exchange)
    writer.add(flow, request, response)
    return len(problems)


def _fixed(run: Run, exchange: Exchange) -> tuple[NewRequest | None, NewResponse | None]:
    checked = check_exchange(exchange, run.settings, keeps_received=True)
    assert checked is not None  # it has problems
    return _request(checked), _response(checked)


def _request(checked: Checked) -> NewRequest | None:
    adapted = checked.adapted
    if adapted is None:
        return None
    return NewRequest(adapted.path, adapted.headers, adapted.body)


def _response(checked: Checked) -> NewResponse | None:
    received = checked.received
    if received is None or not received.status:
        return None
    return NewResponse(received.status, received.headers, received.body)
