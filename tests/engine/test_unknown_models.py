"""A model that a provider does not have: the fallback is asked, whatever words and status."""

import json
from typing import Any

import pytest
from wiremend.engine.actions import Head, StartAttempt
from wiremend.engine.call import Target
from wiremend.engine.fallback import is_unknown_model
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.transport_errors import error_of_status
from wiremend.protocols.base.provider_error import make_error

from engine.test_call_machine import Conversation, the_response

OPENCODE = {
    "type": "error",
    "error": {"type": "ModelError", "message": "Model claude-3-5-haiku is not supported"},
}


def openai(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


# report, status, error
UNKNOWN: list[tuple[str, int, Any]] = [
    ("duanyytop/agents-radar#2311", 400,
     openai("The supported API model names are deepseek-v4-pro or deepseek-v4-flash, but you passed"
            " deepseek-chat.", type="invalid_request_error", code="invalid_request_error")),
    ("cline/cline#6099", 400,
     openai("Unknown Model, please check the model code.", code="1211")),
    ("diegosouzapw/OmniRoute#6998", 401, OPENCODE),
    ("anomalyco/opencode#20984", 401,
     {"type": "error", "error": {"type": "ModelError", "message": "Model is disabled"}}),
    ("automazeio/vibeproxy#128", 502,
     openai("unknown provider for model gpt-9", type="server_error")),
    ("skorokithakis/sysaidmin#9", 400,
     openai("The requested model 'gpt-4-1106-preview' does not exist.", code="model_not_found")),
    ("caozhiyuan/copilot-api#253", 400,
     openai("The requested model is not supported.", code="model_not_supported", param="model")),
    ("tashfeenahmed/freellmapi#1143", 400, openai("No model found: some/model")),
    ("maxnowack/anthropic-proxy#4", 400,
     openai("google/gemini-2.0-pro-exp-02-05:free is not a valid model ID")),
    ("BerriAI/litellm#3142", 400, openai("Invalid model name passed in model=Lite-GPT-12")),
    ("decolua/9router#1187", 400,
     {"message": "Invalid model. Please select a different model to continue.",
      "reason": "INVALID_MODEL_ID"}),
    ("liuw1535/antigravity2api-nodejs#23", 403,
     openai("You don't have access to this model or the model name is invalid")),
    ("QuantumNous/new-api", 503,
     openai("No available channel for model gpt-9 under group default", type="new_api_error")),
    ("use-agent-os/agent-os#1359", 404,
     openai("models/gemini-2.5-pro is not found for API version v1beta", status="NOT_FOUND")),
    ("Bedrock", 400, {"message": "The provided model identifier is invalid."}),
    ("DeepSeek", 400, openai("Model Not Exist")),
    ("Mistral", 400, {"object": "error", "message": "Invalid model: mistral-x",
                      "type": "invalid_model", "code": "1500"}),
    ("Z.ai", 400, openai("模型不存在", code="1211")),
    ("OpenAI", 403, openai("Project `p` does not have access to model `gpt-9`",
                           code="model_not_found")),
    ("Ollama", 404, {"error": 'model "llama9" not found, try pulling it first'}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "error"), [pytest.param(*row[1:], id=row[0]) for row in UNKNOWN]
)
def test_another_model_of_the_same_provider_is_asked(status: int, error: Any) -> None:
    targets = (Target("p", "m"), Target("p", "n"))
    call = Conversation(targets=targets, retry=RetryPolicy(attempts=1))
    call.begin(head=None)
    call.head(1.0, Head(status, ((b"content-type", b"application/json"),)))
    call.body(1.0, json.dumps(error).encode())
    assert StartAttempt(2, fresh=False, target=1) in call.body_end(1.0)


@pytest.mark.parametrize(
    "message",
    [
        "invalid x-api-key",
        "Incorrect API key provided: sk-1. You can find your API key at https://x.example.",
        "prompt is too long: 203000 tokens > 200000 maximum",
        "Unsupported parameter: 'max_tokens' is not supported with this model.",
        "`temperature` is deprecated for this model.",
        "messages.0.content: Input should be a valid list",
        "Thinking mode does not support this tool_choice",
        "Invalid model API key",
    ],
)
def test_other_refusals_are_not_about_the_model(message: str) -> None:
    assert not is_unknown_model(make_error(status=400, message=message))


@pytest.mark.parametrize("status", [401, 403])
def test_the_client_sees_404_for_a_model_that_is_not_there(status: int) -> None:
    call = Conversation()
    call.begin(head=None)
    fields = ((b"content-type", b"application/json"), (b"www-authenticate", b"Bearer"))
    call.head(1.0, Head(status, fields))
    call.body(1.0, json.dumps(OPENCODE).encode())
    response = the_response(call.body_end(1.0))
    assert response.head.status == 404
    assert response.head.get(b"www-authenticate") == ""
    assert json.loads(response.body) == OPENCODE


def test_the_client_sees_404_after_all_targets_lack_the_model() -> None:
    call = Conversation(targets=(Target("p", "m"), Target("p", "n")), retry=RetryPolicy(attempts=1))
    call.begin(head=None)
    for attempt in (1, 2):
        if attempt == 2:
            call.connected(1.0, reused=False)
        call.head(1.0, Head(401, ((b"content-type", b"application/json"),)))
        call.body(1.0, json.dumps(OPENCODE).encode())
        actions = call.body_end(1.0)
    assert the_response(actions).head.status == 404


def test_the_client_sees_401_for_a_refused_key() -> None:
    call = Conversation()
    call.begin(head=None)
    call.head(1.0, Head(401, ((b"content-type", b"application/json"),)))
    call.body(1.0, json.dumps(openai("invalid x-api-key")).encode())
    assert the_response(call.body_end(1.0)).head.status == 401


def test_the_message_is_read_whatever_the_envelope() -> None:
    error = error_of_status(Head(401, ()), json.dumps(OPENCODE).encode())
    assert (error.status, error.type) == (401, "ModelError")
