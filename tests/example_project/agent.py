"""The program under test: it asks a model, and has a tool."""

import anthropic

_TOOL = {
    "name": "get_weather",
    "description": "Returns the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def ask(question: str) -> str:
    """Return the text of the model's answer."""
    client = anthropic.Anthropic(max_retries=0)
    with client.messages.stream(
        model="claude-opus-5",
        max_tokens=100,
        tools=[_TOOL],
        messages=[{"role": "user", "content": question}],
    ) as stream:
        return stream.get_final_text()
