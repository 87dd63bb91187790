"""Tests that a fault in planning ends only its call, at once, with an error in its protocol."""

import json
from collections.abc import Callable, Iterator

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import model_call
from traffic.conftest import QUICK_RETRIES, SHARED
from traffic.proxy import FAIL_PLANNING, Proxy


@pytest.fixture
def breaking_proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    proxy = start_proxy(scripts=(*SHARED, FAIL_PLANNING), configuration=QUICK_RETRIES)
    start = len(proxy.lines)
    yield proxy
    proxy.assert_log_is_clean(start)


@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
@pytest.mark.parametrize("what", ["plan", "machine"])
@pytest.mark.parametrize("protocol", good.PROTOCOLS)
def test_a_planning_fault_is_an_error_in_the_protocol_of_the_client(
    breaking_proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    what: str,
    http_version: str,
) -> None:
    start = len(breaking_proxy.lines)
    provider.script([faults.none(protocol)])
    headers = {"x-break": what}
    with model_call(
        breaking_proxy, protocol, True, headers=headers, http_version=http_version
    ) as call:
        response = call.response()
        assert (response.status, response.ended) == (502, "complete")
        assert response.header("content-type") == "application/json"
        assert "wiremend failed on this call" in json.loads(response.body)["error"]["message"]
        assert provider.received == []
        body = json.dumps(good.request_body(protocol, True)).encode()
        call.send("POST", good.PATHS[protocol, True], {}, body)
        assert call.response().body == good.text_stream(protocol).data
    breaking_proxy.wait_for_line(r"internal fault \(\w+Error in \w+\.py:", start=start)


def test_a_call_is_not_sent_if_a_shell_fails_in_planning(
    breaking_proxy: Proxy, provider: ScriptedProvider
) -> None:
    """With an incomplete plan, the call could go to the wrong provider."""
    start = len(breaking_proxy.lines)
    with model_call(breaking_proxy, good.ANTHROPIC, True, headers={"x-break": "shell"}) as call:
        response = call.response()
    assert response.status == 502
    assert json.loads(response.body)["error"]["type"] == "api_error"
    assert provider.received == []
    breaking_proxy.wait_for_line(
        r"internal fault \(AttributeError in load_configuration", start=start
    )
