"""Injected faults in mitmproxy's HTTP stack; contract 29 in `seam/__init__.py`."""

from mitmproxy.connection import ConnectionState
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Feature, Settings
from wiremend.faults.fault import FaultKind, Moment, ProviderFault
from wiremend.faults.schedule import FaultSchedule, PlannedFault
from wiremend.seam.call_options import CallOptions

from seam.playbook import Plan, playing

BODY = b'{"model":"m","stream":true,"messages":[]}'
CALL = (
    b"POST http://api.anthropic.com/v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
) + BODY
AT_ONCE = Settings(retry=RetryPolicy(backoff_initial_seconds=0.0, backoff_max_seconds=0.0))
PIECE = b"data: {}\n\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PIECE) + PIECE


def plan(fault: ProviderFault, *, is_off: bool = True) -> Plan:
    schedule = FaultSchedule([PlannedFault(fault)])

    def plan_call(options: CallOptions) -> None:
        options.is_off = is_off
        options.settings = AT_ONCE
        options.features = set(Feature)
        options.faults = schedule

    return plan_call


def test_a_reset_before_the_head_closes_the_connection_without_an_answer() -> None:
    with playing(plan(ProviderFault(FaultKind.RESET))) as book:
        book.client_sends(CALL)
        book.wake()
        assert book.shown == b""
        assert book.client.state is ConnectionState.CLOSED
        assert book.servers == []
        assert book.hooks[-1] == "error"


def test_a_reset_after_the_head_ends_the_answer_there() -> None:
    with playing(plan(ProviderFault(FaultKind.RESET, at=Moment.AFTER_HEAD))) as book:
        book.client_sends(CALL)
        book.wake()
        head, _, body = book.shown.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert body == b""
        assert book.client.state is ConnectionState.CLOSED


def test_a_call_is_repeated_after_an_injected_reset() -> None:
    with playing(plan(ProviderFault(FaultKind.RESET), is_off=False)) as book:
        book.client_sends(CALL)
        assert book.servers == []
        book.wake()
        book.wake()
        assert len(book.servers) == 1
        assert book.sent[book.servers[0]].endswith(BODY)


def test_an_abandoned_stall_sends_nothing_later() -> None:
    fault = ProviderFault(FaultKind.STALL, at=Moment.IN_EVENT, after_events=0, seconds=60.0)
    with playing(plan(fault)) as book:
        book.client_sends(CALL)
        book.server_sends(ANSWER)
        assert len(book.timers) == 1
        book.closes(book.client)
        shown = book.shown
        book.wake()
        assert book.shown == shown
        assert book.hooks[-1] == "error"


def test_a_fault_whose_injection_raises_ends_the_call_in_an_error() -> None:
    class Broken(FaultSchedule):
        def count(self, index: int) -> bool:
            raise RuntimeError("broken")

    def plan_call(options: CallOptions) -> None:
        options.features = set(Feature)
        options.faults = Broken([PlannedFault(ProviderFault(FaultKind.RESET))])

    with playing(plan_call) as book:
        book.client_sends(CALL)
        assert book.shown.startswith(b"HTTP/1.1 502")
        assert b"wiremend failed on this call (RuntimeError)" in book.shown
