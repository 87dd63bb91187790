"""The list of all rules, and the page that documents them.

A rule is a `Rule` constant in the module that implements it; nothing else registers it.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from functools import cache

import wiremend
from wiremend.rules.rule import Rule

FAMILIES = {
    "M": "Models",
    "T": "Tools and their schemas",
    "Q": "Requests' messages and parameters",
    "X": "What translation cannot carry",
    "S": "The grammar of streams",
    "E": "Errors",
    "R": "Transport",
    "F": "Fire and forget",
}
"""The family of rules by the letter of the code, in the order in which a call meets them."""

PACKAGES = ("rules", "protocols", "repair", "adapt", "translate", "routing", "engine")
"""The packages whose modules hold rules."""
_CODE = re.compile(r"[A-Z]\d{3}\Z")
_ISSUE = re.compile(r"([\w.-]+/[\w.-]+)#(\d+)\Z")
_ADDRESS = re.compile(r"https?://\S+\Z")


@cache
def catalogue() -> tuple[Rule, ...]:
    """Return all rules, sorted by code. Raises ValueError if two have the same code."""
    found: list[Rule] = []
    for package in PACKAGES:
        folders = [f"{folder}/{package}" for folder in wiremend.__path__]
        for module in pkgutil.walk_packages(folders, f"wiremend.{package}."):
            for constant in vars(importlib.import_module(module.name)).values():
                found += _rules_in(constant)
    return collect(found)


@cache
def rule_names() -> Mapping[str, str]:
    """Return the names of all rules by their codes."""
    return {rule.code: rule.name for rule in catalogue()}


def _rules_in(constant: object) -> list[Rule]:
    """Return the rules in a module's constant: the constant itself, a tuple or a mapping."""
    if isinstance(constant, Mapping):
        constant = tuple(constant.values())
    members = constant if isinstance(constant, tuple) else (constant,)
    return [member for member in members if isinstance(member, Rule)]


def collect(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules sorted by code, each once, even if several modules import it.

    Raises ValueError for an invalid code, and if two rules have the same code.
    """
    unique = sorted(dict.fromkeys(rules), key=lambda rule: (rule.code, rule.name))
    by_code: dict[str, Rule] = {}
    for rule in unique:
        if not _CODE.match(rule.code) or rule.code[0] not in FAMILIES:
            raise ValueError(f"{rule.code!r} ({rule.name}) is not a valid code of a rule")
        if other := by_code.get(rule.code):
            raise ValueError(f"two rules have the code {rule.code}: {other.name}, {rule.name}")
        by_code[rule.code] = rule
    return tuple(unique)


def render_page(rules: Iterable[Rule]) -> str:
    """Return a page of Markdown: for each family a table of its rules, then each in full."""
    all_rules = tuple(rules)
    parts = [
        "# Rules",
        "",
        "Generated from the code by `scripts/rules`: edit the rules, not this page. "
        '`[rules] disable = ["S105", "T2"]` disables rules by code or prefix.',
        "",
    ]
    for letter, title in FAMILIES.items():
        family = [rule for rule in all_rules if rule.code.startswith(letter)]
        if family:
            parts += [f"## {letter}: {title}", "", "| code | name | detects |", "|---|---|---|"]
            parts += [_row(rule) for rule in family]
            parts.append("")
            for rule in family:
                parts += _section(rule)
    return "\n".join(parts).rstrip("\n") + "\n"


def render_rule(rule: Rule) -> str:
    """Return the section of the page about one rule, as Markdown."""
    return "\n".join(_section(rule)).rstrip("\n") + "\n"


def _row(rule: Rule) -> str:
    detects = rule.detects.replace("|", "\\|")
    return f"| [{rule.code}](#{rule.code.lower()}-{rule.name}) | {rule.name} | {detects} |"


def _section(rule: Rule) -> list[str]:
    lines = [
        f"### {rule.code} {rule.name}",
        "",
        f"- **What it detects:** {rule.detects}",
        f"- **Why it matters:** {rule.impact}",
        f"- **What wiremend does:** {rule.action}",
    ]
    if rule.protocols:
        lines.append(f"- **Protocols:** {', '.join(rule.protocols)}")
    if rule.seen:
        lines.append(f"- **Seen:** {', '.join(_linked(source) for source in rule.seen)}")
    lines.append("")
    for title, text in (("Before", rule.before), ("After", rule.after)):
        if text:
            lines += [f"{title}:", "", *_fenced(text), ""]
    return lines


def _fenced(text: str) -> list[str]:
    """Return the text as a code block, with a fence longer than any backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", text.removesuffix("\n"), fence]


def _linked(source: str) -> str:
    if issue := _ISSUE.match(source):
        return f"[{source}](https://github.com/{issue[1]}/issues/{issue[2]})"
    return f"<{source}>" if _ADDRESS.match(source) else source
