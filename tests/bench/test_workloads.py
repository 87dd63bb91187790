import http.client
import json
import ssl
from collections import Counter

import pytest
from benchmarks import contenders, messages
from benchmarks.bench import Plan, places, problem_of
from benchmarks.load import Route
from benchmarks.metrics import Cell
from benchmarks.workloads import LARGE, SMALL, RequestSize, Workload, all_workloads
from framings import FRAMINGS
from wiremend.testing.provider import ScriptedProvider
from wiremend.testing.proxy import Proxy

SERIES = {"count": 9, "p50": 2e6, "p90": 3e6, "p99": 4e6, "max": 5e6}
LOAD = {"done": 4, "marks": 80, "elapsed": 2e9} | dict.fromkeys(("first", "total", "event"), SERIES)

each_workload = pytest.mark.parametrize(
    "workload", all_workloads().values(), ids=lambda workload: workload.name
)
each_size = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])


@each_workload
def test_every_figure_is_read_from_a_complete_measurement(workload: Workload) -> None:
    cell = Cell("http", workload.name, "floor", 0, LOAD, 2.5, 1.0, 0.5, 0.5, 0.5, 2**20, 2**21)
    empty = Cell("http", workload.name, "floor", 0, {}, 0.0)
    for metric in workload.metrics:
        assert metric.read(cell), metric.name
        assert metric.read(empty) is None, metric.name


def test_figures_are_in_their_units() -> None:
    cell = Cell("http", "", "floor", 0, LOAD, 2.5, cpu_seconds=1.0, memory_peak=3 * 2**20)
    figures = {
        (workload.name, metric.name): metric.read(cell)
        for workload in all_workloads().values()
        for metric in workload.metrics
    }
    assert figures["calls-1", "requests/s"] == 2
    assert figures["calls-1", "CPU per request"] == 250
    assert figures["calls-1", "latency p99"] == 4
    assert figures["burst-300", "events/s"] == 40
    assert figures["burst-300", "CPU per event"] == 12_500
    assert figures["streams-200", "peak memory"] == 3
    assert figures["streams-200", "memory per stream"] == 768


@each_workload
def test_streams_are_longer_than_their_measurement(workload: Workload) -> None:
    if workload.load.settled:
        longest = workload.load.limit + workload.load.seconds
        assert workload.play.deltas * workload.play.interval_seconds >= longest
        assert workload.load.calls == workload.load.connections


@pytest.mark.parametrize("deltas", sorted({one.play.deltas for one in all_workloads().values()}))
def test_the_answer_is_valid(deltas: int) -> None:
    before, delta, after = messages.answer_events()
    assert FRAMINGS["anthropic"].violations(b"".join([*before, *[delta] * deltas, *after])) == []
    before, delta, after = messages.chat_events()
    assert FRAMINGS["chat"].violations(b"".join([*before, *[delta] * deltas, *after])) == []


@each_size
def test_a_body_has_its_size(size: RequestSize) -> None:
    body = messages.body(size.size, size.tools)
    assert size.size * 0.9 < len(body) <= size.size
    assert len(json.loads(body)["tools"]) == size.tools


def test_a_request_names_the_host_that_its_route_leads_to() -> None:
    tunnel = Route(1, connect="api.anthropic.com:443", tls="api.anthropic.com")
    plain = Route(1, target="http://api.anthropic.com")
    gateway = Route(1234, headers={"x-api-key": "another"})
    heads = [messages.request(route, b"{}").decode() for route in (tunnel, plain, gateway)]
    assert heads[0].startswith("POST /v1/messages HTTP/1.1\r\nhost: api.anthropic.com\r\n")
    assert heads[1].startswith("POST http://api.anthropic.com/v1/messages HTTP/1.1\r\nhost: api.")
    assert "host: 127.0.0.1:1234\r\n" in heads[2]
    assert heads[2].count("x-api-key") == 1
    assert all(head.endswith("content-length: 2\r\n\r\n{}") for head in heads)


@pytest.mark.long
@each_size
def test_wiremend_changes_nothing_in_a_request(
    size: RequestSize, wiremend: Proxy, wiremend_provider: ScriptedProvider
) -> None:
    wiremend_provider.script([{"answer": "anthropic-messages"}])
    body = messages.body(size.size, size.tools)
    trusted = ssl.create_default_context(cafile=str(wiremend.ca_file))
    connection = http.client.HTTPSConnection(
        "127.0.0.1", wiremend.port, timeout=30, context=trusted
    )
    connection.set_tunnel(messages.HOST)
    connection.request("POST", messages.PATH, body, {"content-type": "application/json"})
    assert connection.getresponse().read()
    connection.close()
    assert [received.body for received in wiremend_provider.received] == [body]
    wiremend.assert_clean()


def test_contenders_take_turns_and_each_is_first_equally_often() -> None:
    workload = next(iter(all_workloads().values()))
    compared = [contenders.direct(), contenders.floor(), contenders.wiremend()]
    order = list(places(Plan(["http"], [workload], compared, rounds=6), "http"))
    rounds = [[one.contender.name for one in order if one.round == number] for number in range(6)]
    assert all(sorted(names) == ["direct", "floor", "wiremend"] for names in rounds)
    assert Counter(names[0] for names in rounds) == {"direct": 2, "floor": 2, "wiremend": 2}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, ""),
        ({"failed": 1, "problem": "not a 200"}, "9 calls done, 1 failed, 0 not finished: not a"),
        ({"unfinished": 2}, "9 calls done, 0 failed, 2 not finished"),
        ({"done": 0}, "0 calls done"),
        ({"problem": "only 3 calls"}, "only 3 calls"),
    ],
)
def test_a_measurement_with_a_call_that_failed_has_a_problem(
    fields: dict[str, object], problem: str
) -> None:
    found = problem_of({"done": 9, "failed": 0, "unfinished": 0, "problem": "", **fields})
    assert problem in found
    assert bool(found) is bool(problem)
