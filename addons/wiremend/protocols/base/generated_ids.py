"""Deterministic ids for tool calls that arrived without one."""

import hashlib


def generated_id(prefix: str, answer: str, number: int) -> str:
    """An id that no other turn of a conversation has, and the same answer always gets.

    `answer` is what tells this answer from others, its own id above all; `number` is the call's.
    """
    digest = hashlib.blake2s(f"{answer} {number}".encode("utf-8", "replace"), digest_size=12)
    return f"{prefix}_{digest.hexdigest()}"
