"""`scripts/fuzz`: run the targets of tests/fuzzing under atheris, one process each."""

import argparse
import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import atheris

with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["wiremend"]):
    from fuzzing.targets import TARGETS, seeds, target_named

FOLDER = Path(".fuzz")
MEMORY_LIMIT_MIB = 1024
HANG_SECONDS = 20
INPUT_LIMIT_BYTES = 16_384
EVENT = re.compile(rb".+?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)
ODD: list[Any] = [None, "", "x", "{", "1", 0, 1, -1, 2.5, True, [], {}, [None], {"a": 1}, 2**70]
DONE = re.compile(r"stat::number_of_executed_units: +(\d+)")
MEMORY = re.compile(r"stat::peak_rss_mb: +(\d+)")
COVERAGE = re.compile(r" cov: (\d+) ")


def mutate(data: bytes, limit: int, seed: int, pool: list[bytes]) -> bytes:
    """Return mutated data: in half of the cases bytes, otherwise events or a JSON value in one."""
    chance = Random(seed)
    if chance.random() < 0.5:
        mutated: bytes = atheris.Mutate(data, limit)
        return mutated
    events = EVENT.findall(data)
    at = chance.randrange(len(events)) if events else 0
    match chance.choice(["drop", "double", "swap", "foreign", "field", "field", "field"]):
        case "drop":
            del events[at : at + 1]
        case "double":
            events.insert(chance.randint(0, len(events)), *events[at : at + 1] or [b"\n"])
        case "swap":
            chance.shuffle(events)
        case "foreign":
            events.insert(at, chance.choice(EVENT.findall(chance.choice(pool)) or [b"\n"]))
        case "field" if events:
            events[at] = with_another_value(events[at], chance)
    return b"".join(events)[:limit]


def with_another_value(event: bytes, chance: Random) -> bytes:
    """Return the event with one value of its JSON removed or replaced; unchanged without JSON."""
    start = min((at for at in (event.find(b"{"), event.find(b"[")) if at >= 0), default=0)
    try:
        value, length = json.JSONDecoder().raw_decode(event[start:].decode())
    except ValueError:
        return event
    if not isinstance(value, dict | list) or not value:
        return event
    holders = [value]
    for holder in holders:
        inner = holder.values() if isinstance(holder, dict) else holder
        holders += [item for item in inner if isinstance(item, dict | list) and item]
    holder = chance.choice(holders)
    key = chance.choice([*holder] if isinstance(holder, dict) else range(len(holder)))
    if chance.random() < 0.3:
        del holder[key]
    else:
        holder[key] = chance.choice([*ODD, *holders])
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except ValueError:  # a circular reference
        return event
    rest = event[start:].decode()[length:]
    return event[:start] + (text + rest).encode("utf-8", "surrogatepass")


def fuzz_one(target: str, seconds: int) -> None:
    """Fuzz for `seconds` or until an input fails. Does not return."""
    folder = FOLDER / target
    reached = folder / "reached"
    reached.mkdir(parents=True, exist_ok=True)
    pool = seeds(target)
    for number, seed in enumerate(pool):
        (reached / f"seed-{number}").write_bytes(seed)
    options = {
        "max_total_time": seconds,
        "max_len": INPUT_LIMIT_BYTES,
        "rss_limit_mb": MEMORY_LIMIT_MIB,
        "timeout": HANG_SECONDS,
        "artifact_prefix": f"{folder}/",
        "print_final_stats": 1,
    }
    atheris.Setup(
        [target, *(f"-{name}={value}" for name, value in options.items()), str(reached)],
        TARGETS[target],
        custom_mutator=lambda data, limit, seed: mutate(data, limit, seed, pool),
    )
    atheris.Fuzz()


def target(text: str) -> str:
    """Return the full name of a target. Raises ArgumentTypeError for argparse."""
    try:
        return target_named(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def main() -> int:
    """Fuzz the targets one after the other; return 1 if an input failed, else 0."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", type=target, metavar="TARGET")
    arguments = parser.parse_args()
    if arguments.alone:
        fuzz_one(arguments.targets[0], arguments.seconds)
    failed = 0
    for name in arguments.targets or TARGETS:
        command = [sys.executable, __file__, "--alone", "--seconds", str(arguments.seconds), name]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        (FOLDER / name / "log").write_text(done.stdout)
        runs, memory = DONE.findall(done.stdout), MEMORY.findall(done.stdout)
        lines = COVERAGE.findall(done.stdout)
        verdict = "passed" if done.returncode == 0 else f"FAILED: see .fuzz/{name}/log"
        print(
            f"{name:26} {int((runs or [0])[-1]):>9,} runs, coverage {(lines or ['?'])[-1]:>5}, "
            f"{(memory or ['?'])[-1]:>4} MiB: {verdict}",
            flush=True,
        )
        failed += done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
