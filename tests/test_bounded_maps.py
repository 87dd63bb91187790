"""Nothing that lives as long as the proxy grows with the number of distinct keys it has seen.

Clients choose hosts, models, names of tools and sessions; providers choose what is learnt.
"""

import functools
import gc
import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from engine.test_call_machine import GOOD
from finish_calls import FinishCalls
from load_configuration import Suite, suite_of
from mitmproxy.connection import ConnectionState
from redact_secrets import RedactSecrets
from seam.playbook import Playbook, playing
from seam.test_stream_layer import HEAD, LAST, SETTINGS, chunk
from wiremend.config.current import CurrentConfig
from wiremend.engine.settings import Feature, Knowledge
from wiremend.seam.call_options import CallOptions

CALLS = 1200
LARGEST = 1100
"""More than the largest bound of a map, and fewer than the distinct keys that are fed."""
REFUSAL = (
    "tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top"
    " level"
)


def request(number: int) -> bytes:
    """Return a call in which everything that a client can choose differs."""
    body = json.dumps(
        {
            "model": f"model-{number}",
            "stream": True,
            "max_tokens": 10,
            "metadata": {"user_id": f"session-{number}"},
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [
                {
                    "name": f"tool-{number}",
                    "input_schema": {"anyOf": [{"type": "object", "properties": {}}]},
                }
            ],
        }
    ).encode()
    host = f"h{number}.example.com"
    return (
        f"POST http://{host}/v1/messages?session={number} HTTP/1.1\r\nhost: {host}\r\n"
        f"content-type: application/json\r\nx-api-key: sk-{number:020}\r\n"
        f"x-session-{number}: {number}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


def refusal() -> bytes:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": REFUSAL}}
    body = json.dumps(error).encode()
    head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
    return head + b"content-length: %d\r\n\r\n%s" % (len(body), body)


def containers(root: Any) -> Iterator[tuple[str, int]]:
    """Yield the owner and the size of each container that can be reached from an object."""
    seen: set[int] = set()
    waiting = deque([("", root)])
    while waiting:
        owner, found = waiting.popleft()
        if id(found) in seen or isinstance(found, str | bytes | int | float | type):
            continue
        seen.add(id(found))
        if isinstance(found, dict | list | set | tuple | frozenset | deque):
            yield owner, len(found)
            members = [*found, *found.values()] if isinstance(found, dict) else list(found)
            waiting += [(owner, member) for member in members]
        elif type(found).__module__.split(".")[0] not in ("mitmproxy", "builtins", "asyncio"):
            name = type(found).__name__
            state = dict(getattr(found, "__dict__", {}))
            for kind in type(found).__mro__:
                for slot in getattr(kind, "__slots__", ()):
                    if hasattr(found, slot):
                        state[slot] = getattr(found, slot)
            waiting += [(f"{name}.{key}", value) for key, value in state.items()]


@pytest.mark.long
def test_no_map_grows_with_what_clients_and_providers_choose() -> None:
    knowledge = Knowledge()
    suite = Suite(CurrentConfig(), knowledge)
    shells = [RedactSecrets(suite), FinishCalls(suite)]

    def plan(options: CallOptions) -> None:
        for shell in shells:
            shell.wiremend_call(options)
        options.features |= set(Feature)
        options.settings = SETTINGS
        options.health, options.lessons = knowledge.health, knowledge.lessons

    with playing(plan) as book:
        for name in ("request", "response", "error"):
            book.at_hook[name] = functools.partial(_call_hooks, shells, name)
        for number in range(CALLS):
            _complete(book, number)
        assert len(knowledge.lessons.learnt) > 100, "the refusals taught nothing"
        roots = [knowledge, suite, shells, book.layer.__dict__["wiremend"]]
        large = [(owner, size) for owner, size in containers(roots) if size > LARGEST]
        assert large == []
        assert len(book.layer.connections) + len(book.layer.streams) < 20
        assert knowledge.memory.held_bytes == 0


def _call_hooks(shells: list[Any], name: str, flow: Any) -> None:
    for shell in shells:
        if hook := getattr(shell, name, None):
            hook(flow)


def _complete(book: Playbook, number: int) -> None:
    """Make one call whose first attempt is refused, and forget what the test itself keeps."""
    book.client_sends(request(number))
    book.server_sends(refusal())
    server = book.servers[-1]
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    for connection in book.servers:
        if connection.state is not ConnectionState.CLOSED:
            book.closes(connection)
    assert server.state is ConnectionState.CLOSED
    book.flows.clear()
    book.servers.clear()
    book.timers.clear()
    book.hooks.clear()


def test_no_cache_of_the_library_is_unbounded() -> None:
    """`functools.cache` of a function whose arguments come from the traffic is a leak."""
    suite_of()
    caches = [
        found
        for found in gc.get_objects()
        if isinstance(found, functools._lru_cache_wrapper)
        and found.__module__.split(".")[0] == "wiremend"
    ]
    unbounded = [found for found in caches if found.cache_parameters()["maxsize"] is None]
    with_arguments = [
        found.__qualname__ for found in unbounded if found.__wrapped__.__code__.co_argcount
    ]
    assert with_arguments == []


@pytest.mark.parametrize("large", [dict.fromkeys(range(LARGEST + 1)), list(range(LARGEST + 1))])
def test_a_map_that_grows_is_found(large: Any) -> None:
    class Shell:
        def __init__(self) -> None:
            self.inner = {"key": large}

    assert ("Shell.inner", LARGEST + 1) in containers([Shell()])
