"""Facts about requests that Chat Completions and Responses share."""

from typing import Any

from wiremend.protocols.base.protocol import KeyHeader, ModelList
from wiremend.protocols.base.tools import SchemaForm

KEY_HEADER = KeyHeader("authorization", "Bearer {}")
SCHEMA_FORM = SchemaForm(b'{"type":"object","properties":{},"additionalProperties":false}')


def _entry(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "wiremend"}


# https://platform.openai.com/docs/api-reference/models/list
MODEL_LIST = ModelList("data", "id", lambda answer: answer.get("object") == "list", _entry)
