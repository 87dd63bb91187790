"""Writes one call as a recording and a test that runs it again, without secrets."""

from collections.abc import Set
from pathlib import Path
from urllib.parse import urlsplit

from mitmproxy import http

from wiremend.call_record.load import load_record
from wiremend.call_record.outcomes import CallState
from wiremend.call_record.schema import CallRecord, KeptRequest
from wiremend.identities import StandIns
from wiremend.recording.recorder import Recorder
from wiremend.recording.this_machine import this_machine

RECORDING = "recording.mitm"
TEST = "test_repro.py"
_CONFIGURED = ("M", "X")
"""Families of rules that depend on the configuration, which is not written."""

_TEST = '''"""{title}

`pytest {test}` runs it with wiremend installed; it needs no key and no network, and
{host} is not connected to. A provider on loopback sends what the real one sent
then, and what the client gets is checked. Change the assertions to what should have happened, and
run it again after each change of wiremend or of the configuration.
"""

from pathlib import Path

import pytest
from wiremend.testing.repro import load_repro, send

CONFIGURATION = """
[intercept]
hosts = ["{host}"]
"""


@pytest.mark.wiremend(config=CONFIGURATION, provider_hosts=["{host}"])
def test_the_call_is_as_it_was(wiremend, wiremend_provider):
    repro = load_repro(Path(__file__).with_name("{recording}"))
    wiremend_provider.script(repro.replies)
    answer = send(wiremend, repro.request)
    assert answer.status == {status}
    [call] = wiremend.calls
    assert call.outcome == "{outcome}"
    codes = {{finding.code for finding in call.findings}}
    assert sorted(codes) == {codes}
'''


class NotWritable(Exception):
    """Why a call cannot be written, as a sentence for the user."""


def write_repro(flow: http.HTTPFlow, folder: Path, secrets: Set[str]) -> list[Path]:
    """Write a call into a new folder; return the files.

    `secrets` are replaced once more; the flow is redacted. Raises NotWritable.
    """
    record = load_record(flow.metadata)
    problem = _problem_with(flow, record)
    if record is None or problem:
        raise NotWritable(problem)
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise NotWritable(f"{folder} exists; name a folder that does not.") from None
    except OSError as reason:
        raise NotWritable(f"{folder} was not created: {reason.strerror}.") from None
    recording, test = folder / RECORDING, folder / TEST
    try:
        recording.touch(mode=0o600, exist_ok=False)
        with recording.open("r+b") as file:
            Recorder(file, StandIns(this_machine())).add(flow, secrets)
        test.write_text(_test(record))
    except OSError as reason:
        raise NotWritable(f"The call was not written: {reason.strerror}.") from None
    return [recording, test]


def _problem_with(flow: http.HTTPFlow, record: CallRecord | None) -> str:
    if record is None or record.outcome is None:
        return "wiremend did not carry this call."
    if flow.live or not record.outcome.is_final:
        return "This call is still running; write it when it has ended."
    if record.client_request is None:
        why = record.not_kept or "start the proxy with --set wiremend_keep=always"
        return f"The traffic of this call was not kept: {why}."
    if record.outcome in (CallState.REFUSED, CallState.PASSED) or not record.attempts:
        return "Nothing of this call was sent to a provider."
    return ""


def _test(record: CallRecord) -> str:
    assert record.outcome is not None
    codes = {finding.code for finding in record.findings}
    received = record.client_response
    title = f"{record.protocol}, {record.outcome.value}: {record.detail}"
    return _TEST.format(
        title=_in_text(title),
        test=TEST,
        recording=RECORDING,
        host=_in_text(urlsplit(asked_request(record).url).hostname or ""),
        status=received.status if received is not None else 0,
        outcome=record.outcome.value,
        codes=repr(sorted(code for code in codes if not code.startswith(_CONFIGURED))),
    )


def asked_request(record: CallRecord) -> KeptRequest:
    """Return the request to send again: the client's; for a routed call, what the provider got.

    Raises ValueError if it was not kept.
    """
    asked, sent = record.client_request, None
    if record.attempts:
        sent = record.attempts[0].request
    if asked is None:
        raise ValueError("the request was not kept")
    if sent is None or _server_and_path(sent) == _server_and_path(asked):
        return asked
    return sent


def _server_and_path(request: KeptRequest) -> tuple[str, str]:
    url = urlsplit(request.url)
    return url.netloc, url.path


def _in_text(text: str) -> str:
    """Return a text without what ends or escapes a string."""
    plain = text[:200].encode("ascii", "replace").decode()
    return "".join(char if char.isprintable() and char not in '"\\' else "?" for char in plain)
