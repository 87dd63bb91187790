"""Calls that a user of mitmweb sends again, with Replay or with `wiremend.resend`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wiremend.testing import steps
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import QUICK_RETRIES
from traffic.proxy import KEY, Proxy
from traffic.web import Web

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]
BROKEN = steps.streamed(good.stream_with_blocks_from_index(1).events)
REPAIRED = ("repaired: block-index · claude-opus-5 · S105 (6)", "🔧")
OK = ("ok · claude-opus-5", "")


@pytest.fixture
def web(authority: Authority, provider: ScriptedProvider, tmp_path: Path) -> Iterator[Web]:
    hosts = {HOST: provider.port}
    with Web(tmp_path, authority, hosts, configuration=QUICK_RETRIES) as web:
        yield web


def ask(web: Proxy) -> bytes:
    with model_call(web, ANTHROPIC, True) as call:
        return call.response().body


def rows(web: Web, count: int = 1) -> list[dict[str, Any]]:
    """Return the rows of the list when so many have an outcome."""
    return web.wait_for(
        lambda: web.flows, lambda rows: sum(bool(row["comment"]) for row in rows) == count
    )


def notes(row: dict[str, Any]) -> tuple[str, str]:
    return row["comment"], row["marked"]


def changed(web: Web, before: str) -> dict[str, Any]:
    """Return the first row when its comment is no longer this one."""
    [row] = web.wait_for(lambda: web.flows, lambda rows: rows[0]["comment"] not in ("", before))
    return row


def test_replay_is_repaired_and_sends_the_key_and_can_be_reverted(
    web: Web, provider: ScriptedProvider
) -> None:
    provider.script([faults.none(ANTHROPIC), faults.overloaded(ANTHROPIC), BROKEN])
    ask(web)
    [before] = rows(web)
    body = web.text(0, "response", "raw")
    assert notes(before) == OK
    web.post(f"/flows/{before['id']}/replay")
    row = changed(web, before["comment"])
    assert notes(row) == ("retried: Overloaded (2 attempts) · claude-opus-5 · S105 (6), R005", "🔁")
    assert row["modified"]
    first, *again = provider.received
    assert {one.header("authorization") for one in provider.received} == {f"Bearer {KEY}"}
    assert {one.body for one in again} == {first.body}
    assert KEY not in json.dumps(row) + web.text(0, "request", "raw")
    web.post(f"/flows/{before['id']}/revert")
    [reverted] = web.flows
    assert notes(reverted) == OK
    assert web.text(0, "response", "raw") == body


def test_resend_leaves_the_original_alone(web: Web, provider: ScriptedProvider) -> None:
    provider.script([BROKEN, faults.none(ANTHROPIC)])
    ask(web)
    [before] = rows(web)
    answer = web.run_command("wiremend.resend", f"@{before['id']}")
    original, copy = rows(web, 2)
    assert answer == f"sent again: {copy['id']}"
    assert original == before
    assert (notes(original), notes(copy)) == (REPAIRED, OK)
    first, second = provider.received
    assert (second.headers, second.body) == (first.headers, first.body)
    assert KEY not in json.dumps(web.flows)


def test_an_edited_request_is_sent_as_it_is_shown_with_its_key(
    web: Web, provider: ScriptedProvider
) -> None:
    provider.script([faults.none(ANTHROPIC)])
    ask(web)
    [row] = rows(web)
    edited = provider.received[0].body.replace(b"claude-opus-5", b"claude-other-5")
    web.put(f"/flows/{row['id']}", {"request": {"content": edited.decode()}})
    web.run_command("wiremend.resend", f"@{row['id']}")
    rows(web, 2)
    assert provider.received[1].body == edited
    assert provider.received[1].header("authorization") == f"Bearer {KEY}"


@pytest.mark.long
def test_a_key_is_not_sent_to_another_server(web: Web, provider: ScriptedProvider) -> None:
    provider.script([faults.none(ANTHROPIC)])
    ask(web)
    [row] = rows(web)
    web.put(f"/flows/{row['id']}", {"request": {"host": "api.openai.com"}})
    web.post(f"/flows/{row['id']}/replay")
    assert changed(web, row["comment"])["comment"].startswith("refused: Its key is not in memory")
    assert len(provider.received) == 1


def test_a_flow_from_a_file_is_not_sent_without_its_key(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    path = tmp_path / "flows.mitm"
    provider.script([faults.none(ANTHROPIC)])
    hosts = {HOST: provider.port}
    with Proxy(tmp_path, authority, hosts, arguments=["-w", str(path)]) as proxy:
        ask(proxy)
    arguments = ["-r", str(path)]
    with Web(tmp_path / "web", authority, hosts, arguments=arguments) as web:
        [row] = rows(web)
        web.post(f"/flows/{row['id']}/replay")
        refused = changed(web, row["comment"])
        assert refused["comment"].startswith("refused: Its key is not in memory (authorization)")
        assert refused["response"]["status_code"] == 401
        assert "Its key is not in memory" in web.text(0, "response", "raw")
        web.wait_for_line("refused 'POST .*Its key is not in memory")
        assert len(provider.received) == 1
        web.post(f"/flows/{row['id']}/revert")
        assert notes(web.flows[0]) == OK


@pytest.mark.long
def test_a_routed_call_from_a_file_is_sent_with_the_configured_key(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    path = tmp_path / "flows.mitm"
    provider.script([faults.none(ANTHROPIC)])
    hosts = {HOST: provider.port}
    with Proxy(tmp_path, authority, hosts, arguments=["-w", str(path)]) as proxy:
        ask(proxy)
    configured = f"""
[[models]]
match = "*"
provider = "mine"
[providers.mine]
base_url = "https://{HOST}"
api_key = "configured-key-of-the-test"
"""
    arguments = ["-r", str(path)]
    options: dict[str, Any] = {"configuration": configured, "arguments": arguments}
    with Web(tmp_path / "web", authority, hosts, **options) as web:
        [row] = rows(web)
        web.run_command("wiremend.resend", f"@{row['id']}")
        assert notes(rows(web, 2)[1])[0].startswith("ok · claude-opus-5")
    assert provider.received[1].header("x-api-key") == "configured-key-of-the-test"
