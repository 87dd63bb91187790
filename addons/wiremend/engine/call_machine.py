"""The life of one call, from its request to the last byte of its response.

Theory of operation. Two things change independently: what the upstream attempt does,
and what the client has been shown. `attempt` runs

    CONNECTING -> WAITING -> READING -> DRAINING
         \\______________________/
                  failed -> BACKING_OFF -> CONNECTING ...

and `shown` only ever moves down this table:

    shown     the client has            an attempt fails           design's name
    -------   -----------------------   ------------------------   -------------
    NOTHING   not a byte                try again; HTTP error      waiting, held
    HEAD      200 and keep-alives       try again; error event     kept alive
    CONTENT   content                   error event                flowing
    DONE      the whole response        ignored                    done

The machine hears what happened and when (seconds of any steady clock) and answers with
actions. It knows no socket, no mitmproxy and no clock.
"""

from collections.abc import Callable, Sequence
from enum import Enum, auto

from wiremend.engine.actions import (
    AbandonAttempt,
    Action,
    CutResponse,
    FinishResponse,
    Head,
    Note,
    ReleaseAttempt,
    Respond,
    ShowBody,
    ShowHead,
    StartAttempt,
    WakeAt,
)
from wiremend.engine.answers import (
    error_response,
    html_error,
    is_html,
    with_explained_message,
    with_some_message,
)
from wiremend.engine.call_settings import AttemptRecord, CallSettings, Target
from wiremend.engine.content_coding import UndecodableBody
from wiremend.engine.failures import (
    connect_error,
    error_of_status,
    lost_error,
    placed,
    timeout_error,
)
from wiremend.engine.menders import mend_body
from wiremend.engine.reading import Reading, ResponseReading
from wiremend.engine.target_choice import TargetChoice
from wiremend.protocols.errors import RETRYABLE_STATUS, ProviderError, make_error
from wiremend.rules import errors, routing, transport
from wiremend.rules.finding import Finding, Rule
from wiremend.rules.fitted_requests import TOOL_NAMED
from wiremend.rules.mending import Kind, Mended

DRAIN_SECONDS = 1.0
"""How long a finished response's connection may take to come clean, to be used again."""
TAIL_SECONDS = 5.0
"""How long, after its stop reason, a silent stream may take to end (usage may still come)."""
LONGEST_SLEEP_SECONDS = 10.0
"""A wake-up keeps the machine in memory, so none is asked for further ahead than this."""
FREE_RETRIES = 2
"""How often a stale connection is replaced for nothing."""
KEEP_ALIVE = b"\n"
"""A blank line dispatches nothing: the one keep-alive that every client measured accepts."""


class Attempt(Enum):
    """What upstream is doing."""

    CONNECTING = auto()
    WAITING = auto()
    READING = auto()
    BACKING_OFF = auto()
    DRAINING = auto()
    OVER = auto()


class Shown(Enum):
    """What the client has been shown."""

    NOTHING = auto()
    HEAD = auto()
    CONTENT = auto()
    DONE = auto()


class CallMachine:
    """One call. Every method takes the time in seconds first and returns actions, in order."""

    def __init__(
        self,
        settings: CallSettings,
        *,
        random: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.findings: list[Finding] = []
        self.attempts: list[AttemptRecord] = []
        self.outcome = ""
        self._random = random
        self._wall_clock = wall_clock
        self._attempt = Attempt.OVER
        self._shown = Shown.NOTHING
        self._number = 0
        self._choice = TargetChoice(settings.targets)
        self._tries_here = 0
        self._free_retries = 0
        self._started = 0.0
        self._last_shown = 0.0
        self._wake_at: float | None = None
        self._resume_at = 0.0
        self._begin_attempt_state(0.0)

    def __repr__(self) -> str:
        return (
            f"CallMachine({self._attempt.name}, shown={self._shown.name}, attempt={self._number})"
        )

    @property
    def over(self) -> bool:
        """The client has its response, or is gone, and upstream is let go."""
        return self._attempt is Attempt.OVER and self._number > 0

    @property
    def answered(self) -> bool:
        """The client has its whole response, or is gone."""
        return self._shown is Shown.DONE

    @property
    def in_background(self) -> bool:
        """Never: a model call ends with its client."""
        return False

    # What happened

    def start(self, now: float) -> list[Action]:
        """The request is complete."""
        self._started = self._last_shown = now
        actions: list[Action] = []
        if not self._enter_target(now, actions):
            self._refuse(now, actions)
        return self._scheduled(now, actions)

    def connected(self, now: float, *, reused: bool) -> list[Action]:
        """The request goes out, over a fresh or a kept-alive connection."""
        if self._attempt is not Attempt.CONNECTING:
            return []
        self._attempt = Attempt.WAITING
        self._reused = reused
        self._request_sent = self._last_byte = self._last_progress = now
        return self._scheduled(now, [])

    def head(self, now: float, head: Head) -> list[Action]:
        """The head of the response arrived."""
        if self._attempt is not Attempt.WAITING:
            return []
        self._attempt = Attempt.READING
        self._last_byte = self._last_progress = now
        self._response.begin(head)
        actions: list[Action] = []
        if self.settings.fitted is not None and 200 <= head.status < 300:
            for lesson in self.settings.fitted.accepted(self._choice.number):
                actions.append(Note(f"{self._name()}: learnt {lesson}", warning=False))
        if self._response.how is Reading.UNTOUCHED:
            self._show_head(now, actions, head)
        return self._scheduled(now, actions)

    def body(self, now: float, data: bytes) -> list[Action]:
        """Bytes of the response's body arrived, as they were on the wire."""
        if self._attempt is not Attempt.READING:
            return []
        self._last_byte = now
        actions: list[Action] = []
        try:
            data = self._response.decode(data)
        except UndecodableBody as reason:
            self._fail_undecodable(now, actions, reason)
            return self._scheduled(now, actions)
        if self._response.how is Reading.UNTOUCHED:
            self._show(now, actions, data)
        elif self._response.how is Reading.STREAM:
            self._take(now, actions, self._response.read_events(data))
        else:
            self._collect(now, actions, data)
        return self._scheduled(now, actions)

    def body_end(self, now: float) -> list[Action]:
        """The response ended as its framing says it should."""
        actions: list[Action] = []
        if self._attempt is Attempt.DRAINING:
            self._attempt = Attempt.OVER
            actions.append(ReleaseAttempt())
        elif self._attempt is Attempt.READING:
            self._upstream_ended = True
            if self._response.how is Reading.UNTOUCHED:
                self._choice.judge(now, None)
                actions.append(FinishResponse())
                self._finish(now, actions, "ok")
            elif self._response.how is Reading.STREAM:
                self._take(now, actions, self._response.end_stream())
            else:
                self._look_at_body(now, actions)
        return self._scheduled(now, actions)

    def attempt_failed(self, now: float, reason: str) -> list[Action]:
        """Connecting failed, or the connection was reset or closed too early."""
        actions: list[Action] = []
        if self._attempt is Attempt.DRAINING:
            self._attempt = Attempt.OVER
            actions.append(ReleaseAttempt())
        elif self._attempt is Attempt.CONNECTING:
            self._upstream_ended = True
            error = connect_error(self._target.provider, reason)
            self._fail(now, actions, transport.CONNECT_FAILED, error)
        elif self._attempt is Attempt.WAITING:
            self._upstream_ended = True
            if self._reused and self._free_retries < FREE_RETRIES:
                self._replace_stale_connection(now, actions, reason)
            else:
                self._fail(now, actions, transport.CONNECTION_LOST, self._lost_error(reason))
        elif self._attempt is Attempt.READING:
            self._upstream_ended = True
            self._fail(now, actions, transport.CONNECTION_LOST, self._lost_error(reason))
        return self._scheduled(now, actions)

    def client_gone(self, now: float) -> list[Action]:
        """The client closed its connection or reset its stream. Nothing is to be sent to it."""
        actions: list[Action] = []
        if self._attempt is Attempt.OVER:
            return actions
        if not self._upstream_ended:
            actions.append(AbandonAttempt())
        if self._shown is not Shown.DONE:
            self.outcome = "cancelled by client"
            self._record(now, "cancelled by client")
            self._choice.judge(now, None)
            actions.append(Note(f"{self._name()}: cancelled by client", warning=False))
        self._attempt = Attempt.OVER
        self._shown = Shown.DONE
        return actions

    def wake(self, now: float) -> list[Action]:
        """Time has passed."""
        if self._attempt is Attempt.OVER:
            return []
        if self._wake_at is not None and now >= self._wake_at - 0.001:
            self._wake_at = None
        actions: list[Action] = []
        if self._attempt is Attempt.DRAINING:
            if now >= self._drain_until:
                self._attempt = Attempt.OVER
                actions.append(AbandonAttempt())
        elif self._attempt is Attempt.BACKING_OFF and now >= self._resume_at:
            actions += self._start_attempt(now, fresh=True)
        elif (guard := self._guard_due()) is not None and now >= guard:
            self._show_held(now, actions)
        elif self._is_tail_overdue(now):
            self._take(now, actions, self._response.end_stream())
        else:
            limit = self._passed_limit(now)
            if limit is not None:
                error = timeout_error(self._target.provider, *limit)
                self._fail(now, actions, transport.TIMED_OUT, error, final=limit[0] == "total")
        self._beat(now, actions)
        return self._scheduled(now, actions)

    def stop_mending(self, now: float, data: bytes = b"") -> list[Action]:
        """A fault of ours: from here on the response passes as it comes, `data` first.

        A coded response is cut instead. The decoder may have consumed `data`, so that what follows
        can be continued neither coded nor decoded.
        """
        actions: list[Action] = []
        head = self._response.head
        if self._attempt is not Attempt.READING or head is None:
            return actions
        if self._response.is_coded:
            if not self._upstream_ended:
                actions.append(AbandonAttempt())
                self._upstream_ended = True
            actions.append(CutResponse("internal fault in a coded response"))
            self._finish(now, actions, "cut")
            return actions
        if self._shown is Shown.NOTHING:
            self._show_head(now, actions, head)
        self._show(now, actions, self._response.pass_on() + data)
        return self._scheduled(now, actions)

    # Attempts

    def _begin_attempt_state(self, now: float) -> None:
        self._attempt_started = now
        self._request_sent = self._last_byte = self._last_progress = now
        self._reused = False
        self._upstream_ended = False
        self._response = ResponseReading(self.settings, self._choice.number)
        self._drain_until = 0.0

    def _start_attempt(self, now: float, *, fresh: bool) -> list[Action]:
        self._number += 1
        self._tries_here += 1
        self._begin_attempt_state(now)
        self._attempt = Attempt.CONNECTING
        return [StartAttempt(self._number, fresh, self._choice.number)]

    def _replace_stale_connection(self, now: float, actions: list[Action], reason: str) -> None:
        self._free_retries += 1
        self._find(transport.STALE_CONNECTION, reason, "sent again at once")
        self._number -= 1
        self._tries_here -= 1
        actions += self._start_attempt(now, fresh=True)

    def _fail(
        self,
        now: float,
        actions: list[Action],
        rule: Rule,
        error: ProviderError,
        *,
        final: bool = False,
    ) -> None:
        """The current attempt failed: try again, or tell the client."""
        if not self._upstream_ended:
            actions.append(AbandonAttempt())
            self._upstream_ended = True
        told = error.message or error.code or error.type or f"status {error.status}"
        if self._amended(now, actions, error):
            return
        if self._shown in (Shown.NOTHING, Shown.HEAD):
            decision = self.settings.retry.decide(
                error,
                attempts_made=self._tries_here,
                elapsed_seconds=now - self._started,
                random=self._random,
            )
            if decision.wait_seconds is not None and not final and self._choice.may_retry(now):
                self._record(now, told, decision.wait_seconds)
                done = f"trying again in {decision.wait_seconds:.2f} s"
                self._find(rule, told, done)
                self._attempt = Attempt.BACKING_OFF
                self._resume_at = now + decision.wait_seconds
                return
            self._find(rule, told, f"gave up: {decision.reason}")
        else:
            self._find(rule, told, "ended in the protocol's error")
        self._give_up(now, actions, error, told)

    def _amended(self, now: float, actions: list[Action], error: ProviderError) -> bool:
        """Whether the provider refused the request and it was changed: then it is sent again."""
        if self.settings.fitted is None or self._shown not in (Shown.NOTHING, Shown.HEAD):
            return False
        findings = self.settings.fitted.amend(self._choice.number, error)
        if not findings:
            return False
        self.findings += findings
        self._record(now, f"refused: {error.message}", 0.0)
        self._tries_here -= 1
        actions += self._start_attempt(now, fresh=True)
        return True

    def _give_up(self, now: float, actions: list[Action], error: ProviderError, told: str) -> None:
        """The current target failed for good: ask the next one, or tell the client."""
        self._record(now, told)
        self._choice.judge(now, error.status, told)
        if self._shown in (Shown.NOTHING, Shown.HEAD) and self._choice.may_fall_back(error):
            failed = self._target
            if self._enter_target(now, actions):
                found = f"{failed.model or 'the call'} failed at {failed.provider}: {told}"
                done = f"asked {self._target.model} at {self._target.provider}"
                self._find(routing.FELL_BACK, found, done)
                return
        self._tell_client(now, actions, self._with_tries(error))

    def _enter_target(self, now: float, actions: list[Action]) -> bool:
        """Start on the next target that may be asked; False if there is none."""
        found_one, refused = self._choice.move_on(now)
        for target in refused:
            found = f"{target.provider} {target.model}: the circuit breaker is open"
            self._find(transport.REFUSED, found, "nothing was sent")
        if found_one:
            self._tries_here = 0
            if self.settings.fitted is not None and self._choice.number:
                self.findings += self.settings.fitted.at(self._choice.number).findings
            actions += self._start_attempt(now, fresh=False)
        return found_one

    @property
    def _target(self) -> Target:
        return self._choice.target

    def _with_tries(self, error: ProviderError) -> ProviderError:
        """After a fallback the error names every try; the provider's own words come first."""
        if self._choice.number == 0:
            return error
        said = with_some_message(error, host=self._target.provider, attempts=self._tries_here)
        tries = "; ".join(
            f"{record.model} at {record.provider}: {record.outcome} ({record.seconds:.1f} s)"
            for record in self.attempts
        )
        return error.with_message(f"{said.message} Tried {tries}.")

    def _refuse(self, now: float, actions: list[Action]) -> None:
        """Every breaker is open: nothing is sent upstream.

        No Retry-After: Codex would wait for it before each of its 30 tries, five minutes in all,
        where its own backoff gives up after half a minute.
        """
        self._upstream_ended = True
        self._number = 1
        host, seconds = self._target.provider, self._choice.refused_seconds
        last = f" Last: {self._choice.last_failure}" if self._choice.last_failure else ""
        error = make_error(
            status=503,
            type="overloaded_error",
            message=f"{host} failed several calls in a row and is asked again in {seconds:.0f} s."
            + last,
        )
        actions.append(
            error_response(self.settings.protocol, error, host=host, attempts=0, head=None)
        )
        self._finish(now, actions, "error 503")

    def _tell_client(self, now: float, actions: list[Action], error: ProviderError) -> None:
        """End the response in this error, in the form that still fits."""
        if self._shown is Shown.NOTHING:
            answer = self._final_answer(error)
            actions.append(answer)
            self._finish(now, actions, f"error {answer.head.status}")
            return
        if self._response.how is Reading.UNTOUCHED and self._shown is Shown.CONTENT:
            actions.append(CutResponse(error.message))
            self._finish(now, actions, "cut")
            return
        error = error.with_message(self._explained(error.message))
        error = with_some_message(error, host=self._target.provider, attempts=self._number)
        outcome = f"error {error.status} in the stream"
        if self._completed_after_all(now, actions):
            outcome = "ok"
        elif ending := self._error_ending(error):
            self._show(now, actions, ending)
            actions.append(FinishResponse())
        else:
            actions.append(CutResponse(error.message))
        self._finish(now, actions, outcome)

    def _final_answer(self, error: ProviderError) -> Respond:
        own = self._response.own_error()
        if own is not None and self._choice.number == 0:
            # After a fallback the client is told of every try instead.
            body = with_explained_message(own.body, self._explained)
            return Respond(self._response.whole_head(own.head, body), body)
        error = error.with_message(self._explained(error.message))
        return error_response(
            self.settings.protocol,
            error,
            host=self._target.provider,
            attempts=self._number,
            head=self._response.head,
        )

    def _explained(self, message: str) -> str:
        """The message of an error; behind it, which tools it means."""
        if self.settings.fitted is None:
            return message
        explained = self.settings.fitted.explain(self._choice.number, message)
        if explained != message:
            self._find(TOOL_NAMED, message, "tools named")
        return explained

    def _error_ending(self, error: ProviderError) -> bytes:
        if self._shown is Shown.HEAD:
            # Only keep-alives were sent: the events of the failed attempt were never seen.
            return self._response.fresh_repair().fail(error)
        return self._response.fail_stream(error)

    def _completed_after_all(self, now: float, actions: list[Action]) -> bool:
        """Whether everything but the stream's end had come, which is then written."""
        verdict = self._response.missing_end() if self._shown is Shown.CONTENT else []
        if not verdict:
            return False
        self._note_findings(verdict)
        self._show(now, actions, b"".join(mended.data for mended in verdict))
        actions.append(FinishResponse())
        return True

    def _finish(self, now: float, actions: list[Action], outcome: str) -> None:
        self._shown = Shown.DONE
        self.outcome = outcome
        if len(self.attempts) < self._number:
            self._record(now, outcome)
        if self._upstream_ended:
            self._attempt = Attempt.OVER
            actions.append(ReleaseAttempt())
        else:
            self._attempt = Attempt.DRAINING
            self._drain_until = now + DRAIN_SECONDS

    # Reading a response

    def _take(self, now: float, actions: list[Action], mended: Sequence[Mended]) -> None:
        """Show what may be shown, in one write, and act on how the stream stands."""
        ready: list[bytes] = []
        last = Kind.IDLE
        committed = not self._holding()
        for one in mended:
            self.findings += one.findings
            last = one.kind
            if last is not Kind.IDLE:
                self._last_progress = now
            if last is Kind.ERROR and self._holding():
                assert one.error is not None
                rule = transport.EARLY_END if self._upstream_ended else errors.WRAPPED_ERROR
                self._fail(now, actions, rule, self._placed(one.error))
                return
            if not committed and self._response.is_held(now, last):
                self._response.hold(one.data)
                committed = self._response.holds_too_much
            else:
                committed = True
                ready.append(one.data)
            if last in (Kind.TERMINAL, Kind.ERROR):
                break
        if not committed:
            return
        self._show_held(now, actions, ready)
        if last is Kind.TERMINAL:
            self._choice.judge(now, 0)
            actions.append(FinishResponse())
            self._finish(now, actions, "ok")
        elif last is Kind.ERROR:
            self._end_in_error(now, actions, one)

    def _end_in_error(self, now: float, actions: list[Action], one: Mended) -> None:
        assert one.error is not None
        rule = transport.EARLY_END if self._upstream_ended else errors.ERROR_MID_STREAM
        told = one.error.message or one.error.type
        self._find(rule, told, "ended in the protocol's error")
        self._choice.judge(now, one.error.status, told)
        actions.append(FinishResponse())
        if not self._upstream_ended:
            actions.append(AbandonAttempt())
            self._upstream_ended = True
        self._finish(now, actions, f"error {one.error.status} in the stream")

    def _holding(self) -> bool:
        """Whether a failure could still be hidden, so that showing anything must wait."""
        return self._shown in (Shown.NOTHING, Shown.HEAD) and (
            self.settings.raise_errors or self.settings.retry.attempts > 1
        )

    def _show_held(self, now: float, actions: list[Action], more: Sequence[bytes] = ()) -> None:
        self._show(now, actions, self._response.take_held() + b"".join(more))

    def _guard_due(self) -> float | None:
        return self._response.guard_due() if self._attempt is Attempt.READING else None

    def _collect(self, now: float, actions: list[Action], data: bytes) -> None:
        response = self._response
        if response.collect(data):
            return
        assert response.head is not None
        collected = response.pass_on()
        self._show_head(now, actions, response.decoded_head(response.head))
        self._show(now, actions, collected)

    def _look_at_body(self, now: float, actions: list[Action]) -> None:
        """The whole body is here: an answer, or an error in one of its disguises."""
        head, body = self._response.head, self._response.collected
        assert head is not None
        self._response.body_is_whole = True
        host = self._target.provider
        if is_html(head, body) and self.settings.raise_errors:
            self._fail(now, actions, errors.WEB_PAGE, self._placed(html_error(head, body, host)))
        elif head.status >= 400:
            self._look_at_error(now, actions, head, body)
        else:
            self._look_at_success(now, actions, head, body)

    def _look_at_error(self, now: float, actions: list[Action], head: Head, body: bytes) -> None:
        error = self._placed(error_of_status(head, body))
        if head.status in RETRYABLE_STATUS or not body.strip():
            self._fail(now, actions, transport.RETRYABLE_STATUS, error)
            return
        if not self._amended(now, actions, error):
            self._give_up(now, actions, error, f"status {head.status}")

    def _look_at_success(self, now: float, actions: list[Action], head: Head, body: bytes) -> None:
        mended = mend_body(self.settings.protocol, body, self._response.context)
        if mended.error is not None and self.settings.raise_errors:
            self.findings += mended.findings
            rule = errors.NOT_A_STREAM if self.settings.streaming else errors.ERROR_IN_BODY
            self._fail(now, actions, rule, self._placed(mended.error))
            return
        if mended.error is None:
            self.findings += mended.findings
            body = mended.data
        if self._shown is Shown.HEAD:
            error = make_error(
                status=502,
                type="api_error",
                message=f"{self._target.provider} sent no event stream.",
            )
            self._fail(now, actions, errors.NOT_A_STREAM, error)
            return
        self._choice.judge(now, 0)
        actions.append(Respond(self._response.whole_head(head, body), body))
        self._finish(now, actions, "ok")

    def _fail_undecodable(self, now: float, actions: list[Action], reason: UndecodableBody) -> None:
        error = make_error(
            status=502,
            type="api_error",
            message=f"{self._target.provider} sent a body that cannot be decoded: {reason}",
        )
        self._fail(now, actions, transport.CONNECTION_LOST, error)

    # Showing

    def _show_head(self, now: float, actions: list[Action], head: Head) -> None:
        actions.append(ShowHead(head))
        self._shown = Shown.CONTENT if self._response.how is Reading.UNTOUCHED else Shown.HEAD
        self._last_shown = now

    def _show(self, now: float, actions: list[Action], data: bytes) -> None:
        if not data:
            return
        if self._shown is Shown.NOTHING:
            self._show_head(now, actions, self._response.stream_head())
        if self._shown is not Shown.CONTENT:
            self._shown = Shown.CONTENT
            self._choice.answered()
        self._last_shown = now
        actions.append(ShowBody(data))

    def _beat(self, now: float, actions: list[Action]) -> None:
        due = self._next_beat()
        if due is None or now < due:
            return
        if self._shown is Shown.NOTHING:
            actions.append(ShowHead(self._response.stream_head()))
            self._shown = Shown.HEAD
        self._last_shown = now
        actions.append(ShowBody(KEEP_ALIVE))

    def _next_beat(self) -> float | None:
        heartbeat = self.settings.heartbeat
        if not self.settings.streaming or not heartbeat.after or self._shown is Shown.DONE:
            return None
        if self._attempt is Attempt.OVER:
            return None
        if self._response.how is Reading.UNTOUCHED and self._attempt is Attempt.READING:
            return None
        if self._response.how is Reading.WHOLE and self._shown is Shown.NOTHING:
            return None  # an answer with its own status is on its way
        if not self._response.at_event_boundary:
            return None
        if self._shown is Shown.NOTHING:
            return self._last_shown + heartbeat.after
        return self._last_shown + (heartbeat.interval or heartbeat.after)

    # Time

    def _limits(self) -> list[tuple[str, float, float]]:
        """The limits in force: name, seconds, and since when."""
        timeouts = self.settings.timeouts
        limits = [("total", timeouts.total, self._started)]
        if self._attempt is Attempt.CONNECTING:
            limits.append(("connect", timeouts.connect, self._attempt_started))
        elif self._attempt in (Attempt.WAITING, Attempt.READING):
            if not self.settings.streaming:
                limits.append(("answer", timeouts.answer, self._request_sent))
            elif self._attempt is Attempt.WAITING:
                limits.append(("first_byte", timeouts.first_byte, self._request_sent))
            if self._attempt is Attempt.READING:
                limits.append(("idle", timeouts.idle, self._last_byte))
                if self._response.how is Reading.STREAM:
                    limits.append(("progress", timeouts.progress, self._last_progress))
        return [limit for limit in limits if limit[1] > 0]

    def _tail_due(self) -> float | None:
        """When a whole answer stops waiting for the end of its stream."""
        has_content = self._shown is Shown.CONTENT or self._response.guarded_since is not None
        if self._attempt is not Attempt.READING or not has_content:
            return None
        if not self._response.only_end_is_missing:
            return None
        return self._last_byte + TAIL_SECONDS

    def _is_tail_overdue(self, now: float) -> bool:
        due = self._tail_due()
        return due is not None and now >= due

    def _passed_limit(self, now: float) -> tuple[str, float] | None:
        passed = [
            (since + seconds, name, seconds)
            for name, seconds, since in self._limits()
            if now >= since + seconds
        ]
        if not passed:
            return None
        _, name, seconds = min(passed)
        return name, seconds

    def _scheduled(self, now: float, actions: list[Action]) -> list[Action]:
        """The same actions, and a wake-up for whatever is due next."""
        if self._attempt is Attempt.OVER:
            return actions
        due = [now + LONGEST_SLEEP_SECONDS]
        if self._attempt is Attempt.DRAINING:
            due.append(self._drain_until)
        elif self._attempt is Attempt.BACKING_OFF:
            due.append(self._resume_at)
        else:
            due += [since + seconds for _, seconds, since in self._limits()]
            due += [when for when in (self._tail_due(), self._guard_due()) if when is not None]
        if (beat := self._next_beat()) is not None:
            due.append(beat)
        when = max(now, min(due))
        if self._wake_at is None or when < self._wake_at - 0.001:
            self._wake_at = when
            actions.append(WakeAt(when))
        return actions

    def _lost_error(self, reason: str) -> ProviderError:
        had_answered = self._attempt is Attempt.READING
        return lost_error(self._target.provider, reason, had_answered=had_answered)

    def _placed(self, error: ProviderError) -> ProviderError:
        return placed(error, self._response.head, self._wall_clock())

    # Telling

    def _record(self, now: float, outcome: str, wait_seconds: float | None = None) -> None:
        seconds = now - self._attempt_started
        self.attempts.append(
            AttemptRecord(
                self._number,
                self._target.provider,
                self._target.model,
                outcome,
                seconds,
                wait_seconds,
            )
        )

    def _find(self, rule: Rule, found: str, done: str) -> None:
        self.findings.append(Finding(rule.code, f"attempt {self._number}", found, done))

    def _note_findings(self, mended: Sequence[Mended]) -> None:
        for one in mended:
            self.findings += one.findings

    def _name(self) -> str:
        return f"{self.settings.protocol} call to {self._target.provider}"
