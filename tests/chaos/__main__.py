"""`scripts/chaos`: run the turns, and print the table of those that ended well."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from agents.clis import Agent
from agents.installation import NotInstalled, install

from chaos.catalogue import AGENTS, FAULTS, Fault
from chaos.turns import Chaos, Turn

_MODES = (True, False)
_PLAIN_ENDINGS = {"well": "ok", "failed": "fails", "hangs": "hangs"}


def main() -> int:
    """Run the command; return the exit status."""
    options = parse()
    try:
        programs = install()
    except NotInstalled as reason:
        print(f"scripts/chaos: {reason}", file=sys.stderr)
        return 1
    agents = [agent for agent in AGENTS if not options.agent or agent.name in options.agent]
    faults = [fault for fault in FAULTS if not options.fault or fault.name in options.fault]
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        chaos = Chaos(programs, Path(directory), options.limit)
        try:
            turns = play_all(chaos, agents, faults, options.at_once)
        finally:
            chaos.close()
    print(table(turns, agents, faults))
    if options.json:
        options.json.write_text(json.dumps([asdict(turn) for turn in turns], indent=1) + "\n")
    healthy = {fault.name for fault in faults if not fault.keys}
    return int(any(turn.fault in healthy and not turn.is_well for turn in turns))


def parse() -> argparse.Namespace:
    """Return the options. Exits with status 2 on a wrong one."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", allow_abbrev=False)
    names = [agent.name for agent in AGENTS]
    parser.add_argument("--agent", action="append", choices=names)
    parser.add_argument("--fault", action="append", choices=[fault.name for fault in FAULTS])
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--limit", type=float, default=90.0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def play_all(
    chaos: Chaos, agents: Sequence[Agent], faults: Sequence[Fault], at_once: int
) -> list[Turn]:
    """Play each fault with each agent in both modes; print a line for each turn as it ends."""
    cells = [(agent, fault, mode) for fault in faults for agent in agents for mode in _MODES]

    def play(cell: tuple[Agent, Fault, bool]) -> Turn:
        agent, fault, repairs = cell
        turn = chaos.play_patiently(agent, fault, repairs=repairs)
        mode = "repairs" if repairs else "plain"
        line = f"{turn.fault}, {turn.agent}, {mode}: {turn.ending} ({turn.seconds:g} s"
        print(f"{line}, {turn.calls} calls, {turn.injected} with the fault)", file=sys.stderr)
        return turn

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(play, cells))


def table(turns: Sequence[Turn], agents: Sequence[Agent], faults: Sequence[Fault]) -> str:
    """Return the table in Markdown: for each fault and agent the ending with repairs / without."""
    by_cell = {(turn.fault, turn.agent, turn.repairs): turn for turn in turns}
    lines = [
        f"| fault of the provider | {' | '.join(agent.name for agent in agents)} |",
        f"|---|{'---|' * len(agents)}",
    ]
    for fault in faults:
        cells = [
            " / ".join(cell(by_cell[fault.name, agent.name, mode]) for mode in _MODES)
            for agent in agents
        ]
        lines.append(f"| {fault.name} | {' | '.join(cells)} |")
    broken = [turn for turn in turns if turn.injected]
    sums = []
    for mode in _MODES:
        counted = [turn for turn in broken if turn.repairs is mode]
        sums.append(f"{sum(turn.is_well for turn in counted)} of {len(counted)}")
    lines.append(f"\nturns with a fault that ended well: {sums[0]} with repairs, {sums[1]} plain")
    return "\n".join(lines)


def cell(turn: Turn) -> str:
    """Return the ending in a word; `no effect` if the answer had no place for the fault."""
    if turn.fault.startswith("none") or turn.injected:
        return _PLAIN_ENDINGS[turn.ending]
    return "no effect"


if __name__ == "__main__":
    sys.exit(main())
