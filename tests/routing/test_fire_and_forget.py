"""Which requests are fire-and-forget, and the rules about them."""

import pytest
from rule_codes import rules_between
from wiremend.config import Config
from wiremend.routing.fire_and_forget import FireAndForget

DEFAULT = FireAndForget(Config().fire_and_forget.paths)

BY_DEFAULT = {
    "OpenCode's": ("POST", "/session/ses_1/prompt_async", True),
    "with a query": ("POST", "/session/ses_1/prompt_async?directory=%2Fhome%2Fme", True),
    "with a query that holds slashes": ("POST", "/session/s/prompt_async?d=/a/b", True),
    "below another name": ("POST", "/chat-7/prompt_async", True),
    "with an escaped slash": ("POST", "/session/a%2Fb/prompt_async", True),
    "in small letters": ("post", "/session/s/prompt_async", True),
    "another method": ("GET", "/session/s/prompt_async", False),
    "the call that is waited on": ("POST", "/session/s/prompt", False),
    "something below it": ("POST", "/session/s/prompt_async/x", False),
    "a slash at the end": ("POST", "/session/s/prompt_async/", False),
    "one segment too many": ("POST", "/session/a/b/prompt_async", False),
    "one segment too few": ("POST", "/prompt_async", False),
    "another prefix": ("POST", "/api/session/s/prompt_async", False),
    "only in the query": ("POST", "/x?y=/session/s/prompt_async", False),
    "a longer name": ("POST", "/session/s/prompt_asynchronous", False),
    "no path": ("POST", "", False),
    "a model call": ("POST", "/v1/messages", False),
}


@pytest.mark.parametrize(("method", "path", "expected"), BY_DEFAULT.values(), ids=BY_DEFAULT.keys())
def test_the_default_paths_match_prompt_async(method: str, path: str, expected: bool) -> None:
    assert DEFAULT.matches(method, path) is expected


GLOBS = {
    "no star": (["/fire"], "/fire", True),
    "a star within a segment": (["/jobs/job-*/start"], "/jobs/job-7/start", True),
    "a star for nothing": (["/jobs/job-*"], "/jobs/job-", True),
    "two stars in a segment": (["/*-x-*"], "/a-x-b", True),
    "a star that stops at a slash": (["/jobs/*"], "/jobs/7/start", False),
    "a dot is a dot": (["/v1.0/x"], "/v1a0/x", False),
    "brackets are brackets": (["/[ab]"], "/a", False),
    "the second of two": (["/a", "/b"], "/b", True),
    "no paths at all": ([], "/session/s/prompt_async", False),
}


@pytest.mark.parametrize(("globs", "path", "expected"), GLOBS.values(), ids=GLOBS.keys())
def test_a_star_matches_within_one_segment(globs: list[str], path: str, expected: bool) -> None:
    assert FireAndForget(globs).matches("POST", path) is expected


def test_its_rules_are_numbered() -> None:
    assert [(rule.code, rule.name) for rule in rules_between("F001", "F999")] == [
        ("F001", "acknowledged-by-status"),
        ("F002", "acknowledged-after-wait"),
        ("F003", "late-failure"),
    ]
