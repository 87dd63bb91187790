"""The page of all rules, addons/RULES.md: made from the rules and the corpus."""

import difflib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "addons"))

from wiremend.catalogue import catalogue, render_page  # noqa: E402 - found by the line above
from wiremend.rules.rule import Rule  # noqa: E402

PAGE = ROOT / "addons" / "RULES.md"
CORPUS = ROOT / "tests" / "corpus"
EVENT_CHARACTERS = 260
"""Longer events are cut in an example."""


def page() -> str:
    """The page: rules without an example of their own show what a stream of the corpus became."""
    examples = dict(corpus_examples())
    return render_page([_with_example(rule, examples) for rule in catalogue()])


def _with_example(rule: Rule, examples: Mapping[str, tuple[str, str]]) -> Rule:
    if rule.before or rule.code not in examples:
        return rule
    before, after = examples[rule.code]
    return replace(rule, before=before, after=after)


def corpus_examples() -> Iterator[tuple[str, tuple[str, str]]]:
    """For each code the events that differ in the plainest broken stream that shows it."""
    streams: list[tuple[int, int, int, str, list[str]]] = []
    for findings in CORPUS.glob("*/broken/*.findings"):
        stream = findings.with_suffix(".sse")
        if stream.exists():
            codes = findings.read_text().split()
            size = stream.stat().st_size
            streams.append((len(set(codes)), len(codes), size, findings.as_posix(), codes))
    for rule in catalogue():
        showing = [one for one in sorted(streams) if rule.code in one[-1]]
        if showing:
            named = [one for one in showing if _is_named_for(rule, Path(one[3]).stem)]
            yield rule.code, _difference(Path((named or showing)[0][3]))


def _is_named_for(rule: Rule, stem: str) -> bool:
    """Whether a stream is there for this rule, and not for another that also applies."""
    return bool({word for word in rule.name.split("-") if len(word) > 3} & set(stem.split("-")))


def _difference(findings: Path) -> tuple[str, str]:
    broken = _events(findings.with_suffix(".sse"))
    mended = _events(findings.with_suffix(".mended.sse"))
    before: list[str] = []
    after: list[str] = []
    matcher = difflib.SequenceMatcher(None, broken, mended, autojunk=False)
    for tag, start, end, mended_start, mended_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        # What is only added, or only dropped, is seen beside an event that stays.
        alone = tag != "replace" and not before
        first, next = int(alone and start > 0), int(alone and start == 0)
        before += broken[start - first : end + next]
        after += mended[mended_start - first : mended_end + next]
    return _text(before), _text(after)


def _events(path: Path) -> list[str]:
    text = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return [event for event in text.split("\n\n") if event.strip()]


def _text(events: list[str]) -> str:
    return "\n\n".join(map(_shortened, events))


def _shortened(event: str) -> str:
    return event if len(event) <= EVENT_CHARACTERS else f"{event[:EVENT_CHARACTERS]} …"
