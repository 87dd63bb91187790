"""One turn of an agent under one fault."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agents.clis import Agent, streams
from agents.runs import Runner
from traffic import faults, good
from traffic.proxy import Proxy, ProxyFailed
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from chaos.catalogue import Fault, answer_of, has_result

_CONFIGURATION = """
[retry]
backoff_initial = 0.1
backoff_max = 1.0

[timeouts]
first_byte = 5.0
idle = 5.0
"""
"""A stall is noticed after five seconds instead of minutes, so that a run does not take hours."""


@dataclass(frozen=True)
class Turn:
    """How a turn ended."""

    agent: str
    fault: str
    repairs: bool
    ending: str
    """`well`, `failed` (the agent exited with an error, or without the answer) or `hangs`."""
    seconds: float
    injected: int
    """In how many calls the fault was injected."""
    calls: int
    """The calls that the agent made."""

    @property
    def is_well(self) -> bool:
        """Whether the user has the answer."""
        return self.ending == "well"


class Chaos:
    """Runs turns, each with its own provider, proxy, home and working directory."""

    def __init__(self, programs: Path, directory: Path, limit_seconds: float) -> None:
        self._runner = Runner(programs, directory)
        self._authority: Authority = self._runner.authority
        self._leaf = self._authority.leaf(*dict.fromkeys(good.HOSTS.values()))
        self._limit_seconds = limit_seconds

    def close(self) -> None:
        """End the agents that still run."""
        self._runner.close()

    def play_patiently(self, agent: Agent, fault: Fault, *, repairs: bool) -> Turn:
        """Run one turn; once more if its proxy took too long to start, on a machine under load."""
        try:
            return self.play(agent, fault, repairs=repairs)
        except ProxyFailed:
            return self.play(agent, fault, repairs=repairs)

    def play(self, agent: Agent, fault: Fault, *, repairs: bool) -> Turn:
        """Run one turn."""
        directory = self._runner.new_directory()
        arguments = [] if repairs else ["--set", "wiremend_off=true"]
        if fault.keys:
            file = directory / "faults.toml"
            file.write_text(fault.file_for(agent))
            arguments += ["--set", f"wiremend_faults={file}"]
        with ScriptedProvider(self._leaf, directory) as provider:
            provider.script([partial(answer_of, agent, fault)], when=agent.is_call)
            provider.script(
                [lambda received: faults.none(agent.protocol, streams(received))],
                when=agent.is_side_call,
            )
            with Proxy(
                directory / "proxy",
                self._authority,
                dict.fromkeys(good.HOSTS.values(), provider.port),
                configuration=_CONFIGURATION,
                arguments=arguments,
                refusals_file=provider.refusals_file,
                reports_calls=True,
            ) as proxy:
                start = time.monotonic()
                run = self._runner.turn(agent, proxy, directory, self._limit_seconds)
                seconds = time.monotonic() - start
                records = [call for call in proxy.calls if call.model_asked == agent.model]
            has_run_tool = any(map(has_result, provider.received))
        is_answered = run.status == 0 and good.TEXT in run.stdout
        is_well = is_answered and (has_run_tool or not fault.with_tool)
        return Turn(
            agent=agent.name,
            fault=fault.name,
            repairs=repairs,
            ending="hangs" if run.status is None else "well" if is_well else "failed",
            seconds=round(seconds, 1),
            injected=sum(any(attempt.injected for attempt in call.attempts) for call in records),
            calls=len(records),
        )
