"""The Vercel AI SDK, with which OpenCode is built, reads every clean and every repaired stream.

It needs Node.js 18 and npm; its packages, pinned in vercel/package.json, are installed once.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from node_packages import why_not_installed

from .transcript import READERS, Transcript, name_of, streams

FOLDER = Path(__file__).parent / "vercel"
NODE_MAJOR = 18
LIMIT_SECONDS = 300

PROVIDERS = {
    "anthropic": "anthropic_messages",
    "google": "gemini",
    "openai-chat": "chat_completions",
    "openai-compatible": "chat_completions",
    "openai-responses": "responses",
}
"""The SDK's providers, and the folder of the streams that each reads."""

ROWS = [(provider, path) for provider, folder in PROVIDERS.items() for path in streams(folder)]

UNREAD = {
    ("anthropic", "clean/unknown-events-and-blocks"): (
        "AI_TypeValidationError",
        "it refuses event types newer than itself, though the API reserves them",
    ),
    ("openai-chat", "clean/custom-tool-call"): ("AI_TypeValidationError", "functions only"),
    ("openai-compatible", "clean/custom-tool-call"): ("AI_TypeValidationError", "functions only"),
    ("openai-responses", "clean/mcp-list-tools-and-call"): (
        "AI_TypeValidationError",
        "its schema lacks the nulls of the API's own `mcp_list_tools`",
    ),
}
"""Legal streams that the SDK refuses, with which error, and why no rule mends them."""

_BOTH_CHOICES = Transcript(text="AB", reason="tool_calls")
READ_OTHERWISE = {
    ("google", "clean/carriage-returns"): Transcript(),
    ("google", "clean/streamed-function-arguments"): Transcript(
        calls=[("write_file", {"path": "a.txt"})], reason="STOP"
    ),
    ("google", "clean/max-tokens-inside-a-streamed-call"): Transcript(reason="MAX_TOKENS"),
    ("google", "clean/two-candidates"): Transcript(text="Red..", reason="STOP"),
    ("openai-chat", "clean/two-choices"): _BOTH_CHOICES,
    ("openai-compatible", "clean/two-choices"): _BOTH_CHOICES,
    ("openai-compatible", "clean/openrouter-reasoning-details"): Transcript(
        text="42", reasoning="Hm.", reason="stop"
    ),
    ("openai-responses", "clean/incomplete-content-filter"): Transcript(
        text="Hel", reason="content_filter"
    ),
    ("openai-responses", "clean/apply-patch-call"): Transcript(reason="tool-calls"),
}
"""What it makes of others: an event that ends in CR is lost when nothing follows; arguments that
come in parts are put together, and dropped if they never end; what all candidates or choices say is
run together (a tool that the first one does not call is not offered here); `reasoning` is read like
`reasoning_content`; the reason of an incomplete response is its own; an `apply_patch_call` waits
for its output."""


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, str], dict[str, Any]]:
    """What the SDK made of every stream, all read by one process."""
    why_not = why_not_installed(FOLDER, NODE_MAJOR)
    if why_not and os.environ.get("CI"):
        pytest.fail(why_not)
    if why_not:
        pytest.skip(why_not)
    asked = []
    for provider, path in ROWS:
        tools = {name for name, _ in READERS[PROVIDERS[provider]](path.read_bytes()).calls if name}
        asked.append(json.dumps({"provider": provider, "path": str(path), "tools": [*tools]}))
    done = subprocess.run(
        ["node", "read_streams.mjs"],
        cwd=FOLDER,
        input="\n".join(asked),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.rstrip("\n").split("\n")]
    keys = [(provider, name_of(path)) for provider, path in ROWS]
    return dict(zip(keys, lines, strict=True))


def as_javascript(value: Any) -> Any:
    """The value as JavaScript has it: every number a float, halves of a character joined."""
    text = json.dumps(value, ensure_ascii=False)
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.loads(whole, parse_int=float)


def expected(provider: str, path: Path) -> dict[str, Any]:
    said = READERS[PROVIDERS[provider]](path.read_bytes())
    said = READ_OTHERWISE.get((provider, name_of(path)), said)
    reason = said.reason or "other"
    if provider == "openai-responses":  # there it names what the client has to do
        completed = "content-filter" if said.refusal else "tool-calls" if said.calls else "stop"
        reason = {"completed": completed, "incomplete": "max_output_tokens"}.get(reason, reason)
    return {
        "text": said.text + ("" if provider == "openai-compatible" else said.refusal),
        "reasoning": "" if provider == "openai-chat" else said.reasoning,
        "calls": [[name, {} if value is None else value] for name, value in said.calls],
        "reason": reason,
        "errors": [],
    }


@pytest.mark.parametrize(
    ("provider", "path"), ROWS, ids=[f"{provider}-{name_of(path)}" for provider, path in ROWS]
)
def test_the_sdk_reads_what_the_stream_says_or_reports_its_error(
    provider: str, path: Path, answers: dict[tuple[str, str], dict[str, Any]]
) -> None:
    key = (provider, name_of(path))
    said = answers[key]
    failed = READERS[PROVIDERS[provider]](path.read_bytes()).failed
    if key in UNREAD:
        assert {error.split(":")[0] for error in said["errors"]} == {UNREAD[key][0]}
    elif failed and key not in READ_OTHERWISE:
        (error,) = said["errors"]
        assert error.startswith(("AI_APICallError: ", '{"')), "an error of its own, or as sent"
    else:
        assert said == as_javascript(expected(provider, path))
