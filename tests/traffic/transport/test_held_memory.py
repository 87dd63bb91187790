"""Many large calls at once: the proxy's memory stays bounded, and each call ends properly."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider
from wiremend.testing.steps import whole

from traffic import faults, good
from traffic.clients import RawResponse, model_call
from traffic.conftest import SHARED
from traffic.proxy import Proxy
from traffic.transport.test_many_calls import resident_bytes

MEBIBYTE = 1024 * 1024
CALLS = 16
SIZE = 8 * MEBIBYTE
LIMIT_MIB = 64
FACTOR = 6
"""The proxy may grow by this multiple of the limit: TLS, sockets, parsing, the allocator."""


def grown(
    authority: Authority,
    provider: ScriptedProvider,
    directory: Path,
    limit_mib: int,
    call: Callable[[Proxy], RawResponse],
) -> tuple[int, list[RawResponse]]:
    """Return by how many bytes a proxy has grown at most after each of many calls at once."""
    hosts = dict.fromkeys(good.HOSTS.values(), provider.port)
    with Proxy(
        directory,
        authority,
        hosts,
        scripts=SHARED,
        configuration=f"[retry]\nattempts = 1\n[memory]\nheld = {limit_mib}\n",
        refusals_file=provider.refusals_file,
        environment={"MALLOC_ARENA_MAX": "1"},
    ) as proxy:
        before = resident_bytes(proxy.pid)
        most = before

        def one(_: int) -> RawResponse:
            nonlocal most
            response = call(proxy)
            most = max(most, resident_bytes(proxy.pid))
            return response

        with ThreadPoolExecutor(CALLS) as threads:
            responses = list(threads.map(one, range(CALLS)))
        proxy.assert_log_is_clean()
        return most - before, responses


def upload(proxy: Proxy) -> RawResponse:
    request = good.request_body(good.ANTHROPIC, True)
    request["messages"].append({"role": "user", "content": "a" * SIZE})
    body = json.dumps(request).encode()
    with model_call(
        proxy, good.ANTHROPIC, True, http_version="HTTP/1.1", body=body, timeout_seconds=120.0
    ) as call:
        return call.response()


def download(proxy: Proxy) -> RawResponse:
    with model_call(
        proxy, good.ANTHROPIC, False, http_version="HTTP/1.1", timeout_seconds=120.0
    ) as call:
        return call.response()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_large_requests_at_once(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.script([faults.none(good.ANTHROPIC)] * CALLS)
    growth, responses = grown(authority, provider, tmp_path, LIMIT_MIB, upload)
    statuses = [response.status for response in responses]
    assert {response.ended for response in responses} == {"complete"}
    assert set(statuses) <= {200, 503}
    for response in responses:
        if response.status == 503:
            assert json.loads(response.body)["error"]["type"] == "overloaded_error"
    assert growth < FACTOR * LIMIT_MIB * MEBIBYTE, (growth, statuses)


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_large_json_responses_at_once(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    message = json.loads(good.json_body(good.ANTHROPIC))
    message["content"] = [{"type": "text", "text": "a" * SIZE}]
    body = json.dumps(message).encode()

    def reply(_: Received) -> Reply:
        return whole(body)

    provider.script([reply])
    growth, responses = grown(authority, provider, tmp_path, LIMIT_MIB, download)
    assert {(response.status, response.ended) for response in responses} == {(200, "complete")}
    assert all(response.body == body for response in responses)
    assert growth < FACTOR * LIMIT_MIB * MEBIBYTE, growth
