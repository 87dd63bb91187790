"""Messages requests and answers, written from the middle form."""

from wiremend.protocols.anthropic.write.request import write_request
from wiremend.protocols.anthropic.write.stream import AnthropicWriter

__all__ = ["AnthropicWriter", "write_request"]
