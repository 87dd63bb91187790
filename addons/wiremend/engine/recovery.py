"""What follows a failed attempt: a changed request, a retry, another target, or the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from wiremend.call_record.outcomes import ANSWERED, AttemptOutcome
from wiremend.engine import rules
from wiremend.engine.attempts import AttemptLog
from wiremend.engine.call import Call
from wiremend.engine.fallback import TargetChoice, is_unknown_model
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.routing import providers as routing
from wiremend.rules.rule import Finding, Rule, shortened
from wiremend.value_class import value_class

REFUSED_KEY_STATUS = frozenset({401, 402})
"""Statuses after which the next key of a provider is used: unknown key, no credit."""
IN_AN_ERROR = "ended in the protocol's error"
COMPLETED = "completed: only the end was missing"
FREE_RETRIES = 2
"""How often a stale connection is replaced without counting as an attempt."""


class NextStep(Enum):
    """What the machine does next."""

    SEND_AGAIN = auto()
    """Start another attempt at the same target, at once and over a new connection."""
    BACK_OFF = auto()
    """Start another attempt at the same target after a wait."""
    ENTER_TARGET = auto()
    """Start the first attempt at the target that is now the current one."""
    GIVE_UP = auto()
    """End the response to the client in the error."""


@value_class
class Decision:
    """The next step, and what was found on the way to it."""

    step: NextStep
    findings: Sequence[Finding] = ()
    wait_seconds: float = 0.0
    """How long to back off."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt."""

    error: ProviderError
    rule: Rule | None = None
    """The rule that found it; None: the provider rejected the request, so a retry is no use."""
    is_final: bool = False
    """Whether a retry is ruled out for another reason."""
    is_providers: bool = True
    """Whether it shows that the provider is in trouble; else its breaker ignores it."""

    @property
    def message(self) -> str:
        """The failure in a few words, never empty."""
        error = self.error
        if self.rule is None:
            return f"status {error.status}"
        return shortened(error.message or error.code or error.type or f"status {error.status}")

    @property
    def kind(self) -> str:
        """The kind of failure in words, without any text of the provider."""
        return self.rule.name.replace("-", " ") if self.rule is not None else ""


class Recovery:
    """Decides what follows each failure of one call.

    It uses up retry budgets, changes rejected requests, selects targets and keeps the attempt
    log; the machine starts the attempts. Times are monotonic seconds.
    """

    def __init__(
        self,
        call: Call,
        choice: TargetChoice,
        log: AttemptLog,
        random: Callable[[], float],
    ) -> None:
        self._call = call
        self._choice = choice
        self._log = log
        self._random = random
        self._started = 0.0
        self._free_retries = 0
        self._has_asked_again = False

    def start(self, now: float) -> Decision:
        """Select the first target; GIVE_UP if every circuit breaker refuses the call."""
        self._started = now
        return self._enter_target(now)

    def after_stale_connection(self, now: float, reason: str) -> Decision | None:
        """A reused connection was closed before the response; None if that happened too often."""
        if self._free_retries >= FREE_RETRIES:
            return None
        self._free_retries += 1
        self._log.end(now, AttemptOutcome.STALE, reason)
        finding = self._log.finding(rules.STALE_CONNECTION, reason, "sent again at once")
        return Decision(NextStep.SEND_AGAIN, [finding])

    def after_silence(self, now: float) -> Decision | None:
        """A hidden response contains no answer; None if it is not asked for again."""
        is_wanted = self._call.asks_again_at(self._choice.number) and not self._has_asked_again
        if not is_wanted or not self._choice.take_retry(now):
            return None
        self._has_asked_again = True
        found = "a complete response without an answer"
        self._log.end(now, AttemptOutcome.FAILED, found)
        finding = self._log.finding(rules.SILENT_STOP, found, "asked once more")
        return Decision(NextStep.SEND_AGAIN, [finding])

    def after_failure(
        self, now: float, failure: Failure, *, is_hidden: bool, is_complete: bool = False
    ) -> Decision:
        """Decide what follows; `is_hidden`: the client has been sent nothing of it.

        `is_complete`: it has been sent all of it but the end, which is added.
        """
        if not is_hidden:
            findings = self._findings(failure, COMPLETED if is_complete else IN_AN_ERROR)
            if is_complete:
                self._log.end(now, AttemptOutcome.ANSWERED, ANSWERED.detail)
            return self._give_up(now, failure, findings, may_fall_back=False)
        if finding := self._use_next_key(now, failure.error):
            return Decision(NextStep.SEND_AGAIN, [finding])
        if amendments := self._amend(failure.error, now - self._started):
            self._log.end(
                now, AttemptOutcome.REJECTED, shortened(f"refused: {failure.error.message}")
            )
            return Decision(NextStep.SEND_AGAIN, amendments)
        if failure.rule is None:
            return self._give_up(now, failure, [], may_fall_back=True)
        retry = self._call.retry_at(self._choice.number).decide(
            failure.error,
            attempts_made=self._log.tries_here,
            elapsed_seconds=now - self._started,
            random=self._random,
        )
        wait = retry.wait_seconds
        if wait is None or failure.is_final or not self._choice.take_retry(now):
            reason = "no retry may follow" if failure.is_final else retry.reason
            findings = self._findings(failure, f"gave up: {reason}")
            return self._give_up(now, failure, findings, may_fall_back=True)
        findings = self._findings(failure, f"trying again in {wait:.2f} s")
        self._log.end(now, AttemptOutcome.FAILED, failure.message)
        return Decision(NextStep.BACK_OFF, findings, wait)

    def _use_next_key(self, now: float, error: ProviderError) -> Finding | None:
        """Use another key of the provider if this one is refused; None if it is not, or the last.

        Neither the finding nor the log of attempts contains the provider's words: some providers
        repeat a part of the key.
        """
        keys = self._choice.target.keys
        if keys is None or error.status not in REFUSED_KEY_STATUS or is_unknown_model(error):
            return None
        found = f"{self._choice.target.provider}: {keys.name} is rejected ({error.status})"
        if not keys.move_on():
            return None
        self._log.end(now, AttemptOutcome.REJECTED, found)
        return self._log.finding(rules.KEY_REFUSED, found, f"sent again with {keys.name}")

    def _amend(self, error: ProviderError, elapsed_seconds: float) -> list[Finding]:
        """Change a request that the provider rejected; empty if it stays as it is."""
        if self._call.adapted is None:
            return []
        return self._call.adapted.amend(self._choice.number, error, elapsed_seconds)

    def _give_up(
        self, now: float, failure: Failure, findings: list[Finding], *, may_fall_back: bool
    ) -> Decision:
        """The current target failed for good: select the next one, if there is one."""
        failed = self._choice.target
        self._log.end(now, AttemptOutcome.FAILED, failure.message)
        if failure.is_providers:
            self._choice.failed(now, failure.error, failure.kind)
        else:
            self._choice.inconclusive()
        if not may_fall_back or not self._choice.prepare_fallback(failure.error):
            return Decision(NextStep.GIVE_UP, findings)
        decision = self._enter_target(now)
        findings += decision.findings
        if decision.step is NextStep.ENTER_TARGET:
            chosen = self._choice.target
            found = f"{failed.model or 'the call'} failed at {failed.provider}: {failure.message}"
            done = f"asked {chosen.model} at {chosen.provider}"
            findings.append(self._log.finding(routing.FELL_BACK, found, done, ahead=1))
        return Decision(decision.step, findings)

    def _enter_target(self, now: float) -> Decision:
        """Select the next target whose circuit breaker admits the call."""
        found_one, refused = self._choice.move_on(now)
        findings = [
            self._log.finding(
                rules.REFUSED,
                f"{target.provider} {target.model}: the circuit breaker is open",
                "nothing was sent",
            )
            for target in refused
        ]
        if not found_one:
            return Decision(NextStep.GIVE_UP, findings)
        self._log.enter_target()
        if self._call.adapted is not None and self._choice.number:
            findings += self._call.adapted.at(self._choice.number).findings
        translation = self._choice.target.translation
        if translation is not None and self._choice.number:
            findings += translation.findings
        return Decision(NextStep.ENTER_TARGET, findings)

    def _findings(self, failure: Failure, done: str) -> list[Finding]:
        if failure.rule is None:
            return []
        return [self._log.finding(failure.rule, failure.message, done)]
