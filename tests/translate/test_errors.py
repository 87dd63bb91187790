"""Errors of a provider in the words of the client's protocol."""

import orjson
import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.registry import PROTOCOLS
from wiremend.translate.errors import is_overflow, translated_error

A = WireProtocol.ANTHROPIC_MESSAGES
C = WireProtocol.CHAT_COMPLETIONS
R = WireProtocol.RESPONSES
G = WireProtocol.GEMINI

OVERFLOWS = {
    "OpenRouter, vLLM": (
        "This model's maximum context length is 131072 tokens. However, you requested 140003 "
        "tokens (139000 in the messages, 1003 in the completion).",
        (140003, 131072),
    ),
    "OpenAI": ("Your input exceeds the context window of this model.", (1, 0)),
    "Kimi": (
        "Invalid request: Your request exceeded model token limit: 262144",
        (262145, 262144),
    ),
    "xAI": (
        "This model's maximum prompt length is 131072 but the request contains 150000 tokens.",
        (150000, 131072),
    ),
    "Groq": ("Please reduce the length of the messages or completion.", (1, 0)),
    "MiniMax": ("invalid params, context window exceeds limit (2013)", (1, 0)),
    "Mistral": (
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        (40000, 32768),
    ),
    "llama.cpp": (
        "the request exceeds the available context size (4096 tokens), try increasing it",
        (4097, 4096),
    ),
    "LM Studio": (
        "The number of tokens to keep from the initial prompt is greater than the context length.",
        (1, 0),
    ),
    "Google": (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        (1200000, 1048576),
    ),
    "Anthropic": ("prompt is too long: 201000 tokens > 200000 maximum", (201000, 200000)),
    "with separators": (
        "maximum context length is 131,072 tokens, you requested 140,003",
        (140003, 131072),
    ),
}


@pytest.mark.parametrize(("message", "numbers"), OVERFLOWS.values(), ids=OVERFLOWS)
def test_a_prompt_that_is_too_long_has_the_words_of_the_client(
    message: str, numbers: tuple[int, int]
) -> None:
    error = make_error(status=400, type="invalid_request_error", message=message)
    assert is_overflow(error)
    for_anthropic = translated_error(error, C, A)
    tokens, window = numbers
    start = f"prompt is too long: {tokens} tokens > {window} maximum"
    assert for_anthropic.message.startswith(start)
    assert message in for_anthropic.message
    for_openai = translated_error(error, A, R)
    assert (for_openai.code, for_openai.status) == ("context_length_exceeded", 400)
    assert for_openai.message == message


def test_an_overflow_without_numbers_has_the_known_ones() -> None:
    error = make_error(code="context_length_exceeded", message="Too long.")
    translated = translated_error(error, C, A, prompt_tokens=9000, window_tokens=8000)
    assert translated.message == "prompt is too long: 9000 tokens > 8000 maximum (Too long.)"
    for_gemini = translated_error(error, C, G, prompt_tokens=9000, window_tokens=8000)
    assert "input token count (9000) exceeds" in for_gemini.message


NO_OVERFLOWS = [
    "The context of this conversation is unknown.",
    "max_tokens is too large: 9000. The model supports at most 8192 completion tokens.",
    "Rate limit reached: too many requests",
]


@pytest.mark.parametrize("message", NO_OVERFLOWS)
def test_another_error_is_no_overflow(message: str) -> None:
    assert not is_overflow(make_error(status=400, message=message))


@pytest.mark.parametrize(
    ("status", "for_anthropic", "for_openai"),
    [
        (400, "invalid_request_error", None),
        (401, "authentication_error", "invalid_api_key"),
        (402, "billing_error", "insufficient_quota"),
        (403, "permission_error", None),
        (404, "not_found_error", "model_not_found"),
        (413, "request_too_large", None),
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (500, "api_error", "server_error"),
        (503, "overloaded_error", "server_error"),
        (504, "timeout_error", "server_error"),
        (529, "overloaded_error", None),
    ],
)
def test_an_error_has_type_and_code_of_the_client_s_protocol(
    status: int, for_anthropic: str, for_openai: str | None
) -> None:
    error = make_error(status=status, type="SOME_TYPE", message="Sorry.")
    error_a = translated_error(error, C, A)
    body = orjson.loads(PROTOCOLS[A].error_body(error_a))
    assert body["error"] == {"type": for_anthropic, "message": "Sorry."}
    assert error_a.status == status
    error_c = translated_error(error, A, C)
    body = orjson.loads(PROTOCOLS[C].error_body(error_c))
    assert body["error"]["message"] == "Sorry."
    assert body["error"]["code"] == for_openai
    assert error_c.status == (503 if status == 529 else status)


def test_the_time_to_wait_and_other_fields_are_kept() -> None:
    error = make_error(status=429, message="Slow down.", retry_after_seconds=3, request_id="r")
    translated = translated_error(error, C, A)
    assert translated.retry_after_seconds == 3
    assert translated.request_id == "r"


def test_an_error_in_the_client_s_own_protocol_is_not_changed() -> None:
    error = make_error(status=400, type="x", message="prompt is too long")
    assert translated_error(error, A, A) is error
