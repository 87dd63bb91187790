"""What a proxy knows and does at the moment, as text: breakers, budgets, lessons, routes, rules."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from wiremend.adapt.lessons import PlacedLesson
from wiremend.engine.health import BreakerState, BudgetState
from wiremend.routing.match import Route
from wiremend.views.content.page import counted, one_line

_NAME_LIMIT = 80
_SHOWN = 50
"""How many entries of each kind are shown."""


@dataclass(frozen=True, slots=True)
class ProxyState:
    """The input of `state_text`."""

    source: str
    """The configuration in force."""
    is_off: bool
    breakers: Sequence[BreakerState]
    budgets: Sequence[BudgetState]
    budget_capacity: float
    """0: retries are not limited."""
    lessons: Sequence[PlacedLesson]
    routes: Sequence[Route]
    switched: Mapping[str, bool]
    """By code: whether a rule was switched off, or on, by hand."""
    disabled: Iterable[str]
    """The codes of all rules that are off."""
    remembered_requests: int


def state_text(state: ProxyState) -> str:
    """Return the state as lines; parts without entries are left out, or have a word for it."""
    is_off = " (wiremend is off: traffic passes unrepaired)" if state.is_off else ""
    by_hand = sorted(state.switched.items())
    parts = [
        ("breakers", [_breaker(one) for one in state.breakers], "all closed"),
        (
            "retry budgets",
            [f"{_target(it.target)}: {it.left:.0f} left" for it in state.budgets],
            f"full: {state.budget_capacity:g} retries" if state.budget_capacity else "not limited",
        ),
        ("lessons", [_lesson(one) for one in state.lessons], "nothing learnt"),
        ("routes", [_route(one) for one in state.routes], "none: calls go where clients send them"),
        ("rules off", sorted(state.disabled), "none"),
        ("rules switched by hand", [f"{c} {'off' if off else 'on'}" for c, off in by_hand], ""),
    ]
    lines = [f"configuration: {one_line(state.source, 200)}{is_off}"]
    for title, entries, otherwise in parts:
        if entries:
            lines += [f"{title}:", *(f"  {entry}" for entry in entries[:_SHOWN])]
            if len(entries) > _SHOWN:
                lines.append(f"  … {len(entries) - _SHOWN} more")
        elif otherwise:
            lines.append(f"{title}: {otherwise}")
    remembered = counted(state.remembered_requests, "call")
    lines.append(f"keys in memory: those of {remembered}, for wiremend.resend and Replay")
    return "\n".join(lines)


def _breaker(one: BreakerState) -> str:
    if one.open_seconds is None:
        state = f"closed, {counted(one.failures, 'failure')} in a row"
    elif one.open_seconds > 0:
        state = f"open, the next call is admitted in {one.open_seconds:.1f} s"
    else:
        state = "half-open, the next call is a probe"
    failure = one.last_failure
    last = f" (last: {failure.status} {failure.kind})".replace(" )", ")") if failure else ""
    return f"{_target(one.target)} {one_line(one.model, _NAME_LIMIT)}: {state}{last}"


def _target(identity: Hashable) -> str:
    """Return what calls are sent to: see `OutgoingRequest.identity`."""
    match identity:
        case (str(name), *_):
            return one_line(name, _NAME_LIMIT)
        case (None, str(scheme), str(host), int(port), *_):
            return one_line(f"{scheme}://{host}:{port}", _NAME_LIMIT)
        case _:
            return one_line(str(identity), _NAME_LIMIT)


def _lesson(placed: PlacedLesson) -> str:
    return one_line(f"{placed.provider} {placed.model}: {placed.lesson}", 200)


def _route(route: Route) -> str:
    target = f"{route.provider or 'the same provider'}/{route.model or 'the same model'}"
    when = f" when {route.when}" if route.when is not None else ""
    fallback = f", then {', '.join(route.fallback)}" if route.fallback else ""
    return one_line(f"{route.match}{when} → {target}{fallback}", 200)
