"""What a request says about thinking (reasoning), in the parameters of all vendors."""

from collections.abc import Mapping
from typing import Any

_OFF = frozenset({"", "none", "disabled", "off"})
BUDGETS: Mapping[str, int] = {
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 128_000,
}
"""The usual budget of each effort, in tokens: those of the gateways that convert between them."""


def asks_for_thinking(request: Mapping[str, Any]) -> bool:
    """Return whether a request enables thinking with any vendor's parameter."""
    thinking = request.get("thinking")  # Anthropic; GLM, Kimi, DeepSeek in Chat
    if isinstance(thinking, dict):
        return _is_on(thinking.get("type", "enabled"))
    if "reasoning_effort" in request:  # Chat
        return _is_on(request["reasoning_effort"])
    reasoning = request.get("reasoning")  # Responses; OpenRouter in Chat
    if isinstance(reasoning, dict):
        if "enabled" in reasoning:
            return reasoning["enabled"] is True
        return any(_is_on(reasoning.get(name)) for name in ("effort", "max_tokens", "summary"))
    if "enable_thinking" in request:  # Qwen in Chat
        return request["enable_thinking"] is True
    config = _thinking_config(request)
    if "thinkingBudget" in config:  # 0 is off; with -1 the model decides
        return bool(config["thinkingBudget"])
    return bool(config.get("includeThoughts") or _is_on(config.get("thinkingLevel")))


def thinking_budget(request: Mapping[str, Any]) -> int:
    """Return the tokens that a request allows for thinking; 0 if it does not say, or disables it.

    An effort counts as its usual budget. `max_tokens`, which limits thinking and answer together,
    is no budget.
    """
    if not asks_for_thinking(request):
        return 0
    config = _thinking_config(request)
    budgets = (
        _member(request, "thinking", "budget_tokens"),  # Anthropic
        _member(request, "reasoning", "max_tokens"),  # OpenRouter in Chat
        request.get("thinking_budget"),  # Qwen in Chat
        config.get("thinkingBudget"),  # Gemini; with -1 the model decides
    )
    for budget in budgets:
        if isinstance(budget, int) and not isinstance(budget, bool):
            return max(budget, 0)
    efforts = (
        _member(request, "output_config", "effort"),  # Anthropic, adaptive thinking
        request.get("reasoning_effort"),  # Chat
        _member(request, "reasoning", "effort"),  # Responses; OpenRouter in Chat
        config.get("thinkingLevel"),  # Gemini 3
    )
    words = (effort.lower() for effort in efforts if isinstance(effort, str))
    return next((BUDGETS[word] for word in words if word in BUDGETS), 0)


def _thinking_config(request: Mapping[str, Any]) -> Mapping[str, Any]:
    generation = request.get("generationConfig", request.get("generation_config"))
    config = generation.get("thinkingConfig") if isinstance(generation, dict) else None
    return config if isinstance(config, dict) else {}


def _member(request: Mapping[str, Any], outer: str, inner: str) -> Any:
    value = request.get(outer)
    return value.get(inner) if isinstance(value, dict) else None


def _is_on(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() not in _OFF
    return bool(value)
