"""`scripts/run --demo`: official SDKs and an unreliable provider, without and with wiremend.

Everything runs on loopback: a scripted provider that resets connections and sends broken streams,
the anthropic and openai SDKs without retries, and `mitmdump -s addons/`. It needs no network and no
key.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
for _folder in ("addons", "tests"):
    sys.path.insert(0, str(REPOSITORY / _folder))

from traffic import clients, faults, good  # noqa: E402 - found through the lines above
from traffic.proxy import KEY, Proxy, ProxyFailed  # noqa: E402
from wiremend.protocols.base.names import WireProtocol  # noqa: E402
from wiremend.testing.certificates import Authority  # noqa: E402
from wiremend.testing.exchange import Received, Reply, Script  # noqa: E402
from wiremend.testing.provider import ScriptedProvider  # noqa: E402

CONFIGURATION = "[retry]\nbackoff_initial = 0.05\nbackoff_max = 0.2\n"
"""Shorter waits than the defaults, so that the demo is quick."""
CELL_WIDTH = 40
_NO_SCHEMA = "tools.0.custom.input_schema.type: Field required"
_TOOL = {"name": "list_files", "description": "Lists files.", "input_schema": {}}


@dataclass(frozen=True)
class Scenario:
    """One fault of a provider, and what the client must receive with wiremend."""

    title: str
    protocol: WireProtocol
    replies: tuple[Script, ...]
    promise: str
    """`answer`, or the beginning of the SDK's error."""
    tools: tuple[Mapping[str, Any], ...] = ()


def _refusing_empty_schemas(received: Received) -> Reply:
    tools = received.json().get("tools", [])
    if all(tool["input_schema"].get("type") == "object" for tool in tools):
        return faults.none(good.ANTHROPIC)
    error = faults.native_error(good.ANTHROPIC, 400, "invalid_request_error", _NO_SCHEMA)
    return faults.status(400, error)


def _twice(fault: Reply, protocol: WireProtocol) -> tuple[Script, ...]:
    return (fault, fault, faults.none(protocol))


SCENARIOS = (
    Scenario(
        "resets before it answers, twice",
        good.ANTHROPIC,
        _twice(faults.reset_before_head(), good.ANTHROPIC),
        "answer",
    ),
    Scenario(
        "resets after its 200, twice",
        good.CHAT,
        _twice(faults.reset_after_head(good.CHAT), good.CHAT),
        "answer",
    ),
    Scenario(
        "puts an error into a 200 stream, twice",
        good.RESPONSES,
        _twice(faults.wrapped_error_first(good.RESPONSES), good.RESPONSES),
        "answer",
    ),
    Scenario(
        "numbers its content blocks from 1",
        good.ANTHROPIC,
        (faults.streamed(good.stream_with_blocks_from_index(1).events),),
        "answer",
    ),
    Scenario(
        "refuses a tool with an empty schema",
        good.ANTHROPIC,
        (_refusing_empty_schemas,),
        "answer",
        (_TOOL,),
    ),
    Scenario(
        "ends its stream inside the answer",
        good.CHAT,
        (faults.cut_without_terminal_event(good.CHAT),),
        "APIError: ",
    ),
    Scenario(
        "puts an error into a 200 stream, always",
        good.CHAT,
        (faults.wrapped_error_first(good.CHAT),),
        "InternalServerError 500: ",
    ),
)

SDK = {good.ANTHROPIC: "anthropic", good.CHAT: "openai", good.RESPONSES: "openai"}


class Client:
    """A child process that makes calls with one SDK, with its own environment variables."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().endswith(("_PROXY", "_API_KEY", "_BASE_URL"))
        }
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--client"],
            env=inherited | dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, scenario: Scenario) -> clients.Outcome:
        """Make one call. Raises RuntimeError if the child ended instead."""
        assert self._process.stdin
        assert self._process.stdout
        request = {"protocol": scenario.protocol, "tools": [dict(tool) for tool in scenario.tools]}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the {SDK[scenario.protocol]} client ended without an answer")
        return clients.Outcome(**json.loads(answer))

    def close(self) -> None:
        """End the child."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


def serve_calls() -> None:
    """In the child: make a call for each line of standard input, and print its outcome."""
    for line in sys.stdin:
        request = json.loads(line)
        outcome = clients.complete(WireProtocol(request["protocol"]), True, tools=request["tools"])
        print(json.dumps(asdict(outcome)), flush=True)


@contextmanager
def _clients(environment: Mapping[str, str]) -> Iterator[Callable[[Scenario], clients.Outcome]]:
    """Start one child per SDK with these environment variables."""
    children = {sdk: Client(environment) for sdk in sorted(set(SDK.values()))}
    try:
        yield lambda scenario: children[SDK[scenario.protocol]].call(scenario)
    finally:
        for child in children.values():
            child.close()


def run(directory: Path) -> list[tuple[Scenario, clients.Outcome, clients.Outcome, int]]:
    """Run every scenario without and with wiremend.

    Return tuples: scenario, outcome without, outcome with, number of upstream requests with.
    """
    authority = Authority(directory / "authority")
    leaf = authority.leaf("localhost", *dict.fromkeys(good.HOSTS.values()))
    results = []
    with ScriptedProvider(leaf, directory) as provider:
        hosts = dict.fromkeys(good.HOSTS.values(), provider.port)
        proxy = Proxy(directory / "proxy", authority, hosts, configuration=CONFIGURATION)
        address = f"https://localhost:{provider.port}"
        directly = {
            "SSL_CERT_FILE": str(authority.file),
            "ANTHROPIC_API_KEY": KEY,
            "OPENAI_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": address,
            "OPENAI_BASE_URL": f"{address}/v1",
        }
        _log("starting mitmdump -s addons/ and an unreliable provider ...")
        with proxy, _clients(directly) as without, _clients(clients.behind(proxy)) as behind:
            for scenario in SCENARIOS:
                _log(f"a provider that {scenario.title} ...")
                provider.clear()
                provider.script(scenario.replies)
                before = without(scenario)
                provider.clear()
                provider.script(scenario.replies)
                after = behind(scenario)
                results.append((scenario, before, after, len(provider.received)))
    return results


def is_as_promised(scenario: Scenario, outcome: clients.Outcome) -> bool:
    """Return whether the client received what the scenario promises."""
    if scenario.promise == "answer":
        return outcome.succeeded and outcome.text == good.TEXT
    return describe(outcome).startswith(scenario.promise)


def describe(outcome: clients.Outcome) -> str:
    """Return an outcome on one line."""
    if not outcome.error_class:
        whole = outcome.finished and outcome.text == good.TEXT
        return f'"{outcome.text}"' + ("" if whole else " (incomplete, without an error)")
    status = f" {outcome.status}" if outcome.status else ""
    return f"{outcome.error_class}{status}: " + " ".join(outcome.message.split())


def _fitted(text: str) -> str:
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 3].rstrip() + "..."


def table(rows: list[tuple[str, ...]]) -> str:
    """Return rows as text in aligned columns. The first row is the head."""
    cells = [[_fitted(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    cells.insert(1, ["-" * width for width in widths])
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def main() -> int:
    """Run the scenarios and print the table; return 0 if all promises were kept, else 1."""
    try:
        with tempfile.TemporaryDirectory(prefix="wiremend-demo-") as directory:
            results = run(Path(directory))
    except (ProxyFailed, RuntimeError) as problem:
        _log(f"the demo could not run: {problem}")
        return 1
    rows: list[tuple[str, ...]] = [
        ("the provider", "client", "without wiremend", "with wiremend", "requests")
    ]
    for scenario, before, after, requests in results:
        sdk = SDK[scenario.protocol]
        rows.append((scenario.title, sdk, describe(before), describe(after), str(requests)))
    print(table(rows))
    broken = [
        scenario.title for scenario, _, after, _ in results if not is_as_promised(scenario, after)
    ]
    for title in broken:
        _log(f"not as promised: a provider that {title}")
    return 1 if broken else 0


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--client"]:
        serve_calls()
    else:
        sys.exit(main())
