"""The command line of `scripts/soak`."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from traffic import good
from traffic.proxy import SUITE, Proxy
from wiremend.testing.certificates import Authority, LeafPerName
from wiremend.testing.provider import ScriptedProvider
from wiremend.testing.proxy import ProxyFailed

from .callers import Callers
from .load import Load, Replies
from .report import as_json, head_line, minute_line, progress_line, verdict_lines
from .samples import Sample, Sampler
from .scenarios import CLIENTS, SCENARIOS, UNREACHABLE_HOST, Scenario
from .schedule import call_of
from .verdict import JUDGED, WARM_UP_SECONDS, Verdict, growth_of

CONFIGURATION = """
[breaker]
failures = 0

[retry]
budget = 0
backoff_initial = 0.01
backoff_max = 0.05

[timeouts]
first_byte = 10.0
answer = 10.0
idle = 10.0

[heartbeat]
after = 1.0
interval = 1.0

[fire_and_forget]
ack_after = 1.0
"""
"""Without retry budget and circuit breaker, since every hidden fault must be hidden. With
short limits, so that stalls end soon and keep-alives are sent meanwhile; long enough that a machine
which is busy otherwise does not cause timeouts that are not scripted."""
REPORT_STATE = str(Path(__file__).with_name("report_state.py"))
SETTLING_SECONDS = 20.0
"""How long sockets and tasks may take to be gone after the last call."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak; return the exit status: 0 if it is good, else 1."""
    options = _parser().parse_args(arguments)
    scenarios = _chosen(options.only, options.client)
    if not scenarios:
        print("scripts/soak: no scenario has this name and this client", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the proxy ends, too
    with tempfile.TemporaryDirectory(prefix="wiremend-soak-") as name:
        try:
            return asyncio.run(_soak(options, scenarios, Path(name)))
        except KeyboardInterrupt:
            print("scripts/soak: interrupted", file=sys.stderr)
            return 130


def _chosen(text: str, client: str | None) -> list[Scenario]:
    """Return the scenarios with this text in their names, with this client only."""
    chosen = [one for one in SCENARIOS if text in one.name]
    if client is None:
        return chosen
    return [replace(one, clients=(client,)) for one in chosen if client in one.clients]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description="Makes calls of many kinds through one `mitmdump -s addons/` at a constant "
        "rate: official SDKs and raw HTTP/1.1 and HTTP/2 clients, four protocols, a provider with "
        "some fifty faults. Fails if a call is lost, hangs or ends in another way than scripted, "
        "if sockets or tasks are left over, or if memory grows by more than 5 % after minute 5.",
    )
    parser.add_argument("minutes", metavar="MINUTES", type=float, help="such as 30, or 0.2")
    parser.add_argument("--rate", type=float, default=5.0, help="calls per second (default: 5)")
    parser.add_argument("--at-once", type=int, default=20, help="at most so many run (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule (default: 1)")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between samples")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="scenarios with TEXT in the name"
    )
    parser.add_argument("--client", choices=CLIENTS, help="only calls of this kind of client")
    parser.add_argument("--config", type=Path, metavar="FILE", help="instead of short timeouts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    return parser


@dataclass
class _Progress:
    """Takes samples, and prints a row per minute while the load runs."""

    sampler: Sampler
    load: Load
    every_seconds: float
    samples: list[Sample] = field(default_factory=list)
    types_after_warm_up: dict[str, int] = field(default_factory=dict)
    _printed: int = 0

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            await asyncio.sleep(self.every_seconds)
            sample = await asyncio.to_thread(self.sampler.take)
            self.samples.append(sample)
            if sample.seconds >= WARM_UP_SECONDS and not self.types_after_warm_up:
                self.types_after_warm_up = (await self.census())["types"]
            self.print_minutes(int(sample.seconds // 60))
            if sys.stderr.isatty():
                print(f"\r{progress_line(self.load, sample)}  ", end="", file=sys.stderr)

    async def census(self) -> Any:
        """Return the objects of the proxy by type."""
        return await asyncio.to_thread(self.sampler.ask, "census")

    def print_minutes(self, over: int) -> None:
        """Print the rows of the minutes that are over."""
        if self._printed < over and sys.stderr.isatty():
            print("\r" + " " * 100, end="\r", file=sys.stderr)
        for number in range(self._printed, min(over, len(self.load.minutes))):
            of_minute = [one for one in self.samples if one.seconds // 60 == number]
            print(minute_line(number, self.load.minutes[number], of_minute), flush=True)
            self._printed = number + 1


def _ignore_abandoned_streams(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Do not print that the SDKs leave it to the garbage collector to close a failed stream."""
    if "asyncgen" not in context:
        loop.default_exception_handler(context)


async def _soak(options: argparse.Namespace, scenarios: Sequence[Scenario], directory: Path) -> int:
    asyncio.get_running_loop().set_exception_handler(_ignore_abandoned_streams)
    configuration = options.config.read_text() if options.config else CONFIGURATION
    with _running(directory, configuration) as (proxy, provider):
        sampler = Sampler(proxy.pid, directory / "state")
        before = sampler.take()
        replies = Replies()
        provider.script([replies.reply])
        async with Callers(proxy, options.at_once, replies.received_for) as callers:
            call_at = partial(call_of, options.seed, scenarios=scenarios)
            load = Load(call_at, callers, replies, provider, options.rate, options.at_once)
            progress = _Progress(sampler, load, options.every)
            print(head_line(), flush=True)
            sampler.started = time.monotonic()
            sampling = asyncio.create_task(progress.run())
            await load.run(options.minutes * 60)
            sampling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sampling
            grown = _grown(progress.types_after_warm_up, (await progress.census())["types"])
        progress.print_minutes(len(load.minutes))
        after = await asyncio.to_thread(_settled, sampler, before)
        growths = [growth_of(name, progress.samples) for name in JUDGED]
        verdict = Verdict(
            made=load.made,
            failed=load.failed,
            growths=tuple(growth for growth in growths if growth is not None),
            before=before,
            after=after,
            load=growth_of("sockets", progress.samples),
            complaints=_complaints(proxy),
        )
    print("\n".join(verdict_lines(verdict, load, grown)))
    if options.json:
        run = {"minutes": options.minutes, "rate": options.rate, "seed": options.seed}
        measured = as_json(verdict, load, progress.samples, grown, **run)
        options.json.write_text(json.dumps(measured, indent=1) + "\n")
    return 0 if verdict.is_good else 1


@contextlib.contextmanager
def _running(directory: Path, configuration: str) -> Iterator[tuple[Proxy, ScriptedProvider]]:
    """Start the provider and the proxy."""
    authority = Authority(directory / "authority")
    with ScriptedProvider(LeafPerName(authority), directory) as provider:
        hosts = dict.fromkeys(good.HOSTS.values(), provider.port)
        refused = provider.refusing_port
        proxy = Proxy(
            directory / "proxy",
            authority,
            {**hosts, UNREACHABLE_HOST: refused},
            scripts=(SUITE, REPORT_STATE),
            configuration=configuration,
            environment={"WIREMEND_SOAK_SOCKET": str(directory / "state")},
        )
        proxy.start()
        try:
            yield proxy, provider
        finally:
            proxy.stop()


def _settled(sampler: Sampler, before: Sample) -> Sample:
    """Wait until sockets and tasks are as before the first call; return the last sample."""
    deadline = time.monotonic() + SETTLING_SECONDS
    while True:
        sample = sampler.take()
        is_settled = sample.sockets <= before.sockets and sample.tasks <= before.tasks
        if is_settled or time.monotonic() > deadline:
            return sample
        time.sleep(0.2)


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items()} if before else {}


def _complaints(proxy: Proxy) -> tuple[str, ...]:
    try:
        proxy.assert_log_is_clean()
    except ProxyFailed as failure:
        return (str(failure)[:2000],)
    return ()


if __name__ == "__main__":
    sys.exit(main())
