"""Translated requests parse into the types of the provider's SDK."""

from typing import Any

import orjson
import pytest
from anthropic.types import message_create_params
from hypothesis import given, settings
from openai.types.chat import completion_create_params
from pydantic import TypeAdapter, ValidationError
from strategies import anthropic_requests, chat_requests
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.chat import CHAT

from translate.directions import fewer, target_of, translated

MESSAGES = TypeAdapter(message_create_params.MessageCreateParams)
COMPLETIONS = TypeAdapter(completion_create_params.CompletionCreateParams)
EFFORTS = ("low", "medium", "high")


def assert_valid(types: TypeAdapter[Any], body: dict[str, Any]) -> None:
    """Validate the request as the SDK's callers write it; iterables are read."""
    checked = types.validate_python(body)
    for message in checked["messages"]:
        for value in message.values():
            if not isinstance(value, str | None):
                list(value)


@fewer
@given(request=anthropic_requests.requests())
def test_requests_for_chat_completions(request: dict[str, Any]) -> None:
    result = translated(ANTHROPIC, request, CHAT, target_of(CHAT, efforts=EFFORTS))
    assert_valid(COMPLETIONS, orjson.loads(result.body))


@fewer
@given(request=chat_requests.requests())
def test_requests_for_messages(request: dict[str, Any]) -> None:
    result = translated(CHAT, request, ANTHROPIC)
    assert_valid(MESSAGES, orjson.loads(result.body))


@settings(max_examples=1)
@given(request=chat_requests.requests())
def test_an_invalid_request_is_found(request: dict[str, Any]) -> None:
    body = orjson.loads(translated(CHAT, request, ANTHROPIC).body)
    body["messages"].append({"role": "user", "content": [{"type": "text"}]})
    with pytest.raises(ValidationError):
        assert_valid(MESSAGES, body)
