"""`scripts/bench`: the cost of wiremend as ratios to a mitmdump without it."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
for _folder in ("addons", "tests"):
    sys.path.insert(0, str(REPOSITORY / _folder))

from traffic import faults, good  # noqa: E402 - found through the lines above
from traffic.clients import model_call  # noqa: E402
from traffic.proxy import STREAM_RESPONSES, SUITE, Proxy  # noqa: E402
from wiremend.testing.certificates import Authority  # noqa: E402
from wiremend.testing.exchange import Reply  # noqa: E402
from wiremend.testing.provider import ScriptedProvider  # noqa: E402

ROUNDS = 5
DELTAS = 6000
WRITE_BYTES = 48 * 1024
SMALL_CALLS = 20
SLOW = 1.5
"""Higher ratios are marked in the table."""


@dataclass(frozen=True)
class Case:
    """Calls that are made through both proxies."""

    name: str
    reply: Reply
    body: bytes
    stream: bool = True
    calls: int = 1


def long_stream() -> list[bytes]:
    """Return the events of an Anthropic stream with `DELTAS` deltas."""
    stream = good.text_stream(good.ANTHROPIC)
    middle = stream.places["mid_content"]
    return [
        *stream.events[: middle - 1],
        *[stream.events[middle - 1]] * DELTAS,
        *stream.events[middle:],
    ]


def chunk_per_event(events: list[bytes]) -> Reply:
    """Return a chunked body with an HTTP chunk for each event, sent in large writes."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"
    writes = [coded[start : start + WRITE_BYTES] for start in range(0, len(coded), WRITE_BYTES)]
    return Reply("chunks", (faults.head(), *(faults.raw(write) for write in writes)))


def small_writes(events: list[bytes]) -> Reply:
    """Return a chunked body with a write for each event."""
    return faults.streamed(events)


def request(size: int, tools: int, schema: Callable[[int], dict[str, Any]]) -> bytes:
    """Return an Anthropic request of about `size` bytes with `tools` tools."""
    definitions = [
        {
            "name": f"tool_{number}",
            "description": "Reads a file from the project. " * 20,
            "input_schema": schema(number),
        }
        for number in range(tools)
    ]
    body = good.request_body(good.ANTHROPIC, True) | {"tools": definitions}
    missing = size - len(json.dumps(body))
    body["system"] = "You are an agent that works with care. " * (missing // 39)
    return json.dumps(body).encode()


def valid_schema(number: int) -> dict[str, Any]:
    """Return a schema that every provider accepts."""
    path = {"type": "string", "description": "The file's path, from the project's root."}
    return {"type": "object", "properties": {"path": path}, "required": ["path"]}


def broken_schema(number: int) -> dict[str, Any]:
    """Return a schema without a type, with an array without items."""
    return {"properties": {"paths": {"type": "array"}}, "required": ["paths", "mode"]}


def cases() -> list[Case]:
    """Return the cases to measure."""
    small = json.dumps(good.request_body(good.ANTHROPIC, True)).encode()
    text = faults.none(good.ANTHROPIC)
    events = long_stream()
    return [
        Case(f"{len(events)} events, many per read", chunk_per_event(events), small),
        Case("300 events, one per read", small_writes(events[-300:]), small),
        Case(f"{SMALL_CALLS} small streaming calls", text, small, calls=SMALL_CALLS),
        Case("request of 85 KB, 9 tools", text, request(85_000, 9, valid_schema), calls=5),
        Case("request of 1 MB, 100 tools", text, request(1_000_000, 100, valid_schema), calls=5),
        Case("the same, all 100 tools repaired", text, request(1_000_000, 100, broken_schema)),
    ]


def seconds(proxy: Proxy, provider: ScriptedProvider, case: Case) -> float:
    """Return the seconds that the case takes through this proxy."""
    provider.clear()
    provider.script([case.reply])
    started = time.perf_counter()
    for _ in range(case.calls):
        with model_call(proxy, good.ANTHROPIC, case.stream, body=case.body) as call:
            response = call.response()
        if response.status != 200 or response.ended != "complete":
            raise SystemExit(f"bench: {case.name}: the call failed: {response}")
    return time.perf_counter() - started


def main() -> None:
    """Measure all cases and print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="wiremend-bench-") as name:
        directory = Path(name)
        (directory / "authority").mkdir()
        authority = Authority(directory / "authority")
        leaf = authority.leaf(*dict.fromkeys(good.HOSTS.values()))
        with ScriptedProvider(leaf, directory) as provider:
            hosts = dict.fromkeys(good.HOSTS.values(), provider.port)
            plain = Proxy(directory / "plain", authority, hosts, scripts=(STREAM_RESPONSES,))
            repairing = Proxy(directory / "wiremend", authority, hosts, scripts=(SUITE,))
            with plain, repairing:
                _measure(plain, repairing, provider, rounds)


def _measure(plain: Proxy, repairing: Proxy, provider: ScriptedProvider, rounds: int) -> None:
    print(f"{'best of ' + str(rounds):<52}{'mitmdump':>10}{'wiremend':>10}{'ratio':>8}")
    for case in cases():
        times: dict[Proxy, list[float]] = {plain: [], repairing: []}
        for _ in range(rounds):
            for proxy, measured in times.items():
                measured.append(seconds(proxy, provider, case))
        without, with_wiremend = min(times[plain]), min(times[repairing])
        ratio = with_wiremend / without
        mark = "  slow" if ratio > SLOW else ""
        print(
            f"{case.name:<52}{without * 1000:>7.0f} ms{with_wiremend * 1000:>7.0f} ms"
            f"{ratio:>8.2f}{mark}",
            flush=True,
        )


if __name__ == "__main__":
    main()
