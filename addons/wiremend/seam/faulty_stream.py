"""A call whose provider is made to fail: between mitmproxy's HTTP client and the machine."""

from collections.abc import Sequence
from logging import WARNING

from mitmproxy import http
from mitmproxy.proxy import commands, events

from wiremend.engine.actions import (
    AbandonAttempt,
    Action,
    CutResponse,
    ReleaseAttempt,
    StartAttempt,
)
from wiremend.engine.call import Call
from wiremend.faults.changes import (
    AnswerData,
    AnswerEnd,
    AnswerHead,
    AnswerReset,
    AnswerTrailers,
    Sent,
)
from wiremend.seam.connections import Commands
from wiremend.seam.flows import name_of
from wiremend.seam.injected_faults import InjectedFaults, response_of
from wiremend.seam.stream_layer import CallStream


class FaultyCallStream(CallStream):
    """Carries calls as `CallStream` does, with the faults that the addons request."""

    _injected: InjectedFaults | None = None

    def _execute(self, action: Action) -> Commands:
        """Also choose the fault of an attempt that starts, and forget it when the attempt ends."""
        options, call = self._options, self._call
        if self._injected is None and options is not None and options.faults is not None:
            if not isinstance(call, Call):
                yield from super()._execute(action)
                return
            self._injected = InjectedFaults(options.faults, call)
        injected = self._injected
        if injected is None:
            yield from super()._execute(action)
            return
        match action:
            case StartAttempt(target=target):
                yield from self._end_broken_answer(injected)
                if injected.start_attempt(target):
                    yield from self._start_here(injected, target)
                else:
                    yield from super()._execute(action)
            case AbandonAttempt() | ReleaseAttempt():
                yield from self._end_broken_answer(injected)
                yield from super()._execute(action)
            case CutResponse(reason) if injected.is_reset and self._passes:
                yield from self._client.cut(reason, as_reset=True)
            case _:
                yield from super()._execute(action)

    @property
    def _passes(self) -> bool:
        return isinstance(self._call, Call) and self._call.passes

    def _start_here(self, injected: InjectedFaults, target: int) -> Commands:
        """Start an attempt whose answer needs nothing from the provider: it is not asked."""
        assert isinstance(self._call, Call)
        self._upstream.address(self._call.request_for(target))
        if self._record.keeps_traffic:
            self._record.keep_attempt()
            self._record.keep_sent(self._upstream.request)
        self._upstream.forget()
        self._upstream.response = self._upstream.trailers = None
        yield injected.wakeup()

    def _end_broken_answer(self, injected: InjectedFaults) -> Commands:
        if text := injected.end_attempt():
            yield commands.Log(f"wiremend: {text} ({name_of(self.flow)})", WARNING)

    def _call_event(self, event: events.Event) -> Commands:
        """Pass on what the broken provider sends, instead of the answer that arrives."""
        injected = self._injected
        if injected is not None and injected.takes(event):
            assert self.machine is not None
            if injected.starts_here():
                yield from self._ask(self.machine.connected, reused=False)
                yield from self._deliver(injected, injected.first_sent())
            else:
                yield from self._deliver(injected, injected.sent_for(event))
        elif injected is not None and injected.breaks(event, self._upstream.attempt_id):
            yield from self._deliver(injected, injected.sent_for(event))
        else:
            yield from super()._call_event(event)

    def _deliver(self, injected: InjectedFaults, sent: Sequence[Sent]) -> Commands:
        """Report to the machine what a broken provider sends, while the attempt lasts."""
        answer = injected.answer
        if text := injected.take_news():
            self._record.note_injected(text)
            yield commands.Log(f"wiremend: injected {text}: {name_of(self.flow)}", WARNING)
        for part in sent:
            if injected.answer is not answer or self._has_ended:
                return
            yield from self._deliver_part(injected, part)
        if injected.answer is answer and (wakeup := injected.next_wakeup()) is not None:
            yield wakeup

    def _deliver_part(self, injected: InjectedFaults, part: Sent) -> Commands:
        assert self.machine is not None
        match part:
            case AnswerHead(head):
                yield from self._head_arrived(response_of(head, injected.received))
            case AnswerData(data):
                if self._record.keeps_traffic:
                    self._record.keep_upstream_data(data)
                yield from self._ask(self.machine.body, data)
            case AnswerTrailers(fields):
                self._upstream.trailers = http.Headers(fields)
            case AnswerEnd():
                yield from self._upstream.close()  # the real answer may not have ended
                yield from self._ask(self.machine.body_end)
            case AnswerReset(reason):
                injected.is_reset = True
                yield from self._upstream.close()
                yield from self._ask(self.machine.attempt_failed, reason)
