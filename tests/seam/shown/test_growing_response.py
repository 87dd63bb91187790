"""A response in its flow while it is streamed."""

from functools import partial
from typing import Any

import pytest
from engine.test_call_machine import GOOD
from seam.playbook import Playbook, playing
from seam.test_stream_layer import HEAD, LAST, call, chunk, plan_everything
from wiremend.held_memory import HeldMemory
from wiremend.seam import client_side
from wiremend.seam.call_options import CallOptions
from wiremend.seam.flows import mark_dropped
from wiremend.seam.shown.growing_response import UNFINISHED, GrowingResponse
from wiremend.views.redaction import masked_record

FIRST, SECOND = GOOD[:400], GOOD[400:500]
CUT = GOOD[:400].rfind(b"\n") + 1


def follow(options: CallOptions, *, followed: list[GrowingResponse], **fields: Any) -> None:
    plan_everything(options)
    options.follow = followed.append
    for name, value in fields.items():
        setattr(options, name, value)


def content_of(book: Playbook) -> bytes | None:
    response = book.flows[0].response
    return None if response is None else response.data.content


def test_a_flow_has_what_the_client_received_up_to_the_last_line() -> None:
    followed: list[GrowingResponse] = []
    with playing(partial(follow, followed=followed)) as book:
        book.client_sends(call())
        [growing] = followed
        assert growing.update() is None
        book.server_sends(HEAD + chunk(FIRST))
        assert content_of(book) is None
        assert growing.update() is book.flows[0]
        assert content_of(book) == FIRST[:CUT] + UNFINISHED
        assert growing.update() is None
        book.server_sends(chunk(SECOND))
        assert growing.update() is book.flows[0]
        assert not growing.is_finished
        book.server_sends(chunk(GOOD[500:]) + LAST)
        assert growing.is_finished
        assert growing.update() is None
        assert content_of(book) == GOOD
        shown = book.shown
    with playing(plan_everything) as book:
        book.client_sends(call())
        for data in (HEAD + chunk(FIRST), chunk(SECOND), chunk(GOOD[500:]) + LAST):
            book.server_sends(data)
        assert book.shown == shown


def test_secrets_are_masked_and_flows_that_are_not_shown_stay_so() -> None:
    followed: list[GrowingResponse] = []
    mask = partial(masked_record, values={"message_start"})
    with playing(partial(follow, followed=followed, mask=mask)) as book:
        book.client_sends(call())
        book.server_sends(HEAD + chunk(FIRST))
        assert followed[0].update() is not None
        shown = content_of(book)
        assert shown is not None
        assert b"message_start" not in shown
        assert len(shown) == CUT + len(UNFINISHED)
        mark_dropped(book.flows[0])
        book.server_sends(chunk(SECOND))
        assert followed[0].update() is None


@pytest.mark.parametrize("end", ["cancelled", "reset", "killed"])
def test_what_had_come_stays_when_a_call_ends_early(end: str) -> None:
    """The bytes differ from those of a running call, or mitmweb would not render them again."""
    followed: list[GrowingResponse] = []
    with playing(partial(follow, followed=followed)) as book:
        book.client_sends(call())
        book.server_sends(HEAD + chunk(FIRST))
        followed[0].update()
        running = content_of(book)
        if end == "killed":
            book.flows[0].kill()
            book.server_sends(chunk(SECOND))
        else:
            book.closes(book.client if end == "cancelled" else book.servers[-1])
        assert followed[0].is_finished
        shown = content_of(book)
        assert shown is not None
        assert shown.startswith(FIRST[:CUT])
        assert shown != running


def test_a_response_that_is_too_long_to_be_kept_does_not_stay_in_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_side, "SHOWN_LIMIT_BYTES", len(FIRST))
    monkeypatch.setattr(client_side, "COUNTED_AHEAD_BYTES", 0)
    followed: list[GrowingResponse] = []
    with playing(partial(follow, followed=followed)) as book:
        book.client_sends(call())
        book.server_sends(HEAD + chunk(FIRST))
        followed[0].update()
        assert content_of(book) == FIRST[:CUT] + UNFINISHED
        book.server_sends(chunk(GOOD[400:]) + LAST)
        assert content_of(book) is None


def test_the_copy_in_the_flow_is_counted_as_held_memory() -> None:
    held = []
    for plan in (plan_everything, partial(follow, followed=[])):
        with playing(plan) as book:
            memory = account_of(book)
            book.client_sends(call())
            before = memory.held_bytes
            book.server_sends(HEAD + chunk(FIRST))
            held.append(memory.held_bytes - before)
    plain, followed = held
    assert followed - plain >= len(FIRST)


def account_of(book: Playbook) -> HeldMemory:
    from mitmproxy.proxy.layers import http

    account: HeldMemory = http.HttpStream.account  # type: ignore[attr-defined]
    return account
