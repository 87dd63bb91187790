"""The lines about calls in the log and in the file of `wiremend_log`."""

import json
from pathlib import Path

import pytest
from wiremend.call_record.log_entry import LogEntry
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.testing import steps
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import QUICK_RETRIES
from traffic.proxy import KEY, Proxy

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]
BROKEN = steps.streamed(good.stream_with_blocks_from_index(1).events)


def ask(proxy: Proxy) -> None:
    with model_call(proxy, ANTHROPIC, True) as call:
        call.response()


@pytest.mark.long
def test_each_call_is_a_line_in_the_log_and_in_the_file(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    provider.script(
        [
            faults.none(ANTHROPIC),
            faults.overloaded(ANTHROPIC),
            BROKEN,
            faults.wrapped_error_first(ANTHROPIC),
        ]
    )
    arguments = ["--set", f"wiremend_log={path}"]
    hosts = {HOST: provider.port}
    with Proxy(
        tmp_path, authority, hosts, configuration=QUICK_RETRIES, arguments=arguments
    ) as proxy:
        for _ in range(3):
            ask(proxy)
        place = rf"wiremend: {HOST}/v1/messages"
        seconds = r"first byte \d+\.\d\d s, total \d+\.\d\d s"
        tokens = r"[\d,]+( \(.*\))? → [\d,]+ tokens"
        proxy.wait_for_line(f"{place}: ok: claude-opus-5, {HOST}, {seconds}, {tokens}$")
        proxy.wait_for_line(
            rf"{place}: retried: Overloaded \(2 attempts\): .*S105 block-index .6 times."
        )
        proxy.wait_for_line(f"{place}: failed: 500 server_error: .*4 attempts, .*E001 [a-z-]+ .4")
    text = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert KEY not in text
    ok, retried, failed = [LogEntry.model_validate_json(line) for line in text.splitlines()]
    assert [one.outcome for one in (ok, retried, failed)] == [
        CallState.ANSWERED,
        CallState.ANSWERED,
        CallState.FAILED,
    ]
    assert (ok.version, ok.model_asked, ok.provider, ok.status) == (1, "claude-opus-5", HOST, 200)
    assert ok.usage is not None
    assert (ok.rules, ok.failure) == ((), "")
    assert [(rule.code, rule.times) for rule in retried.rules] == [("R005", 1), ("S105", 6)]
    assert [one.outcome for one in retried.attempts] == [
        AttemptOutcome.FAILED,
        AttemptOutcome.ANSWERED,
    ]
    assert len(failed.attempts) == 4
    assert failed.failure
    assert all(set(json.loads(line)) == set(LogEntry.model_fields) for line in text.splitlines())


@pytest.mark.first_row
@pytest.mark.parametrize(
    ("name", "problem"),
    [("", "it is a folder"), ("missing/calls.jsonl", "its folder does not exist")],
)
def test_an_impossible_file_stops_the_start(tmp_path: Path, name: str, problem: str) -> None:
    proxy = Proxy(tmp_path, arguments=["--set", f"wiremend_log={tmp_path / name}"])
    with pytest.raises(Exception, match=f"cannot be written: {problem}"):
        proxy.start()


def test_calls_go_on_when_the_disk_is_full(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.script([faults.none(ANTHROPIC)] * 3)
    arguments = ["--set", "wiremend_log=/dev/full"]
    with Proxy(tmp_path, authority, {HOST: provider.port}, arguments=arguments) as proxy:
        for _ in range(3):
            with model_call(proxy, ANTHROPIC, True) as call:
                assert call.response().status == 200
        proxy.wait_for_line("/dev/full lacks lines: no space left on device. Calls go on.")
