"""The Vercel AI SDK, which OpenCode uses, reads every clean and every repaired stream.

It is sent each stream as the proxy sends it to a client of no known family.
Requires Node.js 18 and npm; the packages, pinned in vercel/package.json, are installed once.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from corpus_streams import FOLDERS
from node_packages import why_not_installed
from wiremend.protocols.base.repairer import StreamContext
from wiremend.repair.stream import stream_repair

from .transcript import READERS, Transcript, name_of, streams

pytestmark = pytest.mark.long  # installs packages from npm

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

UNKNOWN_EVENT = b'{"type":"unknown_event"'
REFUSED_EVENT = f"AI_TypeValidationError: Type validation failed: Value: {UNKNOWN_EVENT.decode()}"
"""Anthropic: it reports unknown types of events, although the API may add them, and reads on."""

UNREAD = {
    ("anthropic", "clean/unknown-events-and-blocks"): (
        "AI_TypeValidationError",
        "it refuses unknown types of blocks, although the API may add them",
    ),
    ("openai-chat", "clean/custom-tool-call"): ("AI_TypeValidationError", "functions only"),
    ("openai-compatible", "clean/custom-tool-call"): ("AI_TypeValidationError", "functions only"),
    ("openai-responses", "clean/mcp-list-tools-and-call"): (
        "AI_TypeValidationError",
        "its schema lacks the nulls of the API's own `mcp_list_tools`",
    ),
}
"""Legal streams that the SDK refuses: its error, and why no rule repairs them."""

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
    ("openai-responses", "clean/apply-patch-call"): Transcript(reason="tool-calls"),
}
"""Streams that the SDK reads differently: a last event that ends in CR is lost; streamed arguments
are joined, and dropped if they do not end; the content of all candidates or choices is joined (a
tool that the first one does not call is not offered here); `reasoning` is read like
`reasoning_content`; an `apply_patch_call` waits for its output."""


def as_sent(provider: str, path: Path) -> bytes:
    """Return the stream as the proxy sends it to a client that it does not recognise."""
    repair = stream_repair(FOLDERS[PROVIDERS[provider]], StreamContext())
    return b"".join(item.data for item in [*repair.feed(path.read_bytes()), *repair.end()])


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """The content of every stream, read with the SDK in one process."""
    why_not = why_not_installed(FOLDER, NODE_MAJOR)
    if why_not and os.environ.get("CI"):
        pytest.fail(why_not)
    if why_not:
        pytest.skip(why_not)
    folder = tmp_path_factory.mktemp("streams")
    requests = []
    for number, (provider, path) in enumerate(ROWS):
        stream = as_sent(provider, path)
        tools = {name for name, _ in READERS[PROVIDERS[provider]](stream).calls if name}
        sent = folder / f"{number}.sse"
        sent.write_bytes(stream)
        requests.append(json.dumps({"provider": provider, "path": str(sent), "tools": [*tools]}))
    finished = subprocess.run(
        ["node", "read_streams.mjs"],
        cwd=FOLDER,
        input="\n".join(requests),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=True,
    )
    lines = [json.loads(line) for line in finished.stdout.rstrip("\n").split("\n")]
    keys = [(provider, name_of(path)) for provider, path in ROWS]
    return dict(zip(keys, lines, strict=True))


def as_javascript(value: Any) -> Any:
    """Return the value as in JavaScript: numbers are floats, surrogate pairs are joined."""
    text = json.dumps(value, ensure_ascii=False)
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.loads(whole, parse_int=float)


def expected(provider: str, path: Path) -> dict[str, Any]:
    transcript = READERS[PROVIDERS[provider]](as_sent(provider, path))
    transcript = READ_OTHERWISE.get((provider, name_of(path)), transcript)
    reason = transcript.reason or "other"
    if provider == "openai-responses":  # there the reason is the next action of the client
        action = (
            "content-filter" if transcript.refusal else "tool-calls" if transcript.calls else "stop"
        )
        incomplete = transcript.why_incomplete or action
        reason = {"completed": action, "incomplete": incomplete}.get(reason, reason)
    return {
        "text": transcript.text + ("" if provider == "openai-compatible" else transcript.refusal),
        "reasoning": "" if provider == "openai-chat" else transcript.reasoning,
        "calls": [[name, {} if value is None else value] for name, value in transcript.calls],
        "reason": reason,
        "errors": [],
    }


@pytest.mark.parametrize(
    ("provider", "path"), ROWS, ids=[f"{provider}-{name_of(path)}" for provider, path in ROWS]
)
def test_the_sdk_reads_the_content_or_reports_the_error(
    provider: str, path: Path, answers: dict[tuple[str, str], dict[str, Any]]
) -> None:
    key = (provider, name_of(path))
    answer, stream = answers[key], as_sent(provider, path)
    failed = READERS[PROVIDERS[provider]](stream).failed
    refused = [error for error in answer["errors"] if error.startswith(REFUSED_EVENT)]
    assert len(refused) == stream.count(b"data: " + UNKNOWN_EVENT)
    answer = {**answer, "errors": [error for error in answer["errors"] if error not in refused]}
    if key in UNREAD:
        assert {error.split(":")[0] for error in answer["errors"]} == {UNREAD[key][0]}
    elif failed and key not in READ_OTHERWISE:
        (error,) = answer["errors"]
        assert error.startswith(("AI_APICallError: ", '{"')), (
            "an error of the SDK, or the one that was sent"
        )
    else:
        assert answer == as_javascript(expected(provider, path))
