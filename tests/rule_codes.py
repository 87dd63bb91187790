"""Rules of the catalogue, selected by their codes."""

from wiremend.catalogue import catalogue
from wiremend.rules.rule import Rule


def rules_between(first: str, last: str) -> tuple[Rule, ...]:
    """The rules from one code to another, both included."""
    return tuple(rule for rule in catalogue() if first <= rule.code <= last)


def codes_between(first: str, last: str) -> frozenset[str]:
    """The codes of those rules."""
    return frozenset(rule.code for rule in rules_between(first, last))
