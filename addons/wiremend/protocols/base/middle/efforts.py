"""Efforts and budgets of reasoning, in the words of targets."""

from collections.abc import Sequence

LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From the weakest to the strongest."""


def nearest_effort(effort: str, taken: Sequence[str]) -> str:
    """Return the weakest word that a target takes and that is at least as strong; else its
    strongest one. Empty for a target without efforts; an unknown word is sent if it is taken."""
    if effort in taken or not taken:
        return effort if taken else ""
    if effort not in LEVELS:
        return ""
    stronger = LEVELS[LEVELS.index(effort) :]
    ordered = [level for level in LEVELS[1:] if level in taken]
    return next((level for level in stronger if level in ordered), ordered[-1] if ordered else "")


def effort_of_budget(budget_tokens: int | None) -> str:
    """Return the effort that goes with a budget of tokens; empty without a budget."""
    if budget_tokens is None or budget_tokens < 0:
        return ""
    if budget_tokens < 4000:
        return "low"
    return "medium" if budget_tokens < 16_000 else "high"
