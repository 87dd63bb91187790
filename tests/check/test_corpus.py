"""The checker finds in every stream of the corpus what the proxy finds."""

import json
from typing import Any

import pytest
from corpus_streams import CorpusStream, broken_streams, clean_streams
from wiremend.check.checker import check_exchange
from wiremend.engine.settings import Settings
from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.exchange import Exchange, RecordedResponse

TOOLS = ("a", "b", "get_weather", "get_time")
OTHER_FAMILIES = ("E", "R")
"""Findings of the engine, which are not in the results of the corpus."""
AFTER_THE_END = ("S119", "S213", "S314", "S409")
"""The engine reads nothing behind the terminal event, or behind an error."""
OTHER_FRAMING = ("array-without-brackets", "code-assist")
"""Streams whose request is not an ordinary one."""


def request_of(protocol: WireProtocol) -> dict[str, Any]:
    """Return a request that offers the tools of the corpus."""
    schema = {"type": "object", "properties": {"x": {"type": "string"}}}
    match protocol:
        case WireProtocol.ANTHROPIC_MESSAGES:
            tools: list[Any] = [{"name": name, "input_schema": schema} for name in TOOLS]
        case WireProtocol.CHAT_COMPLETIONS:
            functions = ({"name": name, "parameters": schema} for name in TOOLS)
            tools = [{"type": "function", "function": function} for function in functions]
        case WireProtocol.RESPONSES:
            tools = [{"type": "function", "name": name, "parameters": schema} for name in TOOLS]
        case WireProtocol.GEMINI:
            functions = ({"name": name, "parameters": schema} for name in TOOLS)
            tools = [{"functionDeclarations": list(functions)}]
    return {"model": "claude-sonnet-4-5", "stream": True, "tools": tools}


def codes_in(stream: CorpusStream) -> list[str]:
    exchange = Exchange(
        protocol=stream.protocol.name,
        body=json.dumps(request_of(stream.protocol.name)).encode(),
        streaming=True,
        response=RecordedResponse(200, (), stream.path.read_bytes(), has_label=False),
    )
    checked = check_exchange(exchange, Settings())
    assert checked is not None
    return [finding.code for finding in checked.response]


def before_the_end(codes: list[str]) -> list[str]:
    return [code for code in codes if code not in AFTER_THE_END]


def without_client(streams: list[CorpusStream]) -> list[CorpusStream]:
    """Return the streams that any client reads: a recording names its client in the request."""
    return [
        stream
        for stream in streams
        if not stream.context.client.family and stream.path.stem not in OTHER_FRAMING
    ]


@pytest.mark.parametrize("stream", without_client(broken_streams()), ids=str)
def test_the_findings_are_those_of_the_proxy(stream: CorpusStream) -> None:
    found = [code for code in codes_in(stream) if not code.startswith(OTHER_FAMILIES)]
    assert before_the_end(found) == before_the_end(stream.codes)


@pytest.mark.parametrize("stream", without_client(clean_streams()), ids=str)
def test_valid_streams_are_clean(stream: CorpusStream) -> None:
    assert [code for code in codes_in(stream) if not code.startswith(OTHER_FAMILIES)] == []
