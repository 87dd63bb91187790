"""Failed attempts are worded so that clients which read the text try again."""

import re

import pytest
from wiremend.engine.transport_errors import connect_error, lost_error, timeout_error
from wiremend.protocols.base.provider_error import ProviderError

HOST = "api.anthropic.com"
RETRIED_BY_OPENCODE = re.compile(
    r"connection error|connection lost|\brequest timeout\b", re.IGNORECASE
)
"""Of the texts that OpenCode 1.18 retries (session/retry.ts), those that ours contain."""

ERRORS = {
    "not connected": connect_error(HOST, "no route"),
    "lost before the head": lost_error(HOST, "reset", had_answered=False),
    "lost mid-stream": lost_error(HOST, "reset", had_answered=True),
} | {
    f"limit: {limit}": timeout_error(HOST, limit, 5)
    for limit in ("connect", "first_byte", "answer", "idle", "progress", "total")
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_opencode_tries_again_when_it_reads_the_message(error: ProviderError) -> None:
    assert error.retryable
    assert RETRIED_BY_OPENCODE.search(error.message)
    assert HOST in error.message
