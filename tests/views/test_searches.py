"""The searches of the README and the filter of `scripts/run --web`, on flows with outcomes."""

import re
from pathlib import Path

import pytest
from mitmproxy import flowfilter, http
from mitmproxy.test import tflow
from wiremend.launch.run import WEB_FILTER

README = Path(__file__).parents[2] / "README.md"
SEARCHES = {
    '~comment "^(failed|timed out)"': ["failed", "timed out"],
    '~comment "^retried"': ["retried"],
    "~marker stopwatch": ["timed out"],
    "~comment kimi": ["retried"],
    "~comment S105": ["repaired"],
    "~marked & ~c 200": ["repaired", "retried", "failed", "timed out"],
}
ROWS = [
    ("ok · claude-opus-5", ""),
    ("repaired: block-index · claude-opus-5 · S105 (6)", ":wrench:"),
    ("retried: Overloaded (5 attempts) · claude-opus-5 → kimi-k3 · R005 (4)", ":repeat:"),
    ("failed: reset after 4 events · claude-opus-5 · R002", ":x:"),
    ("timed out: nothing for 1 s (idle) · claude-opus-5 · R004", ":stopwatch:"),
]


def row(comment: str, marked: str) -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    flow.comment, flow.marked = comment, marked
    return flow


def test_the_searches_of_the_readme_are_tested_here() -> None:
    section = README.read_text().partition("| search | finds |")[2].partition("\n\n")[0]
    cells = [line.rpartition("|")[0].rpartition(" |")[0] for line in section.splitlines()[2:]]
    found = [text.replace("\\|", "|") for cell in cells for text in re.findall("`([^`]+)`", cell)]
    assert sorted(found) == sorted(SEARCHES)


@pytest.mark.parametrize(("search", "wanted"), SEARCHES.items())
def test_a_search_finds_what_the_readme_says(search: str, wanted: list[str]) -> None:
    rows = [row(*one) for one in ROWS]
    found = [flow.comment for flow in rows if flowfilter.match(search, flow)]
    assert [re.split(r":| ·", comment)[0] for comment in found] == wanted


@pytest.mark.parametrize(
    ("path", "is_listed"),
    [
        ("/v1/messages?beta=true", True),
        ("/zen/go/v1/chat/completions", True),
        ("/backend-api/codex/responses", True),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", True),
        ("/v1/models", False),
        ("/api/event_logging/batch", False),
    ],
)
def test_mitmweb_lists_model_calls_and_whatever_failed(path: str, is_listed: bool) -> None:
    flow = tflow.tflow(resp=True)
    flow.request.path = path
    assert flowfilter.match(WEB_FILTER, flow) is is_listed
    flow.marked = ":no_entry:"
    assert flowfilter.match(WEB_FILTER, flow)
    assert flowfilter.match(WEB_FILTER, tflow.tflow(err=True))
