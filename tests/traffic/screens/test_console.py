"""The console program `mitmproxy` in a pseudo-terminal while calls are made."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from wiremend.testing import steps
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import QUICK_RETRIES
from traffic.console import Console

pytestmark = pytest.mark.long

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]
BROKEN = steps.streamed(good.stream_with_blocks_from_index(1).events)


@pytest.fixture
def console(authority: Authority, provider: ScriptedProvider, tmp_path: Path) -> Iterator[Console]:
    with Console(
        tmp_path, authority, {HOST: provider.port}, configuration=QUICK_RETRIES
    ) as console:
        yield console


def test_a_call_in_the_list_in_its_view_and_explained(
    console: Console, provider: ScriptedProvider
) -> None:
    provider.script([faults.overloaded(ANTHROPIC), BROKEN])
    with model_call(console, ANTHROPIC, True) as call:
        assert b"message_stop" in call.response().body
    console.wait_for_text("🔁")
    before = console.type("\r")
    console.wait_for_text("✓ retried: Overloaded (2 attempts)", before)
    console.wait_for_text("▸ 1 user", before)
    before = console.type("\t")
    console.wait_for_text("stop: end_turn", before)
    console.type("q")
    before = console.type(":wiremend.findings @focus\r")
    console.wait_for_text("S105 block-index: block 1 → block 0 (6 events, 3 to 8)", before)
    before = console.type("q")
    console.wait_for_text("/v1/messages", before)
    before = console.type(":wiremend.resend @focus\r")
    console.wait_for_text("[1/2]", before)
