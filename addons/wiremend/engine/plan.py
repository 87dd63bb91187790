"""What shall be done with one request: filled in by the addons, turned into a machine once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.call_settings import CallSettings, Heartbeat, Target, Timeouts
from wiremend.engine.fire_and_forget import Acknowledgement
from wiremend.engine.health import ProviderHealth
from wiremend.engine.machine import Machine
from wiremend.engine.retry import RetryPolicy
from wiremend.protocols.base.client_traits import UNKNOWN_CLIENT, ClientTraits
from wiremend.protocols.base.document import OutgoingRequest
from wiremend.protocols.base.protocol import Protocol, RequestFacts
from wiremend.protocols.base.repairer import StreamContext

ONE_ATTEMPT = RetryPolicy(attempts=1)


@dataclass
class CallPlan:
    """One request that is about to go upstream. With nothing filled in it goes as it always did."""

    host: str
    protocol: Protocol | None = None
    """The protocol it was recognised as; None when it is no model call."""
    facts: RequestFacts | None = None
    client: ClientTraits = UNKNOWN_CLIENT
    """What is known about the client; see `wiremend.clients`."""
    shown_model: str | None = None
    """The model name that the response must bear."""
    showing: Literal["live", "guarded", "buffered"] = "live"
    """When content is shown; see `CallSettings`."""
    repair: bool = False
    """Mend events and bodies; every target is asked for `accept-encoding: identity`."""
    raise_errors: bool = False
    """Turn errors inside a 200 into HTTP errors."""
    retry: RetryPolicy | None = None
    """Try again when an attempt fails."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    heartbeat: Heartbeat = field(default_factory=lambda: Heartbeat(after=0.0))
    disabled: frozenset[str] = frozenset()
    """Codes of the rules that are off."""
    mending_codes: frozenset[str] = frozenset()
    """Codes of the rules that mend what is shown; all are off unless `repair`."""
    requests: tuple[OutgoingRequest, ...] = ()
    """Where the call may be sent, first choice first; empty: where its client sent it."""
    fitted: AdaptedRequests | None = None
    """The same requests (or the client's own) as each target accepts them."""
    health: ProviderHealth | None = None
    """Budgets and breakers to heed."""
    acknowledge_after_seconds: float | None = None
    """Answer 204 as soon as upstream's 2xx head arrives, or after so many seconds."""

    def machine(
        self, *, random: Callable[[], float], wall_clock: Callable[[], float]
    ) -> Machine | None:
        """The machine that carries the request, or None for mitmproxy's own way.

        `random` gives numbers from 0 to below 1, `wall_clock` seconds since the epoch.
        """
        if self.acknowledge_after_seconds is not None:
            return Acknowledgement(
                host=self.host,
                ack_after_seconds=self.acknowledge_after_seconds,
                limit_seconds=self.timeouts.answer,
            )
        if self.protocol is None or self.facts is None:
            return None
        if not (self.repair or self.raise_errors or self.retry or self.requests or self.fitted):
            return None
        return CallMachine(self._settings(), random=random, wall_clock=wall_clock)

    def request_for(self, target: int) -> OutgoingRequest | None:
        """What goes to this target now; None: the client's request, as it stands in the flow."""
        if self.fitted is not None and (self.requests or self.fitted.is_amended(target)):
            return self.fitted.at(target).request
        return self.requests[target] if self.requests else None

    def _targets(self) -> tuple[Target, ...]:
        model = self.facts.model if self.facts else ""
        places = [(one.provider, one.model) for one in self.requests] or [(self.host, model)]
        health = self.health
        return tuple(
            Target(provider, model, health.of(provider, model) if health else None)
            for provider, model in places
        )

    def _settings(self) -> CallSettings:
        assert self.protocol is not None
        assert self.facts is not None
        return CallSettings(
            protocol=self.protocol,
            targets=self._targets(),
            streaming=self.facts.streaming,
            context=StreamContext(
                client=self.client,
                shown_model=self.shown_model,
                model=self.shown_model or self.facts.model,
                tool_names=self.facts.tool_names,
                disabled=self.disabled if self.repair else self.disabled | self.mending_codes,
                array=self.facts.array,
            ),
            fitted=self.fitted,
            showing=self.showing,
            raise_errors=self.raise_errors,
            retry=self.retry or ONE_ATTEMPT,
            timeouts=self.timeouts,
            heartbeat=self.heartbeat,
        )
