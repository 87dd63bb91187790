"""Which calls a view finds before another one."""

from load_configuration import Suite
from mitmproxy import http
from mitmproxy.test import tflow
from show_calls import ShowCalls
from wiremend.config.current import CurrentConfig
from wiremend.engine.settings import Knowledge
from wiremend.views.content.turns import CALLS_LIMIT


def requested(path: str, method: str = "POST") -> http.HTTPFlow:
    flow = tflow.tflow()
    flow.request = http.Request.make(method, f"https://api.anthropic.com{path}")
    return flow


def test_the_calls_before_one_are_found_and_other_requests_are_left_out() -> None:
    shell = ShowCalls(Suite(CurrentConfig(), Knowledge()))
    calls = [requested("/v1/messages") for _ in range(CALLS_LIMIT + 3)]
    others = [requested("/v1/models", "GET"), requested("/v1/messages/count_tokens")]
    for flow in (*calls[:2], *others, *calls[2:]):
        shell.request(flow)
    latest_first = calls[::-1]
    assert shell._earlier(calls[2]) == [calls[1], calls[0]]
    assert shell._earlier(calls[-1]) == latest_first[1 : CALLS_LIMIT + 1]
    assert shell._earlier(requested("/v1/messages")) == latest_first[:CALLS_LIMIT]
