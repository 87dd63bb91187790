"""The program under test: it asks a model, and runs the tool that the model calls."""

import anthropic

_TOOL = {
    "name": "get_weather",
    "description": "Returns the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
_WEATHER = {"Paris": "rain, 12 °C"}
_MOST_TURNS = 4


def ask(question: str) -> str:
    """Return the text of the model's answer."""
    client = anthropic.Anthropic(max_retries=0)
    messages = [{"role": "user", "content": question}]
    for _ in range(_MOST_TURNS):
        with client.messages.stream(
            model="claude-opus-5", max_tokens=100, tools=[_TOOL], messages=messages
        ) as stream:
            message = stream.get_final_message()
        if message.stop_reason != "tool_use":
            return "".join(block.text for block in message.content if block.type == "text")
        messages += [
            {"role": "assistant", "content": [block.to_dict() for block in message.content]},
            {"role": "user", "content": [_result(block) for block in message.content]},
        ]
    raise RuntimeError("the model only calls tools")


def _result(call: anthropic.types.ToolUseBlock) -> dict:
    weather = _WEATHER.get(call.input.get("city"), "unknown")
    return {"type": "tool_result", "tool_use_id": call.id, "content": weather}
