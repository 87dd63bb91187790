"""Tests that errors of the transport contain the words on which clients retry."""

import pytest
from wiremend.clients import CLIENTS
from wiremend.engine.transport_errors import connect_error, lost_error, timeout_error
from wiremend.protocols.base.provider_error import ProviderError

HOST = "api.anthropic.com"
RETRIED_WORDS = [client.retried_words for client in CLIENTS if client.retried_words is not None]

ERRORS = {
    "not connected": connect_error(HOST, "no route"),
    "lost before the head": lost_error(HOST, "reset", had_answered=False),
    "lost mid-stream": lost_error(HOST, "reset", had_answered=True),
} | {
    f"limit: {limit}": timeout_error(HOST, limit, 5)
    for limit in ("connect", "first_byte", "answer", "idle", "progress", "total")
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_every_client_that_matches_the_message_retries(error: ProviderError) -> None:
    assert error.retryable
    assert RETRIED_WORDS
    assert all(words.search(error.message) for words in RETRIED_WORDS)
    assert HOST in error.message
