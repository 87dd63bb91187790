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
from wiremend.engine.call import Call, PassingCall
from wiremend.faults.changes import (
    AnswerData,
    AnswerEnd,
    AnswerHead,
    AnswerReset,
    AnswerTrailers,
    Sent,
)
from wiremend.faults.schedule import FaultSchedule
from wiremend.seam.connections import Commands, ResponseRead
from wiremend.seam.flows import name_of
from wiremend.seam.injected_faults import InjectedFaults, response_of
from wiremend.seam.stream_layer import CallStream


class FaultyCallStream(CallStream):
    """Carries calls as `CallStream` does, with the faults that the addons request."""

    _injected: InjectedFaults | None = None

    def _execute(self, action: Action) -> Commands:
        """Also choose the fault of an attempt that starts, and forget it when the attempt ends."""
        # Calls without faults pay for nothing but this question.
        if self._options is None or self._options.faults is None:
            return super()._execute(action)
        return self._execute_with(self._options.faults, action)

    def _execute_with(self, schedule: FaultSchedule, action: Action) -> Commands:
        if self._injected is None and isinstance(self._call, Call):
            self._injected = InjectedFaults(schedule, self._call)
        injected = self._injected
        if injected is None:  # a fire-and-forget call
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
            case CutResponse(reason) if injected.is_reset and isinstance(self._call, PassingCall):
                yield from self._client.cut(reason, as_reset=True)
            case _:
                yield from super()._execute(action)

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
        if self._injected is None:
            return super()._call_event(event)
        return self._event_of_attempt(self._injected, event)

    def _event_of_attempt(self, injected: InjectedFaults, event: events.Event) -> Commands:
        if injected.take_wakeup(event):
            assert self.machine is not None
            if injected.starts_here():
                yield from self._ask(self.machine.connected, reused=False)
                yield from self._deliver(injected, injected.first_sent())
            else:
                yield from self._deliver(injected, injected.sent_for(event))
        elif isinstance(event, ResponseRead):
            for part in event.parts():
                yield from self._event_of_attempt(injected, part)
        elif injected.breaks(event, self._upstream.attempt_id):
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
