"""What the loaded addons request for one call, and the hook through which they request it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps

from mitmproxy import hooks, http
from mitmproxy.proxy import commands

from wiremend.adapt.lessons import LessonBook
from wiremend.adapt.sessions import Sessions
from wiremend.call_record.kept_traffic import TrafficStore
from wiremend.engine.health import ProviderHealth
from wiremend.engine.settings import Feature, Knowledge, Settings
from wiremend.faults.schedule import FaultSchedule
from wiremend.held_memory import HeldMemory
from wiremend.protocols.base.document import RequestBody
from wiremend.protocols.base.protocol import Protocol
from wiremend.routing.provider_keys import ProviderKeys
from wiremend.rules.containment import FaultLog
from wiremend.seam.flow_record import Mask
from wiremend.seam.shown.growing_response import GrowingResponse

# A reload of this module defines the hook again, and mitmproxy would warn of a conflict.
hooks.all_hooks.pop("wiremend_call", None)

_DEFAULT_SETTINGS = Settings()


@dataclass
class CallOptions:
    """What the loaded addons request for one request that is about to go upstream."""

    flow: http.HTTPFlow
    protocol: Protocol | None = None
    """The protocol of the request; None if it is not a model call."""
    content: RequestBody | None = None
    """The body of a model call, to be parsed once for all; None once the call is planned."""
    features: set[Feature] = field(default_factory=set)
    settings: Settings = _DEFAULT_SETTINGS
    health: ProviderHealth | None = None
    """What is known of the providers; None: nothing. The same applies to the next three."""
    lessons: LessonBook | None = None
    sessions: Sessions | None = None
    keys: ProviderKeys | None = None
    conceal: Callable[[http.HTTPFlow], None] | None = None
    """Removes the secrets from the flow. The request that goes upstream keeps them."""
    mask: Mask | None = None
    """Removes the secrets from the call's record."""
    upstream_headers: tuple[tuple[str, str], ...] = ()
    """Headers that are added to every request that is sent upstream for the call."""
    connect_to: tuple[str, int] | None = None
    """Host and port of the connections of all attempts, instead of those of their requests and of
    an upstream proxy. Calls share connections only if they have the same ones."""
    traffic: TrafficStore | None = None
    """Keeps the messages of the call; None: they are not kept."""
    follow: Callable[[GrowingResponse], None] | None = None
    """Is given the response of the call, to show it while it grows."""
    report_refusal: Callable[[http.HTTPFlow, str], None] | None = None
    """Reports a call that is answered with an error instead of going upstream; gets the reason."""
    is_off: bool = False
    """Let the request pass unchanged; `features` has no effect then."""
    faults: FaultSchedule | None = None
    """The faults that are injected into the provider's answers."""
    fault_log: FaultLog | None = None
    fault: Exception | None = None
    """The first exception that an addon raised; see `noting_faults`."""

    def knowledge(self, memory: HeldMemory) -> Knowledge:
        """Return what is known when the call is planned."""
        return Knowledge(
            ProviderHealth() if self.health is None else self.health,
            LessonBook() if self.lessons is None else self.lessons,
            Sessions() if self.sessions is None else self.sessions,
            ProviderKeys() if self.keys is None else self.keys,
            FaultLog() if self.fault_log is None else self.fault_log,
            memory,
        )


@dataclass
class WiremendCallHook(commands.StartHook):
    """`wiremend_call(options)`: each addon adds what it requests, in any order."""

    options: CallOptions


def noting_faults(step: Callable[[CallOptions], None]) -> Callable[[CallOptions], None]:
    """Wrap an addon's `wiremend_call` so that an exception in it ends the call.

    mitmproxy logs an addon's exception and continues. Here it would continue without a feature: a
    routed call would go to the provider that the client addressed.
    """

    @wraps(step)
    def wiremend_call(options: CallOptions) -> None:
        try:
            step(options)
        except Exception as fault:
            options.fault = options.fault or fault

    return wiremend_call
