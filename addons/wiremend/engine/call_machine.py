"""The life of one model call, from its complete request to the last byte of its response.

Theory of operation. Two things change independently: what the current upstream attempt does
(`AttemptState`, moved by `TRANSITIONS` in `attempt_states`), and what the client has been sent
(`Shown`, in `client_response`, which only moves forward). A failed attempt is made again, at the
same target or the next one, while the client has been sent nothing that would have to be taken
back.

Rule 1: everything that moves an attempt is in this file, and `_move` is the only place that
changes the state. An event that is not in the table raises `IllegalMove`. The collaborators
compute: `Deadlines` what is due, `ResponseReading` what the bytes mean, `TargetChoice` which
target is next, `Recovery` what follows a failure, `Endings` how an error is written.

Rule 2: the machine has no socket, no clock and no mitmproxy. It receives events with the time in
monotonic seconds, and returns actions.

Rule 3: an event that comes too late, from an attempt that is over, has no effect.
"""

from collections.abc import Callable, Sequence

from wiremend.call_record.outcomes import (
    ANSWERED,
    CANCELLED,
    INTERNAL_FAULT,
    PLANNED,
    RUNNING,
    AttemptOutcome,
    Outcome,
    stream_error,
)
from wiremend.engine import rules
from wiremend.engine.actions import (
    AbandonAttempt,
    Action,
    CutResponse,
    FinishResponse,
    Head,
    LogLine,
    ReleaseAttempt,
    Respond,
    StartAttempt,
    WakeAt,
)
from wiremend.engine.attempt_states import (
    TRANSITIONS,
    UPSTREAM_IS_OPEN,
    AttemptEvent,
    AttemptState,
)
from wiremend.engine.attempts import AttemptLog, AttemptRecord, OpenAttempt
from wiremend.engine.body_verdict import BodyVerdict, judge_body
from wiremend.engine.call import Call, Target
from wiremend.engine.client_response import ClientResponse, Shown
from wiremend.engine.deadlines import HOLD_SECONDS, Deadlines
from wiremend.engine.endings import Ending, Endings
from wiremend.engine.fallback import TargetChoice
from wiremend.engine.machine import IllegalMove
from wiremend.engine.recovery import COMPLETED, IN_AN_ERROR, Decision, Failure, NextStep, Recovery
from wiremend.engine.response_reader import BodyMode, ResponseReading
from wiremend.engine.transport_errors import (
    connect_error,
    internal_error,
    is_own_shortage,
    lost_error,
    not_a_stream_error,
    stopped_error,
    timeout_error,
    too_large_error,
    unreadable_error,
    untranslatable_error,
    with_response_metadata,
)
from wiremend.held_memory import CallMemory, unlimited
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.repairer import Repaired
from wiremend.protocols.base.usage import Usage
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import Finding, Findings, Rule, shortened
from wiremend.text.content_coding import UndecodableBody


class CallMachine:
    """Implements `engine.machine.Machine` for one model call.

    `random` returns numbers from 0 to below 1, `wall_clock` seconds since the epoch. `memory` is
    what the call may hold, by default anything.
    """

    def __init__(
        self,
        call: Call,
        *,
        random: Callable[[], float],
        wall_clock: Callable[[], float],
        memory: CallMemory | None = None,
    ) -> None:
        self.call = call
        self.findings: list[Finding] = Findings()
        self.outcome = PLANNED
        self.revision = 0
        self._wall_clock = wall_clock
        self._state = AttemptState.NEW
        self._deadlines = Deadlines(call.timeouts_at(0), call.heartbeat, streaming=call.streaming)
        self._client = ClientResponse(self._deadlines)
        self._choice = TargetChoice(call.targets)
        self._log = AttemptLog()
        self._recovery = Recovery(call, self._choice, self._log, random)
        self._endings = Endings(call, self._choice, self._log)
        self.faults: list[Fault] = call.adapted.faults if call.adapted is not None else []
        self._memory = memory or unlimited()
        self._random = random
        self._response = self._next_response()
        self._reused = False

    def __repr__(self) -> str:
        state, shown, number = self._state.name, self._client.shown.name, self._log.number
        return f"CallMachine({state}, shown={shown}, attempt={number})"

    @property
    def over(self) -> bool:
        """The client has its response, or is gone, and upstream is released."""
        return self._state is AttemptState.OVER

    @property
    def answered(self) -> bool:
        """The client has its whole response, or is gone."""
        return self._client.shown is Shown.DONE

    @property
    def in_background(self) -> bool:
        """Never: a model call ends with its client."""
        return False

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """The attempts that have ended, in order."""
        return self._log.records

    @property
    def open_attempt(self) -> OpenAttempt | None:
        """The attempt that is under way."""
        return self._log.open

    @property
    def target_number(self) -> int:
        """Index of the target that was asked last."""
        return self._choice.number

    @property
    def usage(self) -> Usage | None:
        """The token counts of the current attempt's response."""
        return self._response.usage

    def _move(self, event: AttemptEvent) -> None:
        """Change the attempt's state. Raises IllegalMove."""
        following = TRANSITIONS.get((self._state, event))
        if following is None:
            raise IllegalMove(self._state, event)
        self._state = following
        self.revision += 1

    # Events

    def start(self, now: float) -> list[Action]:
        """The request is complete."""
        self._deadlines.call_started(now)
        actions: list[Action] = []
        decision = self._recovery.start(now)
        self._proceed(now, actions, decision)
        if decision.step is NextStep.GIVE_UP:
            self._tell_client(now, actions, self._endings.refusal())
        return self._scheduled(now, actions)

    def connected(self, now: float, *, reused: bool) -> list[Action]:
        """The request goes out, over a fresh or a kept-alive connection."""
        if self._state is not AttemptState.CONNECTING:
            return []
        self._move(AttemptEvent.CONNECTED)
        self._reused = reused
        self._deadlines.request_sent(now)
        return self._scheduled(now, [])

    def head(self, now: float, head: Head) -> list[Action]:
        """The head of the response arrived."""
        if self._state is not AttemptState.WAITING:
            return []
        self._move(AttemptEvent.HEAD_RECEIVED)
        self._response.begin(head)
        is_event_stream = self._response.mode is BodyMode.STREAM
        self._deadlines.head_received(now, is_event_stream=is_event_stream)
        actions: list[Action] = []
        if self.call.adapted is not None and 200 <= head.status < 300:
            for lesson in self.call.adapted.accepted(self._choice.number):
                actions.append(LogLine(f"{self._name()}: learnt {lesson}", warning=False))
        if self._response.mode is BodyMode.UNTOUCHED:
            self._pass_on(now, actions, head)
        return self._scheduled(now, actions)

    def body(self, now: float, data: bytes) -> list[Action]:
        """Bytes of the response body arrived, with their content coding."""
        if self._state is not AttemptState.READING:
            return []
        self._deadlines.bytes_received(now)
        actions: list[Action] = []
        try:
            self._read(now, actions, data)
        except UndecodableBody as reason:
            error = unreadable_error(self._target.provider, str(reason))
            self._fail(now, actions, Failure(error, rules.CONNECTION_LOST))
        return self._scheduled(now, actions)

    def body_end(self, now: float) -> list[Action]:
        """The response ended completely, according to its framing."""
        actions: list[Action] = []
        if self._state is AttemptState.DRAINING:
            self._end_draining(actions, ReleaseAttempt())
        elif self._state is AttemptState.READING:
            self._end_upstream()
            if not self._response.is_form_known:
                self._read_decoded(now, actions, self._response.read_last())
                self.findings += self._response.take_label_findings()
            self._end_body(now, actions)
        return self._scheduled(now, actions)

    def attempt_failed(
        self, now: float, reason: str, *, is_too_large: bool = False
    ) -> list[Action]:
        """Connecting failed, or the connection was reset or closed too early.

        An attempt whose response head was too large is not made again at the same target, which
        would most likely send the same head.
        """
        actions: list[Action] = []
        host, state = self._target.provider, self._state
        if state is AttemptState.DRAINING:
            self._end_draining(actions, ReleaseAttempt())
        elif state is AttemptState.CONNECTING:
            self._end_upstream()
            error = connect_error(host, reason)
            is_providers = not is_own_shortage(reason)
            failure = Failure(error, rules.CONNECT_FAILED, is_providers=is_providers)
            self._fail(now, actions, failure)
        elif state in (AttemptState.WAITING, AttemptState.READING):
            self._end_upstream()
            is_waiting = state is AttemptState.WAITING
            decision = None
            if is_too_large:
                error = too_large_error(host, reason)
                self._fail(now, actions, Failure(error, rules.HEAD_TOO_LARGE, is_final=True))
                return self._scheduled(now, actions)
            if is_waiting and self._reused:
                decision = self._recovery.after_stale_connection(now, reason)
            if decision is not None:
                self._proceed(now, actions, decision)
            elif self._response.is_complete_json:
                done = "passed on: its JSON is complete"
                self.findings += [self._log.finding(rules.CONNECTION_LOST, shortened(reason), done)]
                self._look_at_body(now, actions)
            else:
                error = lost_error(host, shortened(reason), had_answered=not is_waiting)
                # A provider may give up a response that was not read because the client paused.
                is_providers = not self._deadlines.was_reading_paused
                failure = Failure(error, rules.CONNECTION_LOST, is_providers=is_providers)
                self._fail(now, actions, failure)
        return self._scheduled(now, actions)

    def client_gone(self, now: float) -> list[Action]:
        """The client closed its connection or reset its stream. Nothing is to be sent to it."""
        actions: list[Action] = []
        if self._state is AttemptState.OVER:
            return actions
        if self._state in UPSTREAM_IS_OPEN:
            actions.append(AbandonAttempt())
        self._move(AttemptEvent.CLIENT_LEFT)
        if not self.answered:
            self.outcome = CANCELLED
            self._log.end(now, AttemptOutcome.CANCELLED, CANCELLED.detail)
            self._choice.inconclusive()
            actions.append(LogLine(f"{self._name()}: cancelled by client", warning=False))
        self._client.complete()
        return actions

    def wake(self, now: float, *, is_client_behind: bool = False) -> list[Action]:
        """Time has passed. Silence is not upstream's fault while the client is behind."""
        if self._state is AttemptState.OVER:
            return []
        self._deadlines.woken(now)
        if is_client_behind:
            self._deadlines.reading_paused(now)
        actions: list[Action] = []
        if self._state is AttemptState.DRAINING:
            if self._deadlines.is_pause_over(now):
                self._end_draining(actions, AbandonAttempt())
        elif self._state is AttemptState.BACKING_OFF and self._deadlines.is_pause_over(now):
            self._start_attempt(now, actions, fresh=True)
        elif _is_due(self._guard_due(), now):
            self._show_held(now, actions)
        elif _is_due(self._hold_due(), now):
            self._take(now, actions, self._response.release_events())
        elif _is_due(self._tail_due(), now):
            self._take(now, actions, self._response.end_stream())
        elif (limit := self._deadlines.passed_limit(now)) is not None:
            error = timeout_error(self._target.provider, limit.name, limit.seconds)
            is_total = limit.name == "total"
            # The total limit also ends a healthy stream, which is not the provider's fault.
            is_providers = not (is_total and self._has_content())
            failure = Failure(error, rules.TIMED_OUT, is_final=is_total, is_providers=is_providers)
            self._fail(now, actions, failure)
        if _is_due(self._beat_due(), now):
            self._client.beat(now, actions, self._response)
        return self._scheduled(now, actions)

    def proxy_stops(self, now: float) -> list[Action]:
        """The proxy ends: the response ends in the protocol's error, and no attempt follows."""
        actions: list[Action] = []
        if self.answered or self._state is AttemptState.OVER:
            return actions
        self._abandon(actions)
        error = stopped_error()
        ending = self._endings.completion(self._client.shown, self._response)
        done = IN_AN_ERROR if ending is None else COMPLETED
        self.findings += [self._log.finding(rules.PROXY_STOPPED, "the proxy ends", done)]
        self._choice.inconclusive()
        if ending is None:
            ending = self._endings.ending(error, self._client.shown, self._response)
            self._log.end(now, AttemptOutcome.FAILED, error.message)
        self._tell_client(now, actions, ending)
        return actions

    def stop_after_fault(self, now: float) -> bytes:
        """A method raised: stop the call, and return the protocol's error event.

        Empty if a response that is no event stream was sent in part, or the stream is complete.
        """
        if self._state is AttemptState.OVER:
            return b""
        self._move(AttemptEvent.FAULTED)
        self.outcome = INTERNAL_FAULT
        self._log.end(now, AttemptOutcome.FAILED, INTERNAL_FAULT.detail)
        self._choice.inconclusive()
        shown = self._client.shown
        self._client.complete()
        if self._response.mode is BodyMode.STREAM and shown is not Shown.HEAD:
            return self._response.fail_stream(internal_error())
        if shown is Shown.HEAD:
            return self._response.fresh_repair().fail(internal_error())
        return b""

    # Attempts

    def _start_attempt(self, now: float, actions: list[Action], *, fresh: bool) -> None:
        self._move(AttemptEvent.STARTED)
        self.outcome = RUNNING
        self._reused = False
        if self._log.number or self._choice.number:  # else it is new: the machine was made with it
            self._response = self._next_response()
        self._deadlines.limit(self.call.timeouts_at(self._choice.number))
        self._deadlines.attempt_started(now)
        self._log.start(now, self._target.provider, self._target.model)
        actions.append(StartAttempt(self._log.number, fresh, self._choice.number))

    def _next_response(self) -> ResponseReading:
        translation = self._target.translation
        if translation is not None:
            answer_id = "".join(f"{int(self._random() * 2**48):012x}" for _ in range(2))
            translation = translation.with_answer(answer_id, int(self._wall_clock()))
        number = self._choice.number
        return ResponseReading(self.call, number, self.faults, self._memory, translation)

    def _end_upstream(self) -> None:
        self._move(AttemptEvent.UPSTREAM_ENDED)
        self._deadlines.attempt_ended()

    def _abandon(self, actions: list[Action]) -> None:
        """Give the attempt up if upstream has not ended it."""
        if self._state in UPSTREAM_IS_OPEN:
            actions.append(AbandonAttempt())
            self._end_upstream()

    def _end_draining(self, actions: list[Action], action: Action) -> None:
        self._end_upstream()
        actions.append(action)

    def _fail(self, now: float, actions: list[Action], failure: Failure) -> None:
        """The current attempt failed: do what follows from that."""
        self._abandon(actions)
        shown = self._client.shown
        completion = self._endings.completion(shown, self._response)
        decision = self._recovery.after_failure(
            now, failure, is_hidden=shown.allows_retry, is_complete=completion is not None
        )
        self._proceed(now, actions, decision)
        if decision.step is NextStep.GIVE_UP:
            ending = completion or self._endings.ending(failure.error, shown, self._response)
            self._tell_client(now, actions, ending)

    def _proceed(self, now: float, actions: list[Action], decision: Decision) -> None:
        """Start the attempt that was decided on, or the backoff before it."""
        self.findings += decision.findings
        if decision.step is NextStep.BACK_OFF:
            self._move(AttemptEvent.BACKOFF_STARTED)
            self._deadlines.back_off_until(now + decision.wait_seconds)
        elif decision.step is not NextStep.GIVE_UP:
            is_fresh = decision.step is NextStep.SEND_AGAIN
            self._start_attempt(now, actions, fresh=is_fresh)

    @property
    def _target(self) -> Target:
        return self._choice.target

    # Ending a response

    def _tell_client(self, now: float, actions: list[Action], ending: Ending) -> None:
        self.findings += ending.findings
        self._show(now, actions, ending.data)
        actions.append(ending.action)
        if ending.is_success:
            self._succeed(now, actions)
        else:
            self._finish(now, actions, ending.outcome)

    def _succeed(self, now: float, actions: list[Action]) -> None:
        self._log.end(now, AttemptOutcome.ANSWERED, ANSWERED.detail)
        self._finish(now, actions, ANSWERED)

    def _finish(self, now: float, actions: list[Action], outcome: Outcome) -> None:
        """The response to the client is complete; upstream may have to be drained."""
        self._client.complete()
        self.outcome = outcome
        self._log.end(now, AttemptOutcome.FAILED, outcome.detail)
        self._move(AttemptEvent.RESPONSE_COMPLETED)
        if self._state is AttemptState.OVER:
            actions.append(ReleaseAttempt())
        else:
            self._deadlines.drain(now)

    # Reading a response

    def _read(self, now: float, actions: list[Action], data: bytes) -> None:
        """Treat bytes of the body as its mode requires. Raises UndecodableBody."""
        response = self._response
        decoded = response.decode(data)
        if not response.is_form_known:
            was_stream = response.mode is BodyMode.STREAM
            decoded = response.read_start(decoded)
            self.findings += response.take_label_findings()
            if response.mode is BodyMode.STREAM and not was_stream:
                self._deadlines.events_began(now)
        self._read_decoded(now, actions, decoded)

    def _read_decoded(self, now: float, actions: list[Action], decoded: bytes) -> None:
        response = self._response
        if response.mode is BodyMode.UNTOUCHED:
            self._show(now, actions, decoded)
        elif response.mode is BodyMode.STREAM:
            repaired = response.read_events(decoded)
            response.note_holding(now, repaired)
            self._take(now, actions, repaired)
        elif not response.collect(decoded):
            assert response.head is not None
            self.findings += response.over_limit_findings()
            self._pass_on(now, actions, response.decoded_head(response.head), response.pass_on())

    def _end_body(self, now: float, actions: list[Action]) -> None:
        """The body is complete: unless its last bytes decided the call, decide it."""
        if self._state is not AttemptState.ENDED:
            return
        if self._response.mode is BodyMode.UNTOUCHED:
            self._choice.inconclusive()
            actions.append(FinishResponse())
            self._succeed(now, actions)
        elif self._response.mode is BodyMode.STREAM:
            self._take(now, actions, self._response.end_stream())
        else:
            self._look_at_body(now, actions)

    def _pass_on(
        self, now: float, actions: list[Action], head: Head, collected: bytes = b""
    ) -> None:
        """Forward a response that is not understood, unless the client expects a stream by now.

        One in another protocol than the client's is never forwarded.
        """
        if self._response.translation is not None:
            error = untranslatable_error(self._target.provider)
            self._fail(now, actions, Failure(error, rules.ERROR_IN_BODY))
            return
        if self._client.shown is Shown.HEAD:
            error = not_a_stream_error(self._target.provider)
            self._fail(now, actions, Failure(error, rules.NOT_A_STREAM))
            return
        self._show_head(now, actions, head)
        self._show(now, actions, collected)

    def _take(self, now: float, actions: list[Action], repaired: Sequence[Repaired]) -> None:
        """Show what may be shown, in one write, and act on the end of the stream."""
        is_holding = self._is_holding()
        read = self._response.sort(now, repaired, holding=is_holding)
        if read.findings:
            self.findings += read.findings
        if read.has_progress:
            self._deadlines.content_received(now)
        error = read.end.error if read.end is not None else None
        if error is not None and is_holding:
            self._fail(now, actions, Failure(self._with_metadata(error), self._stream_rule()))
            return
        if not read.shows:
            return
        is_answered = read.end is not None and error is None
        if is_answered and self._is_asked_again(now, actions):
            return
        self._show_held(now, actions, read.ready)
        if error is not None:
            self._end_in_error(now, actions, error, is_written=bool(read.end and read.end.data))
        elif read.end is not None:
            self._choice.succeeded()
            actions.append(FinishResponse())
            self._succeed(now, actions)

    def _is_asked_again(self, now: float, actions: list[Action]) -> bool:
        """Report a complete response without an answer; return whether it is asked for again."""
        if not self._response.is_silent:
            return False
        is_hidden = self._client.shown.allows_retry
        decision = self._recovery.after_silence(now) if is_hidden else None
        if decision is None:
            found = "a complete response without an answer"
            self.findings += [self._log.finding(rules.SILENT_STOP, found, "passed on")]
            return False
        self._abandon(actions)
        self._proceed(now, actions, decision)
        return True

    def _end_in_error(
        self, now: float, actions: list[Action], error: ProviderError, *, is_written: bool
    ) -> None:
        """Content was shown, and the error event behind it if that could be written."""
        rule = self._stream_rule()
        failure = Failure(error, rule)
        message = error.message or error.type
        self.findings += [self._log.finding(rule, message, IN_AN_ERROR)]
        self._choice.failed(now, error, failure.kind)
        actions.append(FinishResponse() if is_written else CutResponse(message))
        self._abandon(actions)
        self._log.end(now, AttemptOutcome.FAILED, failure.message)
        self._finish(now, actions, stream_error(error.status, is_own=error.is_own))

    def _stream_rule(self) -> Rule:
        """Return the rule on an error in a stream: upstream ended too early, or reported it."""
        if self._state is AttemptState.ENDED:
            return rules.EARLY_END
        return rules.WRAPPED_ERROR if self._is_holding() else rules.ERROR_MID_STREAM

    def _is_holding(self) -> bool:
        """Return whether showing anything must wait because a failure could still be hidden."""
        return self._client.shown.allows_retry and (
            self.call.raise_errors or self.call.retry_at(self._choice.number).attempts > 1
        )

    def _look_at_body(self, now: float, actions: list[Action]) -> None:
        """The whole body is here: a result, or an error in one of its forms."""
        response, host = self._response, self._target.provider
        assert response.head is not None
        response.body_is_whole = True
        if response.may_judge():
            verdict = judge_body(
                self.call,
                response.head,
                response.collected,
                host=host,
                context=response.context,
                protocol=response.protocol,
                faults=self.faults,
            )
            response.judged()
        else:
            verdict = BodyVerdict(response.collected, response.over_limit_findings())
        self.findings += verdict.findings
        if verdict.error is not None:
            error = self._with_metadata(verdict.error)
            self._fail(now, actions, Failure(error, verdict.rule))
        elif (events := response.as_events(verdict.body)) is not None:
            self._take(now, actions, events)
        elif self._client.shown is Shown.HEAD:
            self._fail(now, actions, Failure(not_a_stream_error(host), rules.NOT_A_STREAM))
        else:
            self._answer_whole(now, actions, verdict.body)

    def _answer_whole(self, now: float, actions: list[Action], body: bytes) -> None:
        """Answer with a whole body, which is repaired, once it is in the client's protocol."""
        response = self._response
        assert response.head is not None
        if response.translation is not None:
            translated = response.translation.body(body, self.faults)
            self.findings += translated.findings
            if translated.error is not None:
                self._fail(now, actions, Failure(translated.error, rules.ERROR_IN_BODY))
                return
            body = translated.data
        response.look_for_answer(body)
        if self._is_asked_again(now, actions):
            return
        self._choice.succeeded()
        response.check_json_label(body)
        self.findings += response.take_label_findings()
        head = response.whole_head(response.head, body)
        if not response.is_over_limit:
            response.count_tokens(body)
        actions.append(Respond(head, body))
        self._succeed(now, actions)

    def _with_metadata(self, error: ProviderError) -> ProviderError:
        """Return the error with what the head of its response contains about it."""

        def unread(fault: Fault) -> ProviderError:
            self.faults.append(fault)
            return error

        head, now = self._response.head, self._wall_clock()
        return contain(
            "reading the head of an error", unread, with_response_metadata, error, head, now
        )

    # Showing

    def _show_head(self, now: float, actions: list[Action], head: Head) -> None:
        self._client.show_head(now, actions, head, self._response)

    def _show(self, now: float, actions: list[Action], data: bytes) -> None:
        if self._client.show(now, actions, data, self._response):
            self._choice.answered()

    def _show_held(self, now: float, actions: list[Action], more: bytes = b"") -> None:
        self._show(now, actions, self._response.take_held() + more)

    # Time

    def _scheduled(self, now: float, actions: list[Action]) -> list[Action]:
        """Return the actions, followed by a wake-up for what is due next."""
        if self._state is AttemptState.OVER:
            return actions
        when = self._deadlines.request_wake(
            now, self._guard_due(), self._hold_due(), self._tail_due(), self._beat_due()
        )
        if when is not None:
            actions.append(WakeAt(when))
        return actions

    def _guard_due(self) -> float | None:
        """Return when a guarded stream is shown."""
        return self._response.guard_due() if self._state is AttemptState.READING else None

    def _hold_due(self) -> float | None:
        """Return when an event that the repairer holds back is shown without the next one."""
        since = self._response.holding_since
        if self._state is not AttemptState.READING or since is None:
            return None
        return since + HOLD_SECONDS

    def _tail_due(self) -> float | None:
        """Return when a stream that lacks only its terminal event is completed."""
        if self._state is not AttemptState.READING or not self._has_content():
            return None
        return self._deadlines.tail_due if self._response.only_end_is_missing else None

    def _has_content(self) -> bool:
        """Return whether the current attempt has delivered content, shown or held."""
        is_held = self._response.guarded_since is not None or self._response.holds_silence
        return self._client.shown is Shown.CONTENT or is_held

    def _beat_due(self) -> float | None:
        """Return when the client is sent the next keep-alive."""
        if not self.call.streaming or self.over:
            return None
        is_reading = self._state is AttemptState.READING
        return self._client.beat_due(self._response, is_reading=is_reading)

    # Reporting

    def _name(self) -> str:
        return f"{self.call.protocol} call to {self._target.provider}"


def _is_due(when: float | None, now: float) -> bool:
    return when is not None and now >= when
