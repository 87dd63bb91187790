"""Deterministic ids for tool calls that arrived without one."""

import hashlib


def generated_id(prefix: str, answer: str, number: int) -> str:
    """Return an id that is unique in a conversation and the same for the same response.

    `answer` identifies the response, mainly by its own id; `number` is the index of the call.
    """
    digest = hashlib.blake2s(f"{answer} {number}".encode("utf-8", "replace"), digest_size=12)
    return f"{prefix}_{digest.hexdigest()}"
