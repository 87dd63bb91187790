"""The calls of a run. A call depends on the seed and its number only, not on time."""

import random
from collections.abc import Sequence

from .scenarios import CLIENTS, SCENARIOS, Call, Scenario


def call_of(seed: int, number: int, scenarios: Sequence[Scenario] = SCENARIOS) -> Call:
    """Return the call with this number, from 0, of the run with this seed."""
    chance = random.Random(f"{seed}:{number}")
    [scenario] = chance.choices(scenarios, [scenario.weight for scenario in scenarios])
    possible = [client for client in CLIENTS if client in scenario.clients]
    return Call(
        number,
        scenario,
        client=chance.choice(possible),
        protocol=chance.choice(scenario.protocols),
        stream=chance.choice(scenario.streams),
        tool=chance.choice(scenario.tools),
    )
