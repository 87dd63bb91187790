"""Tests of values that a provider refuses in real words: the client sees only the answer."""

import json
from collections.abc import Callable, Iterator

import pytest
from adapt.test_learnt_values import FAULTS, Fault, refusal
from wiremend.testing.exchange import Received, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults
from traffic.clients import model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

UNKNOWN_PROVIDER = f"""{QUICK_RETRIES}
[[models]]
match = "*"
provider = "unknown"

[providers.unknown]
base_url = "https://{ORIGIN_HOST}"
"""
KINDS = [
    "thinking with a budget",
    "adaptive thinking",
    "an effort that the model does not have",
    "a forced tool",
    "sampling parameters",
    "the limit's older name",
    "a long key",
    "the role developer",
    "too many cache marks",
    "a repeated id of another call",
    "half a surrogate pair",
    "modified thinking with a budget",
    "encrypted reasoning",
    "ids of another provider",
    "signatures of Gemini",
    "images for a model of text",
    "too many images for their size",
    "an image that is damaged",
    "a prefilled answer",
    "empty arguments",
]
ONE_OF_EACH = [fault for fault in FAULTS if fault.name in KINDS]


@pytest.fixture(scope="module")
def learning_proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    proxy = start_proxy(scripts=SHARED, configuration=UNKNOWN_PROVIDER)
    start = len(proxy.lines)
    yield proxy
    proxy.assert_log_is_clean(start)


@pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: fault.name)
def test_a_refused_value_is_repaired_and_the_client_gets_the_answer(
    learning_proxy: Proxy, origin: ScriptedProvider, fault: Fault
) -> None:
    words = next(iter(fault.words.values()))
    common = {"model": fault.name.replace(" ", "-"), "stream": True}
    before, after = {**fault.before, **common}, {**fault.after, **common}

    def reply(received: Received) -> Reply:
        if received.json() == after:
            return faults.none(fault.protocol.name)
        return faults.status(fault.status, refusal(words))

    origin.script([reply] * 4)
    for _ in range(2):
        body = json.dumps(before).encode()
        with model_call(learning_proxy, fault.protocol.name, True, body=body) as call:
            assert call.response().status == 200
    sent = [received.json() for received in origin.received]
    assert sent == [before, after, *([] if fault.is_stored else [before]), after]


def test_every_kind_is_in_the_table() -> None:
    assert {fault.name for fault in ONE_OF_EACH} == set(KINDS)
